/**
 * DshashTable: a hash table in an area, as one participant is attached to it (PostgreSQL, lib/dshash.c).
 *
 * A call that finds or makes an entry returns it *locked*: with it the whole partition, a 128th of the table. Read or
 * change it, then `releaseLock`. One locked entry per table and participant at a time; the next call on the same
 * table before that is refused. Entries lie in shared memory: `words` and `entryWord` say where the one returned
 * last is.
 *
 * All methods are for the thread of the participant; all but `handle`, `detach` and `releaseLock` may block on locks of
 * partitions and of the area.
 */

import type { DsaArea } from '../dsa/dsa.js';
import { requireInteger } from '../dsm/dsm.js';
import { SharedHeapError, show } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import { findItem, Place, pushItem, unlinkItem } from './chain.js';
import { dumpTable } from './dump.js';
import { grow } from './grow.js';
import type { DshashParameters } from './keys.js';
import { I_HASH, ITEM_HEADER, MAX_SIZE_LOG2, NUM_PARTITIONS, partitionOf } from './layout.js';
import { attachTable, checkParameters, createTable, destroyTable } from './lifecycle.js';
import { DshashScan } from './scan.js';
import {
  addToCount,
  allocate,
  countOf,
  hiOf,
  lockPartition,
  loOf,
  pointerOf,
  refresh,
  requireOpen,
  requireUnlocked,
  tableError,
  tableOutOfMemory,
  type TableState,
  unlockPartition,
  wordIndex,
  wordsOf,
} from './state.js';
import { DSA_ALLOC_NO_OOM } from '../dsa/dsa.js';
import { verifyTable, type TableReport, type TableVerifyOptions } from './verify.js';

/** Flag of findOrInsert: return 0 instead of throwing when memory is exhausted. */
export const DSHASH_INSERT_NO_OOM = 1;

/** An attachment to a hash table. `K` is what the program uses as a key, `A` what its key functions are given besides. */
export class DshashTable<K, A = undefined> {
  /** @internal */
  readonly state: TableState;
  readonly #params: DshashParameters<K, A>;
  readonly #arg: A;
  readonly #place = new Place();
  #key: K | undefined = undefined;
  readonly #match = (words: Int32Array, at: number): boolean =>
    this.#params.equals(words, at, this.#key as K, this.#arg);

  /** After {@link findOrInsert}: whether the entry was there already. */
  found = false;
  /** Words of the segment of the entry that was returned last; valid while it is locked. */
  words: Int32Array = new Int32Array(0);
  /** Word index of that entry in {@link words}. */
  entryWord = 0;

  private constructor(state: TableState, params: DshashParameters<K, A>, arg: A) {
    this.state = state;
    this.#params = params;
    this.#arg = arg;
  }

  /**
   * Makes an empty table in an area. Follows dshash_create.
   *
   * @param area where control object, buckets and items lie
   * @param params sizes in bytes, key functions, tranche of the locks; see {@link DshashParameters}
   * @param arg handed to the key functions
   * @throws ERR_HEAP_BAD_OPTION, ERR_HEAP_TRANCHE, ERR_HEAP_OUT_OF_MEMORY, ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT
   */
  static create<K, A = undefined>(area: DsaArea, params: DshashParameters<K, A>, arg?: A): DshashTable<K, A> {
    return new DshashTable(createTable(area, params as DshashParameters<never>), params, arg as A);
  }

  /**
   * Attaches to a table by its handle. The parameters must be those of the creator; that is not checked, as in C. Does
   * not block. Follows dshash_attach.
   *
   * @param handle what {@link handle} gave
   * @throws ERR_HEAP_BAD_HANDLE, ERR_HEAP_BAD_OPTION, ERR_HEAP_CLOSED, ERR_HEAP_BAD_ARGUMENT
   */
  static attach<K, A = undefined>(
    area: DsaArea,
    params: DshashParameters<K, A>,
    handle: DsaPointer,
    arg?: A,
  ): DshashTable<K, A> {
    checkParameters(params);
    return new DshashTable(attachTable(area, handle), params, arg as A);
  }

  /** Names the table for other participants; a pointer in its area. Follows dshash_get_hash_table_handle. */
  get handle(): DsaPointer {
    requireOpen(this.state);
    return this.state.handle;
  }

  /** The area that the table lies in. */
  get area(): DsaArea {
    return this.state.area;
  }

  /** Items in the table. Takes no lock: while others insert and delete it is as of no one moment. */
  get size(): number {
    requireOpen(this.state);
    let sum = 0;
    for (let i = 0; i < NUM_PARTITIONS; i++) sum += countOf(this.state, i);
    return sum;
  }

  /**
   * Ends this attachment; the table stays. Idempotent. Follows dshash_detach.
   *
   * @throws ERR_HEAP_LOCK_SELF while an entry is locked
   */
  detach(): void {
    if (!this.state.open) return;
    this.#requireNoEntry();
    this.state.open = false;
  }

  /**
   * Frees the table and everything in it. No other participant may use it any more. Follows dshash_destroy.
   *
   * @throws ERR_HEAP_CLOSED, ERR_HEAP_LOCK_SELF, ERR_HEAP_CORRUPT; what was freed until then stays freed
   */
  destroy(): void {
    requireUnlocked(this.state);
    destroyTable(this.state);
  }

  /**
   * Looks a key up. Follows dshash_find.
   *
   * @param exclusive true to change or delete the entry, false to read it beside other readers
   * @returns the entry, locked; 0 when there is none, and nothing is locked
   * @throws ERR_HEAP_LOCK_SELF, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CLOSED, what the key functions throw
   */
  find(key: K, exclusive: boolean): DsaPointer | 0 {
    const t = this.state;
    requireUnlocked(t);
    const hash = this.#params.hash(key, this.#arg) >>> 0;
    const partition = partitionOf(hash);
    if (!lockPartition(t, partition, exclusive)) throw tableError(t, 'find');
    if (!this.#search(key, hash, partition)) return this.#fail(partition, 'find');
    const { lo, hi } = this.#place;
    if ((lo | hi) === 0) {
      unlockPartition(t, partition);
      return 0;
    }
    return this.#give(partition, exclusive);
  }

  /**
   * Looks a key up and inserts it when there is none. {@link found} tells which. A new entry has its key only; what
   * follows holds whatever was there before and is the caller's to fill. Follows dshash_find_or_insert_extended.
   *
   * @param flags DSHASH_INSERT_NO_OOM
   * @returns the entry, locked exclusively; 0 only with DSHASH_INSERT_NO_OOM
   * @throws ERR_HEAP_OUT_OF_MEMORY (the table is as before), ERR_HEAP_BAD_ARGUMENT, and as {@link find}
   */
  findOrInsert(key: K, flags = 0): DsaPointer | 0 {
    const t = this.state;
    if (flags !== 0) requireInteger(flags, 0, DSHASH_INSERT_NO_OOM, 'flags');
    requireUnlocked(t);
    const hash = this.#params.hash(key, this.#arg) >>> 0;
    const partition = partitionOf(hash);
    for (;;) {
      if (!lockPartition(t, partition, true)) throw tableError(t, 'findOrInsert');
      if (!this.#search(key, hash, partition)) return this.#fail(partition, 'findOrInsert');
      this.found = (this.#place.lo | this.#place.hi) !== 0;
      if (this.found) return this.#give(partition, true);
      if (countOf(t, partition) <= t.bound || t.sizeLog2 >= MAX_SIZE_LOG2) break;
      const log2 = t.sizeLog2 + 1;
      unlockPartition(t, partition);
      if (!grow(t, log2)) return this.#refuse('findOrInsert', flags);
    }
    const item = allocate(t, ITEM_HEADER + this.#params.entrySize, DSA_ALLOC_NO_OOM);
    if (item !== 0 && this.#fill(item, key, hash)) {
      addToCount(t, partition, 1);
      return this.#give(partition, true);
    }
    const { failure } = t;
    unlockPartition(t, partition);
    if (item !== 0) t.area.free(item);
    t.failure = failure;
    return this.#refuse('findOrInsert', flags);
  }

  /**
   * Unlocks the entry that was returned last. Does not block. Follows dshash_release_lock.
   *
   * @param entry what find or findOrInsert returned
   * @throws ERR_HEAP_LOCK_NOT_HELD
   */
  releaseLock(entry: DsaPointer): void {
    const t = this.state;
    this.#requireEntry(entry, false);
    const partition = t.heldPartition;
    t.heldPartition = -1;
    t.heldEntry = 0;
    unlockPartition(t, partition);
  }

  /**
   * Deletes the entry of a key. Follows dshash_delete_key.
   *
   * @returns whether there was one
   * @throws as {@link find}
   */
  deleteKey(key: K): boolean {
    const entry = this.find(key, true);
    if (entry === 0) return false;
    this.deleteEntry(entry);
    return true;
  }

  /**
   * Deletes an entry that is locked exclusively, and unlocks it. Follows dshash_delete_entry.
   *
   * @param entry what find(key, true) or findOrInsert returned
   * @throws ERR_HEAP_LOCK_NOT_HELD
   */
  deleteEntry(entry: DsaPointer): void {
    const t = this.state;
    this.#requireEntry(entry, true);
    const partition = t.heldPartition;
    // The place is still that of the entry: nothing else was searched for while it is locked.
    unlinkItem(this.#place);
    addToCount(t, partition, -1);
    t.heldPartition = -1;
    t.heldEntry = 0;
    unlockPartition(t, partition);
    // Out of the chain it is nobody's, and what free might throw finds no lock held.
    t.area.free((entry - ITEM_HEADER) as DsaPointer);
  }

  /**
   * Walks over all entries, partition by partition. Follows dshash_seq_init.
   *
   * @param exclusive true to change or delete entries
   */
  scan(exclusive: boolean): DshashScan {
    requireUnlocked(this.state);
    return new DshashScan(this.state, exclusive);
  }

  /** Numbers of items per partition and bucket as text. Takes all partition locks, shared. Follows dshash_dump. */
  dump(): string {
    requireUnlocked(this.state);
    return dumpTable(this.state);
  }

  /**
   * Checks the rules that the table must keep. Findings instead of errors; changes nothing.
   *
   * @param options `quiescent: false` while others may use the table: then partitions are locked, one after the other
   */
  verify(options: TableVerifyOptions = {}): TableReport {
    requireUnlocked(this.state);
    return verifyTable(this.state, options, ITEM_HEADER + this.#params.entrySize);
  }

  #search(key: K, hash: number, partition: number): boolean {
    const t = this.state;
    this.#key = key;
    try {
      return refresh(t) && findItem(t, hash, this.#match, this.#place);
    } catch (error) {
      unlockPartition(t, partition);
      throw error;
    } finally {
      this.#key = undefined;
    }
  }

  /** Notes the item at the place as locked and returns its entry. */
  #give(partition: number, exclusive: boolean): DsaPointer {
    const t = this.state;
    const { lo, hi, words, at } = this.#place;
    const entry = (pointerOf(lo, hi) + ITEM_HEADER) as DsaPointer;
    t.heldPartition = partition;
    t.heldEntry = entry;
    t.heldExclusive = exclusive;
    this.words = words;
    this.entryWord = at + ITEM_HEADER / 4;
    return entry;
  }

  #fail(partition: number, what: string): never {
    unlockPartition(this.state, partition);
    throw tableError(this.state, what);
  }

  #refuse(what: string, flags: number): 0 {
    const t = this.state;
    if (t.failure !== 'memory') throw tableError(t, what);
    if (flags === 0) throw tableOutOfMemory(t);
    return 0;
  }

  /** Makes a new item and links it. False with `failure` set: it is not linked then. */
  #fill(item: DsaPointer, key: K, hash: number): boolean {
    const t = this.state;
    const lo = loOf(item);
    const hi = hiOf(item);
    const words = wordsOf(t, hi);
    if (words.length === 0) return false;
    const at = wordIndex(lo, hi);
    try {
      this.#params.copy(words, at + ITEM_HEADER / 4, key, this.#arg);
    } catch (error) {
      t.failure = 'thrown';
      t.thrown = error;
      return false;
    }
    pushItem(t, hash, lo, hi, words, at);
    const place = this.#place;
    place.lo = lo;
    place.hi = hi;
    place.words = words;
    place.at = at;
    // It is the first of its bucket now, which deleteEntry relies on.
    place.linkWords = t.buckets;
    place.linkAt = t.bucketWord + 2 * (words[at + I_HASH]! >>> t.shift);
    return true;
  }

  #requireNoEntry(): void {
    if (this.state.heldPartition < 0) return;
    throw new SharedHeapError('ERR_HEAP_LOCK_SELF', 'an entry of the hash table is locked', {
      hint: 'Call releaseLock first.',
    });
  }

  #requireEntry(entry: unknown, exclusive: boolean): void {
    const t = this.state;
    requireOpen(t);
    if (t.heldPartition >= 0 && entry === t.heldEntry && (!exclusive || t.heldExclusive)) return;
    throw new SharedHeapError('ERR_HEAP_LOCK_NOT_HELD', 'the entry is not locked by this participant', {
      detail: `entry ${show(entry)}, ${exclusive ? 'exclusively' : 'in any mode'}; locked is ${t.heldPartition < 0 ? 'none' : t.heldEntry}`,
      hint: 'Pass the entry that find or findOrInsert returned last, once.',
    });
  }
}
