/**
 * The public face of a lock: an object that checks what it is given and throws what went wrong.
 *
 * Stands on the hot functions of lwlock.ts, adds nothing to the protocol and keeps no state of the lock: two objects over
 * the same place are the same lock. Structures inside this library use the functions directly.
 */

import { SharedHeapError, show } from '../errors/errors.js';
import {
  lwlockAcquire,
  lwlockAcquireOrWait,
  lwlockConditionalAcquire,
  lwlockHeldByMe,
  lwlockHeldByMeInMode,
  lwlockInitialize,
  lwlockIsPoisoned,
  lwlockPoison,
} from './lwlock.js';
import { lwlockAcquireAsync, lwlockReleaseTask } from './lwlock-async.js';
import { lwlockFailure } from './lwlock-failure.js';
import {
  FAIL_NONE,
  LW_ACQUIRED,
  LW_CHANGED,
  LW_EXCLUSIVE,
  LW_FAILED,
  LW_SHARED,
  LWLockStruct,
  type LWLockMode,
} from './lwlock-layout.js';
import { lwlockReleaseClearVar, lwlockUpdateVar, lwlockWaitForVar } from './lwlock-var.js';
import { Participant } from './participant.js';
import { bad, checkPlace, type LockMemory } from './place.js';
import { lwlockTranche, type TrancheTable } from './tranches.js';
import { type AsyncWaitOptions, checkAsyncWait } from './wait-options.js';

function checkMode(mode: unknown): asserts mode is LWLockMode {
  if (mode !== LW_EXCLUSIVE && mode !== LW_SHARED) {
    throw bad('a lock is acquired exclusively or shared', `got ${show(mode)}`, 'pass LW_EXCLUSIVE or LW_SHARED');
  }
}

/** A lightweight lock as one participant sees it. Use it in the participant's thread. */
export class LWLock {
  readonly #participant: Participant;
  readonly #i32: Int32Array;
  readonly #word: number;
  readonly #ns: number;
  readonly #tranches: TrancheTable | undefined;

  /**
   * A handle of the lock at this place, which was initialised by {@link LWLock.initialize}; does not touch it.
   *
   * @param participant who acquires and releases through this object
   * @param memory the memory in which the lock lies
   * @param byteOffset its place there, a multiple of 4
   * @param tranches for the lock's name in errors
   * @throws ERR_HEAP_BAD_ARGUMENT
   */
  constructor(participant: Participant, memory: LockMemory, byteOffset: number, tranches?: TrancheTable) {
    if (!(participant instanceof Participant)) {
      throw bad('a lock needs a participant', `got ${typeof participant}`, 'make one with ParticipantTable.join()');
    }
    checkPlace(memory, byteOffset, LWLockStruct.SIZEOF, 4);
    this.#participant = participant;
    this.#i32 = memory.i32;
    this.#word = byteOffset / 4;
    this.#ns = memory.ns;
    this.#tranches = tranches;
  }

  /**
   * Makes a fresh lock of 16 bytes. Before others can see it; does not block. Follows LWLockInitialize.
   *
   * @param byteOffset its place in the memory, a multiple of 4
   * @param trancheId a built-in tranche or one from `tranches`
   * @throws ERR_HEAP_BAD_ARGUMENT for the place, ERR_HEAP_TRANCHE for an id that was not given out
   */
  static initialize(memory: LockMemory, byteOffset: number, trancheId: number, tranches: TrancheTable): void {
    checkPlace(memory, byteOffset, LWLockStruct.SIZEOF, 4);
    tranches.trancheName(trancheId);
    lwlockInitialize(memory.i32, byteOffset / 4, trancheId);
  }

  /** Name of the lock's tranche. @throws ERR_HEAP_TRANCHE when no table was given or the id is unknown */
  get tranche(): string {
    const id = lwlockTranche(this.#i32, this.#word);
    if (this.#tranches === undefined) throw new SharedHeapError('ERR_HEAP_TRANCHE', `no names known, tranche ${id}`);
    return this.#tranches.trancheName(id);
  }

  /**
   * Acquires the lock. Blocks, at most for the participant's `lockTimeout`. Follows LWLockAcquire.
   *
   * @returns true when the thread did not have to sleep
   * @throws ERR_HEAP_LOCK_STALLED (not released in time, or its holder is gone), ERR_HEAP_LOCK_SELF,
   *   ERR_HEAP_TOO_MANY_LOCKS, ERR_HEAP_POISONED, ERR_HEAP_WOULD_BLOCK, ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT (mode)
   */
  acquire(mode: LWLockMode = LW_EXCLUSIVE): boolean {
    checkMode(mode);
    const got = lwlockAcquire(this.#participant, this.#i32, this.#word, this.#ns, mode);
    if (got === LW_FAILED) throw this.#failure();
    return got === LW_ACQUIRED;
  }

  /**
   * Acquires the lock if that is possible at once. Does not block. Follows LWLockConditionalAcquire.
   *
   * @returns false when it is taken, also by this participant itself
   * @throws ERR_HEAP_TOO_MANY_LOCKS, ERR_HEAP_POISONED, ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT (mode)
   */
  conditionalAcquire(mode: LWLockMode = LW_EXCLUSIVE): boolean {
    checkMode(mode);
    const p = this.#participant;
    if (lwlockConditionalAcquire(p, this.#i32, this.#word, this.#ns, mode) !== LW_FAILED) return true;
    if (p.failure === FAIL_NONE || this.heldByMe()) return false;
    throw this.#failure();
  }

  /**
   * Acquires the lock if that is possible at once, else waits until it was freed and returns without it. Blocks like
   * {@link acquire}. Follows LWLockAcquireOrWait.
   *
   * @returns true when the lock is now held
   * @throws as {@link acquire}
   */
  acquireOrWait(mode: LWLockMode = LW_EXCLUSIVE): boolean {
    checkMode(mode);
    const got = lwlockAcquireOrWait(this.#participant, this.#i32, this.#word, this.#ns, mode);
    if (got === LW_FAILED) throw this.#failure();
    return got === LW_ACQUIRED;
  }

  /**
   * {@link acquire} without blocking; a pending one keeps the event loop alive. Tasks of one thread that want the same lock
   * wait for each other, first come, first served; those that want it shared hold it together. Follows LWLockAcquire.
   *
   * @param options `timeout` in milliseconds, by default the participant's `lockTimeout`, and `signal`
   * @returns (as a promise) true when the lock could be had at once; each task calls {@link release}
   * @throws (as a rejection) ERR_HEAP_LOCK_STALLED, ERR_HEAP_ABORTED, ERR_HEAP_TOO_MANY_LOCKS, ERR_HEAP_POISONED,
   *   ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT
   */
  async acquireAsync(mode: LWLockMode = LW_EXCLUSIVE, options?: AsyncWaitOptions): Promise<boolean> {
    checkMode(mode);
    const p = this.#participant;
    const { ms, signal } = checkAsyncWait(p, options);
    return lwlockAcquireAsync(p, this.#i32, this.#word, this.#ns, mode, ms, signal, this.#tranches);
  }

  /** Releases the lock. Does not block. Follows LWLockRelease. @throws ERR_HEAP_LOCK_NOT_HELD */
  release(): void {
    if (!lwlockReleaseTask(this.#participant, this.#i32, this.#word, this.#ns)) throw this.#notHeld();
  }

  /** Tells whether the participant holds the lock. Follows LWLockHeldByMe. */
  heldByMe(): boolean {
    return lwlockHeldByMe(this.#participant, this.#word, this.#ns);
  }

  /** Tells whether the participant holds the lock in this mode. Follows LWLockHeldByMeInMode. */
  heldByMeInMode(mode: LWLockMode): boolean {
    checkMode(mode);
    return lwlockHeldByMeInMode(this.#participant, this.#word, this.#ns, mode);
  }

  /**
   * Waits until nobody holds the lock exclusively or the variable differs from `old`. Blocks like {@link acquire}. Follows
   * LWLockWaitForVar.
   *
   * @param varOffset byte offset of the 64-bit variable in the lock's memory, a multiple of 8
   * @returns `free`, and the variable's value when it is not
   * @throws ERR_HEAP_LOCK_STALLED, ERR_HEAP_POISONED, ERR_HEAP_WOULD_BLOCK, ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT
   */
  waitForVar(varOffset: number, old: bigint): { free: boolean; value: bigint } {
    const vars = this.#variable(varOffset, old);
    const p = this.#participant;
    const found = lwlockWaitForVar(p, this.#i32, this.#word, this.#ns, vars, 0, BigInt.asIntN(64, old));
    if (found === LW_FAILED) throw this.#failure();
    return found === LW_CHANGED ? { free: false, value: p.varValue } : { free: true, value: old };
  }

  /**
   * Sets the variable and wakes those who wait for it; the lock stays held. Does not block. Follows LWLockUpdateVar.
   *
   * @throws ERR_HEAP_LOCK_NOT_HELD unless held exclusively, ERR_HEAP_BAD_ARGUMENT
   */
  updateVar(varOffset: number, value: bigint): void {
    const vars = this.#variable(varOffset, value);
    if (!this.heldByMeInMode(LW_EXCLUSIVE)) throw this.#notHeld();
    lwlockUpdateVar(this.#participant, this.#i32, this.#word, this.#ns, vars, 0, value);
  }

  /** Sets the variable and releases the lock. Follows LWLockReleaseClearVar. @throws as {@link updateVar} */
  releaseClearVar(varOffset: number, value: bigint): void {
    const vars = this.#variable(varOffset, value);
    if (!this.heldByMeInMode(LW_EXCLUSIVE)) throw this.#notHeld();
    lwlockReleaseClearVar(this.#participant, this.#i32, this.#word, this.#ns, vars, 0, value);
  }

  /** Marks what the lock protects as damaged: nobody gets it any more. Does not block. */
  poison(): void {
    lwlockPoison(this.#participant, this.#i32, this.#word, this.#ns);
  }

  /** Tells whether the lock was poisoned. */
  get poisoned(): boolean {
    return lwlockIsPoisoned(this.#i32, this.#word);
  }

  #variable(varOffset: number, value: unknown): BigInt64Array {
    if (typeof value !== 'bigint') throw bad('the variable of a lock is a bigint', `got ${typeof value}`);
    checkPlace({ i32: this.#i32, ns: this.#ns }, varOffset, 8, 8);
    if (this.#participant.closed) throw new SharedHeapError('ERR_HEAP_CLOSED', 'the participant has left');
    return new BigInt64Array(this.#i32.buffer, this.#i32.byteOffset + varOffset, 1);
  }

  #failure(): SharedHeapError {
    return lwlockFailure(this.#participant, this.#i32, this.#word, this.#ns, this.#tranches);
  }

  #notHeld(): SharedHeapError {
    return new SharedHeapError('ERR_HEAP_LOCK_NOT_HELD', 'the participant does not hold this lock', {
      detail: `participant ${this.#participant.slot}, lock at byte ${this.#word * 4} of memory ${this.#ns}`,
      hint: 'acquire it first, exclusively for changes of its variable',
      pgMessage: 'lock is not held',
    });
  }
}
