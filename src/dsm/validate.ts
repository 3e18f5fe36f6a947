/**
 * Checks at the edge of the dsm layer: options, sizes and handles of a cluster. Nothing is touched before they pass.
 */

import { type ErrorCode, SharedHeapError, show } from '../errors/errors.js';
import { ld64 } from '../layout/layout.js';
import { SlotArray } from './control.js';
import {
  ClusterControl,
  CONTROL_MAGIC,
  CONTROL_VERSION,
  controlLayoutHash,
  MAX_CLUSTER_PARTICIPANTS,
  MAX_SLOTS,
  TRANCHES_AT,
} from './control-layout.js';
import { controlGeometry } from './geometry.js';
import { PAGE_SIZE, PAGE_WORDS } from './impl.js';

/** Longest time that can be asked for, in milliseconds: timers have 31 bits. */
export const MAX_TIMEOUT = 2 ** 31 - 1;

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
      detail: `got ${show(value)}, want a whole number from ${min} to ${max}`,
    });
  }
  return value;
}

/**
 * An object with options.
 *
 * @throws ERR_HEAP_BAD_OPTION when it is something else
 */
export function requireObject(options: unknown): void {
  if (typeof options !== 'object' || options === null) {
    throw new SharedHeapError('ERR_HEAP_BAD_OPTION', 'the options are not an object', {
      detail: `got ${options === null ? 'null' : typeof options}`,
    });
  }
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
  if (own('store') !== 'region' && own('store') !== 'buffers') badHandle(`store ${show(own('store'))}`);
  if (!(own('control') instanceof SharedArrayBuffer)) badHandle('its control memory is not a SharedArrayBuffer');
  const segments = own('segments');
  if (!Array.isArray(segments)) badHandle('its list of segments is not an array');
  // By index, not by an array method: those pass over holes.
  for (let i = 0; i < segments.length; i++) if (!isPair(segments[i])) badHandle(`segment ${i} is malformed`);
  for (const key of ['attachTimeout', 'lockTimeout'] as const) {
    const ms = own(key);
    if (!Number.isInteger(ms) || (ms as number) < 0 || (ms as number) > MAX_TIMEOUT) {
      badHandle(`${key} is not a number of milliseconds`);
    }
  }
  return value as DsmClusterHandle;
}

function isPair(pair: unknown): boolean {
  if (!Array.isArray(pair)) return false;
  const handle: unknown = pair[0];
  return (
    Number.isInteger(handle) &&
    (handle as number) > 0 &&
    (handle as number) <= 0xffffffff &&
    pair[1] instanceof SharedArrayBuffer
  );
}

/**
 * Checks control memory before anything in it is believed. PostgreSQL's dsm_control_segment_sane checks magic, sizes and
 * counts; here every frozen field is compared with what the creator must have written.
 *
 * @throws ERR_HEAP_BAD_HANDLE when it is not sane control memory, ERR_HEAP_VERSION when another version laid it out
 */
export function requireSaneControl(memory: SharedArrayBuffer, store: 'region' | 'buffers'): void {
  if (memory.byteLength < PAGE_SIZE) badHandle(`${memory.byteLength} bytes of control memory`);
  const head = new Int32Array(memory, 0, PAGE_WORDS);
  if (head[0] !== CONTROL_MAGIC) badHandle(`${memory.byteLength} bytes without the mark of a control segment`);
  const version = head[ClusterControl.version / 4]!;
  const hash = head[ClusterControl.layout_hash / 4]! >>> 0;
  if (version !== CONTROL_VERSION || hash !== controlLayoutHash()) {
    throw new SharedHeapError('ERR_HEAP_VERSION', 'the cluster was laid out by another version of this library', {
      detail: `layout ${version}/${hash.toString(16)}, here ${CONTROL_VERSION}/${controlLayoutHash().toString(16)}`,
      hint: 'Let all threads load the same copy of sharedheap.',
    });
  }
  const kind = head[ClusterControl.store / 4]!;
  if (kind !== (store === 'region' ? 0 : 1)) badHandle(`geometry: store ${kind} under a handle for ${store}`);
  requireSaneSizes(head, memory.byteLength, requireSaneCounts(head, memory), store);
}

/** Checks the counts and offsets; returns the bytes of the control segment. */
function requireSaneCounts(head: Int32Array, memory: SharedArrayBuffer): number {
  const word = (field: number): number => head[field / 4]! >>> 0;
  const participants = word(ClusterControl.participants);
  if (participants < 1 || participants > MAX_CLUSTER_PARTICIPANTS) badHandle(`geometry: ${participants} participants`);
  const { participantsAt, dsmAt, controlBytes: least } = controlGeometry(participants, 1);
  const offsets = [word(ClusterControl.tranches_at), word(ClusterControl.participants_at), word(ClusterControl.dsm_at)];
  if (
    offsets[0] !== TRANCHES_AT ||
    offsets[1] !== participantsAt ||
    offsets[2] !== dsmAt ||
    least > memory.byteLength
  ) {
    badHandle(`geometry: offsets ${offsets.join(', ')} for ${participants} participants in ${memory.byteLength} bytes`);
  }
  const slots = new SlotArray(new Int32Array(memory, 0, least / 4), dsmAt);
  const { maxitems } = slots;
  const plausible = maxitems >= 1 && maxitems <= MAX_SLOTS;
  const controlBytes = plausible ? controlGeometry(participants, maxitems).controlBytes : 0;
  if (!plausible || controlBytes > memory.byteLength || !slots.sane(controlBytes - dsmAt)) {
    badHandle(`geometry: ${slots.nitems} of ${maxitems} slots in ${memory.byteLength} bytes`);
  }
  return controlBytes;
}

function requireSaneSizes(
  head: Int32Array,
  byteLength: number,
  controlBytes: number,
  store: 'region' | 'buffers',
): void {
  const total = ld64(head, ClusterControl.total_bytes / 4);
  const wanted = ld64(head, ClusterControl.wanted_bytes / 4);
  const fresh = head[ClusterControl.fresh_page / 4]!;
  // On `buffers` the control segment is all there is, and no page of it is ever handed out.
  const most = store === 'region' ? byteLength : controlBytes;
  const sane =
    ld64(head, ClusterControl.control_bytes / 4) === controlBytes &&
    total === byteLength &&
    wanted >= total &&
    (store === 'region' ? wanted % PAGE_SIZE === 0 && Number.isSafeInteger(wanted) : wanted === total) &&
    fresh >= controlBytes / PAGE_SIZE &&
    fresh <= most / PAGE_SIZE;
  if (!sane) {
    badHandle(
      `geometry: control ${controlBytes} of ${total} bytes, ${wanted} wanted, in ${byteLength}; fresh page ${fresh}`,
    );
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
      hint: 'Ask for less, or for several segments.',
    });
  }
  return n;
}
