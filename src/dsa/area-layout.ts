/**
 * Shared structs of an area, byte for byte those of PostgreSQL 15's dsa.c, and the word offsets that hot code uses.
 *
 *     segment 0 (or the place)            other segments
 *     0     dsa_area_control (6176)       0     dsa_segment_header (56)
 *     6176  FreePageManager (1096)        56    FreePageManager (1096)
 *     7272  page map, 8 bytes a page      1152  page map, 8 bytes a page
 *     ...   padding, then usable pages    ...   padding, then usable pages
 *
 * C leaves four gaps: behind the magic, behind `freed`, in the high half of the freed-segment counter and at the
 * end. The fields of PostgreSQL 17+ (initial and maximum segment size) and the handle of the side segment live there.
 */

import { CacheSlot } from './cache-layout.js';
import { agreementHash, array, dp, i32, lock, size, struct, u16, u32 } from '../layout/layout.js';

const AREA = 'written and read under the area lock';
const POOL = 'written and read under the lock of its pool';
const FROZEN = 'frozen: written at creation, read by all';

/** At offset 0 of every segment. */
export const SegmentHeader = struct(
  'dsa_segment_header',
  'utils/mmgr/dsa.c',
  {
    magic: u32(FROZEN),
    extra0: u32(`${FROZEN}; segment 0: init_segment_size, low 32 bits`),
    usable_pages: size(FROZEN),
    size: size(FROZEN),
    prev: size(AREA),
    next: size(AREA),
    bin: size(AREA),
    freed: u32('written under the area lock before the index is reused; read by whoever still maps the segment'),
    extra1: u32(`${FROZEN}; segment 0: max_segment_size, low 32 bits`),
  },
  56,
);

/** Descriptor of a superblock, of a large object or of a block of spans. */
export const Span = struct(
  'dsa_area_span',
  'utils/mmgr/dsa.c',
  {
    pool: dp(`${POOL}; frozen while the span lives`),
    prevspan: dp(POOL),
    nextspan: dp(POOL),
    start: dp(`${POOL}; frozen while the span lives`),
    npages: size(`${POOL}; frozen while the span lives`),
    size_class: u16(`${POOL}; frozen while the span lives`),
    ninitialized: u16(POOL),
    nallocatable: u16(POOL),
    firstfree: u16(POOL),
    nmax: u16(`${POOL}; frozen while the span lives`),
    fclass: u16(POOL),
  },
  56,
);

/** One pool per size class. */
export const Pool = struct(
  'dsa_area_pool',
  'utils/mmgr/dsa.c',
  { lock: lock('protects the lists, the spans on them and their free lists'), spans: array(4, dp(POOL)) },
  48,
);

/** The control block of an area. */
export const AreaControl = struct(
  'dsa_area_control',
  'utils/mmgr/dsa.c',
  {
    segment_header: { type: 'dsa_segment_header', size: 56, align: 8, guard: 'see there' },
    handle: u32(FROZEN),
    segment_handles: array(
      1024,
      u32('written under the area lock; read without it by owners of a live object in that segment'),
    ),
    segment_bins: array(16, size(AREA)),
    pools: array(38, { type: 'dsa_area_pool', size: 48, align: 8, guard: 'see there' }),
    total_segment_size: size(AREA),
    max_total_segment_size: size(AREA),
    high_segment_index: size(AREA),
    refcnt: i32(AREA),
    pinned: u32(AREA),
    freed_segment_counter: u32('written under the area lock; read plainly before every use of a pointer'),
    side_handle: u32(`${FROZEN}; segment that holds the state of an in-place area, 0 for others`),
    lwlock_tranche_id: i32(FROZEN),
    lock: lock('protects everything in the control block but the pools, all page managers, bins and segment headers'),
    size_high_bits: u32(
      `${FROZEN}; bits 32.. of init_segment_size (low half) and of max_segment_size (high half); bit 15: participants have caches, bit 31: these keep no marks`,
    ),
  },
  6176,
);

/**
 * Version of what the layouts do not say: states in the state table, bits of page map entries, links without pointers.
 * To be raised with any change of them.
 */
const AREA_VERSION = 3;
/** Layouts that all participants of an area must agree on, besides those of the cluster. */
export const AREA_AGREED: readonly string[] = [
  'dsa_segment_header',
  'dsa_area_span',
  'dsa_area_pool',
  'dsa_area_control',
  // Declared by now: the import comes first.
  CacheSlot.NAME,
];
/** Hash over them. */
export const AREA_LAYOUT_HASH: number = agreementHash(AREA_VERSION, AREA_AGREED);

/** Offset of the page manager in segment 0 and in the others. */
export const FPM_AT_FIRST = AreaControl.SIZEOF;
export const FPM_AT_OTHER = SegmentHeader.SIZEOF;
const FPM_SIZE = 1096;
/** Word of the page map in segment 0 and in the others. */
export const PAGEMAP_WORD_FIRST = (FPM_AT_FIRST + FPM_SIZE) / 4;
export const PAGEMAP_WORD_OTHER = (FPM_AT_OTHER + FPM_SIZE) / 4;
/** Bytes in front of the page map. */
export const FIXED_BYTES_FIRST = FPM_AT_FIRST + FPM_SIZE;
export const FIXED_BYTES_OTHER = FPM_AT_OTHER + FPM_SIZE;

/** XORed with handle and index gives the magic of a segment; a stranger's memory does not carry it. */
export const SEGMENT_MAGIC = 0x0ce26608;
/** Segments of an area (dsa_pointer has 10 bits for them here). */
export const MAX_SEGMENTS = 1024;
/** Bins of segments by their longest free run. */
export const NUM_BINS = 16;
/** Lists of a pool. Lower: fuller and emptier superblocks mix. Higher: more shuffling between lists. */
export const FULLNESS_CLASSES = 4;
/** Marks an empty free list in a span. */
export const NOTHING_FREE = 0xffff;
/** Segments made at each size before it doubles. Lower: memory is taken in bigger steps. Higher: more segments. */
export const SEGMENTS_PER_SIZE = 2;
/** First segment, bytes. Lower: small areas are cheaper. Higher: fewer segments. */
export const DEFAULT_INIT_SEGMENT_SIZE = 1024 * 1024;
/** Smallest allowed initial and maximum segment size, bytes. */
export const MIN_SEGMENT_SIZE = 256 * 1024;
/** Largest segment, bytes: what the offset of a dsa_pointer can say. */
export const MAX_SEGMENT_SIZE = 2 ** 40;
/** Largest request without the huge flag, bytes. */
export const MAX_ALLOC_SIZE = 0x3fffffff;

/**
 * A page map entry is the pointer to the span of the page, as in C, in two words. The high word of a pointer needs 18
 * bits; above them ride the size class and the number of the page within its superblock, so that freeing an object
 * knows its class and slot from the page map alone. The whole entry is 0 for pages without a span.
 */
export const ENTRY_POINTER_BITS = 0x3ffff;
export const ENTRY_CLASS_SHIFT = 18;
export const ENTRY_CLASS_MASK = 0x3f;
export const ENTRY_PAGE_SHIFT = 24;

/** Bits of each half of `size_high_bits` that belong to the size; flags above them. */
export const SIZE_BITS = 0x7fff;
export const FLAG_CACHES = 0x8000;
export const FLAG_NO_CHECKS = 0x80000000 | 0;

/* Word offsets of the control block. */
export const C_HANDLE = AreaControl.handle / 4;
export const C_SEGMENT_HANDLES = AreaControl.segment_handles / 4;
export const C_BINS = AreaControl.segment_bins / 4;
export const C_POOLS = AreaControl.pools / 4;
export const C_TOTAL = AreaControl.total_segment_size / 4;
export const C_LIMIT = AreaControl.max_total_segment_size / 4;
export const C_HIGH = AreaControl.high_segment_index / 4;
export const C_REFCNT = AreaControl.refcnt / 4;
export const C_PINNED = AreaControl.pinned / 4;
export const C_FREED_COUNTER = AreaControl.freed_segment_counter / 4;
export const C_SIDE_HANDLE = AreaControl.side_handle / 4;
export const C_TRANCHE = AreaControl.lwlock_tranche_id / 4;
export const C_LOCK = AreaControl.lock / 4;
export const C_SIZE_HIGH_BITS = AreaControl.size_high_bits / 4;

/* Word offsets of a segment header. */
export const H_MAGIC = SegmentHeader.magic / 4;
export const H_EXTRA0 = SegmentHeader.extra0 / 4;
export const H_USABLE = SegmentHeader.usable_pages / 4;
export const H_SIZE = SegmentHeader.size / 4;
export const H_PREV = SegmentHeader.prev / 4;
export const H_NEXT = SegmentHeader.next / 4;
export const H_BIN = SegmentHeader.bin / 4;
export const H_FREED = SegmentHeader.freed / 4;
export const H_EXTRA1 = SegmentHeader.extra1 / 4;

/* Word offsets of a pool: its lock is at 0, the list of fullness class f at P_SPANS + 2 f. */
export const POOL_WORDS = Pool.SIZEOF / 4;
export const P_SPANS = Pool.spans / 4;

/* Word offsets of a span. The last three words hold two 16-bit fields each: low half, high half. */
export const S_POOL = Span.pool / 4;
export const S_PREV = Span.prevspan / 4;
export const S_NEXT = Span.nextspan / 4;
export const S_START = Span.start / 4;
export const S_NPAGES = Span.npages / 4;
/** size_class | ninitialized << 16 */
export const S_CLASS_NINIT = Span.size_class / 4;
/** nallocatable | firstfree << 16 */
export const S_NALLOC_FIRST = Span.nallocatable / 4;
/** nmax | fclass << 16 */
export const S_NMAX_FCLASS = Span.nmax / 4;
