/**
 * The index of one file: one object in the heap, read where it lies. All numbers are u32.
 *
 *     word 0       magic
 *     word 1       T  bytes of text
 *     word 2       L  lines
 *     word 3       W  different words ("terms")
 *     word 4       P  postings: words, counted as often as they occur
 *     lines        L  x  offset of the line's first byte in the text, ascending
 *     terms    (W+1)  x  { hash, first posting }, ascending by hash; the last one is a fence { 0, P }
 *     postings     P  x  offset of an occurrence in the text; term by term, ascending within a term
 *     text         T  bytes, as read from the file
 *
 * The words themselves are stored nowhere: a term's first posting says where in the text it stands. Looking up a
 * word is a binary search for its hash, then a comparison with the text. Nothing here knows what memory it reads:
 * the heap, a SharedArrayBuffer or the plain ArrayBuffer of a structured clone.
 */

import { FOLD, MAX_WORD } from './words.js';

export const MAGIC = 0x53494458;
export const HEADER_WORDS = 5;

/**
 * Words (4 bytes each) before the text.
 * @param {number} lines
 * @param {number} terms
 * @param {number} postings
 */
export const wordsBeforeText = (lines, terms, postings) => HEADER_WORDS + lines + 2 * (terms + 1) + postings;

const NONE = new Uint32Array(0);
const decoder = new TextDecoder();

/** Reads an index in place. */
export class FileIndex {
  #words;
  #terms;
  #postings;

  /** @param {Uint8Array} memory starts with an index; what follows it does not matter */
  constructor(memory) {
    const words = new Uint32Array(memory.buffer, memory.byteOffset, memory.byteLength >>> 2);
    if (words[0] !== MAGIC) throw new Error('this is not the index of a file');
    this.#words = words;
    this.bytes = words[1];
    this.lines = words[2];
    this.length = words[4];
    this.#terms = HEADER_WORDS + words[2];
    this.#postings = this.#terms + 2 * (words[3] + 1);
    const text = (this.#postings + this.length) * 4;
    /** The text of the file. */
    this.text = memory.subarray(text, text + this.bytes);
  }

  /**
   * Where a word occurs.
   * @param {import('./words.js').Word} word
   * @returns {Uint32Array} offsets into the text, ascending: a view, not a copy
   */
  occurrences(word) {
    const words = this.#words;
    let low = 0;
    let high = words[3];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (words[this.#terms + 2 * middle] < word.hash) low = middle + 1;
      else high = middle;
    }
    // Different words may share a hash: they are neighbours, and the text tells which is which.
    for (; low < words[3] && words[this.#terms + 2 * low] === word.hash; low++) {
      const first = this.#postings + words[this.#terms + 2 * low + 1];
      if (!this.#isAt(word.bytes, words[first])) continue;
      return words.subarray(first, this.#postings + words[this.#terms + 2 * low + 3]);
    }
    return NONE;
  }

  /**
   * Every word of the file once, folded: a view of scratch memory that the next step overwrites.
   * @returns {Generator<Uint8Array, void>}
   */
  *words() {
    const { text } = this;
    const word = new Uint8Array(MAX_WORD);
    for (let term = this.#terms; term < this.#postings - 2; term += 2) {
      let at = this.#words[this.#postings + this.#words[term + 1]];
      let length = 0;
      for (let byte = FOLD[text[at]]; byte; byte = FOLD[text[++at]]) word[length++] = byte;
      yield word.subarray(0, length);
    }
  }

  /** Whether this whole word stands at an offset where some word begins. */
  #isAt(bytes, at) {
    for (let i = 0; i < bytes.length; i++) if (FOLD[this.text[at + i]] !== bytes[i]) return false;
    return at + bytes.length === this.bytes || FOLD[this.text[at + bytes.length]] === 0;
  }

  /**
   * The line that an offset lies in, counted from 0.
   * @param {number} offset
   */
  lineOf(offset) {
    let low = 0;
    let high = this.lines;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#words[HEADER_WORDS + middle] <= offset) low = middle;
      else high = middle;
    }
    return low;
  }

  /** The same index as plain objects, as a program without shared memory would hold it. */
  toObjects() {
    const text = Buffer.from(this.text).toString('latin1');
    const terms = new Map();
    for (let term = this.#terms; term < this.#postings - 2; term += 2) {
      const offsets = this.#words.subarray(
        this.#postings + this.#words[term + 1],
        this.#postings + this.#words[term + 3],
      );
      let end = offsets[0];
      while (FOLD[this.text[end]]) end++;
      const word = text.slice(offsets[0], end).replace(/[A-Z]+/g, (upper) => upper.toLowerCase());
      terms.set(word, Array.from(offsets));
    }
    return { text, lines: Array.from(this.#words.subarray(HEADER_WORDS, this.#terms)), terms };
  }

  /**
   * A line as text, cut to a window around an offset when it is long.
   * @param {number} line
   * @param {number} offset lies in the line
   */
  snippet(line, offset) {
    const start = this.#words[HEADER_WORDS + line];
    const end = line + 1 < this.lines ? this.#words[HEADER_WORDS + line + 1] : this.bytes;
    return cutSnippet(this.text, start, end, offset);
  }
}

/**
 * Text between two offsets, at most 160 bytes of it, around a place that must be seen.
 * @param {Uint8Array} text
 * @param {number} start
 * @param {number} end
 * @param {number} offset
 */
export function cutSnippet(text, start, end, offset) {
  const from = Math.max(start, Math.min(offset - 40, end - 160));
  // slice() copies the few bytes out of shared memory: a TextDecoder refuses to look into it.
  return decoder.decode(text.slice(from, Math.min(end, from + 160))).trim();
}
