/**
 * One participant's attachment to a table: PostgreSQL's dshash_table; and the steps that all operations are made of.
 *
 * Stands on the area for memory and on LWLock. No function here throws: what fails under a partition lock is noted in
 * `failure`, and the error is made once the locks are gone. Where the bucket array lies is kept here and looked up
 * anew when the table has grown, which is seen under any partition lock.
 *
 * A thread that dies in here leaves the partition locks that it held locked; whoever wants one of them next is told
 * (ERR_HEAP_LOCK_STALLED), and the other partitions go on working.
 */

import type { DsaArea } from '../dsa/dsa.js';
import { SharedHeapError } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import {
  LW_EXCLUSIVE,
  LW_SHARED,
  lwlockAcquire,
  lwlockAnyHeldByMe,
  lwlockFailure,
  lwlockRelease,
  type Participant,
} from '../sync/sync.js';
import {
  C_BUCKETS,
  C_MAGIC,
  C_PARTITIONS,
  C_SIZE_LOG2,
  DSHASH_MAGIC,
  growBound,
  NUM_PARTITIONS,
  P_COUNT,
  PARTITION_WORDS,
} from './layout.js';

const TWO_32 = 2 ** 32;
const WORDS_4_GIB = 2 ** 30;
const NO_WORDS = new Int32Array(0);

/** Why something failed under a partition lock. */
export type TableFailure = 'none' | 'lock' | 'memory' | 'area' | 'thrown' | 'corrupt';

/** Private to its participant; no lock guards it. */
export class TableState {
  readonly area: DsaArea;
  readonly p: Participant;
  /** Pointer to the control object. */
  readonly handle: DsaPointer;
  /** Words of the segment of the control object, and its word index there. */
  readonly control: Int32Array;
  readonly at: number;
  /** Number that locks in that segment know their memory by. */
  readonly ns: number;
  /** The bucket array: words of its segment, word index, size; 0 as long as nobody has looked. */
  buckets: Int32Array = NO_WORDS;
  bucketWord = 0;
  sizeLog2 = 0;
  /** Right shift that makes a bucket of a hash. */
  shift = 0;
  /** Most items in a partition before an insertion makes the table grow. */
  bound = 0;
  /** Partition whose lock is held for an entry that was returned, or -1; the entry; the mode. */
  heldPartition = -1;
  heldEntry = 0;
  heldExclusive = false;
  /** False once detached or destroyed. */
  open = true;
  failure: TableFailure = 'none';
  /** Lock word of failure 'lock'; what was thrown for 'thrown'; what is wrong for 'corrupt'. */
  failedLock = 0;
  /** Bytes of failure 'memory'. */
  wanted = 0;
  thrown: unknown = null;

  constructor(area: DsaArea, handle: DsaPointer, control: Int32Array, at: number, ns: number) {
    this.area = area;
    this.p = area.state.p;
    this.handle = handle;
    this.control = control;
    this.at = at;
    this.ns = ns;
  }
}

/** Word of the lock of a partition, in the segment of the control object. */
export function partitionWord(t: TableState, partition: number): number {
  return t.at + C_PARTITIONS + partition * PARTITION_WORDS;
}

/** Items in a partition. Under its lock for a true answer. */
export function countOf(t: TableState, partition: number): number {
  return t.control[partitionWord(t, partition) + P_COUNT]!;
}

/** Changes the count of a partition. Under its exclusive lock. */
export function addToCount(t: TableState, partition: number, change: number): void {
  const w = partitionWord(t, partition) + P_COUNT;
  t.control[w] = t.control[w]! + change;
}

/** Takes the lock of a partition. Blocks up to the participant's lockTimeout. False with `failure` set. */
export function lockPartition(t: TableState, partition: number, exclusive: boolean): boolean {
  const word = partitionWord(t, partition);
  if (lwlockAcquire(t.p, t.control, word, t.ns, exclusive ? LW_EXCLUSIVE : LW_SHARED) !== 0) return true;
  t.failure = 'lock';
  t.failedLock = word;
  return false;
}

/** Gives the lock of a partition back. False when it is not held. */
export function unlockPartition(t: TableState, partition: number): boolean {
  return lwlockRelease(t.p, t.control, partitionWord(t, partition), t.ns);
}

/** Takes all partition locks in order. False with `failure` set and none of them held. */
export function lockAllPartitions(t: TableState, exclusive: boolean): boolean {
  for (let i = 0; i < NUM_PARTITIONS; i++) {
    if (lockPartition(t, i, exclusive)) continue;
    unlockPartitions(t, i);
    return false;
  }
  return true;
}

/** Gives the locks of the first `n` partitions back, newest first, which is cheapest for the list of held locks. */
export function unlockPartitions(t: TableState, n: number): void {
  for (let i = n - 1; i >= 0; i--) unlockPartition(t, i);
}

/** Tells whether this participant holds a partition lock of this table, through whatever object. */
function holdsAnyPartition(t: TableState): boolean {
  // The held list gives numbers of memories without a sign.
  const ns = t.ns >>> 0;
  return t.p.nheld !== 0 && lwlockAnyHeldByMe(t.p, partitionWord(t, 0), ns, NUM_PARTITIONS, PARTITION_WORDS);
}

/**
 * What comes after taking a partition lock and before following any pointer: freed segments are forgotten, the bucket
 * array is looked up if the table has grown. Follows ensure_valid_bucket_pointers. False with `failure` set.
 */
export function refresh(t: TableState): boolean {
  if (!t.area.notice()) {
    t.failure = 'area';
    return false;
  }
  return t.control[t.at + C_SIZE_LOG2] === t.sizeLog2 || findBuckets(t);
}

function findBuckets(t: TableState): boolean {
  const log2 = t.control[t.at + C_SIZE_LOG2]!;
  const lo = t.control[t.at + C_BUCKETS]!;
  const hi = t.control[t.at + C_BUCKETS + 1]!;
  const words = wordsOf(t, hi);
  if (words.length === 0) return false;
  useBuckets(t, words, wordIndex(lo, hi), log2);
  return true;
}

/** Remembers where the bucket array is. */
export function useBuckets(t: TableState, words: Int32Array, word: number, log2: number): void {
  t.buckets = words;
  t.bucketWord = word;
  t.sizeLog2 = log2;
  t.shift = 32 - log2;
  t.bound = growBound(log2);
}

/** Words of the segment that a pointer with this high word leads into; empty with `failure` set. After {@link refresh}. */
export function wordsOf(t: TableState, hi: number): Int32Array {
  const words = t.area.state.maps[hi >>> 8]?.i32;
  if (words !== undefined && words.length !== 0) return words;
  const mapped = t.area.resolve(hi >>> 8);
  if (mapped.length === 0) t.failure = 'area';
  return mapped;
}

/** Word index, in its segment, of a pointer given as two words. */
export function wordIndex(lo: number, hi: number): number {
  return (hi & 0xff) * WORDS_4_GIB + (lo >>> 2);
}

/** A pointer from its two words. */
export function pointerOf(lo: number, hi: number): DsaPointer {
  return (hi * TWO_32 + (lo >>> 0)) as DsaPointer;
}

/** The two words of a pointer. */
export function hiOf(pointer: number): number {
  return Math.floor(pointer / TWO_32);
}
export function loOf(pointer: number): number {
  return (pointer - Math.floor(pointer / TWO_32) * TWO_32) | 0;
}

/**
 * Allocates without throwing: other locks may be held.
 *
 * @returns the pointer, or 0 with `failure` set: 'memory', or 'thrown' for every other reason
 */
export function allocate(t: TableState, size: number, flags: number): DsaPointer | 0 {
  try {
    const pointer = t.area.allocate(size, flags);
    if (pointer === 0) {
      t.failure = 'memory';
      t.wanted = size;
    }
    return pointer;
  } catch (error) {
    t.failure = 'thrown';
    t.thrown = error;
    return 0;
  }
}

/** Notes damage. Always false. */
export function corrupt(t: TableState, what: string): false {
  t.failure = 'corrupt';
  t.thrown = what;
  return false;
}

/** The error for the failure that was noted last; to be thrown outside of all locks. */
export function tableError(t: TableState, what: string): Error {
  switch (t.failure) {
    case 'lock':
      return lwlockFailure(t.p, t.control, t.failedLock, t.ns, t.area.state.dsm.tranches);
    case 'area':
      return t.area.resolveError(what, t.handle);
    case 'thrown':
      return t.thrown as Error;
    default:
      return new SharedHeapError('ERR_HEAP_CORRUPT', `${what}: the hash table contradicts itself`, {
        detail: String(t.thrown),
        hint: 'Somebody wrote outside of an object, or into an entry that was not locked. Create a new table.',
      });
  }
}

/** PostgreSQL's error when a table cannot have the memory it wants. */
export function tableOutOfMemory(t: TableState, size = t.wanted, what = 'a hash table'): SharedHeapError {
  return t.area.memoryError(size, what);
}

/** @throws ERR_HEAP_CLOSED, ERR_HEAP_BAD_HANDLE when the table was destroyed by another participant */
export function requireOpen(t: TableState): void {
  if (!t.open || !t.area.state.attached) {
    throw new SharedHeapError('ERR_HEAP_CLOSED', 'this hash table, or its area, was detached here');
  }
  if (t.control[t.at + C_MAGIC] !== DSHASH_MAGIC) {
    throw new SharedHeapError('ERR_HEAP_BAD_HANDLE', 'the hash table was destroyed', {
      hint: 'Only the last user may destroy a table.',
    });
  }
}

/**
 * What every operation that locks begins with. @throws as {@link requireOpen}, ERR_HEAP_LOCK_SELF when an entry of the
 * table is locked by this participant already
 */
export function requireUnlocked(t: TableState): void {
  requireOpen(t);
  if (!holdsAnyPartition(t)) return;
  throw new SharedHeapError('ERR_HEAP_LOCK_SELF', 'this participant has an entry of the hash table locked already', {
    hint: 'Release the entry, or end the scan, before the next operation on the same table.',
  });
}
