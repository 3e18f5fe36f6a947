/**
 * Many objects in one call: what all of them have in common is asked once, and batches go straight between the pools and
 * the caller's list.
 *
 * All or nothing: when one cannot be had, or one pointer is wrong, everything is as before. So freeing looks at all pointers
 * before it gives the first object away: those that fit into the cache are put there, which can be undone; of the rest each is
 * marked, which can be undone as well, and shows a pointer that comes twice.
 *
 * The participant's thread, holding no lock of the area.
 */

import { growCache } from './cache-budget.js';
import { giveList, LONGEST_HOLD, takeBatch } from './cache-exchange.js';
import { giveMany, type Pointers, takeBackMany, takeMany, unmarkNear } from './cache-many.js';
import { cacheLimit, cacheRoom } from './cache.js';
import { allocateSmall, allocatePages, freeCached } from './cached.js';
import { freeObject } from './free.js';
import { usableBytes } from './inspect.js';
import { objectClass } from './object-state.js';
import { fromWords, hiWord, loWord } from './pointer.js';
import { CLASS_LARGE, CLASS_OF_EIGHTHS, MAX_SMALL_SIZE, PAGE_SIZE } from './size-classes.js';
import type { AreaState } from './state.js';

/**
 * Allocates `n` objects of `size` bytes into `out`.
 *
 * @returns how many; fewer than `n` with `failure` set, the others are the caller's to free
 */
export function allocateMany(s: AreaState, size: number, n: number, out: Pointers): number {
  const small = size <= MAX_SMALL_SIZE;
  const sizeClass = small ? CLASS_OF_EIGHTHS[(size + 7) >>> 3]! : 0;
  let got = 0;
  while (got < n) {
    if (s.caching && small) {
      got += takeMany(s, sizeClass, out, got, n - got);
      // So that they find room when they come back.
      if (got < n && cacheLimit(s.block, sizeClass) < n) growCache(s, sizeClass);
      // The rest straight from the pool: what goes over the stack is written twice.
      if (got < n) got += takeBatch(s, sizeClass, Math.min(n - got, LONGEST_HOLD), out, got);
      if (got === n) break;
    }
    // One by one, also to find out why there was no more.
    const lo = small ? allocateSmall(s, sizeClass) : allocatePages(s, Math.ceil(size / PAGE_SIZE));
    if (s.hi < 0) break;
    out[got++] = fromWords(lo, s.hi);
  }
  return got;
}

/** What {@link freeMany} found: the index of a pointer that could not be freed, and whether those before it were. */
export interface NotFreed {
  readonly at: number;
  readonly freedBefore: boolean;
}

/**
 * Frees the first `n` objects of a list.
 *
 * @returns null when all are free; else which one was not, with `failure` set: because it is wrong, and then nothing was freed; or
 *   because a lock stalled, and then those before it were
 */
export function freeMany(s: AreaState, pointers: Pointers, n: number): NotFreed | null {
  s.failure = 'none';
  const marks = s.caching && s.checks;
  const given = marks ? giveGrowing(s, pointers, n) : 0;
  if (given === n) return null;
  const far = new Set<number>();
  for (let j = given; j < n; j++) {
    // What is left is marked as if it were cached: then a pointer that comes twice is not live the second time.
    if (marks) j = giveMany(s, pointers, j, n, false);
    if (j === n) break;
    if (isOther(s, pointers[j], far)) {
      far.add(pointers[j]!);
      continue;
    }
    for (let i = given; i < j; i++) if (!far.has(pointers[i]!)) unmarkNear(s, pointers[i]!);
    takeBackMany(s, pointers, given);
    return { at: j, freedBefore: false };
  }
  for (let j = given; j < n; ) {
    let end = j;
    while (end < n && !(far.size > 0 && far.has(pointers[end]!))) end++;
    const done = giveList(s, pointers, j, end);
    if (done < end || (end < n && !freeOther(s, pointers[end]!))) {
      for (let i = done; i < n; i++) if (!far.has(pointers[i]!)) unmarkNear(s, pointers[i]!);
      return { at: done, freedBefore: true };
    }
    j = end + 1;
  }
  return null;
}

/** Puts as many into the cache as fit, also into stacks that grow for it. @returns the index of the first that did not */
function giveGrowing(s: AreaState, pointers: Pointers, n: number): number {
  let given = giveMany(s, pointers, 0, n, true);
  while (given < n) {
    const pointer = pointers[given]!;
    const sizeClass = typeof pointer === 'number' ? objectClass(s, loWord(pointer), hiWord(pointer)) : 0;
    if (sizeClass <= CLASS_LARGE || cacheRoom(s.block, sizeClass) > 0 || !growCache(s, sizeClass)) break;
    given = giveMany(s, pointers, given, n, true);
  }
  return given;
}

/** Tells whether `pointer` names a live object that the hot path does not reach, and that has not come before. */
function isOther(s: AreaState, pointer: unknown, before: Set<number>): boolean {
  if (typeof pointer !== 'number') {
    s.failure = 'misaligned';
    return false;
  }
  if (!before.has(pointer)) return usableBytes(s, pointer) !== 0;
  s.failure = 'double';
  return false;
}

function freeOther(s: AreaState, pointer: number): boolean {
  const lo = loWord(pointer);
  const hi = hiWord(pointer);
  return s.caching ? freeCached(s, lo, hi, pointer) : freeObject(s, lo, hi);
}
