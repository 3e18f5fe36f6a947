/**
 * State of one check of an area: findings, and what the segments turned out to hold.
 *
 * The parts of `verifyArea` share it. Private to the thread that checks. Nothing that is read from shared memory is
 * believed before it was compared with what this participant knows for itself, the *base truth*: the length of its
 * mappings. From that follow the pages of a segment, and from those a limit for every walk.
 */

import { type DsmSegment, controlLockIsFree, Findings } from '../dsm/dsm.js';
import type { FreeRun } from '../freepage/freepage.js';
import { ld64 } from '../layout/layout.js';
import {
  C_FREED_COUNTER,
  C_SEGMENT_HANDLES,
  FIXED_BYTES_FIRST,
  FIXED_BYTES_OTHER,
  H_SIZE,
  H_USABLE,
  MAX_SEGMENTS,
} from './area-layout.js';
import { cacheSlots } from './cache-budget.js';
import { STATE_CACHED } from './cache-layout.js';
import { pageMapWord } from './mapping.js';
import { peekSegment } from './peek.js';
import { formatPointer } from './pointer.js';
import { CLASS_LARGE, CLASS_SIZE, NUM_SIZE_CLASSES, PAGE_SIZE, SUPERBLOCK_SIZE } from './size-classes.js';
import type { AreaState } from './state.js';

/* What a page is used for. */
/** Nobody claims the page. */
export const PAGE_UNCLAIMED = 0;
export const PAGE_META = 1;
export const PAGE_SUPERBLOCK = 2;
export const PAGE_SPANS = 3;
export const PAGE_LARGE = 4;
export const PAGE_TREE = 5;
export const PAGE_RECYCLED = 6;
export const PAGE_FREE = 7;

/** Names of the uses, for messages. */
export const PAGE_USES: readonly string[] = [
  'nothing',
  'metadata',
  'a superblock',
  'a block of spans',
  'a large object',
  'the tree of the page manager',
  'the recycle list',
  'a free run',
];

/* What a slot of a block of spans is. */
export const SLOT_FREE = 0;
/** Allocated, and no span was met there yet. */
export const SLOT_TAKEN = 1;
/** A span on a list lies there. */
export const SLOT_SPAN = 2;
/** In a page that is no block of spans, but on a list there is a span that says so. */
export const SLOT_UNKNOWN = 3;

/** Pages of metadata of a segment by the formula for ordinary segments. */
function ordinaryMetaPages(pages: number, fixed: number): number {
  return Math.ceil((fixed + 8 * pages) / PAGE_SIZE);
}

/** Pages of metadata of a segment made for one request of `usable` pages; the map has entries for metadata, too. */
function oddMetaPages(usable: number): number {
  const bytes = FIXED_BYTES_OTHER + 8 * usable;
  return Math.ceil((bytes + Math.ceil(bytes / (PAGE_SIZE - 8)) * 8) / PAGE_SIZE);
}

/** One segment as the check sees it. */
export class SegmentCensus {
  readonly index: number;
  /** The mapping; null for an in-place area in plain memory. */
  readonly segment: DsmSegment | null;
  readonly words: Int32Array;
  /** Slot states; see STATE_PER_PAGE. */
  readonly state: Uint16Array;
  /** Bytes by this participant's own knowledge. */
  readonly size: number;
  /** Whole pages, metadata included. */
  readonly pages: number;
  /** Pages at the start that the heap keeps for itself. */
  readonly metaPages: number;
  /** False when the header contradicts the formulas; then {@link metaPages} is that of an ordinary segment. */
  readonly geometrySound: boolean;
  /** Word of the page map. */
  readonly map: number;
  /** Use of each page. */
  readonly uses: Uint8Array;
  /** Runs of pages that spans have. */
  readonly taken: FreeRun[] = [];
  /** Blocks of spans by page, with what each of the 73 slots is. */
  readonly blocks = new Map<number, Uint8Array>();

  constructor(s: AreaState, index: number, words: Int32Array) {
    this.index = index;
    this.segment = s.segments[index] ?? null;
    this.words = words;
    this.state = s.maps[index]!.state;
    this.size = trueSize(this.segment, words);
    this.pages = s.maps[index]!.pages;
    this.map = pageMapWord(index);
    const fixed = index === 0 ? FIXED_BYTES_FIRST : FIXED_BYTES_OTHER;
    const ordinary = Math.min(ordinaryMetaPages(this.pages, fixed), this.pages);
    const usable = ld64(words, H_USABLE);
    const odd = index > 0 && this.size === this.pages * PAGE_SIZE && this.pages === usable + oddMetaPages(usable);
    this.geometrySound = usable === this.pages - ordinary || odd;
    this.metaPages = odd ? this.pages - usable : ordinary;
    this.uses = new Uint8Array(this.pages);
    this.uses.fill(PAGE_META, 0, this.metaPages);
  }

  /** Tells whether `npages` pages from `page` lie behind the metadata. */
  holds(page: number, npages: number): boolean {
    return page >= this.metaPages && npages > 0 && page + npages <= this.pages;
  }
}

/** Bytes of a segment: of the mapping, or of the view of a place, to which the header may add up to three bytes. */
function trueSize(segment: DsmSegment | null, words: Int32Array): number {
  if (segment !== null) return segment.mapLength;
  const size = ld64(words, H_SIZE);
  return Math.floor(size / 4) === words.length ? size : words.length * 4;
}

/** State of one check of an area. */
export class AreaCensus {
  readonly s: AreaState;
  readonly f = new Findings();
  /** True when nobody else uses the area: then everything is checked, and no lock is taken. */
  readonly atRest: boolean;
  /** Pages that nothing accounts for (trap P7). */
  lostPages = 0;
  /** How far this participant was ahead of the freed-segment counter before it looked again. */
  readonly freedAhead: number;
  /** Spans that may still be met: a span has at least one page of its own. */
  spansLeft = 0;
  /** Scratch for the slots of one superblock. */
  readonly slots = new Uint8Array(SUPERBLOCK_SIZE / CLASS_SIZE[2]! + 1);
  /** Marks of cached objects that were met, by participant slot and class: objects, for large ones also pages. */
  readonly marks = new Map<number, { readonly objects: Int32Array; largePages: number }>();
  /** Claims that can be taken back. */
  readonly #claims: { uses: Uint8Array; first: number; end: number }[] = [];
  /** Handles under which the segments were opened. */
  readonly #handles = new Int32Array(MAX_SEGMENTS);
  readonly #segments = new Array<SegmentCensus | null | undefined>(MAX_SEGMENTS).fill(undefined);

  constructor(s: AreaState, atRest: boolean) {
    this.s = s;
    this.atRest = atRest;
    this.freedAhead = (s.freedSeen - s.ctl[C_FREED_COUNTER]!) | 0;
  }

  /** Notes the mark of a cached object. False when the state is no mark that a participant of the area can have set. */
  noteMark(sizeClass: number, state: number, npages: number): boolean {
    const slot = state - STATE_CACHED;
    if (slot < 0 || slot >= cacheSlots(this.s)) return false;
    let noted = this.marks.get(slot);
    if (noted === undefined) {
      noted = { objects: new Int32Array(NUM_SIZE_CLASSES), largePages: 0 };
      this.marks.set(slot, noted);
    }
    noted.objects[sizeClass] = noted.objects[sizeClass]! + 1;
    if (sizeClass === CLASS_LARGE) noted.largePages += npages;
    return true;
  }

  /** The live segment with this index, any number; null when there is none or it cannot be looked at. */
  segment(index: number): SegmentCensus | null {
    if (index < 0 || index >= MAX_SEGMENTS) return null;
    const handle = this.s.ctl[C_SEGMENT_HANDLES + index]!;
    const known = this.#segments[index];
    // While others are at work, the index may have got another segment since.
    if (known !== undefined && (this.atRest || handle === this.#handles[index])) return known;
    const opened = this.#open(index, handle);
    this.#segments[index] = opened;
    this.#handles[index] = handle;
    return opened;
  }

  #open(index: number, handle: number): SegmentCensus | null {
    const { s } = this;
    if (index > 0 && handle === 0) return null;
    s.failure = 'none';
    const attached = index === 0 || (s.segments[index] ?? null) !== null;
    // At rest the check must not wait for a lock that somebody has left behind.
    if (!attached && this.atRest && !controlLockIsFree(s.dsm)) {
      s.failure = 'lock';
      return null;
    }
    const words = peekSegment(s, index);
    return words.length === 0 ? null : new SegmentCensus(s, index, words);
  }

  /** Live segments that can be looked at, ascending. */
  segments(): SegmentCensus[] {
    const found: SegmentCensus[] = [];
    for (let index = 0; index < MAX_SEGMENTS; index++) {
      const segment = this.segment(index);
      if (segment !== null) found.push(segment);
    }
    return found;
  }

  /** Pages of all segments: no area has more spans. */
  pages(): number {
    return this.segments().reduce((sum, { pages }) => sum + pages, 0);
  }

  /**
   * Notes for what pages are used, and what they were already used for (K14). Ends at the first page that has a use, so
   * all claims together cost no more than there are pages.
   *
   * @returns false when some page has a use already
   */
  claim({ uses, index }: SegmentCensus, first: number, npages: number, use: number): boolean {
    let page = first;
    while (page < first + npages && uses[page] === PAGE_UNCLAIMED) uses[page++] = use;
    if (!this.atRest) this.#claims.push({ uses, first, end: page });
    return this.f.check('K14', page === first + npages, () => {
      const before = PAGE_USES[uses[page]!];
      return `segment ${index}: page ${page} belongs to ${PAGE_USES[use]} ${first}(${npages}) and to ${before}`;
    });
  }

  /** Takes all claims back: while others are at work, those of one pool say nothing about another. */
  forgetClaims(): void {
    for (const { uses, first, end } of this.#claims) uses.fill(PAGE_UNCLAIMED, first, end);
    this.#claims.length = 0;
  }
}

/** A pointer in words, as messages show it. */
export function show(lo: number, hi: number): string {
  return formatPointer((hi >>> 0) * 2 ** 32 + (lo >>> 0));
}
