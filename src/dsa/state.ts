/**
 * AreaState: what one participant knows of an area, PostgreSQL's dsa_area with its segment maps.
 *
 * Private to its participant; no lock guards it. All parts of dsa work on it; the public class is DsaArea.
 * A segment is mapped in two steps: its state table (two bytes an object, outside the segment's counted size) may be
 * mapped before its words are, because C would not map the segment there and `mappedSegments()` says what C would.
 */

import type { Dsm, DsmSegment, ResourceOwner } from '../dsm/dsm.js';
import type { FreePageManager } from '../freepage/freepage.js';
import type { Participant } from '../sync/sync.js';
import { AreaControl, MAX_SEGMENTS } from './area-layout.js';
import { cacheSlotWord, STATE_CACHED } from './cache-layout.js';
import { CLASS_BLOCK_OF_SPANS, CLASS_CAPACITY, NUM_SIZE_CLASSES } from './size-classes.js';

/** In place of a block of the cache tables: nobody's. */
const NO_CACHE = 0;

/** Stands for the words of a segment that is not mapped: no index is inside it. */
export const UNMAPPED: Int32Array = new Int32Array(0);
/** Stands for the state table of a segment that is not mapped. */
export const NO_STATE: Uint16Array = new Uint16Array(0);

/**
 * The state table of a segment has three parts, so that the states of a superblock lie close to those of the next: an entry a
 * slot, and a slot may be 8 bytes or 8 KiB. In one part with room for the smallest, each superblock touched a page of states of
 * its own, 6 % of what it holds. Each part has entries for all pages; a class uses the part whose entries suffice.
 *
 *     part     entries a page   classes
 *     0             8           512 bytes and more, large objects (their first page's first entry)
 *     1            64           64 to 448 bytes
 *     2           512           8 to 56 bytes, span objects
 */
const PARTS = [
  { perPage: 8, before: 0 },
  { perPage: 64, before: 8 },
  { perPage: 512, before: 72 },
] as const;

function partOf(sizeClass: number): number {
  if (sizeClass === CLASS_BLOCK_OF_SPANS) return 2;
  return CLASS_CAPACITY[sizeClass]! <= 128 ? 0 : CLASS_CAPACITY[sizeClass]! <= 1024 ? 1 : 2;
}

/** By class: which part. */
export const STATE_PART: Int32Array = Int32Array.from(CLASS_CAPACITY, (_, c) => partOf(c));
/** By class: entries per page in its part. */
export const STATE_PER: Int32Array = STATE_PART.map((part) => PARTS[part]!.perPage);
/** By class: entries per page of the segment in front of its part. */
export const STATE_BEFORE: Int32Array = STATE_PART.map((part) => PARTS[part]!.before);
/** Entries of the state table per page, all parts together. */
export const STATE_PER_PAGE = 584;
/** Bytes of the state table per page; two an entry. */
export const STATE_BYTES_PER_PAGE = STATE_PER_PAGE * 2;

/** Entry of slot 0 of a superblock of a class, or of a large object, that begins at `page` of a segment of `pages` pages. */
export function firstState(sizeClass: number, pages: number, page: number): number {
  return pages * STATE_BEFORE[sizeClass]! + page * STATE_PER[sizeClass]!;
}

/**
 * An entry of the state table says what a slot of a superblock holds: {@link STATE_LIVE}, or, when it is free, the index
 * of the next free slot ({@link NOTHING_FREE} at the end of the list), or that it never held anything, or whose cache has it
 * (`STATE_CACHED`). C links free
 * objects through their first two bytes; out of line the list cannot be damaged by a write to a freed object, a double
 * free shows, and neither allocate nor free touches the object's own memory.
 */
/** The slot holds a live object; for a large object in the entry of its first page. */
export const STATE_LIVE = 0xfffe;
/** The slot never held an object since its superblock was made. */
export const STATE_UNUSED = 0xfffd;
/** A large object began here and was freed. */
export const STATE_FREED = 0xfffc;

/** Why an operation failed inside a critical section; the error is made after the locks were released. */
export type AreaFailure =
  | 'none'
  | 'memory'
  | 'dsm'
  | 'lock'
  | 'stale'
  | 'gone'
  | 'corrupt'
  | 'double'
  | 'interior'
  | 'foreign'
  | 'misaligned';

/** Facts that an area is made of; see the functions that create and attach. */
export interface AreaParts {
  readonly dsm: Dsm;
  /** Words of segment 0 or of the place. */
  readonly words: Int32Array;
  /** Mapping of segment 0, or null for an in-place area in plain memory. */
  readonly segment: DsmSegment | null;
  /** State table of segment 0. */
  readonly state: Uint16Array;
  /** Attachment table: per participant slot, the generation that is attached, or 0. */
  readonly attachments: Int32Array;
  /** Memory of the place. */
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  /** Number of the memory that the locks of the area lie in; see sync. */
  readonly ns: number;
  /** Segment that holds state and attachments of an in-place area. */
  readonly side: DsmSegment | null;
  readonly inPlace: boolean;
  readonly pages: number;
  readonly fallback: boolean;
  /** The table of participant caches, behind the attachments; empty when the area has none. */
  readonly cacheTable: Int32Array;
  /** False when the area keeps no marks of cached objects, so that a second free of one is not found. */
  readonly checks: boolean;
}

/**
 * Where the active superblock of a size class was found last: what follows from its span's pointer, looked up once. An
 * allocation between two locked operations is a chain of loads, each 4 cycles after the one before; this cuts it from
 * eight to four, 3 ns. Valid while the head of the pool's list, the span's start and the freed-segment counter are the same.
 */
export class ActiveSpan {
  /** Pointer to the span; (0, -1) when nothing is known. */
  lo = 0;
  hi = -1;
  /** Words of the segment that the span lies in, and its word there. */
  a = UNMAPPED;
  w = 0;
  /** Pointer to the superblock. */
  startLo = 0;
  startHi = 0;
  /** State table of its segment, and the entry of its first slot. */
  state = NO_STATE;
  first = 0;

  /** Notes all of it. */
  set(
    a: Int32Array,
    w: number,
    lo: number,
    hi: number,
    startLo: number,
    startHi: number,
    state: Uint16Array,
    first: number,
  ): void {
    this.a = a;
    this.w = w;
    this.startLo = startLo;
    this.startHi = startHi;
    this.state = state;
    this.first = first;
    this.lo = lo;
    this.hi = hi;
  }

  /** Forgets it, views included: one that was kept would keep the buffer of a freed segment from being collected. */
  forget(): void {
    this.hi = -1;
    this.a = UNMAPPED;
    this.state = NO_STATE;
  }
}

/**
 * What a participant sees of one segment. One object a segment with fields of one type each: V8 then reads a view
 * without asking what it is, which arrays of views would cost at every use. Arrays of these are grown by push, or copied from
 * one that was, because one that was made long counts as one that may have holes. A map is never changed, another takes its
 * place: {@link NO_MAP} is in many places.
 */
export class SegmentMap {
  /** Words; {@link UNMAPPED} where C would have no mapping. */
  readonly i32: Int32Array;
  /** State table; {@link NO_STATE} when nothing of the segment is mapped. */
  readonly state: Uint16Array;
  /** Pages, metadata included; 0 when nothing is mapped. */
  readonly pages: number;

  constructor(i32: Int32Array, state: Uint16Array, pages: number) {
    this.i32 = i32;
    this.state = state;
    this.pages = pages;
  }
}

/** What an attachment without a cache does instead of giving. */
function cannotGive(): boolean {
  return false;
}

/**
 * Stands for every segment that nothing is known of here; the same for all areas. Who maps a segment looks its map up
 * again afterwards.
 */
export const NO_MAP = new SegmentMap(UNMAPPED, NO_STATE, 0);
/** A list of nothing but that. Copied, not filled in, by each area: a thread attaches to two for its first named thing. */
const NONE_MAPPED: SegmentMap[] = [];
for (let index = 0; index < MAX_SEGMENTS; index++) NONE_MAPPED.push(NO_MAP);

/** Private state of one participant's attachment. */
export class AreaState {
  readonly dsm: Dsm;
  readonly p: Participant;
  /** Words of segment 0, with the control block at 0. */
  readonly ctl: Int32Array;
  readonly ns: number;
  /** By segment index. */
  readonly maps: SegmentMap[];
  /** By size class. */
  readonly active: ActiveSpan[];
  readonly fpm: (FreePageManager | null)[];
  readonly segments: (DsmSegment | null)[];
  readonly attachments: Int32Array;
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  readonly side: DsmSegment | null;
  readonly inPlace: boolean;
  /** Try smaller segments when the store cannot give the wanted one; outside of placement identity. */
  readonly fallback: boolean;
  /** True on `buffers`, where others may ask for segments. */
  readonly listens: boolean;
  /** Owner of every mapping of this area, also of segments made under another one; null once pinned. */
  owner: ResourceOwner | null;
  /** Highest index ever mapped here. */
  high = 0;
  /** Freed-segment counter as seen last. */
  freedSeen = 0;
  /** Reason of the last failure. */
  failure: AreaFailure = 'none';
  /** What a call to the engine or to freepage threw, for failure 'corrupt'. */
  thrown: unknown = null;
  /** False once detached, or once mappings of the area were taken away by their resource owner. */
  attached = true;
  /** True once this participant's reference was given back. */
  released = false;
  /** Gives that reference back, where a lock stalled when the area was left. */
  retry: (() => boolean) | null = null;
  /** Segment that takePages found; a second result without an object. */
  found = 0;
  /** Total segment size (two words) and freed counter for which all live segments were found mapped here. */
  readonly mappedFor = [-1, -1, -1];
  /** High word of the pointer that the last allocation made, its second result; -1 when it failed. */
  hi = 0;

  /** The participant cache, see cache.ts. True while there is one. */
  caching = false;
  readonly checks: boolean;
  /**
   * Puts an object into the cache: `giveCached`, or `giveUnchecked` where there are no checks. A field, since asking each time
   * makes `free` too long for V8 to put it into its caller. A program that uses both kinds of heap pays a call for that.
   */
  give: (s: AreaState, lo: number, hi: number, pointer: number) => boolean = cannotGive;
  /** The table of all caches of the area; empty when it has none. */
  readonly cacheTable: Int32Array;
  /** Word of this participant's slot in it. */
  readonly cacheSlot: number;
  /** The block in the tables of cache.ts, and where it begins there by class and by segment. */
  block = NO_CACHE;
  classes = NO_CACHE;
  mapsAt = NO_CACHE;
  /** What the hot path reaches: the first 8 GiB of a region as words, the first 4 GiB as states; else segment 0, nothing. */
  words: Int32Array;
  states = NO_STATE;
  /** Words of the freed-segment counter, and of the heights of this participant's stacks, in `words`. */
  counter = AreaControl.freed_segment_counter / 4;
  tops = 0;
  /** State of the objects that this participant caches; without checks they stay live. */
  readonly mark: number;

  /** Large objects in the cache, their pages, and the pages that room was granted for. */
  largeCached = 0;
  largePages = 0;
  largeRoom = 0;

  constructor(parts: AreaParts) {
    this.dsm = parts.dsm;
    this.p = parts.dsm.participant;
    this.ctl = parts.words;
    this.ns = parts.ns;
    this.maps = NONE_MAPPED.slice();
    this.active = [];
    for (let c = 0; c < NUM_SIZE_CLASSES; c++) this.active.push(new ActiveSpan());
    this.fpm = new Array<FreePageManager | null>(MAX_SEGMENTS).fill(null);
    this.segments = new Array<DsmSegment | null>(MAX_SEGMENTS).fill(null);
    this.attachments = parts.attachments;
    this.buffer = parts.buffer;
    this.byteOffset = parts.byteOffset;
    this.side = parts.side;
    this.inPlace = parts.inPlace;
    this.fallback = parts.fallback;
    this.checks = parts.checks;
    this.cacheTable = parts.cacheTable;
    this.cacheSlot = cacheSlotWord(parts.dsm.participant.slot);
    this.words = parts.words;
    this.mark = parts.checks ? STATE_CACHED + parts.dsm.participant.slot : STATE_LIVE;
    this.owner = parts.dsm.currentOwner;
    this.listens = parts.dsm.storeKind === 'buffers';
    this.maps[0] = new SegmentMap(parts.words, parts.state, parts.pages);
    this.segments[0] = parts.segment;
  }
}
