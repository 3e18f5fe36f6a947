/**
 * Superblocks and blocks of spans: finding one with room, making one, giving an empty one back.
 *
 * Follows ensure_active_superblock and destroy_superblock of dsa.c step by step, because the order of every list push
 * decides where later objects go. All of it runs under the lock of the pool concerned and takes the lock of pool 0 and
 * the area lock inside: pool c -> pool 0 -> area -> DSM control. Nothing throws; false comes with `failure` set.
 */

import {
  C_SEGMENT_HANDLES,
  C_TOTAL,
  ENTRY_CLASS_SHIFT,
  ENTRY_PAGE_SHIFT,
  FULLNESS_CLASSES,
  MAX_SEGMENTS,
  S_NALLOC_FIRST,
  S_NEXT,
  S_NPAGES,
  S_START,
} from './area-layout.js';
import { allocateObject } from './allocate.js';
import { freeSpanObject } from './free.js';
import { checkForFreedSegmentsLocked, lockArea, pageMapWord, segmentWords, unlockArea } from './mapping.js';
import { pageHi, pageLo, pageOf, wordOf } from './pointer.js';
import { bestSegment, getPages, newSegment, NO_SEGMENT, putPages, releasePages } from './segments.js';
import { CLASS_BLOCK_OF_SPANS, CLASS_CAPACITY, PAGES_PER_SUPERBLOCK } from './size-classes.js';
import {
  canMoveHead,
  canUnlink,
  countDue,
  dueSpans,
  headMapped,
  initSpan,
  listWord,
  moveHead,
  pushSpan,
  unlinkSpan,
} from './spans.js';
import { type AreaState, firstState, STATE_PER, STATE_UNUSED } from './state.js';

/** Spans that a walk over one list may meet before the list must be a circle: one per page of the largest area. */
const MAX_SPANS = 2 ** 28;

/**
 * Finds or makes a superblock with room and puts it at the head of fullness class 1. Under the lock of the pool.
 *
 * @returns false with `failure` set; a span object that was taken for the new superblock then stays taken, as in C (trap P9),
 *   but for areas with caches
 */
export function ensureActiveSuperblock(s: AreaState, sizeClass: number): boolean {
  s.failure = 'none';
  return findActiveSuperblock(s, sizeClass) || (s.failure === 'none' && addSuperblock(s, sizeClass));
}

/**
 * The part of {@link ensureActiveSuperblock} that makes nothing: looks for a superblock with room among those there are.
 *
 * @returns false when there is none, or with `failure` set
 */
export function findActiveSuperblock(s: AreaState, sizeClass: number): boolean {
  const { ctl } = s;
  if (!refileSpans(s, sizeClass)) return false;
  const active = listWord(sizeClass, 1);
  if ((ctl[active]! | ctl[active + 1]!) !== 0) return true;
  if (!canMoveHead(s, sizeClass, 2, 1)) return false;
  if (moveHead(s, sizeClass, 2, 1)) return true;
  return canMoveHead(s, sizeClass, 0, 1) && moveHead(s, sizeClass, 0, 1);
}

/**
 * Moves spans of fullness class 2 that have emptied to the class where they belong. C's walk also maps the segment of
 * every span on the list; it is left out when it would neither move nor map anything.
 */
function refileSpans(s: AreaState, sizeClass: number): boolean {
  const { ctl } = s;
  if (nothingDue(s, sizeClass)) return true;
  const nmax = CLASS_CAPACITY[sizeClass]!;
  const head = listWord(sizeClass, 2);
  let lo = ctl[head]!;
  let hi = ctl[head + 1]!;
  for (let steps = 0; (lo | hi) !== 0; steps++) {
    if (steps > MAX_SPANS) {
      s.failure = 'corrupt';
      s.thrown = `fullness class 2 of size class ${sizeClass} is a circle`;
      return false;
    }
    const a = segmentWords(s, hi >>> 8);
    if (a.length === 0) return false;
    const w = wordOf(lo, hi);
    const nextLo = a[w + S_NEXT]!;
    const nextHi = a[w + S_NEXT + 1]!;
    if ((nextLo | nextHi) !== 0 && segmentWords(s, nextHi >>> 8).length === 0) return false;
    const used = nmax - (a[w + S_NALLOC_FIRST]! & 0xffff);
    const fclass = ((used * (FULLNESS_CLASSES - 1)) / nmax) | 0;
    if (fclass < 2) {
      if (!headMapped(s, sizeClass, fclass) || !canUnlink(s, a, w)) return false;
      unlinkSpan(s, a, w);
      pushSpan(s, sizeClass, fclass, lo, hi);
    }
    lo = nextLo;
    hi = nextHi;
  }
  countDue(s, sizeClass, 0);
  return true;
}

/** Tells whether C's walk over fullness class 2 would neither move a span nor map a segment. Under the lock of the pool. */
export function nothingDue(s: AreaState, sizeClass: number): boolean {
  return dueSpans(s, sizeClass) === 0 && (s.fallback || allMapped(s));
}

/** Tells whether this participant has every live segment mapped; looked up again only when their set has changed. */
function allMapped(s: AreaState): boolean {
  const { ctl } = s;
  if (s.mappedFor[0] === ctl[C_TOTAL] && s.mappedFor[1] === ctl[C_TOTAL + 1] && s.mappedFor[2] === s.freedSeen) {
    return true;
  }
  for (let index = 1; index < MAX_SEGMENTS; index++) {
    if (ctl[C_SEGMENT_HANDLES + index] !== 0 && s.maps[index]!.i32.length === 0) return false;
  }
  s.mappedFor[0] = ctl[C_TOTAL]!;
  s.mappedFor[1] = ctl[C_TOTAL + 1]!;
  s.mappedFor[2] = s.freedSeen;
  return true;
}

/**
 * Finds a segment with `n` free pages, or makes one, and takes them. Under the area lock.
 *
 * @returns the first page, with `found` saying in which segment; -1 with `failure` set
 */
export function takePages(s: AreaState, n: number): number {
  s.failure = 'none';
  let index = bestSegment(s, n);
  if (index === NO_SEGMENT && s.failure === 'none') index = newSegment(s, n);
  if (index !== NO_SEGMENT) {
    s.found = index;
    return getPages(s, index, n);
  }
  if (s.failure === 'none') s.failure = 'memory';
  return -1;
}

/** Undoes {@link takePages} after a failure that has set `failure` already. Under the area lock. */
export function undoPages(s: AreaState, index: number, page: number, n: number): void {
  const { failure } = s;
  putPages(s, index, page, n);
  s.failure = failure;
}

function addSuperblock(s: AreaState, sizeClass: number): boolean {
  const forSpans = sizeClass === CLASS_BLOCK_OF_SPANS;
  const npages = forSpans ? 1 : PAGES_PER_SUPERBLOCK;
  let spanLo = forSpans ? 0 : allocateObject(s, CLASS_BLOCK_OF_SPANS);
  let spanHi = forSpans ? 0 : s.hi;
  if (spanHi < 0) return false;
  if (!lockArea(s)) return dropSpan(s, sizeClass, spanLo, spanHi);
  const page = takePages(s, npages);
  const index = s.found;
  const startHi = page < 0 ? 0 : pageHi(index, page);
  const startLo = page < 0 ? 0 : pageLo(page);
  if (forSpans) {
    // A block of spans is described by the span in its own first slot.
    spanHi = startHi;
    spanLo = startLo;
  }
  const done = page >= 0 && initSpan(s, sizeClass, spanLo, spanHi, startLo, startHi, npages);
  if (page >= 0 && !done) undoPages(s, index, page, npages);
  unlockArea(s);
  if (!done) return dropSpan(s, sizeClass, spanLo, spanHi);
  const a = s.maps[index]!.i32;
  const from = firstState(sizeClass, s.maps[index]!.pages, page);
  // One more than there are slots: the rest of the block begins where one more slot would, and must not look live.
  s.maps[index]!.state.fill(
    STATE_UNUSED,
    from,
    from + Math.min(CLASS_CAPACITY[sizeClass]! + 1, npages * STATE_PER[sizeClass]!),
  );
  // The page map leads to a span only once that span is complete.
  const map = pageMapWord(index) + 2 * page;
  for (let i = 0; i < npages; i++) {
    a[map + 2 * i] = spanLo;
    a[map + 2 * i + 1] = spanHi | (sizeClass << ENTRY_CLASS_SHIFT) | (i << ENTRY_PAGE_SHIFT);
  }
  return true;
}

/**
 * After a failure that has set `failure` already. In C the span object then stays taken (trap P9), and placement depends on it;
 * areas with caches place as they like and give it back, since a call of theirs tries more than once.
 */
function dropSpan(s: AreaState, sizeClass: number, lo: number, hi: number): false {
  if (sizeClass === CLASS_BLOCK_OF_SPANS || s.cacheTable.length === 0) return false;
  const { failure } = s;
  freeSpanObject(s, lo, hi);
  s.failure = failure;
  return false;
}

/**
 * Gives an empty superblock, or block of spans, back. Under the lock of its pool.
 *
 * @param sa words of the segment that its span lies in
 * @param w word index of that span
 * @param spanLo @param spanHi pointer to it
 * @returns false with `failure` set; the superblock then stays, empty, on its list
 */
export function destroySuperblock(
  s: AreaState,
  sizeClass: number,
  sa: Int32Array,
  w: number,
  spanLo: number,
  spanHi: number,
): boolean {
  if (!lockArea(s)) return false;
  checkForFreedSegmentsLocked(s);
  const startLo = sa[w + S_START]!;
  const startHi = sa[w + S_START + 1]!;
  const npages = sa[w + S_NPAGES]!;
  const index = startHi >>> 8;
  const a = segmentWords(s, index);
  if (a.length === 0 || !canUnlink(s, sa, w)) {
    unlockArea(s);
    return false;
  }
  unlinkSpan(s, sa, w);
  // Cleared before the pages go: from then on the page map must not lead here.
  const page = pageOf(startLo, startHi);
  const map = pageMapWord(index) + 2 * page;
  for (let i = 0; i < 2 * npages; i++) a[map + i] = 0;
  const done = releasePages(s, index, page, npages);
  unlockArea(s);
  if (sizeClass === CLASS_BLOCK_OF_SPANS) return done;
  freeSpanObject(s, spanLo, spanHi);
  return done;
}
