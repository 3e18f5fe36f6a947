/**
 * A thread with an exchange of its own. In the role `loop` it carries out what it is told by message; its answers go
 * into shared memory, so that whoever told it may be blocked meanwhile. In the role `busy` it never returns to its
 * event loop and attends between pieces of work; `parked` sleeps until it is woken and attends then; `deaf` sleeps
 * and does not attend.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { BufferExchange, park } from '../../dist/platform/platform.js';
import { AT, exchangeOptions } from './platform-shared.mjs';

const { name, memory, known, role, attachTimeout } = workerData;
const words = new Int32Array(memory);
const exchange = new BufferExchange(exchangeOptions(name, memory, known, attachTimeout));

const operations = {
  create(handle, bytes) {
    const buffer = new SharedArrayBuffer(bytes);
    new Int32Array(buffer).fill(handle);
    exchange.announce(handle, buffer);
    Atomics.store(words, AT.live + handle, 1);
    return 1;
  },
  lookup: (handle) => firstWord(exchange.lookup(handle)),
  request: (handle) => firstWord(exchange.request(handle)),
  destroy(handle) {
    exchange.gone(handle);
    Atomics.store(words, AT.live + handle, 0);
    return 1;
  },
  count: () => exchange.entries().length,
  collect() {
    globalThis.gc?.();
    return 1;
  },
  close() {
    exchange.close();
    parentPort?.close();
    return 1;
  },
};

function firstWord(buffer) {
  return buffer === undefined ? -1 : new Int32Array(buffer)[0];
}

parentPort?.on('message', ({ op, args }) => {
  Atomics.store(words, AT.result, operations[op](...args));
  Atomics.add(words, AT.done, 1);
  Atomics.notify(words, AT.done);
});
Atomics.add(words, AT.ready, 1);
Atomics.notify(words, AT.ready);

if (role === 'busy') {
  while (Atomics.load(words, AT.stop) === 0) {
    if (Atomics.load(words, AT.attention) !== exchange.attentionSeen) exchange.attend();
  }
} else if (role === 'parked' || role === 'deaf') {
  while (Atomics.load(words, AT.stop) === 0) {
    park(words, AT.park, 0, 60_000);
    if (role === 'parked') exchange.attend();
  }
}
