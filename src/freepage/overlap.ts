/**
 * Are any of these pages free already? For callers who may give pages back twice.
 *
 * Free runs are found by one search, O(depth). Pages of the tree and of the recycle list are free as well, but in no
 * run; they are found by looking at the internal pages of the tree (one in some 16,000 runs) and along the list.
 */

import { childOf, isInternal, search, usedItems } from './btree.js';
import { endlessWalk, NO_PAGE, rootOf, type FreePageHandle } from './handle.js';
import { rightSibling } from './shrink.js';
import { B_KEY, B_VALUE, H_DEPTH, H_SINGLETON_FIRST, H_SINGLETON_NPAGES, PAGE_WORDS } from './structs.js';
import { walkRecycled } from './walk.js';

/**
 * Looks for free pages among `npages` pages from `first`.
 *
 * @returns what was found, in words, or null
 * @throws ERR_HEAP_CORRUPT
 */
export function findFreeOverlap(m: FreePageHandle, first: number, npages: number): string | null {
  const end = first + npages;
  const root = rootOf(m);
  const run = root === NO_PAGE ? overlapOfSingleton(m, first, end) : overlapOfRuns(m, first, end);
  if (run !== null) return run;
  if (root !== NO_PAGE) {
    const page = treePageIn(m, root, first, end);
    if (page !== NO_PAGE) return `page ${page}, which holds a part of the tree`;
  }
  for (const page of walkRecycled(m)) {
    if (page >= first && page < end) return `page ${page}, which is kept for the tree`;
  }
  return null;
}

function overlapOfSingleton(m: FreePageHandle, first: number, end: number): string | null {
  return overlap(m.a[m.header + H_SINGLETON_FIRST]!, m.a[m.header + H_SINGLETON_NPAGES]!, first, end);
}

function overlapOfRuns(m: FreePageHandle, first: number, end: number): string | null {
  search(m, first);
  const node = m.foundNode;
  const i = m.foundIndex;
  if (i > 0) {
    const before = overlapOfItem(m, node, i - 1, first, end);
    if (before !== null) return before;
  }
  if (i < usedItems(m, node)) return overlapOfItem(m, node, i, first, end);
  const right = rightSibling(m, node);
  return right === NO_PAGE ? null : overlapOfItem(m, right, 0, first, end);
}

function overlapOfItem(m: FreePageHandle, node: number, i: number, first: number, end: number): string | null {
  const item = m.base + node * PAGE_WORDS + 4 * i;
  return overlap(m.a[item + B_KEY]!, m.a[item + B_VALUE]!, first, end);
}

function overlap(run: number, npages: number, first: number, end: number): string | null {
  return run < end && first < run + npages ? `pages ${run} .. ${run + npages - 1}` : null;
}

/** A page of the tree in first .. end - 1, or NO_PAGE. The children of the lowest internal pages are not visited. */
function treePageIn(m: FreePageHandle, root: number, first: number, end: number): number {
  if (root >= first && root < end) return root;
  const open = [{ page: root, level: 1 }];
  const depth = m.a[m.header + H_DEPTH]!;
  let steps = m.pages;
  for (let top = open.pop(); top !== undefined; top = open.pop()) {
    if (!isInternal(m, top.page)) continue;
    const nused = usedItems(m, top.page);
    for (let i = 0; i < nused; i++) {
      const child = childOf(m, top.page, i);
      if (child >= first && child < end) return child;
      if (--steps < 0) endlessWalk(m, 'the tree');
      if (top.level + 1 < depth) open.push({ page: child, level: top.level + 1 });
    }
  }
  return NO_PAGE;
}
