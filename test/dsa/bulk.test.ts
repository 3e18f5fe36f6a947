/** Many objects in one call: the same objects, all or none, also where one pointer is wrong or memory runs out. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DsaArea } from '../../dist/dsa/dsa.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { expectAccount, expectInvariants, expectNoCache, join, newCached } from './cache-helpers.js';
import { as, codeOf, expectSound, freeAll, KIB, MIB, newArea, STORES } from './helpers.js';

/** One size of each part of the state table, and one that has pages of its own. */
const SIZES = [8, 24, 64, 400, 1000, 8192, 20_000];

const KINDS = [
  { name: 'with caches', options: { cache: true } },
  { name: 'without checks', options: { cache: true, checks: false } },
  { name: 'without caches', options: { cache: false } },
] as const;

/** Allocates into a fresh list and checks what came: distinct live objects that are large enough. */
function allocateMany(area: DsaArea, size: number, n: number): Float64Array {
  const list = new Float64Array(n + 2).fill(-1);
  expect(area.allocateMany(size, n, list)).toBe(n);
  expect([list[n], list[n + 1]]).toEqual([-1, -1]);
  const got = list.subarray(0, n);
  expect(new Set(got).size).toBe(n);
  for (const pointer of got) expect(area.sizeOf(as(pointer))).toBeGreaterThanOrEqual(size);
  return got;
}

describe.each(STORES)('on %s', (store) => {
  describe.each(KINDS)('$name', ({ options }) => {
    it.each(SIZES)('objects of %i bytes come and go', (size) => {
      const { area } = newArea({ ...options }, { store, regionSize: 256 * MIB });
      for (const n of [0, 1, 7, 64, 700]) {
        const got = allocateMany(area, size, n);
        expect(area.stats().liveObjects).toBe(n);
        area.freeMany(got, n);
        expect(area.stats().liveObjects).toBe(0);
        expectSound(area);
      }
      area.trim();
      expect(area.stats()).toMatchObject({ liveObjects: 0, cachedBytes: 0 });
    });

    it('arrays serve as well as Float64Array, and only the first n count', () => {
      const { area } = newArea({ ...options }, { store });
      const list: number[] = [];
      expect(area.allocateMany(100, 5, list)).toBe(5);
      expect(list.length).toBe(5);
      area.freeMany(list, 3);
      expect(area.stats().liveObjects).toBe(2);
      expect(list.slice(3).every((p) => area.isLive(as(p)))).toBe(true);
      area.freeMany(list.slice(3), 2);
      expectSound(area);
    });

    it('mixed lists, of several sizes and participants, are freed as one', () => {
      const { dsm, area } = newArea({ ...options }, { store, regionSize: 256 * MIB });
      const other = join({ dsm, area }).area;
      const all: number[] = [];
      for (let k = 0; k < 300; k++) all.push((k % 2 ? area : other).allocate(SIZES[(k * 5) % SIZES.length]!));
      area.freeMany(all, all.length);
      expect(area.stats().liveObjects).toBe(0);
      expectSound(area);
    });
  });

  it('a wrong pointer anywhere leaves every object live, and the error names its place', () => {
    const { area } = newCached({}, { store });
    const freed = area.allocate(200);
    const large = area.allocate(100_000);
    const wrong: readonly [unknown, string][] = [
      [freed, 'ERR_HEAP_DOUBLE_FREE'],
      [0, 'ERR_HEAP_FOREIGN_POINTER'],
      [-8, 'ERR_HEAP_MISALIGNED_POINTER'],
      [0.5, 'ERR_HEAP_MISALIGNED_POINTER'],
      [Number.NaN, 'ERR_HEAP_MISALIGNED_POINTER'],
      [large + 8, 'ERR_HEAP_INTERIOR_POINTER'],
      ['8', 'ERR_HEAP_MISALIGNED_POINTER'],
      [8n, 'ERR_HEAP_MISALIGNED_POINTER'],
      [undefined, 'ERR_HEAP_MISALIGNED_POINTER'],
    ];
    area.free(freed);
    for (const count of [3, 600]) {
      const live = Array.from({ length: count }, (_, k) => area.allocate(k % 3 ? 64 : 1000));
      for (const [pointer, code] of wrong) {
        for (const at of [0, 1, count]) {
          const list = [...live.slice(0, at), pointer, ...live.slice(at)] as number[];
          const { cachedBytes } = area.stats();
          expect([at, codeOf(() => area.freeMany(list, count + 1))]).toEqual([at, code]);
          expect(() => area.freeMany(list, count + 1)).toThrow(`index ${at}`);
          expect(area.stats()).toMatchObject({ liveObjects: count + 1, cachedBytes });
          expectInvariants(area);
        }
      }
      expectSound(area);
      freeAll(area, live);
    }
  });

  it('a pointer that comes twice is refused the second time, near, far and where the cache is full', () => {
    const { area } = newCached({}, { store });
    for (const size of [24, 8192, 50_000]) {
      for (const count of [2, 40, 500]) {
        const live = Array.from({ length: count }, () => area.allocate(size));
        const list = [...live, live[0]!];
        expect(codeOf(() => area.freeMany(list, count + 1))).toBe('ERR_HEAP_DOUBLE_FREE');
        expect(live.every((pointer) => area.isLive(pointer))).toBe(true);
        expect(expectAccount(area).liveObjects).toBe(count);
        area.freeMany(live, count);
        expectInvariants(area);
        expectSound(area);
      }
    }
  });

  it('when memory runs out on the way nothing is kept', () => {
    const { area } = newCached({}, { store });
    area.setSizeLimit(2 * MIB);
    const out = new Float64Array(10_000);
    for (const size of [64, 1000, 8192, 20_000]) {
      const n = Math.ceil((4 * MIB) / size) > out.length ? out.length : Math.ceil((4 * MIB) / size);
      const fits = n * size < MIB;
      const code = codeOf(() => area.allocateMany(size, n, out));
      expect([size, code]).toEqual([size, fits ? 'nothing' : 'ERR_HEAP_OUT_OF_MEMORY']);
      if (fits) area.freeMany(out, n);
      expect(area.stats().liveObjects).toBe(0);
      expectSound(area);
    }
    area.trim();
    expectNoCache(area);
  });

  it('in a heap whose limit leaves no room for caches it works all the same', () => {
    const { area } = newCached({}, { store });
    area.setSizeLimit(64);
    const got = allocateMany(area, 100, 200);
    expect(codeOf(() => area.freeMany([...got, got[7]!], 201))).toBe('ERR_HEAP_DOUBLE_FREE');
    area.freeMany(got, 200);
    expectNoCache(area);
    expectSound(area);
  });
});

it('bad arguments are refused, and nothing is done', () => {
  const { area } = newCached();
  const out = new Float64Array(4);
  for (const n of [-1, 1.5, Number.NaN, '3', 2 ** 33]) {
    expect(codeOf(() => area.allocateMany(8, n as number, out))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(codeOf(() => area.freeMany(out, n as number))).toBe('ERR_HEAP_BAD_ARGUMENT');
  }
  for (const list of [null, undefined, {}, new Int32Array(9), 'x', new Float64Array(4)]) {
    expect(codeOf(() => area.allocateMany(8, 5, list as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(codeOf(() => area.freeMany(list as never, 5))).toBe('ERR_HEAP_BAD_ARGUMENT');
  }
  for (const size of [0, -1, 1.5, 2 ** 30, '8', Number.NaN]) {
    expect(codeOf(() => area.allocateMany(size as number, 1, out))).toBe('ERR_HEAP_BAD_SIZE');
  }
  expect(area.stats()).toMatchObject({ liveObjects: 0, cachedBytes: 0 });
  area.detach();
  expect(codeOf(() => area.allocateMany(8, 1, out))).toBe('ERR_HEAP_CLOSED');
  expect(codeOf(() => area.freeMany(out, 1))).toBe('ERR_HEAP_CLOSED');
});

it('in any mixture with single calls and other participants the account is exact', () => {
  const step = fc.record({
    who: fc.nat(2),
    many: fc.boolean(),
    free: fc.boolean(),
    size: fc.constantFrom(...SIZES),
    n: fc.integer({ min: 1, max: 300 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.boolean(), (steps, checks) => {
      const first = newCached({ checks, maxSegmentSize: MIB, initSegmentSize: 256 * KIB }, { regionSize: 512 * MIB });
      const members = [first, join(first), join(first)];
      const live: DsaPointer[] = [];
      for (const { who, many, free, size, n } of steps) {
        const { area } = members[who]!;
        if (free) {
          const some = live.splice(0, Math.min(n, live.length));
          if (many) area.freeMany(some, some.length);
          else freeAll(area, some);
        } else if (many) {
          live.push(...(Array.from(allocateMany(area, size, n)) as DsaPointer[]));
        } else live.push(area.allocate(size));
        expect(new Set(live).size).toBe(live.length);
        expect(area.stats().liveObjects).toBe(live.length);
      }
      for (const { area } of members) expectInvariants(area);
      expectSound(first.area);
      members[1]!.area.freeMany(live, live.length);
      for (const { area } of members) area.trim();
      expectNoCache(first.area);
      for (const { dsm } of members) dsm.leave();
    }),
    { numRuns: 40 },
  );
});
