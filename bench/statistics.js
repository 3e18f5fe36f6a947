/** The little statistics that there is. */

/**
 * The value below which a part of the numbers lies, linear between neighbours.
 *
 * @param {readonly number[]} numbers
 * @param {number} part 0 .. 1
 */
export function quantile(numbers, part) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

/** @param {readonly number[]} numbers */
export const median = (numbers) => quantile(numbers, 0.5);
