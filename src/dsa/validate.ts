/** Checks at the edge of an area: options, places, sizes, flags. Nothing is touched before they pass. */

import { Dsm, DsmSegment, LAYER_DSA, requireInteger } from '../dsm/dsm.js';
import { SharedHeapError } from '../errors/errors.js';
import { TRANCHE_DSA } from '../sync/sync.js';
import {
  AREA_LAYOUT_HASH,
  DEFAULT_INIT_SEGMENT_SIZE,
  FIXED_BYTES_FIRST,
  MAX_SEGMENT_SIZE,
  MIN_SEGMENT_SIZE,
} from './area-layout.js';
import { PAGE_SIZE } from './size-classes.js';

/** Options of a new area. */
export interface DsaOptions {
  /** Tranche of the area's locks; default the built-in one for areas. */
  trancheId?: number | undefined;
  /** Bytes of segment 0, and the base of the doubling; at least 256 KiB. Default 1 MiB. */
  initSegmentSize?: number | undefined;
  /** Most bytes of an ordinary segment, at least `initSegmentSize`. Default 2^40. */
  maxSegmentSize?: number | undefined;
  /**
   * When the store cannot give the wanted segment size, try smaller ones that still hold the request. Default false:
   * then placement is that of PostgreSQL.
   */
  fallback?: boolean | undefined;
  /**
   * Participants keep free objects at hand, in caches of their own. Default false: then placement is that of PostgreSQL.
   * In-place areas have none, whatever is said here.
   */
  cache?: boolean | undefined;
  /**
   * What is freed is looked at, and cached objects are marked: a second free is found, unless two threads free an object at
   * the same moment. Default true. False spares a look at the object's state in each call: then a pointer into a superblock is
   * believed to be a live object there, and what a thread had cached that dies is lost. Means nothing without `cache`.
   */
  checks?: boolean | undefined;
}

/** Where an in-place area lies: a mapped segment or a buffer, and an 8-aligned offset in bytes. */
export type DsaPlace = ({ readonly segment: DsmSegment } | { readonly buffer: SharedArrayBuffer }) & {
  readonly byteOffset?: number | undefined;
};

/** A checked place. */
export interface Place {
  readonly segment: DsmSegment | null;
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  /** End of the memory in `buffer`, bytes. */
  readonly limit: number;
}

/** Checked options with defaults filled in. */
export interface CheckedOptions {
  readonly trancheId: number;
  readonly initSegmentSize: number;
  readonly maxSegmentSize: number;
  readonly fallback: boolean;
  readonly cache: boolean;
  readonly checks: boolean;
}

/** Smallest place, bytes: the control block, the page manager and a page map, rounded up to pages. */
export const MINIMUM_AREA_SIZE = minimumAreaSize();

function minimumAreaSize(): number {
  let pages = 0;
  let size = FIXED_BYTES_FIRST;
  while (pages * PAGE_SIZE < size) {
    pages++;
    size += 8;
  }
  return pages * PAGE_SIZE;
}

/**
 * @throws ERR_HEAP_BAD_ARGUMENT when `dsm` is no participant, ERR_HEAP_CLOSED when it has left, ERR_HEAP_VERSION when
 *   another participant uses areas of another layout
 */
export function checkParticipant(dsm: unknown): void {
  if (!(dsm instanceof Dsm)) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'not a participant of a cluster', {
      detail: `got ${dsm === null ? 'null' : typeof dsm}`,
      hint: 'Pass what Dsm.create or Dsm.join has returned.',
    });
  }
  dsm.requireOpen();
  dsm.requireLayer(LAYER_DSA, AREA_LAYOUT_HASH);
}

/** @throws ERR_HEAP_BAD_OPTION */
export function checkFallback(options: { fallback?: unknown }): boolean {
  return checkFlag('fallback', requireObject(options).fallback ?? false);
}

function checkFlag(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new SharedHeapError('ERR_HEAP_BAD_OPTION', `${name} must be true or false`, { detail: `got ${typeof value}` });
}

function requireObject<T>(options: T): T {
  if (typeof options === 'object' && options !== null) return options;
  throw new SharedHeapError('ERR_HEAP_BAD_OPTION', 'the options of an area must be an object', {
    detail: `got ${options === null ? 'null' : typeof options}`,
  });
}

/** @throws ERR_HEAP_BAD_OPTION */
export function checkOptions(dsm: Dsm, options: DsaOptions): CheckedOptions {
  const bad = 'ERR_HEAP_BAD_OPTION';
  requireObject(options);
  const trancheId = options.trancheId ?? TRANCHE_DSA;
  dsm.tranches.trancheName(trancheId);
  const init = options.initSegmentSize ?? DEFAULT_INIT_SEGMENT_SIZE;
  requireInteger(init, MIN_SEGMENT_SIZE, MAX_SEGMENT_SIZE, 'initSegmentSize', bad);
  const max = options.maxSegmentSize ?? MAX_SEGMENT_SIZE;
  requireInteger(max, init, MAX_SEGMENT_SIZE, 'maxSegmentSize', bad);
  const cache = checkFlag('cache', options.cache ?? false);
  const checks = checkFlag('checks', options.checks ?? true) || !cache;
  return { trancheId, initSegmentSize: init, maxSegmentSize: max, fallback: checkFallback(options), cache, checks };
}

/** @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_CLOSED */
export function checkPlace(place: unknown): Place {
  const given = (typeof place === 'object' && place !== null ? place : {}) as {
    segment?: unknown;
    buffer?: unknown;
    byteOffset?: unknown;
  };
  const inSegment = given.segment instanceof DsmSegment;
  if (!inSegment && !(given.buffer instanceof SharedArrayBuffer)) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a place is { segment } or { buffer: SharedArrayBuffer }');
  }
  if (inSegment && !(given.segment as DsmSegment).mapped) {
    throw new SharedHeapError('ERR_HEAP_CLOSED', 'the segment of the place is detached here');
  }
  const segment = inSegment ? (given.segment as DsmSegment) : null;
  const buffer = segment?.buffer ?? (given.buffer as SharedArrayBuffer);
  const start = segment?.byteOffset ?? 0;
  const room = segment?.mapLength ?? buffer.byteLength;
  const byteOffset = requireInteger(given.byteOffset ?? 0, 0, room, 'byteOffset of the place');
  if (byteOffset % 8 !== 0) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'the offset of a place must be a multiple of 8', {
      detail: `got ${byteOffset}`,
    });
  }
  return { segment, buffer, byteOffset: start + byteOffset, limit: start + room };
}

/** @throws ERR_HEAP_BAD_SIZE when the place is too small or does not lie in its memory */
export function checkPlaceSize(place: Place, size: unknown): number {
  const bytes = requireInteger(size, 0, Number.MAX_SAFE_INTEGER, 'size of the place', 'ERR_HEAP_BAD_SIZE');
  if (bytes < MINIMUM_AREA_SIZE) {
    throw new SharedHeapError('ERR_HEAP_BAD_SIZE', 'the place is too small for an area', {
      detail: `got ${bytes} bytes, want at least ${MINIMUM_AREA_SIZE}`,
      pgMessage: `dsa_area space must be at least ${MINIMUM_AREA_SIZE}, but ${bytes} provided`,
    });
  }
  if (place.byteOffset + bytes > place.limit) {
    throw new SharedHeapError('ERR_HEAP_BAD_SIZE', 'the place reaches beyond its memory', {
      detail: `${bytes} bytes at ${place.byteOffset} of ${place.limit}`,
    });
  }
  return bytes;
}
