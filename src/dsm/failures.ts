/**
 * Turns the failure that a call of `DsmSession` noted into an error.
 *
 * Apart from the calls themselves, because these must not throw: dsa makes them while it holds locks, and throws after
 * it has released them. No lock here.
 */

import { SharedHeapError } from '../errors/errors.js';
import { lwlockFailure, type Participant } from '../sync/sync.js';
import type { ClusterParts } from './bootstrap.js';
import { ClusterControl } from './control-layout.js';
import { PAGE_SIZE } from './impl.js';

/** Why a call that does not throw failed. */
export type DsmFailure =
  | 'none'
  | 'slots'
  | 'store'
  | 'lock'
  | 'unreachable'
  | 'gone'
  | 'attached'
  | 'random'
  | 'corrupt';

/** Word index of the DSM control lock in the control memory. */
export const CONTROL_LOCK = ClusterControl.control_lock / 4;
/** Number of the control memory in lists of held locks. */
export const CONTROL_NS = 0;

/** The failure of the last attempt of `p` to take the DSM control lock. */
export function controlLockFailure(p: Participant): SharedHeapError {
  return lwlockFailure(p, p.control, CONTROL_LOCK, CONTROL_NS);
}

/** The error for shared memory that another version of this library has laid out. */
export function otherVersion(what: string, theirs: number, mine: number): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_VERSION', 'the cluster was laid out by another version of this library', {
    detail: `layout of ${what} ${theirs.toString(16)}, here ${mine.toString(16)}`,
    hint: 'Let all threads load the same copy of sharedheap.',
  });
}

function outOfMemory(what: string, parts: ClusterParts): SharedHeapError {
  const { kind } = parts.impl;
  const longest = parts.impl.largest() * PAGE_SIZE;
  return new SharedHeapError('ERR_HEAP_OUT_OF_MEMORY', 'out of memory', {
    detail:
      kind === 'region'
        ? `${what}; the region of ${parts.totalBytes} bytes has ${longest} left in one piece`
        : `${what}; the engine refused a SharedArrayBuffer for it`,
    hint:
      kind === 'region'
        ? 'Raise `regionSize`, free objects, or use smaller segments (`maxSegmentSize`).'
        : 'The engine refused the buffer: ask for less, or raise the memory limit of the process.',
    sqlState: '53200',
  });
}

/**
 * The error for a failure; throw it outside of all locks.
 *
 * @param what what was attempted, for the message
 * @param thrown what was thrown underneath, if anything
 */
export function dsmError(
  failure: DsmFailure,
  what: string,
  parts: ClusterParts,
  p: Participant,
  thrown: unknown,
): SharedHeapError {
  switch (failure) {
    case 'slots':
      return new SharedHeapError('ERR_HEAP_SEGMENT_SLOTS', 'too many dynamic shared memory segments', {
        detail: `${what}; all ${parts.slots.maxitems} slots are in use`,
        hint: 'Raise the `segments` option of the cluster, or use fewer and larger segments.',
        sqlState: '53000',
      });
    case 'lock':
      return controlLockFailure(p);
    case 'unreachable':
      return new SharedHeapError('ERR_HEAP_SEGMENT_UNREACHABLE', 'nobody handed over the buffer of a segment', {
        detail: `${what}; waited ${parts.attachTimeout} ms`,
        hint: 'Read `heap.handle` afresh for each worker, let some participant run its event loop, or use the `region` store.',
      });
    case 'gone':
      return new SharedHeapError('ERR_HEAP_SEGMENT_GONE', 'the segment no longer exists', { detail: what });
    case 'attached':
      return new SharedHeapError('ERR_HEAP_ALREADY_ATTACHED', "can't attach the same segment more than once", {
        detail: what,
        hint: 'Use findMapping first.',
      });
    case 'random':
      return new SharedHeapError('ERR_HEAP_BAD_OPTION', 'the `random` option of the cluster has thrown', {
        detail: what,
        cause: thrown,
      });
    case 'corrupt':
      return new SharedHeapError('ERR_HEAP_CORRUPT', 'the control segment contradicts itself', {
        detail: `${what}; ${thrown instanceof Error ? thrown.message : 'a slot describes memory that it cannot have'}`,
        hint: 'Something wrote outside of its segment. Make a new cluster.',
        cause: thrown,
      });
    default:
      return outOfMemory(what, parts);
  }
}
