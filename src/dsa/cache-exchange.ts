/**
 * Batches between a cache and the pool of a size class: what happens when a stack is empty or full.
 *
 * Both run under the lock of the pool, which is taken once for many objects. A batch is half of what the stack may
 * hold, so that afterwards as many calls of either kind are served without it. Superblocks are found, filed and given
 * back as in allocate.ts and free.ts. Nothing throws; `failure` says why less was done.
 */

import {
  ENTRY_PAGE_SHIFT,
  ENTRY_POINTER_BITS,
  NOTHING_FREE,
  S_CLASS_NINIT,
  S_NALLOC_FIRST,
  S_START,
} from './area-layout.js';
import { growCache } from './cache-budget.js';
import {
  cachedCount,
  cachedPointer,
  cacheLimit,
  cacheRoom,
  dropOldest,
  NO_STATE_KEPT,
  push,
  stateIndexOf,
  takeCached,
} from './cache.js';
import { linkSlot, REFUSED } from './free.js';
import { checkForFreedSegments, hasStalled, pageMapWord, segmentWords } from './mapping.js';
import { objectStateIndex } from './object-state.js';
import { fromWords, hiWord, loWord, pageOf, wordOf } from './pointer.js';
import { CLASS_SIZE } from './size-classes.js';
import { canMoveHead, listWord, lockPool, moveHead, unlockPool } from './spans.js';
import { type AreaState, STATE_PER_PAGE } from './state.js';
import { ensureActiveSuperblock, findActiveSuperblock } from './superblocks.js';

/**
 * Allocates an object by filling the empty stack of its class.
 *
 * @returns its pointer; 0 when the class has no room in the cache, or with `failure` set
 */
export function refillAndTake(s: AreaState, sizeClass: number): number {
  s.failure = 'none';
  growCache(s, sizeClass);
  const limit = cacheLimit(s.block, sizeClass);
  if (limit === 0) return 0;
  takeBatch(s, sizeClass, Math.max(1, limit >> 1));
  return takeCached(s, sizeClass);
}

/**
 * Puts up to `wanted` free objects of the pool on the stack, which has room for them. Makes a new superblock only when
 * there is no other object to be had.
 */
function takeBatch(s: AreaState, sizeClass: number, wanted: number): void {
  if (!lockPool(s, sizeClass)) return;
  if (checkForFreedSegments(s)) {
    const head = listWord(sizeClass, 1);
    for (let got = 0; got < wanted; ) {
      const there = (s.ctl[head]! | s.ctl[head + 1]!) !== 0;
      if (!there && !(got === 0 ? ensureActiveSuperblock(s, sizeClass) : findActiveSuperblock(s, sizeClass))) break;
      if ((s.ctl[head]! | s.ctl[head + 1]!) === 0) break;
      const taken = takeFromActive(s, sizeClass, s.ctl[head]!, s.ctl[head + 1]!, wanted - got);
      if (taken === 0) break;
      got += taken;
    }
  }
  unlockPool(s, sizeClass);
}

/** Takes up to `wanted` objects of the active superblock, whose span (lo, hi) has room. 0 with `failure` set. */
function takeFromActive(s: AreaState, sizeClass: number, lo: number, hi: number, wanted: number): number {
  const a = segmentWords(s, hi >>> 8);
  if (a.length === 0) return 0;
  const w = wordOf(lo, hi);
  const counters = a[w + S_NALLOC_FIRST]!;
  const startLo = a[w + S_START]!;
  const startHi = a[w + S_START + 1]!;
  const index = startHi >>> 8;
  // From here on objects of the superblock may be freed without looking whether it is mapped.
  if (segmentWords(s, index).length === 0) return 0;
  const free = counters & 0xffff;
  const most = Math.min(free, wanted);
  if (most === free && !canMoveHead(s, sizeClass, 1, 3)) return 0;
  const { state } = s.maps[index]!;
  const page = pageOf(startLo, startHi);
  const first = page * STATE_PER_PAGE;
  const near = s.checks ? stateIndexOf(s, index, page) : NO_STATE_KEPT;
  const start = fromWords(startLo, startHi);
  const size = CLASS_SIZE[sizeClass]!;
  const initialized = a[w + S_CLASS_NINIT]! >>> 16;
  let taken = 0;
  let k = counters >>> 16;
  for (; taken < most && k < initialized; taken++) {
    const next = state[first + k]!;
    state[first + k] = s.mark;
    push(s, sizeClass, start + k * size, near < 0 ? near : near + k);
    k = next;
  }
  if (taken < most && k === NOTHING_FREE) {
    const end = initialized + most - taken;
    // The last one first, so that they are taken in ascending order.
    for (let fresh = end - 1; fresh >= initialized; fresh--) {
      state[first + fresh] = s.mark;
      push(s, sizeClass, start + fresh * size, near < 0 ? near : near + fresh);
    }
    a[w + S_CLASS_NINIT] = (a[w + S_CLASS_NINIT]! & 0xffff) | (end << 16);
    taken = most;
  }
  a[w + S_NALLOC_FIRST] = (free - taken) | (k << 16);
  if (taken === free) moveHead(s, sizeClass, 1, 3);
  if (taken < most) {
    s.failure = 'corrupt';
    s.thrown = `a free list of size class ${sizeClass} leads to slot ${k} of ${initialized}`;
  }
  return taken === most ? taken : 0;
}

/**
 * Makes room on a full stack: more of it, or the older half goes back to the pool. True when there is room now.
 *
 * What was freed last is kept, since its memory is most likely in the processor's caches.
 */
export function makeRoom(s: AreaState, sizeClass: number): boolean {
  s.failure = 'none';
  if (growCache(s, sizeClass)) return true;
  const limit = cacheLimit(s.block, sizeClass);
  if (limit > 0 && cacheRoom(s.block, sizeClass) === 0) giveBatch(s, sizeClass, Math.max(1, limit >> 1));
  return cacheRoom(s.block, sizeClass) > 0;
}

/**
 * Gives the `n` oldest objects of a stack back to the pool; fewer, with `failure` set, when a segment cannot be mapped or
 * a lock stalls. The caller has set `failure` to 'none'.
 *
 * @returns false when not all went back
 */
function giveBatch(s: AreaState, sizeClass: number, n: number): boolean {
  if (!lockPool(s, sizeClass)) return false;
  let done = 0;
  if (checkForFreedSegments(s)) {
    // With the lock of the area stalled, each superblock that gets empty would wait for it again.
    while (done < n && !hasStalled(s) && giveOne(s, sizeClass, cachedPointer(s.block, sizeClass, done + 1))) done++;
  }
  dropOldest(s, sizeClass, done);
  unlockPool(s, sizeClass);
  return done === n;
}

/** Gives one cached object back to its superblock. Under the lock of the pool. False with `failure` set. */
function giveOne(s: AreaState, sizeClass: number, pointer: number): boolean {
  const lo = loWord(pointer);
  const hi = hiWord(pointer);
  const at = objectStateIndex(s, lo, hi);
  // Two threads freed it at the same moment, which neither could see: the other one has it. Had we been asked for it
  // before, both would have handed it out.
  if (at < 0 || s.maps[hi >>> 8]!.state[at] !== s.mark) return true;
  return giveSlot(s, sizeClass, hi >>> 8, pageOf(lo, hi), at);
}

/**
 * Links the slot whose state is entry `at` of segment `index` into the free list of the span that the map names for `page`.
 * Under the lock of the pool. False, with `failure` set and nothing changed, when a segment cannot be mapped.
 */
export function giveSlot(s: AreaState, sizeClass: number, index: number, page: number, at: number): boolean {
  const here = s.maps[index]!;
  const map = pageMapWord(index) + 2 * page;
  const spanLo = here.i32[map]!;
  const entry = here.i32[map + 1]!;
  const spanHi = entry & ENTRY_POINTER_BITS;
  const sa = segmentWords(s, spanHi >>> 8);
  if (sa.length === 0) return false;
  const first = (page - (entry >>> ENTRY_PAGE_SHIFT)) * STATE_PER_PAGE;
  const w = wordOf(spanLo, spanHi);
  return linkSlot(s, sizeClass, sa, w, spanLo, spanHi, here.state, at, at - first) !== REFUSED;
}

/** Empties a stack. False with `failure` set when something stays. */
export function emptyStack(s: AreaState, sizeClass: number): boolean {
  const n = cachedCount(s.block, sizeClass);
  return n === 0 || giveBatch(s, sizeClass, n);
}
