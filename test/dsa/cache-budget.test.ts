/** How much caches may hold: never more than an eighth of the limit or the region, nothing of it in a tight heap. */

import { describe, expect, it } from 'vitest';
import {
  CACHE_FIRST,
  CACHE_LARGE_OBJECTS,
  CACHE_LARGE_PAGES,
  CACHE_OBJECTS,
  cacheSlotWord,
  CS_GRANTED,
} from '../../dist/dsa/cache-layout.js';
import { cacheLimit } from '../../dist/dsa/cache.js';
import { CLASS_SIZE, NUM_SIZE_CLASSES } from '../../dist/dsa/size-classes.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import {
  boundBytes,
  expectAccount,
  expectInvariants,
  expectNoCache,
  grantedBytes,
  join,
  type Member,
  newCached,
  slotOf,
} from './cache-helpers.js';
import { expectSound, freeAll, MIB, PAGE, STORES } from './helpers.js';

/** Fills the caches of a participant as far as they go: each class, then large objects. */
function fillCaches({ area }: Member): void {
  for (let c = 2; c < NUM_SIZE_CLASSES; c++) {
    const live = Array.from({ length: 2 * CACHE_OBJECTS[c]! }, () => area.allocate(CLASS_SIZE[c]!));
    freeAll(area, live);
  }
  const large: DsaPointer[] = [];
  for (const npages of [3, 256, 3, 200, 256, 17, 256, 100]) large.push(area.allocate(npages * PAGE));
  freeAll(area, large);
}

/** The bound holds for what was granted, and what was granted for what is held. */
function expectWithin(members: readonly Member[], bound: number): void {
  const { area } = members[0]!;
  expect(grantedBytes(area)).toBeLessThanOrEqual(bound);
  expect(area.stats().cachedBytes).toBeLessThanOrEqual(grantedBytes(area));
  let sum = 0;
  for (const one of members) {
    const { granted, objects, largeCount, largePages } = slotOf(one.area);
    sum += granted;
    for (let c = 2; c < NUM_SIZE_CLASSES; c++) expect([c, objects[c]! <= CACHE_OBJECTS[c]!]).toEqual([c, true]);
    expect(largeCount).toBeLessThanOrEqual(CACHE_LARGE_OBJECTS);
    expect(largePages).toBeLessThanOrEqual(CACHE_LARGE_PAGES);
    expectInvariants(one.area);
  }
  expect(sum).toBe(grantedBytes(area));
}

describe.each(STORES)('room on %s', (store) => {
  it('is no more than the tables have, where there is plenty', () => {
    const first = newCached({}, { store, regionSize: 1024 * MIB });
    fillCaches(first);
    expectWithin([first], boundBytes(first.area));
    for (let c = 2; c < NUM_SIZE_CLASSES; c++) expect(cacheLimit(first.area.state.block, c)).toBe(CACHE_OBJECTS[c]);
    expect(slotOf(first.area).largePages).toBeGreaterThan(CACHE_LARGE_PAGES / 2);
    expectAccount(first.area);
  });

  it('is an eighth of the limit for all together', () => {
    const first = newCached({}, { store, regionSize: 1024 * MIB });
    const members = [first, join(first), join(first), join(first)];
    first.area.setSizeLimit(64 * MIB);
    expect(boundBytes(first.area)).toBe(8 * MIB);
    for (const one of members) {
      fillCaches(one);
      expectWithin(members, 8 * MIB);
    }
    expect(grantedBytes(first.area)).toBeGreaterThan(7 * MIB);
    expectAccount(first.area);
    for (const { area } of members) area.trim();
    expectNoCache(first.area);
  });

  it('is nothing in a heap with a tiny limit, and all works', () => {
    const first = newCached({}, { store });
    const second = join(first);
    // One byte less than the bound that two objects of 8 bytes need.
    first.area.setSizeLimit(2 * 8 * 8 - 8);
    for (let round = 0; round < 3; round++) {
      const live = Array.from({ length: 40 }, (_, k) =>
        (k % 2 ? first : second).area.allocate([24, 400, 3000, 10_000][k % 4]!),
      );
      expect(new Set(live).size).toBe(40);
      freeAll(second.area, live);
      expectNoCache(first.area);
      expect(expectAccount(first.area).liveObjects).toBe(0);
    }
  });

  it('is had by those classes for which it lasts', () => {
    const first = newCached({}, { store });
    // 1000 bytes: the first room of the smallest class, and what halves of that of others still fit.
    first.area.setSizeLimit(8000);
    expect(boundBytes(first.area)).toBe(1000);
    for (const size of [8, 2048, 16, 8192, 24]) first.area.free(first.area.allocate(size));
    const { objects, granted } = slotOf(first.area);
    expect(granted).toBe(64 * 8 + 16 * 16 + 8 * 24);
    expect(objects.filter((n) => n > 0).length).toBe(3);
    expectSound(first.area);
    first.area.setSizeLimit(Infinity);
    first.area.free(first.area.allocate(8192));
    expect(slotOf(first.area).granted).toBe(granted + CACHE_FIRST[37]! * 8192);
  });

  it('may be more than a limit that was lowered later allows, and then does not grow', () => {
    const first = newCached({}, { store, regionSize: 1024 * MIB });
    const second = join(first);
    fillCaches(first);
    const had = grantedBytes(first.area);
    first.area.setSizeLimit(4 * had);
    expect(first.area.verify()).toMatchObject({ ok: true });
    for (const { area } of [first, second]) for (const size of [8, 100, 8192, 50_000]) area.free(area.allocate(size));
    for (const size of [8, 100, 8192, 50_000]) second.area.free(second.area.allocate(size));
    expect(grantedBytes(first.area)).toBe(had);
    expect(slotOf(second.area)).toMatchObject({ granted: 0, largeCount: 0 });
    first.area.trim();
    expectNoCache(first.area);
    fillCaches(second);
    expectWithin([first, second], Math.floor(had / 2));
  });

  it('is given back by trim and by leaving, to the last byte', () => {
    const first = newCached({}, { store });
    const second = join(first);
    for (const one of [first, second]) fillCaches(one);
    const own = slotOf(first.area).granted;
    second.area.detach();
    expect(grantedBytes(first.area)).toBe(own);
    first.area.trim();
    expectNoCache(first.area);
  });
});

it('is an eighth of the region, on buffers only what tables have', () => {
  const region = newCached({}, { store: 'region', regionSize: 64 * MIB });
  expect(boundBytes(region.area)).toBe(8 * MIB);
  const members = [region, join(region), join(region)];
  for (const one of members) {
    fillCaches(one);
    expectWithin(members, 8 * MIB);
  }
  const buffers = newCached({}, { store: 'buffers' });
  expect(boundBytes(buffers.area)).toBeGreaterThan(8 * 1024 * MIB);
});

it('two who ask at the same moment do not get too much together', () => {
  const first = newCached({}, { store: 'region', regionSize: 64 * MIB });
  const second = join(first);
  const { table } = first.dsm;
  const theirs = cacheSlotWord(second.area.state.p.slot) + CS_GRANTED;
  const { cacheTable } = first.area.state;
  const highWater = table.highWater.bind(table);
  let looks = 0;
  // The first look is the one that only refuses; before the second one the other has all.
  table.highWater = () => {
    if (++looks === 2) cacheTable[theirs] = boundBytes(first.area) / 8;
    return highWater();
  };
  const pointer = first.area.allocate(64);
  table.highWater = highWater;
  expect(looks).toBeGreaterThanOrEqual(2);
  expect(slotOf(first.area)).toMatchObject({ granted: 0 });
  expect(slotOf(first.area).objects.every((n) => n === 0)).toBe(true);
  cacheTable[theirs] = 0;
  first.area.free(pointer);
  expectWithin([first, second], boundBytes(first.area));
  expect(slotOf(first.area).granted).toBe(64 * 64);
});

it('a class gets at least two objects, and no class starts with more than it may have', () => {
  for (let c = 2; c < NUM_SIZE_CLASSES; c++) {
    expect([c, CACHE_FIRST[c]! >= 2, CACHE_FIRST[c]! <= CACHE_OBJECTS[c]!]).toEqual([c, true, true]);
    expect(CACHE_OBJECTS[c]).toBeLessThanOrEqual(256);
  }
});
