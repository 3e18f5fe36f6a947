/** Jobs of worker threads for the tests of named locks, conditions and barriers. */

import { parentPort, workerData } from 'node:worker_threads';
import { Dsm } from '../../dist/dsm/dsm.js';
import { openBarrier } from '../../dist/heap/named-barrier.js';
import { openCondition } from '../../dist/heap/named-condition.js';
import { openLock } from '../../dist/heap/named-lock.js';

const { handle, places } = workerData;
const dsm = Dsm.join(workerData.dsm);
const segment = dsm.attach(handle);
const words = segment.i32.subarray(0, 32);
const home = {
  participant: dsm.participant,
  tranches: dsm.tranches,
  blocks: {
    block: (/** @type {string} */ name) => ({
      i32: segment.i32,
      word: (places.get(name).at * 128) / 4,
      ns: handle,
    }),
  },
};

/** @type {Record<string, () => unknown>} */
const jobs = {
  /** Counts under the lock, by turns blocking and not, alone and shared. */
  async count() {
    const lock = openLock(home, 'lock');
    let torn = 0;
    for (let n = 0; n < workerData.times; n++) {
      lock.withLock(() => {
        words[0]++;
        words[1]++;
      });
      if (n % 16 === 0) {
        await lock.withLockAsync(async () => {
          words[0]++;
          await Promise.resolve();
          words[1]++;
        });
      }
      const guard = lock.acquireShared();
      if (words[0] !== words[1]) torn++;
      guard.release();
    }
    return { torn };
  },

  /** Takes what `deliver` brings, under a lock. */
  take() {
    const lock = openLock(home, 'lock');
    const condition = openCondition(home, 'condition');
    let sum = 0;
    for (let n = 0; n < workerData.times; n++) {
      const guard = lock.acquire();
      condition.waitFor(() => words[0] > 0, { lock });
      sum += words[0]--;
      guard.release();
      condition.broadcast();
    }
    return { sum };
  },

  /** Holds the lock until the worker is ended. */
  hold() {
    openLock(home, 'lock').acquire();
    Atomics.store(words, 8, 1);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  },

  /** Goes through some phases. */
  phases() {
    const barrier = openBarrier(home, 'barrier', workerData.parties);
    if (workerData.parties === 0) barrier.attach();
    let elected = 0;
    for (let n = 0; n < workerData.times; n++) if (barrier.arriveAndWait()) elected++;
    if (workerData.parties === 0) barrier.arriveAndDetach();
    return { elected };
  },
};

const result = await jobs[workerData.job]();
dsm.leave();
parentPort.postMessage(result);
