/** Opening and closing caches: who has one, who goes without, and what stays when an attachment ends in any way. */

import { describe, expect, it, onTestFinished } from 'vitest';
import { NO_BLOCK } from '../../dist/dsa/cache.js';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm, ResourceOwner } from '../../dist/dsm/dsm.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import {
  classOf,
  expectAccount,
  expectInvariants,
  expectNoCache,
  grantedBytes,
  join,
  type Member,
  mortal,
  newCached,
  slotOf,
  stackOf,
} from './cache-helpers.js';
import { bytesOf, codeOf, expectSound, freeAll, holds, STORES } from './helpers.js';

/** Puts some objects of several classes, and large ones, into a participant's cache. */
function useCache({ area }: Member): DsaPointer[] {
  const live = [16, 64, 64, 700, 8192, 12_000, 50_000].map((size) => area.allocate(size));
  freeAll(area, live);
  expect(stackOf(area, classOf(64)).length).toBeGreaterThan(1);
  return live;
}

/** Attaches once more, as a participant that has not left when the test ends only if it still can. */
function many(first: Member, count: number): Member[] {
  return Array.from({ length: count }, () => mortal(first));
}

describe.each(STORES)('on %s', (store) => {
  it('40 attachments of one thread: those who get no cache work on the pools', () => {
    const first = newCached({}, { store });
    const members = [first, ...many(first, 39)];
    const without = members.filter(({ area }) => !area.state.caching);
    expect(members.slice(0, 31).every(({ area }) => area.state.caching)).toBe(true);
    expect(without.length).toBe(9);
    for (const { area } of without) expect(area.state.block).toBe(NO_BLOCK);
    const live = new Map<DsaPointer, number>();
    for (const [k, { area }] of members.entries()) {
      for (const size of [8, 100, 5000, 20_000]) {
        const pointer = area.allocate(size);
        expect(live.has(pointer)).toBe(false);
        bytesOf(area, pointer, size).fill(k + 1);
        live.set(pointer, size);
      }
    }
    const keys = [...live.keys()];
    for (const [k, pointer] of keys.entries()) {
      const { area } = members[(7 * k) % 40]!;
      expect(holds(area, pointer, live.get(pointer)!, 1 + Math.floor(k / 4))).toBe(true);
      area.free(pointer);
      const code = codeOf(() => members[39 - (k % 40)]!.area.free(pointer));
      expect(code).toBe('ERR_HEAP_DOUBLE_FREE');
    }
    for (const { area } of without) expect(slotOf(area)).toMatchObject({ generation: 0, granted: 0 });
    expect(expectAccount(first.area).liveObjects).toBe(0);
    for (const { area } of members) {
      expectInvariants(area);
      area.trim();
    }
    expectNoCache(first.area);
    for (const { dsm } of members.slice(1)) dsm.leave();
  });

  it('blocks are for others once their attachment has closed', () => {
    const first = newCached({}, { store });
    const members = many(first, 33);
    const without = members.at(-1)!;
    expect(without.area.state.caching).toBe(false);
    // By detaching, and by leaving without.
    members[0]!.area.detach();
    members[1]!.dsm.leave();
    for (let k = 0; k < 2; k++) {
      const late = mortal(first);
      expect(late.area.state.caching).toBe(true);
      useCache(late);
      expectInvariants(late.area);
      late.dsm.leave();
    }
    // What had none goes on without.
    expect(without.area.state.caching).toBe(false);
    const pointer = without.area.allocate(64);
    without.area.free(pointer);
    expectSound(first.area);
    for (const { dsm } of members.slice(1)) if (!dsm.participant.closed) dsm.leave();
    first.area.trim();
    expectNoCache(first.area);
  });

  it('detaching gives everything back', () => {
    const first = newCached({}, { store });
    const second = join(first);
    useCache(second);
    const { slot } = second.area.state.p;
    second.area.detach();
    expectNoCache(first.area);
    expect(slotOf(first.area, slot).generation).toBe(0);
    expect(expectAccount(first.area).liveObjects).toBe(0);
    expect(codeOf(() => second.area.allocate(64))).toBe('ERR_HEAP_CLOSED');
    expect(codeOf(() => second.area.free(8 as DsaPointer))).toBe('ERR_HEAP_CLOSED');
  });

  it('after the end nothing comes out of the cache, and nothing goes in', () => {
    const first = newCached({}, { store });
    const second = join(first);
    const live = second.area.allocate(64);
    useCache(second);
    const { slot } = second.area.state.p;
    second.dsm.leave();
    const before = slotOf(first.area, slot);
    expect(codeOf(() => second.area.allocate(64))).toBe('ERR_HEAP_CLOSED');
    expect(codeOf(() => second.area.free(live))).toBe('ERR_HEAP_CLOSED');
    expect(slotOf(first.area, slot)).toEqual(before);
    expect(first.area.isLive(live)).toBe(true);
    first.area.trim();
    expectNoCache(first.area);
    expect(expectAccount(first.area).liveObjects).toBe(1);
  });

  it('leaving the cluster without detaching leaves marks, which the next one takes back', () => {
    const first = newCached({}, { store });
    const second = join(first);
    const { slot, generation } = second.area.state.p;
    useCache(second);
    const { cachedBytes } = first.area.stats();
    second.dsm.leave();
    expectSound(first.area);
    expect(slotOf(first.area, slot).generation).toBe(generation);
    expect(first.area.stats()).toMatchObject({ cachedBytes, liveObjects: 0 });
    const third = join(first);
    expect(third.dsm.participant.slot).toBe(slot);
    expectNoCache(first.area);
    expect(slotOf(first.area, slot).generation).toBe(third.area.state.p.generation);
    useCache(third);
    expectAccount(first.area);
  });

  it('mappings that go with their resource owner take the cache along', () => {
    const first = newCached({}, { store });
    const dsm = Dsm.join(first.dsm.handle);
    onTestFinished(() => dsm.leave());
    const owner = new ResourceOwner(dsm, 'scope');
    dsm.currentOwner = owner;
    const second = { dsm, area: DsaArea.attach(dsm, first.area.handle) };
    useCache(second);
    owner.release();
    expect(second.area.state.caching).toBe(false);
    expect(codeOf(() => second.area.allocate(64))).toBe('ERR_HEAP_CLOSED');
    expectSound(first.area);
    expect(first.area.stats().cachedBytes).toBeGreaterThan(0);
    first.area.trim();
    expectNoCache(first.area);
    expect(expectAccount(first.area).liveObjects).toBe(0);
  });

  it('an attachment that comes back starts with nothing', () => {
    const first = newCached({}, { store });
    const second = join(first);
    for (let round = 0; round < 5; round++) {
      const again = {
        dsm: second.dsm,
        area: round === 0 ? second.area : DsaArea.attach(second.dsm, first.area.handle),
      };
      expect(slotOf(again.area)).toMatchObject({ granted: 0, largeCount: 0, largePages: 0 });
      useCache(again);
      expectInvariants(again.area);
      again.area.detach();
      expectNoCache(first.area);
    }
  });

  it('the last one to leave takes the area along, caches or not', () => {
    const first = newCached({}, { store });
    const second = join(first);
    for (const one of [first, second]) useCache(one);
    first.area.detach();
    expect(expectAccount(second.area).liveObjects).toBe(0);
    second.area.detach();
    expect(second.dsm.stats().segments).toEqual([]);
  });

  it('a pinned area that nobody is attached to keeps no room for those who were', () => {
    const first = newCached({}, { store });
    first.area.pin();
    useCache(first);
    const { handle } = first.area;
    first.area.detach();
    const again = DsaArea.attach(first.dsm, handle);
    expect(grantedBytes(again)).toBe(0);
    expectNoCache(again);
    expect(expectAccount(again).liveObjects).toBe(0);
    again.unpin();
  });
});
