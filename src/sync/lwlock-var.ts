/**
 * A variable guarded by a lock, and waiting for it to change: PostgreSQL's progress values of WAL insertion.
 *
 * Stands on lwlock.ts. The holder announces progress by changing the variable without releasing the lock; others wait
 * until it changes or the lock is free. The variable is one 64-bit word with atomic accesses (as in PostgreSQL 17), so
 * no list lock guards it.
 *
 * Why no change is missed: a waiter queues (publishes, sets HAS_WAITERS), then reads the variable; the holder writes the
 * variable, then reads the flag. Whichever comes second sees the other. When the flag is just being cleared by a
 * walk of `wakeWaiters`, that walk looks again afterwards and wakes this waiter (lwlock-queue.ts, (a)): a return too
 * early, never one too late, and the loop tests again. Until-free waiters carry no duty towards others.
 */

import { load, store } from '#atomic';
import { now } from '../platform/platform.js';
import {
  EXCLUSIVE_BIT,
  HAS_WAITERS,
  LOCK_STATE,
  LW_CHANGED,
  LW_FAILED,
  LW_FREED,
  LW_WAIT_UNTIL_FREE,
} from './lwlock-layout.js';
import { lwlockHeldByMe, lwlockRelease } from './lwlock.js';
import { dequeue, enqueue, sleepOnce, wakeUntilFree } from './lwlock-queue.js';
import { mayGoOn, sliceOf } from './lwlock-wait.js';
import type { Participant } from './participant.js';
import { WAKE_CHOSEN } from './participant-layout.js';

/** What the lock and the variable say now: LW_FREED, LW_CHANGED (value in `p.varValue`) or LW_FAILED for neither. */
function lookAtVar(p: Participant, a: Int32Array, i: number, vars: BigInt64Array, v: number, old: bigint): number {
  if ((load(a, i + LOCK_STATE) & EXCLUSIVE_BIT) === 0) return LW_FREED;
  const value = load(vars, v);
  if (value === old) return LW_FAILED;
  p.varValue = value;
  return LW_CHANGED;
}

/**
 * Waits until the lock is not held exclusively or the variable differs from `old`. Takes nothing. Shared holders do not
 * count. Blocks up to `p.lockTimeout`. Follows LWLockWaitForVar.
 *
 * @param vars view of the memory in which the variable lies, `v` its index there
 * @returns LW_FREED, LW_CHANGED (value in `p.varValue`) or LW_FAILED: see `p.failure`
 */
export function lwlockWaitForVar(
  p: Participant,
  a: Int32Array,
  i: number,
  ns: number,
  vars: BigInt64Array,
  v: number,
  old: bigint,
): number {
  let found = lookAtVar(p, a, i, vars, v, old);
  if (found !== LW_FAILED) return found;
  const begun = now();
  let woken = WAKE_CHOSEN;
  enqueue(p, a, i, ns, LW_WAIT_UNTIL_FREE);
  for (;;) {
    found = lookAtVar(p, a, i, vars, v, old);
    if (found !== LW_FAILED || !mayGoOn(p, a, i, ns, begun, woken)) break;
    p.attend?.();
    woken = sleepOnce(p, sliceOf(p, begun));
  }
  dequeue(p);
  return found;
}

/**
 * Changes the variable and wakes those who wait for that. `p` holds the lock exclusively. Does not block. Follows
 * LWLockUpdateVar.
 */
export function lwlockUpdateVar(
  p: Participant,
  a: Int32Array,
  i: number,
  ns: number,
  vars: BigInt64Array,
  v: number,
  value: bigint,
): void {
  store(vars, v, value);
  if ((load(a, i + LOCK_STATE) & HAS_WAITERS) !== 0) wakeUntilFree(p, i, ns);
}

/**
 * Sets the variable and releases the lock. Does not block. Follows LWLockReleaseClearVar.
 *
 * @returns false when `p` does not hold the lock; the variable is unchanged then
 */
export function lwlockReleaseClearVar(
  p: Participant,
  a: Int32Array,
  i: number,
  ns: number,
  vars: BigInt64Array,
  v: number,
  value: bigint,
): boolean {
  if (!lwlockHeldByMe(p, i, ns)) return false;
  store(vars, v, value);
  return lwlockRelease(p, a, i, ns);
}
