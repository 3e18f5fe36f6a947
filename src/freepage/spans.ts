/**
 * Runs of free pages on their lists: the leader in a run's first page, the 129 free lists, and the recycle list of
 * pages that are kept back for the B-tree.
 *
 * Stands on the handle. Under the owner's lock. The lists are stacks: the order in which runs are pushed decides which
 * of several equal runs is taken next, so every push here is where PostgreSQL has it. Where PostgreSQL looks at up to
 * 129 list heads one by one, `list_groups` tells which groups of four are worth a look.
 *
 * Each neighbour's magic is checked before it is written to: a damaged link ends in an error, not in more damage.
 */

import { badLeader, corrupt, endlessWalk, loadPage, NO_PAGE, pageOf, type FreePageHandle } from './handle.js';
import * as structs from './structs.js';

// Copied because an imported constant is loaded anew at each use, while one of this module is folded into the code.
const {
  H_CONTIGUOUS,
  H_DIRTY,
  H_GROUPS,
  H_RECYCLE,
  H_RECYCLE_COUNT,
  LEADER_MAGIC,
  L_NEXT,
  L_NPAGES,
  L_PREV,
  LONG_LIST,
  PAGE_WORDS,
} = structs;

/** Free list where runs of `npages` pages belong. */
export function listOf(npages: number): number {
  return npages > LONG_LIST ? LONG_LIST : (npages - 1) | 0;
}

/**
 * Writes a leader for the run and puts it at the head of its list. Source: FreePagePushSpanLeader.
 *
 * @param page first page of the run
 * @param npages its length, at least 1
 */
export function pushSpan(m: FreePageHandle, page: number, npages: number): void {
  const a = m.a;
  const f = listOf(npages);
  const list = m.lists + (f << 1);
  const w = m.base + page * PAGE_WORDS;
  const lo = a[list]!;
  const hi = a[list + 1]!;
  const newLo = (page << 12) + 1;
  const newHi = page >>> 20;
  a[w] = LEADER_MAGIC;
  a[w + L_NPAGES] = npages;
  a[w + L_NPAGES + 1] = 0;
  a[w + L_PREV] = 0;
  a[w + L_PREV + 1] = 0;
  a[w + L_NEXT] = lo;
  a[w + L_NEXT + 1] = hi;
  if (lo !== 0) {
    const head = m.base + pageOf(lo, hi) * PAGE_WORDS;
    if (a[head] !== LEADER_MAGIC) badLeader(m, pageOf(lo, hi));
    a[head + L_PREV] = newLo;
    a[head + L_PREV + 1] = newHi;
  } else if (f < LONG_LIST) {
    a[m.header + H_GROUPS]! |= 1 << (f >> 2);
  }
  a[list] = newLo;
  a[list + 1] = newHi;
}

/**
 * Takes a run off its list, which is told by the length in its leader. Source: FreePagePopSpanLeader.
 *
 * @param page first page of the run
 */
export function popSpan(m: FreePageHandle, page: number): void {
  const a = m.a;
  const w = m.base + page * PAGE_WORDS;
  if (a[w] !== LEADER_MAGIC) badLeader(m, page);
  const prevLo = a[w + L_PREV]!;
  const prevHi = a[w + L_PREV + 1]!;
  const nextLo = a[w + L_NEXT]!;
  const nextHi = a[w + L_NEXT + 1]!;
  if (nextLo !== 0) {
    const next = m.base + pageOf(nextLo, nextHi) * PAGE_WORDS;
    if (a[next] !== LEADER_MAGIC) badLeader(m, pageOf(nextLo, nextHi));
    a[next + L_PREV] = prevLo;
    a[next + L_PREV + 1] = prevHi;
  }
  if (prevLo !== 0) {
    const prev = m.base + pageOf(prevLo, prevHi) * PAGE_WORDS;
    if (a[prev] !== LEADER_MAGIC) badLeader(m, pageOf(prevLo, prevHi));
    a[prev + L_NEXT] = nextLo;
    a[prev + L_NEXT + 1] = nextHi;
  } else {
    popHead(m, page, a[w + L_NPAGES]!, nextLo, nextHi);
  }
}

function popHead(m: FreePageHandle, page: number, npages: number, nextLo: number, nextHi: number): void {
  const a = m.a;
  if (npages < 1) badLeader(m, page);
  const f = listOf(npages);
  const list = m.lists + (f << 1);
  if (a[list] !== (page << 12) + 1) badLeader(m, page);
  a[list] = nextLo;
  a[list + 1] = nextHi;
  if (nextLo === 0 && f < LONG_LIST) {
    const g = m.lists + ((f & ~3) << 1);
    if ((a[g]! | a[g + 2]! | a[g + 4]! | a[g + 6]!) === 0) a[m.header + H_GROUPS]! &= ~(1 << (f >> 2));
  }
}

/**
 * Takes the run at `from` off its list and lists it anew as (page, npages): what `popSpan` and `pushSpan` do, at once
 * where nothing but the head of the list of long runs changes.
 */
export function moveSpan(m: FreePageHandle, from: number, page: number, npages: number): void {
  const a = m.a;
  const w = m.base + from * PAGE_WORDS;
  const list = m.lists + 2 * LONG_LIST;
  const newLo = (page << 12) + 1;
  if (npages <= LONG_LIST || a[list] !== (from << 12) + 1 || a[w] !== LEADER_MAGIC || a[w + L_PREV] !== 0) {
    popSpan(m, from);
    pushSpan(m, page, npages);
    return;
  }
  const lo = a[w + L_NEXT]!;
  const hi = a[w + L_NEXT + 1]!;
  const to = m.base + page * PAGE_WORDS;
  a[to] = LEADER_MAGIC;
  a[to + L_NPAGES] = npages;
  a[to + L_NPAGES + 1] = 0;
  a[to + L_PREV] = 0;
  a[to + L_PREV + 1] = 0;
  a[to + L_NEXT] = lo;
  a[to + L_NEXT + 1] = hi;
  a[list] = newLo;
  a[list + 1] = page >>> 20;
  if (lo === 0) return;
  const next = m.base + pageOf(lo, hi) * PAGE_WORDS;
  if (a[next] !== LEADER_MAGIC) badLeader(m, pageOf(lo, hi));
  a[next + L_PREV] = newLo;
  a[next + L_PREV + 1] = page >>> 20;
}

/**
 * First list that is not empty, from list `f` upwards; -1 when there is none.
 *
 * @param f 0 .. 128
 */
export function firstListFrom(m: FreePageHandle, f: number): number {
  const a = m.a;
  if (a[m.lists + (f << 1)] !== 0) return f;
  if (f < LONG_LIST) {
    let groups = a[m.header + H_GROUPS]! & (-1 << (f >> 2));
    while (groups !== 0) {
      const group = 31 - Math.clz32(groups & -groups);
      const end = 4 * group + 4;
      for (let i = Math.max(f, 4 * group); i < end; i++) if (a[m.lists + (i << 1)] !== 0) return i;
      groups &= groups - 1;
    }
  }
  return a[m.lists + 2 * LONG_LIST] !== 0 ? LONG_LIST : -1;
}

/**
 * Shortest of the long runs that has `npages` pages; the first of several in list order. Linear in the long runs, as
 * in PostgreSQL. Source: the oversized part of FreePageManagerGetInternal.
 *
 * @param npages pages wanted
 * @returns its first page, or NO_PAGE
 */
export function bestLongRun(m: FreePageHandle, npages: number): number {
  const a = m.a;
  let best = NO_PAGE;
  let bestLength = 0;
  let steps = m.pages;
  for (let page = loadPage(a, m.lists + 2 * LONG_LIST); page >= 0; ) {
    const w = m.base + page * PAGE_WORDS;
    if (a[w] !== LEADER_MAGIC) badLeader(m, page);
    if (--steps < 0) endlessWalk(m, 'the list of long runs');
    const length = a[w + L_NPAGES]!;
    if (length >= npages && (best < 0 || length < bestLength)) {
      best = page;
      bestLength = length;
      if (length === npages) break;
    }
    page = loadPage(a, w + L_NEXT);
  }
  return best;
}

/** Length of the longest run on the lists, 0 without any. Source: FreePageManagerLargestContiguous. */
export function largestRun(m: FreePageHandle): number {
  const a = m.a;
  if (a[m.lists + 2 * LONG_LIST] !== 0) return longestLongRun(m);
  const groups = a[m.header + H_GROUPS]!;
  if (groups === 0) return 0;
  const group = 31 - Math.clz32(groups);
  for (let f = 4 * group + 3; f >= 4 * group; f--) if (a[m.lists + (f << 1)] !== 0) return f + 1;
  return corrupt(m, 'an empty group of lists is marked as used', `group ${group}`);
}

function longestLongRun(m: FreePageHandle): number {
  const a = m.a;
  let longest = 0;
  let steps = m.pages;
  for (let page = loadPage(a, m.lists + 2 * LONG_LIST); page >= 0; ) {
    const w = m.base + page * PAGE_WORDS;
    if (a[w] !== LEADER_MAGIC) badLeader(m, page);
    if (--steps < 0) endlessWalk(m, 'the list of long runs');
    const length = a[w + L_NPAGES]!;
    if (length > longest) longest = length;
    page = loadPage(a, w + L_NEXT);
  }
  return longest;
}

/** Recomputes `contiguous_pages`, which is marked as dirty. Source: FreePageManagerUpdateLargest. */
export function refreshLargest(m: FreePageHandle): void {
  m.a[m.header + H_CONTIGUOUS] = largestRun(m);
  m.a[m.header + H_DIRTY] = 0;
}

/** Keeps the page `page` back for the tree: head of the recycle list. Source: FreePageBtreeRecycle. */
export function recycle(m: FreePageHandle, page: number): void {
  const a = m.a;
  const list = m.header + H_RECYCLE;
  const w = m.base + page * PAGE_WORDS;
  const lo = a[list]!;
  const hi = a[list + 1]!;
  a[w] = LEADER_MAGIC;
  a[w + L_NPAGES] = 1;
  a[w + L_NPAGES + 1] = 0;
  a[w + L_PREV] = 0;
  a[w + L_PREV + 1] = 0;
  a[w + L_NEXT] = lo;
  a[w + L_NEXT + 1] = hi;
  if (lo !== 0) {
    const head = m.base + pageOf(lo, hi) * PAGE_WORDS;
    if (a[head] !== LEADER_MAGIC) badLeader(m, pageOf(lo, hi));
    a[head + L_PREV] = (page << 12) + 1;
    a[head + L_PREV + 1] = page >>> 20;
  }
  a[list] = (page << 12) + 1;
  a[list + 1] = page >>> 20;
  a[m.header + H_RECYCLE_COUNT]!++;
}

/** Takes the head off the recycle list, which must not be empty. Source: FreePageBtreeGetRecycled. */
export function popRecycled(m: FreePageHandle): number {
  const a = m.a;
  const list = m.header + H_RECYCLE;
  const page = loadPage(a, list);
  if (page < 0) {
    corrupt(m, 'the recycle list is empty too early', `${a[m.header + H_RECYCLE_COUNT]} pages were counted`);
  }
  const w = m.base + page * PAGE_WORDS;
  if (a[w] !== LEADER_MAGIC || a[w + L_NPAGES] !== 1) badLeader(m, page);
  const lo = a[w + L_NEXT]!;
  const hi = a[w + L_NEXT + 1]!;
  if (lo !== 0) {
    const next = m.base + pageOf(lo, hi) * PAGE_WORDS;
    if (a[next] !== LEADER_MAGIC) badLeader(m, pageOf(lo, hi));
    a[next + L_PREV] = 0;
    a[next + L_PREV + 1] = 0;
  }
  a[list] = lo;
  a[list + 1] = hi;
  a[m.header + H_RECYCLE_COUNT]!--;
  return page;
}
