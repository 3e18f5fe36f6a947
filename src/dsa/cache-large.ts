/**
 * Large objects in a participant's cache: runs of pages that stay described as they are, free for the program.
 *
 * A cached large object keeps its span, its place on the list of pool 1 and its page map entry; only its state, the
 * entry of its first page, is the participant's mark. Taking it again is a search among at most 16 for one with
 * exactly the wanted number of pages, the newest first. No lock: nobody else may touch an object with this mark.
 */

import { ENTRY_POINTER_BITS, S_NPAGES } from './area-layout.js';
import { grantPages } from './cache-budget.js';
import {
  CACHE_LARGE_OBJECTS,
  CACHE_LARGE_PAGES,
  CACHE_LARGEST_PAGES,
  CS_LARGE_COUNT,
  CS_LARGE_PAGES,
} from './cache-layout.js';
import { LARGE_PAGES, LARGE_POINTERS } from './cache.js';
import { isWrongPointer } from './inspect.js';
import { freeLarge } from './large.js';
import { pageMapWord, segmentWords } from './mapping.js';
import { hiWord, loWord, pageOf, wordOf } from './pointer.js';
import { CLASS_LARGE } from './size-classes.js';
import { type AreaState, firstState, STATE_LIVE } from './state.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see allocate.ts). */
const MOST_OBJECTS = CACHE_LARGE_OBJECTS;
const MOST_PAGES = CACHE_LARGE_PAGES;
const LARGEST = CACHE_LARGEST_PAGES;
const POINTERS = LARGE_POINTERS;
const PAGES = LARGE_PAGES;
const TWO_32 = 2 ** 32;

function setCounts(s: AreaState, count: number, pages: number): void {
  s.largeCached = count;
  s.largePages = pages;
  s.cacheTable[s.cacheSlot + CS_LARGE_COUNT] = count;
  s.cacheTable[s.cacheSlot + CS_LARGE_PAGES] = pages;
}

function setState(s: AreaState, pointer: number, state: number): void {
  const hi = (pointer * (1 / TWO_32)) | 0;
  const map = s.maps[hi >>> 8]!;
  map.state[firstState(CLASS_LARGE, map.pages, pageOf(pointer | 0, hi))] = state;
}

/** Takes entry `at` out; later ones move down. */
function remove(s: AreaState, at: number): number {
  const base = s.block * MOST_OBJECTS;
  const pointer = POINTERS[base + at]!;
  const npages = PAGES[base + at]!;
  for (let i = base + at; i < base + s.largeCached - 1; i++) {
    POINTERS[i] = POINTERS[i + 1]!;
    PAGES[i] = PAGES[i + 1]!;
  }
  setCounts(s, s.largeCached - 1, s.largePages - npages);
  return pointer;
}

/** Takes a cached large object of exactly so many pages. @returns its pointer, or 0 */
export function takeLarge(s: AreaState, npages: number): number {
  const base = s.block * MOST_OBJECTS;
  for (let i = s.largeCached - 1; i >= 0; i--) {
    if (PAGES[base + i] !== npages) continue;
    const pointer = remove(s, i);
    setState(s, pointer, STATE_LIVE);
    return pointer;
  }
  return 0;
}

/**
 * Puts a live large object into the cache; the oldest ones make room.
 *
 * @param lo @param hi its pointer, which the page map ascribes to the span at (spanLo, spanHi)
 * @returns false, with nothing done, when it is not live or not to be cached
 */
export function giveLarge(
  s: AreaState,
  lo: number,
  hi: number,
  pointer: number,
  spanLo: number,
  spanHi: number,
): boolean {
  const sa = segmentWords(s, spanHi >>> 8);
  const { state, pages } = s.maps[hi >>> 8]!;
  const at = firstState(CLASS_LARGE, pages, pageOf(lo, hi));
  if (sa.length === 0 || (lo & 0xfff) !== 0 || state[at] !== STATE_LIVE) return false;
  const npages = sa[wordOf(spanLo, spanHi) + S_NPAGES]!;
  if (npages > LARGEST || !makePlace(s, npages)) return false;
  state[at] = s.mark;
  const end = s.block * MOST_OBJECTS + s.largeCached;
  POINTERS[end] = pointer;
  PAGES[end] = npages;
  setCounts(s, s.largeCached + 1, s.largePages + npages);
  return true;
}

/** Makes place for `npages` more pages. False when there is no room for them at all. */
function makePlace(s: AreaState, npages: number): boolean {
  while (s.largeCached === MOST_OBJECTS || s.largePages + npages > MOST_PAGES) if (!freeOldest(s)) return false;
  while (s.largePages + npages > s.largeRoom) {
    if (grantPages(s, s.largePages + npages - s.largeRoom)) s.largeRoom = s.largePages + npages;
    else if (s.largeCached === 0 || !freeOldest(s)) return false;
  }
  return true;
}

/** Gives the oldest one back. False with `failure` set; it then stays. */
function freeOldest(s: AreaState): boolean {
  const pointer = POINTERS[s.block * MOST_OBJECTS]!;
  if (!freeMarked(s, pointer)) return false;
  remove(s, 0);
  return true;
}

/** Frees a large object that has this participant's mark. False with `failure` set; the mark then stays. */
function freeMarked(s: AreaState, pointer: number): boolean {
  const hi = hiWord(pointer);
  const lo = loWord(pointer);
  const words = segmentWords(s, hi >>> 8);
  if (words.length === 0) return false;
  const map = pageMapWord(hi >>> 8) + 2 * pageOf(lo, hi);
  if (freeLarge(s, lo, hi, words[map]!, words[map + 1]! & ENTRY_POINTER_BITS, s.mark)) return true;
  // Two threads freed it at the same moment, or, without marks, it was freed twice: it is somebody else's.
  return isWrongPointer(s);
}

/** Gives all of them back. False with `failure` set when something stays. */
export function emptyLarge(s: AreaState): boolean {
  while (s.largeCached > 0) if (!freeOldest(s)) return false;
  return true;
}
