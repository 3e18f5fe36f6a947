/**
 * Lightweight locks: PostgreSQL's LWLock on one word of shared memory. The hot functions.
 *
 * Stands on the participant (who acquires), its held list and, where the first exchange fails, on lwlock-wait.ts. An
 * uncontended acquire and release cost one atomic operation each, and a few plain stores for the held list. The
 * functions take the view and the word index of the lock, so that the structures which embed locks pay for no object.
 *
 * They never throw: a caller may hold other locks, and code in a critical section reports failure by its return value.
 * `lwlockFailure` makes the error when it is safe to throw. Arguments are not checked here; class LWLock does that.
 *
 * All of them: `p` is used by its own thread only; `a` is the view of the memory in which the lock lies, `i` the word
 * index of the lock in that memory (the same in every thread), `ns` the number of that memory (0 is the control memory,
 * else the handle of the segment), `mode` LW_EXCLUSIVE or LW_SHARED.
 *
 * Order of memory accesses: acquire and release are sequentially consistent operations on one word, so whatever the
 * last holder wrote with plain stores is seen by the next one.
 */

import { and, compareExchange, load, or, sub } from '#atomic';
import { dropHold, dropNewestHold, findHold, holdMode, holdNs, holdWord, newestHold, noteHold } from './lwlock-held.js';
import {
  EXCLUSIVE_BIT,
  FAIL_CLOSED,
  FAIL_TOO_MANY,
  HAS_WAITERS,
  HOLDERS_MASK,
  LOCK_PASSES,
  LOCK_STATE,
  LOCK_TICKET,
  LW_ACQUIRED,
  LW_EXCLUSIVE,
  type LWLockMode,
  POISONED,
} from './lwlock-layout.js';
import { wakeEverybody, wakeWaiters } from './lwlock-queue.js';
import { acquireOrWaitSlow, acquireSlow, conditionalSlow, refuse } from './lwlock-wait.js';
import type { Participant } from './participant.js';
import { MAX_HELD_LOCKS } from './participant-layout.js';

/**
 * Makes a fresh lock. Before others can see it; does not block. Follows LWLockInitialize.
 *
 * @param trancheId 0 .. 65535; not checked here
 */
export function lwlockInitialize(a: Int32Array, i: number, trancheId: number): void {
  a[i] = trancheId;
  a[i + LOCK_STATE] = 0;
  a[i + LOCK_TICKET] = 0;
  a[i + LOCK_PASSES] = 0;
}

/** No room in the held list: it is full, or the participant has left. Always LW_FAILED. */
function noRoom(p: Participant): number {
  return refuse(p, p.closed ? FAIL_CLOSED : FAIL_TOO_MANY, p.slot, 0, false);
}

/** Whether another hold can be noted. A closed participant has no slot to note it in. */
function hasRoom(p: Participant): boolean {
  return p.nheld < MAX_HELD_LOCKS && !p.closed;
}

/**
 * Acquires the lock, waiting for it if need be. Blocks up to `p.lockTimeout`; spins where the thread must not be parked.
 * Follows LWLockAcquire.
 *
 * @returns LW_ACQUIRED without sleeping, LW_SLEPT after sleeping, LW_FAILED (0): see `p.failure`
 */
export function lwlockAcquire(p: Participant, a: Int32Array, i: number, ns: number, mode: LWLockMode): number {
  if (!hasRoom(p)) return noRoom(p);
  noteHold(p, ns, i, mode);
  const word = mode === LW_EXCLUSIVE ? p.exclusiveWord : 1;
  return compareExchange(a, i + LOCK_STATE, 0, word) === 0 ? LW_ACQUIRED : acquireSlow(p, a, i, ns, mode);
}

/**
 * Acquires the lock if that is possible at once. Does not block. Follows LWLockConditionalAcquire.
 *
 * @returns LW_ACQUIRED or LW_FAILED; then `p.failure` is FAIL_NONE when the lock was merely taken
 */
export function lwlockConditionalAcquire(
  p: Participant,
  a: Int32Array,
  i: number,
  ns: number,
  mode: LWLockMode,
): number {
  if (!hasRoom(p)) return noRoom(p);
  noteHold(p, ns, i, mode);
  const word = mode === LW_EXCLUSIVE ? p.exclusiveWord : 1;
  return compareExchange(a, i + LOCK_STATE, 0, word) === 0 ? LW_ACQUIRED : conditionalSlow(p, a, i, ns, mode);
}

/**
 * Acquires the lock if that is possible at once, else sleeps until it was freed and does not take it. For work that
 * the holder may have done for us meanwhile. Blocks up to `p.lockTimeout`. Follows LWLockAcquireOrWait.
 *
 * @returns LW_ACQUIRED, LW_FREED (without the lock) or LW_FAILED
 */
export function lwlockAcquireOrWait(p: Participant, a: Int32Array, i: number, ns: number, mode: LWLockMode): number {
  if (!hasRoom(p)) return noRoom(p);
  noteHold(p, ns, i, mode);
  const word = mode === LW_EXCLUSIVE ? p.exclusiveWord : 1;
  return compareExchange(a, i + LOCK_STATE, 0, word) === 0 ? LW_ACQUIRED : acquireOrWaitSlow(p, a, i, ns, mode);
}

/**
 * Releases the lock and wakes those whose turn it is. Does not block. Follows LWLockRelease.
 *
 * @returns false when `p` does not hold it; nothing has changed then
 */
export function lwlockRelease(p: Participant, a: Int32Array, i: number, ns: number): boolean {
  const n = p.nheld - 1;
  const mode = newestHold(p, n, ns, i);
  if (mode < 0) return releaseOlder(p, a, i, ns);
  const word = mode === LW_EXCLUSIVE ? p.exclusiveWord : 1;
  if (compareExchange(a, i + LOCK_STATE, word, 0) !== word) return releaseSlow(p, a, i, ns, n, mode);
  p.control[p.nheldWord] = n;
  return true;
}

/** Releases a lock that is not the newest, if it is held at all. */
function releaseOlder(p: Participant, a: Int32Array, i: number, ns: number): boolean {
  const at = findHold(p, p.nheld, ns, i);
  return at >= 0 && !p.closed && releaseSlow(p, a, i, ns, at, holdMode(p, at));
}

/** Releases the lock of entry `at`, whose word may say more than that we hold it. Always true. */
function releaseSlow(p: Participant, a: Int32Array, i: number, ns: number, at: number, mode: number): boolean {
  const left = giveBack(a, i, mode);
  // After the operation that gave it back: the list never names too little.
  dropHold(p, at);
  if (left === HAS_WAITERS) wakeWaiters(p, a, i, ns);
  return true;
}

/**
 * Takes our hold out of a lock word that says more than that.
 *
 * @returns what it says afterwards; HAS_WAITERS alone: the lock is free and somebody waits
 */
function giveBack(a: Int32Array, i: number, mode: number): number {
  if (mode === LW_EXCLUSIVE) {
    const keep = ~(EXCLUSIVE_BIT | HOLDERS_MASK);
    return and(a, i + LOCK_STATE, keep) & keep;
  }
  return sub(a, i + LOCK_STATE, 1) - 1;
}

/** Tells whether `p` holds the lock in some mode. Its thread; does not block. Follows LWLockHeldByMe. */
export function lwlockHeldByMe(p: Participant, i: number, ns: number): boolean {
  return findHold(p, p.nheld, ns, i) >= 0;
}

/** Tells whether `p` holds the lock in this mode. Its thread; does not block. Follows LWLockHeldByMeInMode. */
export function lwlockHeldByMeInMode(p: Participant, i: number, ns: number, mode: LWLockMode): boolean {
  const at = findHold(p, p.nheld, ns, i);
  return at >= 0 && holdMode(p, at) === mode;
}

/**
 * Tells whether `p` holds one of the `n` locks of an array. Its thread; does not block. Follows LWLockAnyHeldByMe.
 *
 * @param i word index of the first lock
 * @param stride words from one lock to the next
 */
export function lwlockAnyHeldByMe(p: Participant, i: number, ns: number, n: number, stride: number): boolean {
  for (let at = p.nheld - 1; at >= 0; at--) {
    const distance = holdWord(p, at) - i;
    if (holdNs(p, at) === ns && distance >= 0 && distance < n * stride && distance % stride === 0) return true;
  }
  return false;
}

/**
 * Releases every lock that `p` holds, newest first; for use after errors and when leaving. Does not block. Follows
 * LWLockReleaseAll.
 *
 * @param resolve finds the view of a memory by its number; null when it is gone, and its locks with it
 * @returns number of locks released
 */
export function lwlockReleaseAll(p: Participant, resolve: (ns: number) => Int32Array | null): number {
  let released = 0;
  while (p.nheld > 0 && !p.closed) {
    const newest = p.nheld - 1;
    const ns = holdNs(p, newest);
    const a = resolve(ns);
    if (a === null) dropNewestHold(p);
    else if (lwlockRelease(p, a, holdWord(p, newest), ns)) released++;
  }
  return released;
}

/**
 * Marks the lock as guarding something damaged: everybody who waits for it or wants it later fails with
 * FAIL_POISONED. Holders may still release it. Any participant; does not block.
 */
export function lwlockPoison(p: Participant, a: Int32Array, i: number, ns: number): void {
  or(a, i + LOCK_STATE, POISONED);
  wakeEverybody(p, i, ns);
}

/** Tells whether the lock is poisoned. Any thread; does not block. */
export function lwlockIsPoisoned(a: Int32Array, i: number): boolean {
  return (load(a, i + LOCK_STATE) & POISONED) !== 0;
}
