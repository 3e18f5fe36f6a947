/**
 * The B-tree over all free runs, keyed by first page: searching it, and changing items of one page.
 *
 * The tree exists only while there is more than one run; it finds the neighbours of a run that is given back. Its
 * pages are free pages. A page does not know its own number, so pages are passed around as numbers. Items move with
 * single stores: a page has at most 254. Under the owner's lock.
 */

import { badNode, loadPage, parentOf, rootOf, storePage, type FreePageHandle } from './handle.js';
import * as structs from './structs.js';

// Copied because an imported constant is loaded anew at each use, while one of this module is folded into the code.
const { B_KEY, B_NUSED, B_PARENT, B_CHILD, INTERNAL_MAGIC, ITEMS_PER_PAGE, LEAF_MAGIC, MAX_DEPTH, PAGE_WORDS } =
  structs;

/**
 * Looks for the run that begins at page `key` in a tree that exists; the answer is in the registers of the handle:
 * leaf, index of the key or of the place where it belongs, and how many pages an insertion there needs for splits.
 * Source: FreePageBtreeSearch.
 *
 * @throws ERR_HEAP_CORRUPT when a link leads to something that is not a page of the tree
 */
export function search(m: FreePageHandle, key: number): void {
  const a = m.a;
  let page = rootOf(m);
  let splits = 1;
  for (let level = 0; level < MAX_DEPTH; level++) {
    const w = m.base + page * PAGE_WORDS;
    const nused = a[w + B_NUSED]!;
    if (nused < 1 || nused > ITEMS_PER_PAGE) badNode(m, page);
    splits = nused === ITEMS_PER_PAGE ? splits + 1 : 0;
    const i = keysBelow(a, w + B_KEY, nused, key);
    const magic = a[w];
    if (magic === LEAF_MAGIC) {
      m.foundNode = page;
      m.foundIndex = i;
      m.foundSplits = splits;
      return;
    }
    if (magic !== INTERNAL_MAGIC) badNode(m, page);
    const lower = i > 0 && !(i < nused && a[w + B_KEY + (i << 2)] === key);
    page = loadPage(a, w + B_CHILD + 4 * (lower ? i - 1 : i));
  }
  badNode(m, page);
}

/**
 * Number of keys below `key` among the `nused` (1 .. 254) sorted keys that begin at word `keys`, four words apart.
 *
 * A binary search without a loop, because a loop of V8 checks for interrupts in each round and then looks at the array
 * anew: half the time. First the range becomes a power of two, then each line halves it. `at` is the
 * word of the first key that is not known to be below `key`.
 */
function keysBelow(a: Int32Array, keys: number, nused: number, key: number): number {
  const range = 1 << (31 - Math.clz32(nused));
  let at = keys;
  if (a[keys + (range << 2) - 4]! < key) at += 4 * (nused - range + 1);
  if (nused >= 128 && a[at + 252]! < key) at += 256;
  if (nused >= 64 && a[at + 124]! < key) at += 128;
  if (nused >= 32 && a[at + 60]! < key) at += 64;
  if (nused >= 16 && a[at + 28]! < key) at += 32;
  if (nused >= 8 && a[at + 12]! < key) at += 16;
  if (nused >= 4 && a[at + 4]! < key) at += 8;
  if (nused >= 2 && a[at]! < key) at += 4;
  return (at - keys) >> 2;
}

/** Smallest index whose key is at least `key`, or the number of items. Source: FreePageBtreeSearchInternal. */
export function lowerBound(m: FreePageHandle, page: number, key: number): number {
  return keysBelow(m.a, m.base + page * PAGE_WORDS + B_KEY, usedItems(m, page), key);
}

/** Items of a B-tree page, checked to be 1 .. 254. */
export function usedItems(m: FreePageHandle, page: number): number {
  const w = m.base + page * PAGE_WORDS;
  const nused = m.a[w + B_NUSED]!;
  const magic = m.a[w];
  if ((magic !== LEAF_MAGIC && magic !== INTERNAL_MAGIC) || !(nused >= 1 && nused <= ITEMS_PER_PAGE)) badNode(m, page);
  return nused;
}

/** First page of the runs below a B-tree page. Source: FreePageBtreeFirstKey. */
export function firstKey(m: FreePageHandle, page: number): number {
  return m.a[m.base + page * PAGE_WORDS + B_KEY]!;
}

/** Tells whether a B-tree page has children. */
export function isInternal(m: FreePageHandle, page: number): boolean {
  return m.a[m.base + page * PAGE_WORDS] === INTERNAL_MAGIC;
}

/** Child `i` of an internal page. */
export function childOf(m: FreePageHandle, page: number, i: number): number {
  return loadPage(m.a, m.base + page * PAGE_WORDS + B_CHILD + (i << 2));
}

/**
 * Puts item (key, value) at index `i` of a page that has room. Source: FreePageBtreeInsertLeaf and
 * FreePageBtreeInsertInternal.
 *
 * @param lo low word of the value: the length of a run, or of the relptr to a child
 * @param hi its high word
 */
export function insertItem(m: FreePageHandle, page: number, i: number, key: number, lo: number, hi: number): void {
  const a = m.a;
  const w = m.base + page * PAGE_WORDS;
  const nused = a[w + B_NUSED]!;
  if (nused >= ITEMS_PER_PAGE) badNode(m, page);
  const at = w + B_KEY + (i << 2);
  for (let from = w + B_KEY + (nused << 2) - 4; from >= at; from -= 4) {
    a[from + 4] = a[from]!;
    a[from + 6] = a[from + 2]!;
    a[from + 7] = a[from + 3]!;
  }
  a[w + B_KEY + (nused << 2) + 1] = 0;
  a[at] = key;
  a[at + 2] = lo;
  a[at + 3] = hi;
  a[w + B_NUSED] = nused + 1;
}

/** Puts the child `child` with its low bound at index `i` of an internal page that has room. */
export function insertChild(m: FreePageHandle, page: number, i: number, key: number, child: number): void {
  insertItem(m, page, i, key, (child << 12) + 1, child >>> 20);
}

/** Removes item `i` of a page. */
export function deleteItem(m: FreePageHandle, page: number, i: number): void {
  const a = m.a;
  const w = m.base + page * PAGE_WORDS;
  const nused = a[w + B_NUSED]! - 1;
  const end = w + B_KEY + (nused << 2);
  for (let to = w + B_KEY + (i << 2); to < end; to += 4) {
    a[to] = a[to + 4]!;
    a[to + 2] = a[to + 6]!;
    a[to + 3] = a[to + 7]!;
  }
  a[w + B_NUSED] = nused;
}

/**
 * Copies `count` items from one page to another; `nused` of both stays as it is.
 *
 * @param from page and index of the first item to copy
 * @param to page and index where it goes
 */
export function copyItems(
  m: FreePageHandle,
  from: number,
  fromIndex: number,
  to: number,
  toIndex: number,
  count: number,
): void {
  const source = m.base + from * PAGE_WORDS + B_KEY + (fromIndex << 2);
  const target = m.base + to * PAGE_WORDS + B_KEY + (toIndex << 2);
  for (let k = 0; k < 4 * count; k++) m.a[target + k] = m.a[source + k]!;
}

/** Tells all children of an internal page who their parent is. Source: FreePageBtreeUpdateParentPointers. */
export function adoptChildren(m: FreePageHandle, page: number): void {
  const nused = usedItems(m, page);
  for (let i = 0; i < nused; i++) {
    const child = childOf(m, page, i);
    usedItems(m, child);
    storePage(m.a, m.base + child * PAGE_WORDS + B_PARENT, page);
  }
}

/**
 * After the first key of `page` changed: sets the low bounds above it. Right only while the change kept the order of
 * keys on every ancestor; then the downlink is at the lower bound of the new key (it fell) or one before (it rose).
 * Source: FreePageBtreeAdjustAncestorKeys.
 */
export function fixAncestors(m: FreePageHandle, page: number): void {
  const a = m.a;
  const first = firstKey(m, page);
  let child = page;
  for (let level = 0; level < MAX_DEPTH; level++) {
    const parent = parentOf(m, child);
    if (parent < 0) return;
    const nused = usedItems(m, parent);
    let s = lowerBound(m, parent, first);
    if (s >= nused || childOf(m, parent, s) !== child) s--;
    if (s < 0 || childOf(m, parent, s) !== child) badNode(m, child);
    a[m.base + parent * PAGE_WORDS + B_KEY + (s << 2)] = first;
    if (s > 0) return;
    child = parent;
  }
  badNode(m, child);
}
