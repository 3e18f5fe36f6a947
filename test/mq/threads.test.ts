/** The queue between real threads: PostgreSQL's test_shm_mq, and ends that are killed. */

import { describe, expect, it } from 'vitest';
import {
  MessageQueue,
  MQ_DETACHED,
  MQ_SUCCESS,
  MQ_WOULD_BLOCK,
  type MqPeer,
  MqReceiver,
  MqSender,
} from '../../dist/mq/mq.js';
import { makeWorld, type TestWorld } from '../sync/world.js';
import { type MqJob, pattern, queueMemory, startMq } from './helpers.js';

/** A message that does not come within this time, in ms, will never come. */
const PATIENCE = 30_000;

interface Ring {
  readonly world: TestWorld;
  readonly sender: MqSender;
  readonly receiver: MqReceiver;
  readonly jobs: MqJob[];
}

/** What test_shm_mq sets up: this thread sends to the first worker, each worker to the next, the last one to this thread. */
function startRing(size: number, workers: number, job = 'copy'): Ring {
  const world = makeWorld(workers + 2);
  const [s, r] = [world.join(), world.join()];
  const memories = Array.from({ length: workers + 1 }, () => queueMemory(size));
  const queues = memories.map((a) => MessageQueue.create(a, 64, size));
  queues[0]!.setSender(s);
  queues[workers]!.setReceiver(r);
  const jobs = Array.from({ length: workers }, (_, i) =>
    startMq(world, job, { from: memories[i], to: memories[i + 1] }),
  );
  return { world, sender: MqSender.attach(queues[0]!, s), receiver: MqReceiver.attach(queues[workers]!, r), jobs };
}

async function endRing({ sender, receiver, jobs }: Ring, copied: number): Promise<void> {
  sender.detach();
  expect(receiver.receive({ timeout: PATIENCE })).toBe(MQ_DETACHED);
  for (const job of jobs) expect(await job.result).toBe(copied);
}

/** test_shm_mq: the message goes round `loops` times. */
async function testShmMq(size: number, message: Uint8Array, loops: number, workers: number, job?: string) {
  const ring = startRing(size, workers, job);
  const { sender, receiver } = ring;
  for (let loop = 0; loop < loops; loop++) {
    const sent = sender.send(loop === 0 ? message : receiver.message, { timeout: PATIENCE });
    const received = receiver.receive({ timeout: PATIENCE });
    if (sent !== MQ_SUCCESS || received !== MQ_SUCCESS) throw new Error(`round ${loop}: ${sent}, ${received}`);
  }
  expect(receiver.message).toEqual(message);
  await endRing(ring, loops);
}

/** test_shm_mq_pipelined: as many messages under way as fit, each verified. */
async function testPipelined(size: number, message: Uint8Array, loops: number, workers: number) {
  const ring = startRing(size, workers);
  const { sender, receiver } = ring;
  const expected = Buffer.from(message);
  let sent = 0;
  let received = 0;
  const end = Date.now() + PATIENCE;
  while (received < loops) {
    let wait = true;
    if (sent < loops) {
      const result = sender.trySend(message);
      expect(result).not.toBe(MQ_DETACHED);
      if (result === MQ_SUCCESS) {
        sent++;
        wait = false;
      }
    }
    const result = receiver.tryReceive();
    expect(result).not.toBe(MQ_DETACHED);
    if (result === MQ_SUCCESS) {
      received++;
      wait = false;
      if (!expected.equals(receiver.message)) throw new Error(`message ${received} is not what was sent`);
    }
    if (Date.now() > end) throw new Error(`${sent} sent, ${received} received`);
    // C waits on the one latch that both queues set; here each end has a word of its own.
    if (wait && sent === loops && receiver.receive({ timeout: 1 }) === MQ_SUCCESS) received++;
  }
  await endRing(ring, loops);
}

const printable = (length: number) => pattern(length, length).map((byte) => 32 + (byte % 95));

describe('test_shm_mq', () => {
  it('empty messages through 1024 bytes, 2000 times', () => testShmMq(1024, new Uint8Array(0), 2000, 1));
  it('messages of one byte through 1024 bytes, 2001 times', () => testShmMq(1024, printable(1), 2001, 1));
  it('100 to 1000 bytes through 32768 bytes, 10000 times', () => testShmMq(32_768, printable(737), 10_000, 1));
  it('100 to 300 bytes through 100 bytes, 10000 times', () => testShmMq(100, printable(233), 10_000, 1));
  it('through three workers', () => testShmMq(1024, printable(500), 1000, 3));
  it('through a worker that waits in its event loop', () => testShmMq(512, printable(1000), 300, 1, 'copyAsync'));
  it(
    'pipelined: 270000 bytes through 16384 bytes and three workers, 200 times',
    () => testPipelined(16_384, printable(270_000), 200, 3),
    120_000,
  );
});

describe('between two threads', () => {
  it.each([
    [64, true, 3000],
    [200, true, 20_000],
    [4096, false, 20_000],
  ])('messages of many sizes arrive in order through %i bytes (flush %s)', async (size, flush, times) => {
    const world = makeWorld(4);
    const a = queueMemory(size);
    const queue = MessageQueue.create(a, 64, size);
    const p = world.join();
    queue.setReceiver(p);
    const receiver = MqReceiver.attach(queue, p);
    const longest = 150;
    const job = startMq(world, 'send', { to: a, times, longest, flush });
    for (let n = 0; n < times; n++) {
      if (receiver.receive({ timeout: PATIENCE }) !== MQ_SUCCESS) throw new Error(`message ${n} did not come`);
      const { message } = receiver;
      const number = new DataView(message.buffer, message.byteOffset).getUint32(0);
      if (number !== n || message.length !== 4 + ((n * 37) % longest)) throw new Error(`${number} instead of ${n}`);
      if (message.subarray(4).some((byte) => byte !== (n & 255))) throw new Error(`message ${n} is torn`);
    }
    expect(receiver.receive({ timeout: PATIENCE })).toBe(MQ_DETACHED);
    expect(await job.result).toBe(times);
    expect(queue.verify()).toEqual([]);
  });

  it('the sender may come before the receiver is known, or after', async () => {
    const world = makeWorld(4);
    const a = queueMemory(64);
    const queue = MessageQueue.create(a, 64, 64);
    const p = world.join();
    queue.setReceiver(p);
    const receiver = MqReceiver.attach(queue, p);
    const waiting = receiver.waitForAttachAsync({ timeout: PATIENCE });
    const job = startMq(world, 'send', { to: a, times: 1, longest: 100 });
    expect(await waiting).toBe(MQ_SUCCESS);
    expect(receiver.receive({ timeout: PATIENCE })).toBe(MQ_SUCCESS);
    await job.result;
  });

  it('a thread that has ended before it attached is known by its exit', async () => {
    const world = makeWorld(4);
    const a = queueMemory(64);
    const queue = MessageQueue.create(a, 64, 64);
    const p = world.join();
    queue.setReceiver(p);
    let ended = false;
    const peer: MqPeer = { isGone: () => ended };
    const receiver = MqReceiver.attach(queue, p, { peer });
    const { worker } = startMq(world, 'nothing', {});
    worker.once('exit', () => (ended = true));
    expect(await receiver.receiveAsync({ timeout: PATIENCE })).toBe(MQ_DETACHED);
  });
});

describe.runIf(process.platform === 'linux')('a killed end', () => {
  it('of the sender: what it published is received, then the wait ends', async () => {
    const world = makeWorld(4);
    const a = queueMemory(4096);
    const queue = MessageQueue.create(a, 64, 4096);
    const p = world.join();
    queue.setReceiver(p);
    const receiver = MqReceiver.attach(queue, p);
    const { worker, result } = startMq(world, 'send', { to: a, times: 5, longest: 10, stay: true });
    expect(await result).toBe('sent');
    await worker.terminate();
    expect(queue.detached).toBe(false);
    for (let n = 0; n < 5; n++) expect(receiver.receive({ timeout: PATIENCE })).toBe(MQ_SUCCESS);
    expect(receiver.receive({ timeout: PATIENCE })).toBe(MQ_DETACHED);
    expect(queue.detached).toBe(true);
  });

  it('of the sender in the middle of a message: the beginning is dropped', async () => {
    const world = makeWorld(4);
    const a = queueMemory(128);
    const queue = MessageQueue.create(a, 64, 128);
    const p = world.join();
    queue.setReceiver(p);
    const { worker } = startMq(world, 'sendLarge', { to: a });
    const receiver = MqReceiver.attach(queue, p);
    expect(receiver.receive({ timeout: PATIENCE })).toBe(MQ_SUCCESS);
    // It waits for room: the rest of the ring holds the beginning of a message of 5000 bytes.
    while (Atomics.load(a, 16) !== 1) await new Promise((resolve) => setTimeout(resolve, 1));
    await worker.terminate();
    expect(receiver.receive({ timeout: PATIENCE })).toBe(MQ_DETACHED);
  });

  it('of the receiver: a sender that waits for room is told', async () => {
    const world = makeWorld(4);
    const a = queueMemory(128);
    const queue = MessageQueue.create(a, 64, 128);
    const p = world.join();
    queue.setSender(p);
    const sender = MqSender.attach(queue, p);
    const { worker, result } = startMq(world, 'receiveSome', { from: a, times: 2 });
    for (let n = 0; n < 2; n++) sender.send(pattern(10, n), { timeout: PATIENCE });
    expect(await result).toBe('received');
    // Full for the living: nobody reads any more.
    while (sender.trySend(pattern(30, 1)) === MQ_SUCCESS);
    expect(sender.send(pattern(30, 1), { timeout: 100 })).toBe(MQ_WOULD_BLOCK);
    await worker.terminate();
    expect(sender.send(pattern(30, 1), { timeout: PATIENCE })).toBe(MQ_DETACHED);
  });

  it('while it waits does not keep a third from ending the queue', async () => {
    const world = makeWorld(4);
    const a = queueMemory(128);
    const queue = MessageQueue.create(a, 64, 128);
    const { worker, result } = startMq(world, 'waitForMessage', { from: a });
    while (Atomics.load(a, 16 + 1) !== 1) await new Promise((resolve) => setTimeout(resolve, 1));
    queue.detach();
    expect(await result).toBe('detached');
    await worker.terminate();
  });

  it('at any moment never hangs the other', async () => {
    for (let round = 0; round < 30; round++) {
      const world = makeWorld(4);
      const size = round % 2 === 0 ? 96 : 1024;
      const a = queueMemory(size);
      const queue = MessageQueue.create(a, 64, size);
      const p = world.join();
      queue.setReceiver(p);
      const receiver = MqReceiver.attach(queue, p);
      const { worker } = startMq(world, 'send', { to: a, times: Infinity, longest: 40 });
      let n = 0;
      for (; n < 50 * (round % 7) + 1; n++) expect(receiver.receive({ timeout: PATIENCE })).toBe(MQ_SUCCESS);
      const ended = worker.terminate();
      for (;;) {
        const got = await receiver.receiveAsync({ timeout: PATIENCE });
        if (got === MQ_DETACHED) break;
        expect(got).toBe(MQ_SUCCESS);
        const { message } = receiver;
        expect(new DataView(message.buffer, message.byteOffset).getUint32(0)).toBe(n++);
      }
      await ended;
      // Only a message that was cut may have left more than whole ones.
      expect(queue.verify()).toEqual([]);
    }
  });
});
