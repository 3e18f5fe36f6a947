/**
 * Freeing one object: the hot path.
 *
 * Follows dsa_free of dsa.c. In addition every pointer is checked: the state table, outside of the segment's counted
 * size and read and written under the lock of the pool, tells live objects from everything else, and holds the free
 * lists; the page map is cleared when pages go back. One lock, two atomic operations, when the superblock stays.
 *
 * Word offsets are repeated here as constants of this module; see allocate.ts.
 */

import { ATTENTION_WORD } from '../dsm/dsm.js';
import { lwlockAcquireExclusive, lwlockReleaseNewest } from '../sync/sync.js';
import {
  AreaControl,
  ENTRY_CLASS_MASK,
  ENTRY_CLASS_SHIFT,
  ENTRY_PAGE_SHIFT,
  ENTRY_POINTER_BITS,
  MAX_SEGMENTS,
  PAGEMAP_WORD_FIRST,
  PAGEMAP_WORD_OTHER,
  Pool,
  Span,
} from './area-layout.js';
import { fileAsCrowded } from './full-blocks.js';
import { explainBadPointer, isUnreachable } from './inspect.js';
import { freeLarge } from './large.js';
import { checkForFreedSegments, segmentWords } from './mapping.js';
import { fromWords, pageOf, wordOf } from './pointer.js';
import { CLASS_DUE_AT, CLASS_RECIPROCAL, CLASS_SIZE, NUM_SIZE_CLASSES, SLOT_SHIFT, SPAN_SIZE } from './size-classes.js';
import { canUnlink, countDue, headMapped, poolWord, pushSpan, unlinkSpan } from './spans.js';
import { type AreaState, STATE_LIVE, STATE_BEFORE, STATE_PER, UNMAPPED } from './state.js';
import { destroySuperblock } from './superblocks.js';

const ATTENTION = ATTENTION_WORD;
const acquire = lwlockAcquireExclusive;
const release = lwlockReleaseNewest;
const SEGMENTS = MAX_SEGMENTS;
const MAP_FIRST = PAGEMAP_WORD_FIRST;
const MAP_OTHER = PAGEMAP_WORD_OTHER;
const FREED_COUNTER = AreaControl.freed_segment_counter / 4;
const POOLS = AreaControl.pools / 4;
const POOL_WORDS = Pool.SIZEOF / 4;
const PREV = Span.prevspan / 4;
const NALLOC_FIRST = Span.nallocatable / 4;
const NMAX_FCLASS = Span.nmax / 4;
const CLASSES = NUM_SIZE_CLASSES;
const POINTER_BITS = ENTRY_POINTER_BITS;
const CLASS_SHIFT = ENTRY_CLASS_SHIFT;
const CLASS_MASK = ENTRY_CLASS_MASK;
const PAGE_SHIFT = ENTRY_PAGE_SHIFT;
const SIZES = CLASS_SIZE;
const RECIPROCALS = CLASS_RECIPROCAL;
const SHIFT = SLOT_SHIFT;
const DUE_AT = CLASS_DUE_AT;
const PER = STATE_PER;
const BEFORE = STATE_BEFORE;
const LIVE = STATE_LIVE;
const NOT_MAPPED = UNMAPPED;
const WORDS_4_GIB = 2 ** 30;

/* Outcomes of linkSlot. */
/** A segment could not be mapped: nothing was changed. */
export const REFUSED = 0;
/** The object is back. */
const RETURNED = 1;
/** The object is back, but its superblock, now empty, could not be given back and stays on its list: no failure. */
const KEPT = 2;

/**
 * Frees the object at the pointer with these words; they come apart for the reason given at allocateObject.
 *
 * @param lo low word, any 32 bits
 * @param hi high word, 0 or more
 * @returns false with `failure` set
 */
export function freeObject(s: AreaState, lo: number, hi: number): boolean {
  const index = hi >>> 8;
  if ((lo & 7) !== 0 || index >= SEGMENTS) return explainBadPointer(s, fromWords(lo, hi));
  if (s.listens === true && s.dsm.control[ATTENTION] !== s.dsm.attentionSeen) s.dsm.attend();
  // Read before the lock, whose call makes V8 look again at what `s` is.
  const { ctl, p, ns, maps } = s;
  if (ctl[FREED_COUNTER] !== s.freedSeen && !checkForFreedSegments(s)) return false;
  let here = maps[index]!;
  if (here.i32 === NOT_MAPPED) {
    if (segmentWords(s, index).length === 0 && isUnreachable(s)) return false;
    here = maps[index]!;
  }
  const a = here.i32;
  const page = ((hi & 0xff) << 20) | (lo >>> 12);
  // A segment that could not be mapped has no pages.
  if (page >= here.pages) return explainBadPointer(s, fromWords(lo, hi));
  const map = (index === 0 ? MAP_FIRST : MAP_OTHER) + 2 * page;
  const spanLo = a[map]!;
  const entry = a[map + 1]!;
  const sizeClass = (entry >>> CLASS_SHIFT) & CLASS_MASK;
  const spanHi = entry & POINTER_BITS;
  if (sizeClass < 2 || sizeClass >= CLASSES) {
    return sizeClass === 1 ? freeLarge(s, lo, hi, spanLo, spanHi) : explainBadPointer(s, fromWords(lo, hi));
  }
  const inBlock = entry >>> PAGE_SHIFT;
  const distance = (inBlock << 12) | (lo & 0xfff);
  const k = Math.imul(distance >>> 3, RECIPROCALS[sizeClass]!) >>> SHIFT;
  const at = here.pages * BEFORE[sizeClass]! + (page - inBlock) * PER[sizeClass]! + k;
  let sa = maps[spanHi >>> 8]!.i32;
  if (sa === NOT_MAPPED) {
    sa = segmentWords(s, spanHi >>> 8);
    if (sa.length === 0) return isUnreachable(s) ? false : explainBadPointer(s, fromWords(lo, hi));
  }
  const { state } = here;
  const pool = POOLS + sizeClass * POOL_WORDS;
  if (acquire(p, ctl, pool, ns) === 0) {
    s.failure = 'lock';
    return false;
  }
  // Until the lock was ours a second, wrong, free could have taken the superblock away: look at the page map again.
  if (a[map] !== spanLo || a[map + 1] !== entry || Math.imul(k, SIZES[sizeClass]!) !== distance || state[at] !== LIVE) {
    release(p, ctl, pool, ns);
    return explainBadPointer(s, fromWords(lo, hi));
  }
  const w = (spanHi & 0xff) * WORDS_4_GIB + (spanLo >>> 2);
  const outcome = linkSlot(s, sizeClass, sa, w, spanLo, spanHi, state, at, k);
  release(p, ctl, pool, ns);
  return outcome !== REFUSED;
}

/**
 * Links slot `k`, whose state is `state[at]`, into the free list of its span, and does what follows from that. Under the
 * lock of the pool. The outcome is a number of those above; REFUSED and KEPT come with `failure` set.
 *
 * @param sa words of the segment that the span lies in
 * @param w its word there
 * @param spanLo @param spanHi pointer to it
 */
export function linkSlot(
  s: AreaState,
  sizeClass: number,
  sa: Int32Array,
  w: number,
  spanLo: number,
  spanHi: number,
  state: Uint16Array,
  at: number,
  k: number,
): number {
  const counters = sa[w + NALLOC_FIRST]!;
  const filing = sa[w + NMAX_FCLASS]!;
  const fclass = filing >>> 16;
  const free = (counters & 0xffff) + 1;
  // The active superblock stays where it is, also when it is empty.
  const stays = fclass === 1 && (sa[w + PREV]! | sa[w + PREV + 1]!) === 0;
  if (!stays && ((free === 1 && fclass === 3) || free === (filing & 0xffff) || free === DUE_AT[sizeClass])) {
    return returnLast(s, sizeClass, sa, w, spanLo, spanHi, state, at, k);
  }
  state[at] = counters >>> 16;
  sa[w + NALLOC_FIRST] = free | (k << 16);
  return RETURNED;
}

/**
 * Links slot `k`, whose state is `state[at]`, into the free list of its span when that changes where the span belongs:
 * it was full, it is empty now, or it is due for a lower fullness class. Under the lock of the pool. REFUSED and KEPT
 * come with `failure` set.
 */
function returnLast(
  s: AreaState,
  sizeClass: number,
  sa: Int32Array,
  w: number,
  spanLo: number,
  spanHi: number,
  state: Uint16Array,
  at: number,
  k: number,
): number {
  // The neighbours on the list are looked up by segment index: one may have been reused since the caller looked.
  if (s.ctl[FREED_COUNTER] !== s.freedSeen && !checkForFreedSegments(s)) return REFUSED;
  const counters = sa[w + NALLOC_FIRST]!;
  const filing = sa[w + NMAX_FCLASS]!;
  const free = (counters & 0xffff) + 1;
  const wasFull = free === 1 && filing >>> 16 === 3;
  if (wasFull && fileAsCrowded(s, sizeClass, sa, w, spanLo, spanHi)) {
    state[at] = counters >>> 16;
    sa[w + NALLOC_FIRST] = free | (k << 16);
    return RETURNED;
  }
  if (wasFull && (!headMapped(s, sizeClass, 2) || !canUnlink(s, sa, w))) return REFUSED;
  state[at] = counters >>> 16;
  sa[w + NALLOC_FIRST] = free | (k << 16);
  if (wasFull) {
    // The block was full, so it belongs into the highest class that holds blocks with room.
    unlinkSpan(s, sa, w);
    pushSpan(s, sizeClass, 2, spanLo, spanHi);
    return RETURNED;
  }
  const crowded = filing >>> 16 === 2;
  if (free === (filing & 0xffff)) {
    if (crowded) countDue(s, sizeClass, -1);
    const active = filing >>> 16 === 1 && (sa[w + PREV]! | sa[w + PREV + 1]!) === 0;
    if (!active && !destroySuperblock(s, sizeClass, sa, w, spanLo, spanHi)) {
      if (crowded) countDue(s, sizeClass, 1);
      return KEPT;
    }
  } else if (crowded && free === DUE_AT[sizeClass]) {
    countDue(s, sizeClass, 1);
  }
  return RETURNED;
}

/** Gives a span object back to its block of spans. False with `failure` set. */
export function freeSpanObject(s: AreaState, lo: number, hi: number): boolean {
  if (!checkForFreedSegments(s)) return false;
  const a = segmentWords(s, hi >>> 8);
  if (a.length === 0) return false;
  const { ctl, p, ns } = s;
  const pool = poolWord(0);
  if (acquire(p, ctl, pool, ns) === 0) {
    s.failure = 'lock';
    return false;
  }
  // A block of spans describes itself with the span in its first slot.
  const blockLo = lo & ~0xfff;
  const k = ((lo & 0xfff) / SPAN_SIZE) | 0;
  const state = s.maps[hi >>> 8]!.state;
  const at = s.maps[hi >>> 8]!.pages * BEFORE[0]! + pageOf(lo, hi) * PER[0]! + k;
  const outcome = returnLast(s, 0, a, wordOf(blockLo, hi), blockLo, hi, state, at, k);
  release(p, ctl, pool, ns);
  return outcome !== REFUSED;
}
