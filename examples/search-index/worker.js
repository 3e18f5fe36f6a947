/** The worker: indexes a file straight into the shared heap and returns a pointer, which is a number. */

import { workerData } from 'piscina';
import { SharedHeap } from 'sharedheap';
import { Indexer } from './indexer.js';

const heap = SharedHeap.attach(workerData.heap);
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
  return pointer;
}
