/**
 * Batches between a cache and a pool: how much goes over, what is left when memory or a segment cannot be had in the
 * middle of one.
 */

import { describe, expect, it, onTestFinished } from 'vitest';
import { CACHE_FIRST, CACHE_OBJECTS } from '../../dist/dsa/cache-layout.js';
import { cacheLimit } from '../../dist/dsa/cache.js';
import { DSA_ALLOC_NO_OOM, DsaArea, segmentOf } from '../../dist/dsa/dsa.js';
import { CLASS_CAPACITY, CLASS_SIZE, NUM_SIZE_CLASSES } from '../../dist/dsa/size-classes.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { poolWord } from '../../dist/dsa/spans.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { lwlockAcquireExclusive, lwlockReleaseNewest } from '../../dist/sync/sync.js';
import {
  classOf,
  expectAccount,
  expectInvariants,
  expectNoCache,
  join,
  type Member,
  newCached,
  slotOf,
  stackOf,
} from './cache-helpers.js';
import { bytesOf, codeOf, expectEmpty, expectSound, freeAll, holds, KIB, MIB, STORES } from './helpers.js';

/** Free objects of a class that everybody can have. */
function inPool(area: DsaArea, sizeClass: number): number {
  const numbers = area.stats().perClass.find((c) => c.sizeClass === sizeClass);
  return numbers === undefined ? 0 : numbers.free - numbers.cached;
}

function make(area: DsaArea, count: number, size: number): DsaPointer[] {
  return Array.from({ length: count }, () => area.allocate(size));
}

describe.each(STORES)('a batch on %s', (store) => {
  it('fills half of the stack, and the caller gets the lowest', () => {
    for (let c = 2; c < NUM_SIZE_CLASSES; c++) {
      const { area, dsm } = newCached({}, { store });
      const pointer = area.allocate(CLASS_SIZE[c]!);
      const half = Math.max(1, CACHE_FIRST[c]! >> 1);
      const rest = stackOf(area, c).reverse();
      expect([c, rest.length]).toEqual([c, half - 1]);
      const inOrder = [pointer, ...rest];
      expect(inOrder).toEqual(inOrder.map((_, k) => pointer + k * CLASS_SIZE[c]!));
      expect(inPool(area, c)).toBe(CLASS_CAPACITY[c]! - half);
      expectInvariants(area);
      dsm.leave();
    }
  });

  it('doubles the room of a class in use, up to the most', () => {
    const { area } = newCached({}, { store });
    for (const size of [8, 512, 2048, 8192]) {
      const c = classOf(size);
      const limits = new Set<number>();
      const live = make(area, 2000, size);
      for (const pointer of live) {
        area.free(pointer);
        limits.add(cacheLimit(area.state.block, c));
      }
      expect(Math.max(...limits)).toBe(CACHE_OBJECTS[c]);
      expect([...limits].every((limit) => limit <= CACHE_OBJECTS[c]!)).toBe(true);
      expectInvariants(area);
    }
  });

  it('gives the older half back when the stack is full, and keeps what was freed last', () => {
    const { area } = newCached({}, { store });
    const c = classOf(256);
    const most = CACHE_OBJECTS[c]!;
    const live = make(area, 4 * most, 256);
    for (let k = 0; stackOf(area, c).length < most || cacheLimit(area.state.block, c) < most; k++) area.free(live[k]!);
    const before = stackOf(area, c);
    const had = inPool(area, c);
    area.free(live.at(-1)!);
    expect(stackOf(area, c)).toEqual([...before.slice(most >> 1), live.at(-1)]);
    expect(inPool(area, c)).toBe(had + (most >> 1));
    expectAccount(area);
  });

  it('takes from every superblock that there is before it makes one', () => {
    const first = newCached({}, { store });
    const { area } = first;
    const c = classOf(8192);
    const live = make(area, 80, 8192);
    const superblocks = (): number => area.stats().perClass.find((n) => n.sizeClass === c)!.superblocks;
    const had = superblocks();
    expect(had).toBeGreaterThanOrEqual(10);
    // One hole in each.
    const other = join(first).area;
    for (let k = 0; k < 80; k += 8) other.free(live[k]!);
    other.trim();
    const again = make(area, 8, 8192);
    expect(superblocks()).toBe(had);
    expect(new Set([...live, ...again]).size).toBeGreaterThan(80 - 1);
    expectAccount(area);
  });

  it('gives superblocks and segments back that it empties', () => {
    const { area } = newCached({ initSegmentSize: 256 * KIB, maxSegmentSize: 256 * KIB }, { store });
    const live = make(area, 400, 4096);
    expect(Math.max(...live.map(segmentOf))).toBeGreaterThan(5);
    freeAll(area, live);
    area.trim();
    expectNoCache(area);
    expect(expectEmpty(area)).toEqual([0]);
  });
});

/** Lets the n-th attempt to create a segment fail. */
function failAt(dsm: Dsm, n: number): () => number {
  const tryCreate = dsm.tryCreate.bind(dsm);
  let attempts = 0;
  dsm.tryCreate = (...args) => {
    if (++attempts !== n) return tryCreate(...args);
    dsm.failure = 'store';
    return null;
  };
  return () => attempts;
}

/** Sizes of the requests below; a 0 frees the oldest ten, by turns here and there. */
const REQUESTS: readonly number[] = Array.from({ length: 260 }, (_, k) =>
  k % 13 === 12 ? 0 : [40, 7000, 180_000, 8150, 700, 90_000, 3000, 1, 8193][k % 9]! + (k % 5) * 7,
);

/** Plays them by two participants; what fails must have changed nothing that the program can see. */
function playRequests(members: readonly Member[]): number {
  const { area } = members[0]!;
  const live: { pointer: DsaPointer; size: number; mark: number }[] = [];
  let failures = 0;
  const intact = (): boolean => live.every(({ pointer, size, mark }) => holds(area, pointer, size, mark));
  for (const [k, size] of REQUESTS.entries()) {
    if (size === 0) {
      for (const { pointer, size: bytes, mark } of live.splice(0, 10)) {
        expect(holds(area, pointer, bytes, mark)).toBe(true);
        members[k % 2]!.area.free(pointer);
      }
      continue;
    }
    const pointer = area.allocate(size, DSA_ALLOC_NO_OOM);
    if (pointer === 0) {
      failures++;
      expect(intact()).toBe(true);
      expect(expectAccount(area).liveObjects).toBe(live.length);
      for (const one of members) expectInvariants(one.area);
      continue;
    }
    bytesOf(area, pointer, size).fill(k & 255);
    live.push({ pointer, size, mark: k & 255 });
  }
  expect(intact()).toBe(true);
  for (const { pointer } of live) area.free(pointer);
  for (const one of members) one.area.trim();
  expectNoCache(area);
  expect(expectAccount(area).liveObjects).toBe(0);
  return failures;
}

describe.each(STORES)('without memory on %s', (store) => {
  it('at the n-th segment: the caches are emptied and it is tried again; if that fails, all is as before', () => {
    let failed = 0;
    let recovered = 0;
    for (let n = 1; ; n++) {
      const first = newCached({ initSegmentSize: 256 * KIB, maxSegmentSize: MIB }, { store });
      const members = [first, join(first)];
      const attempts = failAt(first.dsm, n);
      const failures = playRequests(members);
      // A second attempt follows the failed one at once, and that one succeeds.
      expect(failures).toBe(0);
      for (const { dsm } of [...members].reverse()) dsm.leave();
      if (attempts() < n) break;
      recovered++;
      failed += failures;
    }
    expect(recovered).toBeGreaterThan(5);
    expect(failed).toBe(0);
  });

  it('from the n-th segment on: every failure leaves all as it was', () => {
    let failed = 0;
    for (let n = 1; n < 8; n++) {
      const first = newCached({ initSegmentSize: 256 * KIB, maxSegmentSize: MIB }, { store });
      const members = [first, join(first)];
      let attempts = 0;
      const tryCreate = first.dsm.tryCreate.bind(first.dsm);
      first.dsm.tryCreate = (...args) => {
        if (++attempts < n) return tryCreate(...args);
        first.dsm.failure = 'store';
        return null;
      };
      failed += playRequests(members);
      for (const { dsm } of [...members].reverse()) dsm.leave();
    }
    expect(failed).toBeGreaterThan(50);
  });
});

describe('segments that cannot be mapped', () => {
  /** Everything that one participant has made; another one has just attached and maps segment 0 only. */
  function scene() {
    const first = newCached({ initSegmentSize: 256 * KIB, maxSegmentSize: 256 * KIB }, { store: 'buffers' });
    const small = make(first.area, 200, 4096);
    const large = make(first.area, 30, 20_000);
    first.area.trim();
    return { first, small, large, other: join(first) };
  }

  /** Only each `every`-th attempt to attach a segment succeeds. */
  function hinder(dsm: Dsm, every: number): { attempts: number; end: () => void } {
    const tryAttach = dsm.tryAttach.bind(dsm);
    const count = { attempts: 0, end: () => void (dsm.tryAttach = tryAttach) };
    dsm.tryAttach = (...args) => {
      if (++count.attempts % every === 0) return tryAttach(...args);
      dsm.failure = 'unreachable';
      return null;
    };
    return count;
  }

  it.each(['small', 'large'] as const)('a free of %s objects succeeds or changes nothing', (which) => {
    const s = scene();
    const pointers = s[which];
    const hindrance = hinder(s.other.dsm, 3);
    let refused = 0;
    for (const pointer of pointers) {
      for (let tries = 0; ; tries++) {
        const code = codeOf(() => s.other.area.free(pointer));
        if (code === 'nothing') break;
        expect([code, tries < 20]).toEqual(['ERR_HEAP_SEGMENT_UNREACHABLE', true]);
        expect(s.first.area.isLive(pointer)).toBe(true);
        expectAccount(s.first.area);
        refused++;
      }
      expect(s.first.area.isLive(pointer)).toBe(false);
    }
    expect(refused).toBeGreaterThan(0);
    hindrance.end();
    expectInvariants(s.other.area);
    for (const { area } of [s.first, s.other]) area.trim();
    expectNoCache(s.first.area);
    expect(expectAccount(s.first.area).liveObjects).toBe(which === 'small' ? s.large.length : s.small.length);
  });

  it('an allocation succeeds or changes nothing', () => {
    const { first, small, other } = scene();
    for (let k = 0; k < small.length; k += 3) first.area.free(small[k]!);
    first.area.trim();
    const hindrance = hinder(other.dsm, 3);
    const got: DsaPointer[] = [];
    let refused = 0;
    const before = first.area.stats().liveObjects;
    for (let k = 0; k < 150; k++) {
      const code = codeOf(() => got.push(other.area.allocate([4096, 100, 8192, 30_000][k % 4]!)));
      expect(['nothing', 'ERR_HEAP_SEGMENT_UNREACHABLE']).toContain(code);
      if (code !== 'nothing') refused++;
      expectInvariants(other.area);
      expect(expectAccount(first.area).liveObjects).toBe(before + got.length);
    }
    expect(refused).toBeGreaterThan(0);
    hindrance.end();
    freeAll(other.area, got);
    other.area.trim();
    expectSound(other.area);
    expectNoCache(first.area);
  });
});

it('a batch that can be given back in part only: the rest stays, and goes later', () => {
  const first = newCached({ initSegmentSize: 256 * KIB, maxSegmentSize: 256 * KIB }, { store: 'buffers' });
  const { area } = first;
  const early = make(area, 8, 2048);
  // They use the spans of the first block up; the next block lies in a later segment.
  make(area, 75, 12_000);
  make(area, 200, 8192);
  const late = make(area, 90, 2048).slice(-8);
  // One of the early ones has gone, so that their superblock is on the list where it stays.
  area.free(early.shift()!);
  area.trim();
  const other = join(first);
  for (const pointer of [...early, ...late]) other.area.free(pointer);
  const c = classOf(2048);
  const had = stackOf(other.area, c);
  const tryAttach = other.dsm.tryAttach.bind(other.dsm);
  other.dsm.tryAttach = () => {
    other.dsm.failure = 'unreachable';
    return null;
  };
  expect(codeOf(() => other.area.trim())).toBe('ERR_HEAP_SEGMENT_UNREACHABLE');
  const left = stackOf(other.area, c);
  expect(left.length).toBeGreaterThan(0);
  expect(left.length).toBeLessThan(had.length);
  expect(left).toEqual(had.slice(-left.length));
  expectInvariants(other.area);
  expectAccount(area);
  other.dsm.tryAttach = tryAttach;
  other.area.trim();
  expectNoCache(area);
});

describe.each(STORES)('locks that stall on %s', (store) => {
  /** One who holds a lock, and one who does not wait long for it. */
  function scene() {
    const first = newCached({}, { store });
    const dsm = Dsm.join(first.dsm.handle, { lockTimeout: 20 });
    onTestFinished(() => dsm.leave());
    const hasty = { dsm, area: DsaArea.attach(dsm, first.area.handle) };
    const holding = (word: number, action: () => void): void => {
      const { p, ctl, ns } = first.area.state;
      expect(lwlockAcquireExclusive(p, ctl, word, ns)).not.toBe(0);
      action();
      lwlockReleaseNewest(p, ctl, word, ns);
      expectSound(first.area);
      expectInvariants(hasty.area);
    };
    return { first, hasty, holding };
  }

  it('a batch that cannot be had, or given back, changes nothing', () => {
    const { first, hasty, holding } = scene();
    const c = classOf(8192);
    const live = make(hasty.area, 40, 8192);
    while (stackOf(hasty.area, c).length > 0) live.push(hasty.area.allocate(8192));
    const count = first.area.stats().liveObjects;
    holding(poolWord(c), () => {
      expect(codeOf(() => hasty.area.allocate(8192))).toBe('ERR_HEAP_LOCK_STALLED');
    });
    expect(first.area.stats().liveObjects).toBe(count);
    let freed = 0;
    holding(poolWord(c), () => {
      let code = 'nothing';
      while (code === 'nothing') {
        code = codeOf(() => hasty.area.free(live[freed]!));
        if (code === 'nothing') freed++;
      }
      expect(code).toBe('ERR_HEAP_LOCK_STALLED');
      expect(hasty.area.isLive(live[freed]!)).toBe(true);
    });
    // The cache took as many as it may hold, and no more.
    expect(freed).toBe(CACHE_OBJECTS[c]);
    expect(first.area.stats().liveObjects).toBe(count - freed);
  });

  it('a cache that cannot be emptied keeps what it has, and is emptied later', () => {
    const { first, hasty, holding } = scene();
    const [small, large] = [hasty.area.allocate(64), hasty.area.allocate(20_000)];
    for (const pointer of [small, large]) hasty.area.free(pointer);
    const c = classOf(64);
    const had = slotOf(hasty.area);
    holding(poolWord(c), () => expect(codeOf(() => hasty.area.trim())).toBe('ERR_HEAP_LOCK_STALLED'));
    expect(slotOf(hasty.area).objects[c]).toBe(had.objects[c]);
    expect(slotOf(hasty.area).granted).toBe(had.granted);
    // It goes on: what stays is still of use.
    expect(hasty.area.allocate(64)).toBe(small);
    hasty.area.free(small);
    hasty.area.trim();
    expectNoCache(first.area);
    expect(first.area.stats().liveObjects).toBe(0);
  });

  it('a cache that could not be emptied on leaving is taken back by whoever comes', () => {
    const { first, hasty, holding } = scene();
    const live = [64, 64, 20_000, 1000].map((size) => hasty.area.allocate(size));
    freeAll(hasty.area, live);
    holding(poolWord(classOf(64)), () => hasty.area.detach());
    expect(expectAccount(first.area)).toMatchObject({ liveObjects: 0 });
    expect(first.area.stats().cachedBytes).toBeGreaterThan(0);
    // The same participant may come back: what it left has its mark.
    const again = DsaArea.attach(hasty.dsm, first.area.handle);
    expectNoCache(first.area);
    expect(again.allocate(64)).not.toBe(0);
    expectInvariants(again);
  });
});
