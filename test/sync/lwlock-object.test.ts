/** class LWLock: what it checks and what it throws. */

import { describe, expect, test } from 'vitest';
import { LW_EXCLUSIVE, LW_SHARED, LWLock, Participant } from '../../dist/sync/sync.js';
import { lockWord, makeWorld, varOffset } from './world.js';

const AT = lockWord(1) * 4;

function setup() {
  const world = makeWorld(4);
  const memory = { i32: world.i32, ns: 0 };
  LWLock.initialize(memory, AT, 34, world.tranches);
  const p = world.join(0);
  const q = world.join(0);
  const lock = new LWLock(p, memory, AT, world.tranches);
  const theirs = new LWLock(q, memory, AT, world.tranches);
  return { ...world, memory, p, q, lock, theirs, state: () => world.i32[AT / 4 + 1] };
}

const code = (name: string) => expect.objectContaining({ code: name });

test('acquire, ask, release', () => {
  const { lock, theirs, state } = setup();
  expect(lock.acquire()).toBe(true);
  expect([lock.heldByMe(), lock.heldByMeInMode(LW_EXCLUSIVE), lock.heldByMeInMode(LW_SHARED)]).toEqual([
    true,
    true,
    false,
  ]);
  expect([theirs.heldByMe(), theirs.conditionalAcquire(), theirs.conditionalAcquire(LW_SHARED)]).toEqual([
    false,
    false,
    false,
  ]);
  // Its own lock is taken, too, as far as a conditional acquire is concerned.
  expect(lock.conditionalAcquire()).toBe(false);
  lock.release();
  expect(theirs.conditionalAcquire(LW_SHARED)).toBe(true);
  expect(lock.acquireOrWait(LW_SHARED)).toBe(true);
  lock.release();
  theirs.release();
  expect(state()).toBe(0);
});

test('two objects over one place are one lock', () => {
  const { memory, p, lock, tranches } = setup();
  const again = new LWLock(p, memory, AT, tranches);
  lock.acquire(LW_SHARED);
  expect(again.heldByMeInMode(LW_SHARED)).toBe(true);
  again.release();
  expect(lock.heldByMe()).toBe(false);
});

test('the variable', () => {
  const { lock, theirs, vars } = setup();
  const v = varOffset(1);
  expect(theirs.waitForVar(v, 0n)).toEqual({ free: true, value: 0n });
  lock.acquire();
  lock.updateVar(v, 2n ** 63n - 1n);
  expect(theirs.waitForVar(v, 0n)).toEqual({ free: false, value: 2n ** 63n - 1n });
  expect(() => theirs.waitForVar(v, 2n ** 63n - 1n)).toThrow(code('ERR_HEAP_LOCK_STALLED'));
  expect(() => theirs.updateVar(v, 1n)).toThrow(code('ERR_HEAP_LOCK_NOT_HELD'));
  expect(() => theirs.releaseClearVar(v, 1n)).toThrow(code('ERR_HEAP_LOCK_NOT_HELD'));
  lock.releaseClearVar(v, 0n);
  expect(vars[v / 8]).toBe(0n);
  lock.acquire(LW_SHARED);
  expect(() => lock.updateVar(v, 1n)).toThrow(code('ERR_HEAP_LOCK_NOT_HELD'));
  lock.release();
});

describe('what goes wrong is thrown and changes nothing', () => {
  test('self', () => {
    const { lock, state } = setup();
    lock.acquire();
    const before = state();
    expect(() => lock.acquire(LW_SHARED)).toThrow(code('ERR_HEAP_LOCK_SELF'));
    expect(() => lock.acquireOrWait()).toThrow(code('ERR_HEAP_LOCK_SELF'));
    expect(state()).toBe(before);
  });

  test('stalled, with the lock and both participants named', () => {
    const { lock, theirs } = setup();
    lock.acquire();
    expect(() => theirs.acquire()).toThrow(
      expect.objectContaining({
        code: 'ERR_HEAP_LOCK_STALLED',
        detail:
          'lock "DynamicSharedMemoryControl" at byte 64 of memory 0: participant 1, held by participant 0, waited 0 ms of at most 0',
        hint: expect.stringMatching(/lockTimeout/),
      }),
    );
  });

  test('not held', () => {
    const { lock, theirs, state } = setup();
    expect(() => lock.release()).toThrow(code('ERR_HEAP_LOCK_NOT_HELD'));
    lock.acquire();
    const before = state();
    expect(() => theirs.release()).toThrow(code('ERR_HEAP_LOCK_NOT_HELD'));
    expect(state()).toBe(before);
  });

  test('poisoned', () => {
    const { lock, theirs } = setup();
    expect(lock.poisoned).toBe(false);
    theirs.poison();
    expect(lock.poisoned).toBe(true);
    for (const call of [() => lock.acquire(), () => lock.conditionalAcquire(), () => lock.acquireOrWait()]) {
      expect(call).toThrow(code('ERR_HEAP_POISONED'));
    }
  });

  test('closed', () => {
    const { lock, p, state } = setup();
    p.leave();
    const calls = [
      () => lock.acquire(),
      () => lock.conditionalAcquire(),
      () => lock.acquireOrWait(),
      () => lock.waitForVar(varOffset(0), 0n),
    ];
    for (const call of calls) expect(call).toThrow(code('ERR_HEAP_CLOSED'));
    expect(() => lock.release()).toThrow(code('ERR_HEAP_LOCK_NOT_HELD'));
    expect(state()).toBe(0);
  });

  test('too many', () => {
    const { lock, p, memory, tranches } = setup();
    const big = { i32: new Int32Array(new SharedArrayBuffer(16 * 201)), ns: 2 };
    const all = Array.from({ length: 200 }, (_n, k) => {
      LWLock.initialize(big, k * 16, 34, tranches);
      return new LWLock(p, big, k * 16, tranches);
    });
    for (const one of all) one.acquire();
    expect(() => lock.acquire()).toThrow(code('ERR_HEAP_TOO_MANY_LOCKS'));
    expect(() => lock.conditionalAcquire()).toThrow(code('ERR_HEAP_TOO_MANY_LOCKS'));
    for (const one of all) one.release();
    expect(new LWLock(p, memory, AT).acquire()).toBe(true);
  });
});

describe('bad input', () => {
  test.each([-1, 2, 0.5, Number.NaN, '0', null, true, 1n, Symbol('0'), Object.create(null)])('mode %o', (mode) => {
    const { lock, state } = setup();
    const calls = [
      () => lock.acquire(mode as never),
      () => lock.conditionalAcquire(mode as never),
      () => lock.acquireOrWait(mode as never),
      () => lock.heldByMeInMode(mode as never),
    ];
    for (const call of calls) expect(call).toThrow(code('ERR_HEAP_BAD_ARGUMENT'));
    expect(state()).toBe(0);
  });

  test.each([-4, 2, 0.5, Number.NaN, Infinity, 2 ** 53, '64', null, 64n, Object.create(null)])(
    'place %o',
    (byteOffset) => {
      const { memory, p, tranches } = setup();
      expect(() => new LWLock(p, memory, byteOffset as number)).toThrow(code('ERR_HEAP_BAD_ARGUMENT'));
      expect(() => LWLock.initialize(memory, byteOffset as number, 34, tranches)).toThrow(
        code('ERR_HEAP_BAD_ARGUMENT'),
      );
    },
  );

  test('a lock that would end behind the memory', () => {
    const { p, i32 } = setup();
    const small = { i32: new Int32Array(new SharedArrayBuffer(28)), ns: 0 };
    expect(new LWLock(p, small, 12)).toBeInstanceOf(LWLock);
    expect(() => new LWLock(p, small, 16)).toThrow(code('ERR_HEAP_BAD_ARGUMENT'));
    expect(i32.length).toBeGreaterThan(0);
  });

  test.each([
    ['no memory', null],
    ['private memory', { i32: new Int32Array(64), ns: 0 }],
    ['another view', { i32: new Float64Array(new SharedArrayBuffer(64)), ns: 0 }],
    ['no number', { i32: new Int32Array(new SharedArrayBuffer(64)) }],
    ['a negative number', { i32: new Int32Array(new SharedArrayBuffer(64)), ns: -1 }],
    ['a number too large', { i32: new Int32Array(new SharedArrayBuffer(64)), ns: 2 ** 32 - 1 }],
    ['a fraction', { i32: new Int32Array(new SharedArrayBuffer(64)), ns: 0.5 }],
    ['an object', { i32: new Int32Array(new SharedArrayBuffer(64)), ns: Object.create(null) }],
  ])('memory: %s', (_name, memory) => {
    const { p } = setup();
    expect(() => new LWLock(p, memory as never, 0)).toThrow(code('ERR_HEAP_BAD_ARGUMENT'));
  });

  test.each([null, undefined, {}, 1, Participant])('participant %s', (participant) => {
    const { memory } = setup();
    expect(() => new LWLock(participant as never, memory, AT)).toThrow(code('ERR_HEAP_BAD_ARGUMENT'));
  });

  test.each([
    [4, 0n],
    [-8, 0n],
    [Number.NaN, 0n],
    [2 ** 40, 0n],
    [varOffset(0), 0],
    [varOffset(0), undefined],
  ])('variable at %s, value %s', (at, value) => {
    const { lock, vars } = setup();
    lock.acquire();
    const calls = [
      () => lock.waitForVar(at, value as bigint),
      () => lock.updateVar(at, value as bigint),
      () => lock.releaseClearVar(at, value as bigint),
    ];
    for (const call of calls) expect(call).toThrow(code('ERR_HEAP_BAD_ARGUMENT'));
    expect(lock.heldByMe()).toBe(true);
    expect(vars[varOffset(0) / 8]).toBe(0n);
  });

  test('a lock without known names says its number', () => {
    const { p, memory } = setup();
    expect(() => new LWLock(p, memory, AT).tranche).toThrow(code('ERR_HEAP_TRANCHE'));
  });
});
