/**
 * The atomic operations with a step in front of each, for tests that walk through interleavings.
 *
 * Stands on `atomic.ts`, whose names and types it repeats. package.json maps `#atomic` to this file under
 * `--conditions explore`, never in production. The hook runs before the operation, in the thread that asked for it:
 * it may run code of another participant there (a nested interleaving), count steps, or throw, and then the
 * operation does not happen (a death at this point). One hook a thread. The hook's own atomic operations call
 * the hook again; a hook that must not be re-entered guards itself.
 */

import * as plain from './atomic.js';

export type * from './atomic.js';

/** Names of the operations, as the hook sees them. */
export type AtomicOp =
  | 'load'
  | 'store'
  | 'add'
  | 'sub'
  | 'and'
  | 'or'
  | 'exchange'
  | 'compareExchange'
  | 'wait'
  | 'waitAsync'
  | 'notify';

/**
 * Called before an operation takes place.
 *
 * @param op the operation
 * @param array the view it works on
 * @param index the element, counted in elements of `array`
 */
export type StepHook = (op: AtomicOp, array: Int32Array | BigInt64Array, index: number) => void;

let before: StepHook | null = null;

/**
 * Installs the hook of this thread.
 *
 * @param hook called before every operation; null switches it off
 * @returns the hook that was installed until now, or null
 */
export function setHook(hook: StepHook | null): StepHook | null {
  const old = before;
  before = hook;
  return old;
}

type AnyOperation = (array: never, index: number, ...rest: never[]) => unknown;

/** `operation` with the hook in front. The arguments pass through untouched, so the type stays what it was. */
function stepped<F extends AnyOperation>(op: AtomicOp, operation: F): F {
  const run = operation as unknown as (array: Int32Array, index: number, ...rest: unknown[]) => unknown;
  const wrapper = (array: Int32Array, index: number, ...rest: unknown[]): unknown => {
    if (before !== null) before(op, array, index);
    return run(array, index, ...rest);
  };
  return wrapper as unknown as F;
}

/** See `atomic.ts`; so for all below. */
export const load: plain.AtomicLoad = stepped('load', plain.load);
export const store: plain.AtomicUpdate = stepped('store', plain.store);
export const add: plain.AtomicUpdate = stepped('add', plain.add);
export const sub: plain.AtomicUpdate = stepped('sub', plain.sub);
export const and: plain.AtomicUpdate = stepped('and', plain.and);
export const or: plain.AtomicUpdate = stepped('or', plain.or);
export const exchange: plain.AtomicUpdate = stepped('exchange', plain.exchange);
export const compareExchange: plain.AtomicCompareExchange = stepped('compareExchange', plain.compareExchange);
export const wait: plain.AtomicWait = stepped('wait', plain.wait);
export const waitAsync: plain.AtomicWaitAsync | undefined =
  plain.waitAsync === undefined ? undefined : stepped('waitAsync', plain.waitAsync);
export const notify: plain.AtomicNotify = stepped('notify', plain.notify);
export const isLockFree: (bytes: number) => boolean = plain.isLockFree;
