/**
 * What travels between threads to name a heap, and how it is checked when it arrives.
 *
 * A handle is a plain object that the structured clone algorithm copies: it goes through `workerData`, `postMessage`
 * and a piscina task as it is. It holds the shared memory itself, so keeping one keeps the memory from being collected;
 * it is no attachment, so it does not keep the heap alive.
 */

import type { DsmClusterHandle } from '../dsm/dsm.js';
import { SharedHeapError } from '../errors/errors.js';
import { show } from './sizes.js';

/** Version of {@link HeapHandle}. */
export const HANDLE_VERSION = 1;
/** Kind of {@link HeapHandle}. */
export const HANDLE_KIND = 'sharedheap.heap';

/**
 * Names a heap in any thread: `SharedHeap.attach(handle)`. Structured-cloneable; its contents are the library's
 * business.
 */
export interface HeapHandle {
  /** Version of this record. */
  readonly v: typeof HANDLE_VERSION;
  /** What the record is. */
  readonly kind: typeof HANDLE_KIND;
  /** The memory and the buffers known when the handle was read. */
  readonly dsm: DsmClusterHandle;
  /** Segment that the heap begins in. */
  readonly area: number;
}

function foreign(detail: string): never {
  throw new SharedHeapError('ERR_HEAP_BAD_HANDLE', 'this is not a handle of a heap', {
    detail,
    hint: 'Pass `heap.handle` unchanged through workerData, postMessage or a task. JSON loses the memory in it.',
  });
}

/**
 * Checks a handle as it came from another thread; the part of the core is checked by the core.
 *
 * @throws ERR_HEAP_BAD_HANDLE for anything foreign, ERR_HEAP_VERSION for a handle of another version of this library.
 *   Any thread; does not block.
 */
export function requireHandle(value: unknown): HeapHandle {
  if (typeof value !== 'object' || value === null) foreign(`got ${show(value)}`);
  const own = (name: keyof HeapHandle): unknown =>
    Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  if (own('kind') !== HANDLE_KIND) foreign(`its kind is ${show(own('kind'))}`);
  if (own('v') !== HANDLE_VERSION) {
    throw new SharedHeapError('ERR_HEAP_VERSION', 'the handle was made by another version of this library', {
      detail: `version ${show(own('v'))}, here ${HANDLE_VERSION}`,
      hint: 'Let all threads load the same copy of sharedheap.',
    });
  }
  const area = own('area');
  if (typeof area !== 'number' || !Number.isInteger(area) || area < 1 || area > 0xffffffff) {
    foreign(`its area is ${show(area)}`);
  }
  if (typeof own('dsm') !== 'object' || own('dsm') === null) foreign(`its memory is ${show(own('dsm'))}`);
  return value as HeapHandle;
}
