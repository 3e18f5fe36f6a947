/**
 * Being told when a thread ends, so that what it left in the heap can be taken back.
 *
 * A worker that is recycled, aborted or crashes leaves its participant slot and its references behind. On Linux any
 * participant can see for itself that the thread is gone; elsewhere nobody can, except the thread that made the worker,
 * which hears an 'exit' event. This file listens for that event. It knows nothing of heaps: it calls back with the
 * thread's number. No locks here; listeners never keep the process alive.
 *
 * A piscina pool makes and ends workers as it likes. Its `threads` are the workers of this moment, so they are looked
 * over now and again whenever one may have been added: at the pool's `workerCreate` event, which comes when a worker is
 * ready, and at the process's `worker` event, which comes for those too that end before they are ready.
 */

import { SharedHeapError } from '../errors/errors.js';
import { show } from './sizes.js';

type Listener = (...args: never[]) => void;

interface Emitter {
  on(event: string, listener: Listener): unknown;
  off(event: string, listener: Listener): unknown;
}

/** A `Worker` of `node:worker_threads`, as far as it matters here. */
export interface WatchableWorker {
  readonly threadId: number;
  on(event: 'exit', listener: (exitCode: number) => void): unknown;
  off(event: 'exit', listener: (exitCode: number) => void): unknown;
}

/** A piscina pool, as far as it matters here. */
export interface WatchablePool {
  readonly threads: readonly WatchableWorker[];
  on(event: 'workerCreate', listener: () => void): unknown;
  off(event: 'workerCreate', listener: () => void): unknown;
}

/** What `heap.watch` accepts. */
export type Watchable = WatchableWorker | WatchablePool;

/** Thread number of a worker that has ended already. */
const ENDED = -1;

function isEmitter(value: object): value is Emitter {
  const { on, off } = value as Partial<Emitter>;
  return typeof on === 'function' && typeof off === 'function';
}

function processEmitter(): Emitter | null {
  const host = (globalThis as { process?: object }).process;
  return host !== undefined && isEmitter(host) ? host : null;
}

function refuse(target: unknown): never {
  if (
    typeof target === 'object' &&
    target !== null &&
    typeof (target as { postMessage?: unknown }).postMessage === 'function'
  ) {
    throw new SharedHeapError('ERR_HEAP_UNSUPPORTED', 'this kind of worker does not tell when it ends', {
      hint: 'Web Workers have no exit event: let the worker call heap.close() before it ends.',
    });
  }
  throw new SharedHeapError(
    'ERR_HEAP_BAD_ARGUMENT',
    'only a Worker of node:worker_threads or a piscina pool can be watched',
    {
      detail: `got ${show(target)}`,
    },
  );
}

/**
 * Calls back once for every thread of a worker or pool that ends.
 *
 * @param target a Worker of `node:worker_threads`, or a pool with `threads` and a 'workerCreate' event (piscina)
 * @param onExit receives the thread's number; must not throw
 * @returns a function that stops listening; calling it again does nothing
 * @throws ERR_HEAP_UNSUPPORTED for a worker without exit event, ERR_HEAP_BAD_ARGUMENT for anything else and for a
 *   worker that has ended already. Thread: the one that owns the worker. Does not block.
 */
export function watchThreads(target: unknown, onExit: (threadId: number) => void): () => void {
  if (typeof target !== 'object' || target === null || !isEmitter(target)) refuse(target);
  const { threadId, threads } = target as Partial<WatchableWorker & WatchablePool>;
  if (typeof threadId === 'number') return watchWorker(target as unknown as WatchableWorker, onExit);
  if (Array.isArray(threads)) return watchPool(target as unknown as WatchablePool, onExit);
  return refuse(target);
}

function watchWorker(worker: WatchableWorker, onExit: (threadId: number) => void): () => void {
  // Read now: at the time of the event the worker has no number any more.
  const { threadId } = worker;
  if (threadId === ENDED) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'the worker has ended already', {
      hint: 'Call heap.watch(worker) right after new Worker(...).',
    });
  }
  const ended = () => {
    worker.off('exit', ended);
    onExit(threadId);
  };
  worker.on('exit', ended);
  return () => {
    worker.off('exit', ended);
  };
}

function watchPool(pool: WatchablePool, onExit: (threadId: number) => void): () => void {
  const stops = new Map<WatchableWorker, () => void>();
  const lookOver = () => {
    for (const worker of pool.threads) {
      if (stops.has(worker) || worker.threadId === ENDED) continue;
      const stop = watchWorker(worker, (threadId) => {
        stops.delete(worker);
        onExit(threadId);
      });
      stops.set(worker, stop);
    }
  };
  const host = processEmitter();
  lookOver();
  pool.on('workerCreate', lookOver);
  host?.on('worker', lookOver);
  return () => {
    pool.off('workerCreate', lookOver);
    host?.off('worker', lookOver);
    for (const stop of stops.values()) stop();
    stops.clear();
  };
}
