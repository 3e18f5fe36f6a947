/**
 * Barriers that all threads know by name: `heap.barrier(name, parties)`.
 *
 * Stands on Barrier, which lies in a named block; adds the name, and that all threads mean the same number of parties.
 * Who is a party is the callers' knowledge: one that ends without leaving is waited for until the others' time is over.
 */

import { SharedHeapError } from '../errors/errors.js';
import {
  Barrier,
  BARRIER_MAX_PARTIES,
  barrierInit,
  BarrierStruct,
  type Participant,
  type WaitOptions,
  type AsyncWaitOptions,
} from '../sync/sync.js';
import { aboutNamed, type SyncHome } from './named-block.js';
import { show } from './sizes.js';

/** A barrier that all threads of a heap know by its name. Made by `heap.barrier(...)`; each thread has its own object. */
export class NamedBarrier extends Barrier {
  /** The name that threads find it by. */
  readonly name: string;
  /** Its parties for good, or 0: they come and go by `attach` and `detach`. */
  readonly parties: number;
  readonly #participant: Participant;

  /** Only for {@link openBarrier}. @internal */
  constructor(
    participant: Participant,
    memory: { i32: Int32Array; ns: number },
    byteOffset: number,
    name: string,
    parties: number,
  ) {
    super(participant, memory, byteOffset);
    this.name = name;
    this.parties = parties;
    this.#participant = participant;
  }

  /** See {@link Barrier.arriveAndWait}. */
  override arriveAndWait(options?: WaitOptions): boolean {
    return this.#named(() => super.arriveAndWait(options));
  }

  /** See {@link Barrier.arriveAndWaitAsync}. */
  override async arriveAndWaitAsync(options?: AsyncWaitOptions): Promise<boolean> {
    try {
      return await super.arriveAndWaitAsync(options);
    } catch (error) {
      throw aboutNamed(error, 'barrier', this.name);
    }
  }

  /** See {@link Barrier.attach}. */
  override attach(): number {
    return this.#named(() => super.attach());
  }

  /** See {@link Barrier.detach}. */
  override detach(): boolean {
    return this.#named(() => super.detach());
  }

  /** See {@link Barrier.arriveAndDetach}. */
  override arriveAndDetach(): boolean {
    return this.#named(() => super.arriveAndDetach());
  }

  /** See {@link Barrier.arriveAndDetachExceptLast}. */
  override arriveAndDetachExceptLast(): boolean {
    return this.#named(() => super.arriveAndDetachExceptLast());
  }

  /** The heap object is closed: waits end, and their arrivals are taken back. Parties stay parties. @internal */
  heapClosed(): void {
    this.#participant.endWaits();
  }

  #named<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw aboutNamed(error, 'barrier', this.name);
    }
  }
}

/**
 * Checks a number of parties, 0 for those that come and go. Does not block.
 *
 * @throws ERR_HEAP_BAD_ARGUMENT
 */
export function checkParties(parties: unknown): asserts parties is number {
  if (typeof parties === 'number' && Number.isInteger(parties) && parties >= 0 && parties <= BARRIER_MAX_PARTIES)
    return;
  throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'the number of parties is not acceptable', {
    detail: `got ${show(parties)}`,
    hint: `a whole number up to ${BARRIER_MAX_PARTIES}; 0, or nothing, for parties that attach and detach`,
  });
}

/**
 * Refuses a barrier that is there with another number of parties. Does not block.
 *
 * @throws ERR_HEAP_BAD_OPTION
 */
export function requireParties(known: NamedBarrier, parties: number): void {
  if (known.parties === parties) return;
  const count = (n: number): string => (n === 0 ? 'parties that come and go' : `${n} parties`);
  throw new SharedHeapError('ERR_HEAP_BAD_OPTION', `barrier ${show(known.name)} has other parties`, {
    detail: `it has ${count(known.parties)}, asked for were ${count(parties)}`,
    hint: 'Give the same number in every thread.',
  });
}

/**
 * The barrier of this name, made if nobody has made it yet.
 *
 * @param parties so many for good; 0 for parties that come and go
 * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_BAD_OPTION (it is there with other parties), and what finding or making the
 *   block throws. May block there.
 */
export function openBarrier({ blocks, participant }: SyncHome, name: string, parties: number): NamedBarrier {
  checkParties(parties);
  const block = blocks.block(name, 'barrier', BarrierStruct.SIZEOF, ({ i32, word }) => barrierInit(i32, word, parties));
  const there = new Barrier(participant, block, block.word * 4);
  const known = there.isStatic ? there.participants : 0;
  const barrier = new NamedBarrier(participant, block, block.word * 4, name, known);
  requireParties(barrier, parties);
  return barrier;
}
