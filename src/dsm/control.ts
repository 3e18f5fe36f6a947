/**
 * The slots of the control segment: one per live segment, PostgreSQL's dsm_control_header and its items.
 *
 * A thin reader and writer over the words; it takes no lock itself. Everything but `maxitems` is guarded by the DSM
 * control lock, which the caller holds.
 */

import { ld64, st64 } from '../layout/layout.js';
import { CONTROL_MAGIC, DsmControlHeader, DsmControlItem, MAX_SLOTS } from './control-layout.js';
import { PAGE_SIZE } from './impl.js';

const ITEM_WORDS = DsmControlItem.SIZEOF / 4;
const W_REFCNT = DsmControlItem.refcnt / 4;
const W_FIRST_PAGE = DsmControlItem.first_page / 4;
const W_NPAGES = DsmControlItem.npages / 4;
const W_SIZE = DsmControlItem.size / 4;
const W_PINNED = DsmControlItem.pinned / 4;
const W_TAIL = DsmControlItem.tail_pages / 4;
const W_NITEMS = DsmControlHeader.nitems / 4;
const W_MAXITEMS = DsmControlHeader.maxitems / 4;

/** Bytes that a header with `maxitems` slots takes. */
export function controlBytesNeeded(maxitems: number): number {
  return DsmControlHeader.SIZEOF + DsmControlItem.SIZEOF * maxitems;
}

/** The slot array of the control segment. */
export class SlotArray {
  /** The control memory. */
  readonly words: Int32Array;
  private readonly at: number;

  constructor(words: Int32Array, byteOffset: number) {
    this.words = words;
    this.at = byteOffset / 4;
  }

  /** Makes the header of an empty array; only before the cluster is published. */
  initialize(maxitems: number): void {
    this.words[this.at] = CONTROL_MAGIC;
    this.words[this.at + W_NITEMS] = 0;
    this.words[this.at + W_MAXITEMS] = maxitems;
  }

  /**
   * PostgreSQL's dsm_control_segment_sane.
   *
   * @param room bytes available from the header on
   */
  sane(room: number): boolean {
    if (room < DsmControlHeader.SIZEOF || this.words[this.at] !== CONTROL_MAGIC) return false;
    return controlBytesNeeded(this.maxitems) <= room && this.nitems <= this.maxitems;
  }

  /** Slots ever used. Whatever is written there, no walk over the slots is longer than the longest array. */
  get nitems(): number {
    return Math.min(this.words[this.at + W_NITEMS]! >>> 0, MAX_SLOTS + 1);
  }

  get maxitems(): number {
    return this.words[this.at + W_MAXITEMS]! >>> 0;
  }

  private word(slot: number): number {
    return this.at + DsmControlHeader.SIZEOF / 4 + slot * ITEM_WORDS;
  }

  handle(slot: number): number {
    return this.words[this.word(slot)]! >>> 0;
  }

  refcnt(slot: number): number {
    return this.words[this.word(slot) + W_REFCNT]!;
  }

  setRefcnt(slot: number, n: number): void {
    this.words[this.word(slot) + W_REFCNT] = n;
  }

  firstPage(slot: number): number {
    return this.words[this.word(slot) + W_FIRST_PAGE]!;
  }

  npages(slot: number): number {
    return this.words[this.word(slot) + W_NPAGES]!;
  }

  size(slot: number): number {
    return ld64(this.words, this.word(slot) + W_SIZE);
  }

  tailPages(slot: number): number {
    return this.words[this.word(slot) + W_TAIL]!;
  }

  /** Tells whether size and pages of a live slot agree; where they do not, something wrote over them. */
  consistent(slot: number): boolean {
    const size = this.size(slot);
    return (
      size > 0 && this.npages(slot) === Math.ceil(size / PAGE_SIZE) + this.tailPages(slot) && this.tailPages(slot) >= 0
    );
  }

  pinned(slot: number): boolean {
    return this.words[this.word(slot) + W_PINNED] !== 0;
  }

  setPinned(slot: number, on: boolean): void {
    this.words[this.word(slot) + W_PINNED] = on ? 1 : 0;
  }

  /** Lowest free slot, the next unused one, or -1 when all are in use. */
  findFree(): number {
    const n = this.nitems;
    for (let slot = 0; slot < n; slot++) if (this.refcnt(slot) === 0) return slot;
    return n < this.maxitems ? n : -1;
  }

  /**
   * Slot of the live segment with this handle, or -1. Slots with a reference count of 1 are skipped: a segment that
   * is being destroyed may carry the same handle as a new one (spec trap C5).
   */
  find(handle: number): number {
    const n = this.nitems;
    for (let slot = 0; slot < n; slot++) {
      if (this.handle(slot) === handle && this.refcnt(slot) > 1) return slot;
    }
    return -1;
  }

  /** Tells whether any slot, also one being destroyed, carries this handle. */
  inUse(handle: number): boolean {
    const n = this.nitems;
    for (let slot = 0; slot < n; slot++) {
      if (this.handle(slot) === handle && this.refcnt(slot) !== 0) return true;
    }
    return false;
  }

  /** Fills a free slot with a new segment: two references' worth, not pinned. */
  occupy(slot: number, handle: number, firstPage: number, npages: number, size: number, tailPages: number): void {
    const w = this.word(slot);
    this.words[w] = handle;
    st64(this.words, w + W_FIRST_PAGE, firstPage);
    st64(this.words, w + W_NPAGES, npages);
    st64(this.words, w + W_SIZE, size);
    this.words[w + W_PINNED] = 0;
    this.words[w + W_TAIL] = tailPages;
    this.words[w + W_REFCNT] = 2;
    if (slot === this.nitems) this.words[this.at + W_NITEMS] = slot + 1;
  }
}
