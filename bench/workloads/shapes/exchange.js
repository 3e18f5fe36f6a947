/**
 * xmalloc: one thread allocates, the other frees, with a queue of pointers between them. And the queue alone.
 *
 * The first word of each block is its number, which the consumer expects to find.
 */

import { below, next } from '../../random.js';
import { meetAtEnd, WORDS } from '../crew-words.js';

/** Pointers that may be under way; a power of two. */
const UNDER_WAY = 1024;
const BLOCK = 256;
const LEAST = 16;
const SIZES = 241;

/** Looks at the other side's count before a short sleep: where threads share a processor, looking keeps it from moving. */
const LOOKS = 2000;
/** Milliseconds. */
const SLEEP = 0.1;

/** Of one side: how far it is, and how far it knows the other to be. */
class End {
  here = 0;
  there = 0;
}

/**
 * Looks once more how far the other side is.
 *
 * @param {Int32Array} words
 * @param {number} word
 * @param {End} end
 * @param {number} looks so far
 */
function look(words, word, end, looks) {
  if (looks % LOOKS === LOOKS - 1) Atomics.wait(words, word, end.there, SLEEP);
  end.there = Atomics.load(words, word);
}

/**
 * Puts a pointer in; waits for room.
 *
 * @param {import('../crew-thread.js').Thread} thread
 * @param {End} end
 * @param {number} pointer
 * @returns {boolean} false when time is up before there is room
 */
function put({ words, slots }, end, pointer) {
  for (let looks = 0; ((end.here - end.there) | 0) >= UNDER_WAY; looks++) {
    if (Atomics.load(words, WORDS.STOP) !== 0) return false;
    look(words, WORDS.TAKEN, end, looks);
  }
  slots[end.here & (UNDER_WAY - 1)] = pointer;
  end.here = (end.here + 1) | 0;
  Atomics.store(words, WORDS.PUT, end.here);
  return true;
}

/**
 * Takes a pointer out; waits for one.
 *
 * @param {import('../crew-thread.js').Thread} thread
 * @param {End} end
 * @returns {number} 0 when time is up before there is one
 */
function take({ words, slots }, end) {
  for (let looks = 0; end.there === end.here; looks++) {
    look(words, WORDS.PUT, end, looks);
    if (end.there === end.here && Atomics.load(words, WORDS.STOP) !== 0) return 0;
  }
  const pointer = slots[end.here & (UNDER_WAY - 1)] ?? 0;
  end.here = (end.here + 1) | 0;
  Atomics.store(words, WORDS.TAKEN, end.here);
  return pointer;
}

/** @param {import('../crew-thread.js').Thread} thread @returns {import('../crew-thread.js').Work} */
function makeProducer(thread) {
  const { loops, words } = thread;
  let end = new End();
  return {
    prepare() {
      end = new End();
    },
    block() {
      const { allocator } = loops;
      let x = loops.random;
      for (let i = 0; i < BLOCK; i++) {
        x = next(x);
        const block = allocator.alloc(LEAST + below(x, SIZES));
        allocator.write(block, 0, end.here);
        if (!put(thread, end, block)) {
          allocator.free(block);
          break;
        }
      }
      loops.random = x;
      return 0;
    },
    finish: (parties) => meetAtEnd(words, parties),
  };
}

/** @param {import('../crew-thread.js').Thread} thread @returns {import('../crew-thread.js').Work} */
function makeConsumer(thread) {
  const { loops, words } = thread;
  let end = new End();
  const free = (/** @type {number} */ block, /** @type {number} */ number) => {
    const { allocator } = loops;
    if (allocator.read(block, 0) !== number) throw new Error(`block ${number} was overwritten`);
    allocator.free(block);
  };
  return {
    prepare() {
      end = new End();
    },
    block() {
      for (let i = 0; i < BLOCK; i++) {
        const number = end.here;
        const block = take(thread, end);
        if (block === 0) return i;
        free(block, number);
      }
      return BLOCK;
    },
    finish(parties) {
      meetAtEnd(words, parties);
      for (let number = end.here, block = take(thread, end); block !== 0; block = take(thread, end)) {
        free(block, number);
        number = end.here;
      }
    },
  };
}

/** The queue alone: numbers that are no blocks. @param {import('../crew-thread.js').Thread} thread */
function makeBare(thread) {
  let end = new End();
  const prepare = () => {
    end = new End();
  };
  const send = {
    prepare,
    block() {
      for (let i = 0; i < BLOCK && put(thread, end, 8); i++);
      return 0;
    },
  };
  const receive = {
    prepare,
    block() {
      for (let i = 0; i < BLOCK; i++) if (take(thread, end) === 0) return i;
      return BLOCK;
    },
  };
  return { send, receive };
}

/** @param {import('../crew-thread.js').Thread} thread @returns {Record<string, () => import('../crew-thread.js').Work>} */
export function makeExchangeWorks(thread) {
  return {
    produce: () => makeProducer(thread),
    consume: () => makeConsumer(thread),
    send: () => makeBare(thread).send,
    receive: () => makeBare(thread).receive,
  };
}
