/**
 * A queue of the heap against messages of the runtime, from a worker to this thread.
 *
 * Throughput: the worker sends bytes without a pause, this thread receives them; a sample is a
 * time divided by the messages received in it. Messages of the runtime have no back-pressure, so their sender stops when
 * two thousand are under way; they would fill the memory otherwise.
 *
 * Hand-over: a message forth and its answer back, one at a time; half of that is one sample. The answer may find the
 * other thread still looking for it, or parked; or both wait in their event loops.
 */

import { once } from 'node:events';
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { SharedHeap } from 'sharedheap';

const SIZES = [16, 256, 4096];
/** Messages between two looks at the clock. */
const ROW = 1000;
/** Milliseconds of a sample: many times the ring's content, so that it holds waiting for the other side too. */
const SAMPLE = 25;
/** Milliseconds: until the engine has optimised, and measuring. */
const FULL = { warmUp: 400, time: 1000, handovers: 5000 };
const QUICK = { warmUp: 30, time: 30, handovers: 50 };
/** Milliseconds that both threads do nothing before a hand-over that is to find the other one parked. */
const PAUSE = 0.3;

/** Words of the shared flags: set to end the worker, and messages that were received. */
const STOP = 0;
const RECEIVED = 1;

/** @typedef {import('../cases.js').Measured} Measured */

/** The worker, and what belongs to both threads. */
class Side {
  heap = SharedHeap.create();
  words = new Int32Array(new SharedArrayBuffer(64));
  channel = new MessageChannel();
  worker;

  /**
   * @param {string} job
   * @param {number} size
   */
  constructor(job, size) {
    const { heap, words, channel } = this;
    const workerData = { heap: heap.handle, words, stop: STOP, received: RECEIVED, job, size, port: channel.port2 };
    const transferList = [channel.port2];
    this.worker = new Worker(new URL('queue-thread.js', import.meta.url), { workerData, transferList });
  }

  /** Ends the worker where it stands: what is under way does not matter any more. */
  async close() {
    Atomics.store(this.words, STOP, 1);
    await this.worker.terminate();
    this.channel.port1.close();
    this.heap.close();
  }
}

/**
 * Receives rows of messages for some time.
 *
 * @param {(count: number) => void | Promise<void>} receive
 * @param {typeof FULL} effort
 * @returns {Promise<Measured>}
 */
async function rows(receive, { warmUp, time }) {
  const begun = performance.now();
  while (performance.now() - begun < warmUp) await receive(ROW);
  /** @type {number[]} */
  const samples = [];
  /** @type {number[]} */
  const counts = [];
  for (let from = performance.now(), end = from + time; from < end; ) {
    let count = 0;
    let now = from;
    while (now - from < SAMPLE) {
      await receive(ROW);
      count += ROW;
      now = performance.now();
    }
    samples.push(((now - from) * 1e6) / count);
    counts.push(count);
    from = now;
  }
  return { samples, operations: Math.min(...counts) };
}

/** @type {Record<string, (side: Side, size: number) => (count: number) => void | Promise<void>>} */
const RECEIVERS = {
  into({ heap }, size) {
    const queue = heap.queue('there', { codec: 'bytes' });
    const target = new Uint8Array(size);
    return (count) => {
      for (let i = 0; i < count; i++) queue.receiveInto(target);
    };
  },
  receive({ heap }) {
    const queue = heap.queue('there', { codec: 'bytes' });
    return (count) => {
      for (let i = 0; i < count; i++) queue.receive();
    };
  },
  post({ worker, words }) {
    let left = 0;
    let done = () => {};
    worker.on('message', () => {
      Atomics.add(words, RECEIVED, 1);
      if (--left === 0) done();
    });
    return (count) =>
      new Promise((resolve) => {
        left += count;
        done = resolve;
      });
  },
  port({ channel, words }) {
    return (count) => {
      for (let i = 0; i < count; i++) {
        while (receiveMessageOnPort(channel.port1) === undefined);
        Atomics.add(words, RECEIVED, 1);
      }
    };
  },
};

/**
 * @param {string} receiver
 * @param {string} job of the worker
 * @param {number} size
 * @param {{ quick: boolean }} options
 */
async function throughput(receiver, job, size, { quick }) {
  const side = new Side(job, size);
  const receive = RECEIVERS[receiver]?.(side, size);
  if (receive === undefined) throw new Error(`no receiver ${receiver}`);
  const measured = await rows(receive, quick ? QUICK : FULL);
  await side.close();
  return measured;
}

function idle() {
  const end = performance.now() + PAUSE;
  while (performance.now() < end);
}

/**
 * @param {(n: number) => unknown} exchange one message forth, its answer back
 * @param {boolean} pause
 * @param {typeof FULL} effort
 * @returns {Promise<Measured>}
 */
async function exchanges(exchange, pause, { handovers, warmUp }) {
  const begun = performance.now();
  for (let n = 0; performance.now() - begun < warmUp; n++) await exchange(n);
  /** @type {number[]} */
  const samples = [];
  for (let n = 0; n < handovers; n++) {
    if (pause) idle();
    const before = performance.now();
    // Awaiting what is no promise would let the event loop in.
    const answer = exchange(n);
    if (answer instanceof Promise) await answer;
    samples.push(((performance.now() - before) * 1e6) / 2);
  }
  return { samples, operations: 1 };
}

/** @type {Record<string, (side: Side) => (n: number) => unknown>} */
const EXCHANGES = {
  echo({ heap }) {
    const there = heap.queue('there');
    const back = heap.queue('back');
    return (n) => {
      there.send(n);
      return back.receive();
    };
  },
  echoAsync({ heap }) {
    const there = heap.queue('there');
    const back = heap.queue('back');
    return async (n) => {
      await there.sendAsync(n);
      return back.receiveAsync();
    };
  },
  echoPost: ({ worker }) =>
    async function exchange(n) {
      const answer = once(worker, 'message');
      worker.postMessage(n);
      return answer;
    },
};

/**
 * @param {string} job of both sides
 * @param {boolean} pause
 * @param {{ quick: boolean }} options
 */
async function handover(job, pause, { quick }) {
  const side = new Side(job, 0);
  const exchange = EXCHANGES[job]?.(side);
  if (exchange === undefined) throw new Error(`no exchange ${job}`);
  const measured = await exchanges(exchange, pause, quick ? QUICK : FULL);
  await side.close();
  return measured;
}

const SUBJECTS = /** @type {const} */ ([
  { id: 'into', subject: 'heap.queue, receiveInto', receiver: 'into', job: 'send' },
  { id: 'receive', subject: 'heap.queue, receive', receiver: 'receive', job: 'send' },
  { id: 'post', subject: 'postMessage', receiver: 'post', job: 'post', peer: true },
  { id: 'port', subject: 'receiveMessageOnPort', receiver: 'port', job: 'postToPort', peer: true },
]);

const HANDOVERS = /** @type {const} */ ([
  { workload: 'handover-busy', id: 'queue', subject: 'heap.queue', job: 'echo', pause: false },
  { workload: 'handover-parked', id: 'queue', subject: 'heap.queue', job: 'echo', pause: true },
  { workload: 'handover-async', id: 'queue', subject: 'heap.queue', job: 'echoAsync', pause: false },
  { workload: 'handover-async', id: 'post', subject: 'postMessage', job: 'echoPost', pause: false, peer: true },
]);

/** @type {import('../cases.js').Case[]} */
export const QUEUE_CASES = [
  ...SIZES.flatMap((size) =>
    SUBJECTS.map(({ receiver, job, ...one }) => ({
      ...one,
      group: 'queue',
      workload: `queue-${size}`,
      measure: (/** @type {{ quick: boolean }} */ options) => throughput(receiver, job, size, options),
    })),
  ),
  ...HANDOVERS.map(({ job, pause, ...one }) => ({
    ...one,
    group: 'handover',
    measure: (/** @type {{ quick: boolean }} */ options) => handover(job, pause, options),
  })),
];
