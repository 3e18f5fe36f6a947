/**
 * A worker of crew.js: waits for the shared start flag, works for a fixed time, answers how much it did.
 *
 * The clock is read once in a block of operations. A main thread that dies takes its workers with it, so waiting for the
 * others needs no limit of its own.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { Loops } from '../loops.js';
import { SEED } from '../random.js';
import { subjectNamed } from '../subjects/subjects.js';
import { WORDS } from './crew-words.js';
import { makeLockWorks } from './lock-works.js';
import { makePlainWorks } from './plain-works.js';
import { makeExchangeWorks } from './shapes/exchange.js';
import { makeLarson } from './shapes/larson.js';
import { makeScratch } from './shapes/scratch.js';
import { makeShbench } from './shapes/shbench.js';
import { makeStress } from './shapes/stress.js';

/**
 * @typedef {object} Work
 * @property {(parties: number) => void} [prepare] before the time begins
 * @property {() => number} block does some operations and returns how many, at most some milliseconds' worth
 * @property {(parties: number) => void} [finish] after everybody's time has ended; leaves nothing allocated
 *
 * @typedef {object} Thread
 * @property {Loops} loops
 * @property {number} index
 * @property {Int32Array} words
 * @property {Float64Array} slots
 */

const { id, index, shared, slots } = workerData;
/** @type {Int32Array} */
const words = workerData.words;
const subject = subjectNamed(id);
const loops = new Loops(/** @type {NonNullable<typeof subject.attach>} */ (subject.attach)(shared));
loops.random = SEED ^ Math.imul(index, 0x9e3779b9);
loops.base = index * 2 ** 20;

/** @type {Thread} */
const thread = { loops, index, words, slots };
/** @type {Record<string, () => Work>} */
const WORKS = {
  ...makePlainWorks(thread),
  ...makeLockWorks(thread),
  ...makeExchangeWorks(thread),
  ...makeLarson(thread),
  ...makeShbench(thread),
  ...makeStress(thread),
  ...makeScratch(thread),
};

/** Made once, so that the engine's code is that of the phases before. @type {Map<string, Work>} */
const made = new Map();

/** @param {string} name */
function workNamed(name) {
  const work = made.get(name) ?? WORKS[name]?.();
  if (work === undefined) throw new Error(`no work is called ${name}`);
  made.set(name, work);
  return work;
}

/** @param {{ work: string, milliseconds: number, phase: number, parties: number }} job */
function runPhase({ work, milliseconds, phase, parties }) {
  const { prepare, block, finish } = workNamed(work);
  prepare?.(parties);
  Atomics.add(words, WORDS.WAITING, 1);
  while (Atomics.load(words, WORDS.STARTED) < phase);
  const begin = performance.now();
  let operations = 0;
  let now = begin;
  do {
    operations += block();
    now = performance.now();
  } while (now < begin + milliseconds && Atomics.load(words, WORDS.STOP) === 0);
  Atomics.store(words, WORDS.STOP, 1);
  finish?.(parties);
  return operations / (now - begin);
}

parentPort?.on('message', (job) => {
  if (job === 'leave') {
    loops.close();
    parentPort?.close();
  } else {
    parentPort?.postMessage(runPhase(job));
  }
});
