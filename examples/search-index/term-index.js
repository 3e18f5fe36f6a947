/**
 * One index for all files, shared by all threads: from a word to the files that hold it.
 *
 * Two hash tables of the heap, open in every thread by name. `terms` leads from a word to its posting list, an object
 * in the heap: pointers to the indexes of the files (file-index.js), 8 bytes each. `files` leads from such a pointer to the
 * path of the file. All workers add to them at the same time, and any thread may ask meanwhile: a list is changed and read
 * under the lock of its entry, so what is read is whole.
 */

import { FileIndex } from './file-index.js';

/** What the table holds for a word. `list` has room for `room` pointers, and `files` of them count. */
const POSTINGS = /** @type {const} */ ({ list: 'pointer', files: 'u32', room: 'u32' });

/** @typedef {import('sharedheap').Pointer} Pointer */
const POINTER_BYTES = 8;

export class TermIndex {
  #heap;
  #terms;
  #files;
  #totals;
  /** The file that is added, removed or looked for. The functions below are made once, not for every word. */
  #file = 0;
  /** @type {Pointer[]} */
  #found = [];

  /** @param {import('sharedheap').SharedHeap} heap */
  constructor(heap) {
    this.#heap = heap;
    this.#terms = heap.map('terms', { key: 'bytes', value: POSTINGS });
    this.#files = heap.map('files', { key: 'number', value: 'string' });
    this.#totals = heap.map('totals', { value: 'number' });
  }

  /** How many files there are, and how many words in all of them. */
  get totals() {
    return { files: this.#files.size, words: this.#totals.get('words') ?? 0 };
  }

  /** Pointers and paths of the files that are indexed by now. */
  get files() {
    return this.#files.entries();
  }

  /**
   * Makes a file known under each of its words.
   * @param {string} path
   * @param {number} pointer to its index
   */
  add(path, pointer) {
    const index = this.#open(pointer);
    this.#files.set(pointer, path);
    this.#totals.update('words', (words = 0) => words + index.length);
    for (const word of index.words()) this.#terms.update(word, this.#append);
  }

  /**
   * Takes a file out of all lists. The index itself is the caller's to free.
   * @param {number} pointer to its index
   */
  remove(pointer) {
    const index = this.#open(pointer);
    for (const word of index.words()) this.#terms.update(word, this.#drop);
    this.#totals.update('words', (words) => words - index.length);
    this.#files.delete(pointer);
  }

  /**
   * The files that hold a word.
   * @param {Uint8Array} word
   * @returns {Pointer[]} pointers to their indexes
   */
  filesWith(word) {
    this.#found = [];
    this.#terms.update(word, this.#read);
    return this.#found;
  }

  /** @param {number} pointer to the index of a file */
  pathOf(pointer) {
    return this.#files.get(pointer);
  }

  /** Gives the memory of both tables back, once every file was removed. */
  clear() {
    this.#terms.clear();
    this.#files.clear();
    this.#totals.clear();
  }

  #open(pointer) {
    this.#file = pointer;
    return new FileIndex(this.#heap.bytes(pointer));
  }

  #append = (entry) => {
    const { files, room } = entry;
    if (files === room) {
      entry.room = Math.max(1, 2 * room);
      entry.list = this.#heap.realloc(entry.list, entry.room * POINTER_BYTES);
    }
    this.#heap.setPointer(entry.list, files * POINTER_BYTES, this.#file);
    entry.files = files + 1;
  };

  #drop = (entry) => {
    const { list } = entry;
    const last = (entry.files - 1) * POINTER_BYTES;
    let at = 0;
    while (at <= last && this.#heap.pointer(list, at) !== this.#file) at += POINTER_BYTES;
    if (at > last) return;
    // The last one takes its place: the order of a list means nothing.
    this.#heap.setPointer(list, at, this.#heap.pointer(list, last));
    entry.files--;
    if (last > 0) return;
    this.#heap.free(list);
    entry.list = 0;
    entry.room = 0;
  };

  #read = (entry) => {
    const { list, files } = entry;
    for (let at = 0; at < files; at++) this.#found.push(this.#heap.pointer(list, at * POINTER_BYTES));
    return false;
  };
}
