/** What the threads of crew.js share beside the heap: flags, a table of blocks, and how to wait for each other. */

/** Words that lie in different cache lines. Those behind `WAITING` are 0 when a phase begins. */
export const WORDS = {
  /** The phase that has begun. Written by the main thread. */
  STARTED: 0,
  /** Threads that are ready to begin. */
  WAITING: 32,
  /** Set by the first thread whose time is up: nobody waits for another any more. */
  STOP: 64,
  /** Threads that have stopped. */
  FINISHED: 96,
  /** Threads that have come to the barrier, of all rounds. */
  ARRIVED: 128,
  /** Blocks that were put into the queue, and taken out. */
  PUT: 160,
  TAKEN: 192,
  /** The table that nobody has, in sh8. */
  SPARE: 224,
  /** The lock that both threads want; zero words are a free one. */
  LOCK: 256,
  /** First of some words for each table of sh8. */
  TABLES: 288,
  /** First of a lock for each slot of mstress. */
  SLOT_LOCKS: 512,
};

/** Slots for blocks: as many as three tables of the greediest shape. */
export const SLOTS = 32_768;

export const WORD_BYTES = 4 * 2048;

/**
 * Waits until all have called it so often, or time is up.
 *
 * @param {Int32Array} words
 * @param {number} parties
 * @param {number} round 1, 2, ...
 */
export function meet(words, parties, round) {
  Atomics.add(words, WORDS.ARRIVED, 1);
  while (Atomics.load(words, WORDS.ARRIVED) < parties * round && Atomics.load(words, WORDS.STOP) === 0);
}

/**
 * Waits until all have stopped; they do once STOP is set.
 *
 * @param {Int32Array} words
 * @param {number} parties
 */
export function meetAtEnd(words, parties) {
  Atomics.add(words, WORDS.FINISHED, 1);
  while (Atomics.load(words, WORDS.FINISHED) < parties);
}
