/** The exchange among real threads: blocked, busy, sleeping and idle ones. */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BufferExchange } from '../../dist/platform/platform.js';
import { AT, exchangeOptions } from '../workers/platform-shared.mjs';

type Role = 'loop' | 'busy' | 'parked' | 'deaf';

let memory: SharedArrayBuffer;
let words: Int32Array;
let name: string;
let here: BufferExchange;
let serial = 0;
const workers: Worker[] = [];

beforeEach(() => {
  memory = new SharedArrayBuffer(4096);
  words = new Int32Array(memory);
  name = `threads ${process.pid} ${serial++}`;
  here = new BufferExchange(exchangeOptions(name, memory));
});

afterEach(async () => {
  Atomics.store(words, AT.stop, 1);
  Atomics.notify(words, AT.park);
  here.close();
  await Promise.all(workers.splice(0).map((w) => w.terminate()));
});

async function start(role: Role, known: [number, SharedArrayBuffer][] = [], attachTimeout = 30_000): Promise<Worker> {
  const ready = Atomics.load(words, AT.ready);
  const workerData = { name, memory, known, role, attachTimeout };
  const worker = new Worker(new URL('../workers/platform-exchange.mjs', import.meta.url), { workerData });
  workers.push(worker);
  while (Atomics.load(words, AT.ready) === ready) await sleep(2);
  return worker;
}

/** Has a `loop` worker do something. */
function tell(worker: Worker, op: string, ...args: number[]): void {
  worker.postMessage({ op, args });
}

/** Has a `loop` worker do something, and blocks this thread until it is done. */
function call(worker: Worker, op: string, ...args: number[]): number {
  const done = Atomics.load(words, AT.done);
  tell(worker, op, ...args);
  if (Atomics.wait(words, AT.done, done, 30_000) === 'timed-out') throw new Error(`${op} was not done`);
  return Atomics.load(words, AT.result);
}

function segment(handle: number): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(4096);
  new Int32Array(buffer)[0] = handle;
  Atomics.store(words, AT.live + handle, 1);
  return buffer;
}

const first = (buffer: SharedArrayBuffer | undefined) => buffer && new Int32Array(buffer)[0];

describe('announcements', () => {
  test('reach a thread while main is blocked, from main and from a worker', async () => {
    const [a, b] = [await start('loop'), await start('loop')];
    here.announce(1, segment(1));
    expect(call(a, 'lookup', 1)).toBe(1);
    expect(call(a, 'create', 2, 8192)).toBe(1);
    expect(call(b, 'lookup', 2)).toBe(2);
    expect(first(here.lookup(2))).toBe(2);
  });

  test('hundreds of them, across and back, while main never returns to its event loop', async () => {
    const a = await start('loop');
    for (let round = 0; round < 300; round++) {
      const handle = 1 + (round % 90);
      if (round % 2 === 0) here.announce(handle, segment(handle));
      else call(a, 'create', handle, 4096);
      expect(call(a, 'lookup', handle)).toBe(handle);
      expect(first(here.lookup(handle))).toBe(handle);
      if (round % 3 === 0) here.gone(handle);
      else call(a, 'destroy', handle);
      Atomics.store(words, AT.live + handle, 0);
      here.attend();
      expect(here.lookup(handle)).toBeUndefined();
    }
    expect(here.entries()).toEqual([]);
    expect(call(a, 'count')).toBe(0);
  });
});

describe('requests', () => {
  test('a busy thread answers between two pieces of work', async () => {
    await start('busy', [[3, segment(3)]]);
    expect(first(here.request(3))).toBe(3);
  });

  test('an event loop answers while main is blocked', async () => {
    const owner = await start('loop');
    call(owner, 'create', 4, 4096);
    here.drop(4);
    const late = await start('loop');
    // Main has it in its queue, but is blocked and answers nobody.
    expect(call(late, 'request', 4)).toBe(4);
  });

  test('main answers while it waits for a buffer itself', async () => {
    const late = await start('loop', [], 30_000);
    here.close();
    here = new BufferExchange(exchangeOptions(name, memory, [[5, segment(5)]], 30_000));
    Atomics.store(words, AT.live + 6, 1);
    const done = Atomics.load(words, AT.done);
    tell(late, 'request', 5);
    // Nobody has segment 6: this request ends when that thread destroys it, which it does when it has its buffer.
    tell(late, 'destroy', 6);
    expect(here.request(6)).toBeUndefined();
    while (Atomics.load(words, AT.done) < done + 2) Atomics.wait(words, AT.done, done + 1, 100);
    expect(call(late, 'lookup', 5)).toBe(5);
  });

  test('sleeping threads are woken to answer', async () => {
    await start('parked', [[7, segment(7)]]);
    await start('parked');
    expect(first(here.request(7))).toBe(7);
  });

  test('a deaf owner: undefined when the time is over, and the next one to ask finds a good owner', async () => {
    await start('deaf', [[8, segment(8)]]);
    const late = await start('loop', [], 50);
    expect(call(late, 'request', 8)).toBe(-1);
    await start('busy', [[8, segment(8)]]);
    expect(first(here.request(8))).toBe(8);
  });

  test('an owner that was terminated does not answer', async () => {
    const owner = await start('loop', [[9, segment(9)]]);
    await owner.terminate();
    here.close();
    here = new BufferExchange(exchangeOptions(name, memory, [], 50));
    expect(here.request(9)).toBeUndefined();
  });
});

describe('nothing dead is kept', () => {
  test('an idle thread forgets by its event loop, a late answer changes nothing', async () => {
    const [a, b] = [await start('loop'), await start('loop')];
    call(a, 'create', 1, 4096);
    expect(call(b, 'lookup', 1)).toBe(1);
    here.gone(1);
    Atomics.store(words, AT.live + 1, 0);
    const channel = new BroadcastChannel(name);
    channel.postMessage({ t: 'answer', handle: 1, buffer: new SharedArrayBuffer(4096) });
    channel.close();
    expect([call(a, 'count'), call(b, 'count'), here.entries().length]).toEqual([0, 0, 0]);
  });

  test('resident memory falls when every thread has forgotten the buffer and collected garbage', async () => {
    const script = fileURLToPath(new URL('../workers/platform-memory.mjs', import.meta.url));
    const size = 128;
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, String(size)]);
    const report = JSON.parse(stdout);
    expect(report.seen).toBe(7);
    expect(report.left).toBe(0);
    expect(report.created).toBeGreaterThan(0.9 * size);
    // The worker has not collected yet.
    expect(report.collectedHere).toBeGreaterThan(0.9 * size);
    expect(report.collectedEverywhere).toBeLessThan(size / 2);
  });

  test('workers that come and go leave nothing behind', async () => {
    for (let round = 0; round < 10; round++) {
      const worker = await start('loop', here.entries());
      call(worker, 'create', 1 + round, 4096);
      if (round % 2 === 0) call(worker, 'close');
      await worker.terminate();
    }
    expect(here.entries().map(([handle]) => handle)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const last = await start('loop', here.entries());
    expect(call(last, 'count')).toBe(10);
  });
});
