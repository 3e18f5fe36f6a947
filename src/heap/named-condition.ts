/**
 * Conditions that all threads know by name: `heap.condition(name)`. Sleeping until another thread has changed something.
 *
 * Stands on ConditionVariable, which lies in a named block. What is added: waiting under a named lock, which is given back
 * for the time of the sleep. The lock is released after the preparation to sleep, so a change made under it, and the
 * signal for that, cannot fall in between. A thread that dies asleep is noticed by the next signal.
 */

import { SharedHeapError } from '../errors/errors.js';
import { now } from '../platform/platform.js';
import {
  type AsyncWaitOptions,
  checkAsyncWait,
  checkWait,
  ConditionVariable,
  conditionVariableInit,
  ConditionVariableStruct,
  type Participant,
  type WaitOptions,
} from '../sync/sync.js';
import { aboutNamed, type SyncHome } from './named-block.js';
import { NamedLock } from './named-lock.js';
import { show } from './sizes.js';

/** Bounds of a wait that blocks, and the lock under which the condition is tested. */
export interface ConditionWaitOptions extends WaitOptions {
  /**
   * Held by the caller; given back during each sleep, held again whenever the condition is tested and afterwards, also when
   * the wait ends with an error (but ERR_HEAP_LOCK_STALLED).
   */
  readonly lock?: NamedLock | undefined;
}

/** The same for a wait that does not block. */
export interface AsyncConditionWaitOptions extends AsyncWaitOptions {
  /** See {@link ConditionWaitOptions.lock}. */
  readonly lock?: NamedLock | undefined;
}

/** Takes the lock out of the options, checked. */
function splitLock<O extends ConditionWaitOptions>(options: O | undefined): { lock?: NamedLock; rest: O | undefined } {
  if (typeof options !== 'object' || options === null || !('lock' in options)) return { rest: options };
  const { lock, ...rest } = options;
  if (lock === undefined) return { rest: rest as O };
  if (!(lock instanceof NamedLock)) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'option lock is not a lock', {
      detail: `got ${show(lock)}`,
      hint: 'give what heap.lock(name) returned',
    });
  }
  if (!lock.held) {
    throw new SharedHeapError('ERR_HEAP_LOCK_NOT_HELD', `lock ${show(lock.name)}: this thread does not hold it`, {
      hint: 'acquire it before waiting under it',
    });
  }
  return { lock, rest: rest as O };
}

function checkTest(test: unknown): void {
  if (typeof test === 'function') return;
  throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'the condition is not a function', {
    detail: `got ${show(test)}`,
    hint: 'give a function that tells whether to go on',
  });
}

/** A condition that all threads of a heap know by its name. Made by `heap.condition(name)`; each thread has its own object. */
export class NamedCondition extends ConditionVariable {
  /** The name that threads find it by. */
  readonly name: string;
  readonly #participant: Participant;

  /** Only for {@link openCondition}. @internal */
  constructor(participant: Participant, memory: { i32: Int32Array; ns: number }, byteOffset: number, name: string) {
    super(participant, memory, byteOffset);
    this.name = name;
    this.#participant = participant;
  }

  /**
   * Sleeps until `test` gives true. Blocks. Whoever makes it true calls {@link signal} or {@link broadcast} afterwards.
   *
   * @param test called in this thread, first at once; what it throws ends the wait
   * @param options `timeout` in milliseconds for the whole wait, by default the heap's `lockTimeout`; `lock`
   * @throws ERR_HEAP_TIMEOUT, ERR_HEAP_WOULD_BLOCK (this thread must not be parked), ERR_HEAP_LOCK_NOT_HELD,
   *   ERR_HEAP_LOCK_STALLED (the lock could not be had again; it is not held then), ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT
   */
  override waitFor(test: () => boolean, options?: ConditionWaitOptions): void {
    try {
      checkTest(test);
      const { lock, rest } = splitLock(options);
      if (lock === undefined) super.waitFor(test, rest);
      else this.#waitUnder(lock, test, checkWait(this.#participant, rest, true).ms);
    } catch (error) {
      throw aboutNamed(error, 'condition', this.name);
    }
  }

  #waitUnder(lock: NamedLock, test: () => boolean, ms: number): void {
    const end = now() + ms;
    let over = false;
    this.prepareToSleep();
    try {
      while (!test()) {
        if (over) throw this.#late(ms);
        const mode = lock.pause();
        over = this.timedSleep(Math.max(0, end - now()));
        lock.resume(mode);
      }
    } finally {
      this.cancelSleep();
    }
  }

  /**
   * {@link waitFor} without blocking; keeps the event loop alive.
   *
   * @param test may give a promise
   * @param options `timeout`, `lock`, and `signal` to end the wait
   * @throws (as a rejection) as {@link waitFor}, ERR_HEAP_ABORTED, ERR_HEAP_UNSUPPORTED
   */
  override async waitForAsync(
    test: () => boolean | Promise<boolean>,
    options?: AsyncConditionWaitOptions,
  ): Promise<void> {
    try {
      checkTest(test);
      const { lock, rest } = splitLock(options);
      if (lock === undefined) await super.waitForAsync(test, rest);
      else await this.#waitUnderAsync(lock, test, rest);
    } catch (error) {
      throw aboutNamed(error, 'condition', this.name);
    }
  }

  async #waitUnderAsync(
    lock: NamedLock,
    test: () => boolean | Promise<boolean>,
    options: AsyncWaitOptions | undefined,
  ): Promise<void> {
    const { ms, signal } = checkAsyncWait(this.#participant, options);
    const end = now() + ms;
    const wait = this.prepareAsync();
    let over = false;
    while (!(await test())) {
      if (over) throw this.#late(ms);
      const mode = lock.pause();
      let failure: unknown;
      try {
        over = await wait.timedSleep(Math.max(0, end - now()), signal);
      } catch (error) {
        failure = error;
      }
      await lock.resumeAsync(mode);
      if (failure !== undefined) throw failure;
    }
  }

  #late(ms: number): SharedHeapError {
    const canBlock = this.#participant.canBlock;
    return new SharedHeapError(canBlock ? 'ERR_HEAP_TIMEOUT' : 'ERR_HEAP_WOULD_BLOCK', 'it did not come true in time', {
      detail: `waited ${ms} ms`,
      hint: canBlock ? 'give a longer timeout; without one it is lockTimeout' : 'use waitForAsync() in this thread',
    });
  }

  /** The heap object is closed: waits end. @internal */
  heapClosed(): void {
    this.#participant.endWaits();
  }
}

/**
 * The condition of this name, made if nobody has made it yet.
 *
 * @throws what finding or making the block throws. May block there.
 */
export function openCondition({ blocks, participant }: SyncHome, name: string): NamedCondition {
  const block = blocks.block(name, 'condition', ConditionVariableStruct.SIZEOF, ({ i32, word }) =>
    conditionVariableInit(i32, word),
  );
  return new NamedCondition(participant, block, block.word * 4, name);
}
