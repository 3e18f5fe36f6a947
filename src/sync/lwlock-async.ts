/**
 * Waiting for locks without blocking the thread: the asynchronous twin of lwlock-wait.ts.
 *
 * Stands on the queue, on the held list and on `parkAsync`. A participant holds a lock or does not, whoever in its thread
 * asked for it; so its tasks that want the same lock queue up here, first come, first served, and only the first of them
 * competes with other threads. Tasks that want it shared hold it together, as one hold of the participant: another
 * joins while no thread waits for the lock. A blocking acquire of a lock that a task holds fails (ERR_HEAP_LOCK_SELF).
 *
 * A participant's slot has one entry in the queues of locks, and one thread may wait for many locks here. The entry is
 * lent to one lock at a time, for ROTATE_MS when others want it too; the others try again after 1 to 16 ms. A wait that
 * blocks takes the entry away for as long as it lasts. Nobody holds the entry while waiting for it, so this adds no
 * deadlock; it adds up to 16 ms to a wait for a second lock.
 *
 * A wait that is aborted, or whose time is over, leaves nothing: its entry is withdrawn, and a wake-up that was meant for it
 * goes to the next (`leaveQueue`). Pending waits keep the event loop alive by a timer; a pending `Atomics.waitAsync`
 * alone does not.
 */

import { load, or } from '#atomic';
import { SharedHeapError } from '../errors/errors.js';
import { now } from '../platform/platform.js';
import { aborted, participantLeft } from './async-sleep.js';
import { lwlockRelease } from './lwlock.js';
import { FAIR_MS, LockEntry, type LockTask, type LockTasks } from './lwlock-async-entry.js';
import { lwlockFailure } from './lwlock-failure.js';
import { findHold } from './lwlock-held.js';
import {
  FAIL_POISONED,
  FAIL_STALLED,
  FAIL_TOO_MANY,
  HAS_WAITERS,
  LOCK_STATE,
  LW_SHARED,
  type LWLockMode,
  POISONED,
} from './lwlock-layout.js';
import { ownerGone } from './lwlock-stall.js';
import { attemptNoted, NEWCOMER, ownerOf, refuse, SLICE_MS } from './lwlock-wait.js';
import type { LocalLockWaits, Participant } from './participant.js';
import { MAX_HELD_LOCKS } from './participant-layout.js';
import type { TrancheTable } from './tranches.js';

/** Longest pause, in milliseconds, between two tries without an entry. The first is 1, each next twice as long. */
const LONGEST_PAUSE_MS = 16;

/** Answers of `#attempt`. */
const GRANTED = 1;
const BUSY = 0;
const REFUSED = -1;

function stalled(p: Participant, queue: LockTasks, task: LockTask): SharedHeapError {
  const owner = ownerOf(load(queue.a, queue.i + LOCK_STATE));
  const holder = owner < 0 ? '' : `, held by participant ${owner}`;
  return new SharedHeapError('ERR_HEAP_LOCK_STALLED', 'the lock was not released in time', {
    detail: `lock at byte ${queue.i * 4} of memory ${queue.ns}: participant ${p.slot}${holder}, waited ${task.ms} ms`,
    hint: 'look for a thread or task that keeps the lock, or give a longer timeout',
  });
}

/** The asynchronous waits of one participant for locks. */
class LockWaits implements LocalLockWaits {
  readonly #p: Participant;
  readonly #queues = new Map<string, LockTasks>();
  readonly #entry: LockEntry;
  #scheduled = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(p: Participant) {
    this.#p = p;
    this.#entry = new LockEntry(p, () => {
      if (this.#queues.size > 0) this.#round();
    });
  }

  /** See {@link lwlockAcquireAsync}. */
  acquire(
    a: Int32Array,
    i: number,
    ns: number,
    mode: LWLockMode,
    ms: number,
    signal: AbortSignal | undefined,
    tranches: TrancheTable | undefined,
  ): Promise<boolean> {
    const queue = this.#queueOf(a, i, ns, tranches);
    const first = queue.tasks.length === 0 ? this.#attempt(queue, mode) : BUSY;
    this.#tidy(queue);
    if (first === GRANTED) return Promise.resolve(true);
    if (first === REFUSED) return Promise.reject(this.#failure(queue));
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        signal?.removeEventListener('abort', onAbort);
        act();
      };
      const task: LockTask = {
        mode,
        ms,
        begun: now(),
        grant: () => settle(() => resolve(false)),
        fail: (error) => settle(() => reject(error)),
      };
      const onAbort = (): void => {
        queue.tasks.splice(queue.tasks.indexOf(task), 1);
        task.fail(aborted(signal!));
        this.#round();
      };
      signal?.addEventListener('abort', onAbort);
      this.#queues.set(keyOf(ns, i), queue);
      queue.tasks.push(task);
      this.#round();
    });
  }

  suspend(): void {
    if (this.#entry.queue === null) return;
    this.#entry.withdraw();
    this.#schedule();
  }

  released(ns: number, i: number): void {
    const queue = this.#queues.get(keyOf(ns, i));
    if (queue !== undefined && queue.tasks.length > 0) this.#schedule();
  }

  dropShare(ns: number, i: number): boolean {
    const queue = this.#queues.get(keyOf(ns, i));
    if (queue === undefined || findHold(this.#p, this.#p.nheld, ns, i) < 0) return false;
    if (queue.shares > 1) {
      queue.shares--;
      return true;
    }
    queue.shares = 0;
    this.#tidy(queue);
    return false;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#entry.withdraw();
    const queues = [...this.#queues.values()];
    this.#queues.clear();
    for (const queue of queues) for (const task of queue.tasks.splice(0)) task.fail(participantLeft());
  }

  #queueOf(a: Int32Array, i: number, ns: number, tranches: TrancheTable | undefined): LockTasks {
    const key = keyOf(ns, i);
    let queue = this.#queues.get(key);
    if (queue === undefined) {
      const fresh = { shares: 0, ticket: undefined, beaten: 0, fairMs: FAIR_MS, pause: 1, looked: now() };
      queue = { a, i, ns, tranches, tasks: [], ...fresh };
      this.#queues.set(key, queue);
    }
    return queue;
  }

  /** Forgets a queue that nobody is in. */
  #tidy(queue: LockTasks): void {
    if (queue.tasks.length > 0 || queue.shares > 0) return;
    if (this.#entry.queue === queue) this.#entry.withdraw();
    this.#queues.delete(keyOf(queue.ns, queue.i));
  }

  #failure(queue: LockTasks): SharedHeapError {
    return lwlockFailure(this.#p, queue.a, queue.i, queue.ns, queue.tranches);
  }

  /** Tries once for a task: GRANTED, BUSY, or REFUSED with the failure noted. */
  #attempt(queue: LockTasks, mode: LWLockMode): number {
    const p = this.#p;
    const { a, i, ns } = queue;
    if (findHold(p, p.nheld, ns, i) >= 0) return this.#share(queue, mode);
    queue.shares = 0;
    if (p.nheld >= MAX_HELD_LOCKS) {
      refuse(p, FAIL_TOO_MANY, p.slot, 0, false);
      return REFUSED;
    }
    if ((load(a, i + LOCK_STATE) & POISONED) !== 0) {
      refuse(p, FAIL_POISONED, -1, 0, false);
      return REFUSED;
    }
    const listed = this.#entry.queue === queue;
    // A walk of our own may have cleared it: see lwlock-async-entry.ts.
    if (listed) or(a, i + LOCK_STATE, HAS_WAITERS);
    if (!attemptNoted(p, a, i, ns, mode, listed ? this.#entry.standing : NEWCOMER)) return BUSY;
    if (listed) this.#entry.got();
    queue.ticket = undefined;
    queue.beaten = 0;
    queue.fairMs = FAIR_MS;
    queue.shares = mode === LW_SHARED ? 1 : 0;
    return GRANTED;
  }

  /** The participant holds the lock: a task joins those who share it, or waits until it is given back. */
  #share(queue: LockTasks, mode: LWLockMode): number {
    const { a, i } = queue;
    if (mode === LW_SHARED && queue.shares > 0 && (load(a, i + LOCK_STATE) & HAS_WAITERS) === 0) {
      queue.shares++;
      return GRANTED;
    }
    // So that our own release tells us.
    or(a, i + LOCK_STATE, HAS_WAITERS);
    return BUSY;
  }

  /** Ends the waits whose time is over, or that wait for the dead; then grants as many as can be. */
  #serve(queue: LockTasks, t: number): void {
    for (const task of queue.tasks.filter((waiting) => t - waiting.begun >= waiting.ms)) {
      queue.tasks.splice(queue.tasks.indexOf(task), 1);
      task.fail(stalled(this.#p, queue, task));
    }
    while (queue.tasks.length > 0) {
      const granted = this.#attempt(queue, queue.tasks[0]!.mode);
      if (granted === BUSY) break;
      const task = queue.tasks.shift()!;
      if (granted === GRANTED) task.grant();
      else task.fail(this.#failure(queue));
    }
    if (queue.tasks.length > 0) this.#lookAtOwner(queue, t);
    this.#tidy(queue);
  }

  #lookAtOwner(queue: LockTasks, t: number): void {
    if (t - queue.looked < SLICE_MS) return;
    queue.looked = t;
    const p = this.#p;
    const { a, i, ns } = queue;
    // A task of this thread can still release it.
    if (!ownerGone(p, a, i, ns, load(a, i + LOCK_STATE)) || p.peers.isOwnThread(p.failureOwner)) return;
    for (const task of queue.tasks.splice(0)) {
      refuse(p, FAIL_STALLED, p.failureOwner, t - task.begun, true);
      task.fail(this.#failure(queue));
    }
  }

  /** Everything that can be done now. Never called while this thread is inside a lock function. */
  #round(): void {
    const t = now();
    this.#entry.takeWakeUp(t);
    for (const queue of this.#queues.values()) this.#serve(queue, t);
    this.#relink(t);
    this.#arm(t);
  }

  /** Queues that wait for a lock which others hold. */
  #wanting(): LockTasks[] {
    const p = this.#p;
    return [...this.#queues.values()].filter(({ tasks, ns, i }) => tasks.length > 0 && findHold(p, p.nheld, ns, i) < 0);
  }

  /** Lends the entry to the next queue, if nobody has it or somebody has had it long enough. */
  #relink(t: number): void {
    const entry = this.#entry;
    const { queue } = entry;
    if (queue !== null) {
      if (!entry.isOver(queue, t, this.#wanting().length > 1)) return;
      entry.withdraw();
      // Behind the others.
      this.#queues.delete(keyOf(queue.ns, queue.i));
      this.#queues.set(keyOf(queue.ns, queue.i), queue);
    }
    for (const next of this.#wanting()) {
      entry.lend(next, t);
      this.#serve(next, t);
      if (entry.queue !== null) return;
    }
  }

  /** Sees to it that the next round comes: by a wake-up, or by the clock. */
  #arm(t: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let next = Infinity;
    for (const queue of this.#queues.values()) {
      if (queue.tasks.length === 0) continue;
      for (const task of queue.tasks) next = Math.min(next, task.begun + task.ms);
      next = Math.min(next, t + this.#pauseOf(queue));
    }
    if (next === Infinity) return;
    // A timer rounds down: a moment too early would be a round for nothing.
    this.#timer = setTimeout(() => this.#round(), Math.max(1, Math.ceil(next - t)));
    if (this.#entry.queue !== null && !this.#entry.park()) this.#schedule();
  }

  #pauseOf(queue: LockTasks): number {
    if (this.#entry.queue === queue) {
      queue.pause = 1;
      return this.#entry.pause(this.#queues.size > 1);
    }
    const { pause } = queue;
    queue.pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    return pause;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#p.closed) this.#round();
    });
  }
}

function keyOf(ns: number, i: number): string {
  return `${ns}:${i}`;
}

/**
 * Acquires the lock without blocking the thread; a pending acquire keeps the event loop alive. The thread of `p`. Many may
 * wait at once, for the same lock or for several. Follows LWLockAcquire.
 *
 * @param ms milliseconds that it may take, 0 or more; Infinity waits as long as it takes
 * @param signal ends the wait
 * @returns a promise: the lock is held; true when it could be had at once. Release it with {@link lwlockReleaseTask}
 * @throws (as a rejection) ERR_HEAP_LOCK_STALLED, ERR_HEAP_ABORTED, ERR_HEAP_TOO_MANY_LOCKS, ERR_HEAP_POISONED,
 *   ERR_HEAP_CLOSED: `p` has left or leaves
 */
export async function lwlockAcquireAsync(
  p: Participant,
  a: Int32Array,
  i: number,
  ns: number,
  mode: LWLockMode,
  ms: number,
  signal: AbortSignal | undefined,
  tranches?: TrancheTable,
): Promise<boolean> {
  if (p.closed) throw participantLeft();
  if (signal?.aborted === true) throw aborted(signal);
  const waits = (p.lockWaits ??= new LockWaits(p)) as LockWaits;
  return waits.acquire(a, i, ns, mode, ms, signal, tranches);
}

/**
 * `lwlockRelease` for a lock that a task may hold together with others of its thread: only the last of them gives it
 * back. Does not block.
 *
 * @returns false when `p` does not hold it
 */
export function lwlockReleaseTask(p: Participant, a: Int32Array, i: number, ns: number): boolean {
  return p.lockWaits?.dropShare(ns, i) === true || lwlockRelease(p, a, i, ns);
}
