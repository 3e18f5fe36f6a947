/**
 * State of one check of a page manager: what was found wrong, and what the memory turned out to hold.
 *
 * The parts of `verifyFreePages` share it. Belongs to the thread that checks; reads of shared memory go through it, so
 * that a page outside the memory is asked about before it is read.
 */

import { relptrPage } from '../layout/layout.js';
import type { FreePageHandle } from './handle.js';
import { FPM_PAGE_SIZE, PAGE_WORDS } from './structs.js';

/** One thing that is wrong. */
export interface FreePageFinding {
  /** Number of the invariant, `Q1` .. `Q11`. */
  readonly id: string;
  /** What is wrong, with the numbers. */
  readonly message: string;
}

/**
 * Findings that are reported. If this were lower, a reader would see less of the pattern; if it were much higher,
 * a heap full of garbage would make millions of strings.
 */
const MAX_FINDINGS = 100;

/** What a relptr leads to that is half null or not to the start of a page: to no page of any memory. */
const BAD_LINK = -2;

/** State of one check: what was found wrong, and what the memory holds. */
export class FreePageCensus {
  readonly m: FreePageHandle;
  /** Whole pages of the memory. */
  readonly limit: number;
  readonly findings: FreePageFinding[] = [];
  /** Free runs by first page: those of the leaves, or the singleton. */
  readonly runs = new Map<number, number>();
  readonly treePages = new Set<number>();
  readonly recycledPages = new Set<number>();

  constructor(m: FreePageHandle) {
    this.m = m;
    this.limit = Math.floor((m.a.length - m.base) / PAGE_WORDS);
  }

  /** Notes that invariant `id` does not hold; only the first {@link MAX_FINDINGS} are kept. */
  report(id: string, message: string): void {
    if (this.findings.length < MAX_FINDINGS) this.findings.push({ id, message });
  }

  /** Tells whether `page` lies wholly in the memory. */
  has(page: number): boolean {
    return page >= 0 && page < this.limit;
  }

  /** Word `i` of page `page`, which lies in the memory. */
  word(page: number, i: number): number {
    return this.m.a[this.m.base + page * PAGE_WORDS + i]!;
  }

  /** Page of the relptr at word `i` of page `page`, or {@link BAD_LINK}. */
  link(page: number, i: number): number {
    return this.#linkAt(this.m.base + page * PAGE_WORDS + i);
  }

  /** Page of the relptr at word `i` of the header, or {@link BAD_LINK}. */
  headerLink(i: number): number {
    return this.#linkAt(this.m.header + i);
  }

  #linkAt(i: number): number {
    const lo = this.m.a[i]!;
    const hi = this.m.a[i + 1]!;
    // No page number has more than 28 bits; `relptrPage` would drop those above.
    const sound = lo === 0 ? hi === 0 : (lo & (FPM_PAGE_SIZE - 1)) === 1 && hi >>> 8 === 0;
    return sound ? relptrPage(this.m.a, i) : BAD_LINK;
  }
}
