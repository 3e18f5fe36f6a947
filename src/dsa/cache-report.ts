/**
 * What lies in the caches of an area, for reports: read from the shared table, without a lock.
 *
 * While others are at work each number is from a moment of its own. A slot is read only while it has a generation.
 */

import { cacheSlots } from './cache-budget.js';
import { cacheSlotWord, CS_BOTTOMS, CS_GENERATION, CS_LARGE_COUNT, CS_LARGE_PAGES, CS_TOPS } from './cache-layout.js';
import { CLASS_LARGE, CLASS_SIZE, NUM_SIZE_CLASSES, PAGE_SIZE } from './size-classes.js';
import type { AreaState } from './state.js';

/** Objects in caches. */
export interface CachedCounts {
  /** By size class; large objects under theirs. */
  readonly objects: Int32Array;
  /** Pages of the large ones. */
  largePages: number;
  /** Usable bytes of all of them. */
  bytes: number;
}

/** Adds up the cache of one participant slot, or of all. */
export function cachedCounts(s: AreaState, only = -1): CachedCounts {
  const counts: CachedCounts = { objects: new Int32Array(NUM_SIZE_CLASSES), largePages: 0, bytes: 0 };
  for (let slot = 0; slot < cacheSlots(s); slot++) {
    const word = cacheSlotWord(slot);
    if ((only >= 0 && slot !== only) || s.cacheTable[word + CS_GENERATION] === 0) continue;
    for (let c = CLASS_LARGE + 1; c < NUM_SIZE_CLASSES; c++) {
      const bottom = s.cacheTable[word + CS_BOTTOMS + c]!;
      const n = bottom === 0 ? 0 : Math.max(0, s.cacheTable[word + CS_TOPS + c]! - bottom);
      counts.objects[c] = counts.objects[c]! + n;
      counts.bytes += n * CLASS_SIZE[c]!;
    }
    counts.objects[CLASS_LARGE] = counts.objects[CLASS_LARGE]! + s.cacheTable[word + CS_LARGE_COUNT]!;
    counts.largePages += s.cacheTable[word + CS_LARGE_PAGES]!;
  }
  counts.bytes += counts.largePages * PAGE_SIZE;
  return counts;
}
