/**
 * Checks of a map: those of its table (H1 .. H6, see dshash), and of its nodes and memory.
 *
 * | id | holds when no call on the map is under way |
 * |---|---|
 * | N1 | stores and chunks are live objects, each chunk on one list |
 * | N2 | a node lies in a slot of a chunk of its partition, or is a live object that is large enough |
 * | N3 | slots, of nodes and free ones, do not overlap and lie in front of what was never handed out |
 * | N4 | free lists end |
 * | N5 | the hash of a node is that of its key, and the bytes behind the key are zero |
 * | N6 | no key is in a map twice |
 * | N7 | key and value fit their slot, and are of kinds that the map has |
 *
 * With `quiescent: false` each partition is locked, shared, while it is looked at. Changes nothing; every walk ends,
 * since no slot is followed twice.
 */

import type { Finding, Findings } from '../dsm/dsm.js';
import type { DsaPointer } from '../layout/layout.js';
import {
  hashWords,
  I_HASH,
  NUM_PARTITIONS,
  pointerOf,
  type TableVerifyOptions,
  verifyTable,
  wordIndex,
  wordsOf,
} from '../dshash/dshash.js';
import { collectChunks } from './map-batch.js';
import {
  CHUNK_HEADER,
  KEY_BYTES,
  KEY_NUMBER,
  MapStore,
  N_KEY_META,
  N_VALUE_LENGTH,
  N_VALUE_META,
  OWN_OBJECT,
  SLOT_SIZES,
  ST_BUMP,
  ST_FREE,
  ST_LEFT,
  VALUE_BYTES,
} from './map-layout.js';
import { slotClassAt } from './map-nodes.js';
import { slotSize, storeWord } from './map-slots.js';
import type { MapState } from './map-state.js';
import { BYTES } from './map-text.js';

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
  /** Bytes that the map has taken from the heap, by use. */
  readonly bytes: { readonly nodes: number; readonly free: number };
}

/** Bytes of a slot, from its pointer on. */
interface Slot {
  readonly from: DsaPointer;
  readonly bytes: number;
}

/**
 * Checks a map. The participant's thread; blocks on locks only when `quiescent` is false.
 *
 * @throws ERR_HEAP_BAD_OPTION; nothing for damage
 */
export function verifyMap(m: MapState, options: MapVerifyOptions): MapReport {
  const check = new MapCheck(m);
  const { ok, checks, findings, unlisted, items } = verifyTable(
    m.t,
    options,
    (f, item, words, at) => check.node(f, item, words, at),
    (f, partition) => check.store(f, partition),
  );
  return { ok, checks, findings, unlisted, entries: items, bytes: { nodes: check.nodeBytes, free: check.freeBytes } };
}

class MapCheck {
  nodeBytes = 0;
  freeBytes = 0;
  readonly #m: MapState;
  /** Slots of the nodes of the partition under way. */
  #slots: Slot[] = [];
  #keys = new Set<string>();

  constructor(m: MapState) {
    this.#m = m;
  }

  /** One node: N5 .. N7, and N2 for those that are objects. */
  node(f: Findings, item: DsaPointer, words: Int32Array, at: number): void {
    const m = this.#m;
    const meta = words[at + N_KEY_META]!;
    const length = meta >>> 2;
    const keyWords = (length + 3) >>> 2;
    const key = at + m.keyAt;
    const where = (): string => `node ${item}`;
    const inside = key + keyWords <= words.length;
    const number = m.keyKind === KEY_NUMBER;
    const kind = number ? meta === ((8 << 2) | BYTES) : ((meta & 3) === BYTES) === (m.keyKind === KEY_BYTES);
    if (!f.check('N7', inside && kind, () => `${where()} has a key of ${length} bytes and kind ${meta & 3}`)) return;
    const hash = hashWords(words, key, length);
    f.check('N5', hash === words[at + I_HASH], () => `${where()} has the hash of another key`);
    const rest = length % 4 === 0 ? 0 : words[key + keyWords - 1]! >>> ((length % 4) * 8);
    f.check('N5', rest === 0, () => `${where()} has bytes behind its key`);
    const text = `${meta} ${words.subarray(key, key + keyWords).join(' ')}`;
    f.check('N6', !this.#keys.has(text), () => `${where()} has the key of another node`);
    this.#keys.add(text);
    this.#room(f, item, words, at, keyWords);
  }

  #room(f: Findings, item: DsaPointer, words: Int32Array, at: number, keyWords: number): void {
    const m = this.#m;
    const slotClass = slotClassAt(m, words, at);
    const known = slotClass === OWN_OBJECT || slotClass < SLOT_SIZES.length;
    if (!f.check('N7', known, () => `node ${item} has slot class ${slotClass}`)) return;
    let bytes = 4 * (m.keyAt + keyWords);
    if (m.fixedWords === 0) {
      const kind = words[at + N_VALUE_META]! & 0xff;
      const right = m.valueKind === VALUE_BYTES ? kind === BYTES : kind < BYTES;
      f.check('N7', right, () => `node ${item} has a value of kind ${kind}`);
      bytes += Math.ceil((words[at + N_VALUE_LENGTH]! >>> 0) / 4) * 4;
    }
    const own = slotClass === OWN_OBJECT;
    const room = own ? (m.area.isLive(item) ? m.area.sizeOf(item) : 0) : slotSize(slotClass);
    f.check(own ? 'N2' : 'N7', bytes <= room, () => `node ${item} needs ${bytes} bytes and has ${room}`);
    this.nodeBytes += room;
    if (!own) this.#slots.push({ from: item, bytes: room });
  }

  /** What a partition has taken from the area, after its nodes: N1 .. N4. */
  store(f: Findings, partition: number): void {
    const m = this.#m;
    const slots = this.#slots;
    this.#slots = [];
    this.#keys = new Set();
    const stores = m.area.state.maps.findIndex(({ i32 }) => i32 === m.stores) * 2 ** 40 + m.storeAt * 4;
    const live =
      m.area.isLive(stores as DsaPointer) && m.area.sizeOf(stores as DsaPointer) >= NUM_PARTITIONS * MapStore.SIZEOF;
    const chunks: DsaPointer[] = [];
    const sound = live && collectChunks(m, partition, chunks);
    if (!f.check('N1', sound, () => `the memory of partition ${partition} is not what it says`)) return;
    const free = this.#freeSlots(f, partition);
    for (const { bytes } of free) this.freeBytes += bytes;
    const b = storeWord(m, partition);
    const bump = pointerOf(m.stores[b + ST_BUMP]!, m.stores[b + ST_BUMP + 1]!);
    const rest: Slot[] = chunks.length === 0 ? [] : [{ from: bump, bytes: m.stores[b + ST_LEFT]! }];
    this.freeBytes += rest[0]?.bytes ?? 0;
    this.#layOut(f, partition, chunks, [...slots, ...free, ...rest]);
  }

  /** N4. */
  #freeSlots(f: Findings, partition: number): Slot[] {
    const m = this.#m;
    const slots: Slot[] = [];
    const seen = new Set<DsaPointer>();
    for (const [slotClass, bytes] of SLOT_SIZES.entries()) {
      let words = m.stores;
      let at = storeWord(m, partition) + ST_FREE + 2 * slotClass;
      while ((words[at]! | words[at + 1]!) !== 0) {
        const from = pointerOf(words[at]!, words[at + 1]!);
        const lo = words[at]!;
        const hi = words[at + 1]!;
        words = hi >= 0 ? wordsOf(m.t, hi) : new Int32Array(0);
        at = wordIndex(lo, hi);
        const sound = at + bytes / 4 <= words.length && !seen.has(from);
        if (!f.check('N4', sound, () => `a free list of partition ${partition} leads to ${from}`)) break;
        seen.add(from);
        slots.push({ from, bytes });
      }
    }
    return slots;
  }

  /** N2, N3: lays all slots side by side into the chunks. */
  #layOut(f: Findings, partition: number, chunks: DsaPointer[], slots: Slot[]): void {
    const { area } = this.#m;
    const sorted = slots.filter(({ bytes }) => bytes > 0).sort((a, b) => a.from - b.from);
    const homes = chunks.map((from) => ({ from, end: from + area.sizeOf(from) })).sort((a, b) => a.from - b.from);
    let home = 0;
    let before = 0;
    for (const { from, bytes } of sorted) {
      while (home < homes.length && from >= homes[home]!.end) home++;
      const chunk = homes[home];
      const inside = chunk !== undefined && from >= chunk.from + CHUNK_HEADER && from + bytes <= chunk.end;
      f.check('N2', inside, () => `the slot at ${from} lies in no chunk of partition ${partition}`);
      f.check('N3', from >= before, () => `the slot at ${from} begins before ${before}, where another one ends`);
      before = from + bytes;
    }
  }
}
