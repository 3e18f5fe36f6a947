/**
 * Taking back what the cache of a participant holds that is gone, or that has left the area without emptying it.
 *
 * The marks in the state table say which objects those are. They are looked for class by class under the lock of the
 * pool, in the classes that the participant's slot of the cache table names; each is linked into its superblock as if it had
 * been freed. All steps can be done twice, by several at the same time, and broken off anywhere: an object that was taken back
 * has no mark any more, and a class counts as swept only after its last mark is gone.
 *
 * The slot's generation says whose marks they are. A participant that gets the same slot, or comes back to its own, sweeps it
 * before it makes the first mark of its own, and takes the lock of every pool that is not swept. It has noted itself as
 * attached before. So a slower sweeper that still has the old generation in mind finds under the lock that it has changed,
 * that its owner is back, or that the class is swept. Areas without marks (`checks: false`) lose what a dead thread had cached; `verify` cannot see it.
 */

import { load, store } from '#atomic';
import { FULLNESS_CLASSES, S_CLASS_NINIT, S_NALLOC_FIRST, S_NEXT, S_NMAX_FCLASS, S_START } from './area-layout.js';
import { sweepAttachments } from './attachments.js';
import { cacheSlots, giveRoomBack } from './cache-budget.js';
import { giveSlot } from './cache-exchange.js';
import {
  CACHE_LARGE_OBJECTS,
  cacheSlotWord,
  CS_BOTTOMS,
  CS_GENERATION,
  CS_LARGE_COUNT,
  CS_LARGE_PAGES,
  CS_TOPS,
  STATE_CACHED,
} from './cache-layout.js';
import { freeSpanObject } from './free.js';
import { releaseLarge } from './large.js';
import { checkForFreedSegments, hasStalled, lockArea, segmentWords, unlockArea } from './mapping.js';
import { pageOf, wordOf } from './pointer.js';
import { CLASS_LARGE, NUM_SIZE_CLASSES } from './size-classes.js';
import { listWord, lockPool, unlockPool } from './spans.js';
import { type AreaState, firstState } from './state.js';

/** Spans that a walk may meet before the list must be a circle. */
const MAX_SPANS = 2 ** 28;

/**
 * Takes back the caches of all participants that are not attached any more. Who is gone without leaving counts as attached
 * until `sweepAttachments` has noticed. The thread holds no lock of the area.
 *
 * @returns whether something was taken back
 */
export function sweepCaches(s: AreaState): boolean {
  let any = false;
  for (let slot = 0; slot < cacheSlots(s); slot++) {
    const generation = load(s.cacheTable, cacheSlotWord(slot) + CS_GENERATION);
    if (generation === 0) continue;
    if (s.attachments[slot] === generation) continue;
    any = takeBackCache(s, slot, generation) || any;
    // One wait is enough: the next slot would have to wait for the same lock.
    if (hasStalled(s)) break;
  }
  return any;
}

/**
 * {@link sweepCaches} after a look at who is gone. The thread holds no lock of the area; each participant of another thread
 * costs a question to the system. Nothing is done in areas without caches.
 *
 * @returns whether something was taken back
 */
export function sweepGone(s: AreaState): boolean {
  if (s.cacheTable.length === 0 || !lockArea(s)) return false;
  sweepAttachments(s, true);
  unlockArea(s);
  return sweepCaches(s);
}

/**
 * Tells whether the slot is still what the participant of this generation has left. Under the lock of a pool whose class is
 * not swept yet, or under the area lock. A participant that left and came back has the same generation: then it is attached.
 */
function isLeft(s: AreaState, slot: number, generation: number): boolean {
  const same = s.cacheTable[cacheSlotWord(slot) + CS_GENERATION] === generation;
  // Our own slot is swept only before our cache opens.
  return same && (slot === s.p.slot || s.attachments[slot] !== generation);
}

/**
 * Takes back what the participant of this generation has left in its cache.
 *
 * @returns true when nothing of it is left, whoever took it back; false when something stays, perhaps with `failure` set
 */
export function takeBackCache(s: AreaState, slot: number, generation: number): boolean {
  const word = cacheSlotWord(slot);
  s.failure = 'none';
  for (let c = CLASS_LARGE + 1; c < NUM_SIZE_CLASSES; c++) {
    const bottom = word + CS_BOTTOMS + c;
    if (load(s.cacheTable, bottom) === 0) continue;
    if (!lockPool(s, c)) return false;
    const left = isLeft(s, slot, generation);
    // Looked at again: a class that another one has swept meanwhile its next owner may use without waiting for this lock.
    const swept = s.cacheTable[bottom] === 0;
    const done = left && (swept || (checkForFreedSegments(s) && sweepPool(s, c, slot)));
    if (done && !swept) {
      s.cacheTable[word + CS_TOPS + c] = 0;
      store(s.cacheTable, bottom, 0);
    }
    unlockPool(s, c);
    if (!left) return true;
    if (!done) return false;
  }
  return sweepLarge(s, slot, generation);
}

/** The slot is empty: gives its room back, and it is nobody's. Under the area lock. False when classes are not swept. */
function endSlot(s: AreaState, word: number): boolean {
  for (let c = CLASS_LARGE + 1; c < NUM_SIZE_CLASSES; c++) if (s.cacheTable[word + CS_BOTTOMS + c] !== 0) return false;
  s.cacheTable[word + CS_LARGE_COUNT] = 0;
  s.cacheTable[word + CS_LARGE_PAGES] = 0;
  giveRoomBack(s, word);
  store(s.cacheTable, word + CS_GENERATION, 0);
  return true;
}

/** Links every object of a class with the mark of `slot` into its superblock. Under the lock of the pool. */
function sweepPool(s: AreaState, sizeClass: number, slot: number): boolean {
  // From the fullest on: what gets room moves down, to lists that are looked at later.
  for (let fclass = FULLNESS_CLASSES - 1, steps = 0; fclass >= 0; fclass--) {
    const head = listWord(sizeClass, fclass);
    let lo = s.ctl[head]!;
    let hi = s.ctl[head + 1]!;
    for (; (lo | hi) !== 0; steps++) {
      const a = segmentWords(s, hi >>> 8);
      if (a.length === 0 || steps > MAX_SPANS) return false;
      const w = wordOf(lo, hi);
      // Before the span may move, or go.
      lo = a[w + S_NEXT]!;
      hi = a[w + S_NEXT + 1]!;
      if (!sweepSpan(s, sizeClass, a, w, STATE_CACHED + slot)) return false;
    }
  }
  return true;
}

function sweepSpan(s: AreaState, sizeClass: number, a: Int32Array, w: number, mark: number): boolean {
  const startHi = a[w + S_START + 1]!;
  const page = pageOf(a[w + S_START]!, startHi);
  const index = startHi >>> 8;
  if (segmentWords(s, index).length === 0) return false;
  const { state } = s.maps[index]!;
  const first = firstState(sizeClass, s.maps[index]!.pages, page);
  const end = first + (a[w + S_CLASS_NINIT]! >>> 16);
  // With the last one the superblock may go, its span, and the segment with it: then none of this is ours to read.
  let left = (a[w + S_NMAX_FCLASS]! & 0xffff) - (a[w + S_NALLOC_FIRST]! & 0xffff);
  for (let at = first; at < end && left > 0; at++) {
    if (state[at] !== mark) continue;
    // A lock that stalls would stall again at the next superblock.
    if (!giveSlot(s, sizeClass, index, page, at) || hasStalled(s)) return false;
    left--;
  }
  return true;
}

/** The span that {@link findLarge} has found, in words. */
const FOUND = new Int32Array(2);

/**
 * Looks for a large object with this mark. Under the area lock.
 *
 * @returns 1 with its span in FOUND, 0 when there is none, -1 with `failure` set
 */
function findLarge(s: AreaState, mark: number): number {
  const head = listWord(CLASS_LARGE, 1);
  let lo = s.ctl[head]!;
  let hi = s.ctl[head + 1]!;
  for (let steps = 0; (lo | hi) !== 0; steps++) {
    const a = segmentWords(s, hi >>> 8);
    if (a.length === 0 || steps > MAX_SPANS) return -1;
    const w = wordOf(lo, hi);
    const startHi = a[w + S_START + 1]!;
    if (segmentWords(s, startHi >>> 8).length === 0) return -1;
    if (
      s.maps[startHi >>> 8]!.state[
        firstState(CLASS_LARGE, s.maps[startHi >>> 8]!.pages, pageOf(a[w + S_START]!, startHi))
      ] === mark
    ) {
      FOUND[0] = lo;
      FOUND[1] = hi;
      return 1;
    }
    lo = a[w + S_NEXT]!;
    hi = a[w + S_NEXT + 1]!;
  }
  return 0;
}

/**
 * Frees every large object with the mark of `slot`, then the slot is nobody's. Each one changes from marked to free under
 * one hold of the area lock, so a sweeper that dies loses a span object at most.
 */
function sweepLarge(s: AreaState, slot: number, generation: number): boolean {
  const mark = STATE_CACHED + slot;
  // One more than a cache can hold: the last look finds none.
  for (let n = 0; n <= CACHE_LARGE_OBJECTS; n++) {
    if (!lockPool(s, CLASS_LARGE)) return false;
    const left = isLeft(s, slot, generation);
    const found = left ? findLarge(s, mark) : 0;
    const done = found === 1 && releaseLarge(s, FOUND[0]!, FOUND[1]!);
    const ended = left && found === 0 && endSlot(s, cacheSlotWord(slot));
    unlockPool(s, CLASS_LARGE);
    if (found === 0) return !left || ended;
    if (!done) return false;
    freeSpanObject(s, FOUND[0]!, FOUND[1]!);
    if (hasStalled(s)) return false;
  }
  return false;
}
