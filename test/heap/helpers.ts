/** Shared by the tests of the front: what code a call throws, and what a heap looks like from outside. */

import { type ErrorCode, isSharedHeapError } from '../../dist/errors/errors.js';
import type { SharedHeap } from '../../dist/heap/heap.js';

export const STORES = ['region', 'buffers'] as const;

/** Code of the error that `action` throws; 'nothing' when it returns. Anything else but our own error is passed on. */
export function codeOf(action: () => unknown): ErrorCode | 'nothing' {
  try {
    action();
  } catch (error) {
    if (isSharedHeapError(error)) return error.code;
    throw error;
  }
  return 'nothing';
}

/** Message, detail and hint of the error that `action` throws, in one line. */
export function textOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return String(error);
  }
  return 'nothing';
}

/** Everything that a failed call must leave as it was: the shared structures and the bytes of the given objects. */
export function snapshot(heap: SharedHeap, pointers: readonly number[]): string {
  const bytes = pointers.map((p) => Array.from(heap.bytes(p as never)).join(' '));
  return [heap.dump(), JSON.stringify(heap.stats()), ...bytes].join('\n');
}

/** Ends a test with a heap whose structures are in order. */
export function closeSound(heap: SharedHeap): void {
  const { findings } = heap.verify();
  heap.close();
  if (findings.length > 0) throw new Error(`the heap is damaged: ${JSON.stringify(findings)}`);
}
