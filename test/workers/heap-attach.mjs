/**
 * A worker that tries to attach to a heap when it starts, and says what came of it: to a thread that is blocked, through
 * shared memory; as a task of a pool, by its result.
 */

import { workerData } from 'node:worker_threads';
import { SharedHeap } from '../../dist/index.js';

// piscina wraps workerData: [its own, ours].
const { heap, options, box } = Array.isArray(workerData) ? workerData[1] : workerData;
const started = performance.now();

function attempt() {
  try {
    SharedHeap.attach(heap, options).close();
    return { code: 'nothing' };
  } catch (caught) {
    const { code, message, detail, hint } = /** @type {import('../../dist/index.js').SharedHeapError} */ (caught);
    return { code, message, detail, hint };
  }
}

const answer = { ...attempt(), ms: performance.now() - started };
if (box !== undefined) {
  const text = new TextEncoder().encode(JSON.stringify(answer));
  new Uint8Array(box, 4).set(text);
  const state = new Int32Array(box, 0, 1);
  Atomics.store(state, 0, text.length);
  Atomics.notify(state, 0);
}

export default () => answer;
