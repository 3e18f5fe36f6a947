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

const SIZE_TEXT = /^\s*(\d+)(?:\.(\d+))?\s*([A-Za-z]+)\s*$/;
/**
 * Digits after the point, without zeros at the end, that a whole number of bytes can need: 2^-40 TiB is one byte and
 * has 40. Digits before it, without zeros at the start, that stay below 2^53.
 */
const MOST_FRACTION_DIGITS = 40;
const MOST_WHOLE_DIGITS = 16;

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
  const unit = match[3]!;
  if (!Object.hasOwn(UNITS, unit)) refuse(code, what, text, `the unit ${show(unit)} is unknown`);
  const bytes = exactProduct(match[1]!, match[2] ?? '', UNITS[unit]!);
  if (bytes === undefined) refuse(code, what, text, 'that is not a whole number of bytes below 2^53');
  return bytes;
}

/** `whole.fraction * unit` without rounding: as floats, 1.005 * 1000 is not 1005. Undefined when not whole or too large. */
function exactProduct(whole: string, fraction: string, unit: number): number | undefined {
  let from = 0;
  while (from < whole.length - 1 && whole[from] === '0') from++;
  let to = fraction.length;
  while (to > 0 && fraction[to - 1] === '0') to--;
  if (whole.length - from > MOST_WHOLE_DIGITS || to > MOST_FRACTION_DIGITS) return undefined;
  const scale = 10n ** BigInt(to);
  const product = BigInt(whole.slice(from) + fraction.slice(0, to)) * BigInt(unit);
  const bytes = Number(product / scale);
  return product % scale === 0n && Number.isSafeInteger(bytes) ? bytes : undefined;
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
