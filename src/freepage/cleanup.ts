/**
 * Clean-up after a get or a merging put: a tree that has become needless goes away, recycled pages become free runs.
 *
 * Under the owner's lock. Runs after every get, also a failed one, and so a get can leave a run longer than any before.
 */

import { childOf, isInternal, usedItems } from './btree.js';
import { badNode, endlessWalk, loadPage, NO_PAGE, rootOf, setParent, setRoot, type FreePageHandle } from './handle.js';
import { giveRun } from './give.js';
import { popRecycled, popSpan, pushSpan, recycle } from './spans.js';
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
  MAX_DEPTH,
  PAGE_WORDS,
} = structs;

/** Tells whether {@link cleanup} might have something to do: recycled pages, or a root with one or two items. */
export function needsCleanup(m: FreePageHandle): boolean {
  const a = m.a;
  if (a[m.header + H_RECYCLE_COUNT] !== 0) return true;
  const root = loadPage(a, m.header + H_ROOT);
  return root >= 0 && a[m.base + root * PAGE_WORDS + B_NUSED]! <= 2;
}

/**
 * Removes what the tree no longer needs. Source: FreePageBtreeCleanup.
 *
 * @returns length of the longest run that this made, 0 for none
 * @throws ERR_HEAP_CORRUPT
 */
export function cleanup(m: FreePageHandle): number {
  const root = rootOf(m);
  let best = 0;
  if (root >= 0 && usedItems(m, root) <= 2) best = shrinkTree(m, root);
  if (m.a[m.header + H_RECYCLE_COUNT] !== 0) best = Math.max(best, giveRecycled(m));
  return best;
}

/** Drops roots with one item; folds two runs that only the root's own page separates into one. */
function shrinkTree(m: FreePageHandle, start: number): number {
  const a = m.a;
  const h = m.header;
  let root = start;
  for (let level = 0; level <= MAX_DEPTH; level++) {
    const nused = usedItems(m, root);
    if (nused > 1) return nused === 2 && !isInternal(m, root) ? foldRoot(m, root) : 0;
    a[h + H_DEPTH]!--;
    const old = root;
    if (isInternal(m, root)) {
      root = childOf(m, root, 0);
      usedItems(m, root);
      setRoot(m, root);
      setParent(m, root, NO_PAGE);
    } else {
      const w = m.base + root * PAGE_WORDS;
      a[h + H_SINGLETON_FIRST] = a[w + B_KEY]!;
      a[h + H_SINGLETON_NPAGES] = a[w + B_VALUE]!;
      root = NO_PAGE;
      setRoot(m, NO_PAGE);
    }
    recycle(m, old);
    if (root === NO_PAGE) return 0;
  }
  return badNode(m, root);
}

function foldRoot(m: FreePageHandle, root: number): number {
  const a = m.a;
  const h = m.header;
  const w = m.base + root * PAGE_WORDS;
  const first = a[w + B_KEY]!;
  const second = a[w + B_KEY + 4]!;
  const end = first + a[w + B_VALUE]!;
  if (end !== root || end + 1 !== second) return 0;
  const length = a[w + B_VALUE]! + a[w + B_VALUE + 4]! + 1;
  popSpan(m, first);
  popSpan(m, second);
  a[h + H_SINGLETON_FIRST] = first;
  a[h + H_SINGLETON_NPAGES] = length;
  a[h + H_DEPTH] = 0;
  setRoot(m, NO_PAGE);
  pushSpan(m, first, length);
  return length;
}

/** Gives pages of the recycle list back until one is refused. Only ever tries the head. */
function giveRecycled(m: FreePageHandle): number {
  const a = m.a;
  let best = 0;
  let steps = m.pages;
  while (a[m.header + H_RECYCLE_COUNT] !== 0) {
    const page = popRecycled(m);
    const length = giveRun(m, page, 1, true);
    if (length === 0) {
      recycle(m, page);
      return best;
    }
    if (length > best) best = length;
    if (--steps < 0) endlessWalk(m, 'the recycle list');
  }
  return best;
}
