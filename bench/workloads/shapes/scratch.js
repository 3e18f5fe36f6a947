/**
 * cache-scratch: does the allocator hand memory of one cache line to two threads? One thread allocates a small block for
 * each, one after the other; each frees the one that it was given, and from then on allocates a block of that size,
 * writes it a thousand times, and frees it. Where the blocks share a line, writing them is many times slower.
 */

import { meet } from '../crew-words.js';

const BYTES = 8;
const WRITES = 1000;
const BLOCK = 16;

/** @param {import('../crew-thread.js').Thread} thread @returns {Record<string, () => import('../crew-thread.js').Work>} */
export function makeScratch({ loops, index, words, slots }) {
  const { allocator } = loops;
  let given = false;
  let threads = 1;

  /** The blocks that are given away, once time runs: the other thread is there then. */
  function give() {
    if (index === 0) for (let k = 0; k < threads; k++) slots[k] = allocator.alloc(BYTES);
    if (threads > 1) meet(words, threads, 1);
    allocator.free(slots[index] ?? 0);
    given = true;
  }

  const scratch = {
    prepare(/** @type {number} */ parties) {
      given = false;
      threads = parties;
    },
    block() {
      if (!given) give();
      for (let i = 0; i < BLOCK; i++) {
        const block = allocator.alloc(BYTES);
        const view = allocator.view(block, BYTES);
        for (let n = 0; n < WRITES; n++) view[0] = (view[0] ?? 0) + n;
        allocator.free(block);
      }
      return BLOCK;
    },
  };
  return { scratch: () => scratch };
}
