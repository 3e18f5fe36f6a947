/**
 * larson, a server whose connections outlive its threads: each thread replaces random blocks in a table of 5,000, and
 * after 20,000 replacements the threads take over each other's table. So half of the frees at least are of blocks that
 * another thread allocated. One thread alone keeps its table.
 *
 * The original starts a new thread for each table that is taken over; here that would be all that is measured.
 */

import { below, next } from '../../random.js';
import { meet, meetAtEnd } from '../crew-words.js';

const OBJECTS = 5000;
const ROUND = 20_000;
const LEAST = 8;
const SIZES = 993;

/** @param {import('../crew-thread.js').Thread} thread @returns {Record<string, () => import('../crew-thread.js').Work>} */
export function makeLarson({ loops, index, words, slots }) {
  const { allocator } = loops;
  let round = 0;
  let threads = 1;

  /** @param {number} place */
  function allocate(place) {
    loops.random = next(loops.random);
    const block = allocator.alloc(LEAST + below(loops.random, SIZES));
    allocator.write(block, 0, place);
    slots[place] = block;
  }

  /** @param {number} place */
  function free(place) {
    const block = slots[place] ?? 0;
    if (allocator.read(block, 0) !== place) throw new Error(`the block at place ${place} was overwritten`);
    allocator.free(block);
  }

  const larson = {
    prepare(/** @type {number} */ parties) {
      round = 0;
      threads = parties;
      for (let k = 0; k < OBJECTS; k++) allocate(index * OBJECTS + k);
    },
    block() {
      const table = ((index + round) % threads) * OBJECTS;
      for (let i = 0; i < ROUND; i++) {
        loops.random = next(loops.random);
        const place = table + below(loops.random, OBJECTS);
        free(place);
        allocate(place);
      }
      round++;
      if (threads > 1) meet(words, threads, round);
      return ROUND;
    },
    finish(/** @type {number} */ parties) {
      meetAtEnd(words, parties);
      for (let k = 0; k < OBJECTS; k++) free(index * OBJECTS + k);
    },
  };
  return { larson: () => larson };
}
