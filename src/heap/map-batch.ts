/**
 * Many entries at once: reading them in batches, and clearing.
 *
 * A batch is read under the shared lock of one partition and handed out after that was given back, so a loop over a map
 * holds no lock while its body runs. Where the next batch begins is kept as a partition and a tag: homes are in the order
 * of tags, whatever the size of the table, and no entry changes its tag. So a loop sees each key that stays in the map
 * exactly once, also when the map grows meanwhile; keys that come or go may be seen or not.
 *
 * Entries stand at their home or behind it, and before the next free cell. A batch therefore ends at a free cell: all
 * entries whose home lies before it have been met. Those of the first homes may stand behind entries that belong to the
 * batch before, and those of the last ones at the start of the table, where the first batch has passed them over.
 */

import type { DsaPointer } from '../layout/layout.js';
import { lockPartition, unlockAny } from './map-locks.js';
import {
  CELL_WORDS,
  N_KEY_META,
  OWN_OBJECT,
  P_CHUNKS,
  P_SIZE_LOG2,
  P_TABLE,
  PART_WORDS,
  PARTITIONS,
} from './map-layout.js';
import { corrupt, mapError, pointerOf, refresh, wordIndex, wordsOf } from './map-memory.js';
import { slotClassAt, takeOut } from './map-nodes.js';
import { type MapState, unpackKey, unpackValue } from './map-state.js';
import { openTable } from './map-table.js';
import { copyWords } from './map-text.js';

/** Entries after which a batch ends at the next free cell. Lower: more locking; higher: writers wait longer. */
const BATCH = 64;
/** One more than the largest tag. */
const END = 2 ** 32;

/** What a loop wants of each entry. */
export const WANT_KEYS = 1;
export const WANT_VALUES = 2;

/** A loop over a map. */
export class MapWalk {
  readonly #m: MapState;
  readonly #wants: number;
  /** Partition and tag at which the next batch begins. */
  #partition = 0;
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
    const m = this.#m;
    let count = 0;
    this.keys = [];
    this.values = [];
    while (count === 0 && this.#partition < PARTITIONS) {
      if (!lockPartition(m, this.#partition, false)) throw mapError(m, 'map');
      try {
        count = this.#read();
      } finally {
        unlockAny(m);
      }
      if (count < 0) throw mapError(m, 'map');
    }
    return count;
  }

  /** Reads the partition that is locked from `#from` on, and moves on. @returns the number of entries, or -1 */
  #read(): number {
    const m = this.#m;
    if (!refresh(m)) return -1;
    let count = 0;
    if (m.parts[m.part + P_SIZE_LOG2] !== 0) {
      if (!openTable(m)) return -1;
      count = this.#readCells();
      if (count < 0 || this.#from < END) return count;
    }
    this.#partition++;
    this.#from = 0;
    return count;
  }

  /** Reads up to a free cell after enough entries, or to the end, which is where the last entries may go round to. */
  #readCells(): number {
    const m = this.#m;
    const { cells, cellBase, log2 } = m;
    const size = 2 ** log2;
    const width = 2 ** (32 - log2);
    let count = 0;
    for (let place = Math.floor(this.#from / width); place < 2 * size; place++) {
      const c = cellBase + CELL_WORDS * (place % size);
      const tag = cells[c]! >>> 0;
      if (tag === 0 && place >= size) break;
      if (tag === 0 && count >= BATCH) {
        this.#from = place * width;
        return count;
      }
      if ((tag & 1) === 0 || tag < this.#from) continue;
      // Met before its home: it has gone round, and is met again behind the end.
      if (Math.floor(tag / width) > place) continue;
      if (place >= size && Math.floor(tag / width) <= place - size) continue;
      if (!this.#readNode(cells[c + 1]!, cells[c + 2]!)) return -1;
      count++;
    }
    this.#from = END;
    return count;
  }

  #readNode(lo: number, hi: number): boolean {
    const m = this.#m;
    const words = wordsOf(m, hi);
    if (words.length === 0) return false;
    const at = wordIndex(lo, hi);
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
  for (let partition = 0; partition < PARTITIONS; partition++) {
    if (!lockPartition(m, partition, true)) throw mapError(m, 'clear');
    const garbage: DsaPointer[] = [];
    let done = false;
    try {
      done = refresh(m) && collect(m, garbage) && collectChunks(m, garbage);
      // All but the lock, the size first: without a table there are no entries.
      if (done) {
        m.parts[m.part + P_SIZE_LOG2] = 0;
        m.parts.fill(0, m.part + P_TABLE, m.part + PART_WORDS);
      }
    } finally {
      unlockAny(m);
    }
    if (!done) throw mapError(m, 'clear');
    for (const object of garbage) m.area.free(object);
  }
}

/** Lists the table of the partition and the nodes that are objects of their own. Changes nothing. */
function collect(m: MapState, garbage: DsaPointer[]): boolean {
  const { parts, part } = m;
  if (parts[part + P_SIZE_LOG2] === 0) return true;
  if (!openTable(m)) return false;
  const { cells, cellBase, log2 } = m;
  const table = pointerOf(parts[part + P_TABLE]!, parts[part + P_TABLE + 1]!);
  if (!m.area.isLive(table)) return corrupt(m, 'the table of a partition is no object');
  garbage.push(table);
  const end = cellBase + (CELL_WORDS << log2);
  for (let c = cellBase; c < end; c += CELL_WORDS) {
    if ((cells[c]! & 1) === 0) continue;
    const lo = cells[c + 1]!;
    const hi = cells[c + 2]!;
    const words = wordsOf(m, hi);
    if (words.length === 0) return false;
    if (slotClassAt(m, words, wordIndex(lo, hi)) !== OWN_OBJECT) continue;
    const node = pointerOf(lo, hi);
    if (!m.area.isLive(node)) return corrupt(m, 'a long node is no object');
    garbage.push(node);
  }
  return true;
}

/** Appends the chunks of the partition at `m.part`, newest first. Each must be an object, and none can come twice. */
export function collectChunks(m: MapState, chunks: DsaPointer[]): boolean {
  let lo = m.parts[m.part + P_CHUNKS]!;
  let hi = m.parts[m.part + P_CHUNKS + 1]!;
  const seen = new Set<DsaPointer>();
  while ((lo | hi) !== 0) {
    const chunk = pointerOf(lo, hi);
    if (hi < 0 || seen.has(chunk) || !m.area.isLive(chunk)) return corrupt(m, 'the chunks of a partition do not end');
    seen.add(chunk);
    chunks.push(chunk);
    const words = wordsOf(m, hi);
    if (words.length === 0) return false;
    const at = wordIndex(lo, hi);
    lo = words[at]!;
    hi = words[at + 1]!;
  }
  return true;
}
