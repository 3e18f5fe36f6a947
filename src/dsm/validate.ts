/**
 * Checks at the edge of the dsm layer: options, sizes and handles of a cluster. Nothing is touched before they pass.
 */

import { type ErrorCode, SharedHeapError } from '../errors/errors.js';
import { ClusterControl, CONTROL_MAGIC, CONTROL_VERSION, controlLayoutHash } from './control-layout.js';
import { PAGE_SIZE } from './impl.js';

/** What travels between threads to name a cluster. Structured-cloneable; holds the memory itself. */
export interface DsmClusterHandle {
  readonly v: 1;
  readonly kind: 'sharedheap.dsm';
  readonly store: 'region' | 'buffers';
  /** The reservation (`region`) or the control memory (`buffers`). */
  readonly control: SharedArrayBuffer;
  /** Buffers known to the giver when the handle was read; empty on `region`. */
  readonly segments: readonly (readonly [handle: number, buffer: SharedArrayBuffer])[];
  /** Milliseconds to wait for a buffer that nobody has handed over yet. */
  readonly attachTimeout: number;
  /** Milliseconds to wait for a lock before ERR_HEAP_LOCK_STALLED. */
  readonly lockTimeout: number;
}

function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value as number);
}

/**
 * A whole number within limits, or an error that says which.
 *
 * @throws the given code when `value` is not a number, not whole, or outside [min, max]
 */
export function requireInteger(
  value: unknown,
  min: number,
  max: number,
  name: string,
  code: ErrorCode = 'ERR_HEAP_BAD_ARGUMENT',
): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new SharedHeapError(code, `${name} is not acceptable`, {
      detail: `got ${typeof value === 'number' || typeof value === 'string' ? show(value) : typeof value}, want a whole number from ${min} to ${max}`,
    });
  }
  return value;
}

function badHandle(detail: string): never {
  throw new SharedHeapError('ERR_HEAP_BAD_HANDLE', 'this is not a handle of a shared memory cluster', {
    detail,
    hint: 'Pass the `handle` of the object that created or joined it, unchanged, through workerData or postMessage.',
  });
}

/**
 * Checks a handle as it came from another thread.
 *
 * @throws ERR_HEAP_BAD_HANDLE
 */
export function requireClusterHandle(value: unknown): DsmClusterHandle {
  if (typeof value !== 'object' || value === null) badHandle(`got ${value === null ? 'null' : typeof value}`);
  const handle = value as Partial<Record<keyof DsmClusterHandle, unknown>>;
  const own = (key: keyof DsmClusterHandle): unknown => (Object.hasOwn(handle, key) ? handle[key] : undefined);
  if (own('kind') !== 'sharedheap.dsm' || own('v') !== 1) badHandle('its kind or version is another one');
  if (own('store') !== 'region' && own('store') !== 'buffers') badHandle(`store ${String(own('store'))}`);
  if (!(own('control') instanceof SharedArrayBuffer)) badHandle('its control memory is not a SharedArrayBuffer');
  const segments = own('segments');
  const isPair = (pair: unknown): boolean =>
    Array.isArray(pair) &&
    Number.isInteger(pair[0]) &&
    pair[0] > 0 &&
    pair[0] <= 0xffffffff &&
    pair[1] instanceof SharedArrayBuffer;
  if (!Array.isArray(segments) || !segments.every(isPair)) badHandle('its list of segments is malformed');
  for (const key of ['attachTimeout', 'lockTimeout'] as const) {
    const ms = own(key);
    if (typeof ms !== 'number' || !(ms >= 0)) badHandle(`${key} is not a number of milliseconds`);
  }
  return value as DsmClusterHandle;
}

/**
 * Checks control memory before anything in it is believed (PostgreSQL's dsm_control_segment_sane and more).
 *
 * @throws ERR_HEAP_BAD_HANDLE when it is not control memory, ERR_HEAP_VERSION when another version laid it out
 */
export function requireSaneControl(words: Int32Array, byteLength: number, store: 'region' | 'buffers'): void {
  if (byteLength < PAGE_SIZE || words[0] !== CONTROL_MAGIC) {
    badHandle(`${byteLength} bytes without the mark of a control segment`);
  }
  const version = words[ClusterControl.version / 4]!;
  const hash = words[ClusterControl.layout_hash / 4]! >>> 0;
  if (version !== CONTROL_VERSION || hash !== controlLayoutHash()) {
    throw new SharedHeapError('ERR_HEAP_VERSION', 'the cluster was laid out by another version of this library', {
      detail: `layout ${version}/${hash.toString(16)}, here ${CONTROL_VERSION}/${controlLayoutHash().toString(16)}`,
      hint: 'Let all threads load the same copy of sharedheap.',
    });
  }
  const controlBytes = words[ClusterControl.control_bytes / 4]! >>> 0;
  const kind = words[ClusterControl.store / 4] === 0 ? 'region' : 'buffers';
  if (controlBytes > byteLength || controlBytes % PAGE_SIZE !== 0 || kind !== store) {
    badHandle(`geometry: control ${controlBytes} of ${byteLength} bytes, store ${kind}`);
  }
  for (const at of [ClusterControl.tranches_at, ClusterControl.participants_at, ClusterControl.dsm_at]) {
    const offset = words[at / 4]! >>> 0;
    if (offset % 4 !== 0 || offset < PAGE_SIZE || offset >= controlBytes) badHandle(`geometry: offset ${offset}`);
  }
}

/** Largest segment: what a dsa_pointer can address, and more than any engine grants. */
const MAX_SEGMENT_BYTES = 2 ** 40;

/**
 * A segment size.
 *
 * @param size bytes, number or bigint
 * @returns the size as a number
 * @throws ERR_HEAP_BAD_SIZE
 */
export function requireSegmentSize(size: unknown): number {
  const n = typeof size === 'bigint' ? Number(size) : size;
  if (typeof n !== 'number' || !Number.isSafeInteger(n) || n < 1 || n > MAX_SEGMENT_BYTES) {
    throw new SharedHeapError('ERR_HEAP_BAD_SIZE', 'invalid segment size', {
      detail: `got ${typeof size === 'number' || typeof size === 'bigint' ? size : typeof size}, want 1 to ${MAX_SEGMENT_BYTES} bytes`,
    });
  }
  return n;
}
