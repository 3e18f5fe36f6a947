/**
 * The nearest known name for a mistyped one, so that an error can say what was probably meant.
 *
 * Stands on nothing. Optimal string alignment: insert, delete, replace and swap of neighbours cost 1 each; upper and
 * lower case count as equal. Names longer than {@link LONGEST} are not compared, so the work is bounded whatever the
 * caller passes.
 */

/** Longest text that is compared. Lower: fewer guesses; higher: more work for text that is no name anyway. */
const LONGEST = 64;

/** Number of single slips between two short texts. */
export function editDistance(a: string, b: string): number {
  let twoBack: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(replace, previous[j]! + 1, row[j - 1]! + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, twoBack[j - 2]! + 1);
      row.push(best);
    }
    twoBack = previous;
    previous = row;
  }
  return previous[b.length]!;
}

/**
 * The known name with the fewest slips from `name`.
 *
 * @param name what was given
 * @param known the names that exist, at least one
 * @returns the nearest, the first of equals; undefined when `name` is too long to be a slip of any
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (name.length > LONGEST) return undefined;
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}
