/**
 * The shared lock as hot code takes it: acquire and release of the newest lock, one atomic operation each.
 *
 * The same protocol as lwlock.ts, apart from it for the reasons given in lwlock-exclusive.ts. The first exchange succeeds
 * when nobody holds the lock; beside other readers the general way is taken.
 */

import { compareExchange, sub } from '#atomic';
import { lwlockAcquire } from './lwlock.js';
import { HAS_WAITERS, LOCK_STATE, LW_ACQUIRED, LW_SHARED } from './lwlock-layout.js';
import { wakeWaiters } from './lwlock-queue.js';
import { acquireSlow } from './lwlock-wait.js';
import type { Participant } from './participant.js';
import { HeldLock, MAX_HELD_LOCKS } from './participant-layout.js';

const cas = compareExchange;
const subtract = sub;
const STATE = LOCK_STATE;
const ACQUIRED = LW_ACQUIRED;
const SHARED = LW_SHARED;
const WAITERS = HAS_WAITERS;
const LIMIT = MAX_HELD_LOCKS;
const HELD_WORDS = HeldLock.SIZEOF / 4;
const acquireAny = lwlockAcquire;
const acquireLate = acquireSlow;

/**
 * lwlockAcquire(p, a, i, ns, LW_SHARED) for a lock whose word index is below 2^31. Blocks up to `p.lockTimeout`.
 *
 * @returns LW_ACQUIRED, LW_SLEPT or LW_FAILED (0): see `p.failure`
 */
export function lwlockAcquireShared(p: Participant, a: Int32Array, i: number, ns: number): number {
  const c = p.control;
  const n = c[p.nheldWord]!;
  if (n >= LIMIT || p.closed !== false) return acquireAny(p, a, i, ns, SHARED);
  const h = (p.heldWord + n * HELD_WORDS) | 0;
  c[h] = ns;
  c[(h + 1) | 0] = i;
  c[(h + 2) | 0] = SHARED;
  // Before the exchange that may take the lock: the list never names too little.
  c[p.nheldWord] = (n + 1) | 0;
  return cas(a, (i + STATE) | 0, 0, 1) === 0 ? ACQUIRED : acquireLate(p, a, i, ns, SHARED);
}

/** lwlockRelease for the lock that `p` acquired last, which is shared: not looked up in the list. Does not block. */
export function lwlockReleaseNewestShared(p: Participant, a: Int32Array, i: number, ns: number): void {
  const left = (subtract(a, (i + STATE) | 0, 1) - 1) | 0;
  const c = p.control;
  c[p.nheldWord] = (c[p.nheldWord]! - 1) | 0;
  if (left === WAITERS) wakeWaiters(p, a, i, ns);
}
