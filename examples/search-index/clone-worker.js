/**
 * The same worker without a shared heap: what it returns is copied to the main thread by structured clone. Either
 * the very same bytes, or the objects that a program without an index format would make.
 */

import { FileIndex } from './file-index.js';
import { Indexer } from './indexer.js';

const indexer = new Indexer();

/** @param {string} file */
function indexFile(file) {
  if (!indexer.read(file)) return null;
  indexer.analyse();
  const memory = new Uint8Array(indexer.size);
  indexer.write(memory);
  return memory;
}

/**
 * @param {{ file: string, as: 'bytes' | 'objects' }} task
 * @returns the index of the file; null when it is binary or cannot be read
 */
export default function cloneFile({ file, as }) {
  const memory = indexFile(file);
  return memory === null || as === 'bytes' ? memory : new FileIndex(memory).toObjects();
}
