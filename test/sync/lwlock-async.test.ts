/** Waiting for locks without blocking: tasks of one thread, other threads, and what a wait leaves behind. */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  LOCK_STATE,
  LW_ACQUIRED,
  LW_EXCLUSIVE,
  LW_FAILED,
  LW_SHARED,
  LWLock,
  lwlockAcquire,
  lwlockConditionalAcquire,
  lwlockInitialize,
  lwlockPoison,
  lwlockRelease,
  type Participant,
  WAIT_SEQ,
  WAIT_WORD_LO,
} from '../../dist/sync/sync.js';
import { counterWord, lockWord, makeWorld, startJob, type TestWorld, untilWord } from './world.js';

const PLACES = Array.from({ length: 8 }, (_, n) => lockWord(n + 1));
const LOCK = PLACES[0]!;
const COUNTER = counterWord(0);
const READY = counterWord(8);
const UNTIL = counterWord(9);
const HAS_WAITERS = 1 << 30;

interface Setting {
  readonly world: TestWorld;
  readonly p: Participant;
  readonly locks: LWLock[];
  readonly lock: LWLock;
}

function setting(lockTimeout = 30_000): Setting {
  const world = makeWorld();
  for (const place of PLACES) lwlockInitialize(world.i32, place, 34);
  const p = world.join(lockTimeout);
  const locks = PLACES.map((place) => new LWLock(p, { i32: world.i32, ns: 0 }, place * 4));
  return { world, p, locks, lock: locks[0]! };
}

const turn = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));

/** Some turns of the event loop, without a timer. */
async function loops(n: number): Promise<void> {
  for (; n > 0; n--) await new Promise((resolve) => setImmediate(resolve));
}

/** How a promise stands after a turn of the event loop. */
async function standing(promise: Promise<unknown>): Promise<string> {
  await turn(5);
  const state = promise.then(
    () => 'fulfilled',
    (error: { code?: string }) => error.code ?? String(error),
  );
  return Promise.race([state, turn().then(() => 'pending')]);
}

/** Nobody holds the lock, nobody is queued, nothing is listed. */
async function expectClean({ world, p }: Setting): Promise<void> {
  await turn(5);
  for (const place of PLACES) expect(world.i32[place + LOCK_STATE]! & ~HAS_WAITERS).toBe(0);
  expect(Atomics.load(world.i32, p.base + WAIT_SEQ) & 1).toBe(0);
  expect(p.nheld).toBe(0);
}

describe('tasks of one thread', () => {
  test('have the lock one after the other, in the order in which they asked', async () => {
    const s = setting();
    expect(await s.lock.acquireAsync()).toBe(true);
    const order: number[] = [];
    const tasks = [1, 2, 3, 4, 5].map(async (n) => {
      expect(await s.lock.acquireAsync(n % 2 === 0 ? LW_SHARED : LW_EXCLUSIVE)).toBe(false);
      order.push(n);
      await turn();
      s.lock.release();
    });
    await turn(5);
    expect(order).toEqual([]);
    s.lock.release();
    await Promise.all(tasks);
    expect(order).toEqual([1, 2, 3, 4, 5]);
    await expectClean(s);
  });

  test('hold it together in shared mode, and a writer in between has its turn', async () => {
    const s = setting();
    await Promise.all([1, 2, 3].map(() => s.lock.acquireAsync(LW_SHARED)));
    expect(s.p.nheld).toBe(1);
    expect(s.world.i32[LOCK + LOCK_STATE]).toBe(1);
    const writer = s.lock.acquireAsync();
    const late = s.lock.acquireAsync(LW_SHARED);
    expect([await standing(writer), await standing(late)]).toEqual(['pending', 'pending']);
    s.lock.release();
    s.lock.release();
    expect(s.lock.heldByMe()).toBe(true);
    expect(await standing(writer)).toBe('pending');
    s.lock.release();
    await writer;
    expect(await standing(late)).toBe('pending');
    s.lock.release();
    await late;
    s.lock.release();
    expect(() => s.lock.release()).toThrow(expect.objectContaining({ code: 'ERR_HEAP_LOCK_NOT_HELD' }));
    await expectClean(s);
  });

  test('do not join a shared hold while another thread waits for the lock', async () => {
    const s = setting();
    await s.lock.acquireAsync(LW_SHARED);
    Atomics.or(s.world.i32, LOCK + LOCK_STATE, HAS_WAITERS);
    const second = s.lock.acquireAsync(LW_SHARED);
    expect(await standing(second)).toBe('pending');
    s.lock.release();
    await second;
    s.lock.release();
    await expectClean(s);
  });

  test('wait for what their own thread holds by the blocking form, and for another participant of it', async () => {
    const s = setting();
    const other = s.world.join();
    s.lock.acquire();
    const first = s.lock.acquireAsync();
    expect(await standing(first)).toBe('pending');
    s.lock.release();
    expect(await first).toBe(false);
    const second = new LWLock(other, { i32: s.world.i32, ns: 0 }, LOCK * 4).acquireAsync();
    // Longer than a slice: a holder in the same thread is not taken for one that is gone.
    await turn(250);
    expect(await standing(second)).toBe('pending');
    s.lock.release();
    expect(await second).toBe(false);
    lwlockRelease(other, s.world.i32, LOCK, 0);
    await expectClean(s);
  });

  test('wait for several locks at once, whichever is freed first', async () => {
    const s = setting();
    const holder = s.world.join();
    for (const place of PLACES) lwlockAcquire(holder, s.world.i32, place, 0, LW_EXCLUSIVE);
    const got: number[] = [];
    const waits = s.locks.map((lock, n) => lock.acquireAsync().then(() => got.push(n)));
    await turn(60);
    const order = [5, 0, 7, 2, 1, 6, 4, 3];
    for (const n of order) {
      lwlockRelease(holder, s.world.i32, PLACES[n]!, 0);
      while (!got.includes(n)) await turn(1);
    }
    await Promise.all(waits);
    expect(got).toEqual(order);
    for (const lock of s.locks) lock.release();
    await expectClean(s);
  });

  test('are told of a release by their own thread, and of one by another participant, without a timer', async () => {
    const s = setting();
    const other = s.world.join();
    const timer = globalThis.setTimeout;
    // No round comes by the clock: only a wake-up makes one.
    globalThis.setTimeout = (() => timer(() => {}, 0)) as never;
    onTestFinished(() => {
      globalThis.setTimeout = timer;
    });
    s.lock.acquire();
    const first = s.lock.acquireAsync();
    s.lock.release();
    await first;
    const second = s.lock.acquireAsync(LW_SHARED);
    await loops(3);
    s.lock.release();
    await second;
    s.lock.release();
    for (let n = 0; n < 3; n++) {
      lwlockAcquire(other, s.world.i32, LOCK, 0, LW_EXCLUSIVE);
      const third = s.lock.acquireAsync();
      await loops(3);
      lwlockRelease(other, s.world.i32, LOCK, 0);
      await third;
      s.lock.release();
    }
  });

  test('keep the flag set, whatever their own thread does meanwhile', async () => {
    const s = setting();
    const { i32 } = s.world;
    const other = s.world.join();
    lwlockAcquire(other, i32, LOCK, 0, LW_EXCLUSIVE);
    const wait = s.lock.acquireAsync();
    await loops(3);
    lwlockRelease(other, i32, LOCK, 0);
    // Before the task has a chance; this release passes over its own slot and finds nobody.
    lwlockAcquire(s.p, i32, LOCK, 0, LW_EXCLUSIVE);
    lwlockRelease(s.p, i32, LOCK, 0);
    lwlockAcquire(other, i32, LOCK, 0, LW_EXCLUSIVE);
    expect(i32[LOCK + LOCK_STATE]! & HAS_WAITERS).toBe(0);
    await Promise.resolve();
    expect(i32[LOCK + LOCK_STATE]! & HAS_WAITERS).toBe(HAS_WAITERS);
    lwlockRelease(other, i32, LOCK, 0);
    await wait;
    s.lock.release();
    await expectClean(s);
  });

  test('lend their one entry to each lock in turn', async () => {
    const s = setting();
    const other = s.world.join();
    for (const n of [0, 1, 2]) lwlockAcquire(other, s.world.i32, PLACES[n]!, 0, LW_EXCLUSIVE);
    const waits = [0, 1, 2].map((n) => s.locks[n]!.acquireAsync());
    const seen = new Set<number>();
    while (seen.size < 3) {
      await turn(1);
      if ((Atomics.load(s.world.i32, s.p.base + WAIT_SEQ) & 1) === 1) seen.add(s.world.i32[s.p.base + WAIT_WORD_LO]!);
    }
    expect([...seen].sort((a, b) => a - b)).toEqual(PLACES.slice(0, 3));
    for (const n of [0, 1, 2]) lwlockRelease(other, s.world.i32, PLACES[n]!, 0);
    await Promise.all(waits);
    for (const n of [0, 1, 2]) s.locks[n]!.release();
    await expectClean(s);
  });

  test('get an exclusive turn between shared holders that overlap without end', async () => {
    const s = setting();
    const { i32 } = s.world;
    const [a, b] = [s.world.join(), s.world.join()];
    lwlockAcquire(a, i32, LOCK, 0, LW_SHARED);
    let [holder, next] = [a, b];
    const wait = s.lock.acquireAsync().then(() => 'granted');
    // Nobody is made to wait until the task has a real place: then newcomers are kept out after a while.
    while (lwlockConditionalAcquire(next, i32, LOCK, 0, LW_SHARED) === LW_ACQUIRED) {
      lwlockRelease(holder, i32, LOCK, 0);
      [holder, next] = [next, holder];
      await turn(0);
    }
    lwlockRelease(holder, i32, LOCK, 0);
    expect(await wait).toBe('granted');
    s.lock.release();
    await expectClean(s);
  });

  test('do not stand in the way of a blocking acquire of another lock', async () => {
    const s = setting();
    const { i32 } = s.world;
    const hold = (n: number) =>
      startJob(s.world, 'hold', {
        lock: PLACES[n],
        mode: LW_EXCLUSIVE,
        ready: READY + 2 * n,
        until: READY + 2 * n + 1,
      });
    const jobs = [hold(0), hold(1)];
    await untilWord(s.world, READY);
    await untilWord(s.world, READY + 2);
    const waiting = s.lock.acquireAsync();
    await turn(10);
    s.p.attend = () => {
      // Now this thread is about to park: the other lock is given back, and so is the one that the task waits for.
      Atomics.store(i32, READY + 3, 1);
      Atomics.notify(i32, READY + 3);
      Atomics.store(i32, READY + 1, 1);
      Atomics.notify(i32, READY + 1);
    };
    s.p.spin = 0;
    expect(lwlockAcquire(s.p, i32, PLACES[1]!, 0, LW_EXCLUSIVE)).not.toBe(LW_FAILED);
    s.p.attend = null;
    await waiting;
    s.lock.release();
    s.locks[1]!.release();
    for (const job of jobs) await job.result;
    expect(s.p.lostWakeups).toBe(0);
    await expectClean(s);
  });
});

describe('tasks and other threads', () => {
  test('count together without losing one, and nobody starves', async () => {
    const s = setting();
    const times = 30_000;
    const jobs = [0, 1].map(() =>
      startJob(s.world, 'contend', { lock: LOCK, times, counter: COUNTER }, 'waiting-worker.mjs'),
    );
    const stop = { over: false };
    let granted = 0;
    const task = async () => {
      while (!stop.over) {
        await s.lock.acquireAsync();
        s.world.i32[COUNTER]!++;
        granted++;
        s.lock.release();
        await turn();
      }
    };
    const tasks = [task(), task(), task()];
    const results = await Promise.all(jobs.map((job) => job.result));
    stop.over = true;
    await Promise.all(tasks);
    expect(s.world.i32[COUNTER]).toBe(2 * times + granted);
    expect(granted).toBeGreaterThan(0);
    for (const result of results) expect(result['lost']).toBe(0);
    await expectClean(s);
  });

  test('a task gets its turn although others hold the lock together without a gap', async () => {
    const s = setting();
    const options = { lock: LOCK, counter: COUNTER, gate: COUNTER + 20, parties: 2, stop: UNTIL };
    const jobs = [0, 1].map((me) => startJob(s.world, 'overlap', { ...options, me }));
    while (Atomics.load(s.world.i32, COUNTER + 20) < 2) await turn(1);
    for (let n = 0; n < 10; n++) {
      await s.lock.acquireAsync();
      s.lock.release();
    }
    Atomics.store(s.world.i32, UNTIL, 1);
    for (const job of jobs) expect((await job.result)['lost']).toBe(0);
    await expectClean(s);
  });

  test.runIf(process.platform === 'linux')('a task is told when the holder is gone', async () => {
    const s = setting(60_000);
    const { worker } = startJob(s.world, 'holdForEver', { lock: LOCK, mode: LW_EXCLUSIVE, ready: READY });
    await untilWord(s.world, READY);
    const waiting = s.lock.acquireAsync();
    waiting.catch(() => {});
    await worker.terminate();
    await expect(waiting).rejects.toMatchObject({
      code: 'ERR_HEAP_LOCK_STALLED',
      message: expect.stringContaining('gone'),
    });
    expect(s.p.nheld).toBe(0);
  });
});

describe('a wait that ends without the lock', () => {
  test.each(['timeout', 'abort'])('leaves the queue as it was (%s)', async (how) => {
    const s = setting();
    const other = s.world.join();
    lwlockAcquire(other, s.world.i32, LOCK, 0, LW_EXCLUSIVE);
    const controller = new AbortController();
    const doomed = s.lock.acquireAsync(LW_EXCLUSIVE, how === 'abort' ? { signal: controller.signal } : { timeout: 30 });
    const next = s.lock.acquireAsync(LW_SHARED);
    if (how === 'abort') {
      await turn(10);
      controller.abort(new Error('enough'));
      await expect(doomed).rejects.toMatchObject({ code: 'ERR_HEAP_ABORTED', cause: new Error('enough') });
    } else {
      await expect(doomed).rejects.toMatchObject({
        code: 'ERR_HEAP_LOCK_STALLED',
        detail: expect.stringContaining('30 ms'),
      });
    }
    expect(await standing(next)).toBe('pending');
    lwlockRelease(other, s.world.i32, LOCK, 0);
    await next;
    s.lock.release();
    await expectClean(s);
    expect(lwlockConditionalAcquire(other, s.world.i32, LOCK, 0, LW_EXCLUSIVE)).toBe(LW_ACQUIRED);
  });

  test('with no time at all is one try', async () => {
    const s = setting();
    const other = s.world.join();
    expect(await s.lock.acquireAsync(LW_EXCLUSIVE, { timeout: 0 })).toBe(true);
    s.lock.release();
    lwlockAcquire(other, s.world.i32, LOCK, 0, LW_EXCLUSIVE);
    await expect(s.lock.acquireAsync(LW_EXCLUSIVE, { timeout: 0 })).rejects.toMatchObject({
      code: 'ERR_HEAP_LOCK_STALLED',
    });
    lwlockRelease(other, s.world.i32, LOCK, 0);
    await expectClean(s);
  });

  test('was aborted before it began', async () => {
    const s = setting();
    const signal = AbortSignal.abort();
    await expect(s.lock.acquireAsync(LW_EXCLUSIVE, { signal })).rejects.toMatchObject({ code: 'ERR_HEAP_ABORTED' });
    await expectClean(s);
  });

  test('passes on what it was woken for', async () => {
    const s = setting();
    const holder = s.world.join();
    lwlockAcquire(holder, s.world.i32, LOCK, 0, LW_EXCLUSIVE);
    const controller = new AbortController();
    const doomed = s.lock.acquireAsync(LW_EXCLUSIVE, { signal: controller.signal });
    doomed.catch(() => {});
    await turn(5);
    const job = startJob(s.world, 'acquireOnce', { lock: LOCK, mode: LW_EXCLUSIVE, counter: COUNTER });
    while ((Atomics.load(s.world.i32, s.world.table.slotBase(2) + WAIT_SEQ) & 1) === 0) await turn(1);
    await turn(20);
    // Both at once: the release may choose the task, which is aborted before it can try.
    lwlockRelease(holder, s.world.i32, LOCK, 0);
    controller.abort();
    expect(await job.result).toMatchObject({ lost: 0 });
    await expect(doomed).rejects.toMatchObject({ code: 'ERR_HEAP_ABORTED' });
    await expectClean(s);
  });

  test('is told when the lock is poisoned, and when the participant leaves', async () => {
    const s = setting();
    const other = s.world.join();
    lwlockAcquire(other, s.world.i32, LOCK, 0, LW_EXCLUSIVE);
    lwlockAcquire(other, s.world.i32, PLACES[1]!, 0, LW_EXCLUSIVE);
    const first = s.lock.acquireAsync();
    const second = s.locks[1]!.acquireAsync();
    const failures = Promise.allSettled([first, second]);
    await turn(5);
    lwlockPoison(other, s.world.i32, LOCK, 0);
    await expect(first).rejects.toMatchObject({ code: 'ERR_HEAP_POISONED' });
    s.p.leave();
    await expect(second).rejects.toMatchObject({ code: 'ERR_HEAP_CLOSED' });
    await failures;
    await expect(s.locks[2]!.acquireAsync()).rejects.toMatchObject({ code: 'ERR_HEAP_CLOSED' });
    expect(Atomics.load(s.world.i32, s.p.base + WAIT_SEQ) & 1).toBe(0);
  });
});

describe('bad input', () => {
  test.each([
    [2, undefined],
    ['x', undefined],
    [LW_EXCLUSIVE, 5],
    [LW_EXCLUSIVE, null],
    [LW_EXCLUSIVE, { timeout: -1 }],
    [LW_EXCLUSIVE, { timeout: Number.NaN }],
    [LW_EXCLUSIVE, { timeout: '5' }],
    [LW_EXCLUSIVE, { timeout: 5n }],
    [LW_EXCLUSIVE, { signal: {} }],
    [LW_EXCLUSIVE, { signal: null }],
    [LW_EXCLUSIVE, { timeOut: 5 }],
  ])('%s, %o', async (mode, options) => {
    const s = setting();
    await expect(s.lock.acquireAsync(mode as never, options as never)).rejects.toMatchObject({
      code: 'ERR_HEAP_BAD_ARGUMENT',
    });
    await expectClean(s);
  });
});

test.each([
  ['lock', 'ERR_HEAP_LOCK_STALLED'],
  ['ownLock', 'ERR_HEAP_LOCK_STALLED'],
  ['condition', 'ERR_HEAP_TIMEOUT'],
  ['barrier', 'ERR_HEAP_TIMEOUT'],
])('a pending wait (%s) keeps the process alive', (kind, code) => {
  const script = fileURLToPath(new URL('../workers/waiting-alive.mjs', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, kind], { encoding: 'utf8' });
  expect([status, stdout.trim(), stderr]).toEqual([0, code, '']);
});
