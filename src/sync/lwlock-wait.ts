/**
 * The slow path of a lock: trying with the rules of fairness, and waiting.
 *
 * Stands on the queue (lwlock-queue.ts, which argues why no wake-up is lost) and on the held list. Nothing here throws:
 * a failure is noted in the participant and told by the return value, because callers may be inside critical sections.
 *
 * Fairness. As in PostgreSQL a released lock goes to whoever comes first, which may be a thread that never slept:
 * that is fast, and starves waiters (an exclusive one for ever, under overlapping shared holders). So
 * `passes` counts such overtakings; at LWLOCK_MAX_PASSES the bar goes down: who has an older waiter in front of it, with
 * at least one of the two exclusive, must queue or stay queued. When the oldest has had its turn the count starts
 * again. A thread that read the count just before the bar fell can still slip through, each at most once; and a walk
 * that finds the queue empty sets the count back, which can cross the arrival of the first waiter once. So an exclusive
 * waiter with k older ones is overtaken at most (k + 2) * (LWLOCK_MAX_PASSES + participants) times, unless it sleeps
 * through whole slices in which nobody holds the lock.
 *
 * While a thread sleeps, the lock it waits for is not in its held list: if it is killed there, it held nothing.
 */

import { add, compareExchange, load, store } from '#atomic';
import { now } from '../platform/platform.js';
import { dropNewestHold, findHold, noteHold } from './lwlock-held.js';
import {
  EXCLUSIVE_BIT,
  FAIL_NONE,
  FAIL_POISONED,
  FAIL_SELF,
  FAIL_STALLED,
  FAIL_WOULD_BLOCK,
  HAS_WAITERS,
  HOLDERS_MASK,
  LOCK_PASSES,
  LOCK_STATE,
  LW_ACQUIRED,
  LW_EXCLUSIVE,
  LW_FAILED,
  LW_FREED,
  LW_SLEPT,
  LW_WAIT_UNTIL_FREE,
  LWLOCK_MAX_PASSES,
  POISONED,
  RECOVERING,
} from './lwlock-layout.js';
import { dequeue, enqueue, isOldest, leaveQueue, NOBODY, olderWaiter, sleepOnce } from './lwlock-queue.js';
import { ownerGone } from './lwlock-stall.js';
import type { Participant } from './participant.js';
import { WAIT_TICKET, WAKE_CHOSEN, WAKE_NONE } from './participant-layout.js';

/**
 * Longest sleep, in milliseconds, before a waiter looks around: is the owner gone, is the time over. Lower: idle waiters
 * wake more often; higher: a death without a notice is found later.
 */
export const SLICE_MS = 100;
/**
 * Further sleep, in milliseconds, of a waiter whose slice ended while the lock was free for it: so long a releaser may
 * take between freeing the lock and waking somebody. Lower: a preempted releaser is counted as a lost wake-up; higher: a
 * waiter robbed of its wake-up by a death waits longer.
 */
const GRACE_MS = 20;

/** How an acquirer stands to the queue: not in it, in it, in it and not woken for a slice. */
export type Standing = typeof NEWCOMER | typeof QUEUED | typeof OVERDUE;
export const NEWCOMER = 0;
export const QUEUED = 1;
export const OVERDUE = 2;

/** Tells whether a lock in state `s` could be taken in `mode`, fairness aside. */
function isFree(s: number, mode: number): boolean {
  return mode === LW_EXCLUSIVE ? (s & ~HAS_WAITERS) === 0 : (s & (EXCLUSIVE_BIT | RECOVERING | POISONED)) === 0;
}

/** A waiter with a better right to the lock than `p`, or NOBODY. */
function rival(p: Participant, i: number, ns: number, mode: number, standing: Standing): number {
  return olderWaiter(p, i, ns, mode, p.control[p.base + WAIT_TICKET]!, standing !== NEWCOMER);
}

/**
 * Tells whether fairness forbids `p` to take a lock that is in state `s` and free. Not when nobody holds it at all and
 * `p` has slept for a slice without being woken: those in front have had that long to take it, and may be dead.
 */
function barred(p: Participant, a: Int32Array, i: number, ns: number, mode: number, s: number, by: Standing): boolean {
  if (load(a, i + LOCK_PASSES) < LWLOCK_MAX_PASSES) return false;
  return !(by === OVERDUE && s === HAS_WAITERS) && rival(p, i, ns, mode, by) !== NOBODY;
}

/** Keeps the count of overtakings after `p` took a lock that others wait for. */
function countPass(p: Participant, a: Int32Array, i: number, ns: number, mode: number, standing: Standing): void {
  if (standing !== NEWCOMER && isOldest(p, i, ns, p.control[p.base + WAIT_TICKET]!)) store(a, i + LOCK_PASSES, 0);
  else if (rival(p, i, ns, mode, standing) !== NOBODY) add(a, i + LOCK_PASSES, 1);
}

/**
 * Tries once to take the lock; the hold is noted already. Follows LWLockAttemptLock.
 *
 * @param by whether `p` waits for this lock with a ticket
 */
function attempt(p: Participant, a: Int32Array, i: number, ns: number, mode: number, by: Standing): boolean {
  let s = load(a, i + LOCK_STATE);
  for (;;) {
    if (!isFree(s, mode)) return false;
    if ((s & HAS_WAITERS) !== 0 && barred(p, a, i, ns, mode, s, by)) return false;
    const found = compareExchange(a, i + LOCK_STATE, s, mode === LW_EXCLUSIVE ? s | p.exclusiveWord : s + 1);
    if (found === s) break;
    s = found;
  }
  if ((s & HAS_WAITERS) !== 0) countPass(p, a, i, ns, mode, by);
  return true;
}

/** Notes the hold, tries once, and takes the note back when it failed. */
export function attemptNoted(
  p: Participant,
  a: Int32Array,
  i: number,
  ns: number,
  mode: number,
  by: Standing,
): boolean {
  noteHold(p, ns, i, mode);
  if (attempt(p, a, i, ns, mode, by)) return true;
  dropNewestHold(p);
  return false;
}

/** Notes why `p` does not get the lock. Always LW_FAILED. */
export function refuse(p: Participant, failure: number, owner: number, ms: number, gone: boolean): number {
  p.failure = failure;
  p.failureOwner = owner;
  p.failureMs = ms;
  p.failureOwnerGone = gone;
  return LW_FAILED;
}

/** Slot of the exclusive owner in state `s`, or -1. */
export function ownerOf(s: number): number {
  return (s & EXCLUSIVE_BIT) !== 0 ? (s & HOLDERS_MASK) - 1 : -1;
}

/**
 * What a waiter looks at between two sleeps: poison always, the clock always, the owner's life when nobody chose it.
 *
 * @returns false when the wait must end; the failure is noted then
 */
export function mayGoOn(p: Participant, a: Int32Array, i: number, ns: number, begun: number, woken: number): boolean {
  const s = load(a, i + LOCK_STATE);
  const waited = now() - begun;
  if ((s & POISONED) !== 0) {
    refuse(p, FAIL_POISONED, -1, waited, false);
    return false;
  }
  if (woken !== WAKE_CHOSEN && ownerGone(p, a, i, ns, s)) {
    refuse(p, FAIL_STALLED, p.failureOwner, waited, true);
    return false;
  }
  if (waited < p.lockTimeout) return true;
  refuse(p, p.canBlock ? FAIL_STALLED : FAIL_WOULD_BLOCK, ownerOf(s), waited, false);
  return false;
}

/** Milliseconds until the next look around. */
export function sliceOf(p: Participant, begun: number): number {
  return Math.max(0, Math.min(SLICE_MS, begun + p.lockTimeout - now()));
}

/**
 * Sleeps for a slice. When nobody woke `p` in it, looks whether somebody should have: whoever is in front may be dead,
 * which is noted; with nobody in front and the lock free, it was a lost wake-up, which is counted.
 */
function sleepSlice(p: Participant, a: Int32Array, i: number, ns: number, mode: number, begun: number): number {
  p.attend?.();
  const woken = sleepOnce(p, sliceOf(p, begun));
  if (woken === WAKE_CHOSEN || livingRival(p, i, ns, mode) !== NOBODY) return woken;
  if (woken !== WAKE_NONE || !p.canBlock || !isFree(load(a, i + LOCK_STATE), mode)) return woken;
  const late = sleepOnce(p, GRACE_MS);
  const due = late === WAKE_NONE && isFree(load(a, i + LOCK_STATE), mode);
  if (due && rival(p, i, ns, mode, QUEUED) === NOBODY) p.lostWakeups++;
  return late;
}

/** A waiter in front of `p` that is not known to be dead, or NOBODY. Those found dead are noted and count no more. */
function livingRival(p: Participant, i: number, ns: number, mode: number): number {
  for (let left = p.peers.highWater(); left > 0; left--) {
    const slot = rival(p, i, ns, mode, QUEUED);
    if (slot === NOBODY || p.peers.isAlive(slot) !== false) return slot;
  }
  return NOBODY;
}

/** Queues and sleeps until the lock is taken: phases 2 to 4. The hold is not noted. */
function waitForLock(p: Participant, a: Int32Array, i: number, ns: number, mode: number): number {
  const begun = now();
  let woken = WAKE_CHOSEN;
  enqueue(p, a, i, ns, mode);
  for (;;) {
    if (attemptNoted(p, a, i, ns, mode, woken === WAKE_NONE ? OVERDUE : QUEUED)) {
      dequeue(p);
      return LW_SLEPT;
    }
    if (!mayGoOn(p, a, i, ns, begun, woken)) {
      leaveQueue(p, a, i, ns);
      return LW_FAILED;
    }
    woken = sleepSlice(p, a, i, ns, mode, begun);
  }
}

/**
 * What `lwlockAcquire` does when its first exchange failed. The hold is noted as the newest entry.
 *
 * @returns LW_ACQUIRED, LW_SLEPT or LW_FAILED
 */
export function acquireSlow(p: Participant, a: Int32Array, i: number, ns: number, mode: number): number {
  if (findHold(p, p.nheld - 1, ns, i) >= 0) {
    dropNewestHold(p);
    return refuse(p, FAIL_SELF, p.slot, 0, false);
  }
  if (attempt(p, a, i, ns, mode, NEWCOMER)) return LW_ACQUIRED;
  for (let poll = p.spin; poll > 0; poll--) {
    if (!isFree(load(a, i + LOCK_STATE), mode)) continue;
    if (attempt(p, a, i, ns, mode, NEWCOMER)) return LW_ACQUIRED;
    // Free, and not for us: polling would not change that.
    if (load(a, i + LOCK_PASSES) >= LWLOCK_MAX_PASSES) break;
  }
  dropNewestHold(p);
  return waitForLock(p, a, i, ns, mode);
}

/** The same for `lwlockConditionalAcquire`: one try, no waiting. */
export function conditionalSlow(p: Participant, a: Int32Array, i: number, ns: number, mode: number): number {
  if (findHold(p, p.nheld - 1, ns, i) >= 0) {
    dropNewestHold(p);
    return refuse(p, FAIL_SELF, p.slot, 0, false);
  }
  if (attempt(p, a, i, ns, mode, NEWCOMER)) return LW_ACQUIRED;
  dropNewestHold(p);
  if ((load(a, i + LOCK_STATE) & POISONED) !== 0) return refuse(p, FAIL_POISONED, -1, 0, false);
  return refuse(p, FAIL_NONE, -1, 0, false);
}

/** The same for `lwlockAcquireOrWait`: sleeps until the lock was freed once, and does not take it then. */
export function acquireOrWaitSlow(p: Participant, a: Int32Array, i: number, ns: number, mode: number): number {
  const first = conditionalSlow(p, a, i, ns, mode);
  if (first === LW_ACQUIRED || p.failure !== FAIL_NONE) return first;
  const begun = now();
  enqueue(p, a, i, ns, LW_WAIT_UNTIL_FREE);
  if (attemptNoted(p, a, i, ns, mode, NEWCOMER)) {
    dequeue(p);
    return LW_ACQUIRED;
  }
  let woken = WAKE_CHOSEN;
  do {
    if (!mayGoOn(p, a, i, ns, begun, woken)) {
      dequeue(p);
      return LW_FAILED;
    }
    woken = sleepSlice(p, a, i, ns, mode, begun);
  } while (woken !== WAKE_CHOSEN && (load(a, i + LOCK_STATE) & (EXCLUSIVE_BIT | HOLDERS_MASK)) !== 0);
  dequeue(p);
  if ((load(a, i + LOCK_STATE) & POISONED) !== 0) return refuse(p, FAIL_POISONED, -1, now() - begun, false);
  return LW_FREED;
}
