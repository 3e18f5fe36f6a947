/** The search index as the main thread sees it: the workers fill it, everybody reads it. */

import { FileIndex } from './file-index.js';
import { runAll } from './pool.js';
import { search } from './query.js';
import { TermIndex } from './term-index.js';
import { queryWords } from './words.js';

/** Files between two questions that are asked while indexing goes on. */
const FILES_PER_QUESTION = 400;

/** @typedef {{ files: number, found: number, milliseconds: number }} EarlyAnswer */

export class SearchIndex {
  #heap;
  #pool;
  #terms;
  /** @type {Map<string, number>} */
  #pointers = new Map();

  /**
   * @param {import('sharedheap').SharedHeap} heap
   * @param {import('piscina').Piscina} pool threads that run worker.js on this heap
   */
  constructor(heap, pool) {
    this.#heap = heap;
    this.#pool = pool;
    this.#terms = new TermIndex(heap);
  }

  /**
   * Has files indexed. Those that turn out to be binary are left out. Now and then one of the workers is asked for an
   * answer from what is there by then.
   * @param {string[]} files
   * @param {string} label for the progress bar
   * @param {string} query
   * @returns {Promise<EarlyAnswer[]>} the answers, in the order of the questions
   */
  async add(files, label, query) {
    /** @type {Promise<EarlyAnswer>[]} */
    const early = [];
    let done = 0;
    const pointers = await runAll(this.#pool, files, label, () => {
      if (++done % FILES_PER_QUESTION === 0) early.push(this.#pool.run({ query, limit: 1 }, { name: 'answer' }));
    });
    files.forEach((file, i) => {
      if (pointers[i] !== 0) this.#pointers.set(file, pointers[i]);
    });
    return Promise.all(early);
  }

  /**
   * Frees the index of a file.
   * @param {string} file
   */
  remove(file) {
    const pointer = this.#pointers.get(file);
    this.#terms.remove(pointer);
    this.#heap.free(pointer);
    this.#pointers.delete(file);
  }

  /** Gives the memory of the shared tables back, once every file was removed. */
  clear() {
    this.#terms.clear();
  }

  /** The files that are indexed. */
  get paths() {
    return [...this.#pointers.keys()];
  }

  /**
   * All indexes, to be read in place. They are views of the heap, so they are made for one use and not kept: once
   * an object is freed its memory belongs to somebody else.
   * @returns {import('./query.js').IndexedFile[]}
   */
  view() {
    return Array.from(this.#pointers, ([path, pointer]) => ({ path, index: new FileIndex(this.#heap.bytes(pointer)) }));
  }

  /**
   * @param {import('./words.js').Word[]} words
   * @param {number} limit most hits wanted
   * @returns {import('./query.js').Answer}
   */
  search(words, limit) {
    return search(this.#heap, this.#terms, words, limit);
  }

  /**
   * @param {string} query
   * @param {number} limit most hits wanted
   */
  answer(query, limit) {
    const start = performance.now();
    const answer = this.search(queryWords(query), limit);
    return { answer, milliseconds: performance.now() - start };
  }
}
