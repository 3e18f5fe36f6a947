/**
 * Run with --expose-gc. Main creates a segment, touches all of it, a worker takes it up, main destroys it; printed is
 * the resident memory, in MiB above the start, after each step. Collected is by hand, as the engine sees no reason to
 * hurry: shared memory does not count as the garbage of any thread.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { setTimeout as sleep } from 'node:timers/promises';
import { BufferExchange, residentBytes } from '../../dist/platform/platform.js';
import { AT, exchangeOptions } from './platform-shared.mjs';

const HANDLE = 7;
const MIB = 2 ** 20;
const memory = new SharedArrayBuffer(4096);
const words = new Int32Array(memory);
const name = `memory ${process.pid}`;
const exchange = new BufferExchange(exchangeOptions(name, memory));
const worker = new Worker(new URL('platform-exchange.mjs', import.meta.url), {
  workerData: { name, memory, known: [], role: 'loop' },
});
while (Atomics.load(words, AT.ready) === 0) await sleep(5);

function call(op, ...args) {
  const done = Atomics.load(words, AT.done);
  worker.postMessage({ op, args });
  Atomics.wait(words, AT.done, done, 30_000);
  return Atomics.load(words, AT.result);
}

/** In a function of its own, so that nothing on the stack keeps the buffer. */
function create() {
  const buffer = new SharedArrayBuffer(Number(process.argv[2]) * MIB);
  new Int32Array(buffer).fill(HANDLE);
  exchange.announce(HANDLE, buffer);
  Atomics.store(words, AT.live + HANDLE, 1);
}

const resident = () => residentBytes() ?? Number.NaN;
const start = resident();
const above = () => Math.round((resident() - start) / MIB);
const report = {};
create();
report.seen = call('lookup', HANDLE);
report.created = above();

exchange.gone(HANDLE);
Atomics.store(words, AT.live + HANDLE, 0);
globalThis.gc?.();
await sleep(50);
report.collectedHere = above();
report.left = call('count');
// The engine gives the memory of a buffer back a moment after the collection.
for (let round = 0; round < 100 && above() > report.created / 2; round++) {
  call('collect');
  globalThis.gc?.();
  await sleep(20);
}
report.collectedEverywhere = above();
worker.postMessage({ op: 'close', args: [] });
await once(worker, 'exit');
console.log(JSON.stringify(report));
