/** The errors of an area, made after all locks were released, from what a critical section has left in `failure`. */

import { SharedHeapError } from '../errors/errors.js';
import { ld64 } from '../layout/layout.js';
import { lwlockFailure } from '../sync/sync.js';
import { C_HIGH, C_LOCK, C_TOTAL, MAX_SEGMENT_SIZE, MAX_SEGMENTS } from './area-layout.js';
import { formatPointer } from './pointer.js';
import { growthLimit, sizeLimit } from './segments.js';
import { PAGE_SIZE } from './size-classes.js';
import type { AreaState } from './state.js';

/**
 * PostgreSQL's out-of-memory error of dsa_allocate_extended, with the limit that stood in the way and what to change.
 *
 * @param who asks, where that is not the caller
 */
export function outOfMemory(s: AreaState, size: number | bigint, who = ''): SharedHeapError {
  const { limit, hint } = describeLimit(s, Number(size));
  return new SharedHeapError('ERR_HEAP_OUT_OF_MEMORY', 'out of memory', {
    detail: `${who}request of ${size} bytes; ${ld64(s.ctl, C_TOTAL)} bytes in segments 0 to ${ld64(s.ctl, C_HIGH)}; ${limit}`,
    hint,
    sqlState: '53200',
    pgDetail: `Failed on DSA request of size ${size}.`,
  });
}

function describeLimit(s: AreaState, size: number): { limit: string; hint: string } {
  switch (growthLimit(s, size)) {
    case 'limit': {
      const limit = sizeLimit(s);
      return {
        limit: `the size limit of ${limit} bytes leaves ${Math.max(0, limit - ld64(s.ctl, C_TOTAL))} for a new segment`,
        hint: 'Free objects, call trim(), or raise the size limit (setLimit, setSizeLimit).',
      };
    }
    case 'segments':
      return {
        limit: `all ${MAX_SEGMENTS} segments that an area can have are in use`,
        hint: 'Free objects, or create the heap with larger segments (`initSegmentSize`, `maxSegmentSize`).',
      };
    case 'size':
      return {
        limit: `a segment has at most ${MAX_SEGMENT_SIZE} bytes, and needs some for itself`,
        hint: 'Ask for less, or free objects.',
      };
    default:
      return describeStore(s);
  }
}

function describeStore({ dsm }: AreaState): { limit: string; hint: string } {
  if (dsm.storeKind === 'buffers') {
    return {
      limit: 'the engine refused a SharedArrayBuffer for a new segment',
      hint: 'Free objects, call trim(), or raise the memory limit of the process.',
    };
  }
  // A plain read: the number is for people.
  const longest = dsm.impl.largest() * PAGE_SIZE;
  return {
    limit: `the region of ${dsm.control.buffer.byteLength} bytes has ${longest} left in one piece for a new segment`,
    hint: 'Free objects, call trim(), or create the heap with a larger `regionSize`.',
  };
}

/** PostgreSQL's error for a request that no flag allows. */
export function invalidRequest(size: number | bigint, huge: boolean): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_SIZE', `invalid DSA memory alloc request size ${size}`, {
    detail: `a request may have 1 to ${huge ? '2^63 - 1' : '1073741823'} bytes`,
    hint: huge ? 'Ask for less.' : 'Pass DSA_ALLOC_HUGE for requests of 1 GiB and more.',
  });
}

/** The error for a pointer, or for the state that an operation on it has found. */
export function areaError(s: AreaState, what: string, pointer = 0): SharedHeapError {
  const at = Number.isInteger(pointer) && pointer >= 0 ? formatPointer(pointer) : String(pointer);
  switch (s.failure) {
    case 'dsm':
      return s.dsm.failureError(what);
    case 'lock':
      return lwlockFailure(s.p, s.ctl, C_LOCK, s.ns, s.dsm.tranches);
    case 'stale':
      return new SharedHeapError('ERR_HEAP_STALE_SEGMENT', `${what}: the segment of the pointer was given back`, {
        detail: `pointer ${at}`,
        hint: 'The object was freed before; with it its whole segment went.',
        pgMessage: 'dsa_area could not attach to a segment that has been freed',
      });
    case 'gone':
      return new SharedHeapError('ERR_HEAP_SEGMENT_GONE', `${what}: dsa_area could not attach to segment`, {
        detail: `pointer ${at}`,
        pgMessage: 'dsa_area could not attach to segment',
      });
    case 'double':
      return new SharedHeapError('ERR_HEAP_DOUBLE_FREE', `${what}: the object is not live`, {
        detail: `pointer ${at} was freed before`,
        hint: 'Free each object once; set the variable to 0 after freeing.',
      });
    case 'interior':
      return new SharedHeapError('ERR_HEAP_INTERIOR_POINTER', `${what}: the pointer lies inside an object`, {
        detail: `pointer ${at}`,
        hint: 'Keep and pass the pointer that alloc returned.',
      });
    case 'misaligned':
      return new SharedHeapError('ERR_HEAP_MISALIGNED_POINTER', `${what}: not a pointer`, {
        detail: `got ${at}; pointers are whole numbers and multiples of 8`,
      });
    case 'foreign':
      return new SharedHeapError(
        'ERR_HEAP_FOREIGN_POINTER',
        `${what}: the pointer belongs to no live object of this area`,
        {
          detail: `pointer ${at}`,
          hint: 'It was never allocated here, or freed and its pages went to something else.',
        },
      );
    default:
      return new SharedHeapError('ERR_HEAP_CORRUPT', `${what}: the area contradicts itself`, {
        detail: String((s.thrown as Error | null)?.message ?? s.thrown ?? at),
        hint: 'Somebody wrote outside of an object. Run verify() and create a new heap.',
        cause: s.thrown,
        pgMessage: 'dsa_area is corrupt',
      });
  }
}

/** A size that is none. */
export function badSize(size: unknown): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_SIZE', 'not a size', {
    detail: `got ${typeof size === 'number' || typeof size === 'bigint' ? size : size === null ? 'null' : typeof size}, want a whole number of bytes`,
  });
}
