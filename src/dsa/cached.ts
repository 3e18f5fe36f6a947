/**
 * Allocating and freeing through the cache where the hot path (cache.ts) could not: stacks that are empty or full, large
 * objects, objects in segments that it does not reach, and memory that has run out.
 */

import { ATTENTION_WORD } from '../dsm/dsm.js';
import { allocateObject } from './allocate.js';
import { ENTRY_POINTER_BITS, MAX_SEGMENTS } from './area-layout.js';
import { makeRoom, refillAndTake } from './cache-exchange.js';
import { giveLarge, takeLarge } from './cache-large.js';
import { emptyCache, hasCached } from './cache-life.js';
import { sweepGone } from './cache-sweep.js';
import { cacheRoom, NO_STATE_KEPT, push, nearState, takeCached } from './cache.js';
import { freeObject } from './free.js';
import { explainBadPointer, isUnreachable } from './inspect.js';
import { allocateLarge } from './large.js';
import { checkForFreedSegments, hasStalled, pageMapWord, segmentWords } from './mapping.js';
import { objectClass, objectStateIndex } from './object-state.js';
import { hiWord, loWord, pageOf } from './pointer.js';
import { CLASS_LARGE, CLASS_SIZE } from './size-classes.js';
import { type AreaState, STATE_LIVE } from './state.js';

/**
 * Allocates an object of a slab class, from the cache if there is one.
 *
 * @returns low word, with the high word in `s.hi`; -1 there, with `failure` set, when there is none
 */
export function allocateSmall(s: AreaState, sizeClass: number): number {
  if (s.caching) {
    if (s.listens && s.dsm.control[ATTENTION_WORD] !== s.dsm.attentionSeen) s.dsm.attend();
    let pointer = takeCached(s, CLASS_SIZE[sizeClass]!);
    if (pointer === 0) pointer = refillAndTake(s, sizeClass);
    if (pointer !== 0) {
      s.hi = hiWord(pointer);
      return loWord(pointer);
    }
    // The batch was to be had as little as one object: another try would wait, or lose a span object (trap P9), once more.
    if (s.failure !== 'none') {
      s.hi = -1;
      return reclaim(s) ? allocateObject(s, sizeClass) : 0;
    }
  }
  const lo = allocateObject(s, sizeClass);
  return s.hi < 0 && reclaim(s) ? allocateObject(s, sizeClass) : lo;
}

/** The same for a run of pages. */
export function allocatePages(s: AreaState, npages: number): number {
  if (s.largeCached > 0) {
    const pointer = takeLarge(s, npages);
    if (pointer !== 0) {
      s.hi = hiWord(pointer);
      return loWord(pointer);
    }
  }
  const lo = allocateLarge(s, npages);
  return s.hi < 0 && reclaim(s) ? allocateLarge(s, npages) : lo;
}

/**
 * Memory has run out: gives back what this participant has cached, and what those have that are gone.
 *
 * @returns whether something came back, so that it is worth trying again
 */
function reclaim(s: AreaState): boolean {
  if (s.cacheTable.length === 0 || (s.failure !== 'memory' && s.failure !== 'dsm')) return false;
  const { failure } = s;
  let any = s.caching && hasCached(s);
  emptyCache(s);
  any = sweepGone(s) || any;
  s.failure = failure;
  return any;
}

/**
 * Frees an object into the cache, or back to its pool.
 *
 * @param lo low word, any 32 bits
 * @param hi high word, 0 or more
 * @param pointer both
 * @returns false with `failure` set
 */
export function freeCached(s: AreaState, lo: number, hi: number, pointer: number): boolean {
  const index = hi >>> 8;
  if ((lo & 7) !== 0 || index >= MAX_SEGMENTS) return explainBadPointer(s, pointer);
  if (s.listens && s.dsm.control[ATTENTION_WORD] !== s.dsm.attentionSeen) s.dsm.attend();
  if (!checkForFreedSegments(s)) return false;
  s.failure = 'none';
  const a = segmentWords(s, index);
  if (a.length === 0) return isUnreachable(s) ? false : explainBadPointer(s, pointer);
  const sizeClass = objectClass(s, lo, hi);
  if (sizeClass === CLASS_LARGE) {
    const map = pageMapWord(index) + 2 * pageOf(lo, hi);
    const spanHi = a[map + 1]! & ENTRY_POINTER_BITS;
    return giveLarge(s, lo, hi, pointer, a[map]!, spanHi) || freeObject(s, lo, hi);
  }
  const at = objectStateIndex(s, lo, hi);
  if (at < 0 || sizeClass === 0 || s.maps[index]!.state[at] !== STATE_LIVE) return explainBadPointer(s, pointer);
  if (cacheRoom(s.block, sizeClass) === 0 && !makeRoom(s, sizeClass)) {
    // A lock that has stalled would stall again.
    return !hasStalled(s) && freeObject(s, lo, hi);
  }
  s.maps[index]!.state[at] = s.mark;
  push(s, sizeClass, pointer, s.checks ? nearState(s, index, at) : NO_STATE_KEPT);
  return true;
}
