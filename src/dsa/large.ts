/**
 * Large objects: a run of pages of their own, described by a span on fullness class 1 of pool 1.
 *
 * Follows the large branches of dsa_allocate_extended and dsa_free. The span object is taken before the pages (trap
 * P8). The list of pool 1 is guarded by the area lock, which is held for the pages anyway; C takes the lock of pool 1
 * for it, one more pair of atomic operations each way. Placement is the same. Nothing throws; failures come back as 0
 * or false with `failure` set.
 */

import { C_FREED_COUNTER, ENTRY_CLASS_SHIFT, S_NPAGES, S_START } from './area-layout.js';
import { allocateObject } from './allocate.js';
import { freeSpanObject } from './free.js';
import { explainBadPointer } from './inspect.js';
import { checkForFreedSegmentsLocked, lockArea, pageMapWord, segmentWords, unlockArea } from './mapping.js';
import { fromWords, pageHi, pageLo, pageOf, wordOf } from './pointer.js';
import { putPages, rebin } from './segments.js';
import { CLASS_BLOCK_OF_SPANS, CLASS_LARGE } from './size-classes.js';
import { canUnlink, initSpan, unlinkSpan } from './spans.js';
import { type AreaState, firstState, STATE_FREED, STATE_LIVE } from './state.js';
import { takePages, undoPages } from './superblocks.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see allocate.ts). */
const FREED_COUNTER = C_FREED_COUNTER;
const NPAGES = S_NPAGES;
const START = S_START;
const LARGE = CLASS_LARGE;
const OF_SPANS = CLASS_BLOCK_OF_SPANS;
const FREED = STATE_FREED;
const LIVE = STATE_LIVE;
/** High word of the page map entry of a large object, without the bits of its pointer. */
const ENTRY_LARGE = CLASS_LARGE << ENTRY_CLASS_SHIFT;

/**
 * Allocates a run of pages.
 *
 * @param npages pages, at least 1
 * @returns the words of the pointer as allocateObject does
 */
export function allocateLarge(s: AreaState, npages: number): number {
  const spanLo = allocateObject(s, OF_SPANS);
  const spanHi = s.hi;
  if (spanHi < 0) return 0;
  s.hi = -1;
  if (!lockArea(s)) return dropSpan(s, spanLo, spanHi);
  const page = takePages(s, npages);
  const index = s.found;
  const done = page >= 0 && describe(s, spanHi, spanLo, index, page, npages);
  if (page >= 0 && !done) undoPages(s, index, page, npages);
  unlockArea(s);
  if (!done) return dropSpan(s, spanLo, spanHi);
  s.hi = pageHi(index, page);
  return pageLo(page);
}

/** Makes the span and the page map entry of a new large object. Under the area lock. False with `failure` set. */
function describe(s: AreaState, spanHi: number, spanLo: number, index: number, page: number, npages: number): boolean {
  if (!initSpan(s, LARGE, spanLo, spanHi, pageLo(page), pageHi(index, page), npages)) return false;
  s.maps[index]!.state[firstState(LARGE, s.maps[index]!.pages, page)] = LIVE;
  const a = s.maps[index]!.i32;
  const map = pageMapWord(index) + 2 * page;
  a[map] = spanLo;
  a[map + 1] = spanHi | ENTRY_LARGE;
  return true;
}

/** Gives the span object back after a failure that has set `failure` already. */
function dropSpan(s: AreaState, lo: number, hi: number): 0 {
  const { failure } = s;
  freeSpanObject(s, lo, hi);
  s.failure = failure;
  return 0;
}

/**
 * Frees the large object at (lo, hi) that the page map ascribes to the span at (spanLo, spanHi). Its segment stays,
 * even when it is then wholly free (trap P10).
 *
 * @param expected its state: live, or the mark of the caller's cache
 * @returns false with `failure` set
 */
export function freeLarge(
  s: AreaState,
  lo: number,
  hi: number,
  spanLo: number,
  spanHi: number,
  expected: number = LIVE,
): boolean {
  // The span may lie in a segment that this participant has not met yet.
  const sa = segmentWords(s, spanHi >>> 8);
  if (sa.length === 0 || !lockArea(s)) return false;
  if (s.ctl[FREED_COUNTER] !== s.freedSeen) checkForFreedSegmentsLocked(s);
  const index = hi >>> 8;
  const a = s.maps[index]!.i32;
  const w = wordOf(spanLo, spanHi);
  const map = pageMapWord(index) + 2 * pageOf(lo, hi);
  // Until the lock was ours a second, wrong, free could have taken the object away: look again.
  const ours =
    a[map] === spanLo &&
    a[map + 1] === (spanHi | ENTRY_LARGE) &&
    sa[w + START] === lo &&
    sa[w + START + 1] === hi &&
    s.maps[index]!.state[firstState(LARGE, s.maps[index]!.pages, pageOf(lo, hi))] === expected;
  const done = ours && releaseLarge(s, spanLo, spanHi);
  unlockArea(s);
  if (!ours) return explainBadPointer(s, fromWords(lo, hi));
  // A span object that cannot go back now is lost, and counted by verify; the object itself is free.
  if (done) freeSpanObject(s, spanLo, spanHi);
  return done;
}

/**
 * Gives the pages of the large object that the span at (lo, hi) describes back; the span object is the caller's then. Under
 * the area lock. The segments of both are mapped.
 *
 * @returns false with `failure` set
 */
export function releaseLarge(s: AreaState, lo: number, hi: number): boolean {
  const sa = s.maps[hi >>> 8]!.i32;
  const w = wordOf(lo, hi);
  if (!canUnlink(s, sa, w)) return false;
  const startHi = sa[w + START + 1]!;
  const page = pageOf(sa[w + START]!, startHi);
  const index = startHi >>> 8;
  const map = pageMapWord(index) + 2 * page;
  const a = s.maps[index]!.i32;
  unlinkSpan(s, sa, w);
  s.maps[index]!.state[firstState(LARGE, s.maps[index]!.pages, page)] = FREED;
  a[map] = 0;
  a[map + 1] = 0;
  const done = putPages(s, index, page, sa[w + NPAGES]!);
  // Where a neighbour cannot be mapped now, the segment stays in its old bin until the next free in it.
  if (done) rebin(s, index);
  return done;
}
