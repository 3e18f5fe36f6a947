/** What several tests of the page manager need: managers, the golden hash, the golden random numbers. */

import { expect } from 'vitest';
import { FPM_PAGE_SIZE, FreePageManager, verifyFreePages } from '../../dist/freepage/freepage.js';

/** Byte of the header in tests: where dsa has it in all segments but the first. */
export const HEADER_AT = 56;

/** A manager of `pages` pages, its header in page 0, nothing free. */
export function newManager(pages: number): FreePageManager {
  const manager = new FreePageManager(new Int32Array(new SharedArrayBuffer(pages * FPM_PAGE_SIZE)), 0, HEADER_AT);
  manager.initialize();
  return manager;
}

/** What {@link growTree} needs of a manager. */
interface Puttable {
  put(first: number, npages: number): void;
}

/**
 * Puts runs of one to three hundred pages, no two of which touch, until the tree has two levels and a page that was
 * fetched for a split is on the recycle list. Page 2000 becomes the root. Takes up pages 2 .. 2600.
 */
export function growTree(to: Puttable, manager: FreePageManager): void {
  to.put(2000, 300);
  to.put(2400, 200);
  for (let k = 0; k < 600 && !(manager.btreeDepth === 2 && manager.btreeRecycleCount > 0); k++) {
    to.put(2 + 3 * k, k < 100 ? 2 : 1);
  }
  expect([manager.btreeDepth, manager.btreeRecycleCount > 0, manager.contiguousPages, faults(manager)]).toEqual([
    2,
    true,
    299,
    [],
  ]);
}

/** Findings of `verifyFreePages` in one line each, which is what a failing test should show. */
export function faults(manager: FreePageManager, expected: Parameters<typeof verifyFreePages>[1] = {}): string[] {
  return verifyFreePages(manager, expected).map((finding) => `${finding.id}: ${finding.message}`);
}

/** Results of calls, hashed as the golden vectors are: FNV-1a over 8 little-endian bytes each, a failure as all ones. */
export class GoldenHash {
  count = 0;
  #low = 0x84222325;
  #high = 0xcbf29ce4;

  /** Takes up one result; -1 is a failed get. */
  add(value: number): void {
    this.count++;
    const fill = value < 0 ? 0xff : 0;
    for (let k = 0; k < 8; k++) this.#byte(k < 4 ? (value >>> (8 * k)) & 0xff : fill);
  }

  /** The hash in 16 hexadecimal digits. */
  hex(): string {
    return [this.#high, this.#low].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  /** One byte; the prime is 2^40 + 0x1b3, the words are multiplied in 16-bit halves. */
  #byte(value: number): void {
    const low = (this.#low ^ value) >>> 0;
    const a = (low & 0xffff) * 0x1b3;
    const b = (low >>> 16) * 0x1b3 + (a >>> 16);
    const carry = Math.floor(b / 0x10000);
    this.#high = (Math.imul(this.#high, 0x1b3) + carry + (low << 8)) | 0;
    this.#low = ((b & 0xffff) << 16) | (a & 0xffff);
  }
}

/** The golden vectors' random numbers: x := (x * 1103515245 + 12345) mod 2^31, of which each draw gives x >> 8. */
export function golden(seed: number): () => number {
  let x = seed;
  return () => {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    return x >> 8;
  };
}
