/**
 * Sizes as people write them: a number of bytes, or text such as '64MiB'.
 *
 * Stands on the error class only. Units with an `i` are powers of 1024, those without are powers of 1000; PostgreSQL's
 * `kB`, which means 1024 bytes there, means 1000 here, as everywhere else in JavaScript. Upper and lower case matter:
 * 'mb' is an error, since it might as well mean megabits.
 */

import { type ErrorCode, SharedHeapError, show } from '../errors/errors.js';

export { show };

const UNITS: Readonly<Record<string, number>> = Object.freeze({
  B: 1,
  kB: 1e3,
  KiB: 1024,
  MB: 1e6,
  MiB: 1024 ** 2,
  GB: 1e9,
  GiB: 1024 ** 3,
  TB: 1e12,
  TiB: 1024 ** 4,
});

const SIZE_TEXT = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*$/;

/** A size: whole bytes as a number, or text with a unit: `'512B'`, `'64KiB'`, `'1.5GiB'`, `'10MB'`. */
export type Size = number | string;

function refuse(code: ErrorCode, what: string, value: unknown, detail: string): never {
  throw new SharedHeapError(code, `${what} is not a size`, {
    detail: `got ${show(value)}: ${detail}`,
    hint: "Give whole bytes as a number, or text with a unit such as '64MiB' (B, KiB, MiB, GiB, TiB, kB, MB, GB, TB).",
  });
}

/**
 * Bytes of a size given as text.
 *
 * @param text digits with an optional fraction, then a unit; the product must be whole
 * @param what the name of the argument, for the error
 * @param code the code to throw
 * @returns bytes, 0 .. 2^53 - 1
 * @throws `code` when the text is no size. Any thread; does not block.
 */
export function parseSizeText(text: string, what: string, code: ErrorCode): number {
  const match = SIZE_TEXT.exec(text);
  if (match === null) refuse(code, what, text, 'a number with a unit is wanted');
  const unit = match[2]!;
  if (!Object.hasOwn(UNITS, unit)) refuse(code, what, text, `the unit ${show(unit)} is unknown`);
  const bytes = Number(match[1]!) * UNITS[unit]!;
  if (!Number.isSafeInteger(bytes)) refuse(code, what, text, 'that is not a whole number of bytes below 2^53');
  return bytes;
}

/**
 * Bytes of a size given in either form.
 *
 * @param value what the caller gave
 * @param what the name of the argument, for the error
 * @param code the code to throw
 * @param minimum smallest size that is accepted, in bytes
 * @returns bytes, `minimum` .. 2^53 - 1
 * @throws `code` when it is not a size or too small. Any thread; does not block.
 */
export function parseSize(value: unknown, what: string, code: ErrorCode, minimum: number): number {
  const bytes = typeof value === 'string' ? parseSizeText(value, what, code) : value;
  if (typeof bytes !== 'number') refuse(code, what, value, 'it has the wrong type');
  if (!Number.isSafeInteger(bytes)) refuse(code, what, value, 'it is not a whole number below 2^53');
  if (bytes < minimum) refuse(code, what, value, `at least ${minimum} is wanted`);
  return bytes;
}
