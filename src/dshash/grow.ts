/**
 * Growing a table: twice the buckets, all items linked anew. PostgreSQL's resize.
 *
 * All 128 partition locks are held, taken in order, so at most one participant grows and nobody looks meanwhile. Whatever
 * can fail comes before the first change: the locks, the memory, the mappings of all segments in which items may lie. A
 * thread that dies in the middle leaves all partitions locked.
 */

import { DSA_ALLOC_HUGE, DSA_ALLOC_NO_OOM, DSA_ALLOC_ZERO } from '../dsa/dsa.js';
import { C_BUCKETS, C_SIZE_LOG2, I_HASH, NUM_PARTITIONS } from './layout.js';
import {
  allocate,
  corrupt,
  countOf,
  hiOf,
  lockPartition,
  loOf,
  pointerOf,
  refresh,
  type TableState,
  unlockPartition,
  unlockPartitions,
  useBuckets,
  wordIndex,
  wordsOf,
} from './state.js';

const WORDS_4_GIB = 2 ** 30;
const HASH = I_HASH;

/** Bytes of a bucket array. */
export function bucketBytes(sizeLog2: number): number {
  return 2 ** sizeLog2 * 8;
}

/**
 * Grows the table to 2^newLog2 buckets unless somebody has done that already. No partition lock may be held. Blocks on
 * all partition locks.
 *
 * @returns false with `failure` set; 'memory' when there is none for the array. Nothing has changed then
 */
export function grow(t: TableState, newLog2: number): boolean {
  for (let i = 0; i < NUM_PARTITIONS; i++) {
    if (!lockPartition(t, i, true)) {
      unlockPartitions(t, i);
      return false;
    }
    if (i === 0 && t.control[t.at + C_SIZE_LOG2]! >= newLog2) {
      unlockPartition(t, 0);
      return true;
    }
  }
  const old = pointerOf(t.control[t.at + C_BUCKETS]!, t.control[t.at + C_BUCKETS + 1]!);
  const done = refresh(t) && mapItems(t) && moveAll(t, newLog2);
  unlockPartitions(t, NUM_PARTITIONS);
  return done && freeArray(t, old);
}

/** The old array is nobody's any more, so it is freed without locks. False, with the table grown, when that fails. */
function freeArray(t: TableState, old: ReturnType<typeof pointerOf>): boolean {
  try {
    t.area.free(old);
    return true;
  } catch (error) {
    t.failure = 'thrown';
    t.thrown = error;
    return false;
  }
}

/** Maps every segment of the area here: an item may lie in any. New ones, made meanwhile, hold no items yet. */
function mapItems(t: TableState): boolean {
  if (t.area.mapAll()) return true;
  t.failure = 'area';
  return false;
}

function moveAll(t: TableState, newLog2: number): boolean {
  const flags = DSA_ALLOC_HUGE | DSA_ALLOC_ZERO | DSA_ALLOC_NO_OOM;
  const array = allocate(t, bucketBytes(newLog2), flags);
  if (array === 0) return false;
  const lo = loOf(array);
  const hi = hiOf(array);
  const words = wordsOf(t, hi);
  if (words.length === 0) return false;
  if (!relink(t, words, wordIndex(lo, hi), newLog2)) return false;
  t.control[t.at + C_BUCKETS] = lo;
  t.control[t.at + C_BUCKETS + 1] = hi;
  t.control[t.at + C_SIZE_LOG2] = newLog2;
  useBuckets(t, words, wordIndex(lo, hi), newLog2);
  return true;
}

/**
 * Links all items into the new array: old buckets in order, each chain from its head, each item to the head of its new
 * bucket, as C does. False when there are more items than the counts say: then a chain has no end.
 */
function relink(t: TableState, into: Int32Array, base: number, newLog2: number): boolean {
  const { maps } = t.area.state;
  const { buckets, bucketWord } = t;
  const shift = 32 - newLog2;
  const end = bucketWord + 2 * 2 ** t.sizeLog2;
  let left = 0;
  for (let i = 0; i < NUM_PARTITIONS; i++) left += countOf(t, i);
  for (let b = bucketWord; b < end; b += 2) {
    let lo = buckets[b]!;
    let hi = buckets[b + 1]!;
    while ((lo | hi) !== 0) {
      const a = maps[hi >>> 8]?.i32;
      if (a === undefined || a.length === 0 || left-- === 0) return corrupt(t, 'a chain does not end');
      const w = (hi & 0xff) * WORDS_4_GIB + (lo >>> 2);
      const nextLo = a[w]!;
      const nextHi = a[w + 1]!;
      const bucket = base + 2 * (a[w + HASH]! >>> shift);
      a[w] = into[bucket]!;
      a[w + 1] = into[bucket + 1]!;
      into[bucket] = lo;
      into[bucket + 1] = hi;
      lo = nextLo;
      hi = nextHi;
    }
  }
  return true;
}
