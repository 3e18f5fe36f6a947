/**
 * Heaps, segments and objects beyond 4 GiB, where 32 bits do not suffice any more. Memory is lazily backed: only what is
 * written becomes resident, which is little.
 */

import { describe, expect, it } from 'vitest';
import { DSA_ALLOC_HUGE, DSA_ALLOC_NO_OOM, DSA_ALLOC_ZERO, DsaArea, offsetOf, segmentOf } from '../../dist/dsa/dsa.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import {
  another,
  as,
  bytesOf,
  codeOf,
  expectSound,
  freeAll,
  GIB,
  holds,
  MIB,
  newArea,
  newAreaInPlace,
  PAGE,
  STORES,
} from './helpers.js';

/** Writes and reads the ends of an object, and a few bytes around each GiB. */
function touch(area: DsaArea, pointer: DsaPointer, size: number, value: number): void {
  const places = [0, size - 8];
  for (let at = GIB; at < size - GIB / 2; at += GIB) places.push(at - 8, at);
  for (const at of places) bytesOf(area, as(pointer + at), 8).fill(value);
  for (const at of places) expect([at, [...bytesOf(area, as(pointer + at), 8)]]).toEqual([at, Array(8).fill(value)]);
}

describe.each(STORES)('on %s', (store) => {
  it('many segments with more than 4 GiB together', () => {
    const { dsm, area } = newArea({}, { store });
    const there = DsaArea.attach(another(dsm), area.handle);
    const objects: DsaPointer[] = [];
    while (area.getTotalSize() < 6 * GIB) {
      objects.push(area.allocate(300 * MIB), area.allocate(100), area.allocate(5000), area.allocate(90_000));
    }
    expect(new Set(objects.map(segmentOf)).size).toBeGreaterThan(6);
    for (const [k, pointer] of objects.entries()) touch(area, pointer, area.sizeOf(pointer), k & 255);
    for (const [k, pointer] of objects.entries()) expect(holds(there, pointer, 8, k & 255)).toBe(true);
    if (store === 'region') {
      expect(objects.some((pointer) => area.getAddress(pointer)!.byteOffset > 4 * GIB)).toBe(true);
    }
    expect(dsm.stats().segments.reduce((sum, { size }) => sum + size, 0)).toBe(area.getTotalSize());
    expectSound(area);
    freeAll(there, objects);
    expectSound(there);
    expect(area.getTotalSize()).toBeGreaterThan(6 * GIB);
  });

  it('one object of 5 GiB, to its last byte', () => {
    const { area } = newArea({}, { store });
    const size = 5 * GIB;
    expect(codeOf(() => area.allocate(size))).toBe('ERR_HEAP_BAD_SIZE');
    const pointer = area.allocate(size, DSA_ALLOC_HUGE);
    expect([segmentOf(pointer), area.sizeOf(pointer)]).toEqual([1, size]);
    expect(area.segments()[1]).toMatchObject({ usablePages: size / PAGE, contiguousPages: 0 });
    touch(area, pointer, size, 0x5c);
    expectSound(area);
    for (const at of [8, PAGE, 2 ** 32, 2 ** 32 + PAGE, size - 8, size - PAGE]) {
      expect([at, codeOf(() => area.free(as(pointer + at)))]).toEqual([at, 'ERR_HEAP_INTERIOR_POINTER']);
    }
    area.free(pointer);
    expect(codeOf(() => area.free(pointer))).toBe('ERR_HEAP_DOUBLE_FREE');
    expectSound(area);
    expect(area.allocate(size, DSA_ALLOC_HUGE)).toBe(pointer);
    expect(holds(area, as(pointer + size - 8), 8, 0x5c)).toBe(true);
  });

  it('objects and superblocks at offsets beyond 4 GiB, in segment 0 and in segment 1', () => {
    const { dsm, area } = newArea({ initSegmentSize: 6 * GIB }, { store });
    const there = DsaArea.attach(another(dsm), area.handle);
    const sizes = [8, 100, 1000, 8192, 8193, 20_000, 300_000];
    const objects: DsaPointer[] = [];
    const big: DsaPointer[] = [];
    for (const index of [0, 1]) {
      big.push(area.allocate((4.5 + index / 2) * GIB, DSA_ALLOC_HUGE));
      expect(segmentOf(big.at(-1)!)).toBe(index);
      for (let k = 0; k < 700; k++) objects.push(area.allocate(sizes[k % 7]!));
    }
    expect(objects.slice(0, 700).every((pointer) => segmentOf(pointer) === 0)).toBe(true);
    expect(objects.filter((pointer) => segmentOf(pointer) === 1).length).toBeGreaterThan(300);
    const high = objects.filter((pointer) => offsetOf(pointer) > 4 * GIB);
    expect(high.length).toBe(objects.length);
    for (const [k, pointer] of objects.entries()) bytesOf(area, pointer, area.sizeOf(pointer)).fill(k % 251);
    for (const [k, pointer] of objects.entries())
      expect(holds(there, pointer, there.sizeOf(pointer), k % 251)).toBe(true);
    expectSound(area);
    for (const [k, pointer] of objects.entries()) if (k % 2 === 0) there.free(pointer);
    for (const pointer of objects.filter((_, k) => k % 2 === 0)) {
      expect(codeOf(() => area.free(pointer))).toMatch(/DOUBLE_FREE|FOREIGN|INTERIOR/);
    }
    expectSound(area);
    freeAll(
      area,
      objects.filter((_, k) => k % 2 === 1),
    );
    freeAll(there, big);
    area.trim();
    expectSound(area);
    expect(area.segments()[0]!.contiguousPages).toBe(area.segments()[0]!.usablePages);
  });

  it('zeroes what lies beyond 4 GiB, and only that', () => {
    const { area } = newArea({ initSegmentSize: 6 * GIB }, { store });
    const below = 4300 * MIB;
    const low = area.allocate(below, DSA_ALLOC_HUGE);
    const dirty = area.allocate(3 * MIB);
    const next = area.allocate(8 * PAGE);
    expect(offsetOf(dirty)).toBeGreaterThan(4 * GIB);
    bytesOf(area, dirty, 3 * MIB).fill(0xff);
    bytesOf(area, next, 8).fill(0xee);
    bytesOf(area, as(low + below - 8), 8).fill(0xdd);
    area.free(dirty);
    const clean = area.allocate(3 * MIB, DSA_ALLOC_ZERO);
    expect(clean).toBe(dirty);
    expect(holds(area, clean, 3 * MIB, 0)).toBe(true);
    expect(holds(area, next, 8, 0xee)).toBe(true);
    expectSound(area);
  });
});

describe('in the region', () => {
  it('a heap that has given everything back makes the same pages anew', () => {
    const { area } = newArea({ maxSegmentSize: 512 * MIB });
    for (let round = 0; round < 3; round++) {
      const objects = Array.from({ length: 18 }, () => area.allocate(400 * MIB));
      expect(area.getTotalSize()).toBeGreaterThan(7 * GIB);
      for (const pointer of objects) touch(area, pointer, 400 * MIB, round);
      expectSound(area);
      freeAll(area, objects);
      expectSound(area);
    }
  });

  it('the end of the reservation is out of memory, not damage', () => {
    const { dsm, area } = newArea({}, { regionSize: 9 * GIB });
    const objects: DsaPointer[] = [];
    for (let p = area.allocate(700 * MIB, DSA_ALLOC_NO_OOM); p !== 0; p = area.allocate(700 * MIB, DSA_ALLOC_NO_OOM)) {
      objects.push(p);
    }
    expect(objects.length).toBeGreaterThan(4);
    expect(codeOf(() => area.allocate(700 * MIB))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    expect(dsm.stats().largestFreeBytes).toBeGreaterThan(0);
    for (const pointer of objects) touch(area, pointer, 700 * MIB, 1);
    expectSound(area);
    freeAll(area, objects);
    expectSound(area);
  });
});

it('a place of 6 GiB', () => {
  const { area } = newAreaInPlace(6 * GIB);
  const low = area.allocate(4.5 * GIB, DSA_ALLOC_HUGE);
  const objects = Array.from({ length: 3000 }, (_, k) => area.allocate(1 + ((k * 61) % 9000)));
  expect([low, ...objects].every((pointer) => segmentOf(pointer) === 0)).toBe(true);
  expect(objects.some((pointer) => pointer > 4 * GIB)).toBe(true);
  for (const [k, pointer] of objects.entries()) bytesOf(area, pointer, area.sizeOf(pointer)).fill(k % 251);
  for (const [k, pointer] of objects.entries()) expect(holds(area, pointer, area.sizeOf(pointer), k % 251)).toBe(true);
  expectSound(area);
  freeAll(area, [...objects, low]);
  area.trim();
  expectSound(area);
  const [first] = area.segments();
  expect(first!.contiguousPages).toBe(first!.usablePages);
  area.releaseInPlace();
});
