/**
 * A participant: one attached user of the shared memory, as this thread sees it. PostgreSQL's MyProc.
 *
 * Stands on the participant table, which makes it (`ParticipantTable.join`). A thread may hold several participants;
 * each is used by the thread that joined it and by no other. Nothing here is locked: the object is private, and what
 * it mirrors in shared memory (its slot) is written by it alone.
 *
 * `nheld` lies in the slot: this thread reads and writes it, others read it when this thread is gone. The rule: an entry
 * of the held list is written before the atomic operation that may take the lock, and removed after the one that gives
 * it back. So a participant that died with `nheld` = 0 holds nothing.
 */

import { SharedHeapError } from '../errors/errors.js';
import { EXCLUSIVE_BIT, FAIL_NONE } from './lwlock-layout.js';
import { HELD, NHELD, WAIT_SEQ, WAKE } from './participant-layout.js';

/** What a participant and the locks need to know about the others. Implemented by `ParticipantTable`. */
export interface Peers {
  /** Number of slots that were ever in use. */
  highWater(): number;
  /** Word index of a slot in the control memory. */
  slotBase(slot: number): number;
  /** Tells whether the owner of a slot lives; undefined when that cannot be known. Reads a file on Linux: 10 µs. */
  isAlive(slot: number): boolean | undefined;
  /** Tells whether the owner of a slot was already seen to be gone; never asks the host. */
  knownDead(slot: number): boolean;
  /** Tells whether the owner of a slot is the calling thread itself. */
  isOwnThread(slot: number): boolean;
  /** Gives the slot of `p` back. */
  vacate(p: Participant): void;
}

/** Waits of one participant that do not block its thread. Made by the first of them; private to that thread. */
export interface LocalWaits {
  /** Fails all of them with ERR_HEAP_CLOSED: the participant leaves. */
  end(): void;
}

/** Asynchronous waits for locks; what the blocking forms tell them. See lwlock-async.ts. */
export interface LocalLockWaits extends LocalWaits {
  /** The slot's one entry in the queues is needed for a wait that blocks. */
  suspend(): void;
  /** The participant has released a lock that somebody waits for. Inside a release: must only take note. */
  released(ns: number, i: number): void;
  /** A task gives a shared lock back; true when other tasks of the participant share it, and nothing else is to be done. */
  dropShare(ns: number, i: number): boolean;
}

/**
 * Polls of a lock word before a thread queues and parks. One poll takes 5 ns, a critical section of this library 0.1 to
 * 1 µs, parking and being woken at least 4 µs. Lower: threads park that would have had the lock sooner by looking
 * again; higher: they burn processor time that the holder may need.
 */
export const DEFAULT_SPIN = 200;

/**
 * Longest sleep, in milliseconds, of a wait whose signal a dying thread may take along (condition variables, barriers),
 * before it looks for itself. Lower: idle waiters wake more often; higher: such a signal arrives later.
 */
export const DEFAULT_SLICE_MS = 100;

/** One attached user of the shared memory. Made by `ParticipantTable.join`, used by one thread. */
export class Participant {
  /** The table this participant belongs to. */
  readonly peers: Peers;
  /** Index of its slot. */
  readonly slot: number;
  /** Which owner of the slot this is, counted from 1. */
  readonly generation: number;
  /** Number in lock words: slot + 1. */
  readonly id: number;
  /** The control memory, in which the slot lies. */
  readonly control: Int32Array;
  /** Word index of the slot in `control`. */
  readonly base: number;
  /** Lock word of a lock that this participant holds exclusively and nobody waits for. */
  readonly exclusiveWord: number;
  /** Word indexes of fields of the slot. */
  readonly heldWord: number;
  readonly nheldWord: number;
  readonly wakeWord: number;
  /** Milliseconds that an acquire waits before it fails with ERR_HEAP_LOCK_STALLED. */
  lockTimeout: number;
  /** Whether this thread may be parked; where not, waits spin. */
  readonly canBlock: boolean;
  /** Polls before queueing, see DEFAULT_SPIN. */
  spin: number;
  /** Longest sleep in one piece on a condition variable, see DEFAULT_SLICE_MS. */
  sliceMs: number;
  /** Memory of the condition variable that this participant is prepared to sleep on, or null; `cvWord` is its place there. */
  cvView: Int32Array | null;
  cvWord: number;
  /** Its `sequence` when this participant prepared. */
  cvSeen: number;
  /** Asynchronous waits for locks, null as long as there was none. */
  lockWaits: LocalLockWaits | null;
  /** Asynchronous waits on condition variables and barriers, null as long as there was none. */
  wordWaits: LocalWaits | null;
  /**
   * Called each time before this thread parks for a lock, so it must be cheap when there is nothing to do. Must not take
   * locks nor throw. Lets the buffers store answer requests; `ParticipantTable.wakeAll` makes parked threads call it.
   */
  attend: (() => void) | null;
  /** Own copy of the slot's `wait_seq`: odd while queued. */
  waitSeq: number;
  /** Why the last lock function that returned 0 failed: a FAIL_* number. */
  failure: number;
  /** Slot that stood in the way then, or -1. */
  failureOwner: number;
  /** Milliseconds waited then. */
  failureMs: number;
  /** Whether that owner's thread was seen to be gone. */
  failureOwnerGone: boolean;
  /** Word index of the lock whose shared holder was suspected to be gone in the slice before, or -1. */
  suspectedLock: number;
  /** Ticket of the waiter that `waiterMode` saw last: its second result. */
  seenTicket: number;
  /** Mode of the waiter that the last walk found to be the oldest. */
  seenMode: number;
  /** Value that `lwlockWaitForVar` saw last: its second result. */
  varValue: bigint;
  /**
   * Waits that ended by the clock although the lock had been free for this waiter and nobody had woken it. Each is a
   * lost wake-up, which the protocol excludes as long as no thread dies; tests assert 0.
   */
  lostWakeups: number;
  /** Times this participant was parked. */
  parks: number;
  /** True after {@link leave}: the object is useless from then on. */
  closed: boolean;

  /** Only for `ParticipantTable`, which owns the claim of the slot. */
  constructor(
    peers: Peers,
    control: Int32Array,
    slot: number,
    generation: number,
    lockTimeout: number,
    canBlock: boolean,
  ) {
    const base = peers.slotBase(slot);
    this.peers = peers;
    this.slot = slot;
    this.generation = generation;
    this.id = slot + 1;
    this.control = control;
    this.base = base;
    this.exclusiveWord = EXCLUSIVE_BIT | this.id;
    this.heldWord = base + HELD;
    this.nheldWord = base + NHELD;
    this.wakeWord = base + WAKE;
    this.lockTimeout = lockTimeout;
    this.canBlock = canBlock;
    this.spin = DEFAULT_SPIN;
    this.sliceMs = DEFAULT_SLICE_MS;
    this.cvView = null;
    this.cvWord = 0;
    this.cvSeen = 0;
    this.lockWaits = null;
    this.wordWaits = null;
    this.attend = null;
    this.waitSeq = control[base + WAIT_SEQ]!;
    this.failure = FAIL_NONE;
    this.failureOwner = -1;
    this.failureMs = 0;
    this.failureOwnerGone = false;
    this.suspectedLock = -1;
    this.seenTicket = 0;
    this.seenMode = 0;
    this.varValue = 0n;
    this.lostWakeups = 0;
    this.parks = 0;
    this.closed = false;
  }

  /** Number of locks held. */
  get nheld(): number {
    return this.closed ? 0 : this.control[this.nheldWord]!;
  }

  /**
   * Fails all asynchronous waits of this participant with ERR_HEAP_CLOSED. For those who give up the memory in which the
   * locks lie before they leave. The owning thread; does not block.
   */
  endWaits(): void {
    this.wordWaits?.end();
    this.lockWaits?.end();
  }

  /**
   * Gives the slot back. Asynchronous waits that are still pending fail with ERR_HEAP_CLOSED. A second call does
   * nothing. The owning thread; does not block.
   *
   * @throws ERR_HEAP_LOCK_HELD when locks are still held; nothing has changed then
   */
  leave(): void {
    if (this.closed) return;
    if (this.nheld > 0) {
      throw new SharedHeapError('ERR_HEAP_LOCK_HELD', 'a participant must release its locks before it leaves', {
        detail: `slot ${this.slot} holds ${this.nheld} locks`,
        hint: 'call release() for each of them, or lwlockReleaseAll()',
      });
    }
    this.cvView = null;
    this.endWaits();
    this.closed = true;
    this.peers.vacate(this);
  }
}
