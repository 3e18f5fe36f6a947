/**
 * dsa_pointer arithmetic: segment index * 2^40 + byte offset in a JavaScript number.
 *
 * In shared memory a pointer is two words: `lo` the low 32 bits, `hi` the rest, i.e. segment index << 8 | offset >> 32.
 * The hot paths work on the two words, because then one decoding serves every offset, also beyond 4 GiB.
 */

import type { DsaPointer } from '../layout/layout.js';

/** Bytes addressable in one segment. */
export const SEGMENT_SPAN = 2 ** 40;
const TWO_32 = 2 ** 32;

/** The pointer that points nowhere. */
export const InvalidDsaPointer = 0 as DsaPointer;

/** `lo` and `hi` words as a pointer. */
export function fromWords(lo: number, hi: number): DsaPointer {
  return (hi * TWO_32 + (lo >>> 0)) as DsaPointer;
}

/** Pointer to a byte offset of a segment. */
export function makePointer(index: number, offset: number): DsaPointer {
  return (index * SEGMENT_SPAN + offset) as DsaPointer;
}

/** Segment index of a pointer. */
export function segmentOf(p: number): number {
  return (p / SEGMENT_SPAN) | 0;
}

/** Byte offset of a pointer in its segment. */
export function offsetOf(p: number): number {
  return p - ((p / SEGMENT_SPAN) | 0) * SEGMENT_SPAN;
}

/** High word of the start of page `page` in segment `index`. */
export function pageHi(index: number, page: number): number {
  return (index << 8) | (page >>> 20);
}

/** Low word of the start of page `page`. */
export function pageLo(page: number): number {
  return page << 12;
}

/** Page of a pointer given as words. */
export function pageOf(lo: number, hi: number): number {
  return ((hi & 0xff) << 20) | (lo >>> 12);
}

/** Word index, in its segment, of a pointer given as words; may exceed 2^31. */
export function wordOf(lo: number, hi: number): number {
  return (hi & 0xff) * 0x40000000 + (lo >>> 2);
}

/** PostgreSQL's text form: 16 hexadecimal digits. */
export function formatPointer(p: number): string {
  return p.toString(16).padStart(16, '0');
}

/** High word of a pointer. */
export function hiWord(p: number): number {
  return Math.floor(p / TWO_32);
}

/** Low word of a pointer. */
export function loWord(p: number): number {
  return (p - Math.floor(p / TWO_32) * TWO_32) | 0;
}
