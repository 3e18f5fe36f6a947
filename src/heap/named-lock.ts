/**
 * Locks that all threads know by name: `heap.lock(name)`.
 *
 * Stands on LWLock, whose protocol it uses as it is; the lock word lies in a named block. What is added is who gives back
 * what: each acquire returns a guard, and only the guard, or `release()` for the newest one, gives that hold
 * back. So a guard that is disposed late, or twice, never releases what another task has acquired meanwhile. Guards
 * are private to their thread. A thread that dies holding the lock leaves it held: see lwlock.ts.
 */

import { SharedHeapError } from '../errors/errors.js';
import {
  type AsyncWaitOptions,
  checkAsyncWait,
  checkWait,
  LW_EXCLUSIVE,
  LW_SHARED,
  LWLock,
  lwlockInitialize,
  type LWLockMode,
  LWLockStruct,
  type Participant,
  TRANCHE_HEAP_LOCK,
  type WaitOptions,
} from '../sync/sync.js';
import { aboutNamed, type SyncHome } from './named-block.js';
import { show } from './sizes.js';

/** One hold of a lock. Give it back with `release()`, or declare it with `using`. Its thread only. */
export class LockGuard {
  readonly #release: (guard: LockGuard) => void;
  #held = true;
  /** Whether others may hold the lock at the same time. */
  readonly shared: boolean;

  /** Only for {@link NamedLock}. @internal */
  constructor(shared: boolean, release: (guard: LockGuard) => void) {
    this.shared = shared;
    this.#release = release;
  }

  /** False once it was given back. */
  get held(): boolean {
    return this.#held;
  }

  /** Gives the hold back. A second call does nothing. Does not block. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#release(this);
  }

  /** {@link release}, for `using guard = lock.acquire()`. */
  [Symbol.dispose](): void {
    this.release();
  }
}

function isThenable(value: unknown): boolean {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}

function checkFunction(fn: unknown): void {
  if (typeof fn === 'function') return;
  throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'what to do under the lock is not a function', {
    detail: `got ${show(fn)}`,
  });
}

/** A lock that all threads of a heap know by its name. Made by `heap.lock(name)`; each thread has its own object. */
export class NamedLock {
  /** The name that threads find it by. */
  readonly name: string;
  readonly #participant: Participant;
  readonly #lock: LWLock;
  /** Holds of this thread, oldest first: one exclusive, or shared ones of several tasks. */
  readonly #guards = new Set<LockGuard>();

  /** Only for {@link openLock}. @internal */
  constructor(participant: Participant, lock: LWLock, name: string) {
    this.name = name;
    this.#participant = participant;
    this.#lock = lock;
  }

  /** Whether this thread holds the lock. Does not block. */
  get held(): boolean {
    return this.#lock.heldByMe();
  }

  /**
   * Acquires the lock for this thread alone. Not re-entrant. Blocks.
   *
   * @param options `timeout` in milliseconds, by default the heap's `lockTimeout`
   * @returns the hold; `using guard = lock.acquire()` gives it back at the end of the block
   * @throws ERR_HEAP_LOCK_STALLED (not released in time, or its holder is gone), ERR_HEAP_LOCK_SELF (this thread holds it
   *   already, perhaps by another task), ERR_HEAP_TOO_MANY_LOCKS, ERR_HEAP_WOULD_BLOCK (this thread must not be parked),
   *   ERR_HEAP_POISONED, ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT
   */
  acquire(options?: WaitOptions): LockGuard {
    return this.#acquire(LW_EXCLUSIVE, options);
  }

  /** {@link acquire} together with other threads that acquire it so. Blocks. */
  acquireShared(options?: WaitOptions): LockGuard {
    return this.#acquire(LW_SHARED, options);
  }

  /**
   * {@link acquire} if that is possible at once. Does not block.
   *
   * @returns null when the lock is held, also by this thread itself
   * @throws ERR_HEAP_TOO_MANY_LOCKS, ERR_HEAP_POISONED, ERR_HEAP_CLOSED
   */
  tryAcquire(): LockGuard | null {
    return this.#named(() => this.#lock.conditionalAcquire(LW_EXCLUSIVE)) ? this.#guard(false) : null;
  }

  /** {@link tryAcquire} in shared mode. */
  tryAcquireShared(): LockGuard | null {
    return this.#named(() => this.#lock.conditionalAcquire(LW_SHARED)) ? this.#guard(true) : null;
  }

  /**
   * {@link acquire} without blocking the thread; keeps the event loop alive. Tasks of one thread get it one after the other, in
   * the order in which they asked.
   *
   * @param options `timeout`, and `signal` to end the wait
   * @throws (as a rejection) ERR_HEAP_LOCK_STALLED, ERR_HEAP_ABORTED, ERR_HEAP_TOO_MANY_LOCKS, ERR_HEAP_POISONED,
   *   ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT
   */
  acquireAsync(options?: AsyncWaitOptions): Promise<LockGuard> {
    return this.#acquireAsync(LW_EXCLUSIVE, options);
  }

  /** {@link acquireAsync} in shared mode: tasks of this thread hold it together, too. */
  acquireSharedAsync(options?: AsyncWaitOptions): Promise<LockGuard> {
    return this.#acquireAsync(LW_SHARED, options);
  }

  /**
   * Gives the newest hold of this thread back. Does not block.
   *
   * @throws ERR_HEAP_LOCK_NOT_HELD
   */
  release(): void {
    const newest = [...this.#guards].at(-1);
    if (newest === undefined) {
      throw new SharedHeapError('ERR_HEAP_LOCK_NOT_HELD', `lock ${show(this.name)}: this thread does not hold it`, {
        hint: 'acquire it first; a guard that was disposed has given it back already',
      });
    }
    newest.release();
  }

  /**
   * Calls `fn` while this thread holds the lock, and gives it back whatever happens. Blocks.
   *
   * @returns what `fn` returned
   * @throws what `fn` throws, and as {@link acquire}; ERR_HEAP_BAD_ARGUMENT when `fn` returns a promise: the lock would be
   *   given back before it is fulfilled
   */
  withLock<T>(fn: () => T, options?: WaitOptions): T {
    return this.#with(LW_EXCLUSIVE, fn, options);
  }

  /** {@link withLock} in shared mode. */
  withSharedLock<T>(fn: () => T, options?: WaitOptions): T {
    return this.#with(LW_SHARED, fn, options);
  }

  /** {@link withLock} without blocking: the lock is held until the promise of `fn` is settled. */
  withLockAsync<T>(fn: () => T | Promise<T>, options?: AsyncWaitOptions): Promise<T> {
    return this.#withAsync(LW_EXCLUSIVE, fn, options);
  }

  /** {@link withLockAsync} in shared mode. */
  withSharedLockAsync<T>(fn: () => T | Promise<T>, options?: AsyncWaitOptions): Promise<T> {
    return this.#withAsync(LW_SHARED, fn, options);
  }

  /**
   * Gives the lock back for a while, the guard staying as it is: what a condition does while it sleeps.
   *
   * @returns the mode for {@link resume}
   * @throws ERR_HEAP_LOCK_NOT_HELD @internal
   */
  pause(): LWLockMode {
    const mode = this.#lock.heldByMeInMode(LW_SHARED) ? LW_SHARED : LW_EXCLUSIVE;
    this.#named(() => this.#lock.release());
    return mode;
  }

  /** Acquires it again. When that fails, all guards of this thread are void. @internal */
  resume(mode: LWLockMode): void {
    try {
      this.#named(() => this.#lock.acquire(mode));
    } catch (error) {
      this.#void();
      throw error;
    }
  }

  /** {@link resume} without blocking. @internal */
  async resumeAsync(mode: LWLockMode): Promise<void> {
    try {
      await this.#lock.acquireAsync(mode);
    } catch (error) {
      this.#void();
      throw aboutNamed(error, 'lock', this.name);
    }
  }

  /** The heap object is closed: waits end, holds are given back. @internal */
  heapClosed(): void {
    this.#participant.endWaits();
    for (const guard of this.#guards) guard.release();
  }

  /** Guards that hold nothing any more: giving them back must not touch the lock. */
  #void(): void {
    const guards = [...this.#guards];
    this.#guards.clear();
    for (const guard of guards) guard.release();
  }

  #acquire(mode: LWLockMode, options: WaitOptions | undefined): LockGuard {
    const p = this.#participant;
    const { ms } = checkWait(p, options, true);
    const usual = p.lockTimeout;
    p.lockTimeout = ms;
    try {
      this.#lock.acquire(mode);
    } catch (error) {
      throw aboutNamed(error, 'lock', this.name);
    } finally {
      p.lockTimeout = usual;
    }
    return this.#guard(mode === LW_SHARED);
  }

  async #acquireAsync(mode: LWLockMode, options: AsyncWaitOptions | undefined): Promise<LockGuard> {
    checkAsyncWait(this.#participant, options);
    try {
      await this.#lock.acquireAsync(mode, options);
    } catch (error) {
      throw aboutNamed(error, 'lock', this.name);
    }
    return this.#guard(mode === LW_SHARED);
  }

  #with<T>(mode: LWLockMode, fn: () => T, options: WaitOptions | undefined): T {
    checkFunction(fn);
    const guard = this.#acquire(mode, options);
    try {
      const result = fn();
      if (!isThenable(result)) return result;
    } finally {
      guard.release();
    }
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `lock ${show(this.name)}: a promise outlives the lock`, {
      hint: 'use withLockAsync(), which holds the lock until the promise is settled',
    });
  }

  async #withAsync<T>(mode: LWLockMode, fn: () => T | Promise<T>, options: AsyncWaitOptions | undefined): Promise<T> {
    checkFunction(fn);
    const guard = await this.#acquireAsync(mode, options);
    try {
      return await fn();
    } finally {
      guard.release();
    }
  }

  #guard(shared: boolean): LockGuard {
    const guard = new LockGuard(shared, (given) => {
      if (this.#guards.delete(given) && this.#lock.heldByMe()) this.#lock.release();
    });
    this.#guards.add(guard);
    return guard;
  }

  #named<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw aboutNamed(error, 'lock', this.name);
    }
  }
}

/**
 * The lock of this name, made if nobody has made it yet.
 *
 * @throws what finding or making the block throws. May block there.
 */
export function openLock({ blocks, participant, tranches }: SyncHome, name: string): NamedLock {
  const block = blocks.block(name, 'lock', LWLockStruct.SIZEOF, ({ i32, word }) =>
    lwlockInitialize(i32, word, TRANCHE_HEAP_LOCK),
  );
  return new NamedLock(participant, new LWLock(participant, block, block.word * 4, tranches), name);
}
