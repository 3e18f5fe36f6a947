/**
 * An area with something of everything, and where its shared structures lie: for the tests of the checker, which damage
 * them word by word.
 */

import { DSA_ALLOC_NO_OOM, DsaArea } from '../../dist/dsa/dsa.js';
import {
  C_BINS,
  C_HIGH,
  C_LOCK,
  C_POOLS,
  C_REFCNT,
  C_SEGMENT_HANDLES,
  C_TOTAL,
  MAX_SEGMENTS,
  NUM_BINS,
  POOL_WORDS,
  S_NEXT,
  S_START,
} from '../../dist/dsa/area-layout.js';
import { pageMapWord } from '../../dist/dsa/mapping.js';
import { pageOf, wordOf } from '../../dist/dsa/pointer.js';
import { CLASS_CAPACITY, NUM_SIZE_CLASSES } from '../../dist/dsa/size-classes.js';
import { listWord } from '../../dist/dsa/spans.js';
import { firstState } from '../../dist/dsa/state.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { MIB } from './helpers.js';

/** Words of an area whose values mean something: views with the index in them. */
export interface Word {
  readonly view: Int32Array | Uint16Array;
  readonly at: number;
  readonly what: string;
}

/** A span on a list. */
export interface ListedSpan {
  readonly pointer: number;
  readonly words: Int32Array;
  /** Word index in `words`. */
  readonly w: number;
  readonly segment: number;
  readonly start: { segment: number; page: number };
}

/** The spans of a list, from its head. */
export function spansOn({ state: s }: DsaArea, sizeClass: number, fclass: number): ListedSpan[] {
  const found: ListedSpan[] = [];
  const head = listWord(sizeClass, fclass);
  let lo = s.ctl[head]!;
  let hi = s.ctl[head + 1]!;
  while ((lo | hi) !== 0) {
    const words = s.maps[hi >>> 8]!.i32;
    const w = wordOf(lo, hi);
    const startHi = words[w + S_START + 1]!;
    const start = { segment: startHi >>> 8, page: pageOf(words[w + S_START]!, startHi) };
    found.push({ pointer: hi * 2 ** 32 + (lo >>> 0), words, w, segment: hi >>> 8, start });
    lo = words[w + S_NEXT]!;
    hi = words[w + S_NEXT + 1]!;
  }
  return found;
}

/**
 * Fills an area: three segments; class 25 (1024 bytes, 64 to a superblock) on all four lists, class 13 with a long free
 * list, class 37; large objects and holes between them, so that page managers have trees; several blocks of spans.
 */
function fill(area: DsaArea): { small: DsaPointer[]; large: DsaPointer[] } {
  const large: DsaPointer[] = [];
  for (let k = 0; k < 90; k++) large.push(area.allocate(9000 + 4096 * (k % 3)));
  const kilobytes: DsaPointer[] = [];
  for (let k = 0; k < 64 * 5 + 10; k++) kilobytes.push(area.allocate(1024));
  const free = (from: number, count: number): void => {
    for (const pointer of kilobytes.slice(from, from + count)) area.free(pointer);
    kilobytes.fill(0 as DsaPointer, from, from + count);
  };
  // The second superblock belongs into list 0 when the active one is full, the third stays on list 2.
  free(64, 62);
  free(128, 5);
  for (let k = 0; k < 54; k++) kilobytes.push(area.allocate(1024));
  kilobytes.push(area.allocate(1024));
  free(192, 50);
  const small = kilobytes.filter((pointer) => pointer !== 0);
  for (let k = 0; k < 700; k++) small.push(area.allocate(128));
  for (const pointer of small.splice(-400, 150)) area.free(pointer);
  for (let k = 0; k < 9; k++) small.push(area.allocate(8000));
  for (const k of [3, 7, 8, 20, 21, 22, 40, 60, 61, 75]) area.free(large[k]!);
  return { small, large: large.filter((_, k) => ![3, 7, 8, 20, 21, 22, 40, 60, 61, 75].includes(k)) };
}

/** A filled area in a cluster of its own. */
export function busyArea(store: 'region' | 'buffers' = 'region'): { dsm: Dsm; area: DsaArea; live: DsaPointer[] } {
  const dsm = Dsm.create({ store, regionSize: 32 * MIB, lockTimeout: 2000, attachTimeout: 2000 });
  const area = DsaArea.create(dsm);
  const { small, large } = fill(area);
  return { dsm, area, live: [...small, ...large] };
}

/** A filled area in place: most of it in the place, one segment beside it. */
export function busyInPlace(): { dsm: Dsm; area: DsaArea } {
  const dsm = Dsm.create({ regionSize: 32 * MIB, lockTimeout: 2000 });
  const size = 4 * MIB + 1234;
  const area = DsaArea.createInPlace(dsm, { buffer: new SharedArrayBuffer(64 + size), byteOffset: 24 }, size);
  fill(area);
  area.allocate(5 * MIB, DSA_ALLOC_NO_OOM);
  return { dsm, area };
}

/** Words of the control block, headers, page managers, page maps, free runs, trees, spans and slots that are checked. */
export function metadataWords(area: DsaArea): Word[] {
  const { state: s } = area;
  const words: Word[] = [];
  const add = (view: Int32Array | Uint16Array, from: number, count: number, what: string): void => {
    for (let at = from; at < from + count; at++) words.push({ view, at, what });
  };
  add(s.ctl, C_SEGMENT_HANDLES, MAX_SEGMENTS, 'segment handles');
  add(s.ctl, C_BINS, 2 * NUM_BINS, 'bins');
  add(s.ctl, C_LOCK, 2, 'the area lock');
  add(s.ctl, C_TOTAL, 2, 'total size');
  add(s.ctl, C_HIGH + 1, 1, 'highest index');
  add(s.ctl, C_REFCNT, 2, 'reference count');
  for (let sizeClass = 0; sizeClass < NUM_SIZE_CLASSES; sizeClass++) {
    // Ticket and passes of a lock may be anything.
    add(s.ctl, C_POOLS + sizeClass * POOL_WORDS, 2, `lock of pool ${sizeClass}`);
    add(s.ctl, C_POOLS + sizeClass * POOL_WORDS + 4, 8, `lists of pool ${sizeClass}`);
    for (let fclass = 0; fclass < 4; fclass++) {
      for (const span of spansOn(area, sizeClass, fclass)) addSpan(span, sizeClass);
    }
  }
  for (const { index } of area.segments()) addSegment(index);
  return words;

  function addSpan(span: ListedSpan, sizeClass: number): void {
    add(span.words, span.w, 13, `span of pool ${sizeClass}`);
    const slots = sizeClass === 0 ? 73 : sizeClass === 1 ? 1 : CLASS_CAPACITY[sizeClass]! + 1;
    const { state, pages } = s.maps[span.start.segment]!;
    add(state, firstState(sizeClass, pages, span.start.page), slots, `slots of pool ${sizeClass}`);
  }

  function addSegment(index: number): void {
    const a = s.maps[index]!.i32;
    const map = pageMapWord(index);
    const name = `of segment ${index}`;
    add(a, 0, 1, `magic ${name}`);
    add(a, 2, 11, `header ${name}`);
    // The byte of the dirty flag has three spare ones behind it.
    add(a, map - 274, 274, `page manager ${name}`);
    // The first page of the only run means nothing when there is none.
    if (a[map - 274 + 10] === 0 && a[map - 274 + 2] === 0) words.splice(-266, 1);
    add(a, map, 2 * s.maps[index]!.pages, `page map ${name}`);
    const fpm = s.fpm[index]!;
    for (const page of fpm.treePages()) add(a, page * 1024 + 2, 4 + 4 * a[page * 1024 + 2]!, `tree ${name}`);
    for (const { first } of fpm.runs()) {
      add(a, first * 1024, 1, `free run ${name}`);
      add(a, first * 1024 + 2, 6, `free run ${name}`);
    }
  }
}
