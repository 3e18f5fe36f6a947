/**
 * Segment maps: finding the words of a segment by its index, and noticing that a segment was given back.
 *
 * Follows get_segment_by_index and check_for_freed_segments of dsa.c. Mapping a segment takes the DSM control lock,
 * the innermost one. The freed-segment counter is read without a lock: a participant that receives a pointer into a
 * new segment has, by whatever ordered the hand-over, also received the increment that came before it.
 */

import { FreePageManager } from '../freepage/freepage.js';
import { lwlockAcquireExclusive, lwlockReleaseNewest } from '../sync/sync.js';
import {
  C_FREED_COUNTER,
  C_HANDLE,
  C_LOCK,
  C_SEGMENT_HANDLES,
  FPM_AT_FIRST,
  FPM_AT_OTHER,
  H_FREED,
  H_MAGIC,
  H_SIZE,
  PAGEMAP_WORD_FIRST,
  PAGEMAP_WORD_OTHER,
  SEGMENT_MAGIC,
} from './area-layout.js';
import { noteMapping } from './cache-map.js';
import { ld64 } from '../layout/layout.js';
import { type AreaState, NO_STATE, NO_MAP, SegmentMap, STATE_PER_PAGE, UNMAPPED } from './state.js';
import { PAGE_SIZE } from './size-classes.js';
import type { DsmSegment } from '../dsm/dsm.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see allocate.ts). */
const FREED_COUNTER = C_FREED_COUNTER;
const AREA_LOCK = C_LOCK;
const MAP_FIRST = PAGEMAP_WORD_FIRST;
const MAP_OTHER = PAGEMAP_WORD_OTHER;

/** Takes the area lock; false with `failure` set when it stalls. */
export function lockArea(s: AreaState): boolean {
  if (lwlockAcquireExclusive(s.p, s.ctl, AREA_LOCK, s.ns) !== 0) return true;
  s.failure = 'lock';
  return false;
}

/** Tells whether the last failure is a lock that stalled: whoever has several things to do had better not try the next. */
export function hasStalled(s: AreaState): boolean {
  return s.failure === 'lock';
}

/** Releases the area lock. */
export function unlockArea(s: AreaState): void {
  lwlockReleaseNewest(s.p, s.ctl, AREA_LOCK, s.ns);
}

/** Word of the page map in segment `index`. */
export function pageMapWord(index: number): number {
  return index === 0 ? MAP_FIRST : MAP_OTHER;
}

/** Magic that segment `index` of this area must carry. */
export function segmentMagic(s: AreaState, index: number): number {
  return SEGMENT_MAGIC ^ s.ctl[C_HANDLE]! ^ index;
}

/** Attaches segment `index` if it is not; null with `failure` set. */
function attachSegment(s: AreaState, index: number): DsmSegment | null {
  const known = s.segments[index] ?? null;
  if (known !== null || index === 0) return known;
  const handle = s.ctl[C_SEGMENT_HANDLES + index]! >>> 0;
  if (handle === 0) {
    s.failure = 'stale';
    return null;
  }
  const segment = s.dsm.tryAttach(handle, s.owner);
  if (segment === null) {
    s.failure = s.dsm.failure === 'gone' ? 'gone' : 'dsm';
    return null;
  }
  const foreign = segment.i32[H_MAGIC] !== segmentMagic(s, index);
  if (foreign || segment.mapLength !== ld64(segment.i32, H_SIZE)) {
    segment.dropMapping();
    s.failure = 'corrupt';
    return null;
  }
  installState(s, index, segment);
  return segment;
}

function installState(s: AreaState, index: number, segment: DsmSegment): void {
  const pages = Math.floor(segment.mapLength / PAGE_SIZE);
  s.segments[index] = segment;
  const state = new Uint16Array(segment.buffer, segment.tailOffset, pages * STATE_PER_PAGE);
  s.maps[index] = new SegmentMap(UNMAPPED, state, pages);
  noteMapping(s, index);
}

/** Makes a segment's words known here, as C's segment map does. */
export function installSegment(s: AreaState, index: number, segment: DsmSegment): Int32Array {
  if (s.segments[index] !== segment) installState(s, index, segment);
  const { state, pages } = s.maps[index]!;
  s.maps[index] = new SegmentMap(segment.i32, state, pages);
  s.fpm[index] = new FreePageManager(segment.i32, 0, index === 0 ? FPM_AT_FIRST : FPM_AT_OTHER);
  if (index > s.high) s.high = index;
  noteMapping(s, index);
  return segment.i32;
}

/** Words of segment `index`, mapping it if need be; empty with `failure` set when that fails. */
export function segmentWords(s: AreaState, index: number): Int32Array {
  const map = s.maps[index];
  return map !== undefined && map.i32.length !== 0 ? map.i32 : mapSegment(s, index);
}

function mapSegment(s: AreaState, index: number): Int32Array {
  if (!(index < s.maps.length)) {
    s.failure = 'corrupt';
    s.thrown = `a link leads to segment ${index}`;
    return UNMAPPED;
  }
  const segment = attachSegment(s, index);
  return segment === null ? UNMAPPED : installSegment(s, index, segment);
}

/** State table of segment `index`, attaching it quietly if need be; empty with `failure` set when that fails. */
export function segmentState(s: AreaState, index: number): Uint16Array {
  const state = s.maps[index]?.state;
  if (state === undefined) return NO_STATE;
  if (state.length !== 0) return state;
  return attachSegment(s, index) === null ? NO_STATE : s.maps[index]!.state;
}

/**
 * Forgets a segment here and gives its mapping back. False when the control lock could not be had.
 *
 * @param unlessOwing true not to wait for that lock when it has stalled before
 */
export function unmapSegment(s: AreaState, index: number, unlessOwing = false): boolean {
  const segment = s.segments[index] ?? null;
  s.segments[index] = null;
  s.maps[index] = NO_MAP;
  s.fpm[index] = null;
  for (const known of s.active) known.forget();
  noteMapping(s, index);
  return segment === null || segment.dropMapping(unlessOwing);
}

/** check_for_freed_segments: call before using any pointer, without the area lock. False when that lock stalls. */
export function checkForFreedSegments(s: AreaState): boolean {
  if (s.ctl[FREED_COUNTER] === s.freedSeen) return true;
  if (!lockArea(s)) return false;
  checkForFreedSegmentsLocked(s);
  unlockArea(s);
  return true;
}

/** The same with the area lock held; call after taking it and before resolving any index. */
export function checkForFreedSegmentsLocked(s: AreaState): void {
  const counter = s.ctl[FREED_COUNTER]!;
  if (counter === s.freedSeen) return;
  for (let index = 1; index < s.segments.length; index++) {
    const segment = s.segments[index]!;
    if (segment !== null && segment.i32[H_FREED] !== 0) unmapSegment(s, index);
  }
  s.freedSeen = counter;
}
