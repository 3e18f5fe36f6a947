/**
 * Full superblocks: one gets room, and one with room gets full again. In a heap in steady use these are the list moves
 * that happen all the time, a fifth of all calls with 10,000 objects of mixed sizes.
 *
 * The same steps as in spans.ts, superblocks.ts and allocate.ts, put together and without the questions that are
 * answered once for all: every segment concerned is mapped, nothing is due for another list. Where that does not hold, these
 * functions change nothing, say so, and the general ones do the work. Both run under the lock of the pool.
 */

import { AreaControl, NOTHING_FREE, Pool, Span } from './area-layout.js';
import { CLASS_SIZE } from './size-classes.js';
import { type AreaState, STATE_LIVE, STATE_BEFORE, STATE_PER, UNMAPPED } from './state.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see allocate.ts). */
const POOLS = AreaControl.pools / 4;
const POOL_WORDS = Pool.SIZEOF / 4;
/** From the lock of a pool to the heads of its fullness classes 1, 2 and 3. */
const TO_ACTIVE = Pool.spans / 4 + 2;
const TO_CROWDED = TO_ACTIVE + 2;
const TO_FULL = TO_ACTIVE + 4;
const START = Span.start / 4;
const PREV = Span.prevspan / 4;
const NEXT = Span.nextspan / 4;
const NALLOC_FIRST = Span.nallocatable / 4;
const NMAX_FCLASS = Span.nmax / 4;
const NO_OBJECT = NOTHING_FREE;
const SIZES = CLASS_SIZE;
const PER = STATE_PER;
const BEFORE = STATE_BEFORE;
const LIVE = STATE_LIVE;
const NOT_MAPPED = UNMAPPED;
const WORDS_4_GIB = 2 ** 30;
const TWO_32 = 2 ** 32;

/**
 * Allocates from the first superblock of fullness class 2 when class 1 is empty, and files it anew: as active, or as
 * full. No span may be due for another list.
 *
 * @param pool word of the pool
 * @returns low word of the pointer with the high word in `s.hi`; `s.hi` is -1 when nothing was done
 */
export function takeFromCrowded(s: AreaState, sizeClass: number, pool: number): number {
  s.hi = -1;
  const { ctl } = s;
  const lo = ctl[pool + TO_CROWDED]!;
  const hi = ctl[pool + TO_CROWDED + 1]!;
  if ((lo | hi) === 0) return 0;
  const a = viewOf(s, hi);
  if (a === NOT_MAPPED) return 0;
  const w = (hi & 0xff) * WORDS_4_GIB + (lo >>> 2);
  const counters = a[w + NALLOC_FIRST]!;
  const left = (counters & 0xffff) - 1;
  const k = counters >>> 16;
  const startLo = a[w + START]!;
  const startHi = a[w + START + 1]!;
  const to = left === 0 ? pool + TO_FULL : pool + TO_ACTIVE;
  const nextLo = a[w + NEXT]!;
  const nextHi = a[w + NEXT + 1]!;
  const headLo = ctl[to]!;
  const headHi = ctl[to + 1]!;
  // Where C would map a segment now, the general way does so. A pointer that is 0 names segment 0, which always is mapped.
  if (
    k === NO_OBJECT ||
    viewOf(s, startHi) === NOT_MAPPED ||
    viewOf(s, nextHi) === NOT_MAPPED ||
    viewOf(s, headHi) === NOT_MAPPED
  ) {
    return 0;
  }
  const { state, pages } = s.maps[startHi >>> 8]!;
  const page = ((startHi & 0xff) << 20) | (startLo >>> 12);
  const first = pages * BEFORE[sizeClass]! + page * PER[sizeClass]!;
  ctl[pool + TO_CROWDED] = nextLo;
  ctl[pool + TO_CROWDED + 1] = nextHi;
  if ((nextLo | nextHi) !== 0) setPrev(s, nextLo, nextHi, 0, 0);
  a[w + NEXT] = headLo;
  a[w + NEXT + 1] = headHi;
  if ((headLo | headHi) !== 0) setPrev(s, headLo, headHi, lo, hi);
  ctl[to] = lo;
  ctl[to + 1] = hi;
  a[w + NMAX_FCLASS] = (a[w + NMAX_FCLASS]! & 0xffff) | (left === 0 ? 3 << 16 : 1 << 16);
  a[w + NALLOC_FIRST] = left | (state[first + k]! << 16);
  state[first + k] = LIVE;
  if (left !== 0) s.active[sizeClass]!.set(a, w, lo, hi, startLo, startHi, state, first);
  const end = (startLo >>> 0) + Math.imul(k, SIZES[sizeClass]!);
  s.hi = end >= TWO_32 ? startHi + 1 : startHi;
  return end | 0;
}

/**
 * Moves a span that was full to the head of fullness class 2, as its first object is freed.
 *
 * @param sa words of the segment that the span lies in
 * @param w its word there
 * @param lo @param hi pointer to it
 * @returns false when a neighbour is not mapped; nothing was done then
 */
export function fileAsCrowded(
  s: AreaState,
  sizeClass: number,
  sa: Int32Array,
  w: number,
  lo: number,
  hi: number,
): boolean {
  const { ctl } = s;
  const pool = POOLS + sizeClass * POOL_WORDS;
  const nextLo = sa[w + NEXT]!;
  const nextHi = sa[w + NEXT + 1]!;
  const prevLo = sa[w + PREV]!;
  const prevHi = sa[w + PREV + 1]!;
  const headLo = ctl[pool + TO_CROWDED]!;
  const headHi = ctl[pool + TO_CROWDED + 1]!;
  // A pointer that is 0 names segment 0, which always is mapped.
  if (viewOf(s, nextHi) === NOT_MAPPED || viewOf(s, prevHi) === NOT_MAPPED || viewOf(s, headHi) === NOT_MAPPED) {
    return false;
  }
  if ((nextLo | nextHi) !== 0) setPrev(s, nextLo, nextHi, prevLo, prevHi);
  if ((prevLo | prevHi) !== 0) {
    const before = viewOf(s, prevHi);
    const at = (prevHi & 0xff) * WORDS_4_GIB + (prevLo >>> 2) + NEXT;
    before[at] = nextLo;
    before[at + 1] = nextHi;
  } else {
    ctl[pool + TO_FULL] = nextLo;
    ctl[pool + TO_FULL + 1] = nextHi;
  }
  sa[w + NEXT] = headLo;
  sa[w + NEXT + 1] = headHi;
  sa[w + PREV] = 0;
  sa[w + PREV + 1] = 0;
  if ((headLo | headHi) !== 0) setPrev(s, headLo, headHi, lo, hi);
  ctl[pool + TO_CROWDED] = lo;
  ctl[pool + TO_CROWDED + 1] = hi;
  sa[w + NMAX_FCLASS] = (sa[w + NMAX_FCLASS]! & 0xffff) | (2 << 16);
  return true;
}

/** Words of the segment that a pointer with this high word leads to; also for a high word that no pointer has. */
function viewOf(s: AreaState, hi: number): Int32Array {
  const map = s.maps[hi >>> 8];
  return map === undefined ? NOT_MAPPED : map.i32;
}

function setPrev(s: AreaState, lo: number, hi: number, prevLo: number, prevHi: number): void {
  const a = viewOf(s, hi);
  const at = (hi & 0xff) * WORDS_4_GIB + (lo >>> 2) + PREV;
  a[at] = prevLo;
  a[at + 1] = prevHi;
}
