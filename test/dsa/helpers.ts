/** What several tests of areas need: clusters that end with the test, codes of errors, images of all shared memory. */

import { expect, onTestFinished } from 'vitest';
import { DsaArea, type DsaOptions, type DsaPlace } from '../../dist/dsa/dsa.js';
import { Dsm, type DsmOptions } from '../../dist/dsm/dsm.js';
import { type ErrorCode, isSharedHeapError } from '../../dist/errors/errors.js';
import type { DsaPointer } from '../../dist/layout/layout.js';

export const STORES = ['region', 'buffers'] as const;
export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
export const PAGE = 4096;

/** A cluster that is left when the test ends. Waits are short: in one thread a wait is a bug already. */
export function newCluster(options: DsmOptions = {}): Dsm {
  const dsm = Dsm.create({ lockTimeout: 10_000, attachTimeout: 10_000, ...options });
  onTestFinished(() => dsm.leave());
  return dsm;
}

/** One more participant of the same cluster, in this thread. */
export function another(dsm: Dsm): Dsm {
  const joined = Dsm.join(dsm.handle);
  onTestFinished(() => joined.leave());
  return joined;
}

/** An area in a cluster of its own. */
export function newArea(options: DsaOptions = {}, clusterOptions: DsmOptions = {}): { dsm: Dsm; area: DsaArea } {
  const dsm = newCluster(clusterOptions);
  return { dsm, area: DsaArea.create(dsm, options) };
}

/** An in-place area in plain memory, at offset 8 so that nothing is page aligned by luck. */
export function newAreaInPlace(size: number): { dsm: Dsm; area: DsaArea; place: DsaPlace } {
  const dsm = newCluster();
  const place = { buffer: new SharedArrayBuffer(8 + size), byteOffset: 8 };
  return { dsm, area: DsaArea.createInPlace(dsm, place, size), place };
}

/** Code of the error that `action` throws; 'nothing' when it returns. Any other exception is passed on. */
export function codeOf(action: () => unknown): ErrorCode | 'nothing' {
  try {
    action();
  } catch (error) {
    if (isSharedHeapError(error)) return error.code;
    throw error;
  }
  return 'nothing';
}

/** A pointer as the golden vectors write it. */
export function hex(pointer: number): string {
  return pointer.toString(16);
}

/** Anything as a pointer: for wrong ones. */
export function as(value: unknown): DsaPointer {
  return value as DsaPointer;
}

/** What the checker finds wrong, one line each; notes are not wrong. */
function faults(area: DsaArea): string[] {
  const { ok, findings } = area.verify();
  const errors = findings.filter(({ severity }) => severity === 'error');
  return ok ? [] : ['not sound', ...errors.map(({ id, message }) => `${id}: ${message}`)];
}

/** Fails unless every invariant of the area holds. */
export function expectSound(area: DsaArea): void {
  expect(faults(area)).toEqual([]);
}

/** Bytes of an object, or of a part of it. */
export function bytesOf(area: DsaArea, pointer: DsaPointer, length: number): Uint8Array {
  const { buffer, byteOffset } = area.getAddress(pointer)!;
  return new Uint8Array(buffer, byteOffset, length);
}

/** Tells whether all of an object, or its first `length` bytes, have this value. */
export function holds(area: DsaArea, pointer: DsaPointer, length: number, value: number): boolean {
  const { buffer, byteOffset } = area.getAddress(pointer)!;
  return Buffer.from(buffer, byteOffset, length).equals(Buffer.alloc(length, value));
}

/** Everything that an area says of itself: dump, segments, page managers, totals. Maps all segments. */
export function describeArea(area: DsaArea): string {
  const segments = area.segments();
  const free = segments.map(({ index }) => area.dumpFreePages(index));
  return [area.dump(), JSON.stringify(segments), ...free, area.getTotalSize(), area.getSizeLimit()].join('\n');
}

/**
 * All bytes of all segments of an area, with the state that lies beside them: what a call that fails must not change.
 * Maps all segments first, so that it can be taken again after a call that had to map them.
 */
function imageOf(area: DsaArea): Buffer {
  area.segments();
  const { state: s } = area;
  const pieces = [Buffer.from(s.ctl.buffer.slice(s.ctl.byteOffset, s.ctl.byteOffset + s.ctl.byteLength) as never)];
  const add = (view: ArrayBufferView): void => {
    pieces.push(Buffer.from(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) as never));
  };
  for (const index of area.mappedSegments()) {
    if (index !== 0) add(s.maps[index]!.i32);
    add(s.maps[index]!.state);
  }
  add(s.attachments);
  return Buffer.concat(pieces);
}

/** Fails unless `action` leaves every shared byte of the area, and all that it says of itself, as it was. */
export function expectUnchanged(area: DsaArea, action: () => void): void {
  const text = describeArea(area);
  const before = imageOf(area);
  action();
  const after = imageOf(area);
  expect(after.length).toBe(before.length);
  if (!after.equals(before)) expect.fail(`byte ${after.findIndex((byte, i) => byte !== before[i])} has changed`);
  expect(describeArea(area)).toBe(text);
}

/** Frees all of a list, in order. */
export function freeAll(area: DsaArea, pointers: Iterable<DsaPointer>): void {
  for (const pointer of pointers) area.free(pointer);
}

/** Losses that the C original has too, as the checker counts them: root pages (P7) and span objects (P9). */
export function losses(area: DsaArea): { rootPages: number; spanObjects: number } {
  const { rootPages, spanObjects } = area.verify().losses;
  return { rootPages, spanObjects };
}

/** Free pages of a segment that a superblock needs, with one more for its span: below, it would fail and lose one (P9). */
const ENOUGH = 17;

/**
 * Gives segments that hold no object back: freeing a large object alone does not do that (trap P10), so all free pages
 * are filled with superblocks, which are then emptied. Segments too small for a superblock stay.
 */
export function shake(area: DsaArea): void {
  area.trim();
  const filling: DsaPointer[] = [];
  while (area.segments().some(({ contiguousPages }) => contiguousPages >= ENOUGH)) {
    for (let k = 0; k < 8; k++) filling.push(area.allocate(8192));
  }
  freeAll(area, filling);
  area.trim();
}

/**
 * The accounting of an area without objects: every page is free, or a tree page of a page manager, or a counted loss.
 *
 * @returns indexes of the segments that are left
 */
export function expectEmpty(area: DsaArea): number[] {
  shake(area);
  expectSound(area);
  const { accounting, losses: lost } = area.verify();
  let spanBlocks = 0;
  let lostPages = 0;
  for (const { index, superblock, large, spanBlock, free, tree, recycle, meta, pages, lost: unknown } of accounting) {
    expect([index, superblock, large]).toEqual([index, 0, 0]);
    expect([index, free + tree + recycle + spanBlock + meta + unknown]).toEqual([index, pages]);
    spanBlocks += spanBlock;
    lostPages += unknown;
    // What stays beside the first segment does so for a reason.
    const reason = index === 0 || spanBlock > 0 || unknown > 0 || pages - meta < ENOUGH;
    expect([index, reason]).toEqual([index, true]);
  }
  expect(lostPages).toBe(lost.rootPages);
  expect(spanBlocks).toBeLessThanOrEqual(lost.spanObjects);
  expect(area.getTotalSize()).toBe(area.segments().reduce((sum, { size }) => sum + size, 0));
  return accounting.map(({ index }) => index);
}
