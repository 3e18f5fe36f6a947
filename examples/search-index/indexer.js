/**
 * Makes the index of a file in two passes, so that it is allocated once and with its exact size.
 *
 * Pass 1 (`analyse`) walks the bytes once and notes lines, terms and occurrences in scratch arrays that are this
 * thread's own and are used again for every file. Now the size is known. Pass 2 (`write`) lays everything out in
 * the memory that the caller got for it, in the format of file-index.js.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { HEADER_WORDS, MAGIC, wordsBeforeText } from './file-index.js';
import { FOLD, keepBits, MAX_WORD, MIN_WORD, PRIME, SEED } from './words.js';

/** A file with a NUL byte among its first bytes is taken for binary; git looks as far. */
const NUL_CHECK_BYTES = 8000;

/** The scratch arrays for files of less than `capacity` bytes. Untouched pages of them cost nothing. */
class Scratch {
  constructor(/** @type {number} */ capacity) {
    const words = Math.ceil(capacity / (MIN_WORD + 1)) + 2;
    this.capacity = capacity;
    /** The file, and one byte behind it that ends the last word. */
    this.text = new Uint8Array(capacity);
    this.lineStart = new Uint32Array(capacity + 1);
    /** Hash table of the terms met so far; 0 is an empty slot, so terms are numbered from 1. */
    this.slots = new Uint32Array(capacity);
    this.termHash = new Uint32Array(words);
    this.termStart = new Uint32Array(words);
    this.termLength = new Uint8Array(words);
    /** How often a term occurs; in pass 2, where its next posting goes. */
    this.termCount = new Uint32Array(words);
    this.postingTerm = new Uint32Array(words);
    this.postingStart = new Uint32Array(words);
  }
}

/** Whether two words of a text are the same but for upper and lower case. */
function sameWord(text, a, b, length) {
  for (let i = 0; i < length; i++) if (FOLD[text[a + i]] !== FOLD[text[b + i]]) return false;
  return true;
}

export class Indexer {
  #scratch = new Scratch(1 << 16);
  #bytes = 0;
  #lines = 0;
  #terms = 0;
  #postings = 0;

  /**
   * Reads a file into the scratch text.
   * @param {string} path
   * @returns {boolean} false when it is binary or cannot be read
   */
  read(path) {
    let file = -1;
    try {
      file = openSync(path, 'r');
    } catch {
      return false;
    }
    try {
      const size = fstatSync(file).size;
      let capacity = this.#scratch.capacity;
      while (capacity <= size) capacity *= 2;
      if (capacity > this.#scratch.capacity) this.#scratch = new Scratch(capacity);
      this.#bytes = 0;
      for (let got = -1; got !== 0 && this.#bytes < size; this.#bytes += got) {
        got = readSync(file, this.#scratch.text, this.#bytes, size - this.#bytes, null);
      }
    } finally {
      closeSync(file);
    }
    const head = this.#scratch.text.subarray(0, Math.min(this.#bytes, NUL_CHECK_BYTES));
    return !head.includes(0);
  }

  /** Pass 1: finds the lines and the words of what was read. */
  analyse() {
    const { text, lineStart, slots, termHash, termStart, termLength, termCount, postingTerm, postingStart } =
      this.#scratch;
    const bytes = this.#bytes;
    text[bytes] = 0;
    // At most every third byte begins a word, so this table is never full: 5 words for 6 slots at the very worst.
    let size = 1024;
    while (size * 2.5 < bytes) size *= 2;
    slots.fill(0, 0, size);
    const mask = size - 1;
    let lines = 0;
    let terms = 0;
    let postings = 0;
    if (bytes > 0) lineStart[lines++] = 0;
    for (let at = 0; at < bytes; ) {
      let byte = FOLD[text[at]];
      if (byte === 0) {
        if (text[at++] === 10 && at < bytes) lineStart[lines++] = at;
        continue;
      }
      const start = at;
      let hash = SEED;
      do {
        hash = Math.imul(hash ^ byte, PRIME);
        byte = FOLD[text[++at]];
      } while (byte !== 0);
      const length = at - start;
      if (length < MIN_WORD || length > MAX_WORD) continue;
      hash = keepBits(hash);
      let slot = hash & mask;
      let term = slots[slot];
      while (
        term !== 0 &&
        (termHash[term] !== hash || termLength[term] !== length || !sameWord(text, termStart[term], start, length))
      ) {
        slot = (slot + 1) & mask;
        term = slots[slot];
      }
      if (term === 0) {
        term = ++terms;
        slots[slot] = term;
        termHash[term] = hash;
        termStart[term] = start;
        termLength[term] = length;
        termCount[term] = 0;
      }
      termCount[term]++;
      postingTerm[postings] = term;
      postingStart[postings++] = start;
    }
    this.#lines = lines;
    this.#terms = terms;
    this.#postings = postings;
  }

  /** Bytes that the index takes: what `write` must be given. */
  get size() {
    return 4 * wordsBeforeText(this.#lines, this.#terms, this.#postings) + this.#bytes;
  }

  /**
   * Pass 2: lays the index out.
   * @param {Uint8Array} memory of `size` bytes, 4-aligned
   */
  write(memory) {
    const { text, lineStart, termHash, termCount, postingTerm, postingStart } = this.#scratch;
    const words = new Uint32Array(memory.buffer, memory.byteOffset, memory.byteLength >>> 2);
    words.set([MAGIC, this.#bytes, this.#lines, this.#terms, this.#postings]);
    words.set(lineStart.subarray(0, this.#lines), HEADER_WORDS);

    let at = HEADER_WORDS + this.#lines;
    const firstPosting = at + 2 * (this.#terms + 1);
    let posting = 0;
    for (const term of this.#termsByHash()) {
      words[at++] = termHash[term];
      words[at++] = posting;
      posting += termCount[term];
      termCount[term] = firstPosting + posting - termCount[term];
    }
    words[at++] = 0;
    words[at++] = posting;

    for (let i = 0; i < this.#postings; i++) words[termCount[postingTerm[i]]++] = postingStart[i];
    memory.set(text.subarray(0, this.#bytes), memory.byteLength - this.#bytes);
  }

  /** The numbers of the terms, ascending by hash: sorted as doubles `hash * 2^23 + number`. */
  #termsByHash() {
    const { termHash } = this.#scratch;
    const keys = new Float64Array(this.#terms);
    for (let i = 0; i < keys.length; i++) keys[i] = termHash[i + 1] * 2 ** 23 + i + 1;
    keys.sort();
    return Uint32Array.from(keys, (key) => key % 2 ** 23);
  }
}
