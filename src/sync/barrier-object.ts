/**
 * The public face of a barrier: an object that checks what it is given and throws what went wrong.
 *
 * Stands on the functions of barrier.ts and adds nothing to the protocol. Two objects over the same place are the same
 * barrier. Who is a party is the callers' knowledge: PostgreSQL's, and this one's, barrier counts heads.
 */

import { SharedHeapError } from '../errors/errors.js';
import { participantLeft } from './async-sleep.js';
import {
  barrierArriveAndDetach,
  barrierArriveAndDetachExceptLast,
  barrierArriveAndWait,
  barrierArriveAndWaitAsync,
  barrierAttach,
  barrierDetach,
  barrierInit,
  barrierIsStatic,
  barrierParticipants,
  barrierPhase,
} from './barrier.js';
import {
  BARRIER_CHOSEN,
  BARRIER_MAX_PARTIES,
  BARRIER_REFUSED,
  BARRIER_TIMED_OUT,
  BarrierStruct,
} from './barrier-layout.js';
import { Participant } from './participant.js';
import { bad, checkPlace, type LockMemory } from './place.js';
import { type AsyncWaitOptions, checkAsyncWait, checkWait, type WaitOptions } from './wait-options.js';

/** A barrier as one participant sees it. Use it in the participant's thread. */
export class Barrier {
  readonly #participant: Participant;
  readonly #i32: Int32Array;
  readonly #word: number;

  /**
   * A handle of the barrier at this place, which was initialised by {@link Barrier.initialize}; does not touch it.
   *
   * @param participant who waits through this object
   * @param memory the memory it lies in
   * @param byteOffset its place there, a multiple of 4
   * @throws ERR_HEAP_BAD_ARGUMENT
   */
  constructor(participant: Participant, memory: LockMemory, byteOffset: number) {
    if (!(participant instanceof Participant)) throw bad('a barrier needs a participant', `got ${typeof participant}`);
    checkPlace(memory, byteOffset, BarrierStruct.SIZEOF, 4);
    this.#participant = participant;
    this.#i32 = memory.i32;
    this.#word = byteOffset / 4;
  }

  /**
   * Makes a fresh barrier of 36 bytes, in phase 0. Before others can see it. Follows BarrierInit.
   *
   * @param parties 1 .. 16383: so many, for good; 0: parties come and go by {@link attach} and {@link detach}
   * @throws ERR_HEAP_BAD_ARGUMENT
   */
  static initialize(memory: LockMemory, byteOffset: number, parties: number): void {
    checkPlace(memory, byteOffset, BarrierStruct.SIZEOF, 4);
    if (typeof parties !== 'number' || !Number.isInteger(parties) || parties < 0 || parties > BARRIER_MAX_PARTIES) {
      const got = typeof parties === 'number' ? parties : typeof parties;
      throw bad(
        'the number of parties is not acceptable',
        `got ${got}`,
        `0 for a dynamic barrier, else 1 .. ${BARRIER_MAX_PARTIES}`,
      );
    }
    barrierInit(memory.i32, byteOffset / 4, parties);
  }

  /**
   * Arrives and waits for the others. The caller is a party. Blocks, by default at most for the participant's
   * `lockTimeout`. Cancels a prepared sleep of the participant. Follows BarrierArriveAndWait.
   *
   * @param options `timeout` in milliseconds
   * @returns true for exactly one party of each phase: the elected one
   * @throws ERR_HEAP_TIMEOUT (or ERR_HEAP_WOULD_BLOCK where the thread must not be parked): the arrival is taken back;
   *   ERR_HEAP_BARRIER: nobody is attached; ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT
   */
  arriveAndWait(options?: WaitOptions): boolean {
    const p = this.#participant;
    const { ms } = checkWait(p, options, true);
    if (p.closed) throw participantLeft();
    return this.#passed(barrierArriveAndWait(p, this.#i32, this.#word, ms), ms, p.canBlock);
  }

  /**
   * {@link arriveAndWait} without blocking; keeps the event loop alive. One thread may have many parties that wait so.
   *
   * @param options `timeout` and `signal`
   * @throws (as a rejection; the arrival is taken back) as {@link arriveAndWait}, ERR_HEAP_ABORTED, ERR_HEAP_UNSUPPORTED
   */
  async arriveAndWaitAsync(options?: AsyncWaitOptions): Promise<boolean> {
    const { ms, signal } = checkAsyncWait(this.#participant, options);
    const result = await barrierArriveAndWaitAsync(this.#participant, this.#i32, this.#word, ms, signal);
    return this.#passed(result, ms, true);
  }

  /**
   * Becomes a party. Does not block. Follows BarrierAttach.
   *
   * @returns the phase that is under way, which now waits for the caller
   * @throws ERR_HEAP_BARRIER: static, or full; ERR_HEAP_CLOSED
   */
  attach(): number {
    this.#open();
    if (!barrierAttach(this.#i32, this.#word)) throw this.#refused('attach to');
    return barrierPhase(this.#i32, this.#word);
  }

  /**
   * Is no party any more. Does not block. Follows BarrierDetach.
   *
   * @returns true when nobody is left
   * @throws ERR_HEAP_BARRIER: static, or nobody is attached
   */
  detach(): boolean {
    return this.#left(barrierDetach(this.#i32, this.#word));
  }

  /** Arrives, and is no party any more. Follows BarrierArriveAndDetach. Else as {@link detach}. */
  arriveAndDetach(): boolean {
    return this.#left(barrierArriveAndDetach(this.#i32, this.#word));
  }

  /**
   * Arrives and is no party any more, unless it is the only one: then the phase ends and the caller stays a party.
   * Does not block. Follows BarrierArriveAndDetachExceptLast.
   *
   * @returns true for the one that stays
   * @throws ERR_HEAP_BARRIER: static, or nobody is attached
   */
  arriveAndDetachExceptLast(): boolean {
    return this.#left(barrierArriveAndDetachExceptLast(this.#i32, this.#word));
  }

  /** Phase under way: a signed 32-bit number from 0, wraps. Exact for a party. Follows BarrierPhase. */
  get phase(): number {
    return barrierPhase(this.#i32, this.#word);
  }

  /** Number of parties at this moment. Follows BarrierParticipants. */
  get participants(): number {
    return barrierParticipants(this.#i32, this.#word);
  }

  /** Whether the parties were fixed at the start. */
  get isStatic(): boolean {
    return barrierIsStatic(this.#i32, this.#word);
  }

  #passed(result: number, ms: number, canBlock: boolean): boolean {
    if (result === BARRIER_REFUSED) throw this.#refused('wait at');
    if (result !== BARRIER_TIMED_OUT) return result === BARRIER_CHOSEN;
    throw new SharedHeapError(
      canBlock ? 'ERR_HEAP_TIMEOUT' : 'ERR_HEAP_WOULD_BLOCK',
      'not all parties arrived in time',
      {
        detail: `waited ${ms} ms; ${this.participants} parties, phase ${this.phase}`,
        hint: canBlock
          ? 'look for a party that has ended or failed'
          : 'use the asynchronous form, or work in a worker thread',
      },
    );
  }

  #left(result: number): boolean {
    if (result === BARRIER_REFUSED) throw this.#refused('leave');
    return result === BARRIER_CHOSEN;
  }

  #refused(what: string): SharedHeapError {
    return new SharedHeapError('ERR_HEAP_BARRIER', `cannot ${what} this barrier`, {
      detail: `${this.isStatic ? 'static' : 'dynamic'}, ${this.participants} parties of at most ${BARRIER_MAX_PARTIES}`,
      hint: this.isStatic ? 'its parties are fixed: make it with 0 parties' : 'attach first',
    });
  }

  #open(): void {
    if (this.#participant.closed) throw participantLeft();
  }
}
