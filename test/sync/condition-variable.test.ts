/** The condition variable in one thread: what each call does, blocking and not, and what it refuses. */

import { describe, expect, test } from 'vitest';
import {
  ConditionVariable,
  ConditionVariableStruct,
  CV_ARRIVALS,
  CV_FAILED,
  CV_SETTLED,
  CV_SIGNALLED,
  CV_TIMED_OUT,
  conditionVariableBroadcast,
  conditionVariableCancelSleep,
  conditionVariableInit,
  conditionVariablePrepareToSleep,
  conditionVariableSignal,
  conditionVariableSleep,
  conditionVariableTimedSleep,
  FAIL_CLOSED,
  lwlockAcquire,
  LW_EXCLUSIVE,
  type Participant,
} from '../../dist/sync/sync.js';
import { counterWord, lockWord, makeWorld, startJob, type TestWorld, untilWord } from './world.js';

const CV = lockWord(1);
const OTHER = lockWord(2);
const READY = counterWord(0);

interface Setting {
  readonly world: TestWorld;
  readonly i32: Int32Array;
  readonly p: Participant;
  readonly cv: ConditionVariable;
}

function setting(lockTimeout = 30_000): Setting {
  const world = makeWorld();
  const { i32 } = world;
  conditionVariableInit(i32, CV);
  const p = world.join(lockTimeout);
  return { world, i32, p, cv: new ConditionVariable(p, { i32, ns: 0 }, CV * 4) };
}

const turn = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));
/** Some turns of the event loop, without a timer. */
async function loops(n: number): Promise<void> {
  for (; n > 0; n--) await new Promise((resolve) => setImmediate(resolve));
}
const words = (i32: Int32Array) => Array.from(i32.subarray(CV, CV + 3));

describe('the functions', () => {
  test('take 12 bytes, as in C, and zeros are a fresh one', () => {
    expect(ConditionVariableStruct.SIZEOF).toBe(12);
    const { i32 } = setting();
    i32.fill(7, CV, CV + 3);
    conditionVariableInit(i32, CV);
    expect(words(i32)).toEqual([0, 0, 0]);
  });

  test('a signal or broadcast with nobody there changes nothing', () => {
    const { i32 } = setting();
    conditionVariableSignal(i32, CV);
    conditionVariableBroadcast(i32, CV);
    expect(words(i32)).toEqual([0, 0, 0]);
  });

  test('a sleep that was not prepared prepares and returns, so that the caller tests first', () => {
    const { i32, p } = setting();
    expect(conditionVariableTimedSleep(p, i32, CV, Infinity)).toBe(CV_SIGNALLED);
    expect(i32[CV + CV_ARRIVALS]).toBe(1);
    expect(conditionVariableTimedSleep(p, i32, CV, 20)).toBe(CV_TIMED_OUT);
    expect(conditionVariableTimedSleep(p, i32, CV, 0)).toBe(CV_TIMED_OUT);
  });

  test.each([conditionVariableSignal, conditionVariableBroadcast])(
    '%o between test and sleep is not missed',
    (tell) => {
      const { i32, p } = setting();
      conditionVariablePrepareToSleep(p, i32, CV);
      tell(i32, CV);
      expect(conditionVariableTimedSleep(p, i32, CV, Infinity)).toBe(CV_SIGNALLED);
      // And prepared again.
      tell(i32, CV);
      expect(conditionVariableTimedSleep(p, i32, CV, Infinity)).toBe(CV_SIGNALLED);
      expect(conditionVariableTimedSleep(p, i32, CV, 1)).toBe(CV_TIMED_OUT);
      expect(conditionVariableCancelSleep(p)).toBe(false);
    },
  );

  test('a cancelled sleep says whether there was a signal', () => {
    const { i32, p } = setting();
    expect(conditionVariableCancelSleep(p)).toBe(false);
    conditionVariablePrepareToSleep(p, i32, CV);
    expect(conditionVariableCancelSleep(p)).toBe(false);
    conditionVariablePrepareToSleep(p, i32, CV);
    conditionVariableSignal(i32, CV);
    expect(conditionVariableCancelSleep(p)).toBe(true);
    expect(conditionVariableCancelSleep(p)).toBe(false);
  });

  test('the first signal after all have gone settles that nobody is there', () => {
    const { i32, p } = setting();
    for (let n = 0; n < 3; n++) {
      conditionVariablePrepareToSleep(p, i32, CV);
      conditionVariableCancelSleep(p);
    }
    expect([i32[CV + CV_ARRIVALS], i32[CV + CV_SETTLED]]).toEqual([3, 0]);
    conditionVariableSignal(i32, CV);
    const settled = words(i32);
    expect([i32[CV + CV_ARRIVALS], i32[CV + CV_SETTLED]]).toEqual([3, 3]);
    conditionVariableSignal(i32, CV);
    expect(words(i32)).toEqual(settled);
  });

  test('preparing for another one cancels the first', () => {
    const { i32, p } = setting();
    conditionVariablePrepareToSleep(p, i32, CV);
    conditionVariablePrepareToSleep(p, i32, OTHER);
    expect(conditionVariableTimedSleep(p, i32, CV, Infinity)).toBe(CV_SIGNALLED);
    expect(conditionVariableTimedSleep(p, i32, OTHER, Infinity)).toBe(CV_SIGNALLED);
    expect(conditionVariableTimedSleep(p, i32, OTHER, 1)).toBe(CV_TIMED_OUT);
  });

  test('counters wrap around', () => {
    const { i32, p } = setting();
    i32.fill(-1, CV, CV + 3);
    for (const n of [-1, 0, 1]) {
      conditionVariablePrepareToSleep(p, i32, CV);
      expect(i32[CV + CV_ARRIVALS]).toBe(n + 1);
      conditionVariableSignal(i32, CV);
      expect(conditionVariableTimedSleep(p, i32, CV, Infinity)).toBe(CV_SIGNALLED);
      conditionVariableCancelSleep(p);
      i32[CV + CV_ARRIVALS]!--;
    }
  });

  test('the unlimited sleep ends with lockTimeout; a participant that has left does not sleep', () => {
    const { i32, p } = setting(30);
    conditionVariablePrepareToSleep(p, i32, CV);
    expect(conditionVariableSleep(p, i32, CV)).toBe(CV_TIMED_OUT);
    p.leave();
    expect(conditionVariableTimedSleep(p, i32, CV, 5)).toBe(CV_FAILED);
    expect(p.failure).toBe(FAIL_CLOSED);
  });

  test('where the thread must not be parked, it polls', async () => {
    const { world, i32, p } = setting();
    (p as { canBlock: boolean }).canBlock = false;
    conditionVariablePrepareToSleep(p, i32, CV);
    expect(conditionVariableTimedSleep(p, i32, CV, 20)).toBe(CV_TIMED_OUT);
    const job = startJob(world, 'signalOnce', { cv: CV, ready: READY }, 'waiting-worker.mjs');
    await untilWord(world, READY);
    expect(conditionVariableTimedSleep(p, i32, CV, Infinity)).toBe(CV_SIGNALLED);
    expect(p.parks).toBe(0);
    await job.result;
  });
});

describe('the object', () => {
  test('waits for a condition that another thread makes true', async () => {
    const { world, i32, cv } = setting();
    const job = startJob(world, 'signalOnce', { cv: CV, ready: READY, after: 30 }, 'waiting-worker.mjs');
    cv.waitFor(() => Atomics.load(i32, READY) === 2);
    cv.waitFor(() => true, { timeout: 0 });
    await job.result;
  });

  test('is told when the time is over', () => {
    const { p, cv } = setting(20);
    expect(() => cv.waitFor(() => false)).toThrow(expect.objectContaining({ code: 'ERR_HEAP_TIMEOUT' }));
    expect(() => cv.waitFor(() => false, { timeout: 0 })).toThrow(
      expect.objectContaining({ code: 'ERR_HEAP_TIMEOUT' }),
    );
    expect(p.cvView).toBeNull();
    cv.prepareToSleep();
    expect(() => cv.sleep()).toThrow(expect.objectContaining({ code: 'ERR_HEAP_TIMEOUT', detail: 'waited 20 ms' }));
    (p as { canBlock: boolean }).canBlock = false;
    expect(() => cv.sleep()).toThrow(expect.objectContaining({ code: 'ERR_HEAP_WOULD_BLOCK' }));
    expect(cv.timedSleep(1)).toBe(true);
    cv.signal();
    expect(cv.timedSleep(1)).toBe(false);
    expect(cv.cancelSleep()).toBe(false);
  });

  test('passes on what the condition throws, and is not prepared then', () => {
    const { p, cv } = setting();
    const boom = () => {
      throw new Error('boom');
    };
    expect(() => cv.waitFor(boom)).toThrow('boom');
    expect(p.cvView).toBeNull();
  });
});

describe('without blocking', () => {
  test('each signal wakes one of many waits, a broadcast all', async () => {
    const { p, cv } = setting();
    p.sliceMs = 60_000;
    const count = { woken: 0 };
    const waits = Array.from({ length: 20 }, () => cv.prepareAsync());
    const sleeps = waits.map((wait) => wait.sleep().then(() => count.woken++));
    for (let n = 1; n <= 5; n++) {
      cv.signal();
      while (count.woken < n) await loops(1);
      await loops(10);
      expect(count.woken).toBe(n);
    }
    cv.broadcast();
    await Promise.all(sleeps);
    expect(count.woken).toBe(20);
    // The first five were prepared again before the signals that followed.
    expect(waits.map((wait) => wait.signalled)).toEqual(waits.map((_, n) => n < 5));
    cv.signal();
    expect(waits.every((wait) => wait.signalled)).toBe(true);
    expect(await waits[0]!.timedSleep(60_000)).toBe(false);
  });

  test('an aborted wait passes the signal on that it was given', async () => {
    const { p, cv } = setting();
    // No slices: only passing on can wake the second one.
    p.sliceMs = 60_000;
    const controller = new AbortController();
    const [first, second] = [cv.prepareAsync(), cv.prepareAsync()];
    const doomed = first.sleep({ signal: controller.signal });
    const sleep = second.sleep();
    await turn(5);
    controller.abort('enough');
    await expect(doomed).rejects.toMatchObject({ code: 'ERR_HEAP_ABORTED', cause: 'enough' });
    cv.signal();
    // Turns of the event loop, no time: a look of its own would come far later.
    expect(await Promise.race([sleep.then(() => 'woken'), loops(300)])).toBe('woken');
    expect(getEventListenersCount(controller.signal)).toBe(0);
  });

  test('waits for a condition, with a promise for an answer', async () => {
    const { world, i32, p, cv } = setting();
    const job = startJob(world, 'signalOnce', { cv: CV, ready: READY, after: 30 }, 'waiting-worker.mjs');
    await cv.waitForAsync(async () => Atomics.load(i32, READY) === 2);
    await job.result;
    await expect(cv.waitForAsync(() => false, { timeout: 10 })).rejects.toMatchObject({ code: 'ERR_HEAP_TIMEOUT' });
    const signal = AbortSignal.timeout(10);
    await expect(cv.waitForAsync(() => false, { signal })).rejects.toMatchObject({ code: 'ERR_HEAP_ABORTED' });
    await expect(cv.waitForAsync(() => Promise.reject(new Error('boom')))).rejects.toThrow('boom');
    const wait = cv.prepareAsync();
    expect(await wait.timedSleep(5)).toBe(true);
    await expect(wait.sleep({ timeout: 0 })).rejects.toMatchObject({ code: 'ERR_HEAP_TIMEOUT' });
    const last = cv.waitForAsync(() => false);
    await turn();
    p.leave();
    await expect(last).rejects.toMatchObject({ code: 'ERR_HEAP_CLOSED' });
    await expect(wait.sleep()).rejects.toMatchObject({ code: 'ERR_HEAP_CLOSED' });
  });

  test('and blocking sleepers share the signals', async () => {
    const { world, i32, cv } = setting();
    const jobs = [0, 1].map(() => startJob(world, 'sleepOnce', { cv: CV, ready: READY }, 'waiting-worker.mjs'));
    const waits = [cv.prepareAsync(), cv.prepareAsync()].map((wait) => wait.sleep());
    while (Atomics.load(i32, READY) < 2) await turn(1);
    await turn(20);
    // A wake-up may go to one who was not asleep yet, and is woken by its look; so a few more may be needed.
    const all = Promise.all([...waits, ...jobs.map((job) => job.result)]).then(() => true);
    for (let n = 0; n < 4; n++) conditionVariableSignal(i32, CV);
    expect(await all).toBe(true);
  });

  test('a thread that sleeps blocking gives its place in the queue of a lock away', async () => {
    const { world, i32, p, cv } = setting();
    const { LWLock } = await import('../../dist/sync/sync.js');
    const holder = world.join();
    lwlockAcquire(holder, i32, OTHER, 0, LW_EXCLUSIVE);
    const lock = new LWLock(p, { i32, ns: 0 }, OTHER * 4).acquireAsync(LW_EXCLUSIVE, { timeout: 100 });
    lock.catch(() => {});
    await turn(5);
    expect(p.waitSeq & 1).toBe(1);
    cv.prepareToSleep();
    expect(cv.timedSleep(1)).toBe(true);
    expect(p.waitSeq & 1).toBe(0);
    await turn(5);
    expect(p.waitSeq & 1).toBe(1);
    await expect(lock).rejects.toMatchObject({ code: 'ERR_HEAP_LOCK_STALLED' });
    expect(p.waitSeq & 1).toBe(0);
  });
});

/** Listeners that are left on a signal. */
function getEventListenersCount(signal: AbortSignal): number {
  const { getEventListeners } = process.getBuiltinModule('node:events');
  return getEventListeners(signal, 'abort').length;
}

describe('bad input', () => {
  const { world, i32, p, cv } = setting();
  const memory = { i32, ns: 0 };
  const before = JSON.stringify([...i32]);
  const calls: [string, () => unknown][] = [
    ['no participant', () => new ConditionVariable(undefined as never, memory, 0)],
    ['another object', () => new ConditionVariable({} as never, memory, 0)],
    ['no memory', () => new ConditionVariable(p, undefined as never, 0)],
    ['memory that is not shared', () => new ConditionVariable(p, { i32: new Int32Array(8), ns: 0 }, 0)],
    ...[Number.NaN, -4, 2, 0.5, '4', 4n, null, i32.byteLength - 8, Infinity].flatMap(
      (offset): [string, () => unknown][] => [
        [`place ${String(offset)}`, () => new ConditionVariable(p, memory, offset as never)],
        [`initialize at ${String(offset)}`, () => ConditionVariable.initialize(memory, offset as never)],
      ],
    ),
    ...[Number.NaN, -1, -0.5, '5', 5n, null, undefined, {}].map((ms): [string, () => unknown] => [
      `timedSleep(${typeof ms === 'object' ? 'object' : String(ms)})`,
      () => cv.timedSleep(ms as never),
    ]),
    ...[
      5,
      null,
      { timeout: -1 },
      { timeout: Number.NaN },
      { timeout: '5' },
      { other: 1 },
      { signal: AbortSignal.abort() },
    ].map((options): [string, () => unknown] => [
      `waitFor with ${JSON.stringify(options)}`,
      () => cv.waitFor(() => true, options as never),
    ]),
    ['waitFor without a function', () => cv.waitFor(true as never)],
  ];
  test.each(calls)('%s', (_what, call) => {
    expect(call).toThrow(expect.objectContaining({ code: 'ERR_HEAP_BAD_ARGUMENT' }));
    expect(JSON.stringify([...i32])).toBe(before);
  });

  test.each<[string, () => Promise<unknown>]>([
    ['no function', () => cv.waitForAsync(1 as never)],
    ['a bad timeout', () => cv.waitForAsync(() => true, { timeout: Number.NaN })],
    ['a bad signal', () => cv.waitForAsync(() => true, { signal: {} as never })],
    ['a bad sleep', () => cv.prepareAsync().timedSleep(-1)],
    ['a bad signal of a sleep', () => cv.prepareAsync().timedSleep(1, 5 as never)],
    ['bad options of a sleep', () => cv.prepareAsync().sleep(7 as never)],
  ])('%s', async (_what, call) => {
    await expect(call()).rejects.toMatchObject({ code: 'ERR_HEAP_BAD_ARGUMENT' });
  });

  test('a participant that has left', () => {
    const gone = world.join();
    const late = new ConditionVariable(gone, memory, CV * 4);
    gone.leave();
    const closed = expect.objectContaining({ code: 'ERR_HEAP_CLOSED' });
    expect(() => late.prepareToSleep()).toThrow(closed);
    expect(() => late.sleep()).toThrow(closed);
    expect(() => late.timedSleep(1)).toThrow(closed);
    expect(() => late.waitFor(() => true)).toThrow(closed);
    expect(() => late.prepareAsync()).toThrow(closed);
    expect(late.cancelSleep()).toBe(false);
  });
});
