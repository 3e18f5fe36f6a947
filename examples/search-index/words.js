/**
 * What a word is: a run of 2 to 40 ASCII letters, digits, underscores and bytes above 127 (so that words of any
 * language in UTF-8 count), upper case folded to lower case. Longer runs are data, not words.
 *
 * Everything works on bytes. FOLD does the whole job of classifying: one look-up gives the folded byte, or 0 for
 * a byte that no word contains.
 */

/** Shortest and longest word, in bytes. */
export const MIN_WORD = 2;
export const MAX_WORD = 40;

/** For each byte: what it is in a folded word, or 0 when it is not part of any. */
export const FOLD = Uint8Array.from({ length: 256 }, (_, byte) => {
  const letter = String.fromCharCode(byte);
  return byte > 127 || /\w/.test(letter) ? letter.replace(/[A-Z]/, (upper) => upper.toLowerCase()).charCodeAt(0) : 0;
});

/** FNV-1a, 32 bits: start with SEED, then `Math.imul(hash ^ byte, PRIME)` for each folded byte. */
export const SEED = 0x811c9dc5 | 0;
export const PRIME = 0x01000193;

/** The index keeps 30 of the 32 bits: hash and term number then fit into one double, which sorts fast. */
export const keepBits = (/** @type {number} */ hash) => hash >>> 2;

/**
 * A word to look for.
 * @typedef {{ text: string, bytes: Uint8Array, hash: number }} Word
 */

/**
 * The words of a query, each once.
 * @param {string} query
 * @returns {Word[]}
 */
export function queryWords(query) {
  const bytes = new TextEncoder().encode(query).map((byte) => FOLD[byte] ?? 0);
  const words = new Map();
  for (let from = 0, to = 0; from < bytes.length; from = to + 1) {
    to = bytes.indexOf(0, from);
    if (to === -1) to = bytes.length;
    if (to - from < MIN_WORD || to - from > MAX_WORD) continue;
    const word = bytes.slice(from, to);
    const hash = word.reduce((sum, byte) => Math.imul(sum ^ byte, PRIME), SEED);
    const text = new TextDecoder().decode(word);
    words.set(text, { text, bytes: word, hash: keepBits(hash) });
  }
  return [...words.values()];
}
