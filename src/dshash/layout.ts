/**
 * The table in shared memory, byte for byte as PostgreSQL's lib/dshash.c lays it out on 64-bit machines.
 *
 *     control (3112 bytes)                  buckets: 2^size_log2 pointers        item: 16 + entry_size bytes
 *     0     handle                          ┌────────────────────┐               0   next item of the bucket
 *     8     magic                           │ head of bucket 0   │─────────────> 8   hash of the key
 *     16    128 × {lock 16, count 8}        │ head of bucket 1   │               12  unused
 *     3088  tranche of the locks            │ ...                │               16  the entry: key first
 *     3096  size_log2, 3104 buckets         └────────────────────┘
 *
 * Partition and bucket of a key come from the top bits of its hash, so a doubling splits bucket b into 2b and 2b + 1 and
 * no key ever changes its partition.
 */

import { agreementHash, array, dp, i32, lock, nested, size, struct, u32 } from '../layout/layout.js';

const PARTITION = 'written under the exclusive, read under any mode of the lock of its partition';
const ALL = 'written with all partition locks held exclusively, read under any one of them';
const FROZEN = 'frozen: written at creation, read by all';

/** One of the parts that are locked for themselves. */
const DshashPartition = struct(
  'dshash_partition',
  'lib/dshash.c',
  {
    lock: lock('protects the items and buckets of the partition'),
    count: size(`${PARTITION}; also read without it, for sizes that are out of date anyway`),
  },
  24,
);

/** Partitions of every table, and how many bits of the hash choose one. Lower: more waiting. Higher: resizing and scans slow down, and a participant could not hold all locks. */
export const NUM_PARTITIONS = 128;
export const NUM_PARTITIONS_LOG2 = 7;

/** The control object. */
export const DshashControl = struct(
  'dshash_table_control',
  'lib/dshash.c',
  {
    handle: dp(FROZEN),
    magic: u32(`${FROZEN}; wiped when the table is destroyed`),
    partitions: array(NUM_PARTITIONS, nested(DshashPartition, 8, 'see there')),
    lwlock_tranche_id: i32(FROZEN),
    size_log2: size(ALL),
    buckets: dp(ALL),
  },
  3112,
);

/** What stands in front of every entry. */
const DshashItem = struct(
  'dshash_table_item',
  'lib/dshash.c',
  {
    next: dp(PARTITION),
    hash: u32('written before the item is linked, then frozen'),
    unused: u32('padding in C, too'),
  },
  16,
);

/** Layouts that all users of hash tables must agree on, besides those of areas. */
export const DSHASH_AGREED: readonly string[] = ['dshash_partition', 'dshash_table_control', 'dshash_table_item'];
/** Hash over them; its version counts changes that no layout shows, such as another hash function. */
export const DSHASH_LAYOUT_HASH: number = agreementHash(1, DSHASH_AGREED);

/** Tells a table from other memory; C's number. */
export const DSHASH_MAGIC = 0x75ff6a20;
/** Bytes in front of an entry. */
export const ITEM_HEADER = DshashItem.SIZEOF;
/**
 * Most buckets, as a power of two. Lower: chains grow from there on. Higher: the hash has only 32 bits, and the array
 * would take 16 GiB already.
 */
export const MAX_SIZE_LOG2 = 31;

/* Word offsets in the control object. */
export const C_MAGIC = DshashControl.magic / 4;
export const C_PARTITIONS = DshashControl.partitions / 4;
export const C_TRANCHE = DshashControl.lwlock_tranche_id / 4;
export const C_SIZE_LOG2 = DshashControl.size_log2 / 4;
export const C_BUCKETS = DshashControl.buckets / 4;
/** Words from one partition to the next, and from a partition to its count. */
export const PARTITION_WORDS = DshashPartition.SIZEOF / 4;
export const P_COUNT = DshashPartition.count / 4;
/** Word of the hash in an item; the link is at 0. */
export const I_HASH = DshashItem.hash / 4;

/** Partition of a hash. */
export function partitionOf(hash: number): number {
  return hash >>> (32 - NUM_PARTITIONS_LOG2);
}

/** Items in a partition beyond which an insertion makes the table grow: three quarters of its buckets. */
export function growBound(sizeLog2: number): number {
  const buckets = 2 ** (sizeLog2 - NUM_PARTITIONS_LOG2);
  return Math.floor(buckets / 2) + Math.floor(buckets / 4);
}
