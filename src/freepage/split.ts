/**
 * Inserting a key where pages are full: splitting from the leaf upward, and growing a new root.
 *
 * Under the owner's lock. The caller has put as many pages on the recycle list as the search asked for; they are used
 * up in order: new leaf, new internal pages from the bottom up, new root.
 */

import {
  adoptChildren,
  copyItems,
  firstKey,
  fixAncestors,
  insertChild,
  insertItem,
  isInternal,
  lowerBound,
  usedItems,
} from './btree.js';
import { badNode, NO_PAGE, parentOf, setParent, setRoot, type FreePageHandle } from './handle.js';
import { popRecycled } from './spans.js';
import { B_NUSED, H_DEPTH, INTERNAL_MAGIC, ITEMS_PER_PAGE, MAX_DEPTH, PAGE_WORDS } from './structs.js';

/**
 * Inserts the run (first, npages) into the full leaf `leaf`. Source: the split part of FreePageManagerPutInternal.
 */
export function splitInsert(m: FreePageHandle, leaf: number, first: number, npages: number): void {
  let target = leaf;
  let child = NO_PAGE;
  let key = first;
  for (let level = 0; level < MAX_DEPTH; level++) {
    const parent = parentOf(m, target);
    const sibling = splitPage(m, target, parent);
    const into = key < firstKey(m, sibling) ? target : sibling;
    const at = lowerBound(m, into, key);
    if (child === NO_PAGE) {
      insertItem(m, into, at, key, npages, 0);
    } else {
      insertChild(m, into, at, key, child);
      setParent(m, child, into);
    }
    if (at === 0 && into === target) fixAncestors(m, target);
    if (parent === NO_PAGE) {
      growRoot(m, target, sibling);
      return;
    }
    key = firstKey(m, sibling);
    if (usedItems(m, parent) < ITEMS_PER_PAGE) {
      const slot = lowerBound(m, parent, key);
      insertChild(m, parent, slot, key, sibling);
      setParent(m, sibling, parent);
      if (slot === 0) fixAncestors(m, parent);
      return;
    }
    child = sibling;
    target = parent;
  }
  badNode(m, target);
}

/** Moves the upper half of a page to a new one. Source: FreePageBtreeSplitPage. */
function splitPage(m: FreePageHandle, page: number, parent: number): number {
  const a = m.a;
  const nused = usedItems(m, page);
  const moved = nused >> 1;
  const sibling = popRecycled(m);
  const w = m.base + page * PAGE_WORDS;
  const s = m.base + sibling * PAGE_WORDS;
  a[s] = a[w]!;
  a[s + B_NUSED] = moved;
  a[s + B_NUSED + 1] = 0;
  setParent(m, sibling, parent);
  copyItems(m, page, nused - moved, sibling, 0, moved);
  a[w + B_NUSED] = nused - moved;
  if (isInternal(m, sibling)) adoptChildren(m, sibling);
  return sibling;
}

function growRoot(m: FreePageHandle, left: number, right: number): void {
  const a = m.a;
  const root = popRecycled(m);
  const w = m.base + root * PAGE_WORDS;
  a[w] = INTERNAL_MAGIC;
  a[w + B_NUSED] = 0;
  a[w + B_NUSED + 1] = 0;
  setParent(m, root, NO_PAGE);
  insertChild(m, root, 0, firstKey(m, left), left);
  insertChild(m, root, 1, firstKey(m, right), right);
  setParent(m, left, root);
  setParent(m, right, root);
  setRoot(m, root);
  a[m.header + H_DEPTH]!++;
}
