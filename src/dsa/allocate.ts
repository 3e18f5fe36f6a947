/**
 * Allocating one object of a size class: the hot path.
 *
 * Follows alloc_object of dsa.c. One lock, that of the pool, two atomic operations. Nothing throws between the lock and
 * its release: a failure comes back as 0 with `failure` set, and the caller throws after the lock is gone.
 *
 * Imports go in a circle between this file, free.ts, large.ts and superblocks.ts, because the algorithm does: a superblock
 * needs a span object, which is allocated. Only functions are called across, never while modules load.
 *
 * Word offsets are repeated here as constants of this module: V8 folds a module's own constants into the code, but
 * reads imported ones from memory at every use, with a check; that cost 15 ns a pair.
 */

import { ATTENTION_WORD } from '../dsm/dsm.js';
import { lwlockAcquireExclusive, lwlockReleaseNewest } from '../sync/sync.js';
import { AreaControl, NOTHING_FREE, Pool, Span } from './area-layout.js';
import { takeFromCrowded } from './full-blocks.js';
import { checkForFreedSegments, segmentState, segmentWords } from './mapping.js';
import { pageOf, wordOf } from './pointer.js';
import { CLASS_SIZE } from './size-classes.js';
import { canMoveHead, moveHead } from './spans.js';
import { type AreaState, STATE_LIVE, STATE_BEFORE, STATE_PER } from './state.js';
import { ensureActiveSuperblock, nothingDue } from './superblocks.js';

const ATTENTION = ATTENTION_WORD;
const acquire = lwlockAcquireExclusive;
const release = lwlockReleaseNewest;
const FREED_COUNTER = AreaControl.freed_segment_counter / 4;
const POOLS = AreaControl.pools / 4;
const POOL_WORDS = Pool.SIZEOF / 4;
/** From the lock of a pool to the head of its fullness class 1. */
const TO_ACTIVE = Pool.spans / 4 + 2;
const START = Span.start / 4;
const CLASS_NINIT = Span.size_class / 4;
const NALLOC_FIRST = Span.nallocatable / 4;
const NO_OBJECT = NOTHING_FREE;
const SIZES = CLASS_SIZE;
const PER = STATE_PER;
const BEFORE = STATE_BEFORE;
const LIVE = STATE_LIVE;
const TWO_32 = 2 ** 32;

/**
 * Allocates an object of a slab class, or a span object for class 0.
 *
 * @returns the low word of the pointer, with the high word in `s.hi`; `s.hi` is -1, with `failure` set, when there is
 *   none. Two small integers, because a pointer beyond 2^31 that crosses a call as one number is put on the heap.
 */
export function allocateObject(s: AreaState, sizeClass: number): number {
  // Read before the lock, whose call makes V8 look again at what `s` is.
  const { ctl, p, ns, freedSeen } = s;
  const known = s.active[sizeClass]!;
  if (s.listens === true && s.dsm.control[ATTENTION] !== s.dsm.attentionSeen) s.dsm.attend();
  const pool = POOLS + sizeClass * POOL_WORDS;
  if (acquire(p, ctl, pool, ns) === 0) {
    s.failure = 'lock';
    s.hi = -1;
    return 0;
  }
  const head = pool + TO_ACTIVE;
  if (ctl[head] !== known.lo || ctl[head + 1] !== known.hi || ctl[FREED_COUNTER] !== freedSeen) {
    return takeSlowly(s, sizeClass, pool);
  }
  const { a, w, state, startLo, startHi } = known;
  const counters = a[w + NALLOC_FIRST]!;
  const left = (counters & 0xffff) - 1;
  // A span of the same name may describe another superblock by now; and the last object of one takes the long way.
  if (left === 0 || a[w + START] !== startLo || a[w + START + 1] !== startHi) return takeSlowly(s, sizeClass, pool);
  let k = counters >>> 16;
  if (k !== NO_OBJECT) {
    const at = known.first + k;
    a[w + NALLOC_FIRST] = left | (state[at]! << 16);
    state[at] = LIVE;
  } else {
    const initialized = a[w + CLASS_NINIT]!;
    k = initialized >>> 16;
    a[w + CLASS_NINIT] = (initialized + 0x10000) | 0;
    a[w + NALLOC_FIRST] = left | (NO_OBJECT << 16);
    state[known.first + k] = LIVE;
  }
  release(p, ctl, pool, ns);
  s.hi = startHi;
  // A superblock may lie across a multiple of 4 GiB: then the low word wraps and the high word follows.
  return startLo < 0 ? endOf(s, startLo, Math.imul(k, SIZES[sizeClass]!)) : startLo + Math.imul(k, SIZES[sizeClass]!);
}

/** The low word of `startLo` + `distance`, with a carry into `s.hi`; both words are signed when they leave 31 bits. */
function endOf(s: AreaState, startLo: number, distance: number): number {
  const sum = (startLo >>> 0) + distance;
  if (sum >= TWO_32) s.hi++;
  return sum | 0;
}

/** The rest of {@link allocateObject} where something has to be looked up, mapped or moved first. Releases the lock. */
function takeSlowly(s: AreaState, sizeClass: number, pool: number): number {
  const { ctl } = s;
  const head = pool + TO_ACTIVE;
  const current = ctl[FREED_COUNTER] === s.freedSeen;
  if (current && (ctl[head]! | ctl[head + 1]!) === 0 && nothingDue(s, sizeClass)) {
    const taken = takeFromCrowded(s, sizeClass, pool);
    if (s.hi >= 0) {
      release(s.p, ctl, pool, s.ns);
      return taken;
    }
  }
  const ready =
    (current || checkForFreedSegments(s)) &&
    ((ctl[head]! | ctl[head + 1]!) !== 0 || ensureActiveSuperblock(s, sizeClass));
  // Only now: a new superblock wants a span object, whose pointer came through here.
  s.hi = -1;
  const lo = ready ? takeObject(s, sizeClass, ctl[head]!, ctl[head + 1]!) : 0;
  release(s.p, ctl, pool, s.ns);
  return lo;
}

/** Takes one object from the active superblock, whose span (lo, hi) has room. Under the lock of the pool. */
function takeObject(s: AreaState, sizeClass: number, lo: number, hi: number): number {
  const a = segmentWords(s, hi >>> 8);
  if (a.length === 0) return 0;
  const w = wordOf(lo, hi);
  const counters = a[w + NALLOC_FIRST]!;
  const startLo = a[w + START]!;
  const startHi = a[w + START + 1]!;
  const index = startHi >>> 8;
  // C does not map the segment of a fresh object, so only its state table is attached here.
  const state = segmentState(s, index);
  if (state.length === 0) return 0;
  const left = (counters & 0xffff) - 1;
  if (left === 0 && !canMoveHead(s, sizeClass, 1, 3)) return 0;
  const first = s.maps[index]!.pages * BEFORE[sizeClass]! + pageOf(startLo, startHi) * PER[sizeClass]!;
  // As long as the superblock's own segment is not mapped, its free list may not be used without mapping it.
  const known = s.maps[index]!.i32.length === 0 ? -1 : hi;
  if (left !== 0) s.active[sizeClass]!.set(a, w, lo, known, startLo, startHi, state, first);
  let k = counters >>> 16;
  if (k !== NO_OBJECT) {
    // C reads the link from the object itself, and so maps its segment.
    if (segmentWords(s, index).length === 0) return 0;
    a[w + NALLOC_FIRST] = left | (state[first + k]! << 16);
  } else {
    const initialized = a[w + CLASS_NINIT]!;
    k = initialized >>> 16;
    a[w + CLASS_NINIT] = (initialized + 0x10000) | 0;
    a[w + NALLOC_FIRST] = left | (NO_OBJECT << 16);
  }
  state[first + k] = LIVE;
  if (left === 0) moveHead(s, sizeClass, 1, 3);
  s.hi = startHi;
  return endOf(s, startLo, Math.imul(k, SIZES[sizeClass]!));
}
