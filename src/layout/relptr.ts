/**
 * relptr: a pointer relative to a base that both sides agree on, in two words of shared memory.
 *
 * Stored is offset + 1, so that 0 is null and an object at the base itself is not (PostgreSQL, utils/relptr.h since
 * 2022). Plain accesses: the caller holds the lock of the structure. The page forms serve structures whose relptrs all
 * lead to page starts: pages of 4096 bytes, numbers below 2^28, whole-number arithmetic only.
 */

const TWO_32 = 4294967296;

/** Null in the forms below: no offset and no page is negative. */
export const RELPTR_NULL = -1;

/** Stores the byte offset `offset` (0 .. 2^53 - 2), or null for {@link RELPTR_NULL}, at word `i`. */
export function relptrStore(a: Int32Array, i: number, offset: number): void {
  const raw = offset + 1;
  const hi = Math.floor(raw / TWO_32);
  a[i] = raw - hi * TWO_32;
  a[i + 1] = hi;
}

/** Byte offset of the relptr at word `i`, or {@link RELPTR_NULL}. */
export function relptrOffset(a: Int32Array, i: number): number {
  return (a[i + 1]! >>> 0) * TWO_32 + (a[i]! >>> 0) - 1;
}

/** Stores the start of page `page`, or null for {@link RELPTR_NULL}, at word `i`. */
export function relptrStorePage(a: Int32Array, i: number, page: number): void {
  if (page < 0) {
    a[i] = 0;
    a[i + 1] = 0;
  } else {
    a[i] = (page << 12) + 1;
    a[i + 1] = page >>> 20;
  }
}

/** Page of the relptr at word `i`, which leads to a page start, or {@link RELPTR_NULL}. */
export function relptrPage(a: Int32Array, i: number): number {
  const lo = a[i]!;
  return lo === 0 ? RELPTR_NULL : (lo >>> 12) | (a[i + 1]! << 20);
}

/** Tells whether the relptr at word `i` is null. */
export function relptrIsNull(a: Int32Array, i: number): boolean {
  return a[i] === 0 && a[i + 1] === 0;
}
