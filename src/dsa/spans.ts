/**
 * Spans and the lists that pools keep of them.
 *
 * Everything here runs under the lock of the pool concerned. A span is named by the two words of its pointer. The
 * neighbours that a change touches are resolved before anything is changed, so that a segment which cannot be mapped
 * leaves the lists as they were: the functions then return false with `failure` set.
 */

import {
  C_POOLS,
  NOTHING_FREE,
  P_SPANS,
  POOL_WORDS,
  S_CLASS_NINIT,
  S_NALLOC_FIRST,
  S_NEXT,
  S_NMAX_FCLASS,
  S_NPAGES,
  S_POOL,
  S_PREV,
  S_START,
  AreaControl,
  Pool,
} from './area-layout.js';
import { checkForFreedSegmentsLocked, lockArea, segmentWords, unlockArea } from './mapping.js';
import { lwlockAcquireExclusive, lwlockReleaseNewest } from '../sync/sync.js';
import { wordOf } from './pointer.js';
import { CLASS_BLOCK_OF_SPANS, CLASS_CAPACITY, CLASS_LARGE } from './size-classes.js';
import type { AreaState } from './state.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see allocate.ts). */
const POOLS = C_POOLS;
const TO_LISTS = P_SPANS;
const WORDS_PER_POOL = POOL_WORDS;
const CLASS_NINIT = S_CLASS_NINIT;
const NALLOC_FIRST = S_NALLOC_FIRST;
const NEXT = S_NEXT;
const NMAX_FCLASS = S_NMAX_FCLASS;
const NPAGES = S_NPAGES;
const POOL = S_POOL;
const PREV = S_PREV;
const START = S_START;
const NO_OBJECT = NOTHING_FREE;
const LARGE = CLASS_LARGE;
const OF_SPANS = CLASS_BLOCK_OF_SPANS;
const CAPACITY = CLASS_CAPACITY;
const POOLS_AT = AreaControl.pools;
const POOL_SIZE = Pool.SIZEOF;

/** Word of the pool of a size class in the control block; its lock is there. */
export function poolWord(sizeClass: number): number {
  return POOLS + sizeClass * WORDS_PER_POOL;
}

/** Word of the head of a fullness class in the control block. */
export function listWord(sizeClass: number, fclass: number): number {
  return POOLS + sizeClass * WORDS_PER_POOL + TO_LISTS + 2 * fclass;
}

function resolvable(s: AreaState, lo: number, hi: number): boolean {
  return (lo | hi) === 0 || segmentWords(s, hi >>> 8).length !== 0;
}

/**
 * Takes the lock that guards the lists of a size class: that of its pool, for large objects the area lock (see
 * large.ts). False with `failure` set when it stalls.
 */
export function lockPool(s: AreaState, sizeClass: number): boolean {
  if (sizeClass === LARGE) {
    if (!lockArea(s)) return false;
    checkForFreedSegmentsLocked(s);
    return true;
  }
  if (lwlockAcquireExclusive(s.p, s.ctl, poolWord(sizeClass), s.ns) !== 0) return true;
  s.failure = 'lock';
  return false;
}

/** Releases what {@link lockPool} took. */
export function unlockPool(s: AreaState, sizeClass: number): void {
  if (sizeClass === LARGE) unlockArea(s);
  else lwlockReleaseNewest(s.p, s.ctl, poolWord(sizeClass), s.ns);
}

/** Tells whether the head of a fullness class, if there is one, is mapped; maps it if need be. */
export function headMapped(s: AreaState, sizeClass: number, fclass: number): boolean {
  const head = listWord(sizeClass, fclass);
  return resolvable(s, s.ctl[head]!, s.ctl[head + 1]!);
}

function setWords(a: Int32Array, at: number, lo: number, hi: number): void {
  a[at] = lo;
  a[at + 1] = hi;
}

/** Most that the due count of a pool can say; from there on it stays until the next walk. */
const MANY_DUE = 0xffff;

/**
 * How many spans of fullness class 2 belong into a lower class by now. C finds them by walking the whole list whenever
 * the active superblock is full; with this count the walk is left out when it would move nothing. The count lies in
 * the upper half of the first word of the pool's lock, which the lock leaves free. Under the lock of the pool.
 */
export function dueSpans(s: AreaState, sizeClass: number): number {
  return s.ctl[poolWord(sizeClass)]! >>> 16;
}

/** Changes the due count by `by` (1 or -1), or sets it to 0 for `by` 0. Under the lock of the pool. */
export function countDue(s: AreaState, sizeClass: number, by: number): void {
  const word = poolWord(sizeClass);
  const due = s.ctl[word]! >>> 16;
  if (by === 0) s.ctl[word] = s.ctl[word]! & 0xffff;
  else if (due !== MANY_DUE) s.ctl[word] = withHigh(s.ctl[word]!, due + by);
}

/** Sets `prevspan` of the span at (lo, hi), if that is one. */
function setPrev(s: AreaState, lo: number, hi: number, prevLo: number, prevHi: number): void {
  if ((lo | hi) !== 0) setWords(s.maps[hi >>> 8]!.i32, wordOf(lo, hi) + PREV, prevLo, prevHi);
}

/** High half of a word with two 16-bit fields replaced. */
function withHigh(word: number, high: number): number {
  return (word & 0xffff) | (high << 16);
}

/** Puts a span that is on no list at the head of a fullness class. False when a neighbour cannot be mapped. */
export function pushSpan(s: AreaState, sizeClass: number, fclass: number, lo: number, hi: number): boolean {
  const { ctl } = s;
  const head = listWord(sizeClass, fclass);
  const headLo = ctl[head]!;
  const headHi = ctl[head + 1]!;
  if (!resolvable(s, headLo, headHi) || !resolvable(s, lo, hi)) return false;
  const a = s.maps[hi >>> 8]!.i32;
  const w = wordOf(lo, hi);
  setWords(a, w + NEXT, headLo, headHi);
  setWords(a, w + PREV, 0, 0);
  setPrev(s, headLo, headHi, lo, hi);
  setWords(ctl, head, lo, hi);
  a[w + NMAX_FCLASS] = withHigh(a[w + NMAX_FCLASS]!, fclass);
  return true;
}

/** Tells whether {@link unlinkSpan} will succeed; maps what it needs. */
export function canUnlink(s: AreaState, a: Int32Array, w: number): boolean {
  return resolvable(s, a[w + NEXT]!, a[w + NEXT + 1]!) && resolvable(s, a[w + PREV]!, a[w + PREV + 1]!);
}

/** Takes a span off its list; the caller has asked {@link canUnlink}. Follows unlink_span. */
export function unlinkSpan(s: AreaState, a: Int32Array, w: number): void {
  const nextLo = a[w + NEXT]!;
  const nextHi = a[w + NEXT + 1]!;
  const prevLo = a[w + PREV]!;
  const prevHi = a[w + PREV + 1]!;
  setPrev(s, nextLo, nextHi, prevLo, prevHi);
  if ((prevLo | prevHi) !== 0) {
    setWords(s.maps[prevHi >>> 8]!.i32, wordOf(prevLo, prevHi) + NEXT, nextLo, nextHi);
  } else {
    setWords(s.ctl, listWord(a[w + CLASS_NINIT]! & 0xffff, a[w + NMAX_FCLASS]! >>> 16), nextLo, nextHi);
  }
}

/** Tells whether {@link moveHead} between these lists will succeed; maps what it needs. */
export function canMoveHead(s: AreaState, sizeClass: number, from: number, to: number): boolean {
  const { ctl } = s;
  const fromWord = listWord(sizeClass, from);
  const toWord = listWord(sizeClass, to);
  const lo = ctl[fromWord]!;
  const hi = ctl[fromWord + 1]!;
  if (!resolvable(s, lo, hi) || !resolvable(s, ctl[toWord]!, ctl[toWord + 1]!)) return false;
  if ((lo | hi) === 0) return true;
  const next = wordOf(lo, hi) + NEXT;
  const a = s.maps[hi >>> 8]!.i32;
  return resolvable(s, a[next]!, a[next + 1]!);
}

/**
 * Moves the head of one fullness class to the head of another; the caller has asked {@link canMoveHead}. Follows
 * transfer_first_span.
 *
 * @returns false when the list is empty
 */
export function moveHead(s: AreaState, sizeClass: number, from: number, to: number): boolean {
  const { ctl } = s;
  const fromWord = listWord(sizeClass, from);
  const lo = ctl[fromWord]!;
  const hi = ctl[fromWord + 1]!;
  if ((lo | hi) === 0) return false;
  const a = s.maps[hi >>> 8]!.i32;
  const w = wordOf(lo, hi);
  const nextLo = a[w + NEXT]!;
  const nextHi = a[w + NEXT + 1]!;
  setPrev(s, nextLo, nextHi, 0, 0);
  setWords(ctl, fromWord, nextLo, nextHi);
  pushSpan(s, sizeClass, to, lo, hi);
  return true;
}

/**
 * Makes a span descriptor and puts it at the head of fullness class 1 of its pool. Follows init_span.
 *
 * @param lo @param hi the span object
 * @param startLo @param startHi first byte of the pages that it describes
 * @returns false when a segment cannot be mapped; nothing is changed then
 */
export function initSpan(
  s: AreaState,
  sizeClass: number,
  lo: number,
  hi: number,
  startLo: number,
  startHi: number,
  npages: number,
): boolean {
  const { ctl } = s;
  const head = listWord(sizeClass, 1);
  const headLo = ctl[head]!;
  const headHi = ctl[head + 1]!;
  const a = segmentWords(s, hi >>> 8);
  const first = (headLo | headHi) === 0 ? a : segmentWords(s, headHi >>> 8);
  if (a.length === 0 || first.length === 0) return false;
  const w = wordOf(lo, hi);
  a[w + POOL] = POOLS_AT + sizeClass * POOL_SIZE;
  a[w + POOL + 1] = 0;
  a[w + PREV] = 0;
  a[w + PREV + 1] = 0;
  a[w + NEXT] = headLo;
  a[w + NEXT + 1] = headHi;
  a[w + START] = startLo;
  a[w + START + 1] = startHi;
  a[w + NPAGES] = npages;
  a[w + NPAGES + 1] = 0;
  // A block of spans holds its own descriptor in its first slot, which therefore counts as handed out.
  a[w + CLASS_NINIT] = sizeClass === OF_SPANS ? 0x10000 : sizeClass;
  // C leaves the counters of a large object as they were; they mean nothing there.
  const nmax = sizeClass === LARGE ? a[w + NALLOC_FIRST]! & 0xffff : CAPACITY[sizeClass]!;
  a[w + NALLOC_FIRST] = nmax | (NO_OBJECT << 16);
  a[w + NMAX_FCLASS] = nmax | (1 << 16);
  if ((headLo | headHi) !== 0) {
    const prev = wordOf(headLo, headHi) + PREV;
    first[prev] = lo;
    first[prev + 1] = hi;
  }
  ctl[head] = lo;
  ctl[head + 1] = hi;
  return true;
}
