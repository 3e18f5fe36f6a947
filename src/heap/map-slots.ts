/**
 * Memory of nodes: one partition's chunks, cut into slots by two lanes, and its free lists.
 *
 * Everything here runs under the exclusive lock of the partition at `m.part` and does not throw. A thread that dies in here leaves
 * the partition locked. What a partition has taken it keeps until the map is cleared; freed slots are used again by
 * nodes of the same size class in the same partition.
 */

import { DSA_ALLOC_NO_OOM } from '../dsa/dsa.js';
import {
  CHUNK_HEADER,
  LANE_BUMP,
  LANE_CHUNK_SIZE,
  LANE_LEFT,
  LARGEST_CHUNK,
  LARGEST_SLOT,
  OWN_OBJECT,
  P_CHUNKS,
  P_FREE,
  SLOT_SIZES,
  SMALLEST_CHUNK,
} from './map-layout.js';
import { allocate, giveUp, hiOf, loOf, wordIndex, wordsOf } from './map-memory.js';
import type { MapState } from './map-state.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see dsa/allocate.ts). */
const WORDS_4_GIB = 2 ** 30;
const BUMP = LANE_BUMP;
const LEFT = LANE_LEFT;
const FREE = P_FREE;
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

/**
 * Takes a slot for a node of so many bytes in the partition at `m.part`. Leaves its pointer in `m.lo`, `m.hi` and the
 * words of its segment in `m.words`.
 *
 * @returns its word index there, or -1 with `failure` set; nothing has changed then
 */
export function takeSlot(m: MapState, bytes: number): number {
  if (bytes > LARGEST) return takeObject(m, bytes);
  const st = m.parts;
  const b = m.part + m.lane;
  const slotClass = CLASS_OF[(bytes + 7) >>> 3]!;
  const size = SIZES[slotClass]!;
  const left = st[b + LEFT]!;
  if (left < size) return takeAgain(m, b, slotClass);
  const lo = st[b + BUMP]!;
  const hi = st[b + BUMP + 1]!;
  const words = wordsOf(m, hi);
  if (words.length === 0) return -1;
  const next = (lo + size) | 0;
  st[b + BUMP] = next;
  // A chunk may lie across a multiple of 4 GiB.
  if (next >>> 0 < size) st[b + BUMP + 1] = hi + 1;
  st[b + LEFT] = left - size;
  m.lo = lo;
  m.hi = hi;
  m.words = words;
  return (hi & 0xff) * WORDS_4_GIB + (lo >>> 2);
}

/** The newest chunk has no room: a freed slot, or a new chunk. */
function takeAgain(m: MapState, b: number, slotClass: number): number {
  const st = m.parts;
  const head = m.part + FREE + 2 * slotClass;
  const lo = st[head]!;
  const hi = st[head + 1]!;
  const size = SIZES[slotClass]!;
  if ((lo | hi) === 0) return addChunk(m, b, size) ? takeSlot(m, size) : -1;
  const words = wordsOf(m, hi);
  if (words.length === 0) return -1;
  const at = wordIndex(lo, hi);
  st[head] = words[at]!;
  st[head + 1] = words[at + 1]!;
  m.lo = lo;
  m.hi = hi;
  m.words = words;
  return at;
}

function advance(m: MapState, b: number, size: number): void {
  const st = m.parts;
  const next = (st[b + BUMP]! + size) | 0;
  st[b + BUMP] = next;
  // A chunk may lie across a multiple of 4 GiB.
  if (next >>> 0 < size) st[b + BUMP + 1] = st[b + BUMP + 1]! + 1;
  st[b + LEFT] = st[b + LEFT]! - size;
}

/** Allocates the next chunk and makes it the newest. What is left of the one before becomes free slots. */
function addChunk(m: MapState, b: number, size: number): boolean {
  const st = m.parts;
  let bytes = Math.min(LARGEST_CHUNK, Math.max(SMALLEST_CHUNK, st[b + LANE_CHUNK_SIZE]! * 2));
  while (bytes < size + CHUNK_HEADER) bytes *= 2;
  const chunk = allocate(m, bytes, DSA_ALLOC_NO_OOM);
  if (chunk === 0) return false;
  const lo = loOf(chunk);
  const hi = hiOf(chunk);
  const words = wordsOf(m, hi);
  if (words.length === 0) return giveUp(m, chunk);
  if (!shareRest(m, b)) return giveUp(m, chunk);
  const at = wordIndex(lo, hi);
  words[at] = st[m.part + P_CHUNKS]!;
  words[at + 1] = st[m.part + P_CHUNKS + 1]!;
  st[m.part + P_CHUNKS] = lo;
  st[m.part + P_CHUNKS + 1] = hi;
  st[b + BUMP] = lo;
  st[b + BUMP + 1] = hi;
  st[b + LEFT] = bytes;
  st[b + LANE_CHUNK_SIZE] = bytes;
  advance(m, b, CHUNK_HEADER);
  return true;
}

/** Makes free slots of what is left of the newest chunk. */
function shareRest(m: MapState, b: number): boolean {
  const st = m.parts;
  if (st[b + LEFT]! < SIZES[0]!) return true;
  if (wordsOf(m, st[b + BUMP + 1]!).length === 0) return false;
  for (let c = SIZES.length - 1; c >= 0; c--) {
    while (st[b + LEFT]! >= SIZES[c]!) {
      const lo = st[b + BUMP]!;
      const hi = st[b + BUMP + 1]!;
      advance(m, b, SIZES[c]!);
      freeSlot(m, c, lo, hi, wordsOf(m, hi), wordIndex(lo, hi));
    }
  }
  return true;
}

/** An object of its own for a long node. */
function takeObject(m: MapState, bytes: number): number {
  const object = allocate(m, bytes, DSA_ALLOC_NO_OOM);
  if (object === 0) return -1;
  const lo = loOf(object);
  const hi = hiOf(object);
  const words = wordsOf(m, hi);
  if (words.length === 0) {
    giveUp(m, object);
    return -1;
  }
  m.lo = lo;
  m.hi = hi;
  m.words = words;
  return wordIndex(lo, hi);
}

/** Puts a slot that no cell leads to on its free list. Not for objects of their own: those are freed after unlocking. */
export function freeSlot(m: MapState, slotClass: number, lo: number, hi: number, words: Int32Array, at: number): void {
  const st = m.parts;
  const head = m.part + FREE + 2 * slotClass;
  words[at] = st[head]!;
  words[at + 1] = st[head + 1]!;
  st[head] = lo;
  st[head + 1] = hi;
}
