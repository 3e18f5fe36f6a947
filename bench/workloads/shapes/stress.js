/**
 * mstress, after mimalloc's own stress test: rounds of 1,000 blocks that come and go at random and 500 that stay until
 * the round's end; now and then a block is exchanged with one in a table that all threads share, and so freed elsewhere.
 *
 * A block has 1 to 16 times 8 bytes; one in a hundred has a hundred times as many.
 */

import { below, next } from '../../random.js';
import { meetAtEnd, WORDS } from '../crew-words.js';

const COMING = 1000;
const STAYING = 500;
const SHARED = 1000;
const MARK = 0x5eed;

/** @param {import('../crew-thread.js').Thread} thread @returns {Record<string, () => import('../crew-thread.js').Work>} */
export function makeStress({ loops, index, words, slots }) {
  const { allocator } = loops;
  const coming = new Float64Array(COMING);
  const staying = new Float64Array(STAYING);

  /** @param {number} n */
  function random(n) {
    loops.random = next(loops.random);
    return below(loops.random, n);
  }

  function allocate() {
    const items = 1 << random(5);
    const block = allocator.alloc(8 * (random(100) === 0 ? 100 * items : items));
    allocator.write(block, 0, MARK);
    return block;
  }

  /** @param {number} block 0: none */
  function free(block) {
    if (block === 0) return;
    if (allocator.read(block, 0) !== MARK) throw new Error(`block ${block} was overwritten`);
    allocator.free(block);
  }

  /** Two words and no atomic number of 64 bits: each slot has a lock. @param {number} mine */
  function exchange(mine) {
    const slot = random(SHARED);
    while (Atomics.compareExchange(words, WORDS.SLOT_LOCKS + slot, 0, 1) !== 0);
    const other = slots[slot] ?? 0;
    slots[slot] = mine;
    Atomics.store(words, WORDS.SLOT_LOCKS + slot, 0);
    return other;
  }

  const stress = {
    block() {
      let came = 0;
      let stayed = 0;
      while (came < COMING || stayed < STAYING) {
        if (stayed === STAYING || (came < COMING && random(2) === 0)) coming[came++] = allocate();
        else staying[stayed++] = allocate();
        if (came === 0) continue;
        if (random(3) < 2) {
          const k = random(came);
          free(coming[k] ?? 0);
          coming[k] = 0;
        }
        if (random(4) === 0) {
          const k = random(came);
          coming[k] = exchange(coming[k] ?? 0);
        }
      }
      for (let k = 0; k < COMING; k++) free(coming[k] ?? 0);
      for (let k = 0; k < STAYING; k++) free(staying[k] ?? 0);
      return COMING + STAYING;
    },
    finish(/** @type {number} */ parties) {
      meetAtEnd(words, parties);
      if (index === 0) for (let k = 0; k < SHARED; k++) free(slots[k] ?? 0);
    },
  };
  return { stress: () => stress };
}
