/**
 * Batches between a cache and the pool of a size class: what happens when a stack is empty or full.
 *
 * Both run under the lock of the pool, which is taken once for many objects. A batch is half of what the stack may
 * hold, so that afterwards as many calls of either kind are served without it. Superblocks are found, filed and given
 * back as in allocate.ts and free.ts. Nothing throws; `failure` says why less was done.
 */

import {
  ENTRY_CLASS_MASK,
  ENTRY_CLASS_SHIFT,
  ENTRY_PAGE_SHIFT,
  ENTRY_POINTER_BITS,
  NOTHING_FREE,
  PAGEMAP_WORD_FIRST,
  PAGEMAP_WORD_OTHER,
  S_CLASS_NINIT,
  S_NALLOC_FIRST,
  S_NMAX_FCLASS,
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
  setEntry,
  setTop,
  nearState,
  takeCached,
  topOf,
} from './cache.js';
import type { Pointers } from './cache-many.js';
import { linkSlot, REFUSED } from './free.js';
import { checkForFreedSegments, hasStalled, pageMapWord, segmentWords } from './mapping.js';
import { fromWords, pageOf, wordOf } from './pointer.js';
import { CLASS_DUE_AT, CLASS_RECIPROCAL, CLASS_SIZE, SLOT_SHIFT } from './size-classes.js';
import { canMoveHead, listWord, lockPool, moveHead, unlockPool } from './spans.js';
import { type AreaState, firstState, STATE_LIVE, STATE_BEFORE, STATE_PER } from './state.js';
import { ensureActiveSuperblock, findActiveSuperblock } from './superblocks.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see allocate.ts). */
const MAP_FIRST = PAGEMAP_WORD_FIRST;
const MAP_OTHER = PAGEMAP_WORD_OTHER;
const PAGE_SHIFT = ENTRY_PAGE_SHIFT;
const CLASS_SHIFT = ENTRY_CLASS_SHIFT;
const CLASS_MASK = ENTRY_CLASS_MASK;
const LIVE = STATE_LIVE;
const POINTER_BITS = ENTRY_POINTER_BITS;
const PER = STATE_PER;
const BEFORE = STATE_BEFORE;
const RECIPROCALS = CLASS_RECIPROCAL;
const SHIFT = SLOT_SHIFT;
const NOT_LINKED = REFUSED;
const NALLOC_FIRST = S_NALLOC_FIRST;
const NMAX_FCLASS = S_NMAX_FCLASS;
const DUE_AT = CLASS_DUE_AT;
const WORDS_4_GIB = 2 ** 30;
const TWO_32 = 2 ** 32;
/** Objects of a list that are served under a lock before others get their turn: some 50 µs. Lower: more locking. Higher: others wait longer. */
export const LONGEST_HOLD = 4096;

/**
 * Allocates an object by filling the empty stack of its class.
 *
 * @returns its pointer; 0 when the class has no room in the cache, or with `failure` set
 */
export function refillAndTake(s: AreaState, sizeClass: number): number {
  return refill(s, sizeClass) ? takeCached(s, CLASS_SIZE[sizeClass]!) : 0;
}

/** Puts a batch on the empty stack of a class. False when there is nothing on it afterwards, for the same reasons. */
function refill(s: AreaState, sizeClass: number): boolean {
  s.failure = 'none';
  growCache(s, sizeClass);
  const limit = cacheLimit(s.block, sizeClass);
  if (limit === 0) return false;
  return takeBatch(s, sizeClass, Math.max(1, limit >> 1), null, 0) > 0;
}

/**
 * Takes up to `wanted` free objects of the pool: onto the stack, which has room for them, or as live ones into a list. Makes a
 * new superblock only when there is no other object to be had.
 *
 * @param out the list, or null for the stack
 * @param from index in the list
 * @returns how many
 */
export function takeBatch(s: AreaState, sizeClass: number, wanted: number, out: Pointers | null, from: number): number {
  if (!lockPool(s, sizeClass)) return 0;
  let got = 0;
  if (checkForFreedSegments(s)) {
    const head = listWord(sizeClass, 1);
    while (got < wanted) {
      const there = (s.ctl[head]! | s.ctl[head + 1]!) !== 0;
      if (!there && !(got === 0 ? ensureActiveSuperblock(s, sizeClass) : findActiveSuperblock(s, sizeClass))) break;
      const taken = takeFromActive(s, sizeClass, s.ctl[head]!, s.ctl[head + 1]!, wanted - got, out, from + got);
      if (taken === 0) break;
      got += taken;
    }
  }
  unlockPool(s, sizeClass);
  return got;
}

/** Takes up to `wanted` objects of the active superblock, whose span (lo, hi) has room. 0 with `failure` set. */
function takeFromActive(
  s: AreaState,
  sizeClass: number,
  lo: number,
  hi: number,
  wanted: number,
  out: Pointers | null,
  from: number,
): number {
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
  const initialized = a[w + S_CLASS_NINIT]! >>> 16;
  const { state, pages } = s.maps[index]!;
  const first = pages * BEFORE[sizeClass]! + pageOf(startLo, startHi) * PER[sizeClass]!;
  const near = s.checks ? nearState(s, index, first) : NO_STATE_KEPT;
  const start = fromWords(startLo, startHi);
  const size = CLASS_SIZE[sizeClass]!;
  const mark = out === null ? s.mark : LIVE;
  const top = topOf(s, sizeClass);
  let taken = 0;
  let k = counters >>> 16;
  for (; taken < most && k < initialized; taken++) {
    const next = state[first + k]!;
    state[first + k] = mark;
    if (out === null) setEntry(top + taken + 1, start + k * size, near < 0 ? near : near + k);
    else out[from + taken] = start + k * size;
    k = next;
  }
  if (taken < most && k === NOTHING_FREE) {
    const end = initialized + most - taken;
    for (let n = 0; n < most - taken; n++) {
      // The last one first onto the stack, so that they are taken in ascending order.
      const fresh = out === null ? end - 1 - n : initialized + n;
      state[first + fresh] = mark;
      if (out === null) setEntry(top + taken + n + 1, start + fresh * size, near < 0 ? near : near + fresh);
      else out[from + taken + n] = start + fresh * size;
    }
    a[w + S_CLASS_NINIT] = (a[w + S_CLASS_NINIT]! & 0xffff) | (end << 16);
    taken = most;
  }
  if (out === null) setTop(s, sizeClass, top + taken);
  a[w + S_NALLOC_FIRST] = (free - taken) | (k << 16);
  if (taken === free) moveHead(s, sizeClass, 1, 3);
  if (taken < most) {
    s.failure = 'corrupt';
    s.thrown = `a free list of size class ${sizeClass} leads to slot ${k} of ${initialized}`;
  }
  return taken;
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

/**
 * Gives marked objects of a list back to their pools, in order, each lock taken once for all in a row that are of its class.
 *
 * @returns the index of the first that stays, with `failure` set; `end` when none does
 */
export function giveList(s: AreaState, pointers: Pointers, from: number, end: number): number {
  let j = from;
  while (j < end) {
    const sizeClass = classOf(s, pointers[j]!);
    if (!lockPool(s, sizeClass)) return j;
    const stop = Math.min(end, j + LONGEST_HOLD);
    let good = checkForFreedSegments(s);
    while (j < stop && good && classOf(s, pointers[j]!) === sizeClass) {
      good = giveOne(s, sizeClass, pointers[j]!);
      if (good) j++;
    }
    unlockPool(s, sizeClass);
    if (!good) return j;
  }
  return end;
}

/** Size class of an object in a segment that is mapped. */
function classOf(s: AreaState, pointer: number): number {
  const hi = (pointer * (1 / TWO_32)) | 0;
  const page = ((hi & 0xff) << 20) | ((pointer | 0) >>> 12);
  const map = (hi >>> 8 === 0 ? MAP_FIRST : MAP_OTHER) + 2 * page + 1;
  return (s.maps[hi >>> 8]!.i32[map]! >>> CLASS_SHIFT) & CLASS_MASK;
}

/** Gives one cached object back to its superblock. Under the lock of the pool. False with `failure` set. */
function giveOne(s: AreaState, sizeClass: number, pointer: number): boolean {
  const lo = pointer | 0;
  const hi = (pointer * (1 / TWO_32)) | 0;
  const index = hi >>> 8;
  const { i32: a, state, pages } = s.maps[index]!;
  const page = ((hi & 0xff) << 20) | (lo >>> 12);
  const map = (index === 0 ? MAP_FIRST : MAP_OTHER) + 2 * page;
  const spanLo = a[map]!;
  const entry = a[map + 1]!;
  const inBlock = entry >>> PAGE_SHIFT;
  const k = Math.imul(((inBlock << 12) | (lo & 0xfff)) >>> 3, RECIPROCALS[sizeClass]!) >>> SHIFT;
  const at = pages * BEFORE[sizeClass]! + (page - inBlock) * PER[sizeClass]! + k;
  // Two threads freed it at the same moment, which neither could see: the other one has it. Had we been asked for it
  // before, both would have handed it out.
  if (state[at] !== s.mark) return true;
  const spanHi = entry & POINTER_BITS;
  const sa = segmentWords(s, spanHi >>> 8);
  if (sa.length === 0) return false;
  const w = (spanHi & 0xff) * WORDS_4_GIB + (spanLo >>> 2);
  const counters = sa[w + NALLOC_FIRST]!;
  const filing = sa[w + NMAX_FCLASS]!;
  const free = (counters & 0xffff) + 1;
  // Where nothing follows from it: neither full before nor empty now, nor due for another list. What linkSlot begins with.
  if (free > 1 && free !== (filing & 0xffff) && free !== DUE_AT[sizeClass]) {
    state[at] = counters >>> 16;
    sa[w + NALLOC_FIRST] = free | (k << 16);
    return true;
  }
  return linkSlot(s, sizeClass, sa, w, spanLo, spanHi, state, at, k) !== NOT_LINKED;
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
  const first = firstState(sizeClass, here.pages, page - (entry >>> ENTRY_PAGE_SHIFT));
  const w = wordOf(spanLo, spanHi);
  return linkSlot(s, sizeClass, sa, w, spanLo, spanHi, here.state, at, at - first) !== REFUSED;
}

/** Empties a stack. False with `failure` set when something stays. */
export function emptyStack(s: AreaState, sizeClass: number): boolean {
  const n = cachedCount(s.block, sizeClass);
  return n === 0 || giveBatch(s, sizeClass, n);
}
