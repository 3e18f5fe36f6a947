/** The lock between real threads. Nothing here is timed but by limits that are far away. */

import { describe, expect, test } from 'vitest';
import {
  FAIL_STALLED,
  FAIL_WOULD_BLOCK,
  LOCK_STATE,
  LW_ACQUIRED,
  LW_EXCLUSIVE,
  LW_FAILED,
  LW_FREED,
  LW_SHARED,
  LW_SLEPT,
  lwlockAcquire,
  lwlockConditionalAcquire,
  lwlockInitialize,
  lwlockRelease,
  lwlockUpdateVar,
  LWLOCK_MAX_PASSES,
  type Participant,
  WAIT_SEQ,
  WAKE,
  WAKE_PARKED,
} from '../../dist/sync/sync.js';
import { counterWord, lockWord, makeWorld, startJob, type TestWorld, varIndex, untilWord } from './world.js';

const LOCK = lockWord(1);
const COUNTER = counterWord(0);
const READY = counterWord(8);
const UNTIL = counterWord(9);
const STOP = counterWord(10);
const GATE = counterWord(20);

function worldWithLock(): TestWorld {
  const world = makeWorld();
  lwlockInitialize(world.i32, LOCK, 34);
  return world;
}

/** Waits, without the event loop, until the owner of `slot` is queued, or also parked. */
async function untilQueued(world: TestWorld, slot: number, parked = true): Promise<void> {
  const base = world.table.slotBase(slot);
  for (;;) {
    const queued = (Atomics.load(world.i32, base + WAIT_SEQ) & 1) !== 0;
    if (world.failures.length > 0) throw world.failures[0]!;
    if (queued && (!parked || Atomics.load(world.i32, base + WAKE) === WAKE_PARKED)) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const acquire = (world: TestWorld, p: Participant, mode: 0 | 1 = LW_EXCLUSIVE) =>
  lwlockAcquire(p, world.i32, LOCK, 0, mode);
const tryIt = (world: TestWorld, p: Participant, mode: 0 | 1 = LW_EXCLUSIVE) =>
  lwlockConditionalAcquire(p, world.i32, LOCK, 0, mode);
const release = (world: TestWorld, p: Participant) => lwlockRelease(p, world.i32, LOCK, 0);

describe('exclusion', () => {
  test.each([undefined, 0])('four threads count without losing one (spin %s)', async (spin) => {
    const world = worldWithLock();
    const times = 20_000;
    const options = { lock: LOCK, counter: COUNTER, gate: GATE, parties: 4, times, spin };
    const results = await Promise.all([0, 1, 2, 3].map(() => startJob(world, 'count', options).result));
    expect(world.i32[COUNTER]).toBe(4 * times);
    expect(world.i32[COUNTER + 1]).toBe(4 * times);
    for (const result of results) expect(result).toMatchObject({ torn: 0, lost: 0 });
    expect(world.i32[LOCK + LOCK_STATE]! & ~(1 << 30)).toBe(0);
  });

  test('a million hand-overs between two threads lose no wake-up', async () => {
    const world = worldWithLock();
    const times = 1_000_000;
    const options = { lock: LOCK, counter: COUNTER, gate: GATE, parties: 2, times };
    const jobs = [0, 1].map((me) => startJob(world, 'handOver', { ...options, me }));
    const [a, b] = await Promise.all(jobs.map((job) => job.result));
    expect(world.i32[COUNTER]).toBe(times);
    expect(a!['handed']! + b!['handed']!).toBe(times);
    expect(Math.abs(a!['handed']! - b!['handed']!)).toBeLessThanOrEqual(1);
    // Threads did sleep for each other, and each sleep was ended by a wake-up.
    expect(a!['parks']! + b!['parks']!).toBeGreaterThan(1000);
    expect(a!['lost']! + b!['lost']!).toBe(0);
    // Seconds on an idle machine; on a crowded one each hand-over may take a turn of the scheduler.
  }, 300_000);

  test('readers hold the lock together', async () => {
    const world = worldWithLock();
    const p = world.join();
    expect(acquire(world, p, LW_SHARED)).toBe(LW_ACQUIRED);
    // Each of them gets in while all others are in.
    const jobs = [0, 1, 2].map((n) =>
      startJob(world, 'hold', { lock: LOCK, mode: LW_SHARED, ready: READY + 20 + n, until: UNTIL }),
    );
    for (const n of [0, 1, 2]) await untilWord(world, READY + 20 + n);
    expect(world.i32[LOCK + LOCK_STATE]).toBe(4);
    expect(tryIt(world, world.join())).toBe(LW_FAILED);
    Atomics.store(world.i32, UNTIL, 1);
    Atomics.notify(world.i32, UNTIL);
    await Promise.all(jobs.map((job) => job.result));
    expect(release(world, p)).toBe(true);
    expect(world.i32[LOCK + LOCK_STATE]).toBe(0);
  });

  test('a sleeping waiter is woken by the release', async () => {
    const world = worldWithLock();
    const p = world.join();
    acquire(world, p);
    const job = startJob(world, 'acquireOnce', { lock: LOCK, mode: LW_EXCLUSIVE, counter: COUNTER });
    await untilQueued(world, 1);
    expect(world.i32[COUNTER]).toBe(0);
    release(world, p);
    expect(await job.result).toMatchObject({ got: LW_SLEPT, lost: 0 });
    expect(world.i32[COUNTER]).toBe(1);
  });
});

describe('other forms', () => {
  test('conditional acquire fails at once while another thread holds the lock', async () => {
    const world = worldWithLock();
    const p = world.join();
    const job = startJob(world, 'hold', { lock: LOCK, mode: LW_EXCLUSIVE, ready: READY, until: UNTIL });
    await untilWord(world, READY);
    expect(tryIt(world, p)).toBe(LW_FAILED);
    expect(tryIt(world, p, LW_SHARED)).toBe(LW_FAILED);
    expect(p.nheld).toBe(0);
    Atomics.store(world.i32, UNTIL, 1);
    Atomics.notify(world.i32, UNTIL);
    await job.result;
    expect(tryIt(world, p)).toBe(LW_ACQUIRED);
  });

  test('acquire-or-wait returns without the lock once it was freed', async () => {
    const world = worldWithLock();
    const p = world.join();
    acquire(world, p);
    const jobs = [1, 2].map(() => startJob(world, 'acquireOrWait', { lock: LOCK }));
    await untilQueued(world, 1);
    await untilQueued(world, 2);
    release(world, p);
    for (const job of jobs) expect(await job.result).toEqual({ got: LW_FREED, held: false, lost: 0 });
    expect(await startJob(world, 'acquireOrWait', { lock: LOCK }).result).toMatchObject({
      got: LW_ACQUIRED,
      held: true,
    });
  });

  test('a waiter for a variable sees each change it has time for, and the release', async () => {
    const world = worldWithLock();
    const p = world.join();
    acquire(world, p);
    const job = startJob<{ seen: number[] }>(world, 'waitForVar', { lock: LOCK, variable: varIndex(0), ready: READY });
    const steps = [1, 2, 3, 10];
    for (const value of steps) {
      await untilQueued(world, 1);
      lwlockUpdateVar(p, world.i32, LOCK, 0, world.vars, varIndex(0), BigInt(value));
      await untilWord(world, READY, value);
    }
    await untilQueued(world, 1);
    release(world, p);
    expect((await job.result).seen).toEqual(steps);
  });
});

describe('fairness', () => {
  test('a queued writer is overtaken by exactly the allowed number of readers', async () => {
    const world = worldWithLock();
    const [a, b] = [world.join(), world.join()];
    acquire(world, a, LW_SHARED);
    const job = startJob(world, 'acquireOnce', { lock: LOCK, mode: LW_EXCLUSIVE, counter: COUNTER });
    await untilQueued(world, 2);
    for (let n = 0; n < LWLOCK_MAX_PASSES; n++) {
      expect(tryIt(world, b, LW_SHARED)).toBe(LW_ACQUIRED);
      release(world, b);
    }
    expect(tryIt(world, b, LW_SHARED)).toBe(LW_FAILED);
    // Also when the lock is free: the first turn is the writer's.
    release(world, a);
    expect((await job.result)['got']).toBe(LW_SLEPT);
    expect(tryIt(world, b, LW_SHARED)).toBe(LW_ACQUIRED);
  });

  test('a writer gets its turn under readers that never let go together', async () => {
    const world = worldWithLock();
    const p = world.join();
    const options = { lock: LOCK, counter: COUNTER, gate: GATE, parties: 2, stop: STOP };
    const jobs = [0, 1].map((me) => startJob(world, 'overlap', { ...options, me }));
    while (Atomics.load(world.i32, GATE) < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    let most = 0;
    for (let turn = 0; turn < 200; turn++) {
      expect(acquire(world, p)).not.toBe(LW_FAILED);
      most = Math.max(most, Atomics.exchange(world.i32, COUNTER, 0));
      release(world, p);
    }
    Atomics.store(world.i32, STOP, 1);
    for (const job of jobs) expect((await job.result)['lost']).toBe(0);
    // Once more than the bound: a walk that finds the queue empty may reset the count as the writer joins it.
    expect(most).toBeLessThanOrEqual(2 * (LWLOCK_MAX_PASSES + 3));
    expect(p.lostWakeups).toBe(0);
  });
});

describe('locks that do not come back', () => {
  test('an acquire ends with the time it was given', async () => {
    const world = worldWithLock();
    const p = world.join(150);
    const job = startJob(world, 'hold', { lock: LOCK, mode: LW_SHARED, ready: READY, until: UNTIL });
    await untilWord(world, READY);
    expect(acquire(world, p)).toBe(LW_FAILED);
    expect(p.failure).toBe(FAIL_STALLED);
    expect(p.failureMs).toBeGreaterThanOrEqual(149);
    expect(p.failureOwnerGone).toBe(false);
    expect(p.nheld).toBe(0);
    Atomics.store(world.i32, UNTIL, 1);
    Atomics.notify(world.i32, UNTIL);
    await job.result;
    expect(acquire(world, p)).not.toBe(LW_FAILED);
  });

  test.runIf(process.platform === 'linux').each([LW_EXCLUSIVE, LW_SHARED] as const)(
    'the death of a holder (mode %i) is found long before the time is over',
    async (mode) => {
      const world = worldWithLock();
      const p = world.join(60_000);
      const { worker } = startJob(world, 'holdForEver', { lock: LOCK, mode, ready: READY });
      await untilWord(world, READY);
      await worker.terminate();
      expect(acquire(world, p)).toBe(LW_FAILED);
      expect(p).toMatchObject({ failure: FAIL_STALLED, failureOwner: 1, failureOwnerGone: true });
      expect(p.failureMs).toBeLessThan(20_000);
    },
  );

  test('a reported death ends the waits for the dead', async () => {
    const world = worldWithLock();
    const dead = startJob(world, 'holdForEver', { lock: LOCK, mode: LW_EXCLUSIVE, ready: READY });
    await untilWord(world, READY);
    const options = { lock: LOCK, mode: LW_EXCLUSIVE, counter: COUNTER, lockTimeout: 60_000 };
    const waiter = startJob(world, 'acquireOnce', options);
    await untilQueued(world, 1);
    const { threadId } = dead.worker;
    await dead.worker.terminate();
    // On Linux the waiter may have found out by itself; the slot is known to be dead then.
    world.table.markDead(threadId);
    expect(world.table.knownDead(0)).toBe(true);
    expect(await waiter.result).toMatchObject({ got: LW_FAILED, failure: FAIL_STALLED, owner: 0, gone: true });
  });

  test('a waiter that dies in its sleep does not keep the others waiting', async () => {
    const world = worldWithLock();
    const p = world.join();
    acquire(world, p);
    const options = { lock: LOCK, mode: LW_EXCLUSIVE, counter: COUNTER };
    const first = startJob(world, 'acquireOnce', options);
    await untilQueued(world, 1);
    const second = startJob(world, 'acquireOnce', options);
    await untilQueued(world, 2);
    await first.worker.terminate();
    world.table.markDead(first.worker.threadId);
    await untilQueued(world, 2);
    release(world, p);
    expect(await second.result).toMatchObject({ got: LW_SLEPT });
    // It held nothing, so its slot is taken back.
    const next = world.join();
    expect([next.slot, next.nheld]).toEqual([1, 0]);
  });

  test.runIf(process.platform === 'linux')('threads ended at any moment never hang the others', async () => {
    const outcomes = { got: 0, told: 0 };
    for (let round = 0; round < 40; round++) {
      const world = worldWithLock();
      const p = world.join(60_000);
      // Alone and never at the gate's end: they count until they are ended.
      const options = { lock: LOCK, counter: COUNTER, gate: GATE, parties: 2, times: Infinity, spin: round % 2 };
      const jobs = [0, 1].map(() => startJob(world, 'count', options));
      while (world.i32[COUNTER]! < 100 * (round % 7)) await new Promise((resolve) => setTimeout(resolve, 0));
      await jobs[round % 2]!.worker.terminate();
      // With the other one still at it, then alone.
      for (const mode of [LW_EXCLUSIVE, LW_SHARED] as const) {
        if (acquire(world, p, mode) === LW_FAILED) {
          expect(p).toMatchObject({ failure: FAIL_STALLED, failureOwnerGone: true });
          expect(world.table.isAlive(p.failureOwner)).toBe(false);
          outcomes.told++;
        } else {
          expect(release(world, p)).toBe(true);
          outcomes.got++;
        }
        await jobs[1 - (round % 2)]!.worker.terminate();
      }
    }
    expect(outcomes.got + outcomes.told).toBe(80);
    expect(outcomes.got).toBeGreaterThan(0);
  });

  test('a thread does not wait for itself', () => {
    const world = worldWithLock();
    const [a, b] = [world.join(60_000), world.join(60_000)];
    for (const mode of [LW_EXCLUSIVE, LW_SHARED] as const) {
      acquire(world, a, mode);
      expect(acquire(world, b)).toBe(LW_FAILED);
      expect(b).toMatchObject({ failure: FAIL_STALLED, failureOwner: a.slot, failureOwnerGone: true });
      release(world, a);
    }
    expect(acquire(world, b)).toBe(LW_ACQUIRED);
  });
});

describe('where a thread must not be parked', () => {
  function unparkable(world: TestWorld, lockTimeout: number): Participant {
    const p = world.join(lockTimeout);
    (p as { canBlock: boolean }).canBlock = false;
    return p;
  }

  test('an acquire spins until the release', async () => {
    const world = worldWithLock();
    const p = unparkable(world, 30_000);
    const job = startJob(world, 'hold', { lock: LOCK, mode: LW_EXCLUSIVE, ready: READY, until: UNTIL });
    await untilWord(world, READY);
    p.attend = () => {
      Atomics.store(world.i32, UNTIL, 1);
      Atomics.notify(world.i32, UNTIL);
    };
    expect(acquire(world, p)).toBe(LW_SLEPT);
    expect(p.parks).toBe(0);
    await job.result;
  });

  test('and gives up with a failure of its own', async () => {
    const world = worldWithLock();
    const p = unparkable(world, 30);
    const { worker } = startJob(world, 'holdForEver', { lock: LOCK, mode: LW_EXCLUSIVE, ready: READY });
    await untilWord(world, READY);
    expect(acquire(world, p)).toBe(LW_FAILED);
    expect(p).toMatchObject({ failure: FAIL_WOULD_BLOCK, failureOwner: 1, parks: 0 });
    await worker.terminate();
  });
});
