/**
 * The queue of a lock: waiting in one's own slot, finding who waits, waking the right ones.
 *
 * Stands on the participant table, which *is* the queue: a lock has no list of waiters. A waiter writes in its slot which
 * lock it waits for, in which mode and with which ticket; a releaser walks over the slots. So nothing has to be
 * unlinked when a waiter dies, no spinlock guards a list, and nobody can die holding one. The walk costs 5 ns a slot
 * and only happens when HAS_WAITERS is set.
 *
 * The race of the naive design: I find the lock taken; its holder releases it and sees no waiter; I go to sleep, and
 * nobody wakes me. PostgreSQL's four phases are the answer here too:
 *
 *     Phase 1: try.   Phase 2: queue (publish the slot, then set HAS_WAITERS).   Phase 3: try again.   Phase 4: sleep.
 *
 * Why no wake-up is lost. All steps are Atomics operations, thus in one total order. Let V be queued and parked.
 *
 * (a) HAS_WAITERS is set while V is queued, or somebody who cleared it still has to look. Only `wakeWaiters` clears it,
 *     after a walk that found nobody, and it walks again after clearing. If V set the flag before the clearing, V had
 *     published before that, so the second walk sees V, sets the flag again and starts over. If V set it after the
 *     clearing, it is set. A slot that changes under the second walk counts as empty: what it holds afterwards was
 *     published after the clearing, and its owner sets the flag after that.
 * (b) V's last try failed because somebody held the lock (what the fairness bar adds is (e)). The release R that
 *     ends this comes later. If R saw the flag, the releaser walks after R and sees V. If not, R fell into a gap of (a),
 *     and whoever made the gap walks after closing it. Either way somebody walks after R with V published.
 * (c) That walk wakes V, or it wakes U in V's place (U is older). U then has the duty: U tries again *after* taking
 *     back its WAKE_CHOSEN, so it sees the lock as R left it. U gets it: U's own release is the next R. U finds it taken
 *     by W: W's release is the next R. U leaves without it (time-out, poison): `leaveQueue` walks after U's entry
 *     is gone. So as long as the lock is free and V sleeps, somebody awake has the duty.
 * (d) WAKE_CHOSEN is never lost: the waiter alone takes it back, by an exchange, and tries afterwards. It parks only by
 *     NONE -> PARKED, which fails when it was chosen. It clears `wake` without trying only before it publishes.
 * (e) The bar: V may find the lock free and must still let older waiters pass. The oldest that wants the lock is never
 *     barred, so for it (b) holds, and by (c) the duty passes on until it gets the lock or leaves; both end in a walk.
 *     V published before it looked who is older, so a walk after the older one has gone sees V.
 * (f) A thread that dies with a duty takes it along. Each waiter looks for itself every SLICE_MS, notes those in front
 *     that are gone, and may pass those that left the lock lying for a whole slice; so a death delays the others by
 *     at most that. A waiter that was asleep when it died is found out by who tries to wake it, and costs nothing.
 *
 * The tests walk through every interleaving of this code for two and three participants, with deaths at every step, and
 * show for each of the rules above that without it a waiter sleeps for ever.
 */

import { add, and, compareExchange, exchange, load, or, store } from '#atomic';
import { now, park, unpark } from '../platform/platform.js';
import type { Participant } from './participant.js';
import {
  EXCLUSIVE_BIT,
  HAS_WAITERS,
  LOCK_PASSES,
  LOCK_STATE,
  LOCK_TICKET,
  LW_EXCLUSIVE,
  LW_SHARED,
  LW_WAIT_UNTIL_FREE,
} from './lwlock-layout.js';
import {
  WAIT_MODE,
  WAIT_NS,
  WAIT_SEQ,
  WAIT_TICKET,
  WAIT_WORD_HI,
  WAIT_WORD_LO,
  WAKE,
  WAKE_ATTEND,
  WAKE_CHOSEN,
  WAKE_NONE,
  WAKE_PARKED,
} from './participant-layout.js';

/** Answer of {@link waiterMode} for a slot that does not wait for the lock. */
const NOT_WAITING = -1;
/** Answer of {@link olderWaiter} when there is none. */
export const NOBODY = -1;
/** Answer of `walk` when nobody waits to acquire the lock, but somebody waits until it is free. */
const ONLY_UNTIL_FREE = -2;

/**
 * Milliseconds for which a waiter without the right to park spins before it looks around. Lower: it looks more often;
 * higher: it notices a death later.
 */
const SPIN_SLICE_MS = 5;
/** Polls between two looks at the clock, which costs 30 ns: 1 µs of polling. */
const POLLS_PER_LOOK = 200;

/** High bits of the word index of a lock; nearly always 0. */
function highWord(i: number): number {
  return i <= 0xffffffff ? 0 : Math.floor(i / 0x100000000);
}

/** Writes down in the slot of `p` what it waits for, and makes it valid by an odd `wait_seq`. */
function publish(p: Participant, i: number, ns: number, mode: number, ticket: number): void {
  const c = p.control;
  const b = p.base;
  store(c, b + WAKE, WAKE_NONE);
  store(c, b + WAIT_NS, ns);
  store(c, b + WAIT_WORD_LO, i);
  store(c, b + WAIT_WORD_HI, highWord(i));
  store(c, b + WAIT_MODE, mode);
  store(c, b + WAIT_TICKET, ticket);
  p.waitSeq = (p.waitSeq + 1) | 0;
  store(c, b + WAIT_SEQ, p.waitSeq);
}

/** Queues `p` for the lock: phase 2. The order matters: published first, flagged second. */
export function enqueue(p: Participant, a: Int32Array, i: number, ns: number, mode: number): void {
  p.lockWaits?.suspend();
  p.suspectedLock = -1;
  publish(p, i, ns, mode, mode === LW_WAIT_UNTIL_FREE ? 0 : add(a, i + LOCK_TICKET, 1));
  or(a, i + LOCK_STATE, HAS_WAITERS);
}

/** {@link enqueue} for a wait that does not block, with the ticket that it has already. Such a wait ends like any other. */
export function requeue(p: Participant, a: Int32Array, i: number, ns: number, mode: number, ticket: number): void {
  p.suspectedLock = -1;
  publish(p, i, ns, mode, ticket);
  or(a, i + LOCK_STATE, HAS_WAITERS);
}

/** Ends the wait of `p`, which has the lock or does not want it. */
export function dequeue(p: Participant): void {
  p.waitSeq = (p.waitSeq + 1) | 0;
  store(p.control, p.base + WAIT_SEQ, p.waitSeq);
}

/** Ends the wait of `p` without the lock. It may have been chosen: the wake-up goes to the next. */
export function leaveQueue(p: Participant, a: Int32Array, i: number, ns: number): void {
  dequeue(p);
  // Held exclusively: the holder's release will look. Held shared: those whom p had barred can come in now.
  if ((load(a, i + LOCK_STATE) & (HAS_WAITERS | EXCLUSIVE_BIT)) === HAS_WAITERS) wakeWaiters(p, a, i, ns);
}

/**
 * Mode in which the owner of `slot` waits for the lock, or {@link NOT_WAITING}; `p.seenTicket` is its ticket then.
 * The two looks at `wait_seq` make sure that all fields belong to one wait. Known dead waiters do not count.
 */
function waiterMode(p: Participant, slot: number, ns: number, i: number): number {
  const c = p.control;
  const b = p.peers.slotBase(slot);
  const seq = load(c, b + WAIT_SEQ);
  if ((seq & 1) === 0) return NOT_WAITING;
  if (load(c, b + WAIT_WORD_LO) !== (i | 0) || load(c, b + WAIT_NS) !== (ns | 0)) return NOT_WAITING;
  const hi = load(c, b + WAIT_WORD_HI);
  const mode = load(c, b + WAIT_MODE);
  const ticket = load(c, b + WAIT_TICKET);
  if (load(c, b + WAIT_SEQ) !== seq) return NOT_WAITING;
  if (hi !== highWord(i)) return NOT_WAITING;
  if (p.peers.knownDead(slot)) return NOT_WAITING;
  p.seenTicket = ticket;
  return mode;
}

/**
 * A waiter that has a better right to the lock than `p`: older, and at least one of the two wants it exclusively.
 *
 * @param ticket ticket of `p`
 * @param queued false for a newcomer, to whom all waiters are older
 * @returns its slot, or {@link NOBODY}
 */
export function olderWaiter(
  p: Participant,
  i: number,
  ns: number,
  mode: number,
  ticket: number,
  queued: boolean,
): number {
  const end = p.peers.highWater();
  for (let slot = 0; slot < end; slot++) {
    if (slot === p.slot) continue;
    const other = waiterMode(p, slot, ns, i);
    if (other === NOT_WAITING || other === LW_WAIT_UNTIL_FREE) continue;
    if (mode === LW_SHARED && other === LW_SHARED) continue;
    if (!queued || ((p.seenTicket - ticket) | 0) < 0) return slot;
  }
  return NOBODY;
}

/** Tells whether no queued acquirer of the lock, in whatever mode, is older than `ticket`. */
export function isOldest(p: Participant, i: number, ns: number, ticket: number): boolean {
  const end = p.peers.highWater();
  for (let slot = 0; slot < end; slot++) {
    if (slot === p.slot) continue;
    const other = waiterMode(p, slot, ns, i);
    if (other === NOT_WAITING || other === LW_WAIT_UNTIL_FREE) continue;
    if (((p.seenTicket - ticket) | 0) < 0) return false;
  }
  return true;
}

/** Chooses and unparks the owner of `slot`. False when that thread turned out to be gone. */
function wake(p: Participant, slot: number): boolean {
  const c = p.control;
  const w = p.peers.slotBase(slot) + WAKE;
  if (exchange(c, w, WAKE_CHOSEN) !== WAKE_PARKED || unpark(c, w) > 0) return true;
  // It said that it was parked and was not: it is about to park (and will not, now), or its thread has ended.
  return p.peers.isAlive(slot) !== false;
}

/** Wakes everybody who waits for the lock in `mode`. False when one of them turned out to be gone. */
function wakeMode(p: Participant, i: number, ns: number, mode: number): boolean {
  let allAlive = true;
  const end = p.peers.highWater();
  for (let slot = 0; slot < end; slot++) {
    if (slot !== p.slot && waiterMode(p, slot, ns, i) === mode && !wake(p, slot)) allAlive = false;
  }
  return allAlive;
}

/**
 * Walks over the slots for the oldest who wants the lock, and wakes on the way those who wait until it is free.
 *
 * @returns its slot, with its mode in `p.seenMode`; else ONLY_UNTIL_FREE, or NOBODY when nobody waits at all
 */
function walk(p: Participant, i: number, ns: number): number {
  let oldest = NOBODY;
  let oldestTicket = 0;
  const end = p.peers.highWater();
  for (let slot = 0; slot < end; slot++) {
    if (slot === p.slot) continue;
    const mode = waiterMode(p, slot, ns, i);
    if (mode === NOT_WAITING) continue;
    if (mode === LW_WAIT_UNTIL_FREE) {
      if (wake(p, slot) && oldest === NOBODY) oldest = ONLY_UNTIL_FREE;
    } else if (oldest < 0 || ((p.seenTicket - oldestTicket) | 0) < 0) {
      oldest = slot;
      oldestTicket = p.seenTicket;
      p.seenMode = mode;
    }
  }
  return oldest;
}

/**
 * Wakes all until-free waiters and the oldest acquirer: it alone when it wants the lock exclusively, else all shared
 * ones. False when nobody waits.
 */
function wakeRound(p: Participant, i: number, ns: number): boolean {
  // Each further round is due to a waiter found dead, which the next does not see.
  for (let round = p.peers.highWater(); round >= 0; round--) {
    const oldest = walk(p, i, ns);
    if (oldest < 0) return oldest === ONLY_UNTIL_FREE;
    if (p.seenMode === LW_EXCLUSIVE ? wake(p, oldest) : wakeMode(p, i, ns, LW_SHARED)) return true;
  }
  return true;
}

/**
 * Gives the duty to the right waiters after the lock became available: see the essay above. The caller does not hold
 * the lock any more. Follows LWLockWakeup.
 */
export function wakeWaiters(p: Participant, a: Int32Array, i: number, ns: number): void {
  // One's own asynchronous waiters are not found by the walk, which passes over the slot of `p`.
  p.lockWaits?.released(ns, i);
  // A second round means that somebody queued meanwhile. Giving up with the flag set costs one walk at the next release.
  for (let round = 0; round < 8; round++) {
    if (wakeRound(p, i, ns)) return;
    and(a, i + LOCK_STATE, ~HAS_WAITERS);
    store(a, i + LOCK_PASSES, 0);
    if (walk(p, i, ns) === NOBODY) return;
    or(a, i + LOCK_STATE, HAS_WAITERS);
  }
  wakeRound(p, i, ns);
}

/** Wakes those who wait until the lock is free or its variable changes, and leaves the others asleep. */
export function wakeUntilFree(p: Participant, i: number, ns: number): void {
  wakeMode(p, i, ns, LW_WAIT_UNTIL_FREE);
}

/** Wakes everybody who waits for the lock, in whatever mode. */
export function wakeEverybody(p: Participant, i: number, ns: number): void {
  wakeMode(p, i, ns, LW_WAIT_UNTIL_FREE);
  wakeMode(p, i, ns, LW_EXCLUSIVE);
  wakeMode(p, i, ns, LW_SHARED);
}

/**
 * Makes the owner of a slot, if it waits for a lock, look around without a wake-up of its own: it runs its `attend`,
 * asks who lives, tries again. Any thread.
 *
 * @param base word index of the slot in the control memory `c`
 */
export function nudge(c: Int32Array, base: number): void {
  if ((load(c, base + WAIT_SEQ) & 1) === 0) return;
  // A waiter about to park is caught by its own exchange NONE -> PARKED, which then fails.
  if (compareExchange(c, base + WAKE, WAKE_NONE, WAKE_ATTEND) !== WAKE_PARKED) return;
  // Not parked any more: it got up in between, and looks around before it parks again.
  if (compareExchange(c, base + WAKE, WAKE_PARKED, WAKE_ATTEND) === WAKE_PARKED) unpark(c, base + WAKE);
}

/** Waiting where the thread must not be parked: looks at its own word, and at the clock from time to time. */
function spinUntilWoken(c: Int32Array, w: number, ms: number): void {
  const end = now() + ms;
  do {
    for (let poll = 0; poll < POLLS_PER_LOOK; poll++) {
      if (load(c, w) !== WAKE_NONE) return;
    }
  } while (now() < end);
}

/**
 * Parks `p`, which is queued, for at most `ms` milliseconds: phase 4. The next try comes after this returns, so a
 * wake-up that is taken back here is always followed by a try.
 *
 * @returns WAKE_CHOSEN, WAKE_ATTEND, or WAKE_NONE when the time was over
 */
export function sleepOnce(p: Participant, ms: number): number {
  const c = p.control;
  const w = p.wakeWord;
  if (p.canBlock) {
    if (compareExchange(c, w, WAKE_NONE, WAKE_PARKED) === WAKE_NONE) {
      p.parks++;
      park(c, w, WAKE_PARKED, ms);
    }
  } else {
    spinUntilWoken(c, w, Math.min(ms, SPIN_SLICE_MS));
  }
  const found = exchange(c, w, WAKE_NONE);
  return found === WAKE_PARKED ? WAKE_NONE : found;
}
