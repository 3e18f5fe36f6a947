/**
 * Waiting for somebody else to finish with a name.
 *
 * One counter in the cluster control stands for all names: it is bumped whenever a claim is settled, and whoever waits
 * looks again at what it wants. Initialisations are rare and short, so waking a few threads too many costs less than a
 * futex per name. No lock is held while waiting. A waiter also looks again after each slice: the claimant may be gone, and
 * may need a buffer of the waiter's.
 */

import { add, load } from '#atomic';
import { type Dsm, REGISTRY_ROOT } from '../dsm/dsm.js';
import { SharedHeapError } from '../errors/errors.js';
import { now, park, unpark } from '../platform/platform.js';

/**
 * Longest sleep in ms before a waiter looks again. Lower: idle waiters wake more often; higher: a claimant that was
 * killed, or waits for a buffer, is noticed later.
 */
const SLICE_MS = 20;

/** One wait of one participant, from the first sleep to the end. */
export class Wait {
  readonly #dsm: Dsm;
  readonly #what: string;
  /** When the first sleep began; NaN before, since asking a thread's clock for the first time takes it 0.5 ms. */
  #begun = Number.NaN;
  #seen = 0;

  /** @param what is waited for, for the error */
  constructor(dsm: Dsm, what: string) {
    this.#dsm = dsm;
    this.#what = what;
  }

  /** To be called before looking at a claim: what is settled after it ends the next {@link sleep} at once. */
  look(): void {
    this.#seen = load(this.#dsm.control, REGISTRY_ROOT.changes);
  }

  /**
   * Sleeps until some claim was settled since {@link look}, or for a slice.
   *
   * @param owner slot of the claimant, for the error
   * @throws ERR_HEAP_LOCK_STALLED when `lockTimeout` is over; ERR_HEAP_WOULD_BLOCK in its place where this thread must
   *   not be parked and has polled for that long
   */
  sleep(owner: number): void {
    const { control, participant } = this.#dsm;
    if (Number.isNaN(this.#begun)) this.#begun = now();
    const left = this.#begun + participant.lockTimeout - now();
    if (left <= 0) throw this.#stalled(owner);
    participant.attend?.();
    if (!participant.canBlock) return;
    add(control, REGISTRY_ROOT.waiters, 1);
    park(control, REGISTRY_ROOT.changes, this.#seen, Math.min(left, SLICE_MS));
    add(control, REGISTRY_ROOT.waiters, -1);
  }

  #stalled(owner: number): SharedHeapError {
    const { canBlock, lockTimeout, slot } = this.#dsm.participant;
    return new SharedHeapError(
      canBlock ? 'ERR_HEAP_LOCK_STALLED' : 'ERR_HEAP_WOULD_BLOCK',
      `${this.#what} was not made in time`,
      {
        detail: `participant ${owner} is making it, participant ${slot} waited ${lockTimeout} ms`,
        hint: 'Keep what init does short, look for a thread that hangs in it, or raise `lockTimeout`.',
      },
    );
  }
}

/** Tells everybody who waits that a claim was settled. After the lock was released; wakes only when somebody waits. */
export function announce({ control }: Dsm): void {
  add(control, REGISTRY_ROOT.changes, 1);
  if (load(control, REGISTRY_ROOT.waiters) !== 0) unpark(control, REGISTRY_ROOT.changes);
}
