/**
 * Condition variables: sleeping until another thread says that something may have changed. PostgreSQL's
 * ConditionVariable on three counters. The functions; class ConditionVariable checks arguments and throws.
 *
 * Stands on the participant (who is prepared to sleep) and on parking. No lock. How they are used:
 *
 *     prepareToSleep; while (!condition) sleep; cancelSleep          the other side: make it true; signal or broadcast
 *
 * A sleeper notes `sequence` when it prepares and parks only while that has not changed; a signaller changes it and
 * unparks one. So a signal between the test and the sleep is seen by the parking itself. What is left is to know,
 * without paying for a notify (25-34 ns), that nobody can be asleep: `arrivals` counts preparations, `settled` says up
 * to which of them everybody is known to be awake. Equal: nothing to do, two loads.
 *
 * Why no wake-up is lost. All steps are Atomics operations, thus in one total order. Let V be prepared: it read
 * `sequence` as s, then counted its arrival as number n, then tested the condition and found it false.
 *
 * (a) A signaller S made the condition true after V's test. It reads `arrivals` afterwards, so it reads n or more.
 * (b) S finds arrivals = settled. Some signaller T wrote that, having read `arrivals` at n or more, thus after V had read
 *     s; it added to `sequence` afterwards. So V finds another value than s: it does not park, or T's unpark met it.
 * (c) Else S adds to `sequence` and unparks one. If V has not parked yet it will see another value. If it has, the
 *     engine wakes the one that has been parked longest: V, or U. U returns to a test of its condition: that is what
 *     a signal promises, one sleeper that was there looks again.
 * (d) S found nobody parked: everybody of `arrivals`, as S read it, has yet to park and will see the addition, or
 *     has gone, or died. So S may write what it read into `settled`. A late write of an old number settles less, never more.
 *
 * A thread that dies prepared leaves an arrival, which the next signal settles. One that dies with the wake-up in
 * its hands takes it along: so nobody sleeps longer than `sliceMs` without looking at `sequence` for itself. A signaller
 * that dies between making the condition true and signalling has not signalled; who cannot bear that sleeps with a limit.
 * 2^32 signals between a sleeper's preparation and its parking would look like none.
 *
 * Returns without a reason are possible, as in PostgreSQL: after a signal meant for another (who had not parked yet, or
 * looked after a slice). No order among sleepers is promised.
 */

import { add, load, store } from '#atomic';
import { now, park, unpark } from '../platform/platform.js';
import {
  CV_ARRIVALS,
  CV_FAILED,
  CV_SEQUENCE,
  CV_SETTLED,
  CV_SIGNALLED,
  CV_TIMED_OUT,
} from './condition-variable-layout.js';
import { FAIL_CLOSED } from './lwlock-layout.js';
import type { Participant } from './participant.js';

/** Polls between two looks at the clock where a thread must not be parked: 1 µs of polling. */
const CV_POLLS_PER_LOOK = 200;
/**
 * Longest sleep, in milliseconds, of a participant that has to answer others meanwhile (the `buffers` store): unlike a
 * waiter for a lock it cannot be nudged. Lower: idle sleepers wake more often; higher: who asks waits longer.
 */
const CV_ATTEND_MS = 10;

/** Makes a fresh condition variable. Before others can see it; does not block. Follows ConditionVariableInit. */
export function conditionVariableInit(a: Int32Array, i: number): void {
  a[i + CV_SEQUENCE] = 0;
  a[i + CV_ARRIVALS] = 0;
  a[i + CV_SETTLED] = 0;
}

/**
 * Counts one that is about to sleep: from now on every signal is seen. For asynchronous waiters, of which a thread may
 * have many; blocking ones use {@link conditionVariablePrepareToSleep}. Any thread; does not block.
 *
 * @returns the sequence to sleep on
 */
export function conditionVariableArrive(a: Int32Array, i: number): number {
  // In this order: see (b).
  const seen = load(a, i + CV_SEQUENCE);
  add(a, i + CV_ARRIVALS, 1);
  return seen;
}

/**
 * Prepares `p` to sleep: every later signal is seen by its next sleep. Test the condition between the two. A participant
 * is prepared for one condition variable at a time; preparing for another cancels the first. Its thread; does not block.
 * Follows ConditionVariablePrepareToSleep.
 */
export function conditionVariablePrepareToSleep(p: Participant, a: Int32Array, i: number): void {
  p.cvSeen = conditionVariableArrive(a, i);
  p.cvView = a;
  p.cvWord = i;
}

/** Tells whether `p` is prepared to sleep on this condition variable. Its thread. */
export function conditionVariableIsPrepared(p: Participant, a: Int32Array, i: number): boolean {
  return p.cvWord === i && p.cvView !== null && p.cvView.buffer === a.buffer && p.cvView.byteOffset === a.byteOffset;
}

/** Waits for another value of `sequence`, at most `ms`: parks, or polls where that is forbidden. */
function pauseOnSequence(p: Participant, a: Int32Array, w: number, ms: number): void {
  if (p.canBlock) {
    p.attend?.();
    p.parks++;
    park(a, w, p.cvSeen, Math.min(ms, p.attend === null ? p.sliceMs : CV_ATTEND_MS));
    return;
  }
  for (let poll = 0; poll < CV_POLLS_PER_LOOK; poll++) if (load(a, w) !== p.cvSeen) return;
}

/**
 * Sleeps until a signal or for `ms` milliseconds. `p` stays prepared, so the caller tests its condition and sleeps again,
 * or cancels. Not prepared yet: prepares and returns CV_SIGNALLED at once, so that the caller tests first. Blocks; polls
 * where the thread must not be parked. Follows ConditionVariableTimedSleep.
 *
 * @param ms 0 or more; Infinity sleeps until a signal comes
 * @returns CV_SIGNALLED, CV_TIMED_OUT, or CV_FAILED: `p` has left
 */
export function conditionVariableTimedSleep(p: Participant, a: Int32Array, i: number, ms: number): number {
  if (p.closed) {
    p.failure = FAIL_CLOSED;
    return CV_FAILED;
  }
  if (!conditionVariableIsPrepared(p, a, i)) {
    conditionVariablePrepareToSleep(p, a, i);
    return CV_SIGNALLED;
  }
  const w = i + CV_SEQUENCE;
  for (let poll = p.spin; poll > 0 && load(a, w) === p.cvSeen; poll--);
  const end = now() + ms;
  // A parked thread cannot take a lock that it is queued for without blocking.
  p.lockWaits?.suspend();
  while (load(a, w) === p.cvSeen) {
    const left = end - now();
    if (left <= 0) return CV_TIMED_OUT;
    pauseOnSequence(p, a, w, left);
  }
  conditionVariablePrepareToSleep(p, a, i);
  return CV_SIGNALLED;
}

/**
 * {@link conditionVariableTimedSleep} for at most the participant's `lockTimeout`: PostgreSQL sleeps for ever here, but
 * nothing in this library does unless it was asked to. Follows ConditionVariableSleep.
 */
export function conditionVariableSleep(p: Participant, a: Int32Array, i: number): number {
  return conditionVariableTimedSleep(p, a, i, p.lockTimeout);
}

/**
 * Ends the preparation of `p`, if there is one. Its thread; does not block. Follows ConditionVariableCancelSleep.
 *
 * @returns whether there was a signal since `p` prepared or woke last. It may have been meant for `p`, so who cannot make
 *   use of it signals again (PostgreSQL 16 and later leave that to the caller, too)
 */
export function conditionVariableCancelSleep(p: Participant): boolean {
  const a = p.cvView;
  if (a === null) return false;
  p.cvView = null;
  return load(a, p.cvWord + CV_SEQUENCE) !== p.cvSeen;
}

/**
 * Makes one sleeper look again, if there is any. Any thread; does not block; 10 ns when nobody sleeps. Follows
 * ConditionVariableSignal.
 */
export function conditionVariableSignal(a: Int32Array, i: number): void {
  const arrivals = load(a, i + CV_ARRIVALS);
  if (arrivals === load(a, i + CV_SETTLED)) return;
  add(a, i + CV_SEQUENCE, 1);
  if (unpark(a, i + CV_SEQUENCE, 1) === 0) store(a, i + CV_SETTLED, arrivals);
}

/**
 * Makes all sleepers look again. Any thread; does not block; 10 ns when nobody sleeps. A caller that is itself prepared
 * stays so, and its next sleep returns at once (PostgreSQL cancels it, for want of a second list entry). Follows
 * ConditionVariableBroadcast.
 */
export function conditionVariableBroadcast(a: Int32Array, i: number): void {
  const arrivals = load(a, i + CV_ARRIVALS);
  if (arrivals === load(a, i + CV_SETTLED)) return;
  add(a, i + CV_SEQUENCE, 1);
  unpark(a, i + CV_SEQUENCE);
  store(a, i + CV_SETTLED, arrivals);
}
