/**
 * Tranches: names for groups of locks, so that an error or a report can say which lock it means.
 *
 * Stands on the control memory. Ids below FIRST_USER_TRANCHE are built in; the others are given out here, 256 at most,
 * never taken back, with their names in shared memory (PostgreSQL 19's form), so that every thread knows them at
 * once. No lock: an entry is claimed by counting up, filled in by the claimant alone, and published by one atomic
 * store of its `name_length`; nobody reads the rest of an entry before that, and nobody writes it afterwards. A
 * claimant that dies in between costs one entry, which stays without a name.
 *
 * A named tranche also brings its locks: `requestNamedLWLockTranche` initialises them in memory that the caller
 * provides, before the first participant joins; `getNamedLWLockTranche` finds them by name.
 */

import { compareExchange, load, store } from '#atomic';
import { SharedHeapError, show } from '../errors/errors.js';
import { array, i32, ld64, size, st64, struct, u32 } from '../layout/layout.js';
import { lwlockInitialize } from './lwlock.js';
import { LWLOCK_PADDED_BYTES, LWLockStruct } from './lwlock-layout.js';
import type { Peers } from './participant.js';

/** First id that can be given out. Ids below it are fixed in BUILTIN_TRANCHES. */
export const FIRST_USER_TRANCHE = 95;
/** Most tranches given out; PostgreSQL's MAX_NAMED_TRANCHES. Lower: extensions run out; higher: 84 bytes each. */
export const MAX_USER_TRANCHES = 256;
/** Most bytes of a name in UTF-8: PostgreSQL's NAMEDATALEN - 1. */
export const MAX_TRANCHE_NAME_BYTES = 63;

/** PostgreSQL's individual locks that this library has too, under PostgreSQL's numbers. */
export const TRANCHE_ADDIN_SHMEM_INIT = 21;
export const TRANCHE_DSM_CONTROL = 34;
export const TRANCHE_DSM_REGISTRY = 50;
/** Built-in groups; the numbers are ours. */
export const TRANCHE_PARALLEL_QUERY_DSA = 58;
export const TRANCHE_PER_SESSION_DSA = 59;
export const TRANCHE_PGSTATS_DSA = 60;
export const TRANCHE_PGSTATS_HASH = 61;
export const TRANCHE_LAUNCHER_DSA = 62;
export const TRANCHE_LAUNCHER_HASH = 63;
export const TRANCHE_DSM_REGISTRY_DSA = 64;
export const TRANCHE_DSM_REGISTRY_HASH = 65;
export const TRANCHE_SHARED_TUPLESTORE = 66;
export const TRANCHE_SHARED_TIDBITMAP = 67;
export const TRANCHE_SHMEM_INDEX = 68;
/** Areas whose creator did not choose a tranche; so the one behind a `SharedHeap`. */
export const TRANCHE_DSA = 69;
/** Partitions of the maps of a `SharedHeap`. */
export const TRANCHE_HEAP_MAP = 75;
/** Locks that people make by name: `heap.lock(name)`. */
export const TRANCHE_HEAP_LOCK = 80;
/** The two locks of a queue of a `SharedHeap`: one for those who send, one for those who receive. */
export const TRANCHE_HEAP_QUEUE_SEND = 76;
export const TRANCHE_HEAP_QUEUE_RECEIVE = 77;

/** Names of the built-in tranches by id. */
export const BUILTIN_TRANCHES: ReadonlyMap<number, string> = new Map([
  [TRANCHE_ADDIN_SHMEM_INIT, 'AddinShmemInit'],
  [TRANCHE_DSM_CONTROL, 'DynamicSharedMemoryControl'],
  [TRANCHE_DSM_REGISTRY, 'DSMRegistry'],
  [TRANCHE_PARALLEL_QUERY_DSA, 'ParallelQueryDSA'],
  [TRANCHE_PER_SESSION_DSA, 'PerSessionDSA'],
  [TRANCHE_PGSTATS_DSA, 'PgStatsDSA'],
  [TRANCHE_PGSTATS_HASH, 'PgStatsHash'],
  [TRANCHE_LAUNCHER_DSA, 'LogicalRepLauncherDSA'],
  [TRANCHE_LAUNCHER_HASH, 'LogicalRepLauncherHash'],
  [TRANCHE_DSM_REGISTRY_DSA, 'DSMRegistryDSA'],
  [TRANCHE_DSM_REGISTRY_HASH, 'DSMRegistryHash'],
  [TRANCHE_SHARED_TUPLESTORE, 'SharedTupleStore'],
  [TRANCHE_SHARED_TIDBITMAP, 'SharedTidBitmap'],
  [TRANCHE_SHMEM_INDEX, 'ShmemIndex'],
  [TRANCHE_DSA, 'SharedHeapDSA'],
  [TRANCHE_HEAP_MAP, 'SharedHeapMap'],
  [TRANCHE_HEAP_LOCK, 'SharedHeapLock'],
  [TRANCHE_HEAP_QUEUE_SEND, 'SharedHeapQueueSend'],
  [TRANCHE_HEAP_QUEUE_RECEIVE, 'SharedHeapQueueReceive'],
]);

/** `nlocks` of a tranche from newTrancheId(): it has a name only. */
const NO_LOCKS = -1;

const UserTranche = struct(
  'lwlock_user_tranche',
  'lwlock.c',
  {
    base: size('byte offset of the first lock in its memory; written by the claimant before name_length'),
    ns: u32('number of the memory of the locks; as base'),
    nlocks: i32('locks of a requested tranche, -1 for an id alone; as base'),
    name: array(16, u32('UTF-8, little endian, zero padded; as base')),
    name_length: i32('atomic: length of the name in bytes + 1; 0 = not published; written once by the claimant'),
    reserved: i32('zero'),
  },
  88,
);

const TrancheTableControl = struct(
  'lwlock_tranche_table',
  'lwlock.c',
  {
    claimed: i32('atomic: entries claimed so far; only grows'),
    sealed: i32('atomic: 1 when locks can no longer be requested; only set'),
  },
  8,
);

const CLAIMED = TrancheTableControl.claimed / 4;
const SEALED = TrancheTableControl.sealed / 4;
const NAME = UserTranche.name / 4;
const NAME_LENGTH = UserTranche.name_length / 4;
const ENTRY_WORDS = UserTranche.SIZEOF / 4;

/** Where the locks of a named tranche lie. */
export interface NamedTranche {
  /** Tranche id of the locks. */
  readonly id: number;
  /** Number of the memory they lie in. */
  readonly ns: number;
  /** Byte offset of the first one in that memory; the next follow LWLOCK_PADDED_BYTES apart. */
  readonly byteOffset: number;
  /** How many there are. */
  readonly count: number;
}

function trancheError(message: string, detail: string, sqlState: string, pgDetail = '', hint = ''): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_TRANCHE', message, { detail, sqlState, pgDetail, hint });
}

function encodeName(name: unknown): Uint8Array {
  if (typeof name !== 'string') {
    throw trancheError('tranche name cannot be NULL', `got ${name === null ? 'null' : typeof name}`, '42602');
  }
  const bytes = new TextEncoder().encode(name);
  if (bytes.length > MAX_TRANCHE_NAME_BYTES) {
    throw trancheError(
      'tranche name too long',
      `${bytes.length} bytes, at most ${MAX_TRANCHE_NAME_BYTES}`,
      '42622',
      `LWLock tranche names must be no longer than ${MAX_TRANCHE_NAME_BYTES} bytes.`,
      'Choose a shorter name.',
    );
  }
  return bytes;
}

/** This thread's handle of the table of tranches. */
export class TrancheTable {
  readonly #control: Int32Array;
  readonly #base: number;
  readonly #peers: Peers | undefined;

  /**
   * A handle of a table; does not touch shared memory. Any thread; does not block.
   *
   * @param control the control memory
   * @param byteOffset where the table starts in it, a multiple of 8; it takes `TrancheTable.sizeof()` bytes
   * @param peers the participant table: once anybody has joined, locks can no longer be requested; without it only
   *   `seal()` ends that time
   * @throws ERR_HEAP_BAD_ARGUMENT when the table would not lie in the memory
   */
  constructor(control: Int32Array, byteOffset: number, peers?: Peers) {
    if (!Number.isSafeInteger(byteOffset) || byteOffset < 0 || byteOffset % 8 !== 0) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'the place of the tranche table is not acceptable', {
        detail: `offset ${byteOffset} is not a multiple of 8`,
      });
    }
    if (byteOffset + TrancheTable.sizeof() > control.byteLength) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'the place of the tranche table is not acceptable', {
        detail: `${TrancheTable.sizeof()} bytes at ${byteOffset} do not fit in ${control.byteLength}`,
      });
    }
    this.#control = control;
    this.#base = byteOffset / 4;
    this.#peers = peers;
  }

  /** Bytes that the table takes. */
  static sizeof(): number {
    return TrancheTableControl.SIZEOF + MAX_USER_TRANCHES * UserTranche.SIZEOF;
  }

  /** Makes an empty table, whatever was in the memory. Before the memory is shared; does not block. */
  initialize(): void {
    this.#control.fill(0, this.#base, this.#base + TrancheTable.sizeof() / 4);
  }

  /**
   * A new id for locks of the caller's own. Any thread, any time; does not block. Two calls give two ids, also for
   * equal names. Follows LWLockNewTrancheId.
   *
   * @param name at most 63 bytes in UTF-8
   * @throws ERR_HEAP_TRANCHE for a name that is no string or too long, and for the 257th id
   */
  newTrancheId(name: string): number {
    return this.#publish(encodeName(name), 0, 0, NO_LOCKS);
  }

  /**
   * The name of a tranche. Any thread; does not block. Follows GetLWTrancheName.
   *
   * @throws ERR_HEAP_TRANCHE for an id that was not given out
   */
  trancheName(id: number): string {
    const name = this.findTrancheName(id);
    if (name === undefined) throw trancheError(`tranche ${show(id)} is not registered`, this.#known(), 'XX000');
    return name;
  }

  /** As {@link trancheName}, but undefined for an unknown id. */
  findTrancheName(id: number): string | undefined {
    if (!Number.isInteger(id)) return undefined;
    const index = id - FIRST_USER_TRANCHE;
    if (index < 0) return BUILTIN_TRANCHES.get(id);
    return index < load(this.#control, this.#base + CLAIMED) ? this.#nameAt(index) : undefined;
  }

  /**
   * Asks for a named tranche with `count` locks and initialises them, each on LWLOCK_PADDED_BYTES of its own. Only before
   * the first participant joins (or `seal()`); the name must be new. Does not block. Follows RequestNamedLWLockTranche.
   *
   * @param memory the memory for the locks and its number
   * @param byteOffset place of the first lock, a multiple of 4
   * @returns the id of the tranche
   * @throws ERR_HEAP_TRANCHE for a bad or used name, when it is too late, and when 256 ids are given out
   * @throws ERR_HEAP_BAD_ARGUMENT when the locks would not lie in the memory
   */
  requestNamedLWLockTranche(
    name: string,
    count: number,
    memory: { readonly i32: Int32Array; readonly ns: number },
    byteOffset: number,
  ): number {
    const bytes = encodeName(name);
    if (load(this.#control, this.#base + SEALED) !== 0 || (this.#peers?.highWater() ?? 0) > 0) {
      throw trancheError('locks can be requested only before the first participant joins', `tranche ${name}`, 'XX000');
    }
    if (this.#find(name, true) !== undefined) {
      throw trancheError('the tranche was requested before', `tranche ${name}`, '42710');
    }
    const end = byteOffset + count * LWLOCK_PADDED_BYTES;
    const inside = Number.isSafeInteger(byteOffset) && byteOffset >= 0 && byteOffset % 4 === 0;
    if (!Number.isSafeInteger(count) || count < 1 || !inside || end > memory.i32.byteLength) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'the locks of the tranche would not lie in the memory', {
        detail: `${count} locks of ${LWLOCK_PADDED_BYTES} bytes at ${byteOffset} in ${memory.i32.byteLength} bytes`,
      });
    }
    const id = this.#publish(bytes, memory.ns, byteOffset, count);
    for (let n = 0; n < count; n++) lwlockInitialize(memory.i32, (byteOffset + n * LWLOCK_PADDED_BYTES) / 4, id);
    return id;
  }

  /**
   * Finds the locks of a named tranche. Any thread; does not block. Follows GetNamedLWLockTranche.
   *
   * @throws ERR_HEAP_TRANCHE for an unknown name, and for one that belongs to an id alone
   */
  getNamedLWLockTranche(name: string): NamedTranche {
    const found = this.#find(name, true);
    if (found !== undefined) return found;
    if (this.#find(name, false) !== undefined) {
      throw trancheError(
        'requested tranche was not registered with RequestNamedLWLockTranche()',
        `tranche ${name} is an id without locks`,
        'XX000',
      );
    }
    throw trancheError('requested tranche is not registered', `tranche ${show(name)}; ${this.#known()}`, 'XX000');
  }

  /** Ends the time in which locks can be requested. Any thread; does not block. */
  seal(): void {
    store(this.#control, this.#base + SEALED, 1);
  }

  #entry(index: number): number {
    return this.#base + TrancheTableControl.SIZEOF / 4 + index * ENTRY_WORDS;
  }

  #known(): string {
    return `${load(this.#control, this.#base + CLAIMED)} ids from ${FIRST_USER_TRANCHE} on are given out`;
  }

  /** Claims an entry, fills it in, publishes it. */
  #publish(name: Uint8Array, ns: number, byteOffset: number, nlocks: number): number {
    const c = this.#control;
    let index = load(c, this.#base + CLAIMED);
    for (;;) {
      if (index >= MAX_USER_TRANCHES) {
        throw trancheError(
          'maximum number of tranches already registered',
          `one more was asked for, all ${MAX_USER_TRANCHES} ids are given out`,
          'XX000',
          `No more than ${MAX_USER_TRANCHES} tranches may be registered.`,
          'Let locks of one purpose share a tranche; ids are never given back.',
        );
      }
      const found = compareExchange(c, this.#base + CLAIMED, index, index + 1);
      if (found === index) break;
      index = found;
    }
    const e = this.#entry(index);
    st64(c, e + UserTranche.base / 4, byteOffset);
    c[e + UserTranche.ns / 4] = ns;
    c[e + UserTranche.nlocks / 4] = nlocks;
    for (let n = 0; n < name.length; n++) {
      c[e + NAME + (n >> 2)] = c[e + NAME + (n >> 2)]! | (name[n]! << ((n & 3) * 8));
    }
    store(c, e + NAME_LENGTH, name.length + 1);
    return FIRST_USER_TRANCHE + index;
  }

  #nameAt(index: number): string | undefined {
    const e = this.#entry(index);
    const length = load(this.#control, e + NAME_LENGTH) - 1;
    if (length < 0 || length > MAX_TRANCHE_NAME_BYTES) return undefined;
    const bytes = new Uint8Array(length);
    for (let n = 0; n < length; n++) bytes[n] = this.#control[e + NAME + (n >> 2)]! >>> ((n & 3) * 8);
    return new TextDecoder().decode(bytes);
  }

  /** First published entry of this name, with locks or without. */
  #find(name: string, withLocks: boolean): NamedTranche | undefined {
    const end = Math.min(load(this.#control, this.#base + CLAIMED), MAX_USER_TRANCHES);
    for (let index = 0; index < end; index++) {
      if (this.#nameAt(index) !== name) continue;
      const e = this.#entry(index);
      const count = this.#control[e + UserTranche.nlocks / 4]!;
      if ((count === NO_LOCKS) === withLocks) continue;
      const ns = this.#control[e + UserTranche.ns / 4]! >>> 0;
      return { id: FIRST_USER_TRANCHE + index, ns, byteOffset: ld64(this.#control, e + UserTranche.base / 4), count };
    }
    return undefined;
  }
}

/** Tranche id of the lock at word `i`: 0 .. 65535. Any thread; does not block. */
export function lwlockTranche(a: Int32Array, i: number): number {
  return a[i + LWLockStruct.tranche / 4]! & 0xffff;
}
