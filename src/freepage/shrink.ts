/**
 * Taking keys out of the B-tree: pages that run empty leave it, sparse ones merge with a sibling.
 *
 * Under the owner's lock. Pages that leave go to the recycle list, whose leader overwrites their header and first key:
 * what is needed of them is read before. The one exception is PostgreSQL's own: when the last key of a one-key root
 * goes, the root's page is in no list afterwards. It is lost (trap P7), and the same pages result as in C.
 */

import {
  adoptChildren,
  childOf,
  copyItems,
  deleteItem,
  firstKey,
  fixAncestors,
  isInternal,
  lowerBound,
  usedItems,
} from './btree.js';
import { badNode, NO_PAGE, parentOf, setRoot, type FreePageHandle } from './handle.js';
import { recycle } from './spans.js';
import * as structs from './structs.js';

// Copied because an imported constant is loaded anew at each use, while one of this module is folded into the code.
const { B_NUSED, CONSOLIDATE_BELOW, H_DEPTH, ITEMS_PER_PAGE, MAX_DEPTH, PAGE_WORDS } = structs;

/** Removes key `i` of a leaf that a search just led to. Source: FreePageBtreeRemove. */
export function removeKey(m: FreePageHandle, leaf: number, i: number): void {
  const nused = m.a[m.base + leaf * PAGE_WORDS + B_NUSED]!;
  if (nused === 1) {
    removeNode(m, leaf);
    return;
  }
  deleteItem(m, leaf, i);
  if (i === 0) fixAncestors(m, leaf);
  if (nused <= CONSOLIDATE_BELOW) consolidate(m, leaf);
}

/** Removes a page, whose keys the caller has rescued, from the tree. Source: FreePageBtreeRemovePage. */
function removeNode(m: FreePageHandle, page: number): void {
  let node = page;
  let parent = parentOf(m, node);
  for (let level = 0; ; level++) {
    if (level > MAX_DEPTH) badNode(m, node);
    if (parent < 0) {
      setRoot(m, NO_PAGE);
      m.a[m.header + H_DEPTH] = 0;
      return;
    }
    if (usedItems(m, parent) > 1) break;
    recycle(m, node);
    node = parent;
    parent = parentOf(m, node);
  }
  const i = lowerBound(m, parent, firstKey(m, node));
  if (i >= usedItems(m, parent) || childOf(m, parent, i) !== node) badNode(m, node);
  deleteItem(m, parent, i);
  recycle(m, node);
  if (i === 0) fixAncestors(m, parent);
  consolidate(m, parent);
}

/**
 * Merges a sparse page with a sibling if both fit in one. The left page of the two survives, so no low bound
 * changes. Source: FreePageBtreeConsolidate.
 */
function consolidate(m: FreePageHandle, node: number): void {
  const nused = usedItems(m, node);
  if (nused >= CONSOLIDATE_BELOW) return;
  const right = rightSibling(m, node);
  if (right >= 0 && nused + usedItems(m, right) <= ITEMS_PER_PAGE) {
    appendItems(m, right, node);
    removeNode(m, right);
    return;
  }
  const left = leftSibling(m, node);
  if (left >= 0 && nused + usedItems(m, left) <= ITEMS_PER_PAGE) {
    appendItems(m, node, left);
    removeNode(m, node);
  }
}

function appendItems(m: FreePageHandle, from: number, to: number): void {
  const count = usedItems(m, from);
  const nused = usedItems(m, to);
  copyItems(m, from, 0, to, nused, count);
  m.a[m.base + to * PAGE_WORDS + B_NUSED] = nused + count;
  if (isInternal(m, to)) adoptChildren(m, to);
}

/** The next page of the same level, or NO_PAGE. Source: FreePageBtreeFindRightSibling. */
export function rightSibling(m: FreePageHandle, node: number): number {
  let page = node;
  for (let levels = 0; levels < MAX_DEPTH; levels++) {
    const parent = parentOf(m, page);
    if (parent < 0) return NO_PAGE;
    const i = lowerBound(m, parent, firstKey(m, page));
    if (i < usedItems(m, parent) - 1) {
      page = childOf(m, parent, i + 1);
      for (let down = levels; down > 0; down--) {
        usedItems(m, page);
        page = childOf(m, page, 0);
      }
      usedItems(m, page);
      return page;
    }
    page = parent;
  }
  return badNode(m, page);
}

/** The page before on the same level, or NO_PAGE. Source: FreePageBtreeFindLeftSibling. */
function leftSibling(m: FreePageHandle, node: number): number {
  let page = node;
  for (let levels = 0; levels < MAX_DEPTH; levels++) {
    const parent = parentOf(m, page);
    if (parent < 0) return NO_PAGE;
    const i = lowerBound(m, parent, firstKey(m, page));
    if (i > 0) {
      page = childOf(m, parent, i - 1);
      for (let down = levels; down > 0; down--) page = childOf(m, page, usedItems(m, page) - 1);
      usedItems(m, page);
      return page;
    }
    page = parent;
  }
  return badNode(m, page);
}
