/**
 * A claim: who is making the thing that stands behind a name, or the registry itself.
 *
 *     NONE ──claim──> CLAIMED by slot/generation ──publish──> READY, for ever
 *       ^                    │
 *       └──── given up ──────┘  (the maker failed; or is gone: then the next one who asks claims it)
 *
 * PostgreSQL keeps the partition lock of the name while it makes the thing and runs the user's callback. Here the lock is
 * held for a few words at each arrow only, so no foreign code runs under a lock, and a thread that is killed in the
 * middle leaves a claim, which others can see through, instead of a lock.
 *
 * Three words in shared memory: state, slot, generation. Changed under the lock that guards them (the registry lock for
 * the root, the partition lock for an entry). The state is written atomically and last, so that *ready* may be read
 * without the lock.
 */

import { load, store } from '#atomic';
import type { Dsm } from '../dsm/dsm.js';

/** Nobody has made it, nobody is making it. */
export const CLAIM_NONE = 0;
/** Somebody is making it. */
export const CLAIM_TAKEN = 1;
/** It is there. */
export const CLAIM_READY = 2;

/**
 * How a claim stands to a participant: `free` to be claimed, also when its claimant is gone; `own` thread's, which
 * cannot go on while it waits for itself; `busy` elsewhere; `ready`.
 */
export type Standing = 'free' | 'own' | 'busy' | 'ready';

/** Tells whether the claim at word `i` is this participant's. Under its lock. */
export function isMine(dsm: Dsm, a: Int32Array, i: number): boolean {
  const { slot, generation } = dsm.participant;
  return load(a, i) === CLAIM_TAKEN && a[i + 1] === slot && a[i + 2] === generation;
}

/** How the claim at word `i` stands. Under its lock; reads a file on Linux when somebody else has it: 10 µs. */
export function standingOf(dsm: Dsm, a: Int32Array, i: number): Standing {
  const state = load(a, i);
  if (state === CLAIM_READY) return 'ready';
  const slot = a[i + 1]!;
  // A damaged word must not lead outside of the table of participants.
  if (state !== CLAIM_TAKEN || slot < 0 || slot >= dsm.table.count) return 'free';
  if (!dsm.table.isCurrent(slot, a[i + 2]!)) return 'free';
  return dsm.table.isOwnThread(slot) ? 'own' : 'busy';
}

/** Claims it. Under its lock. */
export function claim(dsm: Dsm, a: Int32Array, i: number): void {
  a[i + 1] = dsm.participant.slot;
  a[i + 2] = dsm.participant.generation;
  store(a, i, CLAIM_TAKEN);
}

/** Sets the state after what it speaks of was written. Under its lock. */
export function settle(a: Int32Array, i: number, state: typeof CLAIM_NONE | typeof CLAIM_READY): void {
  store(a, i, state);
}

/** Tells whether it is ready. No lock: what was written before the state is visible then. */
export function isReady(a: Int32Array, i: number): boolean {
  return load(a, i) === CLAIM_READY;
}
