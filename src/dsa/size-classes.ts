/**
 * Size classes: which objects share a superblock. PostgreSQL's dsa_size_classes and dsa_size_class_map.
 *
 * Stands on nothing. Class 0 holds span objects, class 1 means "a run of pages of its own", 2 .. 37 are slabs.
 */

/** Bytes of a page. */
export const PAGE_SIZE = 4096;
/** Bytes of a superblock. Lower: more spans and locks taken for small objects. Higher: more waste in rarely used classes. */
export const SUPERBLOCK_SIZE = 65536;
/** Pages of a superblock. */
export const PAGES_PER_SUPERBLOCK = SUPERBLOCK_SIZE / PAGE_SIZE;
/** The class of span objects; its superblocks are single pages. */
export const CLASS_BLOCK_OF_SPANS = 0;
/** The class of objects that have a run of pages of their own. */
export const CLASS_LARGE = 1;
/** Bytes of a span descriptor (dsa_area_span). */
export const SPAN_SIZE = 56;
/** Span objects in a block of spans, the one that describes the block not counted. */
export const SPANS_PER_BLOCK = 72;
/** Largest request served from a slab; above it a run of pages is taken. */
export const MAX_SMALL_SIZE = 8192;
/** Number of size classes, the two special ones included. */
export const NUM_SIZE_CLASSES = 38;

const SIZES: readonly number[] = [
  SPAN_SIZE,
  0,
  8,
  16,
  24,
  32,
  40,
  48,
  56,
  64,
  80,
  96,
  112,
  128,
  160,
  192,
  224,
  256,
  320,
  384,
  448,
  512,
  640,
  768,
  896,
  1024,
  1280,
  1560,
  1816,
  2048,
  2616,
  3120,
  3640,
  4096,
  5456,
  6552,
  7280,
  8192,
];

/** Object size in bytes by class; 0 for class 1. */
export const CLASS_SIZE: Int32Array = Int32Array.from(SIZES);

/** Objects in a block of the class; 0 for class 1. */
export const CLASS_CAPACITY: Int32Array = Int32Array.from(SIZES, (bytes, c) =>
  c === CLASS_BLOCK_OF_SPANS ? SPANS_PER_BLOCK : bytes === 0 ? 0 : Math.floor(SUPERBLOCK_SIZE / bytes),
);

/**
 * 2^19 * 8 / size by class, rounded up, so that `Math.imul(distance >>> 3, RECIPROCAL[c]) >>> SLOT_SHIFT` is the slot that
 * starts `distance` bytes into a superblock. Exact where a slot starts; elsewhere it may be one too many, and no slot
 * times its size is that distance. 13 bits of distance and 19 of reciprocal fill 32 bits: more would not fit, fewer would
 * be inexact. Whole numbers, because a detour over doubles costs 4 ns of waiting between two atomic operations.
 */
export const CLASS_RECIPROCAL: Int32Array = Int32Array.from(SIZES, (bytes) =>
  bytes === 0 ? 0 : Math.ceil(2 ** 19 / (bytes / 8)),
);
/** See {@link CLASS_RECIPROCAL}. */
export const SLOT_SHIFT = 19;

/** Class by `(size + 7) >>> 3`, for 1 .. 8192 bytes; one byte each, as C's map for the first kilobyte. */
export const CLASS_OF_EIGHTHS: Uint8Array = buildMap();

function buildMap(): Uint8Array {
  const map = new Uint8Array(MAX_SMALL_SIZE / 8 + 1);
  let c = 2;
  for (let eighths = 1; eighths < map.length; eighths++) {
    while (SIZES[c]! < eighths * 8) c++;
    map[eighths] = c;
  }
  return map;
}

/**
 * Free slots with which a span of fullness class 2 has become due for a lower class: the first count for which
 * used * 3 / capacity is below 2. Every class has at least 8 slots, so a span that was just full is never due.
 */
export const CLASS_DUE_AT: Int32Array = Int32Array.from(CLASS_CAPACITY, (nmax) => nmax - Math.ceil((2 * nmax) / 3) + 1);

/**
 * Usable bytes of an object that is allocated with `bytes`: the object size of its class, or whole pages.
 *
 * @param bytes 1 or more
 */
export function usableSize(bytes: number): number {
  if (bytes > MAX_SMALL_SIZE) return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
  return CLASS_SIZE[CLASS_OF_EIGHTHS[(bytes + 7) >>> 3]!]!;
}
