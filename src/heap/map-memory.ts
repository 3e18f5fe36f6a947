/**
 * The area's memory as the calls of a map see it: views and allocation without throwing, and what went wrong.
 *
 * For use under the lock of a partition, where nothing may throw: a failure is noted in the map's state, and becomes an
 * error once the lock is gone. Private to its participant.
 */

import { hiOf, loOf, pointerOf, wordIndex } from '../dshash/dshash.js';
import { SharedHeapError } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import { lwlockFailure } from '../sync/sync.js';
import type { MapState } from './map-state.js';
import { show } from './sizes.js';

export { hiOf, loOf, pointerOf, wordIndex };

/** Why a step of a map failed. */
export type MapFailure = 'none' | 'lock' | 'memory' | 'area' | 'thrown' | 'corrupt';

const NO_WORDS = new Int32Array(0);
const LAST_SEGMENT = 1023;

/** Words of the segment that a pointer with this high word leads into; empty with `failure` set. */
export function wordsOf(m: MapState, hi: number): Int32Array {
  const segment = hi >>> 8;
  if (segment > LAST_SEGMENT) {
    corrupt(m, 'a pointer leads nowhere');
    return NO_WORDS;
  }
  const words = m.maps[segment]!.i32;
  if (words.length !== 0) return words;
  const mapped = m.area.resolve(segment);
  if (mapped.length === 0) m.failure = 'area';
  return mapped;
}

/** What comes after taking a lock and before following any pointer: freed segments are forgotten. False with `failure` set. */
export function refresh(m: MapState): boolean {
  if (m.area.notice()) return true;
  m.failure = 'area';
  return false;
}

/** Allocates. @returns the pointer, or 0 with `failure` set: 'memory', or 'thrown' for every other reason */
export function allocate(m: MapState, size: number, flags: number): DsaPointer | 0 {
  try {
    const pointer = m.area.allocate(size, flags);
    if (pointer === 0) {
      m.failure = 'memory';
      m.wanted = size;
    }
    return pointer;
  } catch (error) {
    m.failure = 'thrown';
    m.thrown = error;
    return 0;
  }
}

/** Gives an object back that could not be used; the reason is kept. */
export function giveUp(m: MapState, object: DsaPointer): false {
  const { failure, thrown } = m;
  try {
    m.area.free(object);
  } catch {
    // The failure that led here is the one to tell; verify() of the heap counts the object.
  }
  m.failure = failure;
  m.thrown = thrown;
  return false;
}

/** Notes damage. Always false. */
export function corrupt(m: MapState, what: string): false {
  m.failure = 'corrupt';
  m.thrown = what;
  return false;
}

/** The error for the failure that was noted last; to be thrown outside of all locks. */
export function mapError(m: MapState, what: string): Error {
  switch (m.failure) {
    case 'lock':
      return lwlockFailure(m.p, m.parts, m.failedLock, m.ns, m.area.state.dsm.tranches);
    case 'memory':
      return m.area.memoryError(m.wanted, `map ${show(m.name)}`);
    case 'area':
      return m.area.resolveError(what, m.handle);
    case 'thrown':
      return m.thrown as Error;
    default:
      return new SharedHeapError('ERR_HEAP_CORRUPT', `${what}: the map contradicts itself`, {
        detail: `map ${show(m.name)}: ${String(m.thrown)}`,
        hint: 'Somebody wrote outside of an object, or a thread died inside a call. Create a new map.',
      });
  }
}
