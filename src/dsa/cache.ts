/**
 * Participant caches, the hot part: free objects at hand, taken and given without a lock and without an atomic operation.
 *
 *     allocate ── takeCached ──> stack of the size class        empty: a batch from the pool, cache-exchange.ts
 *     free ────── giveCached ──> stack of the size class        full: the oldest half goes back to the pool
 *
 * A cached object is allocated as far as its pool knows; its entry in the state table is the mark of the participant
 * that has it, instead of "live". So a second free of it is found, and so is every cached object of a thread that has died. Who
 * frees an object gets it into its own cache, whoever allocated it.
 *
 * The stacks are private to the thread. They lie in tables of this module, one block for each attachment, and not in
 * objects of the attachment nor in shared memory: V8 folds the address and the length of a module's own constant array into
 * the code, while an array that it reaches through an object costs five loads and a comparison at each use. Measured on a
 * prototype with 14 classes: 14.2 ns a pair with the stacks in shared memory, 11.6 so. What others need to know, the heights of the
 * stacks, is written to shared memory as well (`CacheSlot.tops`), and never read back here.
 *
 * Invariants, per attachment:
 *   1. POINTERS[bottom] = 0 below each stack: an empty stack yields pointer 0.
 *   2. Between bottom and top lie objects of that class, each with this participant's mark; nobody else has that mark.
 *   3. top <= limit <= bottom + CACHE_OBJECTS[class].
 *   4. Only superblocks in segments that are mapped here have cached objects, and these segments cannot go: their objects
 *      count as allocated.
 *
 * Order of the stores, for the case that the thread dies between two of them: giving marks first; taking unmarks last. What
 * is marked and on no stack is found by its mark; what is unmarked was handed out.
 *
 * Word offsets are repeated here as constants of this module; see allocate.ts.
 */

import { ATTENTION_WORD } from '../dsm/dsm.js';
import { ENTRY_CLASS_MASK, ENTRY_CLASS_SHIFT, ENTRY_PAGE_SHIFT, MAX_SEGMENTS } from './area-layout.js';
import { CACHE_LARGE_OBJECTS, CACHE_OBJECTS } from './cache-layout.js';
import { setObjectState } from './object-state.js';
import {
  CLASS_OF_EIGHTHS,
  CLASS_RECIPROCAL,
  CLASS_SIZE,
  MAX_SMALL_SIZE,
  NUM_SIZE_CLASSES,
  SLOT_SHIFT,
} from './size-classes.js';
import { type AreaState, STATE_BEFORE, STATE_LIVE, STATE_PART, STATE_PER } from './state.js';

const imul = Math.imul;
const TWO_32 = 2 ** 32;
const ATTENTION = ATTENTION_WORD;
const CLASSES = NUM_SIZE_CLASSES;
const SEGMENTS = MAX_SEGMENTS;
const CLASS_SHIFT = ENTRY_CLASS_SHIFT;
const CLASS_MASK = ENTRY_CLASS_MASK;
const PAGE_SHIFT = ENTRY_PAGE_SHIFT;
const SIZES = CLASS_SIZE;
const CLASS_OF = CLASS_OF_EIGHTHS;
const MAX_SMALL = MAX_SMALL_SIZE;
const RECIPROCALS = CLASS_RECIPROCAL;
const SHIFT = SLOT_SHIFT;
const LIVE = STATE_LIVE;
const PER = STATE_PER;

/** Attachments of one thread that can have caches at a time; further ones go without. 120 KB of address space each. */
const BLOCKS = 32;
/** Block 0 is nobody's: its stacks are empty, its segments have no pages, so attachments without a cache need no question. */
export const NO_BLOCK = 0;

/** From one block to the next in the tables by class; a power of two above the number of classes. */
const PER_BLOCK = 64;
/** From one segment to the next in the table of segments; a power of two. */
const SEGMENT_SHIFT = 3;
const SEGMENT_WORDS = 1 << SEGMENT_SHIFT;
const BLOCK_SEGMENTS = SEGMENTS * SEGMENT_WORDS;

/**
 * Unused entries between two stacks, so that places at the same height on different ones do not compete for the same sets
 * of the processor's first cache, as they would where stacks are 2 KiB apart.
 */
const APART = 23;
/** Entries in front of each class's stack in a block; each stack has one more entry below its bottom for the 0. */
const STARTS = new Int32Array(CLASSES);
const ENTRIES = layOut();

function layOut(): number {
  let entries = 0;
  for (let c = 0; c < CLASSES; c++) {
    STARTS[c] = entries;
    entries += CACHE_OBJECTS[c]! + 1 + APART;
  }
  return entries;
}

/** By block and class: index of the topmost entry; of the bottom, where the 0 is; of the topmost entry allowed. */
const TOPS = new Int32Array(BLOCKS * PER_BLOCK);
const LIMITS = new Int32Array(BLOCKS * PER_BLOCK);
/** The stacks: pointers, and where each one's state is: index in the view of all states, or below 0. */
const POINTERS = new Float64Array(BLOCKS * ENTRIES);
const STATES = new Int32Array(BLOCKS * ENTRIES);
/** By block and segment: word of the page map's class bits for page 0, pages, index of the first state, first word, first usable page, index of the first state of parts 1 and 2. */
const MAPS = new Int32Array(BLOCKS * BLOCK_SEGMENTS);
/** Large objects by block, the newest last: pointers and pages; their number is in `AreaState.largeCached`. */
export const LARGE_POINTERS: Float64Array = new Float64Array(BLOCKS * CACHE_LARGE_OBJECTS);
export const LARGE_PAGES: Int32Array = new Int32Array(BLOCKS * CACHE_LARGE_OBJECTS);

/** The same for cache-many.ts. Under other names: V8 reads a constant that is itself exported from memory at every use. */
export const CACHE_TOPS: Int32Array = TOPS;
export const CACHE_LIMITS: Int32Array = LIMITS;
export const CACHE_POINTERS: Float64Array = POINTERS;
export const CACHE_STATES: Int32Array = STATES;
export const CACHE_MAPS: Int32Array = MAPS;

/** The state cannot be reached through the view of all states. */
const FAR_STATE = -1;
/** The area keeps no marks (`checks: false`). */
export const NO_STATE_KEPT = -2;
const NOT_KEPT = NO_STATE_KEPT;

/** By class: where MAPS has the first state of its part. */
const PART_AT: Int32Array = STATE_PART.map((part) => [2, 5, 6][part]!);
/** 448 bytes: a class of part 1. */
const LAST_OF_PART_1 = CLASS_OF_EIGHTHS[448 / 8]!;

const taken = new Uint8Array(BLOCKS).fill(1, 0, 1);

/** Makes every stack of block 0 empty, as {@link openBlock} does for others. */
for (let c = 0; c < CLASSES; c++) {
  TOPS[c] = STARTS[c]!;
  LIMITS[c] = STARTS[c]!;
}

/** A block with empty stacks of no room; NO_BLOCK when this thread has none left. */
export function openBlock(): number {
  const block = taken.indexOf(0);
  if (block < 0) return NO_BLOCK;
  taken[block] = 1;
  for (let c = 0; c < CLASSES; c++) {
    TOPS[block * PER_BLOCK + c] = bottomOf(block, c);
    LIMITS[block * PER_BLOCK + c] = bottomOf(block, c);
  }
  return block;
}

/** Gives a block back; what is on its stacks is forgotten. */
export function closeBlock(block: number): void {
  if (block === NO_BLOCK) return;
  MAPS.fill(0, block * BLOCK_SEGMENTS, (block + 1) * BLOCK_SEGMENTS);
  taken[block] = 0;
}

/** Where the tables of a block begin: by class, and by segment. */
export function classesOf(block: number): number {
  return block * PER_BLOCK;
}
export function segmentsOf(block: number): number {
  return block * BLOCK_SEGMENTS;
}

/** Index of the 0 below a stack. */
export function bottomOf(block: number, sizeClass: number): number {
  return block * ENTRIES + STARTS[sizeClass]!;
}

/** Objects on a stack, room on it, and what it may hold. */
export function cachedCount(block: number, sizeClass: number): number {
  return TOPS[block * PER_BLOCK + sizeClass]! - bottomOf(block, sizeClass);
}
export function cacheRoom(block: number, sizeClass: number): number {
  return LIMITS[block * PER_BLOCK + sizeClass]! - TOPS[block * PER_BLOCK + sizeClass]!;
}
export function cacheLimit(block: number, sizeClass: number): number {
  return LIMITS[block * PER_BLOCK + sizeClass]! - bottomOf(block, sizeClass);
}

/** Sets what a stack may hold; not less than it does. */
export function setCacheLimit(block: number, sizeClass: number, objects: number): void {
  LIMITS[block * PER_BLOCK + sizeClass] = bottomOf(block, sizeClass) + objects;
}

/** The pointer that is `n` places above the bottom, 1 for the oldest. */
export function cachedPointer(block: number, sizeClass: number, n: number): number {
  return POINTERS[bottomOf(block, sizeClass) + n]!;
}

/** Puts an object, already marked, on a stack that has room. */
export function push(s: AreaState, sizeClass: number, pointer: number, state: number): void {
  const i = s.classes + sizeClass;
  const top = TOPS[i]! + 1;
  POINTERS[top] = pointer;
  STATES[top] = state;
  setTop(s, sizeClass, top);
}

/** Takes the `n` oldest objects off a stack; the others move down. */
export function dropOldest(s: AreaState, sizeClass: number, n: number): void {
  const bottom = bottomOf(s.block, sizeClass);
  const top = TOPS[s.classes + sizeClass]!;
  POINTERS.copyWithin(bottom + 1, bottom + 1 + n, top + 1);
  STATES.copyWithin(bottom + 1, bottom + 1 + n, top + 1);
  setTop(s, sizeClass, top - n);
}

/** Index of the topmost entry of a stack: with {@link setEntry} and {@link setTop} for many at once. */
export function topOf(s: AreaState, sizeClass: number): number {
  return TOPS[s.classes + sizeClass]!;
}

/** Fills in an entry above the top of a stack. */
export function setEntry(at: number, pointer: number, state: number): void {
  POINTERS[at] = pointer;
  STATES[at] = state;
}

/** Sets which entry of a stack is the topmost. */
export function setTop(s: AreaState, sizeClass: number, top: number): void {
  TOPS[s.classes + sizeClass] = top;
  s.words[s.tops + sizeClass] = top;
}

/** What the hot path knows of a segment; see MAPS. `pages` 0 when it is not to look there. */
export interface NearSegment {
  readonly mapWord: number;
  readonly pages: number;
  readonly firstState: number;
  readonly firstWord: number;
  readonly metaPages: number;
}

/** Lets the hot path reach objects in a segment. */
export function noteSegment(block: number, index: number, segment: NearSegment): void {
  if (block === NO_BLOCK) return;
  const g = block * BLOCK_SEGMENTS + index * SEGMENT_WORDS;
  MAPS[g] = segment.mapWord;
  MAPS[g + 1] = segment.pages;
  MAPS[g + 2] = segment.firstState;
  MAPS[g + 3] = segment.firstWord;
  MAPS[g + 4] = segment.metaPages;
  MAPS[g + 5] = segment.firstState + segment.pages * STATE_BEFORE[LAST_OF_PART_1]!;
  MAPS[g + 6] = segment.firstState + segment.pages * STATE_BEFORE[0]!;
}

/**
 * Index in `s.words` of the word at `offset` bytes from a pointer: what reads and writes of numbers begin with.
 *
 * @param pointer @param offset anything
 * @returns -1 where the hot path does not reach, or something is wrong with them
 */
export function wordAt(s: AreaState, pointer: unknown, offset: unknown): number {
  if (typeof pointer !== 'number' || typeof offset !== 'number') return -1;
  const lo = pointer | 0;
  const hi = (pointer * (1 / TWO_32)) | 0;
  // Within the first 2 GiB of a segment, so that the sum below is a small integer.
  if (hi * TWO_32 + lo !== pointer || lo < 0 || (hi & 0xff) !== 0 || hi >>> 18 !== 0) return -1;
  const at = lo + offset;
  const g = s.mapsAt + ((hi >>> 8) << SEGMENT_SHIFT);
  const known = lo >>> 12 >= MAPS[g + 4]! && at >>> 12 < MAPS[g + 1]! && offset >>> 0 === offset && (at & 3) === 0;
  return known && s.words[s.counter] === s.freedSeen ? MAPS[g + 3]! + (at >>> 2) : -1;
}

/** Index, in the view of all states, of an entry of a segment's state table; FAR_STATE when the hot path does not reach it. */
export function nearState(s: AreaState, index: number, at: number): number {
  const g = s.mapsAt + index * SEGMENT_WORDS;
  return MAPS[g + 1] === 0 ? FAR_STATE : MAPS[g + 2]! + at;
}

/**
 * Takes an object of at least `size` bytes from the cache. Two stores to shared memory.
 *
 * @param size anything: what is no size of a slab class is left to others
 * @returns its pointer; 0 when there is none
 */
export function takeCached(s: AreaState, size: unknown): number {
  if (typeof size !== 'number' || size >>> 0 !== size || size > MAX_SMALL) return 0;
  // Class 0, that of size 0, is never cached.
  const sizeClass = CLASS_OF[(size + 7) >>> 3]!;
  const i = s.classes + sizeClass;
  const top = TOPS[i]!;
  const pointer = POINTERS[top]!;
  if (pointer !== 0) {
    const at = STATES[top]!;
    TOPS[i] = top - 1;
    s.words[s.tops + sizeClass] = top - 1;
    if (at >= 0) s.states[at] = LIVE;
    else unmarkFar(s, pointer, at);
  }
  return pointer;
}

/** Marks an object as live whose state the hot path cannot reach: on `buffers`, and beyond 4 GiB of a region. */
export function unmarkFar(s: AreaState, pointer: number, at: number): void {
  if (at === NOT_KEPT) return;
  if (s.listens && s.dsm.control[ATTENTION] !== s.dsm.attentionSeen) s.dsm.attend();
  setObjectState(s, pointer, LIVE);
}

/**
 * Puts a live object into the cache.
 *
 * @param lo @param hi words of its pointer, as `free` has decoded them: any 32 bits each
 * @param pointer the same as a number
 * @returns false, with nothing changed, when it is not the start of a live object, or the cache has no room, or a segment has
 *   to be looked at first
 */
export function giveCached(s: AreaState, lo: number, hi: number, pointer: number): boolean {
  const { words } = s;
  const index = hi >>> 8;
  if (index >= SEGMENTS || words[s.counter] !== s.freedSeen) return false;
  const g = s.mapsAt + (index << SEGMENT_SHIFT);
  const page = ((hi & 0xff) << 20) | (lo >>> 12);
  if (page >= MAPS[g + 1]!) return false;
  const entry = words[MAPS[g]! + 2 * page]!;
  const sizeClass = (entry >>> CLASS_SHIFT) & CLASS_MASK;
  const inBlock = entry >>> PAGE_SHIFT;
  const distance = (inBlock << 12) | (lo & 0xfff);
  // For what is no class the tables below have nothing, and the slot then is not where it should be.
  const k = imul(distance >>> 3, RECIPROCALS[sizeClass]!) >>> SHIFT;
  const at = MAPS[g + PART_AT[sizeClass]!]! + imul(page - inBlock, PER[sizeClass]!) + k;
  const i = s.classes + sizeClass;
  const top = TOPS[i]! + 1;
  if (imul(k, SIZES[sizeClass]!) !== distance || s.states[at] !== LIVE || top > LIMITS[i]!) return false;
  s.states[at] = s.mark;
  POINTERS[top] = pointer;
  STATES[top] = at;
  TOPS[i] = top;
  words[s.tops + sizeClass] = top;
  return true;
}

/** {@link giveCached} for areas without checks: believes that an aligned pointer is the start of a live object. */
export function giveUnchecked(s: AreaState, lo: number, hi: number, pointer: number): boolean {
  const { words } = s;
  const index = hi >>> 8;
  if ((lo & 7) !== 0 || index >= SEGMENTS || words[s.counter] !== s.freedSeen) return false;
  const g = s.mapsAt + (index << SEGMENT_SHIFT);
  const page = ((hi & 0xff) << 20) | (lo >>> 12);
  if (page >= MAPS[g + 1]!) return false;
  const sizeClass = (words[MAPS[g]! + 2 * page]! >>> CLASS_SHIFT) & CLASS_MASK;
  const i = s.classes + sizeClass;
  const top = TOPS[i]! + 1;
  // Classes that are not cached have no room, those that do not exist have none either.
  if (top > LIMITS[i]!) return false;
  POINTERS[top] = pointer;
  STATES[top] = NOT_KEPT;
  TOPS[i] = top;
  words[s.tops + sizeClass] = top;
  return true;
}
