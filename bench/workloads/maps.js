/**
 * A map of 100,000 texts to numbers that two workers share: making it visible, inserting, looking up.
 *
 * - share: from the moment the main thread sends the map to two new workers until both have read an entry. They have
 *   loaded their modules, and answered one message before, as workers of a pool have; nothing else was run in them.
 * - share-again: the same workers, which have read that entry, are sent another map like it.
 * - insert: one worker, then two with half of the keys each, into a fresh map; time on the clock for each entry.
 * - lookup: one worker, then both, each reading all entries; time on the clock for each lookup of all.
 *
 * Arithmetic in one and in both workers, in the same round, tells what the machine's second processor was worth.
 */

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { keyOf, MAP_SUBJECTS, SHARE_ONLY, subjectNamed } from './map-subjects.js';

const ENTRIES = 100_000;
const QUICK_ENTRIES = 2_000;
/** Milliseconds between the start of two workers and sharing: until then the engine collects what starting has left. */
const SETTLE = 100;
/** Words of the shared flags: the phase that has been started, and how many threads wait for it. */
const STARTED = 0;
const WAITING = 1;

/** Two workers that know one kind of map. */
class Pair {
  words = new Int32Array(new SharedArrayBuffer(64));
  phase = 0;
  /** @type {Worker[]} */
  workers = [];

  /**
   * @param {string} id of the subject
   * @param {number} entries
   * @param {boolean} warm false when the first use of a map is what is measured
   * @param {unknown} [shared] what the workers may get ready for before they are sent a map
   */
  static async start(id, entries, warm, shared) {
    const pair = new Pair();
    const workerData = { id, entries, words: pair.words, started: STARTED, waiting: WAITING, warm, shared };
    pair.workers = [0, 1].map(() => new Worker(new URL('map-thread.js', import.meta.url), { workerData }));
    await Promise.all(pair.workers.map((worker) => once(worker, 'message')));
    return pair;
  }

  /**
   * Runs one job in the first `parts` workers.
   *
   * @param {string} job
   * @param {unknown} shared the map; undefined for arithmetic
   * @param {number} parts
   * @returns {Promise<number>} milliseconds from the first beginning to the last end
   */
  async run(job, shared, parts) {
    const phase = ++this.phase;
    Atomics.store(this.words, WAITING, 0);
    const answers = Promise.all(
      this.workers.slice(0, parts).map(async (worker, part) => {
        const answer = once(worker, 'message');
        worker.postMessage({ job, shared, part, parts, phase });
        const [times] = await answer;
        return times;
      }),
    );
    const ready = async () => {
      while (Atomics.load(this.words, WAITING) < parts) await sleep(1);
    };
    // Rejects when a worker fails, which also ends the waiting.
    await Promise.race([ready(), answers]);
    Atomics.store(this.words, STARTED, phase);
    const times = await answers;
    return Math.max(...times.map(({ end }) => end)) - Math.min(...times.map(({ begin }) => begin));
  }

  /**
   * Sends both workers the same message.
   *
   * @param {unknown} message
   * @returns {Promise<number[]>} when each had done what it says
   */
  async ask(message) {
    const answers = this.workers.map((worker) => once(worker, 'message'));
    for (const worker of this.workers) worker.postMessage(message);
    return (await Promise.all(answers)).map(([{ end }]) => end);
  }

  async close() {
    const ended = this.workers.map((worker) => once(worker, 'exit'));
    for (const worker of this.workers) worker.postMessage('leave');
    await Promise.all(ended);
  }
}

/**
 * @param {string} id
 * @param {number} entries
 * @param {import('./map-subjects.js').MadeMap} [beside] the first of two
 */
function filled(id, entries, beside) {
  const made = subjectNamed(id).make(entries, beside);
  for (let n = 0; n < entries; n++) made.map.set(keyOf(n), n);
  return made;
}

/** @typedef {{ quick: boolean }} Options */

/**
 * @param {Pair} pair
 * @param {import('./map-subjects.js').MadeMap} made
 * @returns {Promise<number>} nanoseconds until both workers have read an entry
 */
async function share(pair, made) {
  const begin = performance.timeOrigin + performance.now();
  return (Math.max(...(await pair.ask({ job: 'share', shared: made.share() }))) - begin) * 1e6;
}

/**
 * @param {string} id
 * @param {boolean} again
 * @param {Options} options
 * @returns {Promise<import('../cases.js').Measured>}
 */
async function measureShare(id, again, { quick }) {
  const entries = quick ? QUICK_ENTRIES : ENTRIES;
  const made = filled(id, entries);
  const another = filled(id, entries, made);
  const samples = [];
  for (let round = 0; round < (quick ? 1 : 9); round++) {
    const { enter } = subjectNamed(id);
    const pair = await Pair.start(id, entries, false, enter === undefined ? undefined : made.share());
    await pair.ask({ job: 'wake up' });
    await sleep(SETTLE);
    const first = await share(pair, made);
    samples.push(again ? await share(pair, another) : first);
    await pair.close();
  }
  made.close();
  return { samples, operations: 1 };
}

/**
 * @param {string} id
 * @param {'insert' | 'lookup'} job
 * @param {Options} options
 * @returns {Promise<import('../cases.js').Measured>}
 */
async function measureTwo(id, job, { quick }) {
  const entries = quick ? QUICK_ENTRIES : ENTRIES;
  const pair = await Pair.start(id, entries, true);
  const make = () => (job === 'insert' ? subjectNamed(id).make(entries) : filled(id, entries));
  // Two threads insert each entry once between them, and look each up twice.
  const alone = entries;
  const both = job === 'insert' ? entries : 2 * entries;
  const { writers } = subjectNamed(id);
  const parts = job === 'insert' && writers === 'one' ? 1 : 2;
  /** @type {import('../cases.js').ThreadSamples} */
  const threads = { oneThread: [], scaling: [], machineScaling: [] };
  /** @type {number[]} */
  const samples = [];
  for (let round = 0; round < (quick ? 1 : 7); round++) {
    const arithmetic = await pair.run('arithmetic', undefined, 1);
    const arithmeticTwice = await pair.run('arithmetic', undefined, 2);
    const one = make();
    const first = (await pair.run(job, one.share(), 1)) / alone;
    one.close();
    threads.oneThread.push(first * 1e6);
    if (parts === 2) {
      const two = make();
      const together = (await pair.run(job, two.share(), 2)) / both;
      two.close();
      threads.scaling.push(first / together);
      threads.machineScaling.push((2 * arithmetic) / arithmeticTwice);
      samples.push((job === 'insert' ? first : together) * 1e6);
    } else samples.push(first * 1e6);
  }
  await pair.close();
  return parts === 2 ? { samples, operations: 1, threads } : { samples, operations: 1 };
}

/** @type {import('../cases.js').Case[]} */
export const MAP_CASES = MAP_SUBJECTS.flatMap(({ id, subject, peer, writers }) => {
  const common = { group: 'maps', id, subject, peer };
  /** @type {import('../cases.js').Case[]} */
  const cases = [
    { ...common, workload: 'map-share', measure: (options) => measureShare(id, false, options) },
    { ...common, workload: 'map-share-again', measure: (options) => measureShare(id, true, options) },
  ];
  if (SHARE_ONLY.includes(id)) return cases;
  if (writers !== 'none') {
    cases.push({ ...common, workload: 'map-insert', measure: (options) => measureTwo(id, 'insert', options) });
  }
  cases.push({ ...common, workload: 'map-lookup', measure: (options) => measureTwo(id, 'lookup', options) });
  return cases;
}).sort((a, b) => a.workload.localeCompare(b.workload));
