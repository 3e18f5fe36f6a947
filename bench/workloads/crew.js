/**
 * Two workers on one heap, and the phases that they work in.
 *
 * All threads of a phase begin at one shared flag; the main thread sleeps meanwhile. crew-thread.js is the other side.
 */

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { SLOTS, WORD_BYTES, WORDS } from './crew-words.js';

export class Crew {
  words = new Int32Array(new SharedArrayBuffer(WORD_BYTES));
  slots = new Float64Array(new SharedArrayBuffer(SLOTS * 8));
  phase = 0;
  /** @type {Worker[]} */
  workers = [];

  /** @param {import('../subjects/subject.js').Subject} subject */
  constructor({ id, open }) {
    this.allocator = open();
    const { words, slots, allocator } = this;
    for (const index of [0, 1]) {
      const workerData = { id, index, shared: allocator.share?.(), words, slots };
      this.workers.push(new Worker(new URL('crew-thread.js', import.meta.url), { workerData }));
    }
  }

  /**
   * Runs one phase.
   *
   * @param {readonly string[]} works of the first thread, and of the second if it takes part
   * @param {number} milliseconds
   * @returns {Promise<number>} operations of all threads in a millisecond
   */
  async run(works, milliseconds) {
    const { words } = this;
    const phase = ++this.phase;
    words.fill(0, WORDS.WAITING);
    this.slots.fill(0);
    const rates = Promise.all(
      works.map(async (work, i) => {
        const worker = /** @type {Worker} */ (this.workers[i]);
        const answer = once(worker, 'message');
        worker.postMessage({ work, milliseconds, phase, parties: works.length });
        const [rate] = await answer;
        return rate;
      }),
    );
    const ready = async () => {
      while (Atomics.load(words, WORDS.WAITING) < works.length) await sleep(1);
    };
    // Rejects when a worker fails, which also ends the waiting.
    await Promise.race([ready(), rates]);
    Atomics.store(words, WORDS.STARTED, phase);
    return (await rates).reduce((sum, rate) => sum + rate, 0);
  }

  async close() {
    const ended = this.workers.map((worker) => once(worker, 'exit'));
    for (const worker of this.workers) worker.postMessage('leave');
    await Promise.all(ended);
    this.allocator.close();
  }
}
