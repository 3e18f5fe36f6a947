/** A worker for the tests of the front: a piscina task, and a plain worker when it gets messages. */

import { parentPort, workerData } from 'node:worker_threads';
import { SharedHeap } from '../../dist/index.js';

// piscina wraps workerData: [its own, ours].
const data = Array.isArray(workerData) ? workerData[1] : workerData;
let heap = data?.heap ? SharedHeap.attach(data.heap) : null;

if (!Array.isArray(workerData)) {
  if (heap !== null) parentPort.postMessage({ ready: true });
  parentPort.on('message', (message) => {
    if (message.bye) {
      heap.close();
      parentPort.close();
      return;
    }
    heap = SharedHeap.attach(message.heap);
    const sum = heap
      .getString(message.sum)
      .split(' ')
      .map(Number)
      .reduce((a, b) => a + b);
    heap.free(message.sum);
    const ptr = heap.alloc(8);
    heap.setF64(ptr, 0, sum);
    parentPort.postMessage({ ptr });
  });
}

export default function task(what) {
  if (what === 'exit') process.exit(3);
  if (what === 'throw') {
    setTimeout(() => {
      throw new Error('uncaught on purpose');
    });
    return new Promise(() => {});
  }
  if (what.close) return heap.close();
  if (what.fill) {
    const ptr = heap.alloc(what.fill);
    heap.bytes(ptr, what.fill).fill(what.fill % 251);
    return { ptr, text: heap.putString(`object of ${what.fill} bytes: äöü€😀`) };
  }
  return heap.stats().participants;
}
