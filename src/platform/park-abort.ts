/**
 * Waiting on a word without parking, until a signal says to stop: `parkAsync` with an AbortSignal.
 *
 * Stands on park.ts; no lock. The engine has no way to take a waiter back. One that was given up stays listed until its
 * time is over, and may get a wake-up that was meant for another: it passes it on. So callers wait in slices of bounded
 * length, look again after each, and whatever is lost by a death in between is found a slice later.
 */

import { SharedHeapError } from '../errors/errors.js';
import { parkAsync, type ParkResult, unpark } from './park.js';

/**
 * Ends a call whose signal was aborted.
 *
 * @throws ERR_HEAP_ABORTED with the signal's reason as its `cause`. Any thread; does not block.
 */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new SharedHeapError('ERR_HEAP_ABORTED', 'the wait was aborted', {
    detail: 'its AbortSignal says so; see cause for the reason',
    cause: signal.reason,
  });
}

/**
 * Waits while `a[i]` is `expected`; the event loop goes on and is kept alive. Any thread.
 *
 * @param i index of the word in elements
 * @param expected value that the caller saw; another value ends the wait at once
 * @param timeoutMs milliseconds
 * @param signal ends the wait early; the caller looks at `signal.aborted` afterwards
 * @returns how it ended, 'timed-out' also when the signal ended it
 * @throws ERR_HEAP_UNSUPPORTED (as a rejection) where the engine has no `Atomics.waitAsync`
 */
export async function parkUntilAborted(
  a: Int32Array,
  i: number,
  expected: number,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<ParkResult> {
  if (signal === undefined) return parkAsync(a, i, expected, timeoutMs);
  if (signal.aborted) return 'timed-out';
  return new Promise((resolve, reject) => {
    const stop = () => resolve('timed-out');
    signal.addEventListener('abort', stop, { once: true });
    parkAsync(a, i, expected, timeoutMs).then((result) => {
      signal.removeEventListener('abort', stop);
      if (signal.aborted && result === 'ok') unpark(a, i, 1);
      resolve(result);
    }, reject);
  });
}
