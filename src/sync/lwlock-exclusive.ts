/**
 * The exclusive lock as hot code takes it: acquire and release of the newest lock, one atomic operation each.
 *
 * The same protocol as lwlock.ts, which handles every case but the common one. Apart from that file for the sake of
 * V8: constants of one's own module are folded into the code while imported ones are read and checked at every use,
 * and a function without a mode is half as long, so it is inlined. Together that saves 8 ns of a pair of 24 ns.
 */

import { add, compareExchange, sub } from '#atomic';
import { lwlockAcquire } from './lwlock.js';
import { EXCLUSIVE_BIT, HAS_WAITERS, HOLDERS_MASK, LOCK_STATE, LW_ACQUIRED, LW_EXCLUSIVE } from './lwlock-layout.js';
import { wakeWaiters } from './lwlock-queue.js';
import { acquireSlow } from './lwlock-wait.js';
import type { Participant } from './participant.js';
import { HeldLock, MAX_HELD_LOCKS } from './participant-layout.js';

const cas = compareExchange;
const subtract = sub;
const STATE = LOCK_STATE;
const ACQUIRED = LW_ACQUIRED;
const EXCLUSIVE = LW_EXCLUSIVE;
const LIMIT = MAX_HELD_LOCKS;
const HELD_WORDS = HeldLock.SIZEOF / 4;
const acquireAny = lwlockAcquire;
const acquireLate = acquireSlow;

/**
 * lwlockAcquire(p, a, i, ns, LW_EXCLUSIVE) for a lock whose word index is below 2^31. Blocks up to `p.lockTimeout`.
 *
 * @returns LW_ACQUIRED, LW_SLEPT or LW_FAILED (0): see `p.failure`
 */
export function lwlockAcquireExclusive(p: Participant, a: Int32Array, i: number, ns: number): number {
  const c = p.control;
  const n = c[p.nheldWord]!;
  if (n >= LIMIT || p.closed !== false) return acquireAny(p, a, i, ns, EXCLUSIVE);
  const h = (p.heldWord + n * HELD_WORDS) | 0;
  c[h] = ns;
  c[(h + 1) | 0] = i;
  c[(h + 2) | 0] = EXCLUSIVE;
  // Before the exchange that may take the lock: the list never names too little.
  c[p.nheldWord] = (n + 1) | 0;
  return cas(a, (i + STATE) | 0, 0, p.exclusiveWord) === 0 ? ACQUIRED : acquireLate(p, a, i, ns, EXCLUSIVE);
}

/**
 * lwlockRelease for the lock that `p` acquired last, which is exclusive: not looked up in the list. Does not block.
 *
 * Subtracting our own word leaves the flags of others where they are, so the common case and the case with waiters are
 * one operation, 0.9 ns cheaper than a compare-exchange.
 */
export function lwlockReleaseNewest(p: Participant, a: Int32Array, i: number, ns: number): void {
  const word = p.exclusiveWord;
  const old = subtract(a, (i + STATE) | 0, word);
  if (old !== word && !wasOurs(a, i, old, word)) return;
  const c = p.control;
  c[p.nheldWord] = (c[p.nheldWord]! - 1) | 0;
  if (old !== word && old - word === HAS_WAITERS) wakeWaiters(p, a, i, ns);
}

/** Tells whether `old` said that we held the lock; if it did not, puts it back. */
function wasOurs(a: Int32Array, i: number, old: number, word: number): boolean {
  if ((old & (EXCLUSIVE_BIT | HOLDERS_MASK)) === word) return true;
  add(a, i + STATE, word);
  return false;
}
