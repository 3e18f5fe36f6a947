/**
 * The atomic operations of the engine, under one name that tests can exchange.
 *
 * Stands on nothing. All code imports them from `#atomic`, which package.json maps to this file, or to
 * `atomic.explore.ts` under `--conditions explore`; no other file names `Atomics`. These are plain aliases: V8 turns
 * every `Atomics` call into a builtin call anyway, and an alias costs nothing on top. Every operation is sequentially
 * consistent. Indexes count elements of the array, not bytes. A bad index throws RangeError: callers validate first.
 */

/** What the two array kinds share: reading one element. */
export interface AtomicLoad {
  (array: Int32Array, index: number): number;
  (array: BigInt64Array, index: number): bigint;
}

/** One element and one value in, one value out. */
export interface AtomicUpdate {
  (array: Int32Array, index: number, value: number): number;
  (array: BigInt64Array, index: number, value: bigint): bigint;
}

/** Compare and exchange: the value found is returned, so equality with `expected` means that it was exchanged. */
export interface AtomicCompareExchange {
  (array: Int32Array, index: number, expected: number, replacement: number): number;
  (array: BigInt64Array, index: number, expected: bigint, replacement: bigint): bigint;
}

/** Outcome of {@link wait}. */
export type WaitResult = 'ok' | 'not-equal' | 'timed-out';

/** Parks the thread; `timeout` in milliseconds, for ever when left out. */
export interface AtomicWait {
  (array: Int32Array, index: number, value: number, timeout?: number): WaitResult;
  (array: BigInt64Array, index: number, value: bigint, timeout?: number): WaitResult;
}

/** Outcome of {@link waitAsync}: at once, or as a promise. */
export type WaitAsyncResult =
  | { readonly async: false; readonly value: 'not-equal' | 'timed-out' }
  | { readonly async: true; readonly value: Promise<'ok' | 'timed-out'> };

/** Waits without parking the thread; `timeout` in milliseconds, for ever when left out. */
export interface AtomicWaitAsync {
  (array: Int32Array, index: number, value: number, timeout?: number): WaitAsyncResult;
  (array: BigInt64Array, index: number, value: bigint, timeout?: number): WaitAsyncResult;
}

/** Wakes up to `count` waiters, all when left out; returns how many were woken. */
export interface AtomicNotify {
  (array: Int32Array, index: number, count?: number): number;
  (array: BigInt64Array, index: number, count?: number): number;
}

/** Reads an element. Any thread; does not block. */
export const load: AtomicLoad = Atomics.load;
/** Writes an element and returns what was written. Any thread; does not block. */
export const store: AtomicUpdate = Atomics.store;
/** Adds, wrapping around, and returns the old value. Any thread; does not block. */
export const add: AtomicUpdate = Atomics.add;
/** Subtracts, wrapping around, and returns the old value. Any thread; does not block. */
export const sub: AtomicUpdate = Atomics.sub;
/** Bitwise and; returns the old value. Any thread; does not block. */
export const and: AtomicUpdate = Atomics.and;
/** Bitwise or; returns the old value. Any thread; does not block. */
export const or: AtomicUpdate = Atomics.or;
/** Writes an element and returns the old value. Any thread; does not block. */
export const exchange: AtomicUpdate = Atomics.exchange;
/** Writes `replacement` if the element equals `expected`; returns what was found. Any thread; does not block. */
export const compareExchange: AtomicCompareExchange = Atomics.compareExchange;
/**
 * Parks the thread until it is notified, the time is over or the element differs from `value` at the start.
 * Blocks; throws TypeError where the engine forbids blocking (the main thread of a browser).
 */
export const wait: AtomicWait = Atomics.wait;
/** As {@link wait} without blocking; undefined in engines that do not have it (Firefox before 145). */
export const waitAsync: AtomicWaitAsync | undefined = Atomics.waitAsync;
/** Wakes waiters of an element. Any thread; does not block; costs 25-34 ns even when nobody waits. */
export const notify: AtomicNotify = Atomics.notify;
/** Tells whether operations on elements of `bytes` bytes are free of locks; 4 always is. */
export const isLockFree: (bytes: number) => boolean = Atomics.isLockFree;
