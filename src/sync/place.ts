/**
 * Places in shared memory that people name: checked once, where an object over them is made.
 *
 * Stands on the error class; touches no shared memory and takes no lock.
 */

import { SharedHeapError, show } from '../errors/errors.js';

/** Shared memory with the number that all threads know it by. */
export interface LockMemory {
  /** View of the whole memory, from its first byte. */
  readonly i32: Int32Array;
  /** 0 for the control memory, else the handle of the segment: 0 .. 2^32 - 2. */
  readonly ns: number;
}

/** The error for an argument that is not acceptable. */
export function bad(message: string, detail: string, hint = ''): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', message, { detail, hint });
}

/**
 * Checks that something of `bytes` bytes can lie at this place.
 *
 * @param align its alignment in bytes
 * @throws ERR_HEAP_BAD_ARGUMENT
 */
export function checkPlace(memory: LockMemory, byteOffset: number, bytes: number, align: number): void {
  const i32: unknown = memory?.i32;
  if (!(i32 instanceof Int32Array) || !(i32.buffer instanceof SharedArrayBuffer)) {
    throw bad('the memory must be shared', 'an Int32Array over a SharedArrayBuffer is needed');
  }
  if (!Number.isInteger(memory.ns) || memory.ns < 0 || memory.ns > 0xfffffffe) {
    throw bad('the number of the memory is not acceptable', `got ${show(memory.ns)}`);
  }
  if (!Number.isSafeInteger(byteOffset) || byteOffset < 0 || byteOffset % align !== 0) {
    throw bad('the place in the memory is not acceptable', `${show(byteOffset)} is not a multiple of ${align}`);
  }
  if (byteOffset + bytes > i32.byteLength) {
    throw bad('the place in the memory is not acceptable', `${bytes} bytes at ${byteOffset} of ${i32.byteLength}`);
  }
}
