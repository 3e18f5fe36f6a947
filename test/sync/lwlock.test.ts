/** The lock's functions one by one, in one thread. */

import { describe, expect, test } from 'vitest';
import {
  dropHold,
  dropNewestHold,
  findHold,
  holdMode,
  holdNs,
  holdWord,
  newestHold,
  noteHold,
} from '../../dist/sync/lwlock-held.js';
import {
  FAIL_CLOSED,
  FAIL_NONE,
  FAIL_POISONED,
  FAIL_SELF,
  FAIL_STALLED,
  FAIL_TOO_MANY,
  FAIL_WOULD_BLOCK,
  HAS_WAITERS,
  LOCK_STATE,
  LW_ACQUIRED,
  LW_CHANGED,
  LW_EXCLUSIVE,
  LW_FAILED,
  LW_FREED,
  LW_SHARED,
  lwlockAcquire,
  lwlockAcquireExclusive,
  lwlockAcquireOrWait,
  lwlockAnyHeldByMe,
  lwlockConditionalAcquire,
  lwlockFailure,
  lwlockHeldByMe,
  lwlockHeldByMeInMode,
  lwlockInitialize,
  lwlockIsPoisoned,
  lwlockPoison,
  lwlockRelease,
  lwlockReleaseAll,
  lwlockReleaseClearVar,
  lwlockReleaseNewest,
  lwlockTranche,
  lwlockUpdateVar,
  lwlockWaitForVar,
  LWLockStruct,
  MAX_HELD_LOCKS,
  ParticipantSlot,
} from '../../dist/sync/sync.js';
import { makeWorld, varIndex } from './world.js';

const EX = LW_EXCLUSIVE;
const SH = LW_SHARED;
const L = 16;

function setup() {
  const world = makeWorld();
  for (let n = 0; n < 300; n++) lwlockInitialize(world.i32, 8192 - 1300 + n * 4, 34);
  lwlockInitialize(world.i32, L, 34);
  const p = world.join(0);
  const q = world.join(0);
  return { ...world, p, q, state: () => world.i32[L + LOCK_STATE] };
}

describe('layout', () => {
  test('a lock is 16 bytes with the tranche in front, a slot is a page', () => {
    expect([
      LWLockStruct.SIZEOF,
      LWLockStruct.tranche,
      LWLockStruct.state,
      LWLockStruct.ticket,
      LWLockStruct.passes,
    ]).toEqual([16, 0, 4, 8, 12]);
    expect([ParticipantSlot.SIZEOF, ParticipantSlot.identity, ParticipantSlot.held]).toEqual([4096, 0, 144]);
  });

  test('initialising makes a fresh lock whatever was there', () => {
    const { i32 } = setup();
    i32.fill(-1, 20, 24);
    lwlockInitialize(i32, 20, 65535);
    expect([...i32.subarray(20, 24)]).toEqual([65535, 0, 0, 0]);
    expect(lwlockTranche(i32, 20)).toBe(65535);
  });
});

describe('modes', () => {
  test('exclusive: the word names the owner, and is 0 again afterwards', () => {
    const { i32, p, q, state } = setup();
    expect(lwlockAcquire(p, i32, L, 0, EX)).toBe(LW_ACQUIRED);
    expect(state()).toBe((1 << 18) | p.id);
    expect(lwlockConditionalAcquire(q, i32, L, 0, EX)).toBe(LW_FAILED);
    expect(lwlockConditionalAcquire(q, i32, L, 0, SH)).toBe(LW_FAILED);
    expect(q.failure).toBe(FAIL_NONE);
    expect(lwlockRelease(q, i32, L, 0)).toBe(false);
    expect(lwlockRelease(p, i32, L, 0)).toBe(true);
    expect(state()).toBe(0);
    expect(lwlockRelease(p, i32, L, 0)).toBe(false);
  });

  test('shared: the word counts, and keeps exclusive ones out', () => {
    const { i32, p, q, state } = setup();
    expect(lwlockAcquire(p, i32, L, 0, SH)).toBe(LW_ACQUIRED);
    expect(lwlockAcquire(q, i32, L, 0, SH)).toBe(LW_ACQUIRED);
    expect(state()).toBe(2);
    lwlockRelease(p, i32, L, 0);
    expect(state()).toBe(1);
    expect(lwlockConditionalAcquire(p, i32, L, 0, EX)).toBe(LW_FAILED);
    lwlockRelease(q, i32, L, 0);
    expect(lwlockConditionalAcquire(p, i32, L, 0, EX)).toBe(LW_ACQUIRED);
  });

  test('a lock in another memory at the same word is another lock', () => {
    const { i32, p } = setup();
    const other = new Int32Array(new SharedArrayBuffer(256));
    lwlockAcquire(p, i32, L, 0, EX);
    expect(lwlockAcquire(p, other, L, 0xfffffffe, SH)).toBe(LW_ACQUIRED);
    expect([lwlockHeldByMe(p, L, 0), lwlockHeldByMe(p, L, 0xfffffffe), lwlockHeldByMe(p, L, 2)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(lwlockRelease(p, other, L, 0xfffffffe)).toBe(true);
    expect(other[L + LOCK_STATE]).toBe(0);
    expect(lwlockHeldByMe(p, L, 0)).toBe(true);
  });

  test('without waiting, an expired acquire leaves nothing behind', () => {
    const { i32, p, q, state } = setup();
    lwlockAcquire(p, i32, L, 0, EX);
    expect(lwlockAcquire(q, i32, L, 0, SH)).toBe(LW_FAILED);
    expect([q.failure, q.failureOwner, q.nheld, q.parks]).toEqual([FAIL_STALLED, p.slot, 0, 0]);
    expect(lwlockAcquireOrWait(q, i32, L, 0, EX)).toBe(LW_FAILED);
    lwlockRelease(p, i32, L, 0);
    // The flag was left by those who queued; the release found nobody and took it off.
    expect(state()).toBe(0);
  });
});

describe('what a participant holds', () => {
  test('acquiring a lock twice fails in every mode and form', () => {
    const { i32, p, state } = setup();
    for (const held of [EX, SH] as const) {
      lwlockAcquire(p, i32, L, 0, held);
      const before = state();
      for (const wanted of [EX, SH] as const) {
        for (const form of [lwlockAcquire, lwlockConditionalAcquire, lwlockAcquireOrWait]) {
          expect(form(p, i32, L, 0, wanted)).toBe(LW_FAILED);
          expect([p.failure, p.nheld, state()]).toEqual([FAIL_SELF, 1, before]);
        }
      }
      lwlockRelease(p, i32, L, 0);
    }
  });

  test('200 locks and no more, released in any order', () => {
    const { i32, p } = setup();
    const word = (n: number) => 8192 - 1300 + n * 4;
    for (let n = 0; n < MAX_HELD_LOCKS; n++)
      expect(lwlockAcquire(p, i32, word(n), 0, n % 3 === 0 ? SH : EX)).toBe(LW_ACQUIRED);
    for (const form of [lwlockAcquire, lwlockConditionalAcquire, lwlockAcquireOrWait]) {
      expect(form(p, i32, L, 0, EX)).toBe(LW_FAILED);
      expect(p.failure).toBe(FAIL_TOO_MANY);
    }
    expect(i32[p.base + ParticipantSlot.nheld / 4]).toBe(MAX_HELD_LOCKS);
    for (let n = 0; n < MAX_HELD_LOCKS; n++) {
      const at = (n * 77) % MAX_HELD_LOCKS;
      expect(lwlockHeldByMeInMode(p, word(at), 0, at % 3 === 0 ? SH : EX)).toBe(true);
      expect(lwlockHeldByMeInMode(p, word(at), 0, at % 3 === 0 ? EX : SH)).toBe(false);
      expect(lwlockRelease(p, i32, word(at), 0)).toBe(true);
      expect(lwlockHeldByMe(p, word(at), 0)).toBe(false);
    }
    expect(p.nheld).toBe(0);
    for (let n = 0; n < MAX_HELD_LOCKS; n++) expect(i32[word(n) + LOCK_STATE]).toBe(0);
  });

  test('one of an array', () => {
    const { i32, p } = setup();
    lwlockAcquire(p, i32, 48, 0, SH);
    expect(lwlockAnyHeldByMe(p, 16, 0, 3, 16)).toBe(true);
    expect(lwlockAnyHeldByMe(p, 16, 0, 2, 16)).toBe(false);
    expect(lwlockAnyHeldByMe(p, 64, 0, 3, 16)).toBe(false);
    expect(lwlockAnyHeldByMe(p, 40, 0, 3, 16)).toBe(false);
    expect(lwlockAnyHeldByMe(p, 16, 2, 3, 16)).toBe(false);
  });

  test('releasing all goes from the newest, and drops what lies in memory that is gone', () => {
    const { i32, p } = setup();
    const other = new Int32Array(new SharedArrayBuffer(256));
    const gone = new Int32Array(new SharedArrayBuffer(256));
    lwlockAcquire(p, i32, L, 0, EX);
    lwlockAcquire(p, other, 8, 2, SH);
    lwlockAcquire(p, gone, 8, 4, EX);
    lwlockAcquire(p, i32, 48, 0, SH);
    const asked: number[] = [];
    const released = lwlockReleaseAll(p, (ns) => {
      asked.push(ns);
      return [i32, null, other][ns] ?? null;
    });
    expect([released, p.nheld]).toEqual([3, 0]);
    expect(asked).toEqual([0, 4, 2, 0]);
    expect([i32[L + 1], i32[49], other[9]]).toEqual([0, 0, 0]);
    expect(gone[9]).not.toBe(0);
    expect(lwlockReleaseAll(p, () => null)).toBe(0);
  });

  test('entries for words beyond 2^32 keep all bits', () => {
    const { p } = setup();
    const words = [5, 2 ** 31 + 5, 2 ** 32 + 5, 2 ** 37 + 5, 2 ** 38 - 1];
    words.forEach((word, n) => noteHold(p, 0xfffffffe, word, n % 2));
    words.forEach((word, n) => {
      expect(findHold(p, p.nheld, 0xfffffffe, word)).toBe(n);
      expect([holdNs(p, n), holdWord(p, n), holdMode(p, n)]).toEqual([0xfffffffe, word, n % 2]);
      expect(newestHold(p, n, 0xfffffffe, word)).toBe(word < 2 ** 32 ? n % 2 : -1);
    });
    expect(newestHold(p, 0, 0xfffffffe, 2 ** 32 + 5)).toBe(-1);
    dropHold(p, 1);
    expect(findHold(p, p.nheld, 0xfffffffe, words[1]!)).toBe(-1);
    expect(holdWord(p, 1)).toBe(words[2]);
    while (p.nheld > 0) dropNewestHold(p);
  });

  test('who has left gets nothing', () => {
    const { i32, p } = setup();
    p.leave();
    expect(lwlockAcquire(p, i32, L, 0, EX)).toBe(LW_FAILED);
    expect(p.failure).toBe(FAIL_CLOSED);
    expect(lwlockConditionalAcquire(p, i32, L, 0, SH)).toBe(LW_FAILED);
    expect(lwlockAcquireOrWait(p, i32, L, 0, SH)).toBe(LW_FAILED);
    expect(lwlockRelease(p, i32, L, 0)).toBe(false);
    expect(i32[L + 1]).toBe(0);
  });
});

describe('a variable under the lock', () => {
  test('free, changed, cleared', () => {
    const { i32, vars, p, q, state } = setup();
    const v = varIndex(0);
    expect(lwlockWaitForVar(q, i32, L, 0, vars, v, 0n)).toBe(LW_FREED);
    lwlockAcquire(p, i32, L, 0, EX);
    expect(lwlockWaitForVar(q, i32, L, 0, vars, v, 0n)).toBe(LW_FAILED);
    expect(q.failure).toBe(FAIL_STALLED);
    lwlockUpdateVar(p, i32, L, 0, vars, v, -5n);
    expect(lwlockWaitForVar(q, i32, L, 0, vars, v, 0n)).toBe(LW_CHANGED);
    expect(q.varValue).toBe(-5n);
    expect(lwlockReleaseClearVar(q, i32, L, 0, vars, v, 9n)).toBe(false);
    expect(vars[v]).toBe(-5n);
    expect(lwlockReleaseClearVar(p, i32, L, 0, vars, v, 0n)).toBe(true);
    expect([vars[v], state()]).toEqual([0n, 0]);
    // Shared holders do not count.
    lwlockAcquire(p, i32, L, 0, SH);
    expect(lwlockWaitForVar(q, i32, L, 0, vars, v, 0n)).toBe(LW_FREED);
  });
});

describe('poison', () => {
  test('nobody gets a poisoned lock, its holder can give it back', () => {
    const { i32, p, q } = setup();
    lwlockAcquire(p, i32, L, 0, EX);
    expect(lwlockIsPoisoned(i32, L)).toBe(false);
    lwlockPoison(q, i32, L, 0);
    expect(lwlockIsPoisoned(i32, L)).toBe(true);
    expect(lwlockRelease(p, i32, L, 0)).toBe(true);
    for (const form of [lwlockAcquire, lwlockConditionalAcquire, lwlockAcquireOrWait]) {
      expect(form(p, i32, L, 0, SH)).toBe(LW_FAILED);
      expect([p.failure, p.nheld]).toEqual([FAIL_POISONED, 0]);
    }
    expect(lwlockIsPoisoned(i32, L)).toBe(true);
  });
});

test('each failure has its code, and names the lock, who waits and who is in the way', () => {
  const { i32, p, tranches } = setup();
  lwlockInitialize(i32, 48, tranches.newTrancheId('my locks'));
  const codes = {
    [FAIL_NONE]: 'ERR_HEAP_WOULD_BLOCK',
    [FAIL_SELF]: 'ERR_HEAP_LOCK_SELF',
    [FAIL_STALLED]: 'ERR_HEAP_LOCK_STALLED',
    [FAIL_POISONED]: 'ERR_HEAP_POISONED',
    [FAIL_TOO_MANY]: 'ERR_HEAP_TOO_MANY_LOCKS',
    [FAIL_WOULD_BLOCK]: 'ERR_HEAP_WOULD_BLOCK',
    [FAIL_CLOSED]: 'ERR_HEAP_CLOSED',
  };
  for (const [failure, expected] of Object.entries(codes)) {
    p.failure = Number(failure);
    const error = lwlockFailure(p, i32, 48, 6, tranches);
    expect(error.code).toBe(expected);
    expect(error.detail).toContain('lock "my locks" at byte 192 of memory 6');
    expect(error.hint).not.toBe('');
  }
  p.failure = FAIL_STALLED;
  p.failureOwner = 7;
  p.failureMs = 59.6;
  expect(lwlockFailure(p, i32, L, 0).detail).toBe(
    'lock "DynamicSharedMemoryControl" at byte 64 of memory 0: participant 0, held by participant 7, waited 60 ms of at most 0',
  );
  expect(lwlockFailure(p, i32, 48, 0).detail).toContain('lock of tranche 95 ');
  p.failureOwnerGone = true;
  expect(lwlockFailure(p, i32, L, 0).message).toContain('its holder is gone');
});

test('the hot functions for the exclusive mode do what the general ones do', () => {
  const { i32, p, q, state } = setup();
  expect(lwlockAcquireExclusive(p, i32, L, 6)).toBe(LW_ACQUIRED);
  expect([state(), lwlockHeldByMeInMode(p, L, 6, EX), p.nheld]).toEqual([(1 << 18) | p.id, true, 1]);
  expect(i32[p.base + ParticipantSlot.nheld / 4]).toBe(1);
  expect([lwlockAcquireExclusive(p, i32, L, 6), p.failure]).toEqual([LW_FAILED, FAIL_SELF]);
  expect([lwlockAcquireExclusive(q, i32, L, 6), q.failure, q.nheld]).toEqual([LW_FAILED, FAIL_STALLED, 0]);
  // The waiter has left its flag: not the common case any more.
  lwlockReleaseNewest(p, i32, L, 6);
  expect([state(), p.nheld, i32[p.base + ParticipantSlot.nheld / 4]]).toEqual([0, 0, 0]);
  lwlockAcquireExclusive(p, i32, L, 6);
  lwlockReleaseNewest(p, i32, L, 6);
  expect([state(), p.nheld]).toEqual([0, 0]);
  for (let n = 0; n < MAX_HELD_LOCKS; n++) lwlockAcquireExclusive(p, i32, 8192 - 1300 + n * 4, 0);
  expect([lwlockAcquireExclusive(p, i32, L, 6), p.failure]).toEqual([LW_FAILED, FAIL_TOO_MANY]);
  for (let n = MAX_HELD_LOCKS - 1; n >= 0; n--) lwlockReleaseNewest(p, i32, 8192 - 1300 + n * 4, 0);
  p.leave();
  expect([lwlockAcquireExclusive(p, i32, L, 6), p.failure]).toEqual([LW_FAILED, FAIL_CLOSED]);
});

test.each([0, 7, 8, 0x3ffff])('a damaged word that names owner %i, whom nobody is, is no reason to hang', (owner) => {
  const { i32, join, state } = setup();
  const p = join(60_000);
  const word = (1 << 18) | owner;
  i32[L + LOCK_STATE] = word;
  expect(lwlockAcquire(p, i32, L, 0, EX)).toBe(LW_FAILED);
  expect(p).toMatchObject({ failure: FAIL_STALLED, failureOwner: owner - 1, failureOwnerGone: true });
  expect(state()! & ~HAS_WAITERS).toBe(word);
});

test('a flag without waiters costs a release one walk and is gone then', () => {
  const { i32, p, state } = setup();
  i32[L + LOCK_STATE] = HAS_WAITERS;
  expect(lwlockAcquire(p, i32, L, 0, EX)).toBe(LW_ACQUIRED);
  expect(state()! & HAS_WAITERS).toBe(HAS_WAITERS);
  lwlockRelease(p, i32, L, 0);
  expect(state()).toBe(0);
});
