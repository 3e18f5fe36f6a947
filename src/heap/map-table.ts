/**
 * The table of one partition: cells of open addressing, looked through one after the other from a key's home.
 *
 * A cell holds the tag of a key's hash and the pointer to its node, so a search reads the node only where 25 bits agree,
 * and growing reads no node at all. The home of a key is the top bits of its tag: a table of twice the size has the same
 * order, and a loop over the map can say how far it came by a tag. Everything here runs under the exclusive lock of the
 * partition (searches under any mode), after `refresh`, and does not throw.
 *
 * What holds whenever the lock is free (verify: N5, N6, N8 .. N10):
 *
 * - the cells are one object of the area; their number is a power of two from 4 to 2^25
 * - from a key's home to its cell, going round at the end, no cell is free
 * - `count` is the number of cells in use, and at most 7/8 of them all, so every search ends
 * - the tag of a cell is that of the key of its node; no key has two cells
 *
 * A thread that dies in here leaves the lock held. Whoever will be able to take such a lock over finds every entry that
 * was there before: a new entry counts from the one store of its tag on; a removal moves an entry by writing it to its new
 * cell first, so that for a moment it is there twice, or a cell is marked as half moved, which ends no search; a grown
 * table is written completely, noted as `next`, and then exchanged under a mark in `size_log2`. `count` may be one off.
 */

import { DSA_ALLOC_HUGE, DSA_ALLOC_NO_OOM, DSA_ALLOC_ZERO } from '../dsa/dsa.js';
import {
  CELL_WORDS,
  EXCHANGING,
  HALF_MOVED,
  LARGEST_LOG2,
  P_COUNT,
  P_NEXT,
  P_NEXT_LOG2,
  P_SIZE_LOG2,
  P_TABLE,
  PART_WORDS as PARTITION_WORDS,
} from './map-layout.js';
import { allocate, corrupt, giveUp, hiOf, loOf, wordIndex, wordsOf } from './map-memory.js';
import type { MapState } from './map-state.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see dsa/allocate.ts). */
const WORDS_4_GIB = 2 ** 30;
const CELL = CELL_WORDS;
const MOVING = HALF_MOVED;
const MOST = LARGEST_LOG2;
const TABLE = P_TABLE;
const SIZE_LOG2 = P_SIZE_LOG2;
const COUNT = P_COUNT;
const PART_WORDS = PARTITION_WORDS;
/** Words of `m.known` for each partition. */
const KNOWN = 4;

/** Tag of a hash: never 0, never even. */
export function tagOf(hash: number): number {
  return (hash << 7) | 1;
}

/** Bytes of a table. */
export function tableBytes(log2: number): number {
  return 2 ** log2 * CELL * 4;
}

/**
 * Most entries in a table before it grows: 13/16. Lower: more memory, which caches hold less of. Higher: a search for a
 * key that is not there looks at 8 cells with 3/4, at 15 (three lines) with 13/16, at 32 with 7/8.
 */
export function growBound(log2: number): number {
  return (13 << log2) >>> 4;
}

/** Most entries in a table that cannot grow for want of memory. Higher: searches for what is not there become walks. */
export function fullBound(log2: number): number {
  return log2 < 3 ? (1 << log2) - 1 : (7 << log2) >>> 3;
}

/**
 * Finds the words of the table of the partition at `m.part`: `m.cells`, `m.cellBase`, `m.log2`. There must be one.
 *
 * Works on what was seen last time and only compares that with the header. Comparisons are predicted, so the processor fetches
 * the cell while the line of the header is still on its way from the other processor; from the header itself it could not.
 *
 * @returns false with `failure` set
 */
export function openTable(m: MapState): boolean {
  const { parts, part, known } = m;
  const k = (part - m.partsAt) / (PART_WORDS / KNOWN);
  let lo = known[k]!;
  let hi = known[k + 1]!;
  let log2 = known[k + 2]!;
  if (parts[part + TABLE] !== lo || parts[part + TABLE + 1] !== hi || parts[part + SIZE_LOG2] !== log2) {
    lo = known[k] = parts[part + TABLE]!;
    hi = known[k + 1] = parts[part + TABLE + 1]!;
    log2 = known[k + 2] = parts[part + SIZE_LOG2]!;
  }
  const words = wordsOf(m, hi);
  if (words.length === 0) return false;
  const base = (hi & 0xff) * WORDS_4_GIB + (lo >>> 2);
  if (log2 > MOST || base + (CELL << log2) > words.length) return corrupt(m, 'a table lies outside of its segment');
  m.cells = words;
  m.cellBase = base;
  m.log2 = log2;
  return true;
}

/**
 * Puts a node that no cell leads to into the free cell at `m.cellAt`: where the search for its key ended, or where
 * {@link makeRoom} has found one since.
 *
 * @param lo, hi pointer to the node
 */
export function addCell(m: MapState, tag: number, lo: number, hi: number): void {
  const { cells, cellAt, parts, part } = m;
  cells[cellAt + 1] = lo;
  cells[cellAt + 2] = hi;
  cells[cellAt] = tag;
  parts[part + COUNT] = parts[part + COUNT]! + 1;
}

/** Word of the first free cell from the home of a tag on. Only for tables that have just been grown: some cell is free. */
function freeCell(cells: Int32Array, base: number, log2: number, tag: number): number {
  const mask = (1 << log2) - 1;
  let cell = tag >>> (32 - log2);
  while (cells[base + CELL * cell] !== 0) cell = (cell + 1) & mask;
  return base + CELL * cell;
}

/**
 * Takes the entry at a word of the table out. Entries behind it that would be cut off from their home move up, until a
 * cell is free or no entry wants to.
 *
 * @param at word index of the cell in `m.cells`
 */
export function removeCell(m: MapState, at: number): void {
  const { cells, cellBase, log2, parts, part } = m;
  const mask = (1 << log2) - 1;
  let hole = (at - cellBase) / CELL;
  let cell = hole;
  for (let left = mask; left > 0; left--) {
    cell = (cell + 1) & mask;
    const from = cellBase + CELL * cell;
    const tag = cells[from]!;
    if (tag === 0) break;
    // It stays when its home lies behind the hole: between hole and cell, going round.
    if (((cell - (tag >>> (32 - log2))) & mask) < ((cell - hole) & mask)) continue;
    const into = cellBase + CELL * hole;
    cells[into] = MOVING;
    cells[into + 1] = cells[from + 1]!;
    cells[into + 2] = cells[from + 2]!;
    cells[into] = tag;
    hole = cell;
  }
  cells[cellBase + CELL * hole] = 0;
  parts[part + COUNT] = parts[part + COUNT]! - 1;
}

/**
 * Makes room for the key of the call, whose search has ended at a free cell. Growing leaves the old cells in `m.ownLo`,
 * `m.ownHi`, to be freed after unlocking.
 *
 * @returns false with `failure` set: no memory, and no room without; nothing has changed then
 */
export function makeRoom(m: MapState): boolean {
  const { parts, part } = m;
  const log2 = parts[part + SIZE_LOG2]!;
  const count = parts[part + COUNT]!;
  if (log2 === 0) return grow(m, m.firstLog2);
  if (count < growBound(log2)) return true;
  if (log2 < MOST && grow(m, log2 + 1)) return true;
  if (count >= fullBound(log2)) return log2 < MOST ? false : corrupt(m, 'a partition is full');
  return true;
}

/** Exchanges the table for a larger one, or makes the first one. False with `failure` set: nothing has changed. */
function grow(m: MapState, log2: number): boolean {
  const { parts, part } = m;
  const flags = DSA_ALLOC_HUGE | DSA_ALLOC_NO_OOM | DSA_ALLOC_ZERO;
  const object = allocate(m, tableBytes(log2), flags);
  if (object === 0) return false;
  const lo = loOf(object);
  const hi = hiOf(object);
  const words = wordsOf(m, hi);
  if (words.length === 0) return giveUp(m, object);
  const base = wordIndex(lo, hi);
  const old = parts[part + SIZE_LOG2]!;
  if (old !== 0) {
    copyCells(m, words, base, log2);
    m.ownLo = parts[part + TABLE]!;
    m.ownHi = parts[part + TABLE + 1]!;
  }
  parts[part + P_NEXT] = lo;
  parts[part + P_NEXT + 1] = hi;
  parts[part + P_NEXT_LOG2] = log2;
  parts[part + SIZE_LOG2] = old | EXCHANGING;
  parts[part + TABLE] = lo;
  parts[part + TABLE + 1] = hi;
  parts[part + SIZE_LOG2] = log2;
  m.cells = words;
  m.cellBase = base;
  m.log2 = log2;
  m.cellAt = freeCell(words, base, log2, tagOf(m.hash));
  return true;
}

/** Copies all entries into a larger table. Old cells come in the order of the new homes, so both are read forwards. */
function copyCells(m: MapState, into: Int32Array, base: number, log2: number): void {
  const { cells, cellBase } = m;
  const end = cellBase + (CELL << m.log2);
  for (let from = cellBase; from < end; from += CELL) {
    const tag = cells[from]!;
    if ((tag & 1) === 0) continue;
    const at = freeCell(into, base, log2, tag);
    into[at + 1] = cells[from + 1]!;
    into[at + 2] = cells[from + 2]!;
    into[at] = tag;
  }
}
