/**
 * Checks of a map's memory: that nodes, free slots and what was never handed out lie side by side in the chunks.
 *
 * Part of map-verify.ts, which gives the rules their numbers: N1 to N4, and of nodes N2 and N7. Nodes are noted one by one,
 * then the partition as a whole is laid out. The partition is locked or at rest.
 */

import type { Findings } from '../dsm/dsm.js';
import type { DsaPointer } from '../layout/layout.js';
import { collectChunks } from './map-batch.js';
import {
  CHUNK_HEADER,
  LANE_BUMP,
  LANE_LEFT,
  LANE_WORDS,
  LANES,
  N_VALUE_LENGTH,
  N_VALUE_META,
  OWN_OBJECT,
  P_FREE,
  P_LANES,
  SLOT_SIZES,
  VALUE_BYTES,
} from './map-layout.js';
import { pointerOf, wordIndex, wordsOf } from './map-memory.js';
import { slotClassAt } from './map-nodes.js';
import { slotSize } from './map-slots.js';
import type { MapState } from './map-state.js';
import { BYTES } from './map-text.js';

/** Bytes of a slot, from its pointer on. */
interface Slot {
  readonly from: DsaPointer;
  readonly bytes: number;
}

/** See the head of the file. */
export class MemoryCheck {
  nodeBytes = 0;
  freeBytes = 0;
  readonly #m: MapState;
  readonly #f: Findings;
  /** Slots of the nodes of the partition under way. */
  #slots: Slot[] = [];

  constructor(m: MapState, f: Findings) {
    this.#m = m;
    this.#f = f;
  }

  /** N2, N7 for the memory of one node. */
  node(node: DsaPointer, words: Int32Array, at: number, keyWords: number): void {
    const m = this.#m;
    const f = this.#f;
    const slotClass = slotClassAt(m, words, at);
    const known = slotClass === OWN_OBJECT || slotClass < SLOT_SIZES.length;
    if (!f.check('N7', known, () => `node ${node} has slot class ${slotClass}`)) return;
    let bytes = 4 * (m.keyAt + keyWords);
    if (m.fixedWords === 0) {
      const kind = words[at + N_VALUE_META]! & 0xff;
      const right = m.valueKind === VALUE_BYTES ? kind === BYTES : kind < BYTES;
      f.check('N7', right, () => `node ${node} has a value of kind ${kind}`);
      bytes += Math.ceil((words[at + N_VALUE_LENGTH]! >>> 0) / 4) * 4;
    }
    const own = slotClass === OWN_OBJECT;
    const room = own ? (m.area.isLive(node) ? m.area.sizeOf(node) : 0) : slotSize(slotClass);
    f.check(own ? 'N2' : 'N7', bytes <= room, () => `node ${node} needs ${bytes} bytes and has ${room}`);
    this.nodeBytes += room;
    if (!own) this.#slots.push({ from: node, bytes: room });
  }

  /** What the partition at `m.part` has taken from the area, after its nodes: N1 to N4. */
  partition(partition: number): void {
    const m = this.#m;
    const slots = this.#slots;
    this.#slots = [];
    const chunks: DsaPointer[] = [];
    const sound = collectChunks(m, chunks);
    if (!this.#f.check('N1', sound, () => `the memory of partition ${partition} is not what it says`)) return;
    const free = [...this.#freeSlots(partition), ...this.#rests()];
    for (const { bytes } of free) this.freeBytes += bytes;
    this.#layOut(partition, chunks, [...slots, ...free]);
  }

  /** What the lanes have not handed out. */
  #rests(): Slot[] {
    const { parts, part } = this.#m;
    return Array.from({ length: LANES }, (_, i) => {
      const lane = part + P_LANES + i * LANE_WORDS;
      const from = pointerOf(parts[lane + LANE_BUMP]!, parts[lane + LANE_BUMP + 1]!);
      return { from, bytes: parts[lane + LANE_LEFT]! };
    }).filter(({ bytes }) => bytes !== 0);
  }

  /** N4. */
  #freeSlots(partition: number): Slot[] {
    const m = this.#m;
    const slots: Slot[] = [];
    const seen = new Set<DsaPointer>();
    for (const [slotClass, bytes] of SLOT_SIZES.entries()) {
      let words = m.parts;
      let at = m.part + P_FREE + 2 * slotClass;
      while ((words[at]! | words[at + 1]!) !== 0) {
        const from = pointerOf(words[at]!, words[at + 1]!);
        const lo = words[at]!;
        const hi = words[at + 1]!;
        words = hi >= 0 ? wordsOf(m, hi) : new Int32Array(0);
        at = wordIndex(lo, hi);
        const sound = at + bytes / 4 <= words.length && !seen.has(from);
        if (!this.#f.check('N4', sound, () => `a free list of partition ${partition} leads to ${from}`)) break;
        seen.add(from);
        slots.push({ from, bytes });
      }
    }
    return slots;
  }

  /** N2, N3: lays all slots side by side into the chunks. */
  #layOut(partition: number, chunks: DsaPointer[], slots: Slot[]): void {
    const f = this.#f;
    const { area } = this.#m;
    const sorted = slots.sort((a, b) => a.from - b.from);
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
