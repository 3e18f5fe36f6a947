/**
 * The random numbers of the workloads: xorshift, as in the C figures, but with 32 bits, because JavaScript has no fast
 * 64-bit integers. The state is the last number, which the caller keeps in a local variable.
 */

/** Where every sequence begins; anything but 0 will do. */
export const SEED = 2463534242 | 0;

/**
 * The number after `x`, a 32-bit integer other than 0.
 * @param {number} x
 */
export function next(x) {
  x ^= x << 13;
  x ^= x >>> 17;
  return x ^ (x << 5);
}

/**
 * Scales a number of the sequence to 0 .. `n` - 1 by a multiplication, which is cheaper than a remainder.
 * @param {number} x
 * @param {number} n
 */
export function below(x, n) {
  return ((x >>> 0) * (n * 2 ** -32)) | 0;
}
