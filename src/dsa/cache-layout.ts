/**
 * Participant caches: what of them lies in shared memory, and how much they may hold.
 *
 * The table lies behind the attachment table in the tail of segment 0, outside the area's counted size; areas that are
 * created without caches have none. A slot belongs to the participant with the same slot number. The cached objects
 * themselves are told by the state table: a slot of a superblock that a participant caches has that participant's
 * mark there. The marks are the truth; the stacks (cache.ts) are private and follow from them, so a thread that dies
 * takes nothing along: whoever finds that it is gone looks for its marks (cache-sweep.ts).
 */

import { array, i32, struct } from '../layout/layout.js';
import { CLASS_SIZE, NUM_SIZE_CLASSES } from './size-classes.js';

const OWNER =
  'written by the participant with plain stores, once it is gone under the lock of the pool (large: the area) by who takes back; read by reports';

/** One for each participant slot. */
export const CacheSlot = struct(
  'dsa_cache_slot',
  'sharedheap',
  {
    generation: i32(
      'atomic: whose marks there may be, 0 for nobody; set by the owner, cleared by the owner or who took back',
    ),
    granted: i32(
      'atomic: the room it has, units of 8 bytes; written by the owner, and by who takes back under the area lock; read by all',
    ),
    large_count: i32(`large objects in the cache; ${OWNER}`),
    large_pages: i32(`their pages; ${OWNER}`),
    tops: array(NUM_SIZE_CLASSES, i32(`by size class: end of the stack; ${OWNER}`)),
    bottoms: array(
      NUM_SIZE_CLASSES,
      i32(`by size class: start of the stack, 0 as long as the class is not cached; ${OWNER}`),
    ),
  },
  320,
);

/** Word offsets in a slot. */
export const CS_GENERATION = CacheSlot.generation / 4;
export const CS_GRANTED = CacheSlot.granted / 4;
export const CS_LARGE_COUNT = CacheSlot.large_count / 4;
export const CS_LARGE_PAGES = CacheSlot.large_pages / 4;
export const CS_TOPS = CacheSlot.tops / 4;
export const CS_BOTTOMS = CacheSlot.bottoms / 4;

/** Word of the cache slot of participant slot `slot`. */
export function cacheSlotWord(slot: number): number {
  return (slot * CacheSlot.SIZEOF) / 4;
}

/** State of an object in the cache of participant slot n: this + n. Free for the program, allocated for its pool. */
export const STATE_CACHED = 0x8000;

/**
 * Most participant slots whose marks fit between the links of free lists (below 8192) and the other states (from 0xfff0
 * on). Participants beyond have no cache.
 */
export const MAX_CACHING_SLOTS = 0xfff0 - STATE_CACHED;

/**
 * Most objects of a class in one cache. Random traffic lets the number of free objects of a class wander; the stack runs
 * full or dry each time it has wandered half its length, after a number of calls that grows with the square. With 32
 * objects the exchanges with the pool took 4 ns a call in a mix of 24 classes, with 128 less than 1. More than 256 gains nothing.
 */
const MOST_OBJECTS = 256;
/** Most bytes of a class in one cache, where that is less. Lower: classes of some KiB are exchanged more often. Higher: idle threads keep more. */
const MOST_BYTES = 131_072;

/** Whole rows of this many objects: the states of one row lie in one line of the processor's caches. */
const ROW = 32;

function wholeRows(objects: number): number {
  return objects < ROW ? objects : objects - (objects % ROW);
}

/** Most cached objects by class; 0 for the two special ones. All classes together: 2.1 MiB. */
export const CACHE_OBJECTS: Int32Array = Int32Array.from(CLASS_SIZE, (bytes, c) =>
  c < 2 ? 0 : wholeRows(Math.min(MOST_OBJECTS, Math.floor(MOST_BYTES / bytes))),
);

/**
 * Objects, and bytes where that is less, for which a class gets room at first; it doubles when that proves too small. A
 * batch is half of it: a row, so that the states of what two threads take from one superblock do not share lines, which
 * both would write with every call. Lower: they do, and two threads together were no faster than 1.2 times one, with
 * 10,000 live objects of 8 to 1024 bytes. Higher: a class that is hardly used takes more.
 */
const FIRST_OBJECTS = 2 * ROW;
const FIRST_BYTES = 65_536;

/** Room in objects that a class gets at first; at least 2, or nothing would ever stay. */
export const CACHE_FIRST: Int32Array = Int32Array.from(CLASS_SIZE, (bytes, c) =>
  c < 2 ? 0 : Math.max(2, Math.min(FIRST_OBJECTS, Math.floor(FIRST_BYTES / bytes))),
);

/** Most large objects in one cache. They are looked through one by one, so more would make a miss dearer than it saves. */
export const CACHE_LARGE_OBJECTS = 16;
/** Pages of the largest one (1 MiB). Above, touching the memory costs far more than having it. */
export const CACHE_LARGEST_PAGES = 256;
/** Most pages of large objects in one cache (4 MiB). Lower: programs with a few buffers of 1 MiB miss. Higher: idle threads keep more. */
export const CACHE_LARGE_PAGES = 1024;

/** Bytes of the table for so many participant slots. */
export function cacheTableBytes(participants: number): number {
  return participants * CacheSlot.SIZEOF;
}
