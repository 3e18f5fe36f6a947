/**
 * Looking a pointer up: what object it names, and why a pointer that names none is wrong.
 *
 * Reads the page map, spans and the state table without locks. That is sound for the owner of a live object, because
 * nobody may change what describes it; for a wrong pointer the answer may be out of date but nothing is damaged.
 */

import {
  C_SEGMENT_HANDLES,
  ENTRY_POINTER_BITS,
  MAX_SEGMENTS,
  S_CLASS_NINIT,
  S_NEXT,
  S_NPAGES,
  S_START,
} from './area-layout.js';
import { checkForFreedSegments, pageMapWord, segmentState, segmentWords } from './mapping.js';
import { pageOf, SEGMENT_SPAN, wordOf } from './pointer.js';
import {
  CLASS_BLOCK_OF_SPANS,
  CLASS_CAPACITY,
  CLASS_LARGE,
  CLASS_RECIPROCAL,
  CLASS_SIZE,
  NUM_SIZE_CLASSES,
  SLOT_SHIFT,
  PAGE_SIZE,
} from './size-classes.js';
import { listWord } from './spans.js';
import { type AreaFailure, type AreaState, firstState, STATE_FREED, STATE_LIVE } from './state.js';

const TWO_32 = 2 ** 32;
const WRONG: ReadonlySet<AreaFailure> = new Set<AreaFailure>(['double', 'foreign', 'interior', 'misaligned', 'stale']);
/** Large objects that the search for an interior pointer looks at; beyond, the pointer is called foreign. */
const SEARCH_LIMIT = 1_000_000;

/** Why `pointer` names no live object; 'none' when it does, or the reason that its segment cannot be looked at. */
function judge(s: AreaState, pointer: number): AreaFailure {
  if (!Number.isSafeInteger(pointer) || pointer < 0 || pointer % 8 !== 0) return 'misaligned';
  const hi = Math.floor(pointer / TWO_32);
  const lo = (pointer - hi * TWO_32) | 0;
  const index = hi >>> 8;
  if (pointer === 0 || pointer >= MAX_SEGMENTS * SEGMENT_SPAN) return 'foreign';
  if (!checkForFreedSegments(s)) return 'lock';
  if (index > 0 && s.ctl[C_SEGMENT_HANDLES + index] === 0) return 'stale';
  s.failure = 'none';
  const a = segmentWords(s, index);
  const state = segmentState(s, index);
  if (a.length === 0 || state.length === 0) return s.failure;
  const page = pageOf(lo, hi);
  if (page >= s.maps[index]!.pages) return 'foreign';
  const map = pageMapWord(index) + 2 * page;
  const spanHi = a[map + 1]! & ENTRY_POINTER_BITS;
  const spanLo = a[map]!;
  if ((spanLo | spanHi) === 0) return judgeUnmapped(s, lo, hi, state, page);
  const sa = spanHi >>> 8 < MAX_SEGMENTS ? segmentWords(s, spanHi >>> 8) : a.subarray(0, 0);
  if (sa.length === 0 && s.failure !== 'none') return s.failure;
  const w = wordOf(spanLo, spanHi);
  if (w + S_NPAGES >= sa.length) return 'corrupt';
  const sizeClass = sa[w + S_CLASS_NINIT]! & 0xffff;
  const startLo = sa[w + S_START]!;
  const startHi = sa[w + S_START + 1]!;
  if (sizeClass === CLASS_BLOCK_OF_SPANS) return 'foreign';
  if (sizeClass >= NUM_SIZE_CLASSES) return 'corrupt';
  if (sizeClass === CLASS_LARGE) {
    if (startLo !== lo || startHi !== hi) return 'interior';
    return state[firstState(CLASS_LARGE, s.maps[index]!.pages, page)] === STATE_LIVE ? 'none' : 'double';
  }
  const distance = (lo - startLo) | 0;
  const k = Math.floor(distance / CLASS_SIZE[sizeClass]!);
  const slot = state[firstState(sizeClass, s.maps[index]!.pages, pageOf(startLo, startHi)) + k];
  if (k * CLASS_SIZE[sizeClass]! !== distance) return k < CLASS_CAPACITY[sizeClass]! ? 'interior' : 'foreign';
  if (slot === STATE_LIVE) return 'none';
  return k < sa[w + S_CLASS_NINIT]! >>> 16 ? 'double' : 'foreign';
}

/** For a page that the page map says nothing of: inside a large object, freed with its pages, or never an object. */
function judgeUnmapped(s: AreaState, lo: number, hi: number, state: Uint16Array, page: number): AreaFailure {
  const head = listWord(CLASS_LARGE, 1);
  let spanLo = s.ctl[head]!;
  let spanHi = s.ctl[head + 1]!;
  for (let steps = 0; (spanLo | spanHi) !== 0 && steps < SEARCH_LIMIT; steps++) {
    const sa = spanHi >>> 8 < MAX_SEGMENTS ? segmentWords(s, spanHi >>> 8) : s.ctl.subarray(0, 0);
    const w = wordOf(spanLo, spanHi);
    if (w + S_NPAGES >= sa.length) break;
    const startHi = sa[w + S_START + 1]!;
    const first = pageOf(sa[w + S_START]!, startHi);
    if (startHi >>> 8 === hi >>> 8 && page > first && page < first + sa[w + S_NPAGES]!) return 'interior';
    spanLo = sa[w + S_NEXT]!;
    spanHi = sa[w + S_NEXT + 1]!;
  }
  return (lo & (PAGE_SIZE - 1)) === 0 && state[firstState(CLASS_LARGE, s.maps[hi >>> 8]!.pages, page)] === STATE_FREED
    ? 'double'
    : 'foreign';
}

/** Tells whether the last failure lies with the store or a lock, so that nothing can be said about the pointer. */
export function isUnreachable(s: AreaState): boolean {
  return s.failure === 'dsm' || s.failure === 'lock';
}

/** Tells whether the last failure is that a pointer names no live object. */
export function isWrongPointer(s: AreaState): boolean {
  return WRONG.has(s.failure);
}

/**
 * Finds out why a pointer cannot be freed, for the error.
 *
 * @returns false always, with `failure` set
 */
export function explainBadPointer(s: AreaState, pointer: number): false {
  const failure = judge(s, pointer);
  // The object came to life between the refusal and this look: another thread was given the slot meanwhile.
  s.failure = failure === 'none' ? 'double' : failure;
  return false;
}

/**
 * Usable bytes of the live object at `pointer`: the object size of its class, or its pages.
 *
 * @returns 0 with `failure` set when it is not the start of a live object
 */
export function usableBytes(s: AreaState, pointer: number): number {
  const hi = (pointer * (1 / TWO_32)) | 0;
  const rest = pointer - hi * TWO_32;
  const lo = rest | 0;
  const index = hi >>> 8;
  const aligned = lo >>> 0 === rest && (lo & 7) === 0 && hi >= 0 && index < MAX_SEGMENTS;
  s.failure = 'none';
  if (aligned && checkForFreedSegments(s)) {
    const a = segmentWords(s, index);
    if (a.length === 0 && isUnreachable(s)) return 0;
    const page = pageOf(lo, hi);
    const state = segmentState(s, index);
    if (page < s.maps[index]!.pages && a.length !== 0) {
      const map = pageMapWord(index) + 2 * page;
      const spanLo = a[map]!;
      const spanHi = a[map + 1]! & ENTRY_POINTER_BITS;
      const sa = (spanLo | spanHi) !== 0 && spanHi >>> 8 < MAX_SEGMENTS ? segmentWords(s, spanHi >>> 8) : a;
      const w = wordOf(spanLo, spanHi);
      const sizeClass = sa[w + S_CLASS_NINIT]! & 0xffff;
      const startLo = sa[w + S_START]!;
      const startHi = sa[w + S_START + 1]!;
      const first = firstState(sizeClass, s.maps[index]!.pages, pageOf(startLo, startHi));
      if ((spanLo | spanHi) !== 0 && startHi >>> 8 === index && sizeClass < NUM_SIZE_CLASSES) {
        if (sizeClass === CLASS_LARGE) {
          if (startLo === lo && startHi === hi && state[first] === STATE_LIVE) return sa[w + S_NPAGES]! * PAGE_SIZE;
        } else if (sizeClass !== CLASS_BLOCK_OF_SPANS) {
          const distance = (lo - startLo) | 0;
          const k = Math.imul(distance >>> 3, CLASS_RECIPROCAL[sizeClass]!) >>> SLOT_SHIFT;
          const whole = distance >= 0 && Math.imul(k, CLASS_SIZE[sizeClass]!) === distance;
          if (whole && state[first + k] === STATE_LIVE) return CLASS_SIZE[sizeClass]!;
        }
      }
    }
  }
  explainBadPointer(s, pointer);
  return 0;
}
