/**
 * Checks of the pools: lists, spans, page map entries of their pages; part of `verifyArea`: K7, K8, K10 to K13,
 * K15, K16, K22.
 *
 * Each pool at rest, or under its lock. At rest pool 0 comes first: its blocks say where the spans of the other pools can
 * lie, and each slot takes one span, so no walk goes in a circle. While others are at work a walk ends where a link
 * back is wrong, which a circle must have.
 */

import {
  C_POOLS,
  ENTRY_CLASS_SHIFT,
  ENTRY_PAGE_SHIFT,
  FULLNESS_CLASSES,
  NOTHING_FREE,
  POOL_WORDS,
  S_CLASS_NINIT,
  S_NALLOC_FIRST,
  S_NEXT,
  S_NMAX_FCLASS,
  S_NPAGES,
  S_POOL,
  S_PREV,
  S_START,
} from './area-layout.js';
import { pageHi, pageLo, pageOf, wordOf } from './pointer.js';
import {
  CLASS_BLOCK_OF_SPANS,
  CLASS_CAPACITY,
  CLASS_DUE_AT,
  CLASS_LARGE,
  PAGE_SIZE,
  PAGES_PER_SUPERBLOCK,
  SPAN_SIZE,
  SPANS_PER_BLOCK,
} from './size-classes.js';
import { dueSpans, listWord } from './spans.js';
import { firstState, STATE_LIVE } from './state.js';
import {
  type AreaCensus,
  PAGE_LARGE,
  PAGE_SPANS,
  PAGE_SUPERBLOCK,
  type SegmentCensus,
  show,
  SLOT_FREE,
  SLOT_SPAN,
  SLOT_TAKEN,
  SLOT_UNKNOWN,
} from './verify-census.js';
import { checkObjects, type SpanPlace } from './verify-objects.js';

const SLOTS_PER_BLOCK = SPANS_PER_BLOCK + 1;
/** A due count that says so means: this many or more. */
const MANY_DUE = 0xffff;

/** Checks all spans of a pool. */
export function checkPool(c: AreaCensus, sizeClass: number): void {
  if (!c.atRest) c.forgetClaims();
  if (!c.atRest || sizeClass === CLASS_BLOCK_OF_SPANS) c.spansLeft = c.pages();
  let due = 0;
  for (let fclass = 0; fclass < FULLNESS_CLASSES; fclass++) {
    const head = listWord(sizeClass, fclass);
    if (sizeClass === CLASS_LARGE && fclass !== 1) {
      const empty = (c.s.ctl[head]! | c.s.ctl[head + 1]!) === 0;
      c.f.check('K16', empty, () => `list ${fclass} of pool 1, which has large objects on list 1 only, is not empty`);
    }
    due += walkList(c, sizeClass, fclass);
  }
  checkDue(c, sizeClass, due);
}

/** K22. The count is exact; after a walk that broke off for lack of a segment it may be too high. */
function checkDue({ f, s }: AreaCensus, sizeClass: number, due: number): void {
  const counted = dueSpans(s, sizeClass);
  const text = (): string => `pool ${sizeClass} counts ${counted} spans due for a lower list, there are ${due}`;
  f.check('K22', counted >= Math.min(due, MANY_DUE), text);
  if (counted > due && counted !== MANY_DUE) f.note('K22', text());
}

/** Returns how many spans of fullness class 2 have emptied so far that they belong into a lower one. */
function walkList(c: AreaCensus, sizeClass: number, fclass: number): number {
  const { f, s } = c;
  const head = listWord(sizeClass, fclass);
  let lo = s.ctl[head]!;
  let hi = s.ctl[head + 1]!;
  let prevLo = 0;
  let prevHi = 0;
  let due = 0;
  while ((lo | hi) !== 0) {
    const list = `list ${fclass} of pool ${sizeClass}`;
    const short = f.check('K7', --c.spansLeft >= 0, () => `${list}: there are more spans than pages`);
    const home = short ? locate(c, sizeClass, lo, hi, list) : null;
    if (home === null) return due;
    const w = wordOf(lo, hi);
    const { words } = home;
    const back = words[w + S_PREV] === prevLo && words[w + S_PREV + 1] === prevHi;
    f.check('K7', back, () => {
      const link = show(words[w + S_PREV]!, words[w + S_PREV + 1]!);
      return `span ${show(lo, hi)} on ${list} follows ${show(prevLo, prevHi)} and links back to ${link}`;
    });
    checkSpan(c, { sizeClass, fclass, lo, hi, words, w, isHead: (prevLo | prevHi) === 0 });
    if (fclass === 2 && (words[w + S_NALLOC_FIRST]! & 0xffff) >= CLASS_DUE_AT[sizeClass]!) due++;
    if (!back && !c.atRest) return due;
    prevLo = lo;
    prevHi = hi;
    lo = words[w + S_NEXT]!;
    hi = words[w + S_NEXT + 1]!;
  }
  return due;
}

/** Finds the segment that a span lies in, after checking that one can lie there (K7, K15); null when not. */
function locate(c: AreaCensus, sizeClass: number, lo: number, hi: number, list: string): SegmentCensus | null {
  const { f } = c;
  const name = (): string => `span ${show(lo, hi)} on ${list}`;
  const home = c.segment(hi >>> 8);
  const page = pageOf(lo, hi);
  const k = (lo & (PAGE_SIZE - 1)) / SPAN_SIZE;
  if (!f.check('K7', home !== null && home.holds(page, 1), () => `${name()} lies in no page of a live segment`))
    return null;
  const segment = home!;
  if (sizeClass === CLASS_BLOCK_OF_SPANS) {
    const place = f.check('K7', k === 0, () => `${name()} is no start of a page`);
    const fresh = place && f.check('K7', !segment.blocks.has(page), () => `${name()} is on a list twice`);
    return fresh ? segment : null;
  }
  const inSlot = Number.isInteger(k) && k >= 1 && k < SLOTS_PER_BLOCK;
  if (!f.check('K15', inSlot, () => `${name()} is no slot of a block of spans`)) return null;
  return takeSlot(c, segment, page, k, name) ? segment : null;
}

/** K15: the slot of a span is allocated in its block. False when the span was met before. */
function takeSlot(c: AreaCensus, segment: SegmentCensus, page: number, k: number, name: () => string): boolean {
  const { f } = c;
  if (!c.atRest) {
    // The block stays while one of its spans does; whether the slot is allocated, another lock guards.
    const own = isOwnEntry(segment, page);
    f.check('K15', own, () => `${name()} lies in a page that is no block of spans`);
    return own;
  }
  let slots = segment.blocks.get(page);
  if (!f.check('K15', slots !== undefined, () => `${name()} lies in a page that is no block of spans`)) {
    // Noted as if it were one, so that a circle is still seen.
    slots = new Uint8Array(SLOTS_PER_BLOCK).fill(SLOT_UNKNOWN);
    segment.blocks.set(page, slots);
  }
  const was = slots![k]!;
  f.check('K15', was !== SLOT_FREE, () => `${name()} is free in its block`);
  slots![k] = SLOT_SPAN;
  return f.check('K7', was !== SLOT_SPAN, () => `${name()} is on a list twice`);
}

function isOwnEntry({ index, words, map }: SegmentCensus, page: number): boolean {
  return words[map + 2 * page] === pageLo(page) && words[map + 2 * page + 1] === pageHi(index, page);
}

function checkSpan(c: AreaCensus, span: SpanPlace): void {
  const { f } = c;
  const { sizeClass, fclass, lo, hi, words, w } = span;
  const name = (): string => `span ${show(lo, hi)} of pool ${sizeClass}`;
  const pool = (C_POOLS + sizeClass * POOL_WORDS) * 4;
  const its = words[w + S_POOL]!;
  f.check('K7', its === pool && words[w + S_POOL + 1] === 0, () => {
    return `${name()} says pool ${show(its, words[w + S_POOL + 1]!)}, that is at ${show(pool, 0)}`;
  });
  const its16 = words[w + S_CLASS_NINIT]! & 0xffff;
  f.check('K7', its16 === sizeClass, () => `${name()} says size class ${its16}`);
  const filed = words[w + S_NMAX_FCLASS]! >>> 16;
  f.check('K7', filed === fclass, () => `${name()} is on list ${fclass} and says ${filed}`);
  checkCounters(c, span, name);
  const npages = words[w + S_NPAGES]!;
  const expected = sizeClass === CLASS_BLOCK_OF_SPANS ? 1 : PAGES_PER_SUPERBLOCK;
  const right = sizeClass === CLASS_LARGE ? npages >= 3 : npages === expected;
  f.check('K12', right && words[w + S_NPAGES + 1] === 0, () => `${name()} has ${npages} pages`);
  const startLo = words[w + S_START]!;
  const startHi = words[w + S_START + 1]!;
  const block = sizeClass === CLASS_BLOCK_OF_SPANS;
  const own = !block || (startLo === lo && startHi === hi);
  // A block of spans lies where its own span does, whatever that says.
  const body = c.segment((block ? hi : startHi) >>> 8);
  const first = block ? pageOf(lo, hi) : pageOf(startLo, startHi);
  const count = sizeClass === CLASS_LARGE ? npages : expected;
  const inside = body !== null && body.holds(first, count);
  f.check('K13', own && inside && (startLo & (PAGE_SIZE - 1)) === 0, () => {
    return `${name()} describes ${count} pages from ${show(startLo, startHi)}`;
  });
  if (inside) checkPages(c, span, body, first, count, name);
}

/** K8, K10, K11. */
function checkCounters(c: AreaCensus, { sizeClass, fclass, words, w, isHead }: SpanPlace, name: () => string): void {
  const { f } = c;
  const free = words[w + S_NALLOC_FIRST]! & 0xffff;
  const nmax = words[w + S_NMAX_FCLASS]! & 0xffff;
  if (sizeClass === CLASS_LARGE) {
    // Garbage, but the same garbage twice and for ever.
    const first = words[w + S_NALLOC_FIRST]! >>> 16;
    f.check(
      'K10',
      free === nmax && first === NOTHING_FREE,
      () => `${name()} has the counts ${free}, ${nmax}, ${first}`,
    );
    return;
  }
  const capacity = CLASS_CAPACITY[sizeClass]!;
  f.check(
    'K10',
    nmax === capacity && free <= nmax,
    () => `${name()} has ${free} of ${nmax} slots free, should have ${capacity}`,
  );
  f.check('K8', (free === 0) === (fclass === 3), () => `${name()} is on list ${fclass} with ${free} free slots`);
  const keptEmpty = fclass === 1 && isHead;
  f.check('K11', free !== nmax || keptEmpty, () => `${name()} is empty and not the active one`);
}

/** K13 and what depends on the pages of a span: their use, the objects in them. */
function checkPages(
  c: AreaCensus,
  span: SpanPlace,
  body: SegmentCensus,
  first: number,
  npages: number,
  name: () => string,
): void {
  const { f } = c;
  const { sizeClass, lo, hi, words, w } = span;
  const large = sizeClass === CLASS_LARGE;
  const block = sizeClass === CLASS_BLOCK_OF_SPANS;
  // Pages that another span has are not looked at again: each page is, once.
  if (!c.claim(body, first, npages, block ? PAGE_SPANS : large ? PAGE_LARGE : PAGE_SUPERBLOCK)) return;
  body.taken.push({ first, npages });
  const map = body.map + 2 * first;
  f.checks += npages;
  for (let i = 0; i < npages; i++) {
    const none = large && i > 0;
    const wantLo = none ? 0 : lo;
    const wantHi = none ? 0 : hi | (sizeClass << ENTRY_CLASS_SHIFT) | (i << ENTRY_PAGE_SHIFT);
    const gotLo = body.words[map + 2 * i]!;
    const gotHi = body.words[map + 2 * i + 1]!;
    if (gotLo !== wantLo || gotHi !== wantHi) {
      const entries = `${show(gotLo, gotHi)}, not ${show(wantLo, wantHi)}`;
      f.error('K13', `${name()}: the page map has for its page ${first + i} the entry ${entries}`);
    }
  }
  if (!large) {
    const slots = checkObjects(c, span, body, first, name);
    if (block) noteBlock(body, first, slots);
    return;
  }
  const initialized = words[w + S_CLASS_NINIT]! >>> 16;
  f.check('K9', initialized === 0, () => `${name()} has ${initialized} initialised slots`);
  const state = body.state[firstState(CLASS_LARGE, body.pages, first)]!;
  const sound = state === STATE_LIVE || c.noteMark(CLASS_LARGE, state, npages);
  f.check('K21', sound, () => `${name()}: its large object has the state ${state}`);
}

/** Notes a block of spans and which of its slots are allocated; the first is the block's own. */
function noteBlock(segment: SegmentCensus, page: number, slots: Uint8Array): void {
  const known = new Uint8Array(SLOTS_PER_BLOCK);
  for (let k = 1; k < SLOTS_PER_BLOCK; k++) known[k] = slots[k] === 0 ? SLOT_FREE : SLOT_TAKEN;
  segment.blocks.set(page, known);
}
