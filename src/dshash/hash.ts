/**
 * The hash of keys: MurmurHash3, its 32-bit form for x86, over 32-bit words.
 *
 * Why this one. PostgreSQL's own (a mix in the manner of Jenkins' lookup3) takes eighteen dependent steps for up to
 * twelve bytes; this one takes six for four, all of them 32-bit multiplications, rotations and exclusive ors, which
 * JavaScript has as single instructions (`Math.imul`), and no table nor 64-bit product, which it has not. Its final mix
 * makes every bit of the result depend on every bit of the key; the table needs that of the *top* bits, which choose
 * partition and bucket. Keys are hashed a word at a time as they are compared and copied a word at a time: the bytes of a
 * key are packed into words, low byte first, zeroes behind; the length goes into the seed, so that the zeroes do not
 * make two keys one.
 *
 * It is not keyed. Who may choose keys freely can choose many with one hash: that makes the table slow, never wrong.
 *
 * No state, no lock; any thread.
 */

const C1 = 0xcc9e2d51 | 0;
const C2 = 0x1b873593;
const ADD = 0xe6546b64 | 0;

/** The final mix. */
function hashEnd(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b | 0);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35 | 0);
  return h ^ (h >>> 16);
}

/**
 * Hash of packed bytes.
 *
 * @param words holds the key from word `at`; what is left of its last word is zero
 * @param length bytes of the key
 * @returns a signed word; `>>> 0` makes it the uint32 of C
 */
export function hashWords(words: Int32Array, at: number, length: number): number {
  const end = at + ((length + 3) >>> 2);
  let h = length | 0;
  for (let i = at; i < end; i++) {
    let k = Math.imul(words[i]!, C1);
    k = Math.imul((k << 15) | (k >>> 17), C2);
    h ^= k;
    h = (Math.imul((h << 13) | (h >>> 19), 5) + ADD) | 0;
  }
  return hashEnd(h);
}
