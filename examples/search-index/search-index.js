/** The indexes of all files in the heap. The workers make them; the main thread reads and frees them. */

import { FileIndex } from './file-index.js';
import { runAll } from './pool.js';
import { search } from './query.js';
import { queryWords } from './words.js';

export class SearchIndex {
  #heap;
  #pool;
  /** @type {Map<string, number>} */
  #pointers = new Map();

  /**
   * @param {import('sharedheap').SharedHeap} heap
   * @param {import('piscina').Piscina} pool threads that run worker.js on this heap
   */
  constructor(heap, pool) {
    this.#heap = heap;
    this.#pool = pool;
  }

  /**
   * Has files indexed. Those that turn out to be binary are left out.
   * @param {string[]} files
   * @param {string} label for the progress bar
   */
  async add(files, label) {
    const pointers = await runAll(this.#pool, files, label);
    files.forEach((file, i) => {
      if (pointers[i] !== 0) this.#pointers.set(file, pointers[i]);
    });
  }

  /**
   * Frees the index of a file.
   * @param {string} file
   */
  remove(file) {
    this.#heap.free(this.#pointers.get(file));
    this.#pointers.delete(file);
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
   * @param {string} query
   * @param {number} limit most hits wanted
   */
  answer(query, limit) {
    const start = performance.now();
    const answer = search(this.view(), queryWords(query), limit);
    return { answer, milliseconds: performance.now() - start };
  }
}
