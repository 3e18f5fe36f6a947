/**
 * Opening and closing the cache of an attachment.
 *
 *     attach ── openCache ──> block of the private tables, slot of the shared table     caching
 *     detach, close ── closeCache ──> all objects back in their pools, room given back   not caching
 *
 * An attachment that does not get that far goes without a cache: its calls work on the pools, as with `cache: false`. Where
 * an attachment ends without closing its cache (its thread dies, its mappings go with a resource owner, a lock stalls), the slot
 * keeps its generation, and the next one who attaches or runs out of memory takes back what is marked (cache-sweep.ts).
 */

import { load, store } from '#atomic';
import { AreaControl } from './area-layout.js';
import { giveRoomBack } from './cache-budget.js';
import { emptyStack } from './cache-exchange.js';
import { emptyLarge } from './cache-large.js';
import { CS_BOTTOMS, CS_GENERATION, CS_TOPS, MAX_CACHING_SLOTS } from './cache-layout.js';
import { sweepCaches, takeBackCache } from './cache-sweep.js';
import {
  cachedCount,
  classesOf,
  closeBlock,
  giveCached,
  giveUnchecked,
  NO_BLOCK,
  openBlock,
  segmentsOf,
  setCacheLimit,
} from './cache.js';
import { noteMapping } from './cache-map.js';
import { hasStalled } from './mapping.js';
import { CLASS_LARGE, NUM_SIZE_CLASSES } from './size-classes.js';
import { type AreaState, NO_STATE } from './state.js';

/** Highest index that the engine takes as a small one; beyond it an access costs ten times as much, or is refused. */
const NEAR = 2 ** 31 - 1;

/** Opens the cache of a fresh attachment, if its area has caches. Takes no lock unless a slot must be swept first. */
export function openCache(s: AreaState): void {
  if (s.cacheTable.length === 0) return;
  sweepCaches(s);
  const { p, cacheTable, cacheSlot } = s;
  const former = load(cacheTable, cacheSlot + CS_GENERATION);
  // What a former owner of the slot has left has our mark.
  if (p.slot >= MAX_CACHING_SLOTS || (former !== 0 && !takeBackCache(s, p.slot, former))) return;
  const tops = (cacheTable.byteOffset + 4 * (cacheSlot + CS_TOPS)) / 4;
  const counter = (s.byteOffset + AreaControl.freed_segment_counter) / 4;
  if (tops + NUM_SIZE_CLASSES > NEAR) return;
  s.block = openBlock();
  if (s.block === NO_BLOCK) return;
  store(cacheTable, cacheSlot + CS_GENERATION, p.generation);
  s.words = new Int32Array(s.buffer, 0, Math.min(Math.floor(s.buffer.byteLength / 4), NEAR));
  s.states = new Uint16Array(s.buffer, 0, Math.min(Math.floor(s.buffer.byteLength / 2), NEAR));
  s.classes = classesOf(s.block);
  s.mapsAt = segmentsOf(s.block);
  s.counter = counter;
  s.tops = tops;
  s.give = s.checks ? giveCached : giveUnchecked;
  s.caching = true;
  for (let index = 0; index < s.maps.length; index++) noteMapping(s, index);
}

/** Tells whether there is anything in the cache, which is open. */
export function hasCached(s: AreaState): boolean {
  for (let c = CLASS_LARGE + 1; c < NUM_SIZE_CLASSES; c++) if (cachedCount(s.block, c) > 0) return true;
  return s.largeCached > 0;
}

/**
 * Gives back everything that is cached, and the room for it. The cache stays open, empty.
 *
 * @returns false with `failure` set when something stays
 */
export function emptyCache(s: AreaState): boolean {
  if (!s.caching) return true;
  s.failure = 'none';
  let done = emptyLarge(s);
  // One wait for a lock that stalls is enough: there may be one for every superblock that gets empty.
  for (let c = CLASS_LARGE + 1; c < NUM_SIZE_CLASSES && !hasStalled(s); c++) done = emptyStack(s, c) && done;
  done = done && !hasStalled(s);
  if (!done) return false;
  for (let c = CLASS_LARGE + 1; c < NUM_SIZE_CLASSES; c++) {
    setCacheLimit(s.block, c, 0);
    s.cacheTable[s.cacheSlot + CS_BOTTOMS + c] = 0;
    s.cacheTable[s.cacheSlot + CS_TOPS + c] = 0;
  }
  s.largeRoom = 0;
  giveRoomBack(s, s.cacheSlot);
  return true;
}

/** Empties and closes the cache. What stays is found by its marks later. */
export function closeCache(s: AreaState): void {
  if (!s.caching) return;
  if (emptyCache(s)) store(s.cacheTable, s.cacheSlot + CS_GENERATION, 0);
  abandonCache(s);
}

/** The attachment cannot be used any more: forgets its stacks. */
export function abandonCache(s: AreaState): void {
  s.caching = false;
  closeBlock(s.block);
  s.block = NO_BLOCK;
  s.classes = classesOf(NO_BLOCK);
  s.mapsAt = segmentsOf(NO_BLOCK);
  s.words = s.ctl;
  s.states = NO_STATE;
  s.counter = AreaControl.freed_segment_counter / 4;
  s.largeCached = 0;
  s.largePages = 0;
  s.largeRoom = 0;
}
