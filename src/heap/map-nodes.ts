/**
 * The steps of a map's calls: lock the partition of the key, find its node, read or change it, unlock. The hot path.
 *
 * The key is packed already, and so is the value of a writing call. Nothing here throws: a failure is noted in the
 * table's state and comes back as FAILED. Two atomic operations a call as long as nobody competes: the table counts per
 * partition, memory is taken per partition, so two threads meet only where their keys fall into one partition.
 *
 * A thread that dies between lock and unlock leaves the partition locked: whoever wants it next is told so
 * (ERR_HEAP_LOCK_STALLED). What it was writing there may be half done.
 */

import {
  corrupt,
  grow,
  I_HASH,
  MAX_SIZE_LOG2,
  NUM_PARTITIONS_LOG2,
  P_COUNT,
  PARTITION_WORDS,
  pointerOf,
  refresh,
  type TableState,
  wordsOf,
} from '../dshash/dshash.js';
import { lockKey, lockToRead, unlockNewest, unlockRead } from './map-locks.js';
import { N_KEY_META, N_VALUE, N_VALUE_LENGTH, N_VALUE_META, OWN_OBJECT } from './map-layout.js';
import { freeSlot, slotClassOf, slotSize, takeSlot } from './map-slots.js';
import type { MapState } from './map-state.js';
import { copyWords } from './map-text.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see dsa/allocate.ts). */
const lock = lockKey;
const lockReading = lockToRead;
const unlock = unlockNewest;
const unlockReading = unlockRead;
const WORDS_4_GIB = 2 ** 30;
const TO_PARTITION = 32 - NUM_PARTITIONS_LOG2;
const LOCK_STRIDE = PARTITION_WORDS;
const TO_COUNT = P_COUNT;
const HASH = I_HASH;
const KEY_META = N_KEY_META;
const VALUE = N_VALUE;
const VALUE_LENGTH = N_VALUE_LENGTH;
const VALUE_META = N_VALUE_META;
const OWN = OWN_OBJECT;
const MOST_BUCKETS = MAX_SIZE_LOG2;

/**
 * Size, as a power of two, from which a table is doubled only. Higher: fewer growths, but up to eight times as many
 * buckets as entries, which then is memory that counts.
 */
const DOUBLE_FROM = 17;

/** There is no node for the key. */
export const NONE = -1;
/** See the table's `failure`. */
export const FAILED = -2;

/**
 * Finds the node of the key. Under the lock of its partition, after `refresh`.
 *
 * @returns its word index in `m.words`, with its pointer in `m.lo`, `m.hi`; NONE; FAILED
 */
function seek(m: MapState): number {
  const { t, maps, hash, keyMeta, keyAt, keyWords } = m;
  const mine = m.key.words;
  let words = t.buckets;
  let at = t.bucketWord + 2 * (hash >>> t.shift);
  let left = t.control[m.locks + (hash >>> TO_PARTITION) * LOCK_STRIDE + TO_COUNT]!;
  for (;;) {
    const lo = words[at]!;
    const hi = words[at + 1]!;
    if ((lo | hi) === 0) return NONE;
    if (left-- <= 0) return endless(t);
    const map = maps[hi >>> 8];
    words = map === undefined || map.i32.length === 0 ? wordsOf(t, hi) : map.i32;
    if (words.length === 0) return FAILED;
    at = (hi & 0xff) * WORDS_4_GIB + (lo >>> 2);
    if (words[at + HASH] !== hash || words[at + KEY_META] !== keyMeta) continue;
    const key = at + keyAt;
    let i = 0;
    while (i < keyWords && words[key + i] === mine[i]) i++;
    if (i !== keyWords) continue;
    m.words = words;
    m.lo = lo;
    m.hi = hi;
    return at;
  }
}

function endless(t: TableState): number {
  corrupt(t, 'a chain has more items than its partition');
  return FAILED;
}

/** {@link seek} with what must come before it. Under the lock of the partition. */
export function findNode(m: MapState): number {
  return refresh(m.t) ? seek(m) : FAILED;
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
  if (length < 0 || from + count > words.length) return corrupt(m.t, 'a value is longer than its segment');
  if (!makeRoom(m, length)) return false;
  copyWords(words, from, value.words, 0, count);
  value.length = length;
  value.kind = words[at + VALUE_META]! & 0xff;
  return true;
}

function makeRoom(m: MapState, bytes: number): boolean {
  if (bytes <= m.value.room) return true;
  try {
    m.value.ensure(bytes + 4);
    return true;
  } catch (error) {
    m.t.failure = 'thrown';
    m.t.thrown = error;
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
  for (;;) {
    if (!lock(m)) return FAILED;
    const at = findNode(m);
    if (at !== NONE || !mustGrow(m)) {
      const done = settle(m, at);
      unlock(m);
      return m.ownLo === 0 && m.ownHi === 0 ? done : freeOld(m, done);
    }
    unlock(m);
    if (!growTable(m)) return FAILED;
  }
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

/** Tells whether an insertion into the partition of the key makes the table grow first. Under its lock. */
export function mustGrow(m: MapState): boolean {
  const { t } = m;
  const count = t.control[m.locks + (m.hash >>> TO_PARTITION) * LOCK_STRIDE + TO_COUNT]!;
  return count > t.bound && t.sizeLog2 < MOST_BUCKETS;
}

/**
 * Makes the table larger: four times while it is small, else twice. C always doubles; linking all items anew so often
 * cost a third of all insertions into a table that grew to 100,000 entries. No lock of the table may be held.
 *
 * @returns false with `failure` set
 */
export function growTable(m: MapState): boolean {
  const log2 = m.t.sizeLog2;
  return grow(m.t, log2 < DOUBLE_FROM ? log2 + 2 : log2 + 1);
}

/** Makes a node and links it. Under the exclusive lock; FAILED leaves everything as it was. */
function insert(m: MapState): number {
  const { t, hash, keyWords } = m;
  const partition = hash >>> TO_PARTITION;
  const bytes = nodeBytes(m);
  const at = takeSlot(m, partition, bytes);
  if (at < 0) return FAILED;
  const { words, lo, hi } = m;
  fillNode(m, words, at, keyWords, bytes);
  const { buckets } = t;
  const bucket = t.bucketWord + 2 * (hash >>> t.shift);
  words[at] = buckets[bucket]!;
  words[at + 1] = buckets[bucket + 1]!;
  buckets[bucket] = lo;
  buckets[bucket + 1] = hi;
  const count = m.locks + partition * LOCK_STRIDE + TO_COUNT;
  t.control[count] = t.control[count]! + 1;
  return at;
}

function fillNode(m: MapState, words: Int32Array, at: number, keyWords: number, bytes: number): void {
  const mine = m.key.words;
  const key = at + m.keyAt;
  words[at + HASH] = m.hash;
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

/** Replaces a value of any length: in place when it fits, else by a new node in the same place of the chain. */
function settleLong(m: MapState, at: number): number {
  const { words, lo, hi } = m;
  const bytes = nodeBytes(m);
  const slotClass = words[at + VALUE_META]! >>> 8;
  if (bytes > roomOf(m, slotClass, lo, hi)) return replaceNode(m, at, bytes);
  putValue(m, words, at, slotClass);
  return at;
}

function replaceNode(m: MapState, at: number, bytes: number): number {
  const { words, lo, hi } = m;
  const partition = m.hash >>> TO_PARTITION;
  const slotClass = words[at + VALUE_META]! >>> 8;
  const link = findLink(m, lo, hi);
  if (link < 0) return FAILED;
  const { words: linkWords } = m;
  const fresh = takeSlot(m, partition, bytes);
  if (fresh < 0) return FAILED;
  const { words: freshWords } = m;
  fillNode(m, freshWords, fresh, m.keyWords, bytes);
  freshWords[fresh] = words[at]!;
  freshWords[fresh + 1] = words[at + 1]!;
  linkWords[link] = m.lo;
  linkWords[link + 1] = m.hi;
  leave(m, partition, slotClass, lo, hi, words, at);
  return fresh;
}

/** Gives up the slot of a node that is in no chain any more; an object of its own is freed after unlocking. */
function leave(
  m: MapState,
  partition: number,
  slotClass: number,
  lo: number,
  hi: number,
  words: Int32Array,
  at: number,
): void {
  if (slotClass !== OWN) {
    freeSlot(m, partition, slotClass, lo, hi, words, at);
    return;
  }
  m.ownLo = lo;
  m.ownHi = hi;
}

/**
 * Finds the link that leads to a node of the bucket of the key.
 *
 * @returns its word index in `m.words`, or FAILED
 */
function findLink(m: MapState, lo: number, hi: number): number {
  const { t } = m;
  let words = t.buckets;
  let at = t.bucketWord + 2 * (m.hash >>> t.shift);
  let left = t.control[m.locks + (m.hash >>> TO_PARTITION) * LOCK_STRIDE + TO_COUNT]!;
  while (words[at] !== lo || words[at + 1] !== hi) {
    const nextLo = words[at]!;
    const nextHi = words[at + 1]!;
    if ((nextLo | nextHi) === 0 || left-- <= 0) return endless(t);
    words = wordsOf(t, nextHi);
    if (words.length === 0) return FAILED;
    at = (nextHi & 0xff) * WORDS_4_GIB + (nextLo >>> 2);
  }
  m.words = words;
  return at;
}

/** Deletes the entry of the key. @returns 0 or more when there was one, NONE, FAILED */
export function deleteEntry(m: MapState): number {
  if (!lock(m)) return FAILED;
  const at = findNode(m);
  const { words, lo, hi } = m;
  const link = at < 0 ? at : findLink(m, lo, hi);
  if (link >= 0) {
    m.words[link] = words[at]!;
    m.words[link + 1] = words[at + 1]!;
    const partition = m.hash >>> TO_PARTITION;
    const count = m.locks + partition * LOCK_STRIDE + TO_COUNT;
    m.t.control[count] = m.t.control[count]! - 1;
    leave(m, partition, slotClassAt(m, words, at), lo, hi, words, at);
  }
  unlock(m);
  return m.ownLo === 0 && m.ownHi === 0 ? link : freeOld(m, link);
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
    m.t.failure = 'thrown';
    m.t.thrown = error;
    return FAILED;
  }
}
