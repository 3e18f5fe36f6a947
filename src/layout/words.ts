/**
 * 64-bit values in an Int32Array: two words, low first.
 *
 * Stands on nothing. Plain accesses: the caller holds the lock that guards the field, or nobody else can see it yet.
 * Values are exact up to 2^53; the all-ones pattern (C's `(size_t) -1`) is told by {@link isAllOnes64}.
 */

const TWO_32 = 4294967296;

/** Reads the 64-bit unsigned value at word `i`; exact below 2^53. */
export function ld64(a: Int32Array, i: number): number {
  return (a[i + 1]! >>> 0) * TWO_32 + (a[i]! >>> 0);
}

/** Writes `v` (a whole number, 0 .. 2^53 - 1) at word `i`, low word first. */
export function st64(a: Int32Array, i: number, v: number): void {
  const hi = Math.floor(v / TWO_32);
  a[i] = v - hi * TWO_32;
  a[i + 1] = hi;
}

/** Writes C's `(size_t) -1` at word `i`. */
export function stAllOnes64(a: Int32Array, i: number): void {
  a[i] = -1;
  a[i + 1] = -1;
}

/** Tells whether the value at word `i` is C's `(size_t) -1`. */
export function isAllOnes64(a: Int32Array, i: number): boolean {
  return a[i] === -1 && a[i + 1] === -1;
}

/** Reads the 64-bit unsigned value at word `i` exactly. */
export function ld64Big(a: Int32Array, i: number): bigint {
  return (BigInt(a[i + 1]! >>> 0) << 32n) | BigInt(a[i]! >>> 0);
}

/** Writes the low 64 bits of `v` at word `i`. */
export function st64Big(a: Int32Array, i: number, v: bigint): void {
  a[i] = Number(BigInt.asIntN(32, v));
  a[i + 1] = Number(BigInt.asIntN(32, v >> 32n));
}
