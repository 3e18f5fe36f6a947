/**
 * Walks over what the manager holds, for reports and checks. Each ends on any memory contents.
 *
 * Stands on the handle; the owner's lock is held, or the manager is at rest.
 */

import { relptrPage } from '../layout/layout.js';
import { childOf, isInternal, usedItems } from './btree.js';
import { badLeader, badNode, endlessWalk, NO_PAGE, rootOf, type FreePageHandle } from './handle.js';
import {
  B_KEY,
  B_VALUE,
  H_RECYCLE,
  H_SINGLETON_FIRST,
  H_SINGLETON_NPAGES,
  LEADER_MAGIC,
  L_NEXT,
  MAX_DEPTH,
  PAGE_WORDS,
} from './structs.js';

/** A run of free pages. */
export interface FreeRun {
  /** First page. */
  readonly first: number;
  /** Number of pages. */
  readonly npages: number;
}

/**
 * Pages of the tree, parents before children, in order of address of what lies below.
 *
 * @throws ERR_HEAP_CORRUPT for a link to something else, for a page met twice and for a tree that is too deep
 */
export function* walkTree(m: FreePageHandle): Generator<number> {
  const root = rootOf(m);
  if (root === NO_PAGE) return;
  const seen = new Set<number>();
  const open = [{ page: root, level: 0 }];
  for (let top = open.pop(); top !== undefined; top = open.pop()) {
    const { page, level } = top;
    const nused = usedItems(m, page);
    if (seen.has(page) || level >= MAX_DEPTH) badNode(m, page);
    seen.add(page);
    if (isInternal(m, page)) {
      for (let i = nused - 1; i >= 0; i--) open.push({ page: childOf(m, page, i), level: level + 1 });
    }
    yield page;
  }
}

/** Free runs in order of address; see {@link walkTree}. */
export function* walkRuns(m: FreePageHandle): Generator<FreeRun> {
  if (rootOf(m) === NO_PAGE) {
    const npages = m.a[m.header + H_SINGLETON_NPAGES]!;
    if (npages !== 0) yield { first: m.a[m.header + H_SINGLETON_FIRST]!, npages };
    return;
  }
  for (const page of walkTree(m)) {
    if (isInternal(m, page)) continue;
    const nused = usedItems(m, page);
    const w = m.base + page * PAGE_WORDS;
    for (let i = 0; i < nused; i++) yield { first: m.a[w + B_KEY + 4 * i]!, npages: m.a[w + B_VALUE + 4 * i]! };
  }
}

/** First pages of the runs on a list, from its head. `list` is the word index of the head. */
function* walkList(m: FreePageHandle, list: number, name: string): Generator<number> {
  let steps = m.pages;
  for (let page = relptrPage(m.a, list); page !== NO_PAGE; ) {
    const w = m.base + page * PAGE_WORDS;
    if (m.a[w] !== LEADER_MAGIC) badLeader(m, page);
    if (--steps < 0) endlessWalk(m, name);
    yield page;
    page = relptrPage(m.a, w + L_NEXT);
  }
}

/** Pages of the recycle list, from its head. */
export function walkRecycled(m: FreePageHandle): Generator<number> {
  return walkList(m, m.header + H_RECYCLE, 'the recycle list');
}
