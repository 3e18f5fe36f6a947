/**
 * This thread's side of one page manager: the view, where things lie in it, and the registers of the last search.
 *
 * The parts of the manager are plain functions over this object. `search` answers in its registers, because a get
 * or a put must not make garbage. Not shared, no lock of its own; used while the owner's lock is held.
 */

import { SharedHeapError } from '../errors/errors.js';
import * as structs from './structs.js';

// Copied because an imported constant is loaded anew at each use, while one of this module is folded into the code.
const { B_PARENT, H_FREELIST, H_ROOT, LEADER_MAGIC, PAGE_WORDS } = structs;

/** No page: what relptrs call null. */
export const NO_PAGE = -1;

/** This thread's side of one manager; see the head of the file. All fields are set once, registers excepted. */
export class FreePageHandle {
  /** The memory. */
  readonly a: Int32Array;
  /** Word index of the start of page 0. */
  readonly base: number;
  /** Word index of the header. */
  readonly header: number;
  /** Word index of `freelist[0]`. */
  readonly lists: number;
  /** Pages that `a` has room for: no link leads further, no list is longer, no walk takes more steps. */
  readonly pages: number;

  /** Register of the last search: leaf where the key is or belongs. */
  foundNode = NO_PAGE;
  /** Register of the last search: index in that leaf. */
  foundIndex = 0;
  /** Register of the last search: pages that an insertion there needs for splits. */
  foundSplits = 0;

  /**
   * @param a the memory
   * @param base word index of page 0
   * @param at byte offset of the header from page 0
   */
  constructor(a: Int32Array, base: number, at: number) {
    this.a = a;
    this.base = base;
    this.header = base + at / 4;
    this.lists = this.header + H_FREELIST;
    this.pages = Math.ceil((a.length - base) / PAGE_WORDS);
  }
}

/* relptrs that lead to page starts, as page numbers. In whole 32-bit arithmetic, unlike the general form in layout/:
 * one division or product that might not be a whole number would make the engine keep page numbers, and every index
 * computed from them, as floating point. For the same reason sums and
 * differences of page numbers end in `| 0` in hot code. Pages and lengths are below 2^28; word indexes may exceed 2^31,
 * and are left alone. */

/** Page of the relptr in the words `lo` and `hi`, which is not null. */
export function pageOf(lo: number, hi: number): number {
  return (lo >>> 12) | (hi << 20);
}

/** Page of the relptr at word `i`, or NO_PAGE. */
export function loadPage(a: Int32Array, i: number): number {
  const lo = a[i]!;
  return lo === 0 ? NO_PAGE : (lo >>> 12) | (a[i + 1]! << 20);
}

/** Writes a relptr to `page`, or null for NO_PAGE, at word `i`. */
export function storePage(a: Int32Array, i: number, page: number): void {
  if (page < 0) {
    a[i] = 0;
    a[i + 1] = 0;
  } else {
    a[i] = (page << 12) + 1;
    a[i + 1] = page >>> 20;
  }
}

/** Page of the root, or NO_PAGE. */
export function rootOf(m: FreePageHandle): number {
  return loadPage(m.a, m.header + H_ROOT);
}

/** Makes `page` (or NO_PAGE) the root. */
export function setRoot(m: FreePageHandle, page: number): void {
  storePage(m.a, m.header + H_ROOT, page);
}

/** Page of the parent of the B-tree page `page`, or NO_PAGE in the root. */
export function parentOf(m: FreePageHandle, page: number): number {
  return loadPage(m.a, m.base + page * PAGE_WORDS + B_PARENT);
}

/** Sets the parent of the B-tree page `page`. */
export function setParent(m: FreePageHandle, page: number, parent: number): void {
  storePage(m.a, m.base + page * PAGE_WORDS + B_PARENT, parent);
}

/**
 * Throws ERR_HEAP_CORRUPT: the structures of this manager contradict each other, and the owner must not go on.
 *
 * @param what which contradiction
 * @param detail the numbers
 */
export function corrupt(m: FreePageHandle, what: string, detail: string): never {
  throw new SharedHeapError('ERR_HEAP_CORRUPT', `page manager: ${what}`, {
    detail: `${detail}; header at byte ${(m.header - m.base) * 4} of ${m.pages} pages`,
    hint: 'Something wrote over free pages, or pages were given back twice. The memory is not usable any more.',
    pgMessage: 'free page manager btree is corrupt',
  });
}

/** Throws for a page that a list leads to and that does not begin with a sound leader. */
export function badLeader(m: FreePageHandle, page: number): never {
  const w = m.base + page * PAGE_WORDS;
  const magic = hex(m.a[w]);
  return corrupt(
    m,
    'a list leads to a page that is not the start of a free run',
    `page ${page}, magic ${magic} where ${hex(LEADER_MAGIC)} belongs, ${m.a[w + 2]} pages`,
  );
}

/** Throws for a page that the tree leads to and that is not a page of it. */
export function badNode(m: FreePageHandle, page: number): never {
  const w = m.base + page * PAGE_WORDS;
  return corrupt(
    m,
    'a link of the tree leads to a page that is not part of it',
    `page ${page}, magic ${hex(m.a[w])}, ${m.a[w + 2]} items`,
  );
}

/** Throws for a walk that took more steps than there can be. */
export function endlessWalk(m: FreePageHandle, what: string): never {
  return corrupt(m, `${what} does not end`, `more than ${m.pages} steps of ${structs.FPM_PAGE_SIZE} bytes`);
}

function hex(word: number | undefined): string {
  return word === undefined ? 'none (outside the memory)' : `0x${(word >>> 0).toString(16)}`;
}
