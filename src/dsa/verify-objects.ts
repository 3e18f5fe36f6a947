/**
 * Checks of the slots of a superblock or block of spans, part of `verifyArea`: K9, and K21 for the state table.
 *
 * Under the lock of the pool, or at rest. The free list lies in the state table: a free slot holds the next one.
 */

import { S_CLASS_NINIT, S_NALLOC_FIRST, NOTHING_FREE } from './area-layout.js';
import { CLASS_BLOCK_OF_SPANS, CLASS_CAPACITY, PAGES_PER_SUPERBLOCK, SPANS_PER_BLOCK } from './size-classes.js';
import { firstState, STATE_LIVE, STATE_PER, STATE_UNUSED } from './state.js';
import type { AreaCensus, SegmentCensus } from './verify-census.js';

/** A span that was met on a list, and where it lies. */
export interface SpanPlace {
  readonly sizeClass: number;
  readonly fclass: number;
  /** Pointer to the span. */
  readonly lo: number;
  readonly hi: number;
  /** Words of its segment, and its word index there. */
  readonly words: Int32Array;
  readonly w: number;
  /** True for the head of the list. */
  readonly isHead: boolean;
}

/**
 * Checks the free list of a span and the states of its slots.
 *
 * @param body segment of the superblock, `first` its first page; both inside
 * @returns per slot 1 when it is allocated, else 0; valid until the next call
 */
export function checkObjects(
  c: AreaCensus,
  { sizeClass, words, w }: SpanPlace,
  body: SegmentCensus,
  first: number,
  name: () => string,
): Uint8Array {
  const { f } = c;
  const slots = sizeClass === CLASS_BLOCK_OF_SPANS ? SPANS_PER_BLOCK + 1 : CLASS_CAPACITY[sizeClass]!;
  const least = sizeClass === CLASS_BLOCK_OF_SPANS ? 1 : 0;
  const told = words[w + S_CLASS_NINIT]! >>> 16;
  f.check('K9', told >= least && told <= slots, () => `${name()} has ${told} of ${slots} slots initialised`);
  const initialized = Math.min(told, slots);
  const allocated = c.slots;
  allocated.fill(1, 0, initialized).fill(0, initialized, slots);
  const from = firstState(sizeClass, body.pages, first);
  let free = slots - initialized;
  let k = words[w + S_NALLOC_FIRST]! >>> 16;
  while (k !== NOTHING_FREE) {
    // A slot that is met a second time is not allocated any more, so the walk ends.
    const sound = k >= least && k < initialized && allocated[k] === 1;
    if (!f.check('K9', sound, () => `${name()}: its free list leads to slot ${k} of ${initialized}`)) break;
    allocated[k] = 0;
    free++;
    k = body.state[from + k]!;
  }
  const counted = words[w + S_NALLOC_FIRST]! & 0xffff;
  f.check('K9', free === counted, () => `${name()} counts ${counted} free slots and has ${free}`);
  checkStates(c, sizeClass, body.state, from, initialized, name);
  return allocated;
}

/** K21. The slots of the free list hold its links, which were followed already. */
function checkStates(
  c: AreaCensus,
  sizeClass: number,
  state: Uint16Array,
  from: number,
  initialized: number,
  name: () => string,
): void {
  const { f, slots: allocated } = c;
  const block = sizeClass === CLASS_BLOCK_OF_SPANS;
  // One more than there are slots: what is left of a superblock begins there, and free() must not take it for an object.
  const end = block
    ? SPANS_PER_BLOCK + 1
    : Math.min(CLASS_CAPACITY[sizeClass]! + 1, PAGES_PER_SUPERBLOCK * STATE_PER[sizeClass]!);
  f.checks += end;
  for (let k = 0; k < end; k++) {
    const got = state[from + k]!;
    const want = k >= initialized || (block && k === 0) ? STATE_UNUSED : STATE_LIVE;
    if (got === want || (k < initialized && allocated[k] !== 1)) continue;
    // An allocated object may lie in a cache.
    if (want !== STATE_LIVE || block || !c.noteMark(sizeClass, got, 1)) {
      f.error('K21', `${name()}: slot ${k} has the state 0x${got.toString(16)}, not 0x${want.toString(16)}`);
    }
  }
}
