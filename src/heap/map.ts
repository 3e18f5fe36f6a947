/**
 * HeapMap: a hash table that all threads of a heap share, by name: `heap.map('terms', { value: 'number' })`.
 *
 * It lies in the heap's main area (map-layout.ts): 128 partitions, each with a table, memory and a lock of its own, so that
 * threads wait for each other only where their keys meet, also while a table grows. Keys and values are copied in and out; what a
 * call returns belongs to the caller. A call sees and changes an entry as a whole.
 *
 * Loops (`for ... of`, `keys`, `values`, `entries`, `forEach`) are weakly consistent: they hold no lock while their body
 * runs, see every entry that stays in the map exactly once, each as it was at some moment of the loop, and may or may
 * not see what is inserted or deleted meanwhile. `size` is the sum over the partitions, each as of its own moment.
 *
 * One object a thread and name; use it in the thread that opened the heap. All methods may block on the lock of a
 * partition, up to the heap's `lockTimeout`; setting and clearing also on locks of the area. A thread that is terminated
 * in the middle of a call can leave one partition locked: later calls with keys in it end with ERR_HEAP_LOCK_STALLED.
 *
 * Every method throws ERR_HEAP_CLOSED once the heap is closed, ERR_HEAP_LOCK_STALLED, ERR_HEAP_LOCK_SELF inside a
 * function that this map calls under a lock, and ERR_HEAP_CORRUPT for damaged memory.
 */

import { SharedHeapError } from '../errors/errors.js';
import { clearMap, MapWalk, WANT_KEYS, WANT_VALUES } from './map-batch.js';
import {
  deleteEntry,
  FAILED,
  findNode,
  freeOld,
  hasEntry,
  NONE,
  readEntry,
  settle,
  takeOut,
  writeEntry,
} from './map-nodes.js';
import { P_COUNT, PART_WORDS, PARTITIONS } from './map-layout.js';
import { lockKey, unlockAny } from './map-locks.js';
import { mapError } from './map-memory.js';
import { enter, type MapState, packKey, packValue, unpackValue } from './map-state.js';
import type { MapStruct } from './map-struct.js';
import { type MapReport, type MapVerifyOptions, verifyMap } from './map-verify.js';
import { show } from './sizes.js';

/** Texts and byte strings from this size on make private memory grow; it is given back after the call. */
const LONG = 65_536;

/** See the head of the file. Made by `heap.map`. */
export class HeapMap<K, V> {
  readonly #m: MapState;

  /** @internal */
  constructor(state: MapState) {
    this.#m = state;
  }

  /** The name that the map was opened by. */
  get name(): string {
    return this.#m.name;
  }

  /** Number of entries. Takes no lock. */
  get size(): number {
    const m = this.#m;
    enter(m);
    let sum = 0;
    for (let i = 0; i < PARTITIONS; i++) sum += m.parts[m.partsAt + i * PART_WORDS + P_COUNT]!;
    return sum;
  }

  /**
   * The value of a key, or undefined. JSON values, bytes and structs are fresh objects: changing them changes nothing in
   * the map.
   *
   * @throws ERR_HEAP_BAD_ARGUMENT for a key of another kind, ERR_HEAP_HOST_LIMIT
   */
  get(key: K): V | undefined {
    const m = this.#m;
    enter(m);
    packKey(m, key);
    const at = readEntry(m);
    if (at >= 0) return this.#take();
    return at === NONE ? undefined : this.#fail('get');
  }

  /** Tells whether there is an entry for a key. @throws as {@link get} */
  has(key: K): boolean {
    const m = this.#m;
    enter(m);
    packKey(m, key);
    const at = hasEntry(m);
    return at >= 0 || (at !== NONE && this.#fail('has'));
  }

  /**
   * Sets the value of a key. Overwrites in place where the new value fits.
   *
   * @throws ERR_HEAP_OUT_OF_MEMORY, ERR_HEAP_BAD_ARGUMENT for a key or value of another kind, or one that is too long,
   *   and what `toJSON` of a JSON value throws; the map is as it was then
   */
  set(key: K, value: V): this {
    const m = this.#m;
    enter(m);
    // First: JSON may call functions of the program, which may use this map, or close the heap.
    packValue(m, value);
    enter(m);
    packKey(m, key);
    if (writeEntry(m) === FAILED) this.#fail('set');
    this.#shrink();
    return this;
  }

  /** Deletes the entry of a key. @returns whether there was one @throws as {@link get} */
  delete(key: K): boolean {
    const m = this.#m;
    enter(m);
    packKey(m, key);
    const at = deleteEntry(m);
    return at >= 0 || (at !== NONE && this.#fail('delete'));
  }

  /**
   * Changes an entry under its lock: nobody sees or changes it between what `fn` is given and what it returns.
   *
   * `fn` gets the value, or undefined when there is none, and returns the new one; undefined leaves everything as it is.
   * For a struct it gets an object with the fields (all 0 when there is no entry) whose changes are stored when `fn`
   * returns, or an object that it returns instead; `false` leaves everything as it is. `fn` must be quick, since a 128th
   * of the map is locked meanwhile; it must not wait, nor use this map. When it throws, the entry is as it was.
   *
   * @param fn called once, with the value and whether there was an entry
   * @returns the value that the entry has now, or undefined when there is none
   * @throws what `fn` throws, and as {@link set}; ERR_HEAP_LOCK_STALLED also where two threads update two maps inside
   *   each other in opposite order
   */
  update(key: K, fn: (value: V, found: boolean) => V | undefined | void | false): V | undefined;
  update(key: K, fn: (value: never, found: boolean) => unknown): V | undefined {
    requireFunction(fn);
    const m = this.#m;
    const at = this.#lockToWrite(key);
    const call = fn as (value: unknown, found: boolean) => unknown;
    return this.#underLock(at, () => {
      if (m.struct !== null) return updateStruct(m, m.struct, at !== NONE, call);
      return call(at === NONE ? undefined : unpackValue(m), at !== NONE);
    });
  }

  /**
   * The value of a key, inserted first when there is none; at most one of all threads inserts.
   *
   * @param make the value, or a function that makes it; that runs under the entry's lock, see {@link update}
   * @returns the value that was there, or the new one
   * @throws what `make` throws, and as {@link set}
   */
  getOrInsert(key: K, make: V | (() => V)): V {
    const m = this.#m;
    enter(m);
    packKey(m, key);
    const seen = readEntry(m);
    if (seen >= 0) return this.#take() as V;
    if (seen === FAILED) this.#fail('getOrInsert');
    const at = this.#lockToWrite(key);
    return this.#underLock(at, () => {
      if (at !== NONE) return undefined;
      const value = typeof make === 'function' ? (make as () => V)() : make;
      if (value === undefined) packValue(m, value);
      return value;
    }) as V;
  }

  /** Deletes all entries and gives all memory back. Partition by partition: others may see some gone and some not, and may insert meanwhile. */
  clear(): void {
    enter(this.#m);
    clearMap(this.#m);
  }

  /** Calls `fn` for each entry; weakly consistent. `fn` may use the map. */
  forEach(fn: (value: V, key: K, map: this) => void): void {
    requireFunction(fn);
    for (const [key, value] of this.entries()) fn(value, key, this);
  }

  /** The keys, in no order; weakly consistent. */
  *keys(): Generator<K, void, undefined> {
    const walk = this.#walk(WANT_KEYS);
    while (this.#next(walk)) yield* walk.keys as K[];
  }

  /** The values, in no order; weakly consistent. */
  *values(): Generator<V, void, undefined> {
    const walk = this.#walk(WANT_VALUES);
    while (this.#next(walk)) yield* walk.values as V[];
  }

  /** Keys with their values, in no order; weakly consistent. */
  *entries(): Generator<[K, V], void, undefined> {
    const walk = this.#walk(WANT_KEYS + WANT_VALUES);
    while (this.#next(walk)) {
      const { keys, values } = walk;
      for (let i = 0; i < keys.length; i++) yield [keys[i] as K, values[i] as V];
    }
  }

  /** {@link entries}. */
  [Symbol.iterator](): Generator<[K, V], void, undefined> {
    return this.entries();
  }

  /**
   * Checks the rules that the map must keep. Changes nothing; findings instead of errors.
   *
   * @param options `quiescent: false` while others may use the map: then partitions are locked, one after the other
   */
  verify(options: MapVerifyOptions = {}): MapReport {
    enter(this.#m);
    return verifyMap(this.#m, options);
  }

  #walk(wants: number): MapWalk {
    enter(this.#m);
    return new MapWalk(this.#m, wants);
  }

  #next(walk: MapWalk): boolean {
    enter(this.#m);
    return walk.next() > 0;
  }

  /** The value that was copied out. */
  #take(): V {
    const value = unpackValue(this.#m) as V;
    this.#shrink();
    return value;
  }

  #shrink(): void {
    const { value } = this.#m;
    if (value.room > LONG) value.shrink();
  }

  /** Locks the partition of a key and copies the value out. @returns its node or NONE */
  #lockToWrite(key: K): number {
    const m = this.#m;
    enter(m);
    packKey(m, key);
    if (!lockKey(m)) this.#fail('update');
    const at = findNode(m);
    if (at === NONE || (at >= 0 && takeOut(m, m.words, at))) return at;
    unlockAny(m);
    return this.#fail('update');
  }

  /**
   * Runs a function under the lock that {@link #lockToWrite} took, stores what it returns unless that is undefined, and
   * unlocks in any case.
   *
   * @returns the value of the entry afterwards
   */
  #underLock(at: number, fn: () => unknown): V | undefined {
    const m = this.#m;
    const { words, lo, hi } = m;
    let value: unknown;
    m.busy = true;
    try {
      value = fn();
      // Somebody may have closed the heap in there.
      if (!m.area.state.attached) enter(m);
      if (value !== undefined) packValue(m, value);
    } catch (error) {
      unlockAny(m);
      throw error;
    } finally {
      m.busy = false;
    }
    m.words = words;
    m.lo = lo;
    m.hi = hi;
    const done = value === undefined ? at : settle(m, at);
    unlockAny(m);
    if (freeOld(m, done) === FAILED) this.#fail('update');
    return value === undefined && at === NONE ? undefined : this.#take();
  }

  #fail(what: string): never {
    throw mapError(this.#m, what);
  }
}

/** The struct to be stored after a function has changed it, or undefined. */
function updateStruct(
  m: MapState,
  struct: MapStruct,
  found: boolean,
  fn: (value: unknown, found: boolean) => unknown,
): unknown {
  if (!found) m.fixed.fill(0);
  // By hand: a struct is a few words, and setting a range costs a call into the engine.
  const { fixed, before } = m;
  for (let i = 0; i < fixed.length; i++) before[i] = fixed[i]!;
  const value = fn(struct.accessor, found);
  if (value !== false) return value === undefined ? struct.accessor : value;
  m.fixed.set(m.before);
  return undefined;
}

function requireFunction(fn: unknown): void {
  if (typeof fn === 'function') return;
  throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a function is wanted', { detail: `got ${show(fn)}` });
}
