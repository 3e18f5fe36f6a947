/**
 * Numbers about an area, as plain data: objects, bytes, and where the bytes are.
 *
 * Takes the area lock, then one pool lock after the other, so while others allocate the parts are moments apart. Cost:
 * O(spans + free runs), not objects. Segments that were not met yet are attached, quietly (see peek.ts). Walks are bounded.
 */

import { isAllOnes64, ld64 } from '../layout/layout.js';
import {
  C_HIGH,
  C_LIMIT,
  C_SEGMENT_HANDLES,
  C_TOTAL,
  FULLNESS_CLASSES,
  MAX_SEGMENTS,
  S_NALLOC_FIRST,
  S_NEXT,
  S_NPAGES,
} from './area-layout.js';
import { cachedCounts } from './cache-report.js';
import { checkForFreedSegments, checkForFreedSegmentsLocked } from './mapping.js';
import { peekManager, peekSegment } from './peek.js';
import { wordOf } from './pointer.js';
import { CLASS_CAPACITY, CLASS_LARGE, CLASS_SIZE, NUM_SIZE_CLASSES, PAGE_SIZE } from './size-classes.js';
import { listWord, lockPool, unlockPool } from './spans.js';
import type { AreaState } from './state.js';

/** One size class that has superblocks. */
export interface ClassStats {
  /** 2 .. 37. */
  readonly sizeClass: number;
  /** Bytes of an object. */
  readonly objectSize: number;
  /** Objects that are allocated. */
  readonly live: number;
  /** Objects that fit into the superblocks there are, those in caches included. */
  readonly free: number;
  /** How many of these lie in caches of participants. */
  readonly cached: number;
  readonly superblocks: number;
}

/** Numbers about an area; sizes in bytes. Live, free and metadata bytes add up to {@link totalSegmentSize}. */
export interface AreaStats {
  /** Live segments. */
  readonly segments: number;
  /** Bytes in all segments (PostgreSQL's total_segment_size). */
  readonly totalSegmentSize: number;
  /** No segment is added beyond this total; null for no limit. */
  readonly limit: number | null;
  /** Objects that are allocated, large ones included. */
  readonly liveObjects: number;
  /** Their usable bytes. */
  readonly liveBytes: number;
  /** Free objects of superblocks, and free pages; what lies in caches included. */
  readonly freeBytes: number;
  /** The part of it that lies in caches of participants, where only they can have it. */
  readonly cachedBytes: number;
  /** The rest of the segments: control blocks, page maps, spans, the page managers' trees, ends of superblocks. */
  readonly metadataBytes: number;
  /** Bytes outside of the counted sizes: state tables, attachment table, rounding to pages. */
  readonly overheadBytes: number;
  /** Size classes that have superblocks, ascending. */
  readonly perClass: readonly ClassStats[];
  /** Objects that have pages of their own. */
  readonly largeObjects: number;
  /** Bytes of these pages. */
  readonly largeBytes: number;
}

interface SegmentSums {
  segments: number;
  pages: number;
  freePages: number;
  overheadBytes: number;
}

/** Sums over the segments. Under the area lock. Null with `failure` set. */
function sumSegments(s: AreaState): SegmentSums | null {
  const sums = { segments: 0, pages: 0, freePages: 0, overheadBytes: s.side?.mapLength ?? 0 };
  const high = Math.min(ld64(s.ctl, C_HIGH), MAX_SEGMENTS - 1);
  for (let index = 0; index <= high; index++) {
    if (index > 0 && s.ctl[C_SEGMENT_HANDLES + index] === 0) continue;
    const words = peekSegment(s, index);
    if (words.length === 0) return null;
    sums.segments++;
    sums.pages += s.maps[index]!.pages;
    const segment = s.segments[index] ?? null;
    if (segment !== null) sums.overheadBytes += roundUp(segment.mapLength) - segment.mapLength + segment.tailLength;
    try {
      for (const { npages } of peekManager(words, index).runs()) sums.freePages += npages;
    } catch (error) {
      s.failure = 'corrupt';
      s.thrown = error;
      return null;
    }
  }
  return sums;
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}

interface PoolSums {
  spans: number;
  free: number;
  pages: number;
}

/** Sums over the spans of a pool, of which there are at most `limit`. Under its lock. Null with `failure` set. */
function sumPool(s: AreaState, sizeClass: number, limit: number): PoolSums | null {
  const sums = { spans: 0, free: 0, pages: 0 };
  s.failure = 'none';
  for (let fclass = 0; fclass < FULLNESS_CLASSES; fclass++) {
    const head = listWord(sizeClass, fclass);
    let lo = s.ctl[head]!;
    let hi = s.ctl[head + 1]!;
    while ((lo | hi) !== 0) {
      const words = hi >>> 8 < MAX_SEGMENTS ? peekSegment(s, hi >>> 8) : s.ctl.subarray(0, 0);
      const w = wordOf(lo, hi);
      // A span cannot lie in a segment that was given back; other failures are not the list's.
      if (words.length === 0 && s.failure !== 'none' && s.failure !== 'stale') return null;
      if (w + S_NPAGES >= words.length || ++sums.spans > limit) {
        s.failure = 'corrupt';
        s.thrown = `list ${fclass} of pool ${sizeClass} is no list of spans`;
        return null;
      }
      sums.free += words[w + S_NALLOC_FIRST]! & 0xffff;
      sums.pages += words[w + S_NPAGES]!;
      lo = words[w + S_NEXT]!;
      hi = words[w + S_NEXT + 1]!;
    }
  }
  return sums;
}

/** {@link sumPool} under the lock of the pool. */
function lockedSum(s: AreaState, sizeClass: number, limit: number): PoolSums | null {
  if (!lockPool(s, sizeClass)) return null;
  const sums = checkForFreedSegments(s) ? sumPool(s, sizeClass, limit) : null;
  unlockPool(s, sizeClass);
  return sums;
}

/** Collects {@link AreaStats}; null with `failure` set. */
export function areaStats(s: AreaState): AreaStats | null {
  s.failure = 'none';
  // The lock of pool 1 is the area lock.
  if (!lockPool(s, CLASS_LARGE)) return null;
  checkForFreedSegmentsLocked(s);
  const all = sumSegments(s);
  const large = all === null ? null : sumPool(s, CLASS_LARGE, all.pages);
  const totalSegmentSize = ld64(s.ctl, C_TOTAL);
  const limit = isAllOnes64(s.ctl, C_LIMIT) ? null : ld64(s.ctl, C_LIMIT);
  unlockPool(s, CLASS_LARGE);
  if (all === null || large === null) return null;
  const perClass: ClassStats[] = [];
  const caches = cachedCounts(s);
  // Each number is from another moment while others are at work: nothing may come out below 0.
  const largeObjects = Math.max(0, large.spans - caches.objects[CLASS_LARGE]!);
  const largeBytes = Math.max(0, large.pages - caches.largePages) * PAGE_SIZE;
  let liveObjects = largeObjects;
  let liveBytes = largeBytes;
  let freeBytes = (all.freePages + caches.largePages) * PAGE_SIZE;
  for (let sizeClass = CLASS_LARGE + 1; sizeClass < NUM_SIZE_CLASSES; sizeClass++) {
    const sums = lockedSum(s, sizeClass, all.pages);
    if (sums === null) return null;
    if (sums.spans === 0) continue;
    const objectSize = CLASS_SIZE[sizeClass]!;
    const { spans: superblocks } = sums;
    const room = superblocks * CLASS_CAPACITY[sizeClass]!;
    const cached = Math.min(caches.objects[sizeClass]!, room - sums.free);
    const free = sums.free + cached;
    const live = room - free;
    perClass.push({ sizeClass, objectSize, live, free, cached, superblocks });
    liveObjects += live;
    liveBytes += live * objectSize;
    freeBytes += free * objectSize;
  }
  return {
    segments: all.segments,
    totalSegmentSize,
    limit,
    liveObjects,
    liveBytes,
    freeBytes,
    cachedBytes: caches.bytes,
    metadataBytes: Math.max(0, totalSegmentSize - liveBytes - freeBytes),
    overheadBytes: all.overheadBytes,
    perClass,
    largeObjects,
    largeBytes,
  };
}
