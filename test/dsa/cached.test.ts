/**
 * Allocating and freeing where the hot path could not: memory that has run out, and pointers that are wrong.
 *
 * An allocation may fail only when less is free than it needs and what all caches together may hold.
 */

import { describe, expect, it } from 'vitest';
import { DSA_ALLOC_NO_OOM, type DsaArea, makePointer, segmentOf } from '../../dist/dsa/dsa.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import {
  boundBytes,
  bury,
  classOf,
  expectAccount,
  expectInvariants,
  expectNoCache,
  grantedBytes,
  join,
  mortal,
  newCached,
  slotOf,
  stackOf,
} from './cache-helpers.js';
import { as, bytesOf, codeOf, expectUnchanged, freeAll, holds, KIB, losses, MIB, PAGE, STORES } from './helpers.js';

/** Allocates until there is no more. */
function exhaust(area: DsaArea, size: number): DsaPointer[] {
  const all: DsaPointer[] = [];
  for (let p = area.allocate(size, DSA_ALLOC_NO_OOM); p !== 0; p = area.allocate(size, DSA_ALLOC_NO_OOM)) all.push(p);
  return all;
}

/** Free bytes of the class of `size`, and whole free superblocks, that are not in caches. */
function reachable(area: DsaArea, size: number): number {
  const numbers = area.stats().perClass.find(({ objectSize }) => objectSize === size);
  return numbers === undefined ? 0 : (numbers.free - numbers.cached) * size;
}

const LIMIT = 4 * MIB;

/** A heap that may have 4 MiB, and members whose caches are full of objects of a size. */
function tight(store: 'region' | 'buffers', idle: number, size: number) {
  const first = newCached({ initSegmentSize: MIB, maxSegmentSize: MIB }, { store });
  first.area.setSizeLimit(LIMIT);
  const members = Array.from({ length: idle }, () => mortal(first));
  for (const { area } of members)
    freeAll(
      area,
      Array.from({ length: Math.min(300, Math.floor(MIB / size)) }, () => area.allocate(size)),
    );
  return { first, members };
}

describe.each(STORES)('memory that has run out on %s', (store) => {
  it.each([8, 64, 1024, 8192, 20_480])('with 8 idle participants that cache objects of %i bytes', (size) => {
    const { first, members } = tight(store, 8, size);
    const { area } = first;
    expect(grantedBytes(area)).toBeGreaterThan(size * 2);
    expect(grantedBytes(area)).toBeLessThanOrEqual(LIMIT / 8);
    const live = exhaust(area, size);
    expect(new Set(live).size).toBe(live.length);
    // What is free is in the caches of others, but for less than one object.
    const { cachedBytes, liveObjects } = expectAccount(area);
    expect(liveObjects).toBe(live.length);
    expect(cachedBytes).toBeLessThanOrEqual(boundBytes(area));
    expect(reachable(area, size)).toBe(0);
    expect(area.segments().every(({ contiguousPages }) => contiguousPages < Math.max(17, size / PAGE))).toBe(true);
    expect(slotOf(area)).toMatchObject({ granted: 0, largeCount: 0 });
    expect(codeOf(() => area.allocate(size))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    // Those who have it can still have it.
    const more = members.flatMap((one) => exhaust(one.area, size));
    expect(more.length).toBe(Math.floor(cachedBytes / (size > 8192 ? size : CEIL[size]!)));
    expect(new Set([...live, ...more]).size).toBe(live.length + more.length);
    expect(expectAccount(area).cachedBytes).toBe(0);
    freeAll(area, [...live, ...more]);
    for (const one of [first, ...members]) one.area.trim();
    expectNoCache(area);
    expect(expectAccount(area).liveObjects).toBe(0);
    for (const { dsm } of members) dsm.leave();
  });

  it('a fraction of its own cache is emptied before an allocation of another kind fails', () => {
    const { first } = tight(store, 0, 64);
    const { area } = first;
    // Everything is full of objects of 64 bytes; then all are freed, and the cache keeps some.
    const live = exhaust(area, 64);
    freeAll(area, live);
    expect(slotOf(area).objects[classOf(64)]).toBeGreaterThan(100);
    const free = area.stats().freeBytes;
    const large = exhaust(area, 100 * KIB);
    expect(slotOf(area).granted).toBe(0);
    expect(large.length * 100 * KIB).toBeGreaterThan(free - 4 * 120 * KIB);
    expect(expectAccount(area).liveObjects).toBe(large.length);
    freeAll(area, large);
    area.trim();
    expectNoCache(area);
  });

  it.each([64, 8192, 40_960])('what gone ones have cached is taken back first, objects of %i bytes', (size) => {
    const { first, members } = tight(store, 8, size);
    const alone = newCached({ initSegmentSize: MIB, maxSegmentSize: MIB }, { store });
    alone.area.setSizeLimit(LIMIT);
    const most = exhaust(alone.area, size).length;
    for (const one of members) bury(one);
    expect(first.area.stats().cachedBytes).toBeGreaterThan(size);
    const live = exhaust(first.area, size);
    expect(expectAccount(first.area).liveObjects).toBe(live.length);
    expectNoCache(first.area);
    // As many as if they had never been there; what their superblocks took is back as well.
    expect(live.length).toBeGreaterThanOrEqual(most - 65_536 / Math.max(size, 64));
  });

  it('so it is by a participant that has no cache of its own', () => {
    const { first, members } = tight(store, 4, 8192);
    const others = Array.from({ length: 40 }, () => mortal(first));
    const without = others.find(({ area }) => !area.state.caching)!;
    for (const one of members) bury(one);
    expect(first.area.stats().cachedBytes).toBeGreaterThan(8192);
    exhaust(without.area, 8192);
    expect(first.area.stats().cachedBytes).toBe(0);
    expectAccount(first.area);
    for (const { dsm } of others) dsm.leave();
  });

  it('nothing is lost when a superblock cannot be had, however often', () => {
    const { first } = tight(store, 0, 64);
    const { area } = first;
    const live = [64, 8192, 3000].flatMap((size) => exhaust(area, size));
    const before = expectAccount(area);
    for (let k = 0; k < 300; k++) expect(area.allocate([64, 8192, 3000][k % 3]!, DSA_ALLOC_NO_OOM)).toBe(0);
    expect(losses(area).spanObjects).toBe(0);
    expect(expectAccount(area)).toEqual(before);
    freeAll(area, live);
    area.trim();
    expectNoCache(area);
  });

  it('a failure leaves what is live, and the account', () => {
    const { first, members } = tight(store, 2, 1024);
    const { area } = first;
    const sizes = [1, 1024, 8192, 9000, 3 * MIB, 5 * MIB, 2 ** 30 - 1];
    const live = [1024, ...sizes].flatMap((size) => exhaust(area, size));
    for (const [k, pointer] of live.entries()) bytesOf(area, pointer, area.sizeOf(pointer)).fill(k & 255);
    const before = expectAccount(area);
    const others = members.map((one) => slotOf(one.area));
    for (const size of sizes) {
      expect(codeOf(() => area.allocate(size))).toBe('ERR_HEAP_OUT_OF_MEMORY');
      expect(area.allocate(size, DSA_ALLOC_NO_OOM)).toBe(0);
      const after = expectAccount(area);
      expect({ ...after, metadataBytes: 0, freeBytes: 0 }).toEqual({ ...before, metadataBytes: 0, freeBytes: 0 });
      for (const one of [first, ...members]) expectInvariants(one.area);
    }
    expect(members.map((one) => slotOf(one.area))).toEqual(others);
    expect(live.every((pointer, k) => holds(area, pointer, area.sizeOf(pointer), k & 255))).toBe(true);
    freeAll(area, live);
    for (const one of [first, ...members]) one.area.trim();
    expectNoCache(area);
    for (const { dsm } of members) dsm.leave();
  });
});

/** Object size of the classes above. */
const CEIL: Record<number, number> = { 8: 8, 64: 64, 1024: 1024, 8192: 8192 };

type Wrong = [name: string, code: string, pointer: (w: ReturnType<typeof wrongScene>) => unknown];

/** Two participants; live and cached objects of either, some given back to the pool, a segment given back. */
function wrongScene(store: 'region' | 'buffers', checks = true) {
  const first = newCached({ checks, initSegmentSize: 256 * KIB, maxSegmentSize: 256 * KIB }, { store });
  const second = join(first);
  const { area } = first;
  const live = [24, 100, 3000, 8192, 20_000].map((size) => area.allocate(size));
  const rest = Array.from({ length: 90 }, () => area.allocate(8192));
  const stale = rest.filter((p) => segmentOf(p) === Math.max(...rest.map(segmentOf)));
  freeAll(area, rest.slice(-2 * 24 - stale.length));
  area.trim();
  const pooled = Array.from({ length: 40 }, () => area.allocate(100));
  freeAll(area, pooled.slice(0, 39));
  area.trim();
  const mine = [24, 100, 3000, 8192, 20_000].map((size) => area.allocate(size));
  const theirs = [24, 100, 3000, 8192, 20_000].map((size) => area.allocate(size));
  freeAll(area, mine);
  freeAll(second.area, theirs);
  expect(area.segments().map(({ index }) => index)).not.toContain(segmentOf(stale[0]!));
  for (const [k, pointer] of live.entries()) bytesOf(area, pointer, 24).fill(k + 1);
  return { first, second, live, pooled, mine, theirs, stale: stale[0]! };
}

const DOUBLE = 'ERR_HEAP_DOUBLE_FREE';
const INTERIOR = 'ERR_HEAP_INTERIOR_POINTER';
const FOREIGN = 'ERR_HEAP_FOREIGN_POINTER';
const MISALIGNED = 'ERR_HEAP_MISALIGNED_POINTER';

/** Found whether an area keeps marks or not. */
const ALWAYS: Wrong[] = [
  ['a fraction', MISALIGNED, (w) => w.live[0]! + 0.5],
  ['an object with 4 added', MISALIGNED, (w) => w.live[1]! + 4],
  ['a negative number', MISALIGNED, (w) => -w.live[1]!],
  ['NaN', MISALIGNED, () => NaN],
  ['Infinity', MISALIGNED, () => Infinity],
  ['1e300', MISALIGNED, () => 1e300],
  ['2^63', MISALIGNED, () => 2 ** 63],
  ['a bigint', MISALIGNED, (w) => BigInt(w.live[1]!)],
  ['a text', MISALIGNED, (w) => String(w.live[1])],
  ['nothing', MISALIGNED, () => undefined],
  ['0', FOREIGN, () => 0],
  ['8, in the control block', FOREIGN, () => 8],
  ['2^50', FOREIGN, () => 2 ** 50],
  ['2^53 - 8', FOREIGN, () => 2 ** 53 - 8],
  ['4 GiB beyond an object', FOREIGN, (w) => w.live[1]! + 2 ** 32],
  ['a span object', FOREIGN, () => 2 * PAGE + 56],
  ['a segment that never was', 'ERR_HEAP_STALE_SEGMENT', () => makePointer(900, 8 * PAGE)],
  ['an object of a segment that was given back', 'ERR_HEAP_STALE_SEGMENT', (w) => w.stale],
  ['inside a large object', INTERIOR, (w) => w.live[4]! + PAGE],
  ['the first bytes of a large object', INTERIOR, (w) => w.live[4]! + 8],
];

/** Found by the marks. */
const WITH_CHECKS: Wrong[] = [
  ['inside a small object', INTERIOR, (w) => w.live[1]! + 8],
  ['inside an object of 8192 bytes, on its second page', INTERIOR, (w) => w.live[3]! + PAGE],
  ['inside a cached object', INTERIOR, (w) => w.mine[1]! + 8],
  ['a slot that was never handed out', FOREIGN, (w) => w.live[0]! + 2000 * 24],
  ...[0, 1, 2, 3, 4].flatMap((k): Wrong[] => [
    [`object ${k} in the own cache`, DOUBLE, (w) => w.mine[k]],
    [`object ${k} in the cache of another`, DOUBLE, (w) => w.theirs[k]],
  ]),
  ['the oldest object that went back to its pool', DOUBLE, (w) => w.pooled[0]],
  ['the newest object that went back to its pool', DOUBLE, (w) => w.pooled[38]],
];

/** All that a wrong free must not change, the tables of caches included. */
function expectRefused({ first, second, live }: ReturnType<typeof wrongScene>, wrong: unknown, code: string): void {
  const caches = (): unknown =>
    [first, second].map(({ area }) => [slotOf(area), ...[4, 12, 31].map((c) => stackOf(area, c))]);
  const before = caches();
  expectUnchanged(first.area, () => {
    for (const { area } of [first, second]) expect(codeOf(() => area.free(as(wrong)))).toBe(code);
  });
  expect(caches()).toEqual(before);
  expectInvariants(first.area);
  for (const [k, pointer] of live.entries()) expect(holds(first.area, pointer, 24, k + 1)).toBe(true);
}

describe.each(STORES)('free of a wrong pointer on %s', (store) => {
  it.each([...ALWAYS, ...WITH_CHECKS])('%s: %s', (_name, code, pointer) => {
    const w = wrongScene(store);
    expectRefused(w, pointer(w), code);
    expectAccount(w.first.area);
  });

  it('is found again and again, and nothing piles up', () => {
    const w = wrongScene(store);
    for (let k = 0; k < 400; k++) {
      expect(codeOf(() => w.first.area.free(w.mine[k % 5]!))).toBe(DOUBLE);
      expect(codeOf(() => w.second.area.free(w.mine[k % 5]!))).toBe(DOUBLE);
    }
    const again = Array.from({ length: 40 }, () => w.first.area.allocate(100));
    expect(new Set(again).size).toBe(40);
    expectAccount(w.second.area);
  });

  it('of an object whose slot another one has now is that one’s free', () => {
    const { area } = newCached({}, { store });
    const pointer = area.allocate(64);
    area.free(pointer);
    expect(area.allocate(64)).toBe(pointer);
    area.free(pointer);
    expect(codeOf(() => area.free(pointer))).toBe(DOUBLE);
    expect(expectAccount(area).liveObjects).toBe(0);
  });
});

describe.each(STORES)('without checks on %s', (store) => {
  it.each(ALWAYS)('%s: %s', (_name, code, pointer) => {
    const w = wrongScene(store, false);
    expectRefused(w, pointer(w), code);
    expectAccount(w.first.area);
  });

  it('a large object that is freed twice does no harm once it has left the cache', () => {
    const { area } = newCached({ checks: false }, { store });
    const [pointer, other] = [area.allocate(20_000), area.allocate(20_000)];
    area.free(pointer);
    area.free(pointer);
    area.trim();
    expectNoCache(area);
    expect(area.isLive(pointer)).toBe(false);
    expect(codeOf(() => area.free(pointer))).toBe(DOUBLE);
    area.free(other);
    area.trim();
    expect(expectAccount(area).liveObjects).toBe(0);
  });

  it('so does a small one', () => {
    const { area } = newCached({ checks: false }, { store });
    const [pointer] = [area.allocate(1000), area.allocate(1000)];
    area.free(pointer!);
    area.free(pointer!);
    area.trim();
    expectNoCache(area);
    expect(area.isLive(pointer!)).toBe(false);
    expect(expectAccount(area).liveObjects).toBe(1);
  });
});
