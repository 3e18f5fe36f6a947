/**
 * Choosing, creating and giving back segments: bins, odd sizes, the size limit. Under the area lock throughout.
 *
 * Follows get_best_segment, make_new_segment, rebin_segment and unlink_segment of dsa.c (PostgreSQL 15 with the
 * 2026 fix of odd-sized segments; initial and maximum size as in 17+). Nothing here throws: what the page manager
 * throws on corruption is caught where it is called and kept in `thrown`.
 */

import { isAllOnes64, ld64, st64, stAllOnes64 } from '../layout/layout.js';
import {
  C_BINS,
  C_FREED_COUNTER,
  C_HIGH,
  C_LIMIT,
  C_SEGMENT_HANDLES,
  C_SIZE_HIGH_BITS,
  C_TOTAL,
  FIXED_BYTES_OTHER,
  H_BIN,
  H_EXTRA0,
  H_EXTRA1,
  H_FREED,
  H_MAGIC,
  H_NEXT,
  H_PREV,
  H_SIZE,
  H_USABLE,
  MAX_SEGMENT_SIZE,
  MAX_SEGMENTS,
  NUM_BINS,
  PAGEMAP_WORD_OTHER,
  SEGMENTS_PER_SIZE,
  SIZE_BITS,
} from './area-layout.js';
import { noteMapping } from './cache-map.js';
import { checkForFreedSegmentsLocked, installSegment, segmentMagic, segmentWords, unmapSegment } from './mapping.js';
import { MAX_SMALL_SIZE, PAGE_SIZE, PAGES_PER_SUPERBLOCK } from './size-classes.js';
import { type AreaState, STATE_BYTES_PER_PAGE } from './state.js';
import type { DsmSegment } from '../dsm/dsm.js';

/** No segment: the answer of a search, and the end of a bin list. */
export const NO_SEGMENT = -1;

/* Constants of this module fold into the code; imported ones are read from memory at every use. */
const FREED_COUNTER = C_FREED_COUNTER;
const FIRST_BIN = C_BINS;
const BINS = NUM_BINS;
const SEGMENTS = MAX_SEGMENTS;
const NONE = NO_SEGMENT;
const NEXT = H_NEXT;
const BIN = H_BIN;

/** Bin of a segment whose longest free run has `n` pages. */
export function binOf(n: number): number {
  return n <= 0 ? 0 : Math.min(32 - Math.clz32(Math.min(n, 0x7fffffff)), BINS - 1);
}

/** Takes `n` pages from segment `index`; -1 with failure 'corrupt' when the manager does not keep its promise. */
export function getPages(s: AreaState, index: number, n: number): number {
  try {
    const page = s.fpm[index]!.get(n);
    if (page >= 0) return page;
    s.thrown = `segment ${index} promised ${n} pages`;
  } catch (error) {
    s.thrown = error;
  }
  s.failure = 'corrupt';
  return -1;
}

/** Gives pages back to segment `index`; false with failure 'corrupt' when the manager finds its tree damaged. */
export function putPages(s: AreaState, index: number, page: number, n: number): boolean {
  try {
    s.fpm[index]!.put(page, n);
    return true;
  } catch (error) {
    s.thrown = error;
    s.failure = 'corrupt';
    return false;
  }
}

function link(a: Int32Array, at: number): number {
  return a[at]!;
}

function setLink(a: Int32Array, at: number, index: number): void {
  if (index === NO_SEGMENT) stAllOnes64(a, at);
  else st64(a, at, index);
}

/** Takes a segment off its bin. False when a neighbour cannot be mapped; nothing is changed then. */
function unlinkSegment(s: AreaState, index: number): boolean {
  const a = s.maps[index]!.i32;
  const prev = link(a, H_PREV);
  const next = link(a, H_NEXT);
  if (prev !== NO_SEGMENT && segmentWords(s, prev).length === 0) return false;
  if (next !== NO_SEGMENT && segmentWords(s, next).length === 0) return false;
  if (prev !== NO_SEGMENT) setLink(s.maps[prev]!.i32, H_NEXT, next);
  else setLink(s.ctl, C_BINS + 2 * link(a, H_BIN), next);
  if (next !== NO_SEGMENT) setLink(s.maps[next]!.i32, H_PREV, prev);
  return true;
}

/** Makes a segment that is in no bin the head of `bin`. The old head must be mappable. */
function pushSegment(s: AreaState, index: number, bin: number): boolean {
  const head = link(s.ctl, C_BINS + 2 * bin);
  if (head !== NO_SEGMENT && segmentWords(s, head).length === 0) return false;
  const a = s.maps[index]!.i32;
  setLink(a, H_PREV, NO_SEGMENT);
  setLink(a, H_NEXT, head);
  st64(a, H_BIN, bin);
  setLink(s.ctl, C_BINS + 2 * bin, index);
  if (head !== NO_SEGMENT) setLink(s.maps[head]!.i32, H_PREV, index);
  return true;
}

/** Files a segment under the bin of its longest free run. False when a neighbour cannot be mapped. */
export function rebin(s: AreaState, index: number): boolean {
  const bin = binOf(s.fpm[index]!.contiguousPages);
  return s.maps[index]!.i32[BIN] === bin || moveToBin(s, index, bin);
}

function moveToBin(s: AreaState, index: number, bin: number): boolean {
  const head = link(s.ctl, C_BINS + 2 * bin);
  if (head !== NO_SEGMENT && segmentWords(s, head).length === 0) return false;
  return unlinkSegment(s, index) && pushSegment(s, index, bin);
}

/**
 * First fit inside the lowest useful bin.
 *
 * @returns a segment with a free run of `n` pages; -1 when there is none, or with `failure` set when one could not be mapped
 */
export function bestSegment(s: AreaState, n: number): number {
  if (s.ctl[FREED_COUNTER] !== s.freedSeen) checkForFreedSegmentsLocked(s);
  for (let bin = binOf(n); bin < BINS; bin++) {
    let index = s.ctl[FIRST_BIN + 2 * bin]!;
    const threshold = 1 << (bin - 1);
    for (let steps = 0; index !== NONE; steps++) {
      const a = index >= 0 && index < SEGMENTS && steps < SEGMENTS ? segmentWords(s, index) : null;
      if (a === null || a.length === 0) {
        if (a === null) {
          s.failure = 'corrupt';
          s.thrown = `bin ${bin} is not a list of segments`;
        }
        return NO_SEGMENT;
      }
      const next = a[NEXT]!;
      const run = s.fpm[index]!.contiguousPages;
      if (run < threshold || run >= n) {
        if (run < threshold && !rebin(s, index)) return NO_SEGMENT;
        if (run >= n) return index;
      }
      index = next;
    }
  }
  return NO_SEGMENT;
}

/** Bytes of metadata of a segment with room for `n` usable pages that is larger than the ordinary size. */
function oddMetadata(n: number): number {
  let meta = FIXED_BYTES_OTHER + 8 * n;
  // The page map also has entries for the pages that the metadata itself takes.
  meta += Math.ceil(meta / (PAGE_SIZE - 8)) * 8;
  return Math.ceil(meta / PAGE_SIZE) * PAGE_SIZE;
}

/** Bytes of metadata of an ordinary segment of `pages` pages. */
export function ordinaryMetadata(pages: number, fixed: number): number {
  return Math.ceil((fixed + 8 * pages) / PAGE_SIZE) * PAGE_SIZE;
}

/** The size limit in bytes; Infinity when there is none. */
export function sizeLimit(s: AreaState): number {
  return isAllOnes64(s.ctl, C_LIMIT) ? Number.POSITIVE_INFINITY : ld64(s.ctl, C_LIMIT);
}

/** Initial segment size in bytes. */
export function initSegmentSize(s: AreaState): number {
  return (s.ctl[C_SIZE_HIGH_BITS]! & SIZE_BITS) * 2 ** 32 + (s.ctl[H_EXTRA0]! >>> 0);
}

/** Maximum segment size in bytes. */
export function maxSegmentSize(s: AreaState): number {
  return ((s.ctl[C_SIZE_HIGH_BITS]! >>> 16) & SIZE_BITS) * 2 ** 32 + (s.ctl[H_EXTRA1]! >>> 0);
}

/**
 * The size that segment `index` should have by the doubling rule. With the default maximum C's 64-bit product
 * overflows to 0 from index 88 on, so creation fails there; with a smaller maximum it saturates (spec trap P23).
 */
function scheduledSize(s: AreaState, index: number): number {
  const max = maxSegmentSize(s);
  const doublings = Math.floor(index / SEGMENTS_PER_SIZE);
  const wanted = initSegmentSize(s) * 2 ** doublings;
  if (max !== MAX_SEGMENT_SIZE) return Math.min(wanted, max);
  const wrapped = Number(BigInt.asUintN(64, BigInt(initSegmentSize(s)) << BigInt(doublings)));
  return Math.min(wrapped, max);
}

interface Plan {
  size: number;
  metaPages: number;
  usable: number;
}

/** Geometry of a segment of at least `n` usable pages and at most `budget` bytes; null when there is none. */
function plan(n: number, wanted: number, budget: number): Plan | null {
  const size = Math.min(wanted, budget);
  const meta = ordinaryMetadata(Math.floor(size / PAGE_SIZE), FIXED_BYTES_OTHER);
  if (size <= meta) return null;
  const usable = Math.floor((size - meta) / PAGE_SIZE);
  if (n <= usable) return { size, metaPages: meta / PAGE_SIZE, usable };
  const oddMeta = oddMetadata(n);
  const oddSize = oddMeta + n * PAGE_SIZE;
  if (oddSize > MAX_SEGMENT_SIZE || oddSize > budget) return null;
  return { size: oddSize, metaPages: oddMeta / PAGE_SIZE, usable: n };
}

/** Pages of the tail that the state table of a segment of `size` bytes takes. */
export function tailPages(size: number): number {
  return Math.ceil((Math.floor(size / PAGE_SIZE) * STATE_BYTES_PER_PAGE) / PAGE_SIZE);
}

/** Byte offset of the first page of a segment that can hold objects. Frozen fields only; needs no lock. */
export function firstUsableByte(words: Int32Array): number {
  return (Math.floor(ld64(words, H_SIZE) / PAGE_SIZE) - ld64(words, H_USABLE)) * PAGE_SIZE;
}

/** Asks the store for a planned segment; on `fallback` for smaller ones that still hold `n` pages. */
function obtain(s: AreaState, n: number, first: Plan, budget: number): { segment: DsmSegment; plan: Plan } | null {
  let current: Plan | null = first;
  while (current !== null) {
    const segment = s.dsm.tryCreate(current.size, tailPages(current.size), false, true, s.owner);
    if (segment !== null) return { segment, plan: current };
    if (s.dsm.failure !== 'store') {
      s.failure = 'dsm';
      return null;
    }
    if (!s.fallback) return null;
    // `region` knows its longest run; `buffers` does not know what the engine will grant, so it is asked for half.
    const run = s.dsm.largestRun() * PAGE_SIZE;
    const fits = Math.floor(run / (PAGE_SIZE + STATE_BYTES_PER_PAGE)) * PAGE_SIZE;
    const wanted = fits < current.size ? fits : Math.floor(current.size / 2 / PAGE_SIZE) * PAGE_SIZE;
    const smaller = plan(n, Math.max(wanted, PAGE_SIZE * 2), budget);
    current = smaller !== null && smaller.size < current.size ? smaller : null;
  }
  return null;
}

/**
 * Makes a segment with at least `n` usable pages.
 *
 * @returns its index; -1 when no memory may or can be had, with failure 'dsm' when dsm itself failed
 */
export function newSegment(s: AreaState, n: number): number {
  const { ctl } = s;
  const index = freeIndex(s);
  if (index === MAX_SEGMENTS) return NO_SEGMENT;
  const budget = sizeLimit(s) - ld64(ctl, C_TOTAL);
  if (budget <= 0) return NO_SEGMENT;
  const first = plan(n, scheduledSize(s, index), budget);
  if (first === null) return NO_SEGMENT;
  const got = obtain(s, n, first, budget);
  if (got === null) return NO_SEGMENT;
  return enroll(s, index, got.segment, got.plan);
}

/** What keeps an area from growing: their number, the size limit, the largest size of one, or the store. */
export type GrowthLimit = 'segments' | 'limit' | 'size' | 'store';

/**
 * Which limit stands in the way of a request of `bytes` that has just failed, for its error. Reads without a lock, so
 * others may have changed the answer since; changes nothing.
 */
export function growthLimit(s: AreaState, bytes: number): GrowthLimit {
  const index = freeIndex(s);
  if (index === MAX_SEGMENTS) return 'segments';
  const budget = sizeLimit(s) - ld64(s.ctl, C_TOTAL);
  const pages = bytes > MAX_SMALL_SIZE ? Math.ceil(bytes / PAGE_SIZE) : PAGES_PER_SUPERBLOCK;
  if (budget > 0 && plan(pages, scheduledSize(s, index), budget) !== null) return 'store';
  return budget === Number.POSITIVE_INFINITY ? 'size' : 'limit';
}

/** Lowest index that no segment has; MAX_SEGMENTS when all are in use. */
function freeIndex({ ctl }: AreaState): number {
  let index = 1;
  while (index < MAX_SEGMENTS && ctl[C_SEGMENT_HANDLES + index] !== 0) index++;
  return index;
}

/** Initialises a fresh segment and files it. Its memory may hold old bytes. */
function enroll(s: AreaState, index: number, segment: DsmSegment, { size, metaPages, usable }: Plan): number {
  const { ctl } = s;
  const a = installSegment(s, index, segment);
  a.fill(0, 0, PAGEMAP_WORD_OTHER + 2 * Math.floor(size / PAGE_SIZE));
  a[H_MAGIC] = segmentMagic(s, index);
  st64(a, H_USABLE, usable);
  st64(a, H_SIZE, size);
  a[H_FREED] = 0;
  // Once more, now that the header says where its usable pages begin.
  noteMapping(s, index);
  const fpm = s.fpm[index]!;
  fpm.initialize();
  if (!putPages(s, index, metaPages, usable)) return NO_SEGMENT;
  if (!pushSegment(s, index, binOf(fpm.contiguousPages))) {
    s.dsm.unpinOrOwe([segment.handle]);
    unmapSegment(s, index);
    return NO_SEGMENT;
  }
  ctl[C_SEGMENT_HANDLES + index] = segment.handle;
  if (index > ld64(ctl, C_HIGH)) st64(ctl, C_HIGH, index);
  st64(ctl, C_TOTAL, ld64(ctl, C_TOTAL) + size);
  return index;
}

/** Gives a wholly free segment back. False when a neighbour cannot be mapped; it then stays. */
function retire(s: AreaState, index: number): boolean {
  const { ctl } = s;
  const a = s.maps[index]!.i32;
  if (!unlinkSegment(s, index)) return false;
  const handle = ctl[C_SEGMENT_HANDLES + index]! >>> 0;
  // Others that still map the segment must find the mark before the index can be used again.
  a[H_FREED] = 1;
  st64(ctl, C_TOTAL, ld64(ctl, C_TOTAL) - ld64(a, H_SIZE));
  ctl[C_SEGMENT_HANDLES + index] = 0;
  ctl[C_FREED_COUNTER] = (ctl[C_FREED_COUNTER]! + 1) | 0;
  s.dsm.unpinOrOwe([handle]);
  unmapSegment(s, index);
  return true;
}

/**
 * Gives the pages of a superblock or block of spans back, and the segment with them when it is then wholly free.
 * The segment is mapped. False with `failure` set when something went wrong.
 */
export function releasePages(s: AreaState, index: number, page: number, n: number): boolean {
  if (!putPages(s, index, page, n)) return false;
  const whole = s.fpm[index]!.contiguousPages === ld64(s.maps[index]!.i32, H_USABLE);
  // Where a neighbour cannot be mapped now, the segment stays, in its old bin, until the next free in it.
  if (!(whole && index !== 0 && retire(s, index)) && s.maps[index]!.i32.length !== 0) rebin(s, index);
  return true;
}
