/** A table as text: how the items are spread. PostgreSQL's dshash_dump; it takes all partition locks, shared, in order. */

import { NUM_PARTITIONS, NUM_PARTITIONS_LOG2 } from './layout.js';
import {
  corrupt,
  countOf,
  lockAllPartitions,
  refresh,
  tableError,
  type TableState,
  unlockPartitions,
  wordIndex,
  wordsOf,
} from './state.js';

/** @throws ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT */
export function dumpTable(t: TableState): string {
  if (!lockAllPartitions(t, false)) throw tableError(t, 'dump');
  const lines: string[] = [];
  const done = refresh(t) && describe(t, lines);
  unlockPartitions(t, NUM_PARTITIONS);
  if (!done) throw tableError(t, 'dump');
  return `${lines.join('\n')}\n`;
}

function describe(t: TableState, lines: string[]): boolean {
  lines.push(`hash table size = ${2 ** t.sizeLog2}`);
  const perPartition = 2 ** (t.sizeLog2 - NUM_PARTITIONS_LOG2);
  for (let partition = 0; partition < NUM_PARTITIONS; partition++) {
    lines.push(`  partition ${partition}`, `    active buckets (key count = ${countOf(t, partition)})`);
    let left = countOf(t, partition);
    for (let bucket = partition * perPartition; bucket < (partition + 1) * perPartition; bucket++) {
      const length = chainLength(t, bucket, left);
      if (length < 0) return false;
      left -= length;
      lines.push(`      bucket ${bucket} (key count = ${length})`);
    }
  }
  return true;
}

/** Items of a bucket, at most `limit`; -1 with `failure` set. */
function chainLength(t: TableState, bucket: number, limit: number): number {
  let words = t.buckets;
  let at = t.bucketWord + 2 * bucket;
  for (let length = 0; length <= limit; length++) {
    const lo = words[at]!;
    const hi = words[at + 1]!;
    if ((lo | hi) === 0) return length;
    words = wordsOf(t, hi);
    if (words.length === 0) return -1;
    at = wordIndex(lo, hi);
  }
  corrupt(t, `bucket ${bucket} has more items than its partition counts`);
  return -1;
}
