/**
 * Sleeping on a word without blocking the thread: what the asynchronous forms of condition variable and barrier do.
 *
 * Stands on `parkAsync`, which keeps the event loop alive while it waits. Each sleeper is a waiter of its own for the
 * engine, so one `notify` wakes one of them, whichever thread it belongs to, and a thread can have any number. Nothing
 * is locked, nothing shared is written.
 *
 * The engine cannot take an asynchronous waiter back. So one that was aborted stays parked until its slice is over; when it
 * is woken meanwhile, it passes the wake-up on, and changes nothing else: to the others it is as if it had never been
 * there. A thread that dies takes its waiters along; one whose event loop is kept busy passes nothing on, so the others
 * look for themselves after each slice.
 */

import { load } from '#atomic';
import { SharedHeapError } from '../errors/errors.js';
import { now, parkAsync, unpark } from '../platform/platform.js';
import type { LocalWaits, Participant } from './participant.js';

/** Sleepers of one thread that share a slice's worth of looking around; with more of them, each looks less often. */
const SLEEPERS_PER_SLICE = 16;
/**
 * Longest slice in milliseconds, with however many sleepers. Lower: a thread with thousands of them does little but look
 * around; higher: an aborted one keeps the process alive that long.
 */
const LONGEST_SLICE_MS = 1000;

/** The error for a wait that its AbortSignal ended. The reason is its `cause`. */
export function aborted(signal: AbortSignal): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_ABORTED', 'the wait was aborted', {
    detail: 'its AbortSignal says so; see cause for the reason',
    cause: signal.reason,
  });
}

/** The error for whoever waits, or wants to, through a participant that has left. */
export function participantLeft(): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_CLOSED', 'the participant has left', { hint: 'attach again' });
}

/** The asynchronous sleepers of one participant. */
class WordWaits implements LocalWaits {
  readonly #participant: Participant;
  /** For each sleeper, what ends its wait with an error. */
  readonly #pending = new Set<(error: SharedHeapError) => void>();

  constructor(participant: Participant) {
    this.#participant = participant;
  }

  /** See {@link sleepAsync}. */
  sleep(a: Int32Array, w: number, seen: number, ms: number, signal: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const end = now() + ms;
      let over = false;
      const settle = (act: () => void): void => {
        if (over) return;
        over = true;
        this.#pending.delete(fail);
        signal?.removeEventListener('abort', onAbort);
        act();
      };
      const fail = (error: unknown): void => settle(() => reject(error));
      const onAbort = (): void => fail(aborted(signal!));
      const look = (): void => {
        const left = end - now();
        if (load(a, w) !== seen) settle(() => resolve(true));
        else if (left <= 0) settle(() => resolve(false));
        else parkAsync(a, w, seen, Math.min(left, this.#slice())).then(woken, fail);
      };
      const woken = (result: string): void => {
        if (!over) look();
        else if (result === 'ok') unpark(a, w, 1);
      };
      this.#pending.add(fail);
      signal?.addEventListener('abort', onAbort);
      look();
    });
  }

  end(): void {
    for (const fail of this.#pending) fail(participantLeft());
  }

  #slice(): number {
    const share = Math.ceil(this.#pending.size / SLEEPERS_PER_SLICE);
    return Math.min(this.#participant.sliceMs * share, LONGEST_SLICE_MS);
  }
}

/**
 * Sleeps while the word at `w` is `seen`, at most `ms` milliseconds. The thread of `p`; does not block; keeps the event loop
 * alive.
 *
 * @returns whether the word has changed; false: the time was over
 * @throws (as a rejection) ERR_HEAP_ABORTED, ERR_HEAP_CLOSED when `p` has left or leaves, ERR_HEAP_UNSUPPORTED
 */
export async function sleepAsync(
  p: Participant,
  a: Int32Array,
  w: number,
  seen: number,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (p.closed) throw participantLeft();
  if (signal?.aborted === true) throw aborted(signal);
  if (load(a, w) !== seen) return true;
  const waits = (p.wordWaits ??= new WordWaits(p)) as WordWaits;
  return waits.sleep(a, w, seen, ms, signal);
}
