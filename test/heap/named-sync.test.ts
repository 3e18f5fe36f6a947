/** Locks, conditions and barriers by name: the objects of the front, over blocks of a stand-in for the registry. */

import { describe, expect, test } from 'vitest';
import { checkParties, openBarrier, requireParties } from '../../dist/heap/named-barrier.js';
import { openCondition } from '../../dist/heap/named-condition.js';
import { openLock } from '../../dist/heap/named-lock.js';
import { codeOf, STORES } from './helpers.js';
import { newHome } from './sync-home.js';

const turn = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));
const codeOfAsync = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'nothing',
    (error: { code?: string }) => error.code ?? String(error),
  );

describe.each(STORES)('on %s', (store) => {
  test('threads count under one lock', async () => {
    const home = newHome(store);
    const lock = openLock(home, 'lock');
    const times = 3000;
    const jobs = [0, 1, 2].map(() => home.run('count', { times }));
    let mine = 0;
    for (; mine < 200; mine++) {
      await lock.withLockAsync(() => {
        home.words[0]!++;
        home.words[1]!++;
      });
      await turn();
    }
    for (const job of jobs) expect(await job.result).toEqual({ torn: 0 });
    const each = times + Math.ceil(times / 16);
    expect([home.words[0], home.words[1]]).toEqual([3 * each + mine, 3 * each + mine]);
    expect(lock.held).toBe(false);
  });

  test('threads take what tasks deliver, waiting under a lock', async () => {
    const home = newHome(store);
    const lock = openLock(home, 'lock');
    const condition = openCondition(home, 'condition');
    const times = 1500;
    const jobs = [0, 1].map(() => home.run('take', { times }));
    for (let n = 0; n < 2 * times; n++) {
      const guard = await lock.acquireAsync();
      await condition.waitForAsync(() => home.words[0] === 0, { lock });
      expect(lock.held).toBe(true);
      home.words[0] = 1;
      guard.release();
      condition.broadcast();
    }
    for (const job of jobs) expect(await job.result).toEqual({ sum: times });
    expect(home.words[0]).toBe(0);
  });

  test.each([4, 0])('threads and tasks pass a barrier together (%i parties)', async (parties) => {
    const home = newHome(store);
    const barrier = openBarrier(home, 'barrier', parties);
    const times = 300;
    if (parties === 0) for (let n = 0; n < 2; n++) barrier.attach();
    const jobs = [0, 1].map(() => home.run('phases', { parties, times }));
    if (parties === 0) while (barrier.participants < 4) await turn(1);
    let elected = 0;
    const task = async () => {
      for (let n = 0; n < times; n++) if (await barrier.arriveAndWaitAsync()) elected++;
      if (parties === 0) barrier.arriveAndDetach();
    };
    await Promise.all([task(), task()]);
    for (const job of jobs) elected += (await job.result)['elected']!;
    expect(elected).toBe(times);
    expect(barrier.participants).toBe(parties);
  });
});

describe('a lock', () => {
  test('is given back by its guard, once, and by release()', () => {
    const lock = openLock(newHome('region'), 'a lock');
    const guard = lock.acquire();
    expect([lock.held, guard.held, guard.shared]).toEqual([true, true, false]);
    expect(lock.tryAcquire()).toBeNull();
    expect(lock.tryAcquireShared()).toBeNull();
    guard.release();
    expect([lock.held, guard.held]).toEqual([false, false]);
    const next = lock.acquire();
    guard.release();
    guard[Symbol.dispose]();
    expect(next.held && lock.held).toBe(true);
    lock.release();
    expect([next.held, lock.held]).toEqual([false, false]);
    next.release();
    expect(codeOf(() => lock.release())).toBe('ERR_HEAP_LOCK_NOT_HELD');
    const shared = lock.tryAcquireShared()!;
    expect(shared.shared).toBe(true);
    shared[Symbol.dispose]();
    expect(lock.tryAcquire()?.held).toBe(true);
    lock.release();
  });

  test('excludes other participants of the same thread', () => {
    const home = newHome('region');
    const [mine, theirs] = [openLock(home, 'lock'), openLock(home.another(), 'lock')];
    const guard = mine.acquireShared();
    expect(theirs.tryAcquire()).toBeNull();
    const second = theirs.tryAcquireShared()!;
    guard.release();
    expect(mine.tryAcquire()).toBeNull();
    second.release();
    mine.acquire().release();
  });

  test('is held while a function runs, whatever it does', async () => {
    const lock = openLock(newHome('region'), 'lock');
    expect(lock.withLock(() => lock.held)).toBe(true);
    expect(lock.withSharedLock(() => lock.held)).toBe(true);
    const boom = () => {
      throw new Error('boom');
    };
    expect(() => lock.withLock(boom)).toThrow('boom');
    expect(codeOf(() => lock.withLock(() => Promise.resolve()))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(await lock.withLockAsync(async () => turn().then(() => lock.held))).toBe(true);
    expect(await Promise.all([1, 2].map((n) => lock.withSharedLockAsync(() => n)))).toEqual([1, 2]);
    await expect(lock.withLockAsync(boom)).rejects.toThrow('boom');
    expect(lock.held).toBe(false);
  });

  test('says in its errors which one it is', async () => {
    const home = newHome('region');
    const lock = openLock(home, 'jobs');
    const { lockTimeout } = home.participant;
    using(openLock(home.another(), 'jobs').acquire(), () => {
      // Its own thread holds it: that is found out at once.
      expect(() => lock.acquire({ timeout: 20 })).toThrow(/lock 'jobs': .*/);
      expect(codeOf(() => lock.acquire({ timeout: 20 }))).toBe('ERR_HEAP_LOCK_STALLED');
      expect(home.participant.lockTimeout).toBe(lockTimeout);
    });
    const guard = lock.acquire();
    expect(() => lock.acquire()).toThrow("lock 'jobs': the participant holds this lock already");
    await expect(lock.acquireAsync({ timeout: 10 })).rejects.toMatchObject({
      code: 'ERR_HEAP_LOCK_STALLED',
      message: "lock 'jobs': the lock was not released in time",
    });
    const reason = new Error('stop');
    const controller = new AbortController();
    const wait = lock.acquireSharedAsync({ signal: controller.signal });
    controller.abort(reason);
    await expect(wait).rejects.toMatchObject({ code: 'ERR_HEAP_ABORTED', cause: reason });
    guard.release();
  });

  test('of a thread that was ended is not had any more', async () => {
    const home = newHome('region');
    const lock = openLock(home, 'lock');
    const { worker } = home.run('hold');
    while (home.words[8] === 0) await turn(1);
    expect(lock.tryAcquire()).toBeNull();
    const { threadId } = worker;
    await worker.terminate();
    home.dsm.markDead(threadId);
    expect(await codeOfAsync(lock.acquireAsync({ timeout: 1000 }))).toBe('ERR_HEAP_LOCK_STALLED');
    expect(codeOf(() => lock.acquire({ timeout: 1000 }))).toBe('ERR_HEAP_LOCK_STALLED');
  });

  test('is given back when the heap is closed, and waits for it end', async () => {
    const home = newHome('region');
    const [lock, other] = [openLock(home, 'lock'), openLock(home.another(), 'lock')];
    const guard = lock.acquire();
    const wait = codeOfAsync(lock.acquireAsync());
    const theirs = other.acquireAsync();
    await turn();
    lock.heapClosed();
    expect(await wait).toBe('ERR_HEAP_CLOSED');
    (await theirs).release();
    expect(guard.held).toBe(false);
    home.dsm.leave();
    expect(codeOf(() => lock.acquire())).toBe('ERR_HEAP_CLOSED');
    expect(codeOf(() => lock.tryAcquire())).toBe('ERR_HEAP_CLOSED');
    expect(await codeOfAsync(lock.acquireAsync())).toBe('ERR_HEAP_CLOSED');
    guard.release();
  });

  test.each<[string, unknown]>([
    ['a number', 5],
    ['null', null],
    ['a negative timeout', { timeout: -1 }],
    ['no timeout', { timeout: Number.NaN }],
    ['text', { timeout: '5' }],
    ['an unknown option', { time: 5 }],
    ['no signal', { signal: {} }],
  ])('refuses %s', async (_what, options) => {
    const lock = openLock(newHome('region'), 'lock');
    expect(codeOf(() => lock.acquire(options as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(codeOf(() => lock.acquireShared(options as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(codeOf(() => lock.withLock(() => 1, options as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(codeOf(() => lock.withSharedLock(options as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(await codeOfAsync(lock.acquireAsync(options as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(await codeOfAsync(lock.withLockAsync(() => 1, options as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(await codeOfAsync(lock.withSharedLockAsync(options as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(lock.held).toBe(false);
  });
});

/** What `using` does, which Node 20 does not parse. */
function using<T extends Disposable>(value: T, action: () => void): void {
  try {
    action();
  } finally {
    value[Symbol.dispose]();
  }
}

describe('a condition', () => {
  test('holds the lock again after a wait that ends without the condition', async () => {
    const home = newHome('region');
    const lock = openLock(home, 'lock');
    const condition = openCondition(home, 'news');
    const guard = lock.acquire();
    expect(codeOf(() => condition.waitFor(() => false, { lock, timeout: 10 }))).toBe('ERR_HEAP_TIMEOUT');
    expect(() => condition.waitFor(() => false, { timeout: 0 })).toThrow("condition 'news'");
    expect(lock.held && guard.held).toBe(true);
    expect(await codeOfAsync(condition.waitForAsync(() => false, { lock, timeout: 10 }))).toBe('ERR_HEAP_TIMEOUT');
    const signal = AbortSignal.timeout(10);
    expect(await codeOfAsync(condition.waitForAsync(() => false, { lock, signal }))).toBe('ERR_HEAP_ABORTED');
    expect(lock.held && guard.held).toBe(true);
    const boom = () => {
      throw new Error('boom');
    };
    expect(() => condition.waitFor(boom, { lock })).toThrow('boom');
    await expect(condition.waitForAsync(boom, { lock })).rejects.toThrow('boom');
    expect(lock.held && guard.held).toBe(true);
    guard.release();
    expect(lock.held).toBe(false);
  });

  test('gives the lock to another task while it sleeps', async () => {
    const home = newHome('region');
    const lock = openLock(home, 'lock');
    const condition = openCondition(home, 'condition');
    const waits = [1, 2, 3].map((n) =>
      lock.withLockAsync(async () => {
        await condition.waitForAsync(() => home.words[0]! >= n, { lock });
        expect(lock.held).toBe(true);
      }),
    );
    for (let n = 0; n < 3; n++) {
      await lock.withLockAsync(() => home.words[0]!++);
      condition.broadcast();
    }
    await Promise.all(waits);
    expect(lock.held).toBe(false);
  });

  test('wants a lock that is held, and a function', async () => {
    const home = newHome('region');
    const lock = openLock(home, 'lock');
    const condition = openCondition(home, 'condition');
    expect(codeOf(() => condition.waitFor(() => true, { lock }))).toBe('ERR_HEAP_LOCK_NOT_HELD');
    expect(await codeOfAsync(condition.waitForAsync(() => true, { lock }))).toBe('ERR_HEAP_LOCK_NOT_HELD');
    const bad = [5, null, {}, { held: true }, 'lock'] as never[];
    for (const wrong of bad) {
      expect(codeOf(() => condition.waitFor(() => true, { lock: wrong }))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(await codeOfAsync(condition.waitForAsync(() => true, { lock: wrong }))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => condition.waitFor(wrong))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(await codeOfAsync(condition.waitForAsync(wrong))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    using(lock.acquire(), () => {
      expect(codeOf(() => condition.waitFor(5 as never, { lock }))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => condition.waitFor(() => true, { lock, timeout: -1 }))).toBe('ERR_HEAP_BAD_ARGUMENT');
    });
  });

  test('ends its waits when the heap is closed', async () => {
    const home = newHome('region');
    const condition = openCondition(home, 'condition');
    const wait = codeOfAsync(condition.waitForAsync(() => false));
    await turn();
    condition.heapClosed();
    expect(await wait).toBe('ERR_HEAP_CLOSED');
  });
});

describe('a barrier', () => {
  test('has the same parties for everybody', () => {
    const home = newHome('region');
    const fixed = openBarrier(home, 'fixed', 3);
    expect([fixed.name, fixed.parties, fixed.participants]).toEqual(['fixed', 3, 3]);
    expect(openBarrier(home.another(), 'fixed', 3).parties).toBe(3);
    expect(() => openBarrier(home, 'fixed', 2)).toThrow("barrier 'fixed' has other parties");
    expect(codeOf(() => openBarrier(home, 'fixed', 0))).toBe('ERR_HEAP_BAD_OPTION');
    const open = openBarrier(home, 'open', 0);
    open.attach();
    expect(openBarrier(home.another(), 'open', 0).participants).toBe(1);
    expect(codeOf(() => openBarrier(home, 'open', 1))).toBe('ERR_HEAP_BAD_OPTION');
    expect(codeOf(() => requireParties(open, 2))).toBe('ERR_HEAP_BAD_OPTION');
    requireParties(fixed, 3);
  });

  test('says in its errors which one it is', async () => {
    const home = newHome('region');
    const fixed = openBarrier(home, 'gate', 2);
    for (const call of ['attach', 'detach', 'arriveAndDetach', 'arriveAndDetachExceptLast'] as const) {
      expect(() => fixed[call]()).toThrow("barrier 'gate'");
      expect(codeOf(() => fixed[call]())).toBe('ERR_HEAP_BARRIER');
    }
    expect(() => fixed.arriveAndWait({ timeout: 5 })).toThrow("barrier 'gate'");
    await expect(fixed.arriveAndWaitAsync({ timeout: 5 })).rejects.toThrow("barrier 'gate'");
    const wait = codeOfAsync(fixed.arriveAndWaitAsync());
    await turn();
    fixed.heapClosed();
    expect(await wait).toBe('ERR_HEAP_CLOSED');
  });

  test.each([Number.NaN, -1, 1.5, '2', 2n, null, undefined, Infinity, 20_000, {}])('refuses %s parties', (parties) => {
    expect(codeOf(() => checkParties(parties))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(codeOf(() => openBarrier(newHome('region'), 'barrier', parties as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
  });
});
