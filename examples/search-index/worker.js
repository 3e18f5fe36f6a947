/**
 * The worker: indexes a file straight into the shared heap and returns a pointer, which is a number. It answers
 * queries, too, from what all workers have indexed by then.
 */

import { workerData } from 'piscina';
import { SharedHeap } from 'sharedheap';
import { Indexer } from './indexer.js';
import { search } from './query.js';
import { TermIndex } from './term-index.js';
import { queryWords } from './words.js';

const heap = SharedHeap.attach(workerData.heap);
const terms = new TermIndex(heap);
const indexer = new Indexer();

/**
 * @param {string} file
 * @returns {number} pointer to the index of the file; 0 when it is binary or cannot be read
 */
export default function indexFile(file) {
  if (!indexer.read(file)) return 0;
  indexer.analyse();
  const pointer = heap.alloc(indexer.size);
  indexer.write(heap.bytes(pointer, indexer.size));
  terms.add(file, pointer);
  return pointer;
}

/**
 * @param {{ query: string, limit: number }} question
 * @returns how many files were indexed when it was asked, how many of them hold the words, and how long it took
 */
export function answer({ query, limit }) {
  const start = performance.now();
  const { files } = terms.totals;
  const found = search(heap, terms, queryWords(query), limit).files;
  return { files, found, milliseconds: performance.now() - start };
}
