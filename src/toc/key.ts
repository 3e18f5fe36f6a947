/**
 * Keys of a table of contents: 64 bits, given as bigint or as a number, kept as two words.
 *
 * Small numbers name the parts of one program's own segment, large constants with high bits those of libraries that
 * share one. Stands on the error class; private; no lock.
 */

import { SharedHeapError } from '../errors/errors.js';

/** A key: 0 .. 2^64 - 1. A number must be a safe integer. */
export type TocKey = number | bigint;

const END = 2n ** 64n;

/**
 * The key as a bigint.
 *
 * @param what name of the argument, for the error
 * @throws ERR_HEAP_BAD_ARGUMENT. Any thread; does not block.
 */
export function checkKey(key: unknown, what: string): bigint {
  const whole = typeof key === 'bigint' ? key : Number.isSafeInteger(key) ? BigInt(key as number) : -1n;
  if (whole >= 0n && whole < END) return whole;
  throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `${what} is not acceptable`, {
    detail: `got ${typeof key === 'number' || typeof key === 'bigint' ? key : typeof key}; want a whole number from 0 to 2^64 - 1`,
    hint: 'Numbers of 2^53 and more are given as bigint.',
  });
}
