/**
 * Two threads on one area, against one thread in the same run.
 *
 * Each sample is a row of phases of a fixed time: arithmetic alone and in both threads, which tells what the machine's
 * second processor is worth at that moment, then the work alone and in both threads. All threads of a phase begin at
 * one shared flag. The main thread sleeps meanwhile.
 */

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { AreaSubject } from '../subjects.js';

/** Live objects of each thread in the mixed work. */
const LIVE = 5000;
/** Words of the shared flags: the phase that has been started, and how many threads wait for it. */
const STARTED = 0;
const WAITING = 1;
/** And the lock that both threads want: zero words are a free one. */
const LOCK_WORD = 32;

/** One thread alone does the first of the two works. */
const WORKS = /** @type {const} */ ([
  ['threads-same-class', 'pair64', 'pair64'],
  ['threads-different-classes', 'pair64', 'pair1024'],
  ['threads-mixed', 'mixed', 'mixed'],
  ['threads-lock-exclusive', 'lockExclusive', 'lockExclusive'],
  ['threads-lock-shared', 'lockShared', 'lockShared'],
]);

/** Two workers that are attached to one area. */
class Pair {
  subject = AreaSubject.create();
  words = new Int32Array(new SharedArrayBuffer(256));
  phase = 0;
  workers = [0, 1].map((index) => this.start(index));

  /** @param {number} index */
  start(index) {
    const { words, subject } = this;
    const { handle } = subject.area;
    const shared = {
      index,
      cluster: subject.dsm.handle,
      handle,
      words,
      started: STARTED,
      waiting: WAITING,
      live: LIVE,
      lockWord: LOCK_WORD,
    };
    return new Worker(new URL('thread.js', import.meta.url), { workerData: shared });
  }

  /**
   * Runs one phase.
   *
   * @param {string[]} works of the first thread, and of the second if it takes part
   * @param {number} milliseconds
   * @returns {Promise<number>} operations of all threads in a millisecond
   */
  async run(works, milliseconds) {
    const { words } = this;
    const phase = ++this.phase;
    Atomics.store(words, WAITING, 0);
    const rates = Promise.all(
      works.map(async (work, i) => {
        const worker = /** @type {Worker} */ (this.workers[i]);
        const answer = once(worker, 'message');
        worker.postMessage({ work, milliseconds, phase });
        const [rate] = await answer;
        return rate;
      }),
    );
    // Rejects when a worker fails, which also ends the waiting.
    const ready = async () => {
      while (Atomics.load(words, WAITING) < works.length) await sleep(1);
    };
    await Promise.race([ready(), rates]);
    Atomics.store(words, STARTED, phase);
    return (await rates).reduce((sum, rate) => sum + rate, 0);
  }

  async close() {
    const ended = this.workers.map((worker) => once(worker, 'exit'));
    for (const worker of this.workers) worker.postMessage('leave');
    await Promise.all(ended);
    this.subject.close();
  }
}

/** @param {number} operationsPerMillisecond */
const nanoseconds = (operationsPerMillisecond) => 1e6 / operationsPerMillisecond;

/**
 * @param {string} first
 * @param {string} second
 * @param {{ quick: boolean }} options
 * @returns {Promise<import('../cases.js').Measured>}
 */
async function measureTwo(first, second, { quick }) {
  const milliseconds = quick ? 20 : 400;
  const pair = new Pair();
  const warmUp = [[first], ['arithmetic', 'arithmetic'], [first, second], [first]];
  for (const works of warmUp) await pair.run(works, milliseconds / 2);
  /** @type {import('../cases.js').Measured & { threads: import('../cases.js').ThreadSamples }} */
  const measured = { samples: [], operations: 1, threads: { oneThread: [], scaling: [], machineScaling: [] } };
  for (let round = 0; round < (quick ? 1 : 3); round++) {
    const arithmetic = await pair.run(['arithmetic'], milliseconds);
    const arithmeticTwice = await pair.run(['arithmetic', 'arithmetic'], milliseconds);
    const one = await pair.run([first], milliseconds);
    const two = await pair.run([first, second], milliseconds);
    measured.samples.push(nanoseconds(two));
    measured.threads.oneThread.push(nanoseconds(one));
    measured.threads.scaling.push(two / one);
    measured.threads.machineScaling.push(arithmeticTwice / arithmetic);
  }
  await pair.close();
  return measured;
}

/** @type {import('../cases.js').Case[]} */
export const THREAD_CASES = WORKS.map(([workload, first, second]) => ({
  group: 'threads',
  workload,
  id: 'area',
  subject: 'DsaArea',
  measure: (options) => measureTwo(first, second, options),
}));
