/** Jobs of worker threads for the tests in test/mq. The job's name and what it needs come in workerData. */

import { parentPort, workerData } from 'node:worker_threads';
import { MessageQueue, MQ_DETACHED, MQ_SUCCESS, MqReceiver, MqSender } from '../../dist/mq/mq.js';
import { ParticipantTable } from '../../dist/sync/sync.js';

const { buffer, participantsAt, count, job } = workerData;
const table = new ParticipantTable(new Int32Array(buffer), participantsAt, count);
const p = table.join({ lockTimeout: 30_000, release: () => {} });

/** @param {Int32Array} a */
function sendTo(a) {
  const queue = MessageQueue.open(a, 64);
  queue.setSender(p);
  return MqSender.attach(queue, p);
}

/** @param {Int32Array} a */
function receiveFrom(a) {
  const queue = MessageQueue.open(a, 64);
  queue.setReceiver(p);
  return MqReceiver.attach(queue, p);
}

function sleepForEver() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** @type {Record<string, () => unknown>} */
const jobs = {
  /** Hands every message on, as the worker of test_shm_mq does. */
  copy() {
    const input = receiveFrom(workerData.from);
    const output = sendTo(workerData.to);
    let copied = 0;
    while (input.receive() === MQ_SUCCESS && output.send(input.message) === MQ_SUCCESS) copied++;
    input.detach();
    output.detach();
    return copied;
  },
  async copyAsync() {
    const input = receiveFrom(workerData.from);
    const output = sendTo(workerData.to);
    let copied = 0;
    while (
      (await input.receiveAsync()) === MQ_SUCCESS &&
      (await output.sendAsync(input.message.slice())) === MQ_SUCCESS
    ) {
      copied++;
    }
    input.detach();
    output.detach();
    return copied;
  },
  /** Sends numbers as messages of many sizes, then leaves, or sleeps for good. */
  send() {
    const output = sendTo(workerData.to);
    for (let n = 0; n < workerData.times; n++) {
      const length = 4 + ((n * 37) % workerData.longest);
      const bytes = new Uint8Array(length).fill(n);
      new DataView(bytes.buffer).setUint32(0, n);
      if (output.send(bytes, { flush: workerData.flush ?? true }) !== MQ_SUCCESS) return n;
    }
    if (workerData.stay) {
      output.flush();
      parentPort.postMessage('sent');
      sleepForEver();
    }
    if (workerData.leave !== false) output.detach();
    return workerData.times;
  },
  /** Sends one message, and another that is too large for the ring. */
  sendLarge() {
    const output = sendTo(workerData.to);
    output.send(new Uint8Array(10));
    return output.send(new Uint8Array(5000));
  },
  /** Becomes the receiver, takes some messages, and sleeps for good. */
  receiveSome() {
    const input = receiveFrom(workerData.from);
    for (let n = 0; n < workerData.times; n++) input.receive();
    parentPort.postMessage('received');
    sleepForEver();
  },
  /** Says what a receive ends with that waits for messages that never come. */
  waitForMessage() {
    const input = receiveFrom(workerData.from);
    let got;
    while ((got = input.receive()) === MQ_SUCCESS);
    return got === MQ_DETACHED ? 'detached' : got;
  },
};

const done = await jobs[job]?.();
parentPort.postMessage(done);
