/**
 * DsaArea: a heap across segments, as one participant is attached to it (PostgreSQL, utils/mmgr/dsa.c).
 *
 * The class checks what it is given, calls the functions that do the work, and throws once no lock is held. A pointer
 * that one participant allocates can be used and freed by any other that is attached. All methods are for the thread
 * of the participant; all may block on locks of the area (see `lockTimeout`) unless they say otherwise.
 *
 *     AreaMemory    attached or not, where bytes lie
 *     AreaReports   dump, statistics, verify
 *     AreaObjects   allocating and freeing
 *     DsaArea       creating, attaching, limits, leaving
 */

import type { Dsm } from '../dsm/dsm.js';
import { requireInteger } from '../dsm/dsm.js';
import { SharedHeapError } from '../errors/errors.js';
import { st64Big } from '../layout/layout.js';
import { lwlockAcquireExclusive, lwlockReleaseNewest } from '../sync/sync.js';
import { C_HANDLE, C_LIMIT, C_PINNED, C_REFCNT } from './area-layout.js';
import { closedError } from './area-open.js';
import { emptyCache } from './cache-life.js';
import { sweepGone } from './cache-sweep.js';
import { AreaObjects } from './area-objects.js';
import { areaError, badSize } from './failures.js';
import {
  attachArea,
  attachAreaInPlace,
  createArea,
  createAreaInPlace,
  detachArea,
  releaseReference,
  totalSizeOf,
} from './lifecycle.js';
import { unlockArea } from './mapping.js';
import { CLASS_BLOCK_OF_SPANS, CLASS_LARGE, NUM_SIZE_CLASSES } from './size-classes.js';
import { poolWord } from './spans.js';
import type { AreaState } from './state.js';
import { trimPool } from './trim.js';
import {
  checkFallback,
  checkOptions,
  checkParticipant,
  checkPlace,
  checkPlaceSize,
  type DsaOptions,
  type DsaPlace,
  MINIMUM_AREA_SIZE,
} from './validate.js';

const UNLIMITED = 2n ** 64n - 1n;

/** An attachment to an area. */
export class DsaArea extends AreaObjects {
  private constructor(state: AreaState) {
    super(state);
  }

  /**
   * Creates an area in a new segment. Follows dsa_create_ext.
   *
   * @param dsm the participant
   * @param options sizes in bytes; see {@link DsaOptions}
   * @throws ERR_HEAP_BAD_OPTION, ERR_HEAP_TRANCHE, ERR_HEAP_SEGMENT_SLOTS, ERR_HEAP_OUT_OF_MEMORY, ERR_HEAP_CLOSED
   */
  static create(dsm: Dsm, options: DsaOptions = {}): DsaArea {
    checkParticipant(dsm);
    return new DsaArea(createArea(dsm, checkOptions(dsm, options)));
  }

  /**
   * Creates an area in memory that the caller provides; pages count from its start. A small state segment is made
   * beside it. It must be released with {@link releaseInPlace}, or lie in a segment whose detaching does that.
   * Follows dsa_create_in_place_ext.
   *
   * @param place segment or buffer, with an 8-aligned byte offset
   * @param size bytes of the place that the area may use, at least {@link minimumSize}
   * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_BAD_SIZE, and as {@link create}
   */
  static createInPlace(dsm: Dsm, place: DsaPlace, size: number, options: DsaOptions = {}): DsaArea {
    checkParticipant(dsm);
    const where = checkPlace(place);
    const bytes = checkPlaceSize(where, size);
    return new DsaArea(createAreaInPlace(dsm, where, bytes, checkOptions(dsm, options)));
  }

  /**
   * Attaches to the area that has this handle. Follows dsa_attach.
   *
   * @param handle of the area
   * @param options `fallback` as in {@link DsaOptions}
   * @throws ERR_HEAP_AREA_GONE, ERR_HEAP_ALREADY_ATTACHED, ERR_HEAP_BAD_HANDLE, ERR_HEAP_SEGMENT_UNREACHABLE
   */
  static attach(dsm: Dsm, handle: number, options: { fallback?: boolean } = {}): DsaArea {
    checkParticipant(dsm);
    requireInteger(handle, 1, 0xffffffff, 'area handle', 'ERR_HEAP_BAD_HANDLE');
    return new DsaArea(attachArea(dsm, handle, checkFallback(options)));
  }

  /**
   * Attaches to the area at a place. Follows dsa_attach_in_place.
   *
   * @throws ERR_HEAP_AREA_GONE, ERR_HEAP_ALREADY_ATTACHED, ERR_HEAP_BAD_HANDLE, ERR_HEAP_BAD_ARGUMENT
   */
  static attachInPlace(dsm: Dsm, place: DsaPlace, options: { fallback?: boolean } = {}): DsaArea {
    checkParticipant(dsm);
    return new DsaArea(attachAreaInPlace(dsm, checkPlace(place), checkFallback(options)));
  }

  /** Tells whether this participant is attached to the area with this handle. Does not block. Follows dsa_is_attached. */
  static isAttached(dsm: Dsm, handle: number): boolean {
    checkParticipant(dsm);
    requireInteger(handle, 1, 0xffffffff, 'area handle', 'ERR_HEAP_BAD_HANDLE');
    return dsm.findMapping(handle) !== null;
  }

  /** Smallest size of a place in bytes. Does not block. Follows dsa_minimum_size. */
  static minimumSize(): number {
    return MINIMUM_AREA_SIZE;
  }

  /**
   * Bytes in segments of the area with this handle, attached here or not. Follows dsa_get_total_size_from_handle.
   *
   * @throws ERR_HEAP_AREA_GONE and as {@link attach}
   */
  static getTotalSizeFromHandle(dsm: Dsm, handle: number): number {
    const mapping = DsaArea.isAttached(dsm, handle) ? dsm.findMapping(handle) : null;
    if (mapping !== null) return totalSizeOf(mapping, dsm);
    const area = DsaArea.attach(dsm, handle);
    const total = area.getTotalSize();
    area.detach();
    return total;
  }

  /** Names the area for other participants. @throws ERR_HEAP_BAD_HANDLE for in-place areas, which have none */
  get handle(): number {
    const s = this.open();
    if (s.inPlace) {
      throw new SharedHeapError('ERR_HEAP_BAD_HANDLE', 'an in-place area has no handle', {
        hint: 'Attach to it with attachInPlace and its place.',
      });
    }
    return s.ctl[C_HANDLE]! >>> 0;
  }

  /**
   * Gives what this participant has cached back, and what those had that are gone; then superblocks that hold no object,
   * and segments that this empties. Follows dsa_trim.
   */
  trim(): void {
    const s = this.open();
    s.failure = 'none';
    if (!emptyCache(s)) throw areaError(s, 'trim');
    sweepGone(s);
    for (let c = NUM_SIZE_CLASSES - 1; c >= CLASS_BLOCK_OF_SPANS; c--) {
      if (c === CLASS_LARGE) continue;
      if (lwlockAcquireExclusive(s.p, s.ctl, poolWord(c), s.ns) === 0) {
        s.failure = 'lock';
        throw areaError(s, 'trim');
      }
      const done = trimPool(s, c);
      lwlockReleaseNewest(s.p, s.ctl, poolWord(c), s.ns);
      if (!done) throw areaError(s, 'trim');
    }
  }

  /**
   * Limits the bytes in segments. Tested when a new segment is wanted; may lie below the current total. Follows
   * dsa_set_size_limit.
   *
   * @param bytes 0 .. 2^64 - 1; Infinity means none
   * @throws ERR_HEAP_BAD_SIZE
   */
  setSizeLimit(bytes: number | bigint): void {
    this.open();
    const whole = typeof bytes === 'bigint' || Number.isSafeInteger(bytes);
    const limit = bytes === Number.POSITIVE_INFINITY ? UNLIMITED : whole ? BigInt(bytes) : -1n;
    if (limit < 0n || limit > UNLIMITED) throw badSize(bytes);
    const s = this.lock('setSizeLimit');
    st64Big(s.ctl, C_LIMIT, limit);
    unlockArea(s);
  }

  /** Keeps the area alive with nobody attached. @throws ERR_HEAP_ALREADY_PINNED. Follows dsa_pin. */
  pin(): void {
    const s = this.lock('pin');
    const already = s.ctl[C_PINNED] !== 0;
    if (!already) {
      s.ctl[C_PINNED] = 1;
      s.ctl[C_REFCNT] = s.ctl[C_REFCNT]! + 1;
    }
    unlockArea(s);
    if (already) throw new SharedHeapError('ERR_HEAP_ALREADY_PINNED', 'dsa_area already pinned');
  }

  /** Undoes {@link pin}. @throws ERR_HEAP_NOT_PINNED. Follows dsa_unpin. */
  unpin(): void {
    const s = this.lock('unpin');
    const pinned = s.ctl[C_PINNED] !== 0;
    if (pinned) {
      s.ctl[C_PINNED] = 0;
      s.ctl[C_REFCNT] = s.ctl[C_REFCNT]! - 1;
    }
    unlockArea(s);
    if (!pinned) throw new SharedHeapError('ERR_HEAP_NOT_PINNED', 'dsa_area not pinned');
  }

  /** Keeps all mappings of the area beyond the current resource owner. Idempotent. Follows dsa_pin_mapping. */
  pinMapping(): void {
    const s = this.open();
    s.owner = null;
    for (const segment of s.segments) segment?.pinMapping();
    s.side?.pinMapping();
  }

  /**
   * Leaves the area; the last one to leave an area that is not pinned destroys it. Idempotent. Follows dsa_detach.
   *
   * @throws ERR_HEAP_LOCK_STALLED after everything else was given back. What is left is given back when this is called
   *   again, or when the participant leaves the cluster
   */
  detach(): void {
    const failed = detachArea(this.state);
    if (failed !== null) throw failed.error;
  }

  /**
   * Gives this participant's reference to an in-place area back; the last one destroys the area's segments. The area
   * cannot be used here any more; {@link detach} comes next. Follows dsa_release_in_place.
   *
   * @throws ERR_HEAP_BAD_ARGUMENT for an area that is not in place, ERR_HEAP_CLOSED when the reference was given back
   */
  releaseInPlace(): void {
    const s = this.state;
    // Also after the area was detached, or lost its mappings to a resource owner: the reference is still there.
    if (s.released || s.p.closed) throw closedError();
    if (!s.inPlace) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'only in-place areas are released this way', {
        hint: 'Call detach().',
      });
    }
    s.attached = false;
    if (!releaseReference(s)) throw areaError(s, 'releaseInPlace');
  }
}
