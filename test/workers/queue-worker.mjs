/** Jobs of worker threads for the tests of queues. The job's name and what it needs come in workerData. */

import { parentPort, workerData } from 'node:worker_threads';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { SharedQueue } from '../../dist/heap/queue.js';
import { openQueue } from '../../dist/heap/queue-open.js';
import { QueueControl } from '../../dist/heap/queue-layout.js';
import { Registry } from '../../dist/registry/registry.js';
import { lwlockAcquire, LW_EXCLUSIVE } from '../../dist/sync/sync.js';

const { cluster, area: handle, job, id, times, signals } = workerData;
const dsm = Dsm.join(cluster);
const area = DsaArea.attach(dsm, handle, { fallback: true });
const registry = Registry.open(dsm);
const home = { dsm, area, registry };
const queue = SharedQueue.open(home, 'q');

/** Sizes that wrap at ever other places, short and long. */
const textOf = (/** @type {number} */ n) => 'x'.repeat((n * 37) % workerData.longest);

function sleepForEver() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** Says that it is about to begin, and counts steps where the test can see them. */
function progress() {
  if (signals !== undefined) Atomics.add(signals, 0, 1);
}

/** @type {Record<string, () => unknown>} */
const jobs = {
  send() {
    for (let n = 0; n < times; n++) {
      queue.send([id, n, textOf(n)]);
      progress();
    }
    return times;
  },
  async sendAsync() {
    for (let n = 0; n < times; n++) await queue.sendAsync([id, n, textOf(n)]);
    return times;
  },
  receive() {
    const seen = [];
    for (;;) {
      const message = queue.receive();
      if (message === undefined) return seen;
      const [from, n, text] = message;
      if (text !== textOf(n)) throw new Error(`message ${n} of ${from} is torn`);
      seen.push([from, n]);
      progress();
    }
  },
  async iterate() {
    const seen = [];
    for await (const [from, n] of queue) seen.push([from, n]);
    return seen;
  },
  /** Dies holding a lock, as far as the others can see. */
  holdLock() {
    const { place } = openQueue(home, 'q', { capacity: undefined, codec: undefined });
    const lock = QueueControl[workerData.lock] / 4;
    lwlockAcquire(place.participant, place.words, place.word + lock, place.ns, LW_EXCLUSIVE);
    parentPort.postMessage('held');
    sleepForEver();
  },
  waitForClose: () => [queue.receive() === undefined],
  /** One hand-over forth and one back, over two queues. */
  echo() {
    const back = SharedQueue.open(home, 'back');
    let count = 0;
    for (let value = queue.receive(); value !== undefined; value = queue.receive()) {
      back.send(value);
      count++;
    }
    return count;
  },
};

if (workerData.ready) parentPort.postMessage('ready');
const result = await jobs[job]?.();
registry.close();
area.detach();
dsm.leave();
parentPort.postMessage({ result });
