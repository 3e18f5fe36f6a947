/**
 * What `heap.map` keeps in shared memory.
 *
 *     block (registry)      partitions (main area)           cells of one partition (main area)
 *     partitions ─────────> 128 × {lock, table, memory} ───> 2^size × {tag, pointer to a node}
 *
 *     node:  fixed values (number, struct):   0 length and kind of the key   4 value   then key
 *            others:                          0 length and kind of the key   4 length of the value
 *                                             8 its kind, slot class        12 key, then value
 *
 * The top 7 bits of a key's hash choose its partition; the other 25, with a 1 behind them, are its tag. Everything that
 * belongs to a partition is found from its header and guarded by its lock alone, so no call but `clear` and `verify` looks at
 * two partitions, and no two partitions share a cache line. How cells are filled stands in map-table.ts.
 *
 * Keys and values begin at words; what is left of the last word of a key is zero, so that keys are compared word by word.
 *
 * Nodes do not come from the area one by one, since two inserting threads would meet at the lock of its pool for each: a
 * partition takes chunks of 128 bytes to 8 KiB and cuts them up under its own lock, which whoever inserts holds anyway.
 * It does so in two lanes, of which a participant uses one: neighbours in a chunk are then mostly written by one thread,
 * whose cache has the line. A freed node goes on its partition's free list of its size. Nodes above 512 bytes are
 * objects of their own.
 */

import { agreementHash, array, dp, i32, lock, nested, struct, u32 } from '../layout/layout.js';

const FROZEN = 'frozen: written by the creator of the map before others see it';
const PARTITION = 'under the exclusive lock of the partition';

/** A map's block in the registry. */
export const MapBlock = struct(
  'heap_map',
  'sharedheap',
  {
    partitions: dp(FROZEN),
    layout: u32(`${FROZEN}; MAP_LAYOUT_HASH of the creator, compared by everybody who opens the map`),
    first_log2: i32(`${FROZEN}; size of the first table of a partition, as a power of two`),
    key_kind: i32(FROZEN),
    value_kind: i32(FROZEN),
    value_bytes: i32(`${FROZEN}; 0 for values of any length`),
    schema: u32(`${FROZEN}; hash of the declaration of a struct, else 0`),
  },
  32,
);

/** Sizes of slots in bytes. All between two sizes take the larger one: at most a third is lost, a seventh mostly. */
export const SLOT_SIZES: readonly number[] = [
  16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512,
];
/** Largest slot; larger nodes are objects of the area. Higher: chunks are used badly. Lower: more calls of the area. */
export const LARGEST_SLOT = 512;
/** Slot class of a node that is an object of its own. */
export const OWN_OBJECT = 63;
/** Smallest chunk: what a partition with one entry takes. Each further one is twice as large, up to the largest. */
export const SMALLEST_CHUNK = 128;
/** Largest chunk: the largest object that the area cuts from a superblock. */
export const LARGEST_CHUNK = 8192;
/** Bytes at the start of a chunk: the pointer to the chunk before it. */
export const CHUNK_HEADER = 8;
/**
 * Lanes of a partition, a power of two. One: what one thread writes into a chunk, the next one has in no cache (20 ns of
 * an insertion by two threads at once). More: small maps take a chunk for each, and the header grows.
 */
export const LANES = 2;

/** Where a participant's nodes come from. */
const MapLane = struct(
  'heap_map_lane',
  'sharedheap',
  {
    bump: dp(`${PARTITION}: where the newest chunk of the lane goes on`),
    left: u32(`${PARTITION}: bytes behind bump in that chunk`),
    chunk_size: u32(`${PARTITION}: bytes of that chunk, 0 when there is none`),
  },
  16,
);

/**
 * One of the 128 parts of a map. Lock, table and lanes fill the first line of 64 bytes and no other is needed in steady
 * use; a stride of 128 bytes at least keeps the lines that processors fetch in pairs apart, too.
 */
export const MapPartition = struct(
  'heap_map_partition',
  'sharedheap',
  {
    lock: lock('everything of the partition: this header, its table, nodes and chunks'),
    table: dp(`${PARTITION}: its cells; 0 before the first entry`),
    size_log2: u32(`${PARTITION}: number of cells as a power of two; 0 without a table; + 256 while it is exchanged`),
    count: u32(`${PARTITION}: entries; also read without it, for a size that is out of date anyway`),
    lanes: array(LANES, nested(MapLane, 8, PARTITION)),
    chunks: dp(`${PARTITION}: the newest chunk, which leads to the one before`),
    free: array(SLOT_SIZES.length, dp(`${PARTITION}: free slots of each size, linked through their first 8 bytes`)),
    next: dp(`${PARTITION}: the grown table, while \`table\` is being exchanged for it`),
    next_log2: u32(`${PARTITION}: its size`),
    reserved: u32('unused'),
    unused: array(2, dp('unused')),
  },
  256,
);

/** A place for one entry in the table of a partition. 16 bytes would cross no line, but take a third more of the cache. */
const MapCell = struct(
  'heap_map_cell',
  'sharedheap',
  {
    tag: u32(`${PARTITION}: 0 free, 2 half moved, else what the hash has below the bits of the partition, and a 1`),
    node_lo: u32(`${PARTITION}: pointer to the node, low word; valid where the tag is odd`),
    node_hi: u32(`${PARTITION}: its high word`),
  },
  12,
);

/** Layouts that all who open a map must agree on. */
export const MAP_AGREED: readonly string[] = ['heap_map', 'heap_map_lane', 'heap_map_partition', 'heap_map_cell'];
/** Hash over them; its version counts changes that no layout shows, such as those of nodes. */
export const MAP_LAYOUT_HASH: number = agreementHash(2, MAP_AGREED);

/** Word offsets in a partition. */
export const PART_WORDS = MapPartition.SIZEOF / 4;
export const P_TABLE = MapPartition.table / 4;
export const P_SIZE_LOG2 = MapPartition.size_log2 / 4;
export const P_COUNT = MapPartition.count / 4;
export const P_LANES = MapPartition.lanes / 4;
export const P_CHUNKS = MapPartition.chunks / 4;
export const P_FREE = MapPartition.free / 4;
export const P_NEXT = MapPartition.next / 4;
export const P_NEXT_LOG2 = MapPartition.next_log2 / 4;
/** Above size_log2: `next` is whole and takes the place of `table`, of which one word may be new already. */
export const EXCHANGING = 256;
/** Words of a lane, and offsets in it. */
export const LANE_WORDS = MapLane.SIZEOF / 4;
export const LANE_BUMP = MapLane.bump / 4;
export const LANE_LEFT = MapLane.left / 4;
export const LANE_CHUNK_SIZE = MapLane.chunk_size / 4;

/** Partitions of every map, and how many bits of the hash choose one. Lower: more waiting. Higher: small maps take more, and clearing and loops lock more often. */
export const PARTITIONS = 128;
export const PARTITIONS_LOG2 = 7;

/** Words of a cell. */
export const CELL_WORDS = MapCell.SIZEOF / 4;
/** Tag of a cell whose pointer is being exchanged: it belongs to no key and ends no search. */
export const HALF_MOVED = 2;
/** Smallest table. Lower: it is outgrown at once; higher: maps with an entry in each partition take more. */
export const SMALLEST_LOG2 = 2;
/** Largest table of a partition: a tag has no more bits to tell homes apart. */
export const LARGEST_LOG2 = 25;

/** Word offsets in a node. */
export const N_KEY_META = 0;
/** Fixed values begin here. */
export const N_VALUE = 1;
/** Of other values: length in bytes; kind of the text in the low byte, slot class above it; then the key. */
export const N_VALUE_LENGTH = 1;
export const N_VALUE_META = 2;
export const N_KEY_AFTER_META = 3;

/** Kinds of keys. */
export const KEY_STRING = 1;
export const KEY_NUMBER = 2;
export const KEY_BYTES = 3;
/** Kinds of values. */
export const VALUE_NUMBER = 1;
export const VALUE_STRING = 2;
export const VALUE_BYTES = 3;
export const VALUE_JSON = 4;
export const VALUE_STRUCT = 5;

/** Longest key, in bytes as stored. Higher: a partition is locked for as long as a key is compared. */
export const MAX_KEY_BYTES = 2 ** 20;
/** Longest value, in bytes as stored: node and header must stay one ordinary allocation. */
export const MAX_VALUE_BYTES = 2 ** 29;
