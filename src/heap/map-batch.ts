/**
 * Many entries at once: reading them in batches, and clearing.
 *
 * A batch is read under the shared lock of one partition and handed out after that was given back, so a loop over a map
 * holds no lock while its body runs. The place where the next batch begins is kept as a hash: entries are in the order of
 * the top bits of their hashes, whatever the number of buckets, and no entry changes its hash. So a loop sees each key
 * that stays in the map exactly once, also when the map grows meanwhile; keys that come or go may be seen or not.
 */

import type { DsaPointer } from '../layout/layout.js';
import {
  corrupt,
  countOf,
  lockPartition,
  NUM_PARTITIONS,
  NUM_PARTITIONS_LOG2,
  P_COUNT,
  partitionWord,
  pointerOf,
  refresh,
  tableError,
  unlockPartition,
  wordIndex,
  wordsOf,
} from '../dshash/dshash.js';
import { N_KEY_META, OWN_OBJECT, ST_CHUNKS, STORE_WORDS } from './map-layout.js';
import { slotClassAt, takeOut } from './map-nodes.js';
import { storeWord } from './map-slots.js';
import { type MapState, unpackKey, unpackValue } from './map-state.js';
import { copyWords } from './map-text.js';

/** Entries after which a batch ends with its bucket. Lower: more locking; higher: writers wait longer. */
const BATCH = 64;
/** One more than the largest hash. */
const END = 2 ** 32;
const PER_PARTITION = 2 ** (32 - NUM_PARTITIONS_LOG2);

/** What a loop wants of each entry. */
export const WANT_KEYS = 1;
export const WANT_VALUES = 2;

/** A loop over a map. */
export class MapWalk {
  readonly #m: MapState;
  readonly #wants: number;
  /** Hash at which the next batch begins. */
  #from = 0;
  keys: unknown[] = [];
  values: unknown[] = [];

  /** @param wants {@link WANT_KEYS} + {@link WANT_VALUES} */
  constructor(m: MapState, wants: number) {
    this.#m = m;
    this.#wants = wants;
  }

  /**
   * Reads the next entries into `keys` and `values`.
   *
   * @returns their number, 0 at the end
   * @throws ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT, ERR_HEAP_HOST_LIMIT; no lock is held then
   */
  next(): number {
    let count = 0;
    this.keys = [];
    this.values = [];
    while (count === 0 && this.#from < END) {
      const { t } = this.#m;
      const partition = Math.floor(this.#from / PER_PARTITION);
      if (!lockPartition(t, partition, false)) throw tableError(t, 'map');
      try {
        count = refresh(t) ? this.#read(partition) : -1;
      } finally {
        unlockPartition(t, partition);
      }
      if (count < 0) throw tableError(t, 'map');
    }
    return count;
  }

  /** Reads whole buckets of a partition, from `#from` on. */
  #read(partition: number): number {
    const { t } = this.#m;
    const width = 2 ** t.shift;
    const end = (partition + 1) * PER_PARTITION;
    let left = countOf(t, partition);
    let count = 0;
    while (this.#from < end && count < BATCH) {
      const bucket = t.bucketWord + 2 * (this.#from / width);
      const found = this.#readChain(t.buckets[bucket]!, t.buckets[bucket + 1]!, left);
      if (found < 0) return found;
      left -= found;
      count += found;
      this.#from += width;
    }
    return count;
  }

  #readChain(firstLo: number, firstHi: number, limit: number): number {
    const m = this.#m;
    let lo = firstLo;
    let hi = firstHi;
    let count = 0;
    while ((lo | hi) !== 0) {
      if (count++ === limit && !corrupt(m.t, 'a chain has more items than its partition')) return -1;
      const words = wordsOf(m.t, hi);
      if (words.length === 0) return -1;
      const at = wordIndex(lo, hi);
      if (!this.#readNode(words, at)) return -1;
      lo = words[at]!;
      hi = words[at + 1]!;
    }
    return count;
  }

  #readNode(words: Int32Array, at: number): boolean {
    const m = this.#m;
    if ((this.#wants & WANT_KEYS) !== 0) {
      takeKey(m, words, at);
      this.keys.push(unpackKey(m));
    }
    if ((this.#wants & WANT_VALUES) === 0) return true;
    if (!takeOut(m, words, at)) return false;
    this.values.push(unpackValue(m));
    return true;
  }
}

/** Copies the key of a node into private memory. */
function takeKey(m: MapState, words: Int32Array, at: number): void {
  const meta = words[at + N_KEY_META]!;
  const length = meta >>> 2;
  m.key.ensure(length + 4);
  copyWords(words, at + m.keyAt, m.key.words, 0, (length + 3) >>> 2);
  m.key.length = length;
  m.key.kind = meta & 3;
}

/**
 * Deletes all entries, partition by partition, and gives their memory back.
 *
 * @throws ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT: then the partitions before the one at fault are empty
 */
export function clearMap(m: MapState): void {
  const { t } = m;
  for (let partition = 0; partition < NUM_PARTITIONS; partition++) {
    if (!lockPartition(t, partition, true)) throw tableError(t, 'clear');
    const garbage: DsaPointer[] = [];
    let done = false;
    try {
      done = refresh(t) && collect(m, partition, garbage);
      if (done) reset(m, partition);
    } finally {
      unlockPartition(t, partition);
    }
    if (!done) throw tableError(t, 'clear');
    for (const object of garbage) m.area.free(object);
  }
}

/** Lists the chunks of a partition and the nodes that are objects of their own. Changes nothing. */
function collect(m: MapState, partition: number, garbage: DsaPointer[]): boolean {
  const { t } = m;
  const perPartition = 2 ** (t.sizeLog2 - NUM_PARTITIONS_LOG2);
  let left = countOf(t, partition);
  for (let b = partition * perPartition; b < (partition + 1) * perPartition; b++) {
    let words = t.buckets;
    let at = t.bucketWord + 2 * b;
    for (;;) {
      const lo = words[at]!;
      const hi = words[at + 1]!;
      if ((lo | hi) === 0) break;
      if (left-- <= 0) return corrupt(t, 'a chain has more items than its partition');
      words = wordsOf(t, hi);
      if (words.length === 0) return false;
      at = wordIndex(lo, hi);
      if (slotClassAt(m, words, at) === OWN_OBJECT) garbage.push(pointerOf(lo, hi));
    }
  }
  return collectChunks(m, partition, garbage);
}

/** Appends the chunks of a partition, newest first. Each must be an object, and none can come twice. */
export function collectChunks(m: MapState, partition: number, chunks: DsaPointer[]): boolean {
  const { t } = m;
  const from = storeWord(m, partition) + ST_CHUNKS;
  let lo = m.stores[from]!;
  let hi = m.stores[from + 1]!;
  const seen = new Set<DsaPointer>();
  while ((lo | hi) !== 0) {
    const chunk = pointerOf(lo, hi);
    if (seen.has(chunk) || !m.area.isLive(chunk)) return corrupt(t, 'the chunks of a partition do not end');
    seen.add(chunk);
    chunks.push(chunk);
    const words = wordsOf(t, hi);
    if (words.length === 0) return false;
    const at = wordIndex(lo, hi);
    lo = words[at]!;
    hi = words[at + 1]!;
  }
  return true;
}

function reset(m: MapState, partition: number): void {
  const { t } = m;
  const perPartition = 2 ** (t.sizeLog2 - NUM_PARTITIONS_LOG2);
  const first = t.bucketWord + 2 * partition * perPartition;
  t.buckets.fill(0, first, first + 2 * perPartition);
  t.control[partitionWord(t, partition) + P_COUNT] = 0;
  const store = storeWord(m, partition);
  m.stores.fill(0, store, store + STORE_WORDS);
}
