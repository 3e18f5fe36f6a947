/**
 * Checks that a lock is at rest: nobody holds it, nobody waits for it, it is not poisoned. Reads only, takes no lock.
 *
 * Stands on the layout of LWLocks and of participant slots. The state is read atomically, so that what its last holder
 * wrote is seen by the checks that follow.
 */

import { load } from '#atomic';
import {
  EXCLUSIVE_BIT,
  HAS_WAITERS,
  HOLDERS_MASK,
  LOCK_STATE,
  POISONED,
  RECOVERING,
  WAIT_NS,
  WAIT_SEQ,
  WAIT_WORD_HI,
  WAIT_WORD_LO,
} from '../sync/sync.js';
import type { Dsm } from './cluster.js';
import type { Findings } from './findings.js';

const HELD = EXCLUSIVE_BIT | HOLDERS_MASK | RECOVERING;
const KNOWN = HELD | POISONED | HAS_WAITERS;

/** Participant slots to look at: those ever used, however damaged that number is. */
export function slotsUsed(dsm: Dsm): number {
  const high = dsm.table.highWater();
  return high >= 0 && high <= dsm.table.count ? high : dsm.table.count;
}

/** Slots of live participants that wait for the lock at word `at` of memory `ns`. */
function waiters(dsm: Dsm, at: number, ns: number): number[] {
  const { control, table } = dsm;
  const found: number[] = [];
  for (let slot = 0; slot < slotsUsed(dsm); slot++) {
    const b = table.slotBase(slot);
    const queued = (load(control, b + WAIT_SEQ) & 1) !== 0;
    const here =
      load(control, b + WAIT_NS) === (ns | 0) &&
      load(control, b + WAIT_WORD_LO) === (at | 0) &&
      load(control, b + WAIT_WORD_HI) === Math.floor(at / 2 ** 32);
    if (queued && here && table.isAlive(slot) !== false) found.push(slot);
  }
  return found;
}

/** Tells whether the lock at word `at` can be taken at once: at rest, or with a flag that nobody stands behind. */
export function lockIsFree(words: Int32Array, at: number): boolean {
  return (load(words, at + LOCK_STATE) & ~HAS_WAITERS) === 0;
}

/**
 * Checks a lock that must be at rest. @internal
 *
 * @param id invariant to report under
 * @param name of the lock, for messages
 * @param words memory that holds the lock
 * @param at word index of the lock
 * @param ns number of that memory
 * @param tranche that the lock must carry
 * @param spare true when the upper half of the lock's first word belongs to its owner
 */
export function checkRestingLock(
  f: Findings,
  id: string,
  dsm: Dsm,
  name: string,
  words: Int32Array,
  at: number,
  ns: number,
  tranche: number,
  spare = false,
): void {
  const state = load(words, at + LOCK_STATE);
  const its = spare ? words[at]! & 0xffff : words[at]!;
  f.check(id, its === tranche, () => `${name} has tranche ${its}, not ${tranche}`);
  f.check(id, (state & POISONED) === 0, () => `${name} is poisoned`);
  f.check(id, (state & HELD) === 0, () => {
    const by = (state & EXCLUSIVE_BIT) !== 0 ? `participant slot ${(state & HOLDERS_MASK) - 1}` : 'sharers';
    return `${name} is held by ${by} (state 0x${(state >>> 0).toString(16)})`;
  });
  f.check(id, (state & ~KNOWN) === 0, () => `${name} has the unknown state 0x${(state >>> 0).toString(16)}`);
  const queue = waiters(dsm, at, ns);
  f.check(id, queue.length === 0, () => `participant slots ${queue.join(', ')} wait for ${name}`);
  // A waiter that was terminated leaves the flag; the next release finds nobody and clears it.
  if ((state & HAS_WAITERS) !== 0 && queue.length === 0)
    f.note(id, `${name} says that it has waiters, and nobody waits`);
}
