/**
 * The steps of a map's calls: lock the partition of the key, find its node, read or change it, unlock. The hot path.
 *
 * The key is packed already, and so is the value of a writing call. Nothing here throws: a failure is noted in the
 * map's state and comes back as FAILED. Two atomic operations a call as long as nobody competes: table, count and memory
 * belong to the partition, so two threads meet only where their keys fall into one partition.
 *
 * A thread that dies between lock and unlock leaves the partition locked: whoever wants it next is told so
 * (ERR_HEAP_LOCK_STALLED). What it was writing there may be half done: a value that was overwritten in place may be half
 * the old and half the new one; everything else is whole, see map-table.ts.
 */

import { lockKey, lockToRead, unlockNewest, unlockRead } from './map-locks.js';
import {
  CELL_WORDS,
  HALF_MOVED,
  N_KEY_META,
  N_VALUE,
  N_VALUE_LENGTH,
  N_VALUE_META,
  OWN_OBJECT,
  P_SIZE_LOG2,
} from './map-layout.js';
import { corrupt, pointerOf, refresh, wordsOf } from './map-memory.js';
import { freeSlot, slotClassOf, slotSize, takeSlot } from './map-slots.js';
import type { MapState } from './map-state.js';
import { addCell, makeRoom, openTable, removeCell, tagOf } from './map-table.js';
import { copyWords } from './map-text.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see dsa/allocate.ts). */
const lock = lockKey;
const lockReading = lockToRead;
const unlock = unlockNewest;
const unlockReading = unlockRead;
const WORDS_4_GIB = 2 ** 30;
const CELL = CELL_WORDS;
const HALF = HALF_MOVED;
const SIZE_LOG2 = P_SIZE_LOG2;
const KEY_META = N_KEY_META;
const VALUE = N_VALUE;
const VALUE_LENGTH = N_VALUE_LENGTH;
const VALUE_META = N_VALUE_META;
const OWN = OWN_OBJECT;

/** There is no node for the key. */
export const NONE = -1;
/** See the `failure` of the map's state. */
export const FAILED = -2;

/**
 * Finds the node of the key. Under the lock of its partition.
 *
 * @returns its word index in `m.words`, with its pointer in `m.lo`, `m.hi` and its cell at `m.cellAt`; NONE, with the free
 *   cell that the search ended at; FAILED
 */
export function findNode(m: MapState): number {
  if (!refresh(m)) return FAILED;
  if (m.parts[m.part + SIZE_LOG2] === 0) return NONE;
  return openTable(m) ? seek(m) : FAILED;
}

function seek(m: MapState): number {
  const { cells, cellBase, log2, hash } = m;
  const tag = (hash << 7) | 1;
  const mask = (1 << log2) - 1;
  let cell = tag >>> (32 - log2);
  for (let left = mask; left >= 0; left--) {
    const c = cellBase + CELL * cell;
    const seen = cells[c]!;
    if (seen === tag) {
      const at = matchNode(m, cells[c + 1]!, cells[c + 2]!);
      if (at !== NONE) {
        m.cellAt = c;
        return at;
      }
    } else if (seen === 0) {
      m.cellAt = c;
      return NONE;
    }
    cell = (cell + 1) & mask;
  }
  corrupt(m, 'a table has no free cell');
  return FAILED;
}

/** Tells whether the node behind a pointer has the key of the call: its word index, NONE, FAILED. */
function matchNode(m: MapState, lo: number, hi: number): number {
  const words = wordsOf(m, hi);
  if (words.length === 0) return FAILED;
  const at = (hi & 0xff) * WORDS_4_GIB + (lo >>> 2);
  if (words[at + KEY_META] !== m.keyMeta) return NONE;
  const mine = m.key.words;
  const key = at + m.keyAt;
  const { keyWords } = m;
  for (let i = 0; i < keyWords; i++) if (words[key + i] !== mine[i]) return NONE;
  m.words = words;
  m.lo = lo;
  m.hi = hi;
  return at;
}

/** Tells whether there is a node for the key: 0 or more, NONE, FAILED. */
export function hasEntry(m: MapState): number {
  if (!lockReading(m)) return FAILED;
  const at = findNode(m);
  unlockReading(m);
  return at;
}

/** Copies the value of the key out. @returns 0 or more, NONE, FAILED */
export function readEntry(m: MapState): number {
  if (!lockReading(m)) return FAILED;
  let at = findNode(m);
  if (at >= 0 && !takeOut(m, m.words, at)) at = FAILED;
  unlockReading(m);
  return at;
}

/** Copies the value of a node into private memory. Under the lock. False with `failure` set. */
export function takeOut(m: MapState, words: Int32Array, at: number): boolean {
  const { fixedWords, fixed } = m;
  if (fixedWords === 0) return takeOutLong(m, words, at);
  for (let i = 0; i < fixedWords; i++) fixed[i] = words[at + VALUE + i]!;
  return true;
}

function takeOutLong(m: MapState, words: Int32Array, at: number): boolean {
  const { value } = m;
  const length = words[at + VALUE_LENGTH]!;
  const from = at + m.keyAt + (((words[at + KEY_META]! >>> 2) + 3) >>> 2);
  const count = (length + 3) >>> 2;
  if (length < 0 || from + count > words.length) return corrupt(m, 'a value is longer than its segment');
  if (!ensureValue(m, length)) return false;
  copyWords(words, from, value.words, 0, count);
  value.length = length;
  value.kind = words[at + VALUE_META]! & 0xff;
  return true;
}

function ensureValue(m: MapState, bytes: number): boolean {
  if (bytes <= m.value.room) return true;
  try {
    m.value.ensure(bytes + 4);
    return true;
  } catch (error) {
    m.failure = 'thrown';
    m.thrown = error;
    return false;
  }
}

/** Bytes that the node of the call needs. */
function nodeBytes(m: MapState): number {
  const fixed = m.keyAt + m.keyWords;
  return 4 * (m.fixedWords !== 0 ? fixed : fixed + ((m.value.length + 3) >>> 2));
}

/** Writes the value of the call into a node that has room. */
function putValue(m: MapState, words: Int32Array, at: number, slotClass: number): void {
  const { fixedWords, fixed } = m;
  for (let i = 0; i < fixedWords; i++) words[at + VALUE + i] = fixed[i]!;
  if (fixedWords !== 0) return;
  const { value } = m;
  words[at + VALUE_LENGTH] = value.length;
  words[at + VALUE_META] = value.kind | (slotClass << 8);
  copyWords(value.words, 0, words, at + m.keyAt + m.keyWords, (value.length + 3) >>> 2);
}

/** Sets the value of the key, whether there is a node or not. @returns 0 or more, FAILED */
export function writeEntry(m: MapState): number {
  if (!lock(m)) return FAILED;
  const done = settle(m, findNode(m));
  unlock(m);
  return m.ownLo === 0 && m.ownHi === 0 ? done : freeOld(m, done);
}

/**
 * Writes the value of the call to the node at `at`, or to a new one when that is NONE. Under the exclusive lock; after
 * unlocking {@link freeOld} must be called when `m.ownLo`, `m.ownHi` say that an object is left over.
 */
export function settle(m: MapState, at: number): number {
  if (at === NONE) return insert(m);
  if (at < 0 || m.fixedWords === 0) return at < 0 ? at : settleLong(m, at);
  putValue(m, m.words, at, 0);
  return at;
}

/** Makes a node and puts it into the table. Under the exclusive lock; FAILED leaves all entries as they were. */
function insert(m: MapState): number {
  if (!makeRoom(m)) return FAILED;
  const bytes = nodeBytes(m);
  const at = takeSlot(m, bytes);
  if (at < 0) return FAILED;
  fillNode(m, m.words, at, bytes);
  addCell(m, tagOf(m.hash), m.lo, m.hi);
  return at;
}

function fillNode(m: MapState, words: Int32Array, at: number, bytes: number): void {
  const { keyWords } = m;
  const mine = m.key.words;
  const key = at + m.keyAt;
  words[at + KEY_META] = m.keyMeta;
  for (let i = 0; i < keyWords; i++) words[key + i] = mine[i]!;
  putValue(m, words, at, m.fixedWords !== 0 ? 0 : slotClassOf(bytes));
}

/** Bytes that the node at a place may have; 0 when it should be an object and is none. */
function roomOf(m: MapState, slotClass: number, lo: number, hi: number): number {
  if (slotClass !== OWN) return slotSize(slotClass);
  const object = pointerOf(lo, hi);
  return m.area.isLive(object) ? m.area.sizeOf(object) : 0;
}

/** Replaces a value of any length: in place when it fits, else by a new node in the same cell. */
function settleLong(m: MapState, at: number): number {
  const { words, lo, hi } = m;
  const bytes = nodeBytes(m);
  const slotClass = words[at + VALUE_META]! >>> 8;
  if (bytes > roomOf(m, slotClass, lo, hi)) return replaceNode(m, at, bytes);
  putValue(m, words, at, slotClass);
  return at;
}

function replaceNode(m: MapState, at: number, bytes: number): number {
  const { words, lo, hi, cells, cellAt } = m;
  const slotClass = words[at + VALUE_META]! >>> 8;
  const fresh = takeSlot(m, bytes);
  if (fresh < 0) return FAILED;
  fillNode(m, m.words, fresh, bytes);
  // The new node first, in a cell that ends no search; the old one is still whole and in no list.
  cells[cellAt] = HALF;
  cells[cellAt + 1] = m.lo;
  cells[cellAt + 2] = m.hi;
  cells[cellAt] = tagOf(m.hash);
  leave(m, slotClass, lo, hi, words, at);
  return fresh;
}

/** Gives up the slot of a node that no cell leads to any more; an object of its own is freed after unlocking. */
function leave(m: MapState, slotClass: number, lo: number, hi: number, words: Int32Array, at: number): void {
  if (slotClass !== OWN) {
    freeSlot(m, slotClass, lo, hi, words, at);
    return;
  }
  m.ownLo = lo;
  m.ownHi = hi;
}

/** Deletes the entry of the key. @returns 0 or more when there was one, NONE, FAILED */
export function deleteEntry(m: MapState): number {
  if (!lock(m)) return FAILED;
  const at = findNode(m);
  if (at >= 0) {
    const { words } = m;
    const slotClass = slotClassAt(m, words, at);
    removeCell(m, m.cellAt);
    leave(m, slotClass, m.lo, m.hi, words, at);
  }
  unlock(m);
  return m.ownLo === 0 && m.ownHi === 0 ? at : freeOld(m, at);
}

/** Slot class of a node. */
export function slotClassAt(m: MapState, words: Int32Array, at: number): number {
  if (m.fixedWords === 0) return words[at + VALUE_META]! >>> 8;
  return slotClassOf(4 * (m.keyAt + (((words[at + KEY_META]! >>> 2) + 3) >>> 2)));
}

/**
 * Frees the object that a call has left over, after unlocking.
 *
 * @returns `result`, or FAILED: the object is lost then, the map is as it should be
 */
export function freeOld(m: MapState, result: number): number {
  const object = pointerOf(m.ownLo, m.ownHi);
  m.ownLo = 0;
  m.ownHi = 0;
  try {
    if (object !== 0) m.area.free(object);
    return result;
  } catch (error) {
    m.failure = 'thrown';
    m.thrown = error;
    return FAILED;
  }
}
