/**
 * Any value in the text of an error, short and without running code of the caller's.
 *
 * Stands on nothing. `String(value)` will not do: it throws for an object without a prototype, and runs `toString` of
 * any other.
 */

/** Longest piece of a caller's value that an error repeats. Lower: less to recognise; higher: logs fill up. */
const SHOWN_CHARACTERS = 40;

/**
 * Shows any value in an error message.
 *
 * @param value anything
 * @returns one line; text in quotes, objects by their kind only
 */
export function show(value: unknown): string {
  if (typeof value === 'string') {
    return value.length <= SHOWN_CHARACTERS ? `'${value}'` : `'${value.slice(0, SHOWN_CHARACTERS)}…'`;
  }
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'symbol') return 'a symbol';
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return Object.is(value, -0) ? '-0' : String(value);
}
