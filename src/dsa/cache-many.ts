/**
 * Many objects at once between a cache and a list: the loops behind bulk.ts.
 *
 * They work on the tables of cache.ts, see there. What belongs to a superblock is looked up once for all objects in a row that
 * lie in it.
 */

import { ENTRY_CLASS_MASK, ENTRY_CLASS_SHIFT, ENTRY_PAGE_SHIFT, MAX_SEGMENTS } from './area-layout.js';
import {
  bottomOf,
  CACHE_LIMITS,
  CACHE_MAPS,
  CACHE_POINTERS,
  CACHE_STATES,
  CACHE_TOPS,
  setTop,
  unmarkFar,
} from './cache.js';
import { CLASS_RECIPROCAL, CLASS_SIZE, SLOT_SHIFT, SUPERBLOCK_SIZE } from './size-classes.js';
import { type AreaState, firstState, STATE_LIVE } from './state.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see allocate.ts). */
const imul = Math.imul;
const SEGMENTS = MAX_SEGMENTS;
const CLASS_SHIFT = ENTRY_CLASS_SHIFT;
const CLASS_MASK = ENTRY_CLASS_MASK;
const PAGE_SHIFT = ENTRY_PAGE_SHIFT;
const SIZES = CLASS_SIZE;
const RECIPROCALS = CLASS_RECIPROCAL;
const SHIFT = SLOT_SHIFT;
const LIVE = STATE_LIVE;
const SUPERBLOCK = SUPERBLOCK_SIZE;
const TWO_32 = 2 ** 32;
/** As in cache.ts. */
const SEGMENT_SHIFT = 3;
const tops = CACHE_TOPS;
const limits = CACHE_LIMITS;
const entries = CACHE_POINTERS;
const entryStates = CACHE_STATES;
const maps = CACHE_MAPS;

/** A list of pointers that bulk calls fill or read. */
export type Pointers = Float64Array | number[];

/**
 * Takes up to `n` objects of a class from the cache: {@link takeCached} in a row.
 *
 * @param out gets the pointers, from index `from` on
 * @returns how many there were
 */
export function takeMany(s: AreaState, sizeClass: number, out: Pointers, from: number, n: number): number {
  const { states } = s;
  const i = s.classes + sizeClass;
  const top = tops[i]!;
  const end = Math.max(top - n, bottomOf(s.block, sizeClass));
  for (let entry = top; entry > end; entry--) {
    const at = entryStates[entry]!;
    const pointer = entries[entry]!;
    out[from + top - entry] = pointer;
    if (at >= 0) states[at] = LIVE;
    else unmarkFar(s, pointer, at);
  }
  setTop(s, sizeClass, end);
  return top - end;
}

/** What {@link locate} found besides its result: class, pointer to the superblock, index of the state of its slot 0. */
let located = 0;
let blockStart = 0;
let blockState = 0;

/** Index of the state of the object at a pointer, for bulk calls; -1 when the hot path does not reach it, or it is no start of one. */
function locate(s: AreaState, pointer: unknown): number {
  if (typeof pointer !== 'number') return -1;
  const lo = pointer | 0;
  const hi = (pointer * (1 / TWO_32)) | 0;
  const index = hi >>> 8;
  if (index >= SEGMENTS || hi * TWO_32 + (lo >>> 0) !== pointer) return -1;
  const g = s.mapsAt + (index << SEGMENT_SHIFT);
  const page = ((hi & 0xff) << 20) | (lo >>> 12);
  if (page >= maps[g + 1]!) return -1;
  const entry = s.words[maps[g]! + 2 * page]!;
  const sizeClass = (entry >>> CLASS_SHIFT) & CLASS_MASK;
  if (sizeClass < 2) return -1;
  const inBlock = entry >>> PAGE_SHIFT;
  const distance = (inBlock << 12) | (lo & 0xfff);
  const k = imul(distance >>> 3, RECIPROCALS[sizeClass]!) >>> SHIFT;
  located = sizeClass;
  blockStart = pointer - distance;
  blockState = maps[g + 2]! + firstState(sizeClass, maps[g + 1]!, page - inBlock);
  return imul(k, SIZES[sizeClass]!) === distance ? blockState + k : -1;
}

/**
 * Puts live objects into the cache, in order: {@link giveCached} in a row, for areas with checks. What belongs to a
 * superblock is looked up once for all objects in a row that lie in it.
 *
 * @param from index of the first
 * @param n index behind the last
 * @param place false to mark them only, not to put them on the stacks
 * @returns the index of the first that was not taken, for any of the reasons given there; `n` when all were
 */
export function giveMany(s: AreaState, pointers: Pointers, from: number, n: number, place: boolean): number {
  const { words, states, mark } = s;
  if (words[s.counter] !== s.freedSeen) return from;
  let j = from;
  while (j < n) {
    if (locate(s, pointers[j]!) < 0) return j;
    const first = blockStart;
    const firstState = blockState;
    const size = SIZES[located]!;
    const reciprocal = RECIPROCALS[located]!;
    const i = s.classes + located;
    let top = tops[i]!;
    // Who takes back after a death looks for marks only in classes that have room.
    if (!place && limits[i] === bottomOf(s.block, located)) return j;
    const limit = place ? limits[i]! : top + n;
    let good = true;
    while (j < n) {
      const pointer = pointers[j]!;
      const distance = typeof pointer === 'number' ? pointer - first : -1;
      if (!(distance >= 0 && distance < SUPERBLOCK)) break;
      const k = imul(distance >>> 3, reciprocal) >>> SHIFT;
      const at = firstState + k;
      good = imul(k, size) === distance && states[at] === LIVE && top < limit;
      if (!good) break;
      states[at] = mark;
      j++;
      if (!place) continue;
      top++;
      entries[top] = pointer;
      entryStates[top] = at;
    }
    tops[i] = top;
    words[s.tops + located] = top;
    if (!good) return j;
  }
  return n;
}

/** Takes the first `n` of {@link giveMany} back, which nothing has been done to since. */
export function takeBackMany(s: AreaState, pointers: Pointers, n: number): void {
  for (let j = n - 1; j >= 0; j--) {
    s.states[locate(s, pointers[j]!)] = LIVE;
    setTop(s, located, tops[s.classes + located]! - 1);
  }
}

/** Makes an object that {@link giveMany} has marked live again. */
export function unmarkNear(s: AreaState, pointer: number): void {
  s.states[locate(s, pointer)] = LIVE;
}
