/**
 * The public face of a condition variable: an object that checks what it is given and throws what went wrong.
 *
 * Stands on the functions of condition-variable.ts and adds nothing to the protocol. Two objects over the same place are
 * the same condition variable.
 */

import { load } from '#atomic';
import { SharedHeapError } from '../errors/errors.js';
import { now } from '../platform/platform.js';
import { participantLeft, sleepAsync } from './async-sleep.js';
import {
  conditionVariableArrive,
  conditionVariableBroadcast,
  conditionVariableCancelSleep,
  conditionVariableInit,
  conditionVariablePrepareToSleep,
  conditionVariableSignal,
  conditionVariableTimedSleep,
} from './condition-variable.js';
import { ConditionVariableStruct, CV_SEQUENCE, CV_TIMED_OUT } from './condition-variable-layout.js';
import { Participant } from './participant.js';
import { bad, checkPlace, type LockMemory } from './place.js';
import { type AsyncWaitOptions, checkAsyncWait, checkMs, checkWait, type WaitOptions } from './wait-options.js';

/** The error for a wait on a condition that did not come true in time. */
function notInTime(p: Participant, ms: number): SharedHeapError {
  if (!p.canBlock) {
    return new SharedHeapError('ERR_HEAP_WOULD_BLOCK', 'no signal came in time, and this thread must not be parked', {
      detail: `polled for ${ms} ms`,
      hint: 'use the asynchronous form, or work in a worker thread',
    });
  }
  return timedOut(ms);
}

function timedOut(ms: number): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_TIMEOUT', 'no signal came in time', {
    detail: `waited ${ms} ms`,
    hint: 'give a longer timeout; without one it is lockTimeout',
  });
}

/**
 * One asynchronous wait: prepared, so that no signal is missed from now on. A participant may have any number of them.
 * Nothing shared belongs to it, so it may also simply be dropped.
 */
export class PreparedWait {
  readonly #participant: Participant;
  readonly #i32: Int32Array;
  readonly #word: number;
  #seen: number;

  /** Only for {@link ConditionVariable.prepareAsync}. */
  constructor(participant: Participant, i32: Int32Array, word: number) {
    this.#participant = participant;
    this.#i32 = i32;
    this.#word = word;
    this.#seen = conditionVariableArrive(i32, word);
  }

  /** Tells whether there was a signal since this was prepared, or since the last sleep ended by one. Does not block. */
  get signalled(): boolean {
    return load(this.#i32, this.#word + CV_SEQUENCE) !== this.#seen;
  }

  /**
   * Sleeps until a signal, without blocking the thread; keeps the event loop alive. Prepared again afterwards. One sleep
   * at a time.
   *
   * @throws (as a rejection) ERR_HEAP_TIMEOUT, ERR_HEAP_ABORTED, ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_UNSUPPORTED
   */
  async sleep(options?: AsyncWaitOptions): Promise<void> {
    const { ms, signal } = checkAsyncWait(this.#participant, options);
    if (await this.#sleepFor(ms, signal)) return;
    throw timedOut(ms);
  }

  /**
   * {@link sleep} for at most `ms` milliseconds.
   *
   * @returns (as a promise) true when the time was over, false after a signal
   * @throws (as a rejection) as {@link sleep}, but for the time
   */
  async timedSleep(ms: number, signal?: AbortSignal): Promise<boolean> {
    checkMs(ms);
    const checked = checkAsyncWait(this.#participant, { timeout: ms, signal });
    return !(await this.#sleepFor(checked.ms, checked.signal));
  }

  async #sleepFor(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
    const word = this.#word + CV_SEQUENCE;
    if (!(await sleepAsync(this.#participant, this.#i32, word, this.#seen, ms, signal))) return false;
    this.#seen = conditionVariableArrive(this.#i32, this.#word);
    return true;
  }
}

function checkTest(test: unknown): void {
  if (typeof test === 'function') return;
  throw bad('the condition is not a function', `got ${typeof test}`, 'give a function that tells whether to go on');
}

/** A condition variable as one participant sees it. Use it in the participant's thread. */
export class ConditionVariable {
  readonly #participant: Participant;
  readonly #i32: Int32Array;
  readonly #word: number;

  /**
   * A handle of the condition variable at this place; does not touch it. 12 bytes of zeros are a fresh one.
   *
   * @param participant who sleeps through this object
   * @param memory the memory it lies in
   * @param byteOffset its place there, a multiple of 4
   * @throws ERR_HEAP_BAD_ARGUMENT
   */
  constructor(participant: Participant, memory: LockMemory, byteOffset: number) {
    if (!(participant instanceof Participant)) {
      throw bad('a condition variable needs a participant', `got ${typeof participant}`);
    }
    checkPlace(memory, byteOffset, ConditionVariableStruct.SIZEOF, 4);
    this.#participant = participant;
    this.#i32 = memory.i32;
    this.#word = byteOffset / 4;
  }

  /** Makes a fresh one. Before others can see it. Follows ConditionVariableInit. @throws ERR_HEAP_BAD_ARGUMENT */
  static initialize(memory: LockMemory, byteOffset: number): void {
    checkPlace(memory, byteOffset, ConditionVariableStruct.SIZEOF, 4);
    conditionVariableInit(memory.i32, byteOffset / 4);
  }

  /**
   * Prepares the participant to sleep: no later signal is missed. Test the condition, then {@link sleep} or
   * {@link cancelSleep}. Cancels what it was prepared for before. Does not block. Follows ConditionVariablePrepareToSleep.
   *
   * @throws ERR_HEAP_CLOSED
   */
  prepareToSleep(): void {
    this.#open();
    conditionVariablePrepareToSleep(this.#participant, this.#i32, this.#word);
  }

  /**
   * Sleeps until a signal, at most for the participant's `lockTimeout`; returns at once when not prepared, so that the
   * caller tests first. May return without a reason: always test in a loop. Blocks. Follows ConditionVariableSleep.
   *
   * @throws ERR_HEAP_TIMEOUT, ERR_HEAP_WOULD_BLOCK (the same where the thread must not be parked), ERR_HEAP_CLOSED
   */
  sleep(): void {
    const ms = this.#participant.lockTimeout;
    if (this.timedSleep(ms)) throw notInTime(this.#participant, ms);
  }

  /**
   * {@link sleep} for at most `ms` milliseconds, 0 or more; Infinity sleeps as long as it takes. Follows
   * ConditionVariableTimedSleep.
   *
   * @returns true when the time was over; still prepared then
   * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_CLOSED
   */
  timedSleep(ms: number): boolean {
    checkMs(ms);
    this.#open();
    return conditionVariableTimedSleep(this.#participant, this.#i32, this.#word, ms) === CV_TIMED_OUT;
  }

  /**
   * Ends what {@link prepareToSleep} began, for whichever condition variable. Does not block. Follows
   * ConditionVariableCancelSleep.
   *
   * @returns whether there was a signal meanwhile; who does not use it signals again
   */
  cancelSleep(): boolean {
    return conditionVariableCancelSleep(this.#participant);
  }

  /** Makes one sleeper look again. Any time, any thread's; does not block. Follows ConditionVariableSignal. */
  signal(): void {
    conditionVariableSignal(this.#i32, this.#word);
  }

  /** Makes all sleepers look again. Does not block. Follows ConditionVariableBroadcast. */
  broadcast(): void {
    conditionVariableBroadcast(this.#i32, this.#word);
  }

  /**
   * Sleeps until `test` gives true: prepare, test, sleep, in a loop. Blocks.
   *
   * @param test called in this thread, first at once; what it throws ends the wait
   * @param options `timeout` in milliseconds for the whole wait, by default `lockTimeout`
   * @throws ERR_HEAP_TIMEOUT, ERR_HEAP_WOULD_BLOCK, ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT
   */
  waitFor(test: () => boolean, options?: WaitOptions): void {
    checkTest(test);
    this.#open();
    const p = this.#participant;
    const { ms } = checkWait(p, options, true);
    const end = now() + ms;
    conditionVariablePrepareToSleep(p, this.#i32, this.#word);
    try {
      while (!test()) {
        const left = Math.max(0, end - now());
        const slept = conditionVariableTimedSleep(p, this.#i32, this.#word, left);
        if (slept === CV_TIMED_OUT && !test()) throw notInTime(p, ms);
        if (slept === CV_TIMED_OUT) return;
        this.#open();
      }
    } finally {
      conditionVariableCancelSleep(p);
    }
  }

  /**
   * {@link waitFor} without blocking; keeps the event loop alive.
   *
   * @param test may give a promise
   * @param options `timeout` and `signal`
   * @throws (as a rejection) ERR_HEAP_TIMEOUT, ERR_HEAP_ABORTED, ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_UNSUPPORTED
   */
  async waitForAsync(test: () => boolean | Promise<boolean>, options?: AsyncWaitOptions): Promise<void> {
    checkTest(test);
    const { ms, signal } = checkAsyncWait(this.#participant, options);
    const end = now() + ms;
    const wait = this.prepareAsync();
    while (!(await test())) {
      const over = await wait.timedSleep(Math.max(0, end - now()), signal);
      if (!over) continue;
      if (await test()) return;
      throw timedOut(ms);
    }
  }

  /** Prepares an asynchronous wait, of which there may be any number. Does not block. @throws ERR_HEAP_CLOSED */
  prepareAsync(): PreparedWait {
    this.#open();
    return new PreparedWait(this.#participant, this.#i32, this.#word);
  }

  #open(): void {
    if (this.#participant.closed) throw participantLeft();
  }
}
