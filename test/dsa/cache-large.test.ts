/** Runs of pages in a cache: the newest of exactly the wanted size, bounded in number and pages. */

import { describe, expect, it } from 'vitest';
import { CACHE_LARGE_OBJECTS, CACHE_LARGE_PAGES, CACHE_LARGEST_PAGES } from '../../dist/dsa/cache-layout.js';
import type { DsaArea } from '../../dist/dsa/dsa.js';
import { setObjectState } from '../../dist/dsa/object-state.js';
import { STATE_LIVE } from '../../dist/dsa/state.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { expectAccount, expectNoCache, join, newCached, slotOf, stateAt } from './cache-helpers.js';
import { codeOf, expectSound, freeAll, MIB, PAGE, STORES } from './helpers.js';

function make(area: DsaArea, count: number, npages: number): DsaPointer[] {
  return Array.from({ length: count }, () => area.allocate(npages * PAGE));
}

/** Number and pages of the large objects in a cache. */
function cached(area: DsaArea): number[] {
  const { largeCount, largePages } = slotOf(area);
  return [largeCount, largePages];
}

describe.each(STORES)('on %s', (store) => {
  it('hands out the newest of the wanted size, whoever had allocated it', () => {
    const first = newCached({}, { store });
    const second = join(first);
    const [a, b, c] = [3, 3, 5].map((npages) => second.area.allocate(npages * PAGE)) as [
      DsaPointer,
      DsaPointer,
      DsaPointer,
    ];
    freeAll(first.area, [a, b, c]);
    expect(cached(first.area)).toEqual([3, 11]);
    expect(stateAt(second.area, a)).toBe(first.area.state.mark);
    expect(second.area.isLive(a)).toBe(false);
    // Another size, and another participant, get something else.
    expect([a, b, c]).not.toContain(first.area.allocate(4 * PAGE));
    expect([a, b, c]).not.toContain(second.area.allocate(3 * PAGE));
    expect(first.area.allocate(3 * PAGE)).toBe(b);
    expect(first.area.allocate(2 * PAGE + 1)).toBe(a);
    expect(first.area.allocate(4 * PAGE + 1)).toBe(c);
    expect(stateAt(second.area, a)).toBe(STATE_LIVE);
    expect(cached(first.area)).toEqual([0, 0]);
    expect(expectAccount(first.area).largeObjects).toBe(5);
  });

  it('keeps the pages, and says that they are free', () => {
    const { area } = newCached({}, { store });
    const [pointer] = make(area, 1, 20);
    const before = area.stats();
    area.free(pointer!);
    const after = expectAccount(area);
    expect(after.cachedBytes - before.cachedBytes).toBe(20 * PAGE);
    expect(after.freeBytes - before.freeBytes).toBe(20 * PAGE);
    expect([after.largeObjects, after.largeBytes, after.liveObjects]).toEqual([0, 0, 0]);
    area.trim();
    expectNoCache(area);
    expect(expectAccount(area).liveObjects).toBe(0);
    // The room for the pages went as well, and has to be asked for again.
    area.free(make(area, 1, 20)[0]!);
    expect(slotOf(area).granted).toBe(20 * PAGE);
    expectAccount(area);
  });

  it('gives back only what has its mark: another one may have freed the object at the same moment', () => {
    const { area } = newCached({}, { store });
    const pointers = [...make(area, 2, 20), area.allocate(64), area.allocate(64)];
    freeAll(area, pointers);
    const [large, , small] = pointers as [DsaPointer, DsaPointer, DsaPointer];
    // As if the other one had it first and somebody allocated it since.
    setObjectState(area.state, large, STATE_LIVE);
    setObjectState(area.state, small, STATE_LIVE);
    area.trim();
    expectNoCache(area);
    expect(pointers.map((pointer) => area.isLive(pointer))).toEqual([true, false, true, false]);
    expect(expectAccount(area).liveObjects).toBe(2);
  });

  it('has no more than its number of objects, and lets the oldest go', () => {
    const { area } = newCached({}, { store });
    const live = make(area, CACHE_LARGE_OBJECTS + 4, 3);
    freeAll(area, live);
    expect(cached(area)).toEqual([CACHE_LARGE_OBJECTS, 3 * CACHE_LARGE_OBJECTS]);
    const states = live.map((pointer) => stateAt(area, pointer) === area.state.mark);
    expect(states).toEqual(live.map((_, k) => k >= 4));
    const again = make(area, CACHE_LARGE_OBJECTS, 3);
    expect(again).toEqual(live.slice(4).reverse());
    expectSound(area);
  });

  it('has no more than its number of pages, and none of more than the largest', () => {
    const { area } = newCached({}, { store, regionSize: 256 * MIB });
    const live = make(area, 6, CACHE_LARGEST_PAGES);
    for (const pointer of live) {
      area.free(pointer);
      expect(cached(area)[1]).toBeLessThanOrEqual(CACHE_LARGE_PAGES);
    }
    expect(cached(area)).toEqual([4, CACHE_LARGE_PAGES]);
    const [tooLarge] = make(area, 1, CACHE_LARGEST_PAGES + 1);
    area.free(tooLarge!);
    expect(cached(area)).toEqual([4, CACHE_LARGE_PAGES]);
    expect(area.stats().liveObjects).toBe(0);
    // One small run pushes out one large one.
    area.free(make(area, 1, 3)[0]!);
    expect(cached(area)).toEqual([4, 3 * CACHE_LARGEST_PAGES + 3]);
    expectAccount(area);
  });

  it('asks for room, and lets older ones go where there is no more', () => {
    const { area } = newCached({}, { store });
    // 32 pages are an eighth of it.
    area.setSizeLimit(8 * 32 * PAGE);
    const live = make(area, 5, 10);
    for (const [k, pointer] of live.entries()) {
      area.free(pointer);
      expect(cached(area)).toEqual([Math.min(k + 1, 3), Math.min(k + 1, 3) * 10]);
    }
    expect(slotOf(area).granted).toBe(30 * PAGE);
    const [wide] = make(area, 1, 33);
    area.free(wide!);
    // It is too wide for all of the room: it goes back to the pages at once.
    expect([stateAt(area, wide!) === area.state.mark, area.isLive(wide!)]).toEqual([false, false]);
    expect(area.stats()).toMatchObject({ liveObjects: 0 });
    expectAccount(area);
    area.trim();
    expectNoCache(area);
  });

  it('refuses what is not the start of a live object, and changes nothing', () => {
    const first = newCached({}, { store });
    const second = join(first);
    const [live, dead, gone] = make(first.area, 3, 6) as [DsaPointer, DsaPointer, DsaPointer];
    first.area.free(dead);
    second.area.free(gone);
    second.area.trim();
    for (const { area } of [first, second]) {
      expect(codeOf(() => area.free(dead))).toBe('ERR_HEAP_DOUBLE_FREE');
      expect(codeOf(() => area.free(gone))).toBe('ERR_HEAP_DOUBLE_FREE');
      for (const pointer of [live, dead]) {
        for (const inside of [8, PAGE, 5 * PAGE + 8]) {
          expect(codeOf(() => area.free((pointer + inside) as DsaPointer))).toBe('ERR_HEAP_INTERIOR_POINTER');
        }
      }
      expect(cached(first.area)).toEqual([1, 6]);
    }
    expect(first.area.isLive(live)).toBe(true);
    expectAccount(second.area);
  });
});
