/**
 * The one entry that a participant has in the queues of locks, as asynchronous waits use it: lent to one lock at a time.
 *
 * Stands on lwlock-queue.ts; which lock gets it, and when, is decided in lwlock-async.ts. An entry is first made in the mode
 * "until free": whoever frees the lock wakes us, and nobody has to wait for us. For an event loop may be busy for long,
 * and a place in the queue that nobody takes up holds up the others for a slice each time. A waiter that was woken and
 * beaten PATIENCE times, or was not even woken for a slice (shared holders may overlap without end), takes a real place for
 * FAIR_MS, and for twice as long each further time, and keeps its ticket in between. So it is not starved by threads that
 * are faster than an event loop.
 *
 * Why no wake-up is lost: the phases are those of the blocking wait. The entry is published and the flag set, then the lock is
 * tried once more, then the word is parked on; a wake-up is taken back before a try, never after. Only this participant's
 * own walks pass over its entry, and may clear the flag: after them comes a round (`released`), and each try sets the
 * flag again. A thread that dies with an entry is like any dead waiter.
 */

import { add, compareExchange, exchange } from '#atomic';
import { parkAsync } from '../platform/platform.js';
import { LOCK_TICKET, LW_WAIT_UNTIL_FREE, type LWLockMode } from './lwlock-layout.js';
import { dequeue, leaveQueue, requeue } from './lwlock-queue.js';
import { NEWCOMER, OVERDUE, QUEUED, SLICE_MS, type Standing } from './lwlock-wait.js';
import type { Participant } from './participant.js';
import { WAKE_ATTEND, WAKE_CHOSEN, WAKE_NONE, WAKE_PARKED } from './participant-layout.js';
import type { TrancheTable } from './tranches.js';

/** Milliseconds for which a lock has the entry while others want it. Lower: more changes; higher: the others are later. */
const ROTATE_MS = 20;
/** Times that a waiter is woken and beaten before it takes a place in the queue. Lower: slower for the others; higher: for it. */
const PATIENCE = 8;
/**
 * Milliseconds for which it has that place, at first and at most. Lower: it may not get its turn; higher: a busy event loop
 * holds up more.
 */
export const FAIR_MS = 20;
const LONGEST_FAIR_MS = 1280;

/** One who waits. */
export interface LockTask {
  readonly mode: LWLockMode;
  readonly begun: number;
  readonly ms: number;
  readonly grant: () => void;
  readonly fail: (error: unknown) => void;
}

/** The waits of one participant for one lock. */
export interface LockTasks {
  readonly a: Int32Array;
  readonly i: number;
  readonly ns: number;
  readonly tranches: TrancheTable | undefined;
  readonly tasks: LockTask[];
  /** Tasks that hold the lock together. */
  shares: number;
  /** Place in the lock's queue, once it has one. */
  ticket: number | undefined;
  /** Times it was woken and beaten. */
  beaten: number;
  /** Milliseconds for which it has a real place the next time. */
  fairMs: number;
  /** Milliseconds to the next try without an entry. */
  pause: number;
  /** When it last looked whether the owner lives. */
  looked: number;
}

/** The entry in the slot of one participant. */
export class LockEntry {
  readonly #p: Participant;
  readonly #woken: () => void;
  #queue: LockTasks | null = null;
  #since = 0;
  #fair = false;
  #standing: Standing = NEWCOMER;
  #sliceBegun = 0;
  #parked = false;

  /** @param woken called when the entry may have been woken, in a turn of the event loop */
  constructor(p: Participant, woken: () => void) {
    this.#p = p;
    this.#woken = woken;
  }

  /** Whose it is now. */
  get queue(): LockTasks | null {
    return this.#queue;
  }

  /** How a try by that queue stands to the other waiters. */
  get standing(): Standing {
    return this.#fair ? this.#standing : NEWCOMER;
  }

  /** Takes a wake-up back: the tries come afterwards. */
  takeWakeUp(t: number): void {
    if (this.#queue === null) return;
    const p = this.#p;
    const found = exchange(p.control, p.wakeWord, WAKE_NONE);
    if (found === WAKE_ATTEND) p.attend?.();
    if (found === WAKE_CHOSEN) this.#queue.beaten++;
    const overdue = found !== WAKE_CHOSEN && t - this.#sliceBegun >= SLICE_MS;
    if (overdue || found === WAKE_CHOSEN) this.#sliceBegun = t;
    this.#standing = overdue ? OVERDUE : QUEUED;
  }

  /** The queue has the lock and needs the entry no more. */
  got(): void {
    this.#queue = null;
    dequeue(this.#p);
  }

  /** Ends the entry without the lock, and passes on what it was woken for. */
  withdraw(): void {
    const queue = this.#queue;
    if (queue === null) return;
    this.#queue = null;
    if (this.#fair) leaveQueue(this.#p, queue.a, queue.i, queue.ns);
    else dequeue(this.#p);
  }

  /** Whether it should be given up: for another lock, or for another kind of entry. */
  isOver(queue: LockTasks, t: number, others: boolean): boolean {
    const since = t - this.#since;
    if (this.#fair) {
      if (since < queue.fairMs) return others && since >= ROTATE_MS;
      queue.fairMs = Math.min(2 * queue.fairMs, LONGEST_FAIR_MS);
      queue.beaten = 0;
      return true;
    }
    if (since >= SLICE_MS) queue.beaten = PATIENCE;
    return queue.beaten >= PATIENCE || (others && since >= ROTATE_MS);
  }

  /** Gives it to a queue, which tries again afterwards: only from now on no release is missed. */
  lend(queue: LockTasks, t: number): void {
    const { a, i, ns } = queue;
    this.#fair = queue.beaten >= PATIENCE;
    if (this.#fair) queue.ticket ??= add(a, i + LOCK_TICKET, 1);
    requeue(this.#p, a, i, ns, this.#fair ? queue.tasks[0]!.mode : LW_WAIT_UNTIL_FREE, queue.ticket ?? 0);
    this.#queue = queue;
    this.#since = t;
    this.#sliceBegun = t;
    this.#standing = QUEUED;
  }

  /** Milliseconds after which the queue that has it looks around in any case. */
  pause(others: boolean): number {
    if (this.#fair) return ROTATE_MS;
    return others ? ROTATE_MS : SLICE_MS;
  }

  /** Waits for a wake-up. False when there was one already. */
  park(): boolean {
    const p = this.#p;
    const found = compareExchange(p.control, p.wakeWord, WAKE_NONE, WAKE_PARKED);
    if (found === WAKE_CHOSEN || found === WAKE_ATTEND) return false;
    if (this.#parked) return true;
    this.#parked = true;
    const unparked = (): void => {
      this.#parked = false;
      this.#woken();
    };
    // Where the engine has no waitAsync, the timers of the waits do it alone.
    parkAsync(p.control, p.wakeWord, WAKE_PARKED, SLICE_MS).then(unparked, () => {});
    return true;
  }
}
