/**
 * The usable size that a request would get: PostgreSQL's size classes as the front needs them, to know whether an
 * object already has the size that a new one would have. A test compares the list with the one that the area allocates
 * by.
 */

const PAGE_SIZE = 4096;

/** Object sizes of superblocks, ascending. Larger requests get whole pages. */
const CLASS_SIZES: readonly number[] = [
  8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280,
  1560, 1816, 2048, 2616, 3120, 3640, 4096, 5456, 6552, 7280, 8192,
];

/**
 * Usable bytes of an object that is allocated with `bytes`.
 *
 * @param bytes a size that can be allocated, 1 or more
 */
export function usableSize(bytes: number): number {
  return CLASS_SIZES.find((size) => size >= bytes) ?? Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}
