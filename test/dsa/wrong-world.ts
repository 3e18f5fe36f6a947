/** Areas with something of everything in them, for the test of every value that is not the start of a live object. */

import { expect } from 'vitest';
import { DsaArea, segmentOf } from '../../dist/dsa/dsa.js';
import type { Dsm } from '../../dist/dsm/dsm.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { bytesOf, freeAll, holds, KIB, PAGE } from './helpers.js';

/** Live objects with their usable sizes. */
type Live = Map<DsaPointer, number>;

const OPTIONS = { initSegmentSize: 256 * KIB, maxSegmentSize: 256 * KIB };

/** Objects of all kinds, some of them freed again, in segments 0 to 2. */
export function objectsWorld(dsm: Dsm) {
  const area = DsaArea.create(dsm, OPTIONS);
  const make = (count: number, size: number): DsaPointer[] => Array.from({ length: count }, () => area.allocate(size));
  /** Slots of 112 bytes; #1, #3 and the last are freed. */
  const small = make(20, 100);
  /** The first page of their superblock is not even full. */
  const tiny = make(6, 8);
  /** 12 slots of 5456 bytes, which leave 64 bytes of the superblock. */
  const waste = make(1, 5000);
  /** 5 pages. */
  const large = make(1, 5 * PAGE - 100);
  /** 4 pages, freed; nothing has them now. */
  const largeFreed = make(1, 4 * PAGE);
  /** A superblock full of 8 objects; the ninth lies in the next. */
  const full = make(9, 8192);
  /** Freed; the only object of its class, so its superblock is kept. */
  const lonely = make(1, 1500);
  /** 21 slots of 3120 bytes and one more: all but the last freed, so their superblock was destroyed. */
  const destroyed = make(22, 3000);
  /** 3 and 6 pages, freed; an object of 9 pages has them now. */
  const covered = [area.allocate(3 * PAGE), area.allocate(6 * PAGE)];
  freeAll(area, [small[3]!, small[1]!, small[19]!, ...largeFreed, ...lonely, ...destroyed.slice(0, 21)]);
  freeAll(area, covered);
  const cover = area.allocate(9 * PAGE);
  expect([segmentOf(large[0]!), segmentOf(largeFreed[0]!), segmentOf(waste[0]!)]).toEqual([0, 0, 0]);
  expect(cover).toBe(covered[0]);
  const kept = small.filter((_, k) => k !== 1 && k !== 3 && k !== 19);
  const live: Live = new Map(
    [...kept, ...tiny, ...waste, ...large, ...full, destroyed[21]!, cover].map((p) => [p, area.sizeOf(p)]),
  );
  const other = DsaArea.create(dsm, OPTIONS);
  const stranger = Array.from({ length: 200 }, () => other.allocate(8192)).find((p) => segmentOf(p) === 3)!;
  return {
    area,
    small,
    tiny,
    waste: waste[0]!,
    large: large[0]!,
    largeFreed: largeFreed[0]!,
    full,
    lonely: lonely[0]!,
    destroyed,
    covered: covered[1]!,
    cover,
    live,
    stranger,
  };
}

/** Segment 1 replaced by another one, segment 2 given back. */
export function staleWorld(dsm: Dsm) {
  const area = DsaArea.create(dsm, OPTIONS);
  const rest = area.allocate(50 * PAGE);
  const old = Array.from({ length: 48 }, () => area.allocate(8192));
  expect(old.map(segmentOf)).toEqual(old.map((_, k) => (k < 24 ? 1 : 2)));
  freeAll(area, old);
  area.trim();
  expect(area.segments().map(({ index }) => index)).toEqual([0]);
  const replacing = area.allocate(60 * PAGE);
  expect(replacing).toBe(old[0]);
  const live: Live = new Map([rest, replacing].map((p) => [p, area.sizeOf(p)]));
  return { area, replaced: old[8]!, replacing, stale: old[24]!, live };
}

/** Writes something recognisable into every live object. */
export function mark(area: DsaArea, live: Live): void {
  for (const [pointer, size] of live) bytesOf(area, pointer, size).fill(pointer % 251);
}

/** Fails unless every live object is live, of its size, and holds what {@link mark} wrote. */
export function expectMarked(area: DsaArea, live: Live): void {
  for (const [pointer, size] of live) {
    expect(area.sizeOf(pointer)).toBe(size);
    expect([pointer, holds(area, pointer, size, pointer % 251)]).toEqual([pointer, true]);
  }
}
