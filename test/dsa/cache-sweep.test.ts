/** Taking back what participants have cached that are gone: all of it, once, however often it is tried or broken off. */

import { describe, expect, it } from 'vitest';
import { sweepAttachments } from '../../dist/dsa/attachments.js';
import { STATE_CACHED } from '../../dist/dsa/cache-layout.js';
import { sweepCaches, takeBackCache } from '../../dist/dsa/cache-sweep.js';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { CLASS_SIZE, NUM_SIZE_CLASSES } from '../../dist/dsa/size-classes.js';
import { firstState } from '../../dist/dsa/state.js';
import { poolWord } from '../../dist/dsa/spans.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { lwlockAcquireExclusive, lwlockReleaseNewest } from '../../dist/sync/sync.js';
import {
  bury,
  classOf,
  expectAccount,
  expectInvariants,
  expectNoCache,
  join,
  type Member,
  mortal,
  newCached,
  slotOf,
} from './cache-helpers.js';
import { expectEmpty, expectSound, freeAll, KIB, MIB, PAGE, STORES } from './helpers.js';

/**
 * Fills a participant's cache with objects of every class, of several superblocks and segments, and large ones; as many
 * others stay live.
 *
 * @returns the live ones
 */
function fillCache({ area }: Member, rounds = 3): DsaPointer[] {
  const live: DsaPointer[] = [];
  for (let round = 0; round < rounds; round++) {
    for (let c = 2; c < NUM_SIZE_CLASSES; c++) {
      const some = Array.from({ length: 6 }, () => area.allocate(CLASS_SIZE[c]!));
      freeAll(
        area,
        some.filter((_, k) => (k + c + round) % 2 === 0),
      );
      live.push(...some.filter((_, k) => (k + c + round) % 2 === 1));
    }
    const large = [3, 3, 9, 20, 40].map((npages) => area.allocate(npages * PAGE));
    freeAll(area, large.slice(1));
    live.push(large[0]!);
  }
  expect(slotOf(area).largeCount).toBeGreaterThan(2);
  return live;
}

/** An area with small segments, a participant that is gone with a full cache, and what is live. */
function scene(store: 'region' | 'buffers') {
  const first = newCached({ initSegmentSize: 256 * KIB, maxSegmentSize: MIB }, { store });
  const gone = mortal(first);
  const live = fillCache(gone);
  expect(first.area.stats().liveObjects).toBe(live.length);
  const { slot, generation } = gone.dsm.participant;
  bury(gone);
  expectSound(first.area);
  expect(slotOf(first.area, slot).objects.filter((n) => n > 0).length).toBe(NUM_SIZE_CLASSES - 2);
  return { first, slot, generation, live };
}

/** All is taken back; what was live is. */
function expectTakenBack(area: DsaArea, live: readonly DsaPointer[], slot: number): void {
  expect(slotOf(area, slot)).toMatchObject({ granted: 0, largeCount: 0, largePages: 0 });
  expect(slotOf(area, slot).objects.every((n) => n === 0)).toBe(true);
  expect(expectAccount(area).liveObjects).toBe(live.length);
  expect(live.every((pointer) => area.isLive(pointer))).toBe(true);
}

describe.each(STORES)('on %s', (store) => {
  it('the next one to attach takes back what a gone one had, and gets its slot', () => {
    const { first, slot, generation, live } = scene(store);
    const next = join(first);
    expect(next.dsm.participant.slot).toBe(slot);
    expect(next.dsm.participant.generation).not.toBe(generation);
    expectTakenBack(first.area, live, slot);
    expectNoCache(first.area);
    // Its own cache is a new one.
    freeAll(next.area, live);
    expectInvariants(next.area);
    for (const { area } of [first, next]) area.trim();
    expectNoCache(first.area);
    expect(expectEmpty(first.area)).toEqual([0]);
  });

  it('so does who attaches with another slot', () => {
    const { first, slot, live } = scene(store);
    // Two others come at the same time: the first one sweeps, the slot of the gone one goes to it or to the second.
    const [a, b] = [Dsm.join(first.dsm.handle), Dsm.join(first.dsm.handle)];
    const other = a.participant.slot === slot ? b : a;
    const area = DsaArea.attach(other, first.area.handle);
    expectTakenBack(first.area, live, slot);
    area.detach();
    for (const dsm of [a, b]) dsm.leave();
    expectNoCache(first.area);
  });

  it('trim takes back what those have left that are not attached any more', () => {
    const { first, slot, live } = scene(store);
    first.area.trim();
    expectTakenBack(first.area, live, slot);
    expectNoCache(first.area);
  });

  it('a slot that passes from one to the next to the next, each gone with a full cache', () => {
    const first = newCached({ initSegmentSize: 256 * KIB, maxSegmentSize: MIB }, { store });
    const live: DsaPointer[] = [];
    const slots = new Set<number>();
    for (let round = 0; round < 12; round++) {
      const victim = mortal(first);
      slots.add(victim.dsm.participant.slot);
      live.push(...fillCache(victim, 1));
      if (round % 2 === 0) freeAll(victim.area, live.splice(0, live.length >> 1));
      bury(victim);
      expectSound(first.area);
    }
    expect(slots.size).toBe(1);
    const last = join(first);
    expectTakenBack(first.area, live, last.dsm.participant.slot);
    freeAll(last.area, live);
    last.area.detach();
    expectNoCache(first.area);
    expect(expectEmpty(first.area)).toEqual([0]);
  });

  it('several that are gone at the same time', () => {
    const first = newCached({ initSegmentSize: 256 * KIB, maxSegmentSize: MIB }, { store, regionSize: 1024 * MIB });
    const victims = Array.from({ length: 8 }, () => mortal(first));
    const live = victims.flatMap((victim) => fillCache(victim, 1));
    // Each frees what its neighbour has made.
    for (const [k, victim] of victims.entries()) freeAll(victim.area, live.splice(k * 20, 10));
    for (const victim of victims) bury(victim);
    expectSound(first.area);
    const next = join(first);
    for (const { dsm } of victims) expectTakenBack(first.area, live, dsm.participant.slot);
    expectNoCache(first.area);
    next.area.detach();
  });

  it('twice, or by two, is as once', () => {
    const { first, slot, generation, live } = scene(store);
    const second = join(first);
    expectTakenBack(first.area, live, slot);
    for (const { area } of [first, second]) {
      expect(sweepCaches(area.state)).toBe(false);
      // A slow one that has the old generation in mind.
      takeBackCache(area.state, slot, generation);
      takeBackCache(area.state, slot, generation);
    }
    expectTakenBack(first.area, live, slot);
    const used = fillCache(second, 1);
    const had = slotOf(second.area);
    // Nothing of that one is left, whoever has the slot now.
    expect(takeBackCache(first.area.state, slot, generation)).toBe(true);
    expect(slotOf(second.area)).toEqual(had);
    expectInvariants(second.area);
    expect(expectAccount(first.area).liveObjects).toBe(live.length + used.length);
  });

  it('nothing is taken from who is attached', () => {
    const first = newCached({}, { store });
    const second = join(first);
    const live = fillCache(second, 1);
    const had = slotOf(second.area);
    for (let k = 0; k < 3; k++) first.area.trim();
    join(first).area.trim();
    expect(slotOf(second.area)).toEqual(had);
    expectInvariants(second.area);
    expect(expectAccount(first.area).liveObjects).toBe(live.length);
  });

  it('broken off at the lock of any class, and taken up again later', () => {
    const { first, slot, generation, live } = scene(store);
    const hasty = Dsm.join(first.dsm.handle, { lockTimeout: 5 });
    // The slot of the gone one was taken over by it: only the area has not noticed yet.
    expect(hasty.participant.slot).toBe(slot);
    hasty.leave();
    const impatient = Dsm.join(first.dsm.handle, { lockTimeout: 5 });
    const { p, ctl, ns } = first.area.state;
    const area = { current: null as DsaArea | null };
    for (let c = 2; c < NUM_SIZE_CLASSES; c += 5) {
      expect(lwlockAcquireExclusive(p, ctl, poolWord(c), ns)).not.toBe(0);
      area.current?.detach();
      area.current = DsaArea.attach(impatient, first.area.handle);
      // Its slot could not be swept: it goes without a cache, and works.
      expect(area.current.state.caching).toBe(false);
      const other = c === 2 ? 37 : 2;
      const pointer = area.current.allocate(CLASS_SIZE[other]!);
      area.current.free(pointer);
      lwlockReleaseNewest(p, ctl, poolWord(c), ns);
      expect(slotOf(first.area, slot).generation).toBe(generation);
      expectSound(first.area);
      expect(expectAccount(first.area).liveObjects).toBe(live.length);
    }
    area.current?.detach();
    area.current = DsaArea.attach(impatient, first.area.handle);
    expect(area.current.state.caching).toBe(true);
    expectTakenBack(first.area, live, slot);
    expectNoCache(first.area);
    impatient.leave();
  });

  it('an area without marks loses what a gone one had cached, and its room comes back', () => {
    const first = newCached({ checks: false }, { store });
    const gone = mortal(first);
    const live = fillCache(gone, 1);
    const cached = slotOf(gone.area);
    const lost = cached.objects.reduce((sum, n) => sum + n, 0) + cached.largeCount;
    bury(gone);
    const next = join(first);
    expectNoCache(first.area);
    // The pools know no better than that these are live.
    expect(expectAccount(first.area).liveObjects).toBe(live.length + lost);
    fillCache(next, 1);
    expectInvariants(next.area);
    expectSound(first.area);
  });
});

it('who is gone, and has been noticed, counts as not attached', () => {
  const { first, slot, live } = scene('region');
  sweepAttachments(first.area.state, true);
  expect(sweepCaches(first.area.state)).toBe(true);
  expectTakenBack(first.area, live, slot);
  expect(slotOf(first.area, slot).objects[classOf(64)]).toBe(0);
});

it('behind the last object of a superblock that goes nothing is looked at: the memory may be another one’s already', () => {
  const first = newCached();
  const gone = mortal(first);
  const all = Array.from({ length: 17 }, () => gone.area.allocate(8192));
  // The first superblock has one object left, in the cache of the one who goes.
  freeAll(first.area, all.slice(1, 8));
  first.area.trim();
  gone.area.free(all[0]!);
  bury(gone);
  const { state: s } = first.area;
  const fpm = s.fpm[0]!;
  const put = fpm.put.bind(fpm);
  let reused = 0;
  fpm.put = (page, npages) => {
    put(page, npages);
    s.maps[0]!.state.fill(
      STATE_CACHED + gone.dsm.participant.slot,
      firstState(37, s.maps[0]!.pages, page),
      firstState(37, s.maps[0]!.pages, page + npages),
    );
    reused++;
  };
  first.area.trim();
  expect(reused).toBeGreaterThan(0);
  expectNoCache(first.area);
  expect(expectAccount(first.area).liveObjects).toBe(9);
});
