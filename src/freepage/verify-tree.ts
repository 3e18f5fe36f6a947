/**
 * Checks of the B-tree, part of `verifyFreePages`: shape and parents (Q1, Q3), keys (Q4), items (Q6).
 *
 * Goes down each child once, so that a damaged link can lead into a cycle but not keep the walk there.
 */

import { NO_PAGE } from './handle.js';
import { B_CHILD, B_KEY, B_NUSED, B_PARENT, B_VALUE, INTERNAL_MAGIC, ITEMS_PER_PAGE, LEAF_MAGIC } from './structs.js';
import type { FreePageCensus } from './verify-census.js';

/** End of the run met last (-1 before the first): keys ascend over the whole tree. */
interface Progress {
  end: number;
}

/**
 * Checks the tree and collects its runs and pages.
 *
 * @param c where findings, runs and pages go
 * @param root page of the root
 * @param depth levels that the tree should have
 */
export function checkTree(c: FreePageCensus, root: number, depth: number): void {
  checkNode(c, root, NO_PAGE, 1, depth, { end: -1 });
}

function checkNode(
  c: FreePageCensus,
  page: number,
  parent: number,
  level: number,
  depth: number,
  progress: Progress,
): void {
  if (!c.has(page)) return c.report('Q1', `the tree leads to page ${page} of ${c.limit}`);
  if (c.treePages.has(page)) return c.report('Q1', `page ${page} is in the tree twice`);
  const magic = c.word(page, 0);
  if (magic !== (level < depth ? INTERNAL_MAGIC : LEAF_MAGIC)) {
    return c.report('Q1', `page ${page} on level ${level} of ${depth} has the magic 0x${(magic >>> 0).toString(16)}`);
  }
  c.treePages.add(page);
  const nused = c.word(page, B_NUSED);
  if (nused < 1 || nused > ITEMS_PER_PAGE || c.word(page, B_NUSED + 1) !== 0) {
    return c.report('Q6', `page ${page} of the tree has ${nused} items`);
  }
  const actual = c.link(page, B_PARENT);
  if (actual !== parent) c.report('Q3', `parent of page ${page} is ${actual}, not ${parent}`);
  if (level === depth) checkLeaf(c, page, nused, progress);
  else checkChildren(c, page, nused, level, depth, progress);
}

function checkChildren(
  c: FreePageCensus,
  page: number,
  nused: number,
  level: number,
  depth: number,
  progress: Progress,
): void {
  for (let i = 0; i < nused; i++) {
    const child = c.link(page, B_CHILD + 4 * i);
    const key = c.word(page, B_KEY + 4 * i);
    if (c.has(child) && c.word(child, B_KEY) !== key) {
      c.report('Q3', `item ${i} of page ${page} says ${key}, child ${child} begins with ${c.word(child, B_KEY)}`);
    }
    if (c.word(page, B_KEY + 4 * i + 1) !== 0) c.report('Q3', `item ${i} of page ${page} has a key beyond 2^32`);
    checkNode(c, child, page, level + 1, depth, progress);
  }
}

function checkLeaf(c: FreePageCensus, page: number, nused: number, progress: Progress): void {
  for (let i = 0; i < nused; i++) {
    const first = c.word(page, B_KEY + 4 * i);
    const npages = c.word(page, B_VALUE + 4 * i);
    if (c.word(page, B_KEY + 4 * i + 1) !== 0 || c.word(page, B_VALUE + 4 * i + 1) !== 0) {
      c.report('Q4', `run ${i} of leaf ${page} has numbers beyond 2^32`);
    }
    if (npages < 1 || !c.has(first) || !c.has(first + npages - 1)) {
      c.report('Q4', `run ${first}(${npages}) of leaf ${page} does not lie in the memory of ${c.limit} pages`);
    }
    if (first <= progress.end) {
      c.report(
        'Q4',
        `run ${first}(${npages}) of leaf ${page} touches or precedes the end ${progress.end} of the run before`,
      );
    }
    progress.end = Math.max(progress.end, first + npages);
    c.runs.set(first, npages);
  }
}
