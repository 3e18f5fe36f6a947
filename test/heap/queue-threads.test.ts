/** Queues between real threads: every message once, in order of each sender; threads that wait; threads that are killed. */

import { afterEach, describe, expect, it } from 'vitest';
import { QueueControl } from '../../dist/heap/queue-layout.js';
import { codeOf, STORES } from './helpers.js';
import { makeQueueWorld, type QueueWorld } from './queue-world.js';

let worlds: QueueWorld[] = [];
function world(store: 'region' | 'buffers' = 'region'): QueueWorld {
  const made = makeQueueWorld(store);
  worlds.push(made);
  return made;
}
afterEach(async () => {
  for (const made of worlds) await made.end();
  worlds = [];
});

type Seen = [from: number, n: number][];

/** Requires that each message came once, and that each receiver saw those of a sender in their order. */
function requireAll(seen: Seen[], senders: number, times: number): void {
  const counts = Array.from({ length: senders }, () => new Uint8Array(times));
  for (const [receiver, list] of seen.entries()) {
    const last = new Array<number>(senders).fill(-1);
    for (const [from, n] of list) {
      if (n <= last[from]!) throw new Error(`receiver ${receiver} got ${n} of ${from} after ${last[from]}`);
      last[from] = n;
      counts[from]![n]!++;
    }
  }
  for (const [from, count] of counts.entries()) {
    const wrong = count.findIndex((times) => times !== 1);
    if (wrong >= 0) throw new Error(`message ${wrong} of ${from} came ${count[wrong]} times`);
  }
}

describe.each(STORES)('every message once on %s', (store) => {
  it.each([
    { senders: 1, receivers: 1, capacity: 1024, times: 20_000 },
    { senders: 1, receivers: 1, capacity: 65_536, times: 20_000 },
    { senders: 4, receivers: 1, capacity: 4096, times: 3000 },
    { senders: 1, receivers: 4, capacity: 4096, times: 6000 },
    { senders: 4, receivers: 4, capacity: 1024, times: 2000 },
    { senders: 6, receivers: 2, capacity: 262_144, times: 2000 },
  ])('$senders senders, $receivers receivers, $capacity bytes', async ({ senders, receivers, capacity, times }) => {
    const w = world(store);
    const queue = w.open({ capacity });
    const receiving = Array.from({ length: receivers }, (_, i) => w.start(i % 2 === 0 ? 'receive' : 'iterate'));
    const sending = Array.from({ length: senders }, (_, id) =>
      w.start(id % 2 === 0 ? 'send' : 'sendAsync', { id, times }),
    );
    await Promise.all(sending.map((job) => job.result));
    queue.close();
    const seen: Seen[] = await Promise.all(receiving.map((job) => job.result));
    requireAll(seen, senders, times);
    expect(queue.verify()).toEqual([]);
    expect([queue.size, queue.ended]).toEqual([0, true]);
  });

  it('the main thread takes part, blocking and in its event loop', async () => {
    const w = world(store);
    const queue = w.open<[number, number, string]>({ capacity: 2048 });
    const times = 3000;
    const job = w.start('send', { id: 0, times });
    const seen: Seen = [];
    while (seen.length < times) {
      const message = seen.length % 1000 < 500 ? queue.receive({ timeout: 20_000 }) : await queue.receiveAsync();
      seen.push([message![0], message![1]]);
    }
    expect(await job.result).toBe(times);
    requireAll([seen], 1, times);
  });

  it('hands over forth and back without losing a wake-up', async () => {
    const w = world(store);
    const queue = w.open<number>();
    const back = w.open<number>({}, 'back');
    const job = w.start('echo', { ready: true });
    await job.ready;
    // A lost wake-up would take a slice of 100 ms, and ten thousand of them for ever.
    for (let n = 0; n < 10_000; n++) {
      queue.send(n);
      const got = n % 10 === 0 ? await back.receiveAsync({ timeout: 20_000 }) : back.receive({ timeout: 20_000 });
      if (got !== n) throw new Error(`${got} instead of ${n}`);
    }
    queue.close();
    expect(await job.result).toBe(10_000);
  });
});

describe('waiting', () => {
  it('of eight threads ends when the queue is closed', async () => {
    const w = world();
    const queue = w.open();
    const jobs = Array.from({ length: 8 }, () => w.start('waitForClose', { ready: true }));
    await Promise.all(jobs.map((job) => job.ready));
    queue.close();
    for (const job of jobs) expect(await job.result).toEqual([true]);
  });

  it('keeps a thread alive that does nothing else', async () => {
    const w = world();
    const queue = w.open();
    const job = w.start('iterate', { ready: true });
    await job.ready;
    await new Promise((resolve) => setTimeout(resolve, 300));
    queue.send([0, 0, '']);
    queue.close();
    expect(await job.result).toEqual([[0, 0]]);
  });

  it('of several threads ends one by one as messages come', async () => {
    const w = world();
    const queue = w.open();
    const jobs = Array.from({ length: 4 }, () => w.start('receive', { ready: true }));
    await Promise.all(jobs.map((job) => job.ready));
    for (let n = 0; n < 400; n++) {
      queue.send([0, n, 'x'.repeat((n * 37) % 200)]);
      if (n % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    queue.close();
    requireAll(await Promise.all(jobs.map((job) => job.result)), 1, 400);
  });
});

describe.runIf(process.platform === 'linux')('a killed thread', () => {
  it('that holds the lock of senders stalls senders only, and the queue can be closed', async () => {
    const w = world();
    const queue = w.open<number>();
    queue.send(1);
    const { worker, ready } = w.start('holdLock', { lock: 'send_lock' });
    await ready;
    await worker.terminate();
    expect(codeOf(() => queue.send(2))).toBe('ERR_HEAP_LOCK_STALLED');
    expect(codeOf(() => queue.trySend(2))).toBe('ERR_HEAP_LOCK_STALLED');
    await expect(queue.sendAsync(2)).rejects.toMatchObject({ code: 'ERR_HEAP_LOCK_STALLED' });
    expect(queue.receive()).toBe(1);
    queue.close();
    expect(queue.receive()).toBe(undefined);
    // It may have counted a message that it did not get in.
    const { words, word } = w.place();
    words[word + QueueControl.sent / 4]!++;
    expect(queue.verify()).toEqual([]);
    words[word + QueueControl.sent / 4]!++;
    expect(queue.verify()).toEqual(['2 messages counted, 0 found']);
  });

  it('that holds the lock of receivers stalls receivers only', async () => {
    const w = world();
    const queue = w.open<number>();
    queue.send(1);
    const { worker, ready } = w.start('holdLock', { lock: 'receive_lock' });
    await ready;
    await worker.terminate();
    expect(codeOf(() => queue.receive())).toBe('ERR_HEAP_LOCK_STALLED');
    expect(codeOf(() => queue.tryReceiveInto(new Uint8Array(8)))).toBe('ERR_HEAP_LOCK_STALLED');
    queue.send(2);
    expect(queue.size).toBe(2);
    // It may have counted a message that it did not take out.
    const { words, word } = w.place();
    words[word + QueueControl.received / 4]!++;
    expect(queue.verify()).toEqual([]);
    words[word + QueueControl.received / 4]!++;
    expect(queue.verify()).toEqual(['0 messages counted, 2 found']);
  });

  it.each(['send', 'receive'])('at any moment of %s leaves a whole queue, and nobody hangs', async (job) => {
    let stalled = 0;
    for (let round = 0; round < 25; round++) {
      const w = makeQueueWorld('region');
      const queue = w.open<[number, number, string]>({ capacity: 1024 });
      const signals = new Int32Array(new SharedArrayBuffer(4));
      const { worker } = w.start(job, { id: 1, times: Infinity, signals });
      const until = 40 * (round % 6) + 1;
      let n = 0;
      const step = async () => {
        // The other side, in this thread, until the worker has done enough.
        if (job === 'send') return (await queue.receiveAsync({ timeout: 20_000 }))?.[1];
        await queue.sendAsync([0, n, 'x'.repeat((n * 37) % 200)], { timeout: 20_000 });
        return n;
      };
      while (Atomics.load(signals, 0) < until) expect(await step()).toBe(n++);
      await worker.terminate();
      expect(queue.verify()).toEqual([]);
      // What is there comes, in order; then sending and receiving go on, or are told why not.
      let missing = 0;
      for (let left = queue.size; left > 0; left--) {
        const code = codeOf(() => {
          const message = queue.tryReceive();
          if (message === undefined) missing++;
          else if (job === 'send') expect(message[1]).toBe(n++);
        });
        if (code !== 'nothing') break;
      }
      const sent = codeOf(() => queue.trySend([0, 0, '']));
      const received = codeOf(() => queue.tryReceive());
      for (const code of [sent, received]) expect(['nothing', 'ERR_HEAP_LOCK_STALLED']).toContain(code);
      // One that was counted and did not get in: then the sender died with its lock.
      expect([0, job === 'send' && sent !== 'nothing' ? 1 : 0]).toContain(missing);
      if (sent !== 'nothing' || received !== 'nothing') stalled++;
      expect(queue.verify()).toEqual([]);
      await w.end();
    }
    // Most deaths happen elsewhere; each that happened inside was told.
    expect(stalled).toBeLessThan(25);
  });
});
