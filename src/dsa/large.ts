/**
 * Large objects: a run of pages of their own, described by a span on fullness class 1 of pool 1.
 *
 * Follows the large branches of dsa_allocate_extended and dsa_free. The span object is taken before the pages (trap
 * P8). Locks, one after the other and never nested: pool 0, area, pool 1. Nothing throws; failures come back as 0 or
 * false with `failure` set.
 */

import { lwlockAcquireExclusive, lwlockReleaseNewest } from '../sync/sync.js';
import { C_FREED_COUNTER, ENTRY_CLASS_SHIFT, S_NPAGES, S_START } from './area-layout.js';
import { allocateObject } from './allocate.js';
import { freeSpanObject } from './free.js';
import { explainBadPointer } from './inspect.js';
import {
  checkForFreedSegments,
  checkForFreedSegmentsLocked,
  lockArea,
  pageMapWord,
  segmentState,
  segmentWords,
  unlockArea,
} from './mapping.js';
import { fromWords, hiWord, loWord, pageHi, pageLo, pageOf, wordOf } from './pointer.js';
import { putPages, rebin } from './segments.js';
import { CLASS_BLOCK_OF_SPANS, CLASS_LARGE } from './size-classes.js';
import { canUnlink, initSpan, poolWord, unlinkSpan } from './spans.js';
import { type AreaState, STATE_BYTES_PER_PAGE, STATE_FREED, STATE_LIVE } from './state.js';
import { takePages, untakePages } from './superblocks.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see allocate.ts). */
const FREED_COUNTER = C_FREED_COUNTER;
const NPAGES = S_NPAGES;
const START = S_START;
const LARGE = CLASS_LARGE;
const OF_SPANS = CLASS_BLOCK_OF_SPANS;
const STATE_PER_PAGE = STATE_BYTES_PER_PAGE;
const FREED = STATE_FREED;
const LIVE = STATE_LIVE;
/** High word of the page map entry of a large object, without the bits of its pointer. */
const ENTRY_LARGE = CLASS_LARGE << ENTRY_CLASS_SHIFT;

function lockPool(s: AreaState): boolean {
  if (lwlockAcquireExclusive(s.p, s.ctl, poolWord(LARGE), s.ns) !== 0) return true;
  s.failure = 'lock';
  return false;
}

function unlockPool(s: AreaState): void {
  lwlockReleaseNewest(s.p, s.ctl, poolWord(LARGE), s.ns);
}

/**
 * Allocates a run of pages.
 *
 * @param npages pages, at least 1
 * @returns the pointer, or 0 with `failure` set
 */
export function allocateLarge(s: AreaState, npages: number): number {
  const span = allocateObject(s, OF_SPANS);
  if (span === 0) return 0;
  const page = takePages(s, npages);
  if (page < 0) return dropSpan(s, span);
  const index = s.found;
  const startHi = pageHi(index, page);
  const startLo = pageLo(page);
  const spanHi = hiWord(span);
  const spanLo = loWord(span);
  if (!lockPool(s)) {
    untakePages(s, index, page, npages);
    return dropSpan(s, span);
  }
  const done =
    (s.ctl[FREED_COUNTER] === s.freedSeen || checkForFreedSegments(s)) &&
    initSpan(s, LARGE, spanLo, spanHi, startLo, startHi, npages);
  if (done) {
    s.state[index]![page * STATE_PER_PAGE] = LIVE;
    const a = s.i32[index]!;
    const map = pageMapWord(index) + 2 * page;
    a[map] = spanLo;
    a[map + 1] = spanHi | ENTRY_LARGE;
  }
  unlockPool(s);
  if (done) return fromWords(startLo, startHi);
  untakePages(s, index, page, npages);
  return dropSpan(s, span);
}

/** Gives the span object back after a failure that has set `failure` already. */
function dropSpan(s: AreaState, span: number): 0 {
  const { failure } = s;
  freeSpanObject(s, span);
  s.failure = failure;
  return 0;
}

/**
 * Frees the large object at (lo, hi) that the page map ascribes to the span at (spanLo, spanHi). Its segment stays,
 * even when it is then wholly free (trap P10).
 *
 * @returns false with `failure` set
 */
export function freeLarge(
  s: AreaState,
  pointer: number,
  lo: number,
  hi: number,
  spanLo: number,
  spanHi: number,
): boolean {
  // The span may lie in a segment that this participant has not met yet.
  const sa = segmentWords(s, spanHi >>> 8);
  if (sa.length === 0 || !lockPool(s)) return false;
  const index = hi >>> 8;
  const page = pageOf(lo, hi);
  const a = s.i32[index]!;
  const w = wordOf(spanLo, spanHi);
  const map = pageMapWord(index) + 2 * page;
  const state = segmentState(s, index);
  const at = page * STATE_PER_PAGE;
  const ours =
    a[map] === spanLo &&
    a[map + 1] === (spanHi | ENTRY_LARGE) &&
    sa[w + START] === lo &&
    sa[w + START + 1] === hi &&
    state[at] === LIVE;
  if (!ours || !canUnlink(s, sa, w)) {
    unlockPool(s);
    return ours ? false : explainBadPointer(s, pointer);
  }
  // C gives the pages back first. Claiming the object first makes a second free fail; placement is the same.
  const npages = sa[w + NPAGES]!;
  unlinkSpan(s, sa, w);
  state[at] = FREED;
  a[map] = 0;
  a[map + 1] = 0;
  unlockPool(s);
  if (!lockArea(s)) return false;
  checkForFreedSegmentsLocked(s);
  const done = segmentWords(s, index).length !== 0 && putPages(s, index, page, npages) && rebin(s, index);
  unlockArea(s);
  return freeSpanObject(s, fromWords(spanLo, spanHi)) && done;
}
