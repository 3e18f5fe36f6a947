/**
 * sharedheap: one heap for all worker threads. This is the friendly front; the layers below it, in PostgreSQL's words,
 * are exported by `sharedheap/core`. Re-exports only.
 */

export { ERROR_CODES, type ErrorCode, type ErrorFields, isSharedHeapError, SharedHeapError } from './errors/errors.js';
export * from './heap/heap.js';
