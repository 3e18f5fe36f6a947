/**
 * Creating, attaching, pinning and leaving areas.
 *
 * Follows create_internal, attach_internal, dsa_create, dsa_create_in_place, dsa_release_in_place and dsa_detach of
 * dsa.c. The reference count of an area is the number of attached participants plus one when it is pinned; it is
 * decremented by the detach callback of segment 0, or by an explicit release for in-place areas. Segment 0 is detached
 * first, the others follow (spec trap C10).
 */

import type { Dsm, DsmSegment } from '../dsm/dsm.js';
import { SharedHeapError } from '../errors/errors.js';
import { FreePageManager } from '../freepage/freepage.js';
import { ld64, st64, stAllOnes64 } from '../layout/layout.js';
import { lwlockAcquireExclusive, lwlockFailure, lwlockInitialize, lwlockReleaseNewest } from '../sync/sync.js';
import {
  AreaControl,
  C_BINS,
  C_FREED_COUNTER,
  C_HANDLE,
  C_HIGH,
  C_LOCK,
  C_POOLS,
  C_REFCNT,
  C_SEGMENT_HANDLES,
  C_SIDE_HANDLE,
  C_SIZE_HIGH_BITS,
  C_TOTAL,
  C_LIMIT,
  C_TRANCHE,
  FIXED_BYTES_FIRST,
  FLAG_CACHES,
  FLAG_NO_CHECKS,
  FPM_AT_FIRST,
  H_BIN,
  H_EXTRA0,
  H_EXTRA1,
  H_MAGIC,
  H_NEXT,
  H_PREV,
  H_SIZE,
  H_USABLE,
  MAX_SEGMENTS,
  NUM_BINS,
  PAGEMAP_WORD_FIRST,
  POOL_WORDS,
  SEGMENT_MAGIC,
} from './area-layout.js';
import { dropReference, noteAttached, noteDetached, sweepAttachments } from './attachments.js';
import { abandonCache, closeCache, openCache } from './cache-life.js';
import { lockArea, unlockArea, unmapSegment } from './mapping.js';
import { binOf, ordinaryMetadata, tailPages } from './segments.js';
import { NUM_SIZE_CLASSES, PAGE_SIZE } from './size-classes.js';
import { attachmentPages, cachePages, sideTables } from './side-tables.js';
import { AreaState } from './state.js';
import { areaError } from './failures.js';
import { type CheckedOptions, type Place, MINIMUM_AREA_SIZE } from './validate.js';

/** Words that a place must have to be looked at: the control block. */
const CONTROL_WORDS = AreaControl.SIZEOF / 4;

/** Writes the control block. Nobody else can see the area yet; the memory may hold old bytes. */
function buildControl(words: Int32Array, size: number, handle: number, options: CheckedOptions): void {
  const pages = Math.floor(size / PAGE_SIZE);
  const metaPages = ordinaryMetadata(pages, FIXED_BYTES_FIRST) / PAGE_SIZE;
  const usable = Math.max(0, pages - metaPages);
  words.fill(0, 0, Math.min(words.length, PAGEMAP_WORD_FIRST + 2 * pages));
  words[H_MAGIC] = SEGMENT_MAGIC ^ handle;
  words[H_EXTRA0] = options.initSegmentSize;
  words[H_EXTRA1] = options.maxSegmentSize;
  words[C_SIZE_HIGH_BITS] =
    Math.floor(options.initSegmentSize / 2 ** 32) |
    (Math.floor(options.maxSegmentSize / 2 ** 32) << 16) |
    (options.cache ? FLAG_CACHES : 0) |
    (options.checks ? 0 : FLAG_NO_CHECKS);
  st64(words, H_USABLE, usable);
  st64(words, H_SIZE, size);
  stAllOnes64(words, H_PREV);
  stAllOnes64(words, H_NEXT);
  words[C_HANDLE] = handle;
  words[C_SEGMENT_HANDLES] = handle;
  stAllOnes64(words, C_LIMIT);
  st64(words, C_TOTAL, size);
  words[C_TRANCHE] = options.trancheId;
  for (let bin = 0; bin < NUM_BINS; bin++) stAllOnes64(words, C_BINS + 2 * bin);
  lwlockInitialize(words, C_LOCK, options.trancheId);
  for (let c = 0; c < NUM_SIZE_CLASSES; c++) lwlockInitialize(words, C_POOLS + c * POOL_WORDS, options.trancheId);
  const fpm = new FreePageManager(words, 0, FPM_AT_FIRST);
  fpm.initialize();
  if (usable > 0) fpm.put(metaPages, usable);
  const bin = binOf(usable);
  st64(words, H_BIN, bin);
  st64(words, C_BINS + 2 * bin, 0);
}

function finishState(s: AreaState): AreaState {
  s.fpm[0] = new FreePageManager(s.ctl, 0, FPM_AT_FIRST);
  s.freedSeen = s.ctl[C_FREED_COUNTER]!;
  return s;
}

/** The detach callback of segment 0, or of the segment around the place: gives this participant's reference back. */
function releaseOnDetach(_segment: DsmSegment, s: AreaState): void {
  s.attached = false;
  // What it still has is found by its marks; see cache-life.ts.
  abandonCache(s);
  if (releaseReference(s)) return;
  // An in-place area lies in memory that may be gone now: there the note is void once this participant has left.
  if (!s.inPlace) s.retry = () => releaseLater(s);
  throw areaError(s, 'detach');
}

/**
 * Gives the reference back after segment 0 was detached. It still exists, since the reference keeps the area alive, but
 * giving that back may destroy it under our hands: so it is mapped meanwhile.
 */
function releaseLater(s: AreaState): boolean {
  const segment = s.dsm.tryAttach(s.ns >>> 0, null);
  if (segment === null && s.dsm.failure !== 'attached') return s.dsm.failure === 'gone';
  const done = releaseReference(s);
  segment?.dropMapping();
  return done;
}

/**
 * Notes `s` as the object that has this participant's reference. One that it attached earlier, and left without
 * giving the reference back, has it no longer: what that one knows may be out of date by the time that it is released.
 */
function takeHold(s: AreaState): void {
  const former = s.dsm.holdings.get(s.ns);
  if (former !== undefined) former.released = true;
  s.dsm.holdings.set(s.ns, s);
}

/** The detach callback of the state segment: without it the area cannot be used here, but the reference stays (C11). */
function closeOnDetach(_segment: DsmSegment, s: AreaState): void {
  s.attached = false;
}

/**
 * Tells whether the area of `s` is still the one at its place. When it was destroyed through another attachment, the
 * place and the memory of the state segment may be somebody else's by now and must not be touched.
 */
function stillThere({ ctl, side }: AreaState): boolean {
  return (
    side === null || (ctl[H_MAGIC] === SEGMENT_MAGIC && ctl[C_SIDE_HANDLE] === (side.handle | 0) && ctl[C_REFCNT]! > 0)
  );
}

/**
 * Gives this participant's reference back, if it still has one. False when the area lock stalls. A reference keeps the
 * area alive, so its memory can be touched; the look under the lock is for memory that somebody has written over.
 */
export function releaseReference(s: AreaState): boolean {
  if (s.released || !stillThere(s)) return true;
  if (!lockArea(s)) return false;
  s.released = true;
  s.dsm.holdings.delete(s.ns);
  if (stillThere(s) && noteDetached(s)) {
    sweepAttachments(s, true);
    dropReference(s);
  }
  unlockArea(s);
  return true;
}

function stateOf(dsm: Dsm, segment: DsmSegment, fallback: boolean, flags: number): AreaState {
  const pages = Math.floor(segment.mapLength / PAGE_SIZE);
  return new AreaState({
    dsm,
    words: segment.i32,
    segment,
    ...sideTables(dsm, segment.buffer, segment.tailOffset, pages, (flags & FLAG_CACHES) !== 0),
    checks: (flags & FLAG_NO_CHECKS) === 0,
    buffer: segment.buffer,
    byteOffset: segment.byteOffset,
    ns: segment.handle | 0,
    side: null,
    inPlace: false,
    pages,
    fallback,
  });
}

/** dsa_create. */
export function createArea(dsm: Dsm, options: CheckedOptions): AreaState {
  const size = options.initSegmentSize;
  const tail = tailPages(size) + attachmentPages(dsm) + cachePages(dsm, options.cache);
  const segment = dsm.tryCreate(size, tail, true, true, dsm.currentOwner);
  if (segment === null) throw dsm.failureError(`area of ${size} bytes`);
  buildControl(segment.i32, size, segment.handle, options);
  const s = finishState(stateOf(dsm, segment, options.fallback, segment.i32[C_SIZE_HIGH_BITS]!));
  noteAttached(s);
  takeHold(s);
  segment.onDetach(releaseOnDetach, s);
  openCache(s);
  return s;
}

/** dsa_attach. */
export function attachArea(dsm: Dsm, handle: number, fallback: boolean): AreaState {
  const segment = dsm.attach(handle);
  if (segment === null) throw areaGone(`segment ${handle} no longer exists`);
  const refuse = (error: SharedHeapError): never => {
    segment.dropMapping();
    throw error;
  };
  const flags = segment.mapLength < MINIMUM_AREA_SIZE ? 0 : segment.i32[C_SIZE_HIGH_BITS]!;
  const side = attachmentPages(dsm) + cachePages(dsm, (flags & FLAG_CACHES) !== 0);
  const tail = (tailPages(segment.mapLength) + side) * PAGE_SIZE;
  const foreign =
    segment.mapLength < MINIMUM_AREA_SIZE ||
    segment.tailLength < tail ||
    segment.i32[H_MAGIC] !== (SEGMENT_MAGIC ^ handle) ||
    segment.i32[C_HANDLE] !== (handle | 0);
  if (foreign) refuse(notAnArea(`segment ${handle} of ${segment.mapLength} bytes`));
  const s = stateOf(dsm, segment, fallback, flags);
  const refused = enter(s);
  if (refused !== null) refuse(refused);
  segment.onDetach(releaseOnDetach, s);
  finishState(s);
  openCache(s);
  return s;
}

/**
 * Bytes in the segments of the area whose segment 0 is mapped here. Takes the area lock: the number has two words.
 *
 * @throws ERR_HEAP_BAD_HANDLE when that segment is not the first of an area, ERR_HEAP_LOCK_STALLED
 */
export function totalSizeOf(segment: DsmSegment, dsm: Dsm): number {
  return segmentHandlesOf(segment, dsm).totalSize;
}

/** {@link totalSizeOf}, with the handles of the live segments, ascending by their index. @throws as that */
export function segmentHandlesOf(segment: DsmSegment, dsm: Dsm): { handles: number[]; totalSize: number } {
  const { participant: p, tranches } = dsm;
  const { handle, i32: words } = segment;
  if (
    segment.mapLength < MINIMUM_AREA_SIZE ||
    words[H_MAGIC] !== (SEGMENT_MAGIC ^ handle) ||
    words[C_HANDLE] !== (handle | 0)
  ) {
    throw notAnArea(`segment ${handle} of ${segment.mapLength} bytes`);
  }
  if (lwlockAcquireExclusive(p, words, C_LOCK, handle | 0) === 0) {
    throw lwlockFailure(p, words, C_LOCK, handle | 0, tranches);
  }
  const totalSize = ld64(words, C_TOTAL);
  const handles: number[] = [];
  const high = Math.min(ld64(words, C_HIGH), MAX_SEGMENTS - 1);
  for (let index = 0; index <= high; index++) {
    const its = words[C_SEGMENT_HANDLES + index]! >>> 0;
    if (its !== 0) handles.push(its);
  }
  lwlockReleaseNewest(p, words, C_LOCK, handle | 0);
  return { handles, totalSize };
}

/** Counts this participant in, unless the area is dead already. */
function enter(s: AreaState): SharedHeapError | null {
  if (!lockArea(s)) return areaError(s, 'attach');
  // An in-place area may have been released, and another one made in its place, since its state segment was looked up.
  const same = s.side === null || s.ctl[C_SIDE_HANDLE] === (s.side.handle | 0);
  const alive = same && s.ctl[C_REFCNT]! > 0;
  if (alive) {
    noteAttached(s);
    // Only now, so that an area whose participants have all died lives on in the one that still wants it.
    sweepAttachments(s, false);
  }
  s.freedSeen = s.ctl[C_FREED_COUNTER]!;
  unlockArea(s);
  if (!alive) return areaGone(same ? 'its reference count is 0' : 'another area was made in its place meanwhile');
  takeHold(s);
  return null;
}

function areaGone(detail: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_AREA_GONE', 'could not attach to dynamic shared area', {
    detail,
    hint: 'An area lives as long as a participant is attached or it is pinned: attach before the last one leaves, or pin it.',
    sqlState: '55000',
  });
}

function notAnArea(detail: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_HANDLE', 'there is no area here', {
    detail,
    hint: 'Pass the handle of an area, or the same place, that it was created with.',
  });
}

function inPlaceState(dsm: Dsm, place: Place, size: number, side: DsmSegment, fallback: boolean): AreaState {
  const pages = Math.floor(size / PAGE_SIZE);
  return new AreaState({
    dsm,
    words: new Int32Array(place.buffer, place.byteOffset, Math.floor(size / 4)),
    segment: null,
    ...sideTables(dsm, side.buffer, side.byteOffset, pages, false),
    checks: true,
    buffer: place.buffer,
    byteOffset: place.byteOffset,
    ns: side.handle | 0,
    side,
    inPlace: true,
    pages,
    fallback,
  });
}

/** dsa_create_in_place. */
export function createAreaInPlace(dsm: Dsm, place: Place, size: number, options: CheckedOptions): AreaState {
  const pages = Math.floor(size / PAGE_SIZE);
  const sideBytes = (tailPages(pages * PAGE_SIZE) + attachmentPages(dsm)) * PAGE_SIZE;
  const side = dsm.tryCreate(sideBytes, 0, true, true, dsm.currentOwner);
  if (side === null) throw dsm.failureError(`state of an area of ${size} bytes`);
  const s = inPlaceState(dsm, place, size, side, options.fallback);
  buildControl(s.ctl, size, 0, options);
  s.ctl[C_SIDE_HANDLE] = side.handle;
  finishState(s);
  noteAttached(s);
  takeHold(s);
  side.onDetach(closeOnDetach, s);
  place.segment?.onDetach(releaseOnDetach, s);
  return s;
}

/** dsa_attach_in_place. */
export function attachAreaInPlace(dsm: Dsm, place: Place, fallback: boolean): AreaState {
  const { words, size } = inspectPlace(place);
  const handle = words[C_SIDE_HANDLE]! >>> 0;
  if (words[C_REFCNT]! <= 0) throw areaGone('its reference count is 0');
  const side = dsm.attach(handle);
  if (side === null) throw areaGone(`its state segment ${handle} no longer exists`);
  const refuse = (error: SharedHeapError): never => {
    side.dropMapping();
    throw error;
  };
  const expected = (tailPages(size) + attachmentPages(dsm)) * PAGE_SIZE;
  if (side.mapLength < expected) refuse(notAnArea(`state segment ${handle} of ${side.mapLength} bytes`));
  const s = inPlaceState(dsm, place, size, side, fallback);
  const refused = enter(s);
  if (refused !== null) refuse(refused);
  side.onDetach(closeOnDetach, s);
  place.segment?.onDetach(releaseOnDetach, s);
  return finishState(s);
}

/** Reads the size of the area at a place, after checking that there is one. */
function inspectPlace(place: Place): { words: Int32Array; size: number } {
  const room = place.limit - place.byteOffset;
  if (room < MINIMUM_AREA_SIZE) throw notAnArea(`${room} bytes`);
  const words = new Int32Array(place.buffer, place.byteOffset, CONTROL_WORDS);
  const size = ld64(words, H_SIZE);
  const plausible = words[H_MAGIC] === SEGMENT_MAGIC && words[C_HANDLE] === 0 && words[C_SIDE_HANDLE] !== 0;
  if (!plausible || size < MINIMUM_AREA_SIZE || size > room) throw notAnArea(`offset ${place.byteOffset} of the place`);
  return { words, size };
}

/**
 * dsa_detach. Idempotent; where a lock stalled, a second call tries again.
 *
 * @returns what went wrong first, wrapped since a callback may throw anything; null when nothing did
 */
export function detachArea(s: AreaState): { readonly error: unknown } | null {
  if (s.attached && !s.p.closed) closeCache(s);
  s.attached = false;
  let failed: { readonly error: unknown } | null = null;
  const first = s.segments[0] ?? null;
  // Segment 0 first: its callback gives the reference back, which unpins the others when it was the last.
  if (first !== null && first.mapped) {
    try {
      first.detach();
    } catch (error) {
      failed = { error };
    }
  } else if (!s.released && s.retry !== null && !s.retry()) failed = { error: areaError(s, 'detach') };
  let clean = true;
  // One wait for the control lock is enough.
  let stalled = failed !== null && s.dsm.owes;
  for (let index = 1; index < s.segments.length; index++) {
    if (!unmapSegment(s, index, stalled)) clean = false;
    stalled = stalled || !clean;
  }
  if (s.side !== null) clean = s.side.dropMapping(stalled) && clean;
  return failed ?? (clean ? null : { error: s.dsm.failureError('detach of an area') });
}
