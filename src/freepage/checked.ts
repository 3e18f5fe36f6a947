/**
 * The page manager as a module of its own: pages of any buffer, with every argument checked.
 *
 *     const pages = freePages(new SharedArrayBuffer(1 << 20));   // 256 pages, the header in page 0
 *     pages.put(1, 255);
 *     const first = pages.get(4);                                // 1; its bytes begin at 4096 * first
 *
 * Stands on FreePageManager; the layers above use that directly. As there: one lock of the caller's own guards all
 * calls on one manager, from whatever thread; nothing blocks. Bad arguments change nothing.
 */

import { SharedHeapError } from '../errors/errors.js';
import { relptrOffset } from '../layout/layout.js';
import { FreePageManager } from './manager.js';
import { findFreeOverlap } from './overlap.js';
import { FPM_PAGE_SIZE, FREE_PAGE_MANAGER, PAGE_WORDS } from './structs.js';
import type { FreePageFinding } from './verify-census.js';
import { verifyFreePages, type FreePageExpectation } from './verify.js';
import type { FreeRun } from './walk.js';

/** Where a manager lies. */
export interface FreePagesOptions {
  /** Byte where page 0 begins, a multiple of 8. Default 0. */
  readonly byteOffset?: number;
  /** Byte of the header from page 0, a multiple of 8. Default 0. */
  readonly headerOffset?: number;
  /** Number of pages from page 0. Default: as many as the memory holds. */
  readonly pages?: number;
  /** Use the manager that another thread made in the same place, instead of making one. Default false. */
  readonly attach?: boolean;
}

const OPTIONS = ['byteOffset', 'headerOffset', 'pages', 'attach'];

/**
 * Makes a page manager in a buffer, or looks at one that lies there already. Nothing is free at first: `put` what is
 * to be handed out. Any thread; does not block.
 *
 * @param memory the buffer; a growable one is used as long as it is now
 * @param options where the manager lies
 * @throws ERR_HEAP_BAD_ARGUMENT when `memory` is not a buffer, or nothing to attach to lies there
 * @throws ERR_HEAP_BAD_OPTION for an unknown option, or a place outside the memory
 */
export function freePages(memory: SharedArrayBuffer | ArrayBuffer, options: FreePagesOptions = {}): FreePages {
  if (!isBuffer(memory)) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'memory is not a buffer', {
      detail: `got ${describe(memory)}`,
      hint: 'Pass a SharedArrayBuffer, or an ArrayBuffer for one thread.',
    });
  }
  if (typeof options !== 'object' || options === null) throw badOption('options', describe(options), 'an object');
  for (const name of Object.keys(options)) {
    if (!OPTIONS.includes(name)) throw badOption(name, 'unknown', `one of ${OPTIONS.join(', ')}`);
  }
  const byteOffset = offsetOption('byteOffset', options.byteOffset ?? 0, memory.byteLength);
  const room = Math.floor((memory.byteLength - byteOffset) / FPM_PAGE_SIZE);
  const pages = options.pages ?? room;
  if (!Number.isSafeInteger(pages) || pages < 1 || pages > room) {
    throw badOption('pages', describe(pages), `a whole number from 1 to ${room}`);
  }
  const last = pages * FPM_PAGE_SIZE - FREE_PAGE_MANAGER.SIZEOF;
  const headerOffset = offsetOption('headerOffset', options.headerOffset ?? 0, last);
  const attach = options.attach ?? false;
  if (typeof attach !== 'boolean') throw badOption('attach', describe(attach), 'true or false');
  return new FreePages(new Int32Array(memory, byteOffset, pages * PAGE_WORDS), headerOffset, attach);
}

/** A page manager with checked arguments; made by {@link freePages}. */
export class FreePages {
  /** The unchecked form of the same manager. */
  readonly manager: FreePageManager;
  /** Number of pages, those of the header included. */
  readonly pages: number;
  readonly #headerFirst: number;
  readonly #headerLast: number;

  /** Use {@link freePages}. */
  constructor(a: Int32Array, headerOffset: number, attach: boolean) {
    this.manager = new FreePageManager(a, 0, headerOffset);
    this.pages = a.length / PAGE_WORDS;
    this.#headerFirst = Math.floor(headerOffset / FPM_PAGE_SIZE);
    this.#headerLast = Math.floor((headerOffset + FREE_PAGE_MANAGER.SIZEOF - 1) / FPM_PAGE_SIZE);
    if (!attach) {
      this.manager.initialize();
    } else if (relptrOffset(a, headerOffset / 4) !== headerOffset) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'there is no page manager in that place', {
        detail: `the header at byte ${headerOffset} says that it lies at byte ${relptrOffset(a, headerOffset / 4)}`,
        hint: 'Pass the same byteOffset and headerOffset as the thread that made it.',
      });
    }
  }

  /**
   * Takes a run of pages: the shortest that is long enough. Source: FreePageManagerGet.
   *
   * @param npages pages wanted, 1 .. {@link pages}
   * @returns the first page, or -1 when no run is long enough
   * @throws ERR_HEAP_BAD_SIZE, ERR_HEAP_CORRUPT
   */
  get(npages: number): number {
    this.#checkCount(npages);
    return this.manager.get(npages);
  }

  /**
   * Gives a run of pages, which become free. Source: FreePageManagerPut.
   *
   * A page that the manager lost (trap P7 of PostgreSQL's page manager) counts as handed out.
   *
   * @param first first page
   * @param npages number of pages, from 1
   * @throws ERR_HEAP_BAD_SIZE for a number of pages that cannot be
   * @throws ERR_HEAP_BAD_ARGUMENT when the run leaves the memory, covers the header, or some of it is free already
   * @throws ERR_HEAP_CORRUPT
   */
  put(first: number, npages: number): void {
    this.#checkCount(npages);
    if (!Number.isSafeInteger(first) || first < 0 || first + npages > this.pages) {
      throw badRun(first, npages, `the run leaves the memory of ${this.pages} pages`);
    }
    if (first <= this.#headerLast && this.#headerFirst < first + npages) {
      throw badRun(first, npages, `the header lies in pages ${this.#headerFirst} .. ${this.#headerLast}`);
    }
    const free = findFreeOverlap(this.manager.handle, first, npages);
    if (free !== null) throw badRun(first, npages, `free already: ${free}`);
    this.manager.put(first, npages);
  }

  /** Length in pages of the longest run that can be had. */
  get contiguousPages(): number {
    return this.manager.contiguousPages;
  }

  /** All free runs in order of address. */
  runs(): Iterable<FreeRun> {
    return this.manager.runs();
  }

  /** Everything as text, as PostgreSQL prints it. */
  dump(): string {
    return this.manager.dump();
  }

  /** Checks all invariants; see `verifyFreePages`. */
  verify(expected: FreePageExpectation = {}): FreePageFinding[] {
    return verifyFreePages(this.manager, expected);
  }

  #checkCount(npages: number): void {
    if (Number.isSafeInteger(npages) && npages >= 1 && npages <= this.pages) return;
    throw new SharedHeapError('ERR_HEAP_BAD_SIZE', 'not a number of pages', {
      detail: `got ${describe(npages)}, the memory has ${this.pages} pages`,
      hint: `Pass a whole number from 1 to ${this.pages}.`,
    });
  }
}

function isBuffer(memory: unknown): memory is SharedArrayBuffer | ArrayBuffer {
  return (
    memory instanceof ArrayBuffer || (typeof SharedArrayBuffer !== 'undefined' && memory instanceof SharedArrayBuffer)
  );
}

function offsetOption(name: string, value: number, last: number): number {
  if (Number.isSafeInteger(value) && value >= 0 && value % 8 === 0 && value <= last) return value;
  throw badOption(name, describe(value), `a multiple of 8 from 0 to ${last}`);
}

function badOption(name: string, got: string, wanted: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_OPTION', `option ${name} is not acceptable`, {
    detail: `got ${got}`,
    hint: `It must be ${wanted}.`,
  });
}

function badRun(first: number, npages: number, why: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'the pages cannot be given back', {
    detail: `first page ${describe(first)}, ${npages} pages; ${why}`,
    hint: 'Put only runs that were got and not put since, or that were never put.',
  });
}

function describe(value: unknown): string {
  return typeof value === 'number' || typeof value === 'bigint'
    ? String(value)
    : value === null
      ? 'null'
      : typeof value;
}
