/**
 * How much all caches of an area may hold together.
 *
 * Why there is a bound: free objects in the cache of a thread that does nothing cannot be had by others, so what all
 * caches hold must stay small beside what the heap may have. It is an eighth of that: of the size limit where one is
 * set, else of the region; on `buffers` without a limit each cache has only its own. Room is granted class by class, before an object enters a cache, and given back when the cache is
 * emptied; so an allocation never fails while more than an eighth of the heap's limit lies in caches. A cache that gets
 * no room does without: its calls go to the pools.
 *
 * No lock, and no sum that is kept: what a participant has is in its slot only, so that a thread which dies between two steps
 * leaves nothing that adds up wrongly. Who wants more writes that into its slot first, then adds all slots up, and takes it back
 * if that is too much. Of two who do so at the same moment, the one that adds up later sees both: together they never get too
 * much; at worst neither gets any.
 */

import { add, load, store, sub } from '#atomic';
import { CACHE_FIRST, CACHE_OBJECTS, cacheSlotWord, CS_BOTTOMS, CS_GRANTED, CS_TOPS } from './cache-layout.js';
import { bottomOf, cacheLimit, setCacheLimit } from './cache.js';
import { sizeLimit } from './segments.js';
import { CLASS_SIZE, PAGE_SIZE } from './size-classes.js';
import type { AreaState } from './state.js';

/** The part of what the heap may have. Lower: tight heaps get no caches. Higher: more of a tight heap may be out of reach. */
const PART = 8;
/** Bytes of a unit of room. Lower: a word could not count an eighth of a large region. Higher: not all sizes are multiples of it. */
const UNIT = 8;

/** Number of cache slots in the area's table that may be in use. */
export function cacheSlots(s: AreaState): number {
  return s.cacheTable.length === 0 ? 0 : Math.min(s.attachments.length, s.dsm.table.highWater());
}

/** Units of room that all caches have together. */
export function grantedRoom(s: AreaState): number {
  let units = 0;
  for (let slot = cacheSlots(s) - 1; slot >= 0; slot--) units += load(s.cacheTable, cacheSlotWord(slot) + CS_GRANTED);
  return units;
}

/** The same as far as plain loads see it, 1 ns a slot: enough to refuse, not to grant. */
function roomAtAGlance(s: AreaState): number {
  let units = 0;
  for (let slot = cacheSlots(s) - 1; slot >= 0; slot--) units += s.cacheTable[cacheSlotWord(slot) + CS_GRANTED]!;
  return units;
}

/** Units of room that all caches may have together now. */
export function cacheBound(s: AreaState): number {
  const store = s.listens ? Number.POSITIVE_INFINITY : s.dsm.control.buffer.byteLength;
  return Math.floor(Math.min(sizeLimit(s), store) / PART / UNIT);
}

/** Asks for room; the participant's thread. False when there is none. */
function grant(s: AreaState, units: number): boolean {
  const bound = cacheBound(s);
  // Classes that get no room ask at every call.
  if (roomAtAGlance(s) + units > bound) return false;
  const own = s.cacheSlot + CS_GRANTED;
  add(s.cacheTable, own, units);
  if (grantedRoom(s) <= bound) return true;
  sub(s.cacheTable, own, units);
  return false;
}

/** Gives all room of the slot at word `slot` of the table back: its cache is empty. */
export function giveRoomBack(s: AreaState, slot: number): void {
  store(s.cacheTable, slot + CS_GRANTED, 0);
}

/**
 * Doubles the room of a class, or gives it its first. Called when a stack ran dry or full: then the class is in use.
 *
 * @returns false when it has the most that a class may have, or no room is left
 */
export function growCache(s: AreaState, sizeClass: number): boolean {
  const had = cacheLimit(s.block, sizeClass);
  let wanted = had === 0 ? CACHE_FIRST[sizeClass]! : Math.min(2 * had, CACHE_OBJECTS[sizeClass]!);
  if (wanted <= had) return false;
  while (!grant(s, ((wanted - had) * CLASS_SIZE[sizeClass]!) / UNIT)) {
    // In a tight heap a class begins with what there is. A stack of one would be empty or full with every call.
    if (had > 0 || wanted < 4) return false;
    wanted >>= 1;
  }
  // Before the first mark: who takes back looks at classes that have a bottom.
  if (had === 0) {
    const bottom = bottomOf(s.block, sizeClass);
    // Empty until something is put on it, which may fail.
    s.cacheTable[s.cacheSlot + CS_TOPS + sizeClass] = bottom;
    s.cacheTable[s.cacheSlot + CS_BOTTOMS + sizeClass] = bottom;
  }
  setCacheLimit(s.block, sizeClass, wanted);
  return true;
}

/** Asks for room for a run of pages. */
export function grantPages(s: AreaState, npages: number): boolean {
  return grant(s, (npages * PAGE_SIZE) / UNIT);
}
