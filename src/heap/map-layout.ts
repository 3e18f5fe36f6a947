/**
 * What `heap.map` keeps in shared memory.
 *
 *     block (registry)      table (main area)               stores (main area)
 *     table ──────────────> dshash control, buckets         128 × {bump, left, chunks, free lists}
 *     stores ─────────────────────────────────────────────> one for each partition of the table
 *
 *     node:  0 next   8 hash   12 length and kind of the key     16 ...
 *            fixed values (number, struct):                      value, then key
 *            others:             16 length of the value   20 its kind, slot class   24 key, then value
 *
 * Next and hash are those of a dshash item, so growing, scanning and checking a table are dshash's. Keys and values
 * begin at words; what is left of the last word of a key is zero, so that keys are compared word by word.
 *
 * Nodes do not come from the area one by one, since two inserting threads would meet at the lock of its pool for each: a
 * partition takes chunks of 128 bytes to 8 KiB and cuts them up under its own lock, which whoever inserts holds anyway.
 * A freed node goes on its partition's free list of its size. Nodes above 512 bytes are objects of their own.
 */

import { array, dp, i32, struct, u32 } from '../layout/layout.js';

const FROZEN = 'frozen: written by the creator of the map before others see it';
const PARTITION = 'under the exclusive lock of its partition';

/** A map's block in the registry. */
export const MapBlock = struct(
  'heap_map',
  'sharedheap',
  {
    table: dp(FROZEN),
    stores: dp(FROZEN),
    key_kind: i32(FROZEN),
    value_kind: i32(FROZEN),
    value_bytes: i32(`${FROZEN}; 0 for values of any length`),
    schema: u32(`${FROZEN}; hash of the declaration of a struct, else 0`),
  },
  32,
);

/** Sizes of slots in bytes. All between two sizes take the larger one: at most a quarter is lost, a seventh mostly. */
export const SLOT_SIZES: readonly number[] = [
  24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512,
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

/** Memory of one partition. */
export const MapStore = struct(
  'heap_map_store',
  'sharedheap',
  {
    bump: dp(`${PARTITION}: where the newest chunk goes on`),
    left: u32(`${PARTITION}: bytes behind bump in that chunk`),
    chunk_size: u32(`${PARTITION}: bytes of the newest chunk, 0 when there is none`),
    chunks: dp(`${PARTITION}: the newest chunk, which leads to the one before`),
    free: array(SLOT_SIZES.length, dp(`${PARTITION}: free slots of each size, linked through their first 8 bytes`)),
    reserved: array(3, dp('unused')),
  },
  192,
);

/** Word offsets in a store. */
export const STORE_WORDS = MapStore.SIZEOF / 4;
export const ST_BUMP = MapStore.bump / 4;
export const ST_LEFT = MapStore.left / 4;
export const ST_CHUNK_SIZE = MapStore.chunk_size / 4;
export const ST_CHUNKS = MapStore.chunks / 4;
export const ST_FREE = MapStore.free / 4;

/** Word offsets in a node. */
export const N_KEY_META = 3;
/** Fixed values begin here. */
export const N_VALUE = 4;
/** Of other values: length in bytes; kind of the text in the low byte, slot class above it; then the key. */
export const N_VALUE_LENGTH = 4;
export const N_VALUE_META = 5;
export const N_KEY_AFTER_META = 6;

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
