/**
 * The errors of a queue, made from the codes that the ring returns once no lock is held.
 *
 * Stands on the ring, which knows why a lock was refused. Nothing shared is changed.
 */

import { SharedHeapError } from '../errors/errors.js';
import { DAMAGED, ENDED, HEADER_BYTES, NOT_NOW, type QueueRing, TOO_SMALL } from './queue-ring.js';

/** A value is longer than the whole ring. */
export function tooLong(name: string, ring: QueueRing, bytes: number): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_SIZE', 'the message is longer than the queue', {
    detail: `${bytes} bytes; the queue ${JSON.stringify(name)} has ${ring.capacity}, ${HEADER_BYTES} of them for the header`,
    hint: 'Make the queue with a larger capacity, or put the data into the heap and send the pointer.',
  });
}

/** Why a value was not sent. */
export function sendError(name: string, ring: QueueRing, result: number, timeout: number): SharedHeapError {
  if (result === ENDED) {
    return new SharedHeapError('ERR_HEAP_CLOSED', `the queue ${JSON.stringify(name)} was closed`, {
      hint: 'Send before close(), or use a queue of another name.',
    });
  }
  if (result === NOT_NOW) {
    return new SharedHeapError('ERR_HEAP_TIMEOUT', `the queue ${JSON.stringify(name)} had no room in time`, {
      detail: `${ring.used} of ${ring.capacity} bytes in use, waited ${timeout} ms`,
      hint: 'Receive faster, wait longer, or make the queue larger.',
    });
  }
  return ring.refusal();
}

/** Why nothing was received. */
export function receiveError(name: string, ring: QueueRing, result: number, timeout: number): SharedHeapError {
  if (result === NOT_NOW) {
    return new SharedHeapError('ERR_HEAP_TIMEOUT', `nothing came through the queue ${JSON.stringify(name)} in time`, {
      detail: `waited ${timeout} ms`,
    });
  }
  if (result === DAMAGED) {
    return new SharedHeapError('ERR_HEAP_CORRUPT', `the queue ${JSON.stringify(name)} is damaged`, {
      detail: ring.verify().join('; '),
      hint: 'Something wrote to memory of the heap that it did not own.',
    });
  }
  return ring.refusal();
}

/** Why nothing was received into a target. */
export function intoError(
  name: string,
  ring: QueueRing,
  result: number,
  target: Uint8Array,
  timeout: number,
): SharedHeapError {
  if (result !== TOO_SMALL) return receiveError(name, ring, result, timeout);
  return new SharedHeapError('ERR_HEAP_OUT_OF_BOUNDS', 'the message is longer than the target', {
    detail: `${ring.needed} bytes, the target has ${target.length}`,
    hint: 'The message is still the first of the queue: receive it into a larger target.',
  });
}
