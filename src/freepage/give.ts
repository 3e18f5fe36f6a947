/**
 * Giving pages back: merging with the neighbours, or inserting a new run, which may need pages for the tree itself.
 *
 * Under the owner's lock. A *soft* put only succeeds if it costs no page from the lists: clean-up uses it to
 * give recycled pages back. Which of the runs is pushed when, and which pages the tree takes, is PostgreSQL's order to
 * the letter, because every later placement follows from it.
 */

import { fixAncestors, insertItem, search, usedItems } from './btree.js';
import { corrupt, NO_PAGE, rootOf, setParent, setRoot, type FreePageHandle } from './handle.js';
import { removeKey, rightSibling } from './shrink.js';
import { splitInsert } from './split.js';
import { moveSpan, popRecycled, popSpan, pushSpan, recycle } from './spans.js';
import { takeRun } from './take.js';
import * as structs from './structs.js';

// Copied because an imported constant is loaded anew at each use, while one of this module is folded into the code.
const {
  B_KEY,
  B_NUSED,
  B_VALUE,
  H_DEPTH,
  H_RECYCLE_COUNT,
  H_ROOT,
  H_SINGLETON_FIRST,
  H_SINGLETON_NPAGES,
  LEAF_MAGIC,
  PAGE_WORDS,
} = structs;

/**
 * Gives the run (first, npages) back. Source: FreePageManagerPutInternal.
 *
 * @param soft refuse rather than take a page from the lists
 * @returns length of the run that now holds these pages; 0 when refused
 * @throws ERR_HEAP_CORRUPT
 */
export function giveRun(m: FreePageHandle, first: number, npages: number, soft: boolean): number {
  const a = m.a;
  const h = m.header;
  if (a[h + H_ROOT] !== 0) return giveToTree(m, first, npages, soft);
  const onlyFirst = a[h + H_SINGLETON_FIRST]!;
  const onlyLength = a[h + H_SINGLETON_NPAGES]!;
  const onlyEnd = (onlyFirst + onlyLength) | 0;
  const end = (first + npages) | 0;
  const sum = (onlyLength + npages) | 0;
  if (onlyLength === 0) {
    setSingleton(m, first, npages);
    pushSpan(m, first, npages);
    return npages;
  }
  if (first < onlyEnd && onlyFirst < end) freeAlready(m, first, npages, onlyFirst, onlyLength);
  if (onlyEnd === first) {
    moveSpan(m, onlyFirst, onlyFirst, sum);
    a[h + H_SINGLETON_NPAGES] = sum;
    return sum;
  }
  if (end === onlyFirst) {
    moveSpan(m, onlyFirst, first, sum);
    setSingleton(m, first, sum);
    return sum;
  }
  if (!plantTree(m, soft)) return 0;
  const key = m.base + rootOf(m) * PAGE_WORDS;
  if (a[key + B_VALUE] !== 0) return giveToTree(m, first, npages, soft);
  a[key + B_KEY] = first;
  a[key + B_VALUE] = npages;
  pushSpan(m, first, npages);
  return npages;
}

function setSingleton(m: FreePageHandle, first: number, npages: number): void {
  m.a[m.header + H_SINGLETON_FIRST] = first;
  m.a[m.header + H_SINGLETON_NPAGES] = npages;
}

/** Makes a tree of one leaf with the only run in it; false when that is refused. */
function plantTree(m: FreePageHandle, soft: boolean): boolean {
  const a = m.a;
  const h = m.header;
  let root: number;
  if (a[h + H_RECYCLE_COUNT] !== 0) {
    root = popRecycled(m);
  } else if (soft) {
    return false;
  } else {
    root = takeRun(m, 1);
    if (root < 0) noPageForTree(m);
  }
  const w = m.base + root * PAGE_WORDS;
  a[w] = LEAF_MAGIC;
  a[w + B_NUSED] = 0;
  a[w + B_NUSED + 1] = 0;
  setParent(m, root, NO_PAGE);
  insertItem(m, root, 0, a[h + H_SINGLETON_FIRST]!, a[h + H_SINGLETON_NPAGES]!, 0);
  setRoot(m, root);
  setSingleton(m, 0, 0);
  a[h + H_DEPTH] = 1;
  return true;
}

function giveToTree(m: FreePageHandle, first: number, npages: number, soft: boolean): number {
  const a = m.a;
  search(m, first);
  const node = m.foundNode;
  const i = m.foundIndex;
  const w = m.base + node * PAGE_WORDS;
  const end = (first + npages) | 0;
  let nextNode = node;
  let nextIndex = i;
  let nextFirst = -1;
  if (i === a[w + B_NUSED]) {
    nextNode = rightSibling(m, node);
    nextIndex = 0;
  }
  if (nextNode >= 0) {
    nextFirst = a[m.base + nextNode * PAGE_WORDS + B_KEY + (nextIndex << 2)]!;
    if (nextFirst < end) overlapsKey(m, first, npages, nextNode, nextIndex);
  }
  if (i > 0) {
    const item = w + (i << 2) - 4;
    const prevEnd = (a[item + B_KEY]! + a[item + B_VALUE]!) | 0;
    if (prevEnd > first) overlapsKey(m, first, npages, node, i - 1);
    if (prevEnd === first) {
      return mergeWithPrevious(m, node, i - 1, npages, end === nextFirst ? nextNode : NO_PAGE, nextIndex);
    }
  }
  if (end === nextFirst) return mergeWithNext(m, first, npages, nextNode, nextIndex);
  if (m.foundSplits > 0 && !makeRoom(m, first, soft)) return 0;
  if (m.foundSplits > 0) {
    splitInsert(m, m.foundNode, first, npages);
  } else {
    insertItem(m, m.foundNode, m.foundIndex, first, npages, 0);
    if (m.foundIndex === 0) fixAncestors(m, m.foundNode);
  }
  pushSpan(m, first, npages);
  return npages;
}

/** Lengthens the run at (node, i), and with it the run at (nextNode, nextIndex) unless that is NO_PAGE. */
function mergeWithPrevious(
  m: FreePageHandle,
  node: number,
  i: number,
  npages: number,
  nextNode: number,
  nextIndex: number,
): number {
  const a = m.a;
  const item = m.base + node * PAGE_WORDS + (i << 2);
  const first = a[item + B_KEY]!;
  let length = (a[item + B_VALUE]! + npages) | 0;
  if (nextNode >= 0) {
    const next = m.base + nextNode * PAGE_WORDS + (nextIndex << 2);
    length = (length + a[next + B_VALUE]!) | 0;
    popSpan(m, a[next + B_KEY]!);
  }
  a[item + B_VALUE] = length;
  moveSpan(m, first, first, length);
  if (nextNode >= 0) removeKey(m, nextNode, nextIndex);
  return length;
}

/** Puts the given pages before the run at (node, i). */
function mergeWithNext(m: FreePageHandle, first: number, npages: number, node: number, i: number): number {
  const a = m.a;
  const item = m.base + node * PAGE_WORDS + (i << 2);
  const length = (a[item + B_VALUE]! + npages) | 0;
  moveSpan(m, a[item + B_KEY]!, first, length);
  a[item + B_KEY] = first;
  a[item + B_VALUE] = length;
  if (i === 0) fixAncestors(m, node);
  return length;
}

/**
 * Gets the pages that splits need onto the recycle list; false when that is refused. Taking them may remove one-page
 * runs from the tree, so the search is repeated; the leaf may then have room, and the pages stay on the list.
 */
function makeRoom(m: FreePageHandle, first: number, soft: boolean): boolean {
  if (soft) return false;
  const missing = m.foundSplits - m.a[m.header + H_RECYCLE_COUNT]!;
  if (missing <= 0) return true;
  for (let k = 0; k < missing; k++) {
    const page = takeRun(m, 1);
    if (page < 0) noPageForTree(m);
    recycle(m, page);
  }
  search(m, first);
  usedItems(m, m.foundNode);
  return true;
}

function noPageForTree(m: FreePageHandle): never {
  return corrupt(m, 'there is no free page for the tree although runs are free', 'a request of 1 page failed');
}

function overlapsKey(m: FreePageHandle, first: number, npages: number, node: number, i: number): never {
  const item = m.base + node * PAGE_WORDS + (i << 2);
  return freeAlready(m, first, npages, m.a[item + B_KEY]!, m.a[item + B_VALUE]!);
}

function freeAlready(m: FreePageHandle, first: number, npages: number, free: number, length: number): never {
  return corrupt(
    m,
    'pages that are free were given back',
    `pages ${first} .. ${first + npages - 1}; free are ${free} .. ${free + length - 1}`,
  );
}
