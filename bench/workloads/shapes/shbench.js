/**
 * sh6 and sh8, after MicroQuill's shbench: a table is filled with blocks of all sizes up to 1,000 bytes, small ones more
 * often. When it is full, a fifth is kept, another one each time; what lies before it is freed in the order of
 * allocation, what lies behind in the reverse order.
 *
 * In sh6 each thread has its table. In sh8 there is one more table than threads: a thread whose table is full leaves it
 * for the others and goes on with the one that was left, so that most frees are of blocks of another thread.
 */

import { meetAtEnd, WORDS } from '../crew-words.js';

const PLACES = 10_000;
const KEPT = PLACES / 5;
const LEAST = 8;
const MOST = 1000;
const BLOCK = 256;
/** Words of a table: the part that is kept. */
const FROM = 0;
const TO = 1;

/** Each size as often as it fits into the greatest. */
const SIZES = Int32Array.from(
  Array.from({ length: MOST - LEAST + 1 }, (_, i) => MOST - i).flatMap((size) =>
    Array.from({ length: Math.floor(MOST / size) }, () => size),
  ),
);

/** The table that a thread fills. */
class Filler {
  table = 0;
  place = 0;
  size = 0;

  /** @param {import('../crew-thread.js').Thread} thread */
  constructor({ loops, words, slots }) {
    this.allocator = loops.allocator;
    this.words = words;
    this.slots = slots;
  }

  /** @param {number} table */
  start(table) {
    this.table = table;
    this.place = 0;
    this.size = 0;
  }

  /** First of the words of the table. */
  get mine() {
    return WORDS.TABLES + 32 * this.table;
  }

  /** Allocates blocks until the table is full. @param {number} count @returns {number} how many */
  fill(count) {
    const { allocator, slots, words, mine } = this;
    const first = this.table * PLACES;
    const from = Atomics.load(words, mine + FROM);
    const to = Atomics.load(words, mine + TO);
    for (let done = 0; done < count; done++) {
      if (this.place === from && from !== to) this.place = to;
      if (this.place >= PLACES) return done;
      const place = first + this.place;
      const block = allocator.alloc(SIZES[this.size] ?? LEAST);
      allocator.write(block, 0, place);
      slots[place] = block;
      this.place++;
      this.size = this.size + 1 === SIZES.length ? 0 : this.size + 1;
    }
    return count;
  }

  /** Frees all but a fifth, the next one. */
  sweep() {
    const { words, mine } = this;
    const from = Atomics.load(words, mine + TO) % PLACES;
    Atomics.store(words, mine + FROM, from);
    Atomics.store(words, mine + TO, from + KEPT);
    for (let k = 0; k < from; k++) this.free(k);
    for (let k = PLACES - 1; k >= from + KEPT; k--) this.free(k);
    this.place = 0;
  }

  /** @param {number} k */
  free(k) {
    const place = this.table * PLACES + k;
    const block = this.slots[place] ?? 0;
    if (block === 0) return;
    if (this.allocator.read(block, 0) !== place) throw new Error(`the block at place ${place} was overwritten`);
    this.allocator.free(block);
    this.slots[place] = 0;
  }

  freeAll() {
    for (let k = 0; k < PLACES; k++) this.free(k);
  }
}

/** @param {import('../crew-thread.js').Thread} thread @returns {Record<string, () => import('../crew-thread.js').Work>} */
export function makeShbench(thread) {
  const { index, words } = thread;
  const filler = new Filler(thread);
  const sh6 = {
    prepare: () => filler.start(index),
    block() {
      const done = filler.fill(BLOCK);
      if (done < BLOCK) filler.sweep();
      return done;
    },
    finish: () => filler.freeAll(),
  };
  let threads = 1;
  const sh8 = {
    prepare(/** @type {number} */ parties) {
      threads = parties;
      filler.start(index);
      Atomics.store(words, WORDS.SPARE, threads);
    },
    block() {
      const done = filler.fill(BLOCK);
      if (done < BLOCK) {
        filler.start(Atomics.exchange(words, WORDS.SPARE, filler.table));
        filler.sweep();
      }
      return done;
    },
    finish(/** @type {number} */ parties) {
      meetAtEnd(words, parties);
      filler.freeAll();
      if (index !== 0) return;
      filler.start(Atomics.load(words, WORDS.SPARE));
      filler.freeAll();
    },
  };
  return { sh6: () => sh6, sh8: () => sh8 };
}
