/**
 * Checks of a map: every rule as a numbered check, findings instead of errors.
 *
 * | id | holds when no call on the map is under way |
 * |---|---|
 * | N1 | chunks are live objects, each on one list |
 * | N2 | a node lies in a slot of a chunk of its partition, or is a live object that is large enough |
 * | N3 | slots, of nodes and free ones, do not overlap and lie in front of what was never handed out |
 * | N4 | free lists end |
 * | N5 | the tag of a cell is that of its node's key, which belongs into the partition; bytes behind the key are zero |
 * | N6 | no key is in a map twice |
 * | N7 | key and value fit their slot, and are of kinds that the map has |
 * | N8 | a table is a live object with room for all its cells, and no exchange of it is under way |
 * | N9 | a cell leads to a place where a node can lie, and is reached from its home without crossing a free cell |
 * | N10 | the count is the number of cells in use, and some cells are free |
 * | N11 | all locks are free, nobody waits for them, none is poisoned, all have the tranche of maps |
 *
 * With `quiescent: false` each partition is locked, shared, while it is looked at, and N11 is left out. Changes nothing;
 * every walk ends, since no cell and no slot is followed twice. The memory of nodes is checked in map-verify-memory.ts.
 */

import { checkRestingLock, type Finding, Findings, quiescentOption } from '../dsm/dsm.js';
import { hashWords, type TableVerifyOptions } from '../dshash/dshash.js';
import { lwlockFailure, TRANCHE_HEAP_MAP } from '../sync/sync.js';
import { lockPartition, unlockAny } from './map-locks.js';
import {
  CELL_WORDS,
  KEY_BYTES,
  KEY_NUMBER,
  LARGEST_LOG2,
  N_KEY_META,
  P_COUNT,
  P_SIZE_LOG2,
  P_TABLE,
  PART_WORDS,
  PARTITIONS,
  PARTITIONS_LOG2,
  SMALLEST_LOG2,
} from './map-layout.js';
import { pointerOf, refresh, wordIndex, wordsOf } from './map-memory.js';
import type { MapState } from './map-state.js';
import { fullBound, openTable, tableBytes, tagOf } from './map-table.js';
import { BYTES } from './map-text.js';
import { MemoryCheck } from './map-verify-memory.js';

/** How a map is checked. */
export type MapVerifyOptions = TableVerifyOptions;

/** Result of a check. Plain data. */
export interface MapReport {
  /** True when no error was found. */
  readonly ok: boolean;
  /** Single checks made. */
  readonly checks: number;
  readonly findings: readonly Finding[];
  /** Findings that are not listed, since there are enough of their id. */
  readonly unlisted: number;
  /** Entries met. */
  readonly entries: number;
  /** Bytes that the map has taken from the heap for nodes, by use. */
  readonly bytes: { readonly nodes: number; readonly free: number };
}

/**
 * Checks a map. The participant's thread; blocks on locks only when `quiescent` is false.
 *
 * @throws ERR_HEAP_BAD_OPTION; nothing for damage
 */
export function verifyMap(m: MapState, options: MapVerifyOptions): MapReport {
  const atRest = quiescentOption(options);
  const f = new Findings();
  const check = new MapCheck(m, f);
  for (let partition = 0; partition < PARTITIONS; partition++) check.partition(partition, atRest);
  const { entries, memory } = check;
  const bytes = { nodes: memory.nodeBytes, free: memory.freeBytes };
  return { ok: f.errors === 0, checks: f.checks, findings: f.list, unlisted: f.unlisted, entries, bytes };
}

class MapCheck {
  entries = 0;
  readonly memory: MemoryCheck;
  readonly #m: MapState;
  readonly #f: Findings;

  constructor(m: MapState, f: Findings) {
    this.#m = m;
    this.#f = f;
    this.memory = new MemoryCheck(m, f);
  }

  /** One partition, under its lock unless the map is at rest. */
  partition(partition: number, atRest: boolean): void {
    const m = this.#m;
    const { dsm } = m.area.state;
    const word = m.partsAt + partition * PART_WORDS;
    if (atRest) {
      const name = `the lock of partition ${partition}`;
      checkRestingLock(this.#f, 'N11', dsm, name, m.parts, word, m.ns, TRANCHE_HEAP_MAP);
      m.part = word;
    } else if (!lockPartition(m, partition, false)) {
      this.#f.error('N11', lwlockFailure(m.p, m.parts, m.failedLock, m.ns, dsm.tranches).toString());
      return;
    }
    try {
      if (this.#f.check('N8', refresh(m), () => 'the segments of the map cannot be mapped')) this.#table(partition);
      this.memory.partition(partition);
    } catch (error) {
      // The lock must not stay behind, whatever damage does to a check.
      this.#f.error('N9', `the check of partition ${partition} broke off: ${String(error)}`);
    }
    if (!atRest) unlockAny(m);
  }

  /** N8, N10. */
  #table(partition: number): void {
    const m = this.#m;
    const f = this.#f;
    const log2 = m.parts[m.part + P_SIZE_LOG2]!;
    const count = m.parts[m.part + P_COUNT]!;
    const sane = log2 === 0 || (log2 >= SMALLEST_LOG2 && log2 <= LARGEST_LOG2);
    if (!f.check('N8', sane, () => `the table of partition ${partition} has size_log2 ${log2}`)) return;
    const table = pointerOf(m.parts[m.part + P_TABLE]!, m.parts[m.part + P_TABLE + 1]! >>> 0);
    const want = log2 === 0 ? 0 : tableBytes(log2);
    const room = want !== 0 && m.area.isLive(table) ? m.area.sizeOf(table) : 0;
    const whole = room >= want && (want === 0 || openTable(m));
    if (!f.check('N8', whole, () => `the table of partition ${partition} has ${room} bytes, not ${want}`)) return;
    const used = want === 0 ? 0 : this.#cells(partition);
    f.check('N10', used === count, () => `partition ${partition} counts ${count} entries and has ${used}`);
    const most = log2 === 0 ? 0 : fullBound(log2);
    f.check(
      'N10',
      used <= most,
      () => `partition ${partition} has ${used} entries, at most ${most} in 2^${log2} cells`,
    );
    this.entries += used;
  }

  /** N9 and the nodes. @returns the number of cells in use */
  #cells(partition: number): number {
    const m = this.#m;
    const f = this.#f;
    const { cells, cellBase, log2 } = m;
    const size = 2 ** log2;
    const keys = new Set<string>();
    let used = 0;
    /** Cells in use in front of the cell under way, without a free one between; the first ones are behind the last. */
    let run = 0;
    while (run < size && cells[cellBase + CELL_WORDS * (size - 1 - run)] !== 0) run++;
    for (let cell = 0; cell < size; cell++) {
      const c = cellBase + CELL_WORDS * cell;
      const tag = cells[c]!;
      if (tag === 0) {
        run = 0;
        continue;
      }
      used++;
      const where = (): string => `cell ${cell} of partition ${partition}`;
      if (f.check('N9', (tag & 1) === 1, () => `${where()} is half moved`)) {
        const far = (cell - (tag >>> (32 - log2)) + size) % size;
        f.check('N9', far <= run, () => `${where()} is cut off from its home, ${far} cells before`);
        this.#node(partition, tag, c, where, keys);
      }
      run = Math.min(run + 1, size);
    }
    return used;
  }

  /** N5 to N7, N9: the node that a cell leads to. */
  #node(partition: number, tag: number, c: number, where: () => string, keys: Set<string>): void {
    const m = this.#m;
    const f = this.#f;
    const lo = m.cells[c + 1]!;
    const hi = m.cells[c + 2]!;
    const words = hi >= 0 ? wordsOf(m, hi) : new Int32Array(0);
    const at = wordIndex(lo, hi);
    const inside = lo % 8 === 0 && at + m.keyAt <= words.length;
    if (!f.check('N9', inside, () => `${where()} leads to no node`)) return;
    const node = pointerOf(lo, hi);
    const meta = words[at + N_KEY_META]!;
    const length = meta >>> 2;
    const keyWords = (length + 3) >>> 2;
    const key = at + m.keyAt;
    const fits = key + keyWords <= words.length;
    const number = m.keyKind === KEY_NUMBER;
    const kind = number ? meta === ((8 << 2) | BYTES) : ((meta & 3) === BYTES) === (m.keyKind === KEY_BYTES);
    if (!f.check('N7', fits && kind, () => `node ${node} has a key of ${length} bytes and kind ${meta & 3}`)) return;
    const hash = hashWords(words, key, length);
    const own = tagOf(hash) === tag && hash >>> (32 - PARTITIONS_LOG2) === partition;
    f.check('N5', own, () => `${where()} has the tag of another key than node ${node}`);
    const rest = length % 4 === 0 ? 0 : words[key + keyWords - 1]! >>> ((length % 4) * 8);
    f.check('N5', rest === 0, () => `node ${node} has bytes behind its key`);
    const text = `${meta} ${words.subarray(key, key + keyWords).join(' ')}`;
    f.check('N6', !keys.has(text), () => `node ${node} has the key of another node`);
    keys.add(text);
    this.memory.node(node, words, at, keyWords);
  }
}
