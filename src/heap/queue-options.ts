/**
 * What `heap.queue`, `send` and `receive` take: checked completely before anything is done.
 *
 * Stands on sizes and the error class; touches no shared memory.
 */

import { SharedHeapError } from '../errors/errors.js';
import { nearest } from './nearest.js';
import { checkNames } from './options.js';
import { type CodecName, CODECS, type QueueCodec } from './queue-codec.js';
import { MAX_CODEC_NAME } from './queue-layout.js';
import { parseSize, type Size, show } from './sizes.js';

/** Options of `heap.queue`. Whoever makes the queue decides; who finds it may leave them out, or give the same. */
export interface QueueOptions<T = unknown> {
  /**
   * Bytes that messages in the queue may take, each with 8 bytes more than its own, rounded up to a multiple of 8. 256
   * bytes to 1 GiB, rounded up to a power of two; also text such as `'1MiB'`. Default 256 KiB. A message cannot be longer
   * than this, less 8.
   */
  readonly capacity?: Size | undefined;
  /** How values become bytes: `'json'` (default), `'bytes'`, `'string'`, `'clone'`, or a codec of your own. */
  readonly codec?: CodecName | QueueCodec<T> | undefined;
}

/** How long a call may wait. */
export interface QueueWaitOptions {
  /** Milliseconds, 0 or more. Default Infinity: until it is done or the queue is closed. */
  readonly timeout?: number | undefined;
}

/** The same for asynchronous forms. */
export interface QueueAsyncOptions extends QueueWaitOptions {
  /** Ends the wait: the promise is rejected with ERR_HEAP_ABORTED, whose `cause` is the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const LEAST_CAPACITY = 256;
const MOST_CAPACITY = 2 ** 30;
/** Lower: producers wait for consumers that are late by a moment; higher: the ring leaves the processor's caches. */
export const DEFAULT_CAPACITY = 256 * 1024;

const QUEUE_NAMES = ['capacity', 'codec'] as const;
const WAIT_NAMES = ['timeout'] as const;
const ASYNC_NAMES = ['timeout', 'signal'] as const;

function bad(name: string, detail: string, hint: string): never {
  throw new SharedHeapError('ERR_HEAP_BAD_OPTION', `option ${name} is not acceptable`, { detail, hint });
}

/** Options as they were given, checked. */
export interface CheckedQueueOptions {
  /** A power of two. */
  readonly capacity: number | undefined;
  readonly codec: CodecName | QueueCodec<unknown> | undefined;
}

/**
 * Checks options of a queue.
 *
 * @throws ERR_HEAP_BAD_OPTION. Any thread; does not block.
 */
export function checkQueueOptions(options: unknown): CheckedQueueOptions {
  const given = checkNames(options, QUEUE_NAMES);
  return {
    capacity: given['capacity'] === undefined ? undefined : checkCapacity(given['capacity']),
    codec: given['codec'] === undefined ? undefined : checkCodec(given['codec']),
  };
}

function checkCapacity(value: unknown): number {
  const bytes = parseSize(value, 'option capacity', 'ERR_HEAP_BAD_OPTION', LEAST_CAPACITY);
  if (bytes > MOST_CAPACITY) bad('capacity', `${bytes} bytes`, 'A queue has at most 1 GiB.');
  return 2 ** Math.ceil(Math.log2(bytes));
}

function checkCodec(value: unknown): CodecName | QueueCodec<unknown> {
  if (typeof value === 'string') {
    const known = CODECS.find((name) => name === value);
    if (known !== undefined) return known;
    bad(
      'codec',
      `got ${show(value)}`,
      `Did you mean '${nearest(value, CODECS) ?? 'json'}'? Known: ${CODECS.join(', ')}.`,
    );
  }
  const { name, encode, decode } = (typeof value === 'object' && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  if (typeof name !== 'string' || typeof encode !== 'function' || typeof decode !== 'function') {
    bad('codec', `got ${show(value)}`, `Give one of ${CODECS.join(', ')}, or { name, encode, decode }.`);
  }
  const bytes = new TextEncoder().encode(name).length;
  if (bytes < 1 || bytes > MAX_CODEC_NAME) {
    bad('codec', `its name has ${bytes} bytes`, `Names have 1 to ${MAX_CODEC_NAME} bytes of UTF-8.`);
  }
  if ((CODECS as readonly string[]).includes(name) || name.includes('\0')) {
    bad('codec', `its name is ${show(name)}`, 'Choose a name that is not that of a built-in codec.');
  }
  return value as QueueCodec<unknown>;
}

/** Checked timeout in milliseconds. */
function timeoutOf(value: unknown): number {
  if (value === undefined) return Number.POSITIVE_INFINITY;
  if (typeof value !== 'number' || !(value >= 0)) {
    bad('timeout', `got ${show(value)}`, 'Give milliseconds, 0 or more; Infinity for no limit.');
  }
  return value;
}

/**
 * Checks options of a wait that blocks.
 *
 * @returns milliseconds
 * @throws ERR_HEAP_BAD_OPTION. Any thread; does not block.
 */
export function checkWaitOptions(options: unknown): number {
  return options === undefined ? Number.POSITIVE_INFINITY : timeoutOf(checkNames(options, WAIT_NAMES)['timeout']);
}

/** {@link checkWaitOptions} for a wait that does not block. */
export function checkAsyncOptions(options: unknown): { timeout: number; signal: AbortSignal | undefined } {
  const { timeout, signal } = checkNames(options, ASYNC_NAMES);
  if (signal !== undefined && typeof (signal as Partial<AbortSignal> | null)?.addEventListener !== 'function') {
    bad('signal', `got ${show(signal)}`, 'Give an AbortSignal.');
  }
  return { timeout: timeoutOf(timeout), signal: signal as AbortSignal | undefined };
}

/**
 * Checks memory that a message is to be received into.
 *
 * @throws ERR_HEAP_BAD_ARGUMENT. Any thread; does not block.
 */
export function requireTarget(target: unknown): void {
  if (target instanceof Uint8Array) return;
  throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'target is not a Uint8Array', { detail: `got ${show(target)}` });
}
