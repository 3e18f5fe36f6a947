/**
 * A walk over all entries of a table: dshash_seq_init, _next, _term, dshash_delete_current.
 *
 * From the first `next` to `term` some partition lock is held, the next one being taken before the last is given back:
 * so the table cannot grow meanwhile. Entries inserted into partitions that were not reached yet are seen. An entry that
 * `next` returned stays valid until the next call; its lock is the scan's, not to be released otherwise. Other calls on
 * the same table are refused until `term`.
 */

import { SharedHeapError } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import { ITEM_HEADER, NUM_PARTITIONS_LOG2 } from './layout.js';
import {
  addToCount,
  corrupt,
  countOf,
  lockPartition,
  pointerOf,
  refresh,
  requireOpen,
  requireUnlocked,
  tableError,
  type TableState,
  unlockPartition,
  wordIndex,
  wordsOf,
} from './state.js';

/** One walk. Made by `DshashTable.scan`; for the thread of its participant. `using` ends it, too. */
export class DshashScan {
  readonly #t: TableState;
  readonly #exclusive: boolean;
  /** Partition whose lock is held, -1 before the first. */
  #partition = -1;
  #bucket = 0;
  #ended = false;
  /** The item that comes next, as two words, read before the current one was given out. */
  #nextLo = 0;
  #nextHi = 0;
  /** The item given out last, 0 when there is none or it was deleted. */
  #current = 0;
  /** Items that the current partition may still have. */
  #left = 0;

  /** Words of the segment of the entry that {@link next} returned last. */
  words: Int32Array = new Int32Array(0);
  /** Word index of that entry in {@link words}. */
  entryWord = 0;

  /** @internal */
  constructor(t: TableState, exclusive: boolean) {
    this.#t = t;
    this.#exclusive = exclusive;
  }

  /**
   * The next entry, 0 at the end. May block on the lock of a partition. Follows dshash_seq_next.
   *
   * @throws ERR_HEAP_CLOSED after {@link term}, ERR_HEAP_LOCK_SELF, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT: the scan is
   *   over then
   */
  next(): DsaPointer | 0 {
    this.#requireGoing();
    const t = this.#t;
    this.#current = 0;
    if (this.#partition < 0) {
      requireUnlocked(t);
      if (!this.#enter(0)) this.#stop();
      this.#load(0);
    }
    while ((this.#nextLo | this.#nextHi) === 0) {
      const bucket = this.#bucket + 1;
      if (bucket >= 2 ** t.sizeLog2) return 0;
      const partition = Math.floor(bucket / 2 ** (t.sizeLog2 - NUM_PARTITIONS_LOG2));
      if (partition !== this.#partition && !this.#enter(partition)) this.#stop();
      this.#load(bucket);
    }
    const lo = this.#nextLo;
    const hi = this.#nextHi;
    const words = wordsOf(t, hi);
    if (words.length === 0 || (this.#left-- <= 0 && !corrupt(t, 'a chain does not end'))) this.#stop();
    const at = wordIndex(lo, hi);
    // Now, since the caller may delete this one.
    this.#nextLo = words[at]!;
    this.#nextHi = words[at + 1]!;
    this.words = words;
    this.entryWord = at + ITEM_HEADER / 4;
    this.#current = pointerOf(lo, hi);
    return (this.#current + ITEM_HEADER) as DsaPointer;
  }

  /**
   * Deletes the entry that {@link next} has just returned; exclusive scans only. Follows dshash_delete_current.
   *
   * @throws ERR_HEAP_LOCK_NOT_HELD when the scan is not exclusive or there is no current entry, ERR_HEAP_CORRUPT
   */
  deleteCurrent(): void {
    this.#requireGoing();
    const t = this.#t;
    const item = this.#current;
    if (!this.#exclusive || item === 0) {
      throw new SharedHeapError('ERR_HEAP_LOCK_NOT_HELD', 'no entry is locked exclusively by this scan', {
        hint: 'Begin the scan with exclusive = true, and delete each entry once.',
      });
    }
    if (!this.#unlink(item)) this.#stop();
    addToCount(t, this.#partition, -1);
    this.#current = 0;
    t.area.free(item as DsaPointer);
  }

  /** Ends the scan and unlocks what it holds. To be called always, also after the end. Idempotent. Follows dshash_seq_term. */
  term(): void {
    this.#ended = true;
    this.#current = 0;
    if (this.#partition >= 0) unlockPartition(this.#t, this.#partition);
    this.#partition = -1;
  }

  /** {@link term}, for `using scan = table.scan(false)`. */
  [Symbol.dispose](): void {
    this.term();
  }

  #requireGoing(): void {
    requireOpen(this.#t);
    if (this.#ended) throw new SharedHeapError('ERR_HEAP_CLOSED', 'the scan was ended');
  }

  /** Takes the lock of a partition, then gives the one before it back. False with `failure` set. */
  #enter(partition: number): boolean {
    const t = this.#t;
    if (!lockPartition(t, partition, this.#exclusive)) return false;
    if (this.#partition >= 0) unlockPartition(t, this.#partition);
    this.#partition = partition;
    this.#left = countOf(t, partition);
    return refresh(t);
  }

  #load(bucket: number): void {
    const { buckets, bucketWord } = this.#t;
    this.#bucket = bucket;
    this.#nextLo = buckets[bucketWord + 2 * bucket]!;
    this.#nextHi = buckets[bucketWord + 2 * bucket + 1]!;
  }

  /** Takes an item of the current bucket out of its chain. */
  #unlink(item: number): boolean {
    const t = this.#t;
    let words = t.buckets;
    let at = t.bucketWord + 2 * this.#bucket;
    for (let left = countOf(t, this.#partition); left > 0; left--) {
      const lo = words[at]!;
      const hi = words[at + 1]!;
      if ((lo | hi) === 0) break;
      const itemWords = wordsOf(t, hi);
      if (itemWords.length === 0) return false;
      const itemAt = wordIndex(lo, hi);
      if (pointerOf(lo, hi) === item) {
        words[at] = itemWords[itemAt]!;
        words[at + 1] = itemWords[itemAt + 1]!;
        return true;
      }
      words = itemWords;
      at = itemAt;
    }
    return corrupt(t, 'the current item is not in its bucket');
  }

  #stop(): never {
    const error = tableError(this.#t, 'scan');
    this.term();
    throw error;
  }
}
