/**
 * Taking back what the cache of a participant holds that is gone, or that has left the area without emptying it.
 *
 * The marks in the state table say which objects those are. They are looked for class by class under the lock of the
 * pool, in the classes that the participant's slot of the cache table names; each is linked into its superblock as if it had
 * been freed. All steps can be done twice, by several at the same time, and broken off anywhere: an object that was taken back
 * has no mark any more, and a class counts as swept only after its last mark is gone.
 *
 * The slot's generation says whose marks they are. A participant that gets the same slot sweeps it before it makes the first mark of
 * its own, and takes every pool lock on the way, so a slower sweeper that still has the old generation in mind finds it
 * changed under the lock. Areas without marks (`checks: false`) lose what a dead thread had cached; `verify` cannot see it.
 */

import { load, store } from '#atomic';
import { FULLNESS_CLASSES, S_CLASS_NINIT, S_NALLOC_FIRST, S_NEXT, S_NMAX_FCLASS, S_START } from './area-layout.js';
import { sweepAttachments } from './attachments.js';
import { cacheSlots, giveRoomBack } from './cache-budget.js';
import { giveSlot } from './cache-exchange.js';
import { freeSpanObject } from './free.js';
import {
  cacheSlotWord,
  CS_BOTTOMS,
  CS_GENERATION,
  CS_LARGE_COUNT,
  CS_LARGE_PAGES,
  CS_TOPS,
  STATE_CACHED,
} from './cache-layout.js';
import { FREE, unlinkLarge } from './large.js';
import { checkForFreedSegments, lockArea, segmentWords, unlockArea } from './mapping.js';
import { pageOf, wordOf } from './pointer.js';
import { CLASS_LARGE, NUM_SIZE_CLASSES } from './size-classes.js';
import { listWord, lockPool, unlockPool } from './spans.js';
import { type AreaState, STATE_PER_PAGE } from './state.js';

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
    if (s.attachments[slot] !== generation) any = takeBackCache(s, slot, generation) || any;
  }
  return any;
}

/**
 * {@link sweepCaches} after a look at who is gone. The thread holds no lock of the area; each participant of another thread
 * costs a question to the system. Nothing is done in areas without caches.
 */
export function sweepGone(s: AreaState): void {
  if (s.cacheTable.length === 0) return;
  if (lockArea(s)) {
    sweepAttachments(s);
    unlockArea(s);
  }
  sweepCaches(s);
}

/** Takes back what the participant of this generation has left in its cache. False with `failure` set when something stays. */
export function takeBackCache(s: AreaState, slot: number, generation: number): boolean {
  const word = cacheSlotWord(slot);
  for (let c = CLASS_LARGE + 1; c < NUM_SIZE_CLASSES; c++) {
    if (load(s.cacheTable, word + CS_BOTTOMS + c) === 0) continue;
    if (!lockPool(s, c)) return false;
    const mine = s.cacheTable[word + CS_GENERATION] === generation;
    const done = mine && checkForFreedSegments(s) && sweepPool(s, c, slot);
    if (done) {
      s.cacheTable[word + CS_TOPS + c] = 0;
      store(s.cacheTable, word + CS_BOTTOMS + c, 0);
    }
    unlockPool(s, c);
    if (!done) return false;
  }
  return sweepLarge(s, slot, generation) && endSlot(s, word, generation);
}

/** The slot is empty: gives its room back, and it is nobody's. */
function endSlot(s: AreaState, word: number, generation: number): boolean {
  if (!lockArea(s)) return false;
  if (s.cacheTable[word + CS_GENERATION] === generation) {
    giveRoomBack(s, word);
    store(s.cacheTable, word + CS_GENERATION, 0);
  }
  unlockArea(s);
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
  const first = page * STATE_PER_PAGE;
  const end = first + (a[w + S_CLASS_NINIT]! >>> 16);
  for (let at = first; at < end; at++) {
    if (state[at] !== mark) continue;
    // With its last object the superblock goes: then this memory is somebody else's, who may have anything there.
    const last = (a[w + S_NALLOC_FIRST]! & 0xffff) + 1 === (a[w + S_NMAX_FCLASS]! & 0xffff);
    if (!giveSlot(s, sizeClass, index, page, at)) return false;
    if (last) break;
  }
  return true;
}

/** Frees every large object with the mark of `slot`. False with `failure` set when some may stay. */
function sweepLarge(s: AreaState, slot: number, generation: number): boolean {
  const word = cacheSlotWord(slot);
  const spans: number[] = [];
  if (!lockPool(s, CLASS_LARGE)) return false;
  const whole = s.cacheTable[word + CS_GENERATION] === generation && sweepLargeList(s, STATE_CACHED + slot, spans);
  if (whole) {
    s.cacheTable[word + CS_LARGE_COUNT] = 0;
    s.cacheTable[word + CS_LARGE_PAGES] = 0;
  }
  unlockPool(s, CLASS_LARGE);
  for (let i = 0; i < spans.length; i += 2) freeSpanObject(s, spans[i]!, spans[i + 1]!);
  return whole;
}

/** Walks the list of large objects. Under the area lock; the spans of what was freed are collected, for they are freed without it. */
function sweepLargeList(s: AreaState, mark: number, spans: number[]): boolean {
  const head = listWord(CLASS_LARGE, 1);
  let spanLo = s.ctl[head]!;
  let spanHi = s.ctl[head + 1]!;
  for (let steps = 0; (spanLo | spanHi) !== 0; steps++) {
    const a = segmentWords(s, spanHi >>> 8);
    if (a.length === 0 || steps > MAX_SPANS) return false;
    const w = wordOf(spanLo, spanHi);
    const lo = a[w + S_START]!;
    const hi = a[w + S_START + 1]!;
    // Before the span is taken off the list.
    const nextLo = a[w + S_NEXT]!;
    const nextHi = a[w + S_NEXT + 1]!;
    if (segmentWords(s, hi >>> 8).length === 0) return false;
    if (s.maps[hi >>> 8]!.state[pageOf(lo, hi) * STATE_PER_PAGE] === mark) {
      const outcome = unlinkLarge(s, lo, hi, spanLo, spanHi, mark);
      if (outcome < FREE) return false;
      spans.push(spanLo, spanHi);
    }
    spanLo = nextLo;
    spanHi = nextHi;
  }
  return true;
}
