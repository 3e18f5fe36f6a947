/**
 * Whether a lock will ever be released: what a waiter asks after each slice in which nobody woke it.
 *
 * Stands on the participant table's knowledge of who lives. An exclusive owner is named in the lock word. Shared holders
 * are only counted there, so their lists are read: when a participant is gone that lists the lock, and the count is
 * larger than the number of living ones that list it, the lock cannot come back to zero. Lists of the living
 * are read while they change, so this must be found in two slices in a row to be believed.
 *
 * An owner that belongs to the calling thread itself counts as gone too: it can't release while we sleep.
 */

import { load } from '#atomic';
import { listsShared } from './lwlock-held.js';
import { EXCLUSIVE_BIT, HOLDERS_MASK, LOCK_STATE } from './lwlock-layout.js';
import type { Participant } from './participant.js';
import { HELD, MAX_HELD_LOCKS, NHELD } from './participant-layout.js';

/**
 * Tells whether the holder of the lock is gone for certain; `p.failureOwner` is its slot then.
 *
 * @param s the lock's state as the caller saw it
 */
export function ownerGone(p: Participant, a: Int32Array, i: number, ns: number, s: number): boolean {
  if ((s & EXCLUSIVE_BIT) === 0) return (s & HOLDERS_MASK) !== 0 && sharedHolderGone(p, a, i, ns, s);
  p.suspectedLock = -1;
  const owner = (s & HOLDERS_MASK) - 1;
  // It may have released the lock between the look at the word and its end: only if the word still names it, it did not.
  if (!cannotRelease(p, owner) || !sameHolders(load(a, i + LOCK_STATE), s)) return false;
  p.failureOwner = owner;
  return true;
}

function cannotRelease(p: Participant, slot: number): boolean {
  return p.peers.isOwnThread(slot) || p.peers.isAlive(slot) === false;
}

function sameHolders(s: number, t: number): boolean {
  const mask = EXCLUSIVE_BIT | HOLDERS_MASK;
  return (s & mask) === (t & mask);
}

function sharedHolderGone(p: Participant, a: Int32Array, i: number, ns: number, s: number): boolean {
  const c = p.control;
  let living = 0;
  let gone = -1;
  const end = p.peers.highWater();
  for (let slot = 0; slot < end; slot++) {
    const base = p.peers.slotBase(slot);
    const n = Math.min(c[base + NHELD]!, MAX_HELD_LOCKS);
    if (n <= 0 || !listsShared(c, base + HELD, n, ns, i)) continue;
    if (cannotRelease(p, slot)) gone = slot;
    else living++;
  }
  if (gone === -1 || living >= (s & HOLDERS_MASK) || !sameHolders(load(a, i + LOCK_STATE), s)) {
    p.suspectedLock = -1;
    return false;
  }
  // The first time it is a suspicion, the second time in a row a finding.
  const before = p.suspectedLock;
  p.suspectedLock = i;
  p.failureOwner = gone;
  return before === i;
}
