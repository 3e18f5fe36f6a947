/**
 * A program whose only business is what the first argument names; printed is how it went. `wait` and `woken` must be
 * kept alive by parkAsync alone; `exchange` must not be kept alive by an exchange that nobody closed.
 */
import { Worker } from 'node:worker_threads';
import { BufferExchange, parkAsync } from '../../dist/platform/platform.js';
import { exchangeOptions } from './platform-shared.mjs';

const memory = new SharedArrayBuffer(4096);
const words = new Int32Array(memory);

const programs = {
  wait: () => parkAsync(words, 1, 0, 200),
  woken() {
    const worker = new Worker(new URL('platform-wake.mjs', import.meta.url), { workerData: { memory, rounds: 1 } });
    worker.unref();
    const woken = parkAsync(words, 1, 0, Infinity);
    Atomics.store(words, 0, 1);
    return woken;
  },
  exchange() {
    new BufferExchange(exchangeOptions('alone', memory)).announce(1, new SharedArrayBuffer(4096));
    return 'open';
  },
};

console.log(await programs[process.argv[2]]());
