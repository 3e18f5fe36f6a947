/**
 * Text and data views of an area: PostgreSQL's dsa_dump, the segments with their bin links, the page managers.
 *
 * Takes the area lock, then each pool lock, one after the other, so it is no consistent snapshot. Like dsa_dump it
 * maps every segment that it meets. Walks are bounded.
 */

import { ld64, ld64Big } from '../layout/layout.js';
import {
  C_BINS,
  C_HANDLE,
  C_HIGH,
  C_LIMIT,
  C_PINNED,
  C_REFCNT,
  C_SEGMENT_HANDLES,
  C_TOTAL,
  FULLNESS_CLASSES,
  H_BIN,
  H_NEXT,
  H_PREV,
  H_SIZE,
  H_USABLE,
  MAX_SEGMENTS,
  NUM_BINS,
  S_NALLOC_FIRST,
  S_NEXT,
  S_NMAX_FCLASS,
  S_NPAGES,
  S_START,
} from './area-layout.js';
import { checkForFreedSegments, checkForFreedSegmentsLocked, lockArea, segmentWords, unlockArea } from './mapping.js';
import { formatPointer, fromWords, wordOf } from './pointer.js';
import { NO_SEGMENT } from './segments.js';
import { CLASS_BLOCK_OF_SPANS, CLASS_LARGE, CLASS_SIZE, NUM_SIZE_CLASSES } from './size-classes.js';
import { listWord, lockPool, unlockPool } from './spans.js';
import type { AreaState } from './state.js';

/** A live segment of an area. */
export interface AreaSegment {
  readonly index: number;
  /** Bytes, metadata included. */
  readonly size: number;
  readonly usablePages: number;
  readonly contiguousPages: number;
  readonly bin: number;
  /** Neighbours in the bin. */
  readonly prev: number | null;
  readonly next: number | null;
}

/** Spans of one list that a dump prints at most; more means a circle, which verify reports. */
const MAX_SPANS = 2 ** 16;

function mappedAt(s: AreaState, index: number): string {
  const offset = index === 0 ? s.byteOffset : s.segments[index]!.byteOffset;
  return `0x${offset.toString(16)}`;
}

function dumpBins(s: AreaState): string {
  let text = '  segment bins:\n';
  for (let bin = 0; bin < NUM_BINS; bin++) {
    let index = s.ctl[C_BINS + 2 * bin]!;
    if (index === NO_SEGMENT) continue;
    const bound = bin === 0 ? 'no contiguous free pages' : `at least ${2 ** (bin - 1)} contiguous pages free`;
    text += `    segment bin ${bin} (${bound}):\n`;
    for (let steps = 0; index !== NO_SEGMENT && steps < MAX_SEGMENTS; steps++) {
      const a = segmentWords(s, index);
      if (a.length === 0) break;
      const usable = ld64(a, H_USABLE);
      const run = s.fpm[index]!.contiguousPages;
      text += `      segment index ${index}, usable_pages = ${usable}, contiguous_pages = ${run}, mapped at ${mappedAt(s, index)}\n`;
      index = a[H_NEXT]!;
    }
  }
  return text;
}

function dumpList(s: AreaState, sizeClass: number, fclass: number): string {
  const head = listWord(sizeClass, fclass);
  let lo = s.ctl[head]!;
  let hi = s.ctl[head + 1]!;
  if ((lo | hi) === 0) return `      fullness class ${fclass} is empty\n`;
  let text = `      fullness class ${fclass}:\n`;
  for (let steps = 0; (lo | hi) !== 0 && steps < MAX_SPANS; steps++) {
    if (sizeClass !== CLASS_LARGE && !checkForFreedSegments(s)) break;
    const a = segmentWords(s, hi >>> 8);
    if (a.length === 0) break;
    const w = wordOf(lo, hi);
    const span = formatPointer(fromWords(lo, hi));
    const start = formatPointer(fromWords(a[w + S_START]!, a[w + S_START + 1]!));
    const free = `${a[w + S_NALLOC_FIRST]! & 0xffff}/${a[w + S_NMAX_FCLASS]! & 0xffff}`;
    text += `        span descriptor at ${span}, superblock at ${start}, pages = ${a[w + S_NPAGES]}, objects free = ${free}\n`;
    lo = a[w + S_NEXT]!;
    hi = a[w + S_NEXT + 1]!;
  }
  return text;
}

function poolTitle(sizeClass: number): string {
  if (sizeClass === CLASS_BLOCK_OF_SPANS) return '    pool for blocks of span objects:\n';
  if (sizeClass === CLASS_LARGE) return '    pool for large object spans:\n';
  return `    pool for size class ${sizeClass} (object size ${CLASS_SIZE[sizeClass]} bytes):\n`;
}

function dumpPool(s: AreaState, sizeClass: number): string {
  let used = false;
  for (let f = 0; f < FULLNESS_CLASSES; f++) {
    const head = listWord(sizeClass, f);
    used ||= (s.ctl[head]! | s.ctl[head + 1]!) !== 0;
  }
  if (!used) return '';
  let text = poolTitle(sizeClass);
  for (let f = 0; f < FULLNESS_CLASSES; f++) text += dumpList(s, sizeClass, f);
  return text;
}

/** The text of dsa_dump; null with `failure` set when a lock stalls. */
export function dumpArea(s: AreaState): string | null {
  const { ctl } = s;
  if (!lockArea(s)) return null;
  checkForFreedSegmentsLocked(s);
  let text = `dsa_area handle ${(ctl[C_HANDLE]! >>> 0).toString(16)}:\n`;
  text += `  max_total_segment_size: ${ld64Big(ctl, C_LIMIT)}\n`;
  text += `  total_segment_size: ${ld64(ctl, C_TOTAL)}\n`;
  text += `  refcnt: ${ctl[C_REFCNT]}\n`;
  text += `  pinned: ${ctl[C_PINNED] !== 0 ? 't' : 'f'}\n`;
  text += dumpBins(s);
  unlockArea(s);
  text += '  pools:\n';
  for (let c = 0; c < NUM_SIZE_CLASSES; c++) {
    if (!lockPool(s, c)) return null;
    text += dumpPool(s, c);
    unlockPool(s, c);
  }
  return text;
}

/** Live segments, ascending; maps them all. Null with `failure` set. */
export function listSegments(s: AreaState): AreaSegment[] | null {
  const { ctl } = s;
  if (!lockArea(s)) return null;
  checkForFreedSegmentsLocked(s);
  const rows: AreaSegment[] = [];
  const high = ld64(ctl, C_HIGH);
  let complete = true;
  for (let index = 0; index <= high && complete; index++) {
    if (index > 0 && ctl[C_SEGMENT_HANDLES + index] === 0) continue;
    const a = segmentWords(s, index);
    complete = a.length !== 0;
    if (!complete) break;
    const prev = a[H_PREV]!;
    const next = a[H_NEXT]!;
    rows.push({
      index,
      size: ld64(a, H_SIZE),
      usablePages: ld64(a, H_USABLE),
      contiguousPages: s.fpm[index]!.contiguousPages,
      bin: a[H_BIN]!,
      prev: prev === NO_SEGMENT ? null : prev,
      next: next === NO_SEGMENT ? null : next,
    });
  }
  unlockArea(s);
  return complete ? rows : null;
}

/** FreePageManagerDump of a segment; null when there is no such segment, undefined with `failure` set. */
export function dumpFreePages(s: AreaState, index: number): string | null | undefined {
  if (!lockArea(s)) return undefined;
  checkForFreedSegmentsLocked(s);
  const known = index <= ld64(s.ctl, C_HIGH) && (index === 0 || s.ctl[C_SEGMENT_HANDLES + index] !== 0);
  const a = known ? segmentWords(s, index) : null;
  const text = a !== null && a.length !== 0 ? s.fpm[index]!.dump() : null;
  unlockArea(s);
  return known && text === null ? undefined : text;
}
