/**
 * A piece of shared memory that a caller names by a view, a byte offset and a size: checked once, at the edge.
 *
 * Stands on the error class; touches no shared memory and takes no lock.
 */

import { SharedHeapError } from '../errors/errors.js';

function bad(what: string, detail: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `the memory for ${what} is not acceptable`, { detail });
}

/**
 * Checks that a piece lies in shared memory and is aligned to 8 bytes, so that 64-bit atomics work in it.
 *
 * @param a words of the memory
 * @param byteOffset where the piece starts, counted from the start of `a`
 * @param size bytes of the piece
 * @param what what it is for, for the error
 * @throws ERR_HEAP_BAD_ARGUMENT. Any thread; does not block.
 */
export function requirePlace(a: unknown, byteOffset: unknown, size: unknown, what: string): void {
  if (!(a instanceof Int32Array) || !(a.buffer instanceof SharedArrayBuffer)) {
    throw bad(what, 'an Int32Array over a SharedArrayBuffer is needed');
  }
  if (typeof byteOffset !== 'number' || !Number.isSafeInteger(byteOffset) || byteOffset < 0) {
    throw bad(what, `the offset ${String(byteOffset)} is not a whole number of bytes`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw bad(what, `the size ${String(size)} is not a whole number of bytes`);
  }
  if ((a.byteOffset + byteOffset) % 8 !== 0) throw bad(what, `the offset ${byteOffset} is not aligned to 8 bytes`);
  if (byteOffset + size > a.byteLength) {
    throw bad(what, `${size} bytes at ${byteOffset} do not fit in ${a.byteLength}`);
  }
}
