/**
 * The worker of queues.js: sends without a pause, or answers every message. It is ended from outside.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { SharedHeap } from 'sharedheap';

/** Messages of the runtime that may be under way. Fewer: the sender waits; more: they lie in memory, nothing else. */
const UNDER_WAY = 2000;

const { stop, received, job, size, port } = workerData;
/** @type {Int32Array} */
const words = workerData.words;
const heap = SharedHeap.attach(workerData.heap);
const message = new Uint8Array(size).fill(7);

/** @param {{ postMessage(message: Uint8Array): void } | null} target */
function postWithoutPause(target) {
  for (let sent = 0; Atomics.load(words, stop) === 0; sent++) {
    // Looked at now and then only; a moment's sleep lets the receiver have the processor if there is but one.
    if (sent % 100 === 0) {
      while (sent - Atomics.load(words, received) > UNDER_WAY) Atomics.wait(words, stop, 0, 1);
    }
    target?.postMessage(message);
  }
}

/** @type {Record<string, () => unknown>} */
const jobs = {
  send() {
    const queue = heap.queue('there', { codec: 'bytes' });
    while (Atomics.load(words, stop) === 0) for (let i = 0; i < 100; i++) queue.send(message);
  },
  post: () => postWithoutPause(parentPort),
  postToPort: () => postWithoutPause(port),
  echo() {
    const there = heap.queue('there');
    const back = heap.queue('back');
    for (let value = there.receive(); value !== undefined; value = there.receive()) back.send(value);
  },
  async echoAsync() {
    const there = heap.queue('there');
    const back = heap.queue('back');
    for await (const value of there) await back.sendAsync(value);
  },
  echoPost() {
    parentPort?.on('message', (value) => parentPort?.postMessage(value));
  },
};

await jobs[job]?.();
