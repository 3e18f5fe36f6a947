/**
 * larson, a server whose connections outlive its threads: each thread replaces random blocks in a table of 5,000, and
 * after 20,000 replacements leaves its table for the others and takes over the one that was left. So about a quarter of
 * the frees are of blocks that another thread allocated.
 *
 * The original starts a new thread for each table that is taken over; here that would be all that is measured. There is
 * one more table than threads, so that nobody waits.
 */

import { below, next } from '../../random.js';
import { meetAtEnd, WORDS } from '../crew-words.js';

const OBJECTS = 5000;
const ROUND = 20_000;
const LEAST = 8;
const SIZES = 993;

/** @param {import('../crew-thread.js').Thread} thread @returns {Record<string, () => import('../crew-thread.js').Work>} */
export function makeLarson({ loops, index, words, slots }) {
  const { allocator } = loops;
  let table = index;

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

  /** @param {(place: number) => void} action @param {number} of the table */
  function forAll(action, of) {
    for (let k = 0; k < OBJECTS; k++) action(of * OBJECTS + k);
  }

  const larson = {
    prepare(/** @type {number} */ parties) {
      table = index;
      forAll(allocate, table);
      if (index > 0) return;
      forAll(allocate, parties);
      Atomics.store(words, WORDS.SPARE, parties);
    },
    block() {
      for (let i = 0; i < ROUND; i++) {
        loops.random = next(loops.random);
        const place = table * OBJECTS + below(loops.random, OBJECTS);
        free(place);
        allocate(place);
      }
      table = Atomics.exchange(words, WORDS.SPARE, table);
      return ROUND;
    },
    finish(/** @type {number} */ parties) {
      meetAtEnd(words, parties);
      forAll(free, table);
      if (index === 0) forAll(free, Atomics.load(words, WORDS.SPARE));
    },
  };
  return { larson: () => larson };
}
