/**
 * Memory of nodes: one partition's chunks, cut into slots, and its free lists.
 *
 * Everything here runs under the exclusive lock of the partition and does not throw. A thread that dies in here leaves
 * the partition locked. What a partition has taken it keeps until the map is cleared; freed slots are used again by
 * nodes of the same size class in the same partition.
 */

import { DSA_ALLOC_NO_OOM } from '../dsa/dsa.js';
import { allocate, hiOf, loOf, wordIndex, wordsOf } from '../dshash/dshash.js';
import {
  CHUNK_HEADER,
  LARGEST_CHUNK,
  LARGEST_SLOT,
  OWN_OBJECT,
  SLOT_SIZES,
  SMALLEST_CHUNK,
  ST_BUMP,
  ST_CHUNK_SIZE,
  ST_CHUNKS,
  ST_FREE,
  ST_LEFT,
  STORE_WORDS,
} from './map-layout.js';
import type { MapState } from './map-state.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see dsa/allocate.ts). */
const WORDS_4_GIB = 2 ** 30;
const STRIDE = STORE_WORDS;
const BUMP = ST_BUMP;
const LEFT = ST_LEFT;
const FREE = ST_FREE;
const LARGEST = LARGEST_SLOT;
const OWN = OWN_OBJECT;
const SIZES = new Int32Array(SLOT_SIZES);
/** Slot class by size in units of 8 bytes, rounded up. */
const CLASS_OF = Uint8Array.from({ length: LARGEST / 8 + 1 }, (_, n) => SLOT_SIZES.findIndex((size) => size >= n * 8));

/** Slot class of a node of so many bytes. */
export function slotClassOf(bytes: number): number {
  return bytes <= LARGEST ? CLASS_OF[(bytes + 7) >>> 3]! : OWN;
}

/** Bytes of a slot class that is not {@link OWN_OBJECT}. */
export function slotSize(slotClass: number): number {
  return SIZES[slotClass]!;
}

/** Word of the store of a partition. */
export function storeWord(m: MapState, partition: number): number {
  return m.storeAt + partition * STRIDE;
}

/**
 * Takes a slot for a node of so many bytes. Leaves its pointer in `m.lo`, `m.hi` and the words of its segment in
 * `m.words`.
 *
 * @returns its word index there, or -1 with the table's `failure` set; nothing has changed then
 */
export function takeSlot(m: MapState, partition: number, bytes: number): number {
  if (bytes > LARGEST) return takeObject(m, bytes);
  const st = m.stores;
  const b = m.storeAt + partition * STRIDE;
  const size = SIZES[CLASS_OF[(bytes + 7) >>> 3]!]!;
  const left = st[b + LEFT]!;
  if (left < size) return takeAgain(m, b, size);
  const lo = st[b + BUMP]!;
  const hi = st[b + BUMP + 1]!;
  const words = m.maps[hi >>> 8]!.i32;
  // A chunk that another participant took lies in a segment that may not be mapped here yet.
  if (words.length === 0) return takeSlowly(m, b, size);
  const next = (lo + size) | 0;
  st[b + BUMP] = next;
  if (next >>> 0 < size) st[b + BUMP + 1] = hi + 1;
  st[b + LEFT] = left - size;
  m.lo = lo;
  m.hi = hi;
  m.words = words;
  return (hi & 0xff) * WORDS_4_GIB + (lo >>> 2);
}

/** The newest chunk has no room: a freed slot, or a new chunk. */
function takeAgain(m: MapState, b: number, size: number): number {
  const st = m.stores;
  const head = b + FREE + 2 * CLASS_OF[size >>> 3]!;
  const lo = st[head]!;
  const hi = st[head + 1]!;
  if ((lo | hi) === 0) return addChunk(m, b, size) ? takeSlowly(m, b, size) : -1;
  const words = wordsOf(m.t, hi);
  if (words.length === 0) return -1;
  const at = wordIndex(lo, hi);
  st[head] = words[at]!;
  st[head + 1] = words[at + 1]!;
  m.lo = lo;
  m.hi = hi;
  m.words = words;
  return at;
}

/** Takes a slot from the newest chunk, which has room, after mapping its segment. */
function takeSlowly(m: MapState, b: number, size: number): number {
  const st = m.stores;
  const lo = st[b + BUMP]!;
  const hi = st[b + BUMP + 1]!;
  const words = wordsOf(m.t, hi);
  if (words.length === 0) return -1;
  advance(m, b, size);
  m.lo = lo;
  m.hi = hi;
  m.words = words;
  return wordIndex(lo, hi);
}

function advance(m: MapState, b: number, size: number): void {
  const st = m.stores;
  const next = (st[b + BUMP]! + size) | 0;
  st[b + BUMP] = next;
  // A chunk may lie across a multiple of 4 GiB.
  if (next >>> 0 < size) st[b + BUMP + 1] = st[b + BUMP + 1]! + 1;
  st[b + LEFT] = st[b + LEFT]! - size;
}

/** Allocates the next chunk and makes it the newest. What is left of the one before becomes free slots. */
function addChunk(m: MapState, b: number, size: number): boolean {
  const st = m.stores;
  let bytes = Math.min(LARGEST_CHUNK, Math.max(SMALLEST_CHUNK, st[b + ST_CHUNK_SIZE]! * 2));
  while (bytes < size + CHUNK_HEADER) bytes *= 2;
  const chunk = allocate(m.t, bytes, DSA_ALLOC_NO_OOM);
  if (chunk === 0) return false;
  const lo = loOf(chunk);
  const hi = hiOf(chunk);
  const words = wordsOf(m.t, hi);
  if (words.length === 0) return giveUp(m, chunk);
  if (!shareRest(m, b)) return giveUp(m, chunk);
  const at = wordIndex(lo, hi);
  words[at] = st[b + ST_CHUNKS]!;
  words[at + 1] = st[b + ST_CHUNKS + 1]!;
  st[b + ST_CHUNKS] = lo;
  st[b + ST_CHUNKS + 1] = hi;
  st[b + BUMP] = lo;
  st[b + BUMP + 1] = hi;
  st[b + LEFT] = bytes;
  st[b + ST_CHUNK_SIZE] = bytes;
  advance(m, b, CHUNK_HEADER);
  return true;
}

/** Gives a chunk back that could not be used; the reason is kept. */
function giveUp(m: MapState, chunk: ReturnType<typeof allocate>): false {
  const { failure, thrown } = m.t;
  try {
    m.area.free(chunk as Exclude<typeof chunk, 0>);
  } catch {
    // The failure that led here is the one to tell; verify() of the heap counts the object.
  }
  m.t.failure = failure;
  m.t.thrown = thrown;
  return false;
}

/** Makes free slots of what is left of the newest chunk. */
function shareRest(m: MapState, b: number): boolean {
  const st = m.stores;
  if (st[b + LEFT]! < SIZES[0]!) return true;
  if (wordsOf(m.t, st[b + BUMP + 1]!).length === 0) return false;
  for (let c = SIZES.length - 1; c >= 0; c--) {
    while (st[b + LEFT]! >= SIZES[c]!) {
      const lo = st[b + BUMP]!;
      const hi = st[b + BUMP + 1]!;
      advance(m, b, SIZES[c]!);
      push(m, b, c, lo, hi, wordsOf(m.t, hi), wordIndex(lo, hi));
    }
  }
  return true;
}

function push(m: MapState, b: number, slotClass: number, lo: number, hi: number, words: Int32Array, at: number): void {
  const st = m.stores;
  const head = b + FREE + 2 * slotClass;
  words[at] = st[head]!;
  words[at + 1] = st[head + 1]!;
  st[head] = lo;
  st[head + 1] = hi;
}

/** An object of its own for a long node. */
function takeObject(m: MapState, bytes: number): number {
  const object = allocate(m.t, bytes, DSA_ALLOC_NO_OOM);
  if (object === 0) return -1;
  const lo = loOf(object);
  const hi = hiOf(object);
  const words = wordsOf(m.t, hi);
  if (words.length === 0) {
    giveUp(m, object);
    return -1;
  }
  m.lo = lo;
  m.hi = hi;
  m.words = words;
  return wordIndex(lo, hi);
}

/** Puts the slot of an unlinked node on its free list. Not for objects of their own: those are freed after unlocking. */
export function freeSlot(
  m: MapState,
  partition: number,
  slotClass: number,
  lo: number,
  hi: number,
  words: Int32Array,
  at: number,
): void {
  push(m, m.storeAt + partition * STRIDE, slotClass, lo, hi, words, at);
}
