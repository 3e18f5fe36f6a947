/**
 * Parking a thread on a word of shared memory until another thread wakes it: PostgreSQL's latch, on a futex.
 *
 * Stands on the atomic operations. No lock: the word itself is the agreement. A waiter says which value it saw; the
 * engine parks it only if the word still has that value, as one atomic step. So whoever changes the word first and
 * unparks afterwards can't lose a waiter. A thread can wake for no reason that it knows of (another use of the same
 * word): callers always look again.
 */

import { notify, wait, waitAsync } from '#atomic';
import { SharedHeapError } from '../errors/errors.js';
import { canBlock, now, runtimeName } from './host.js';

/** How a wait ended: woken, the word had another value at the start, or the time was over. */
export type ParkResult = 'ok' | 'not-equal' | 'timed-out';

/**
 * Timers take 31 bits of milliseconds. Lower: a waiting thread's event loop wakes for nothing; higher: the timer would
 * fire at once.
 */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * How long after the end of the time the own timer of {@link parkAsync} steps in for the engine's.
 * Lower: it may overtake an engine that is merely late, and leave a waiter behind; higher: a caller on an engine that
 * never ends such waits (Chrome bug 40742782) is that much late.
 */
const ASYNC_GRACE_MS = 20;

/**
 * Parks the calling thread while `a[i]` is `expected`. Blocks. Any thread that may block. Follows WaitLatch.
 *
 * @param i index of the word in elements
 * @param expected value that the caller saw; another value ends the call at once
 * @param timeoutMs milliseconds; `Infinity` waits for ever
 * @throws ERR_HEAP_WOULD_BLOCK in a thread that must not block (see `canBlock`)
 */
export function park(a: Int32Array, i: number, expected: number, timeoutMs: number): ParkResult {
  if (!canBlock()) {
    throw new SharedHeapError('ERR_HEAP_WOULD_BLOCK', 'this thread must not be parked', {
      detail: runtimeName(),
      hint: 'use the asynchronous form, or work in a worker thread',
    });
  }
  return wait(a, i, expected, timeoutMs);
}

/**
 * Wakes threads that are parked on `a[i]`. Any thread; does not block; 25-34 ns even when nobody waits.
 * Change the word before. Follows SetLatch.
 *
 * @param count how many at most, longest waiting first; all when left out
 * @returns how many were woken
 */
export function unpark(a: Int32Array, i: number, count: number = Infinity): number {
  return notify(a, i, count);
}

/**
 * {@link park} without blocking: the event loop goes on, and is kept alive until the wait ends (a pending
 * `Atomics.waitAsync` alone does not keep it). Any thread.
 *
 * @returns a promise of how the wait ended; it never rejects for a reason of its own
 * @throws ERR_HEAP_UNSUPPORTED (as a rejection) where the engine has no `Atomics.waitAsync`
 */
export async function parkAsync(a: Int32Array, i: number, expected: number, timeoutMs: number): Promise<ParkResult> {
  if (waitAsync === undefined) {
    throw new SharedHeapError('ERR_HEAP_UNSUPPORTED', 'this runtime has no Atomics.waitAsync', {
      detail: runtimeName(),
      hint: 'use a newer runtime, or wait in a worker thread',
    });
  }
  const pending = waitAsync(a, i, expected, timeoutMs);
  if (!pending.async) return pending.value;
  return new Promise((resolve) => {
    const end = now() + timeoutMs + ASYNC_GRACE_MS;
    let over = false;
    const onTimer = () => {
      if (now() < end) {
        timer = setTimeout(onTimer, Math.min(end - now(), LONGEST_TIMER_MS));
        return;
      }
      over = true;
      resolve('timed-out');
    };
    let timer = setTimeout(onTimer, Math.min(end - now(), LONGEST_TIMER_MS));
    pending.value.then((result) => {
      clearTimeout(timer);
      resolve(result);
      // We had given up, but the engine still counted us as a waiter and spent a wake-up on us: pass it on.
      if (over && result === 'ok') unpark(a, i, 1);
    });
  });
}
