/** Flags, limits, trimming and totals: what an allocation may have, and what comes back. */

import { describe, expect, it } from 'vitest';
import { DSA_ALLOC_HUGE, DSA_ALLOC_NO_OOM, DSA_ALLOC_ZERO, DsaArea, segmentOf } from '../../dist/dsa/dsa.js';
import {
  another,
  bytesOf,
  codeOf,
  describeArea,
  expectSound,
  expectUnchanged,
  freeAll,
  GIB,
  hex,
  holds,
  KIB,
  MIB,
  newArea,
  PAGE,
  shake,
  STORES,
} from './helpers.js';

describe('sizes', () => {
  it.each<[string, number | bigint, number]>([
    ['0', 0, 0],
    ['-0', -0, 0],
    ['negative', -1, 0],
    ['fractional', 8.5, 0],
    ['a little less than 1', 0.999, 0],
    ['NaN', NaN, 0],
    ['Infinity', Infinity, 0],
    ['-Infinity', -Infinity, 0],
    ['1 GiB', 2 ** 30, 0],
    ['2^32 + 8, whose low word is small', 2 ** 32 + 8, 0],
    ['2^53', 2 ** 53, 0],
    ['2^53 with the huge flag: not exact', 2 ** 53, DSA_ALLOC_HUGE],
    ['1e300 with the huge flag', 1e300, DSA_ALLOC_HUGE],
    ['0n', 0n, 0],
    ['-1n', -1n, 0],
    ['2n ** 30n', 2n ** 30n, 0],
    ['2n ** 63n with the huge flag', 2n ** 63n, DSA_ALLOC_HUGE],
    ['2n ** 64n with the huge flag', 2n ** 64n, DSA_ALLOC_HUGE],
    ['text', '100' as never, 0],
    ['null', null as never, 0],
    ['undefined', undefined as never, 0],
    ['true', true as never, 0],
    ['an object', { valueOf: () => 100 } as never, 0],
    ['an array', [100] as never, 0],
    ['a symbol', Symbol('100') as never, 0],
    ['a function', (() => 100) as never, 0],
  ])('%s is no size, whatever the other flags', (_name, size, flags) => {
    const { area } = newArea();
    area.allocate(100);
    expectUnchanged(area, () => {
      for (const more of [0, DSA_ALLOC_NO_OOM, DSA_ALLOC_ZERO, DSA_ALLOC_NO_OOM | DSA_ALLOC_ZERO]) {
        expect(codeOf(() => area.allocate(size, flags | more))).toBe('ERR_HEAP_BAD_SIZE');
      }
    });
  });

  it.each<[string, unknown]>([
    ['8', 8],
    ['-1', -1],
    ['fractional', 1.5],
    ['NaN', NaN],
    ['2^32', 2 ** 32],
    ['text', '2'],
    ['null', null],
    ['a bigint', 2n],
    ['an object', {}],
  ])('%s are no flags', (_name, flags) => {
    const { area } = newArea();
    expectUnchanged(area, () => {
      for (const size of [100, 100_000]) {
        expect(codeOf(() => area.allocate(size, flags as number))).toBe('ERR_HEAP_BAD_ARGUMENT');
      }
    });
  });

  it('bigints are sizes too', () => {
    const { area } = newArea();
    expect([1n, 8n, 9n, 8193n].map((size) => hex(area.allocate(size)))).toEqual(['4000', '4008', '14000', '24000']);
    expectSound(area);
  });

  it('an invalid request is worded as in PostgreSQL', () => {
    const { area } = newArea();
    const words = (size: number | bigint, flags = 0): unknown => {
      try {
        return area.allocate(size, flags);
      } catch (error) {
        return (error as { pgMessage: string }).pgMessage;
      }
    };
    expect(words(0x40000000)).toBe('invalid DSA memory alloc request size 1073741824');
    expect(words(2n ** 63n, DSA_ALLOC_HUGE)).toBe('invalid DSA memory alloc request size 9223372036854775808');
  });
});

describe('the huge flag', () => {
  it('allows 1 GiB and more', () => {
    const { area } = newArea();
    expect(codeOf(() => area.allocate(0x3fffffff))).toBe('nothing');
    expect(codeOf(() => area.allocate(0x40000000))).toBe('ERR_HEAP_BAD_SIZE');
    const pointer = area.allocate(0x40000000, DSA_ALLOC_HUGE);
    expect(area.sizeOf(pointer)).toBe(GIB);
    area.free(pointer);
    expectSound(area);
  });

  it('does not make memory: 2^63 - 1 bytes are out of memory, and leave nothing behind', () => {
    const { area } = newArea();
    area.allocate(100_000);
    const before = describeArea(area);
    for (const size of [2n ** 63n - 1n, Number.MAX_SAFE_INTEGER, 2 ** 40, 2n ** 40n - 1n]) {
      expect(codeOf(() => area.allocate(size, DSA_ALLOC_HUGE))).toBe('ERR_HEAP_OUT_OF_MEMORY');
      expect(area.allocate(size, DSA_ALLOC_HUGE | DSA_ALLOC_NO_OOM)).toBe(0);
      expect(describeArea(area)).toBe(before);
    }
    expectSound(area);
  });

  it('is harmless for small requests', () => {
    const { area } = newArea();
    expect(hex(area.allocate(64, DSA_ALLOC_HUGE))).toBe('4000');
    expect(hex(area.allocate(9000, DSA_ALLOC_HUGE))).toBe('14000');
  });
});

describe('the zero flag', () => {
  it.each([1, 7, 8, 100, 4096, 8192, 8193, 100_000])('%i bytes are zero', (size) => {
    const { area } = newArea();
    const first = area.allocate(size);
    const room = area.sizeOf(first);
    bytesOf(area, first, room).fill(0xff);
    area.free(first);
    const second = area.allocate(size, DSA_ALLOC_ZERO);
    expect(second).toBe(first);
    expect(holds(area, second, size, 0)).toBe(true);
    area.free(second);
    bytesOf(area, area.allocate(size), room).fill(0xff);
    expectSound(area);
  });

  it('reaches over no neighbour', () => {
    const { area } = newArea();
    const objects = Array.from({ length: 5 }, () => area.allocate(13));
    for (const pointer of objects) bytesOf(area, pointer, 16).fill(0xee);
    area.free(objects[2]!);
    const zeroed = area.allocate(13, DSA_ALLOC_ZERO);
    expect(zeroed).toBe(objects[2]);
    for (const k of [0, 1, 3, 4]) expect([...bytesOf(area, objects[k]!, 16)]).toEqual(Array(16).fill(0xee));
    expect([...bytesOf(area, zeroed, 13)]).toEqual(Array(13).fill(0));
  });
});

describe.each(STORES)('the size limit on %s', (store) => {
  it('is tested when a segment is wanted; errors say the numbers', () => {
    const { area } = newArea({}, { store });
    expect(area.getSizeLimit()).toBe(Infinity);
    area.setSizeLimit(MIB);
    expect(area.getSizeLimit()).toBe(MIB);
    area.allocate(900 * KIB);
    let error: { code: string; sqlState: string; pgDetail: string; detail: string; hint: string } | undefined;
    try {
      area.allocate(200 * KIB);
    } catch (thrown) {
      error = thrown as typeof error;
    }
    expect(error).toMatchObject({ code: 'ERR_HEAP_OUT_OF_MEMORY', sqlState: '53200' });
    expect(error!.pgDetail).toBe('Failed on DSA request of size 204800.');
    for (const number of ['204800', '1048576']) expect(error!.detail).toContain(number);
    expect(error!.hint).toMatch(/limit/);
    expect(area.allocate(200 * KIB, DSA_ALLOC_NO_OOM)).toBe(0);
    expect(codeOf(() => area.allocate(100))).toBe('nothing');
    expectSound(area);
  });

  it('makes the last segment smaller, down to an odd number of bytes', () => {
    const { area } = newArea({}, { store });
    area.setSizeLimit(MIB + 300 * KIB + 77);
    area.allocate(MIB - 4 * PAGE);
    const pointer = area.allocate(65536);
    expect(segmentOf(pointer)).toBe(1);
    expect(area.segments()[1]!.size).toBe(300 * KIB + 77);
    expect(area.getTotalSize()).toBe(area.getSizeLimit());
    expect(area.allocate(300 * KIB, DSA_ALLOC_NO_OOM)).toBe(0);
    expectSound(area);
  });

  it.each([0, 1, 4096, 8191, 8192, 65536, 69631])('leaves %i bytes: too little for a superblock', (room) => {
    const { area } = newArea({}, { store });
    area.allocate(MIB - 4 * PAGE);
    area.setSizeLimit(MIB + room);
    expect(area.allocate(1000, DSA_ALLOC_NO_OOM)).toBe(0);
    expect(area.segments().length).toBe(1);
    area.setSizeLimit(MIB + 69632);
    expect(hex(area.allocate(1000))).toBe('10000001000');
    expect(area.segments()[1]).toMatchObject({ size: 69632, usablePages: 16, contiguousPages: 0 });
    expectSound(area);
  });

  it('below the total stops growth, not use', () => {
    const { area } = newArea({}, { store });
    const large = area.allocate(2 * MIB);
    area.setSizeLimit(1);
    expect(area.allocate(2 * MIB, DSA_ALLOC_NO_OOM)).toBe(0);
    expect(codeOf(() => area.allocate(100))).toBe('nothing');
    area.free(large);
    expect(area.allocate(2 * MIB)).toBe(large);
    area.setSizeLimit(Infinity);
    expect(segmentOf(area.allocate(2 * MIB))).toBe(2);
    expectSound(area);
  });

  it('holds for every participant', () => {
    const { dsm, area } = newArea({}, { store });
    const there = DsaArea.attach(another(dsm), area.handle);
    area.setSizeLimit(MIB);
    expect(there.getSizeLimit()).toBe(MIB);
    expect(there.allocate(2 * MIB, DSA_ALLOC_NO_OOM)).toBe(0);
    there.setSizeLimit(4n * 1048576n);
    expect(area.getSizeLimit()).toBe(4 * MIB);
    expect(area.allocate(2 * MIB)).not.toBe(0);
    expectSound(there);
  });

  it('takes 0 to 2^64 - 1 bytes, numbers or bigints', () => {
    const { area } = newArea({}, { store });
    for (const [given, then] of [
      [0, 0],
      [-0, 0],
      [0n, 0],
      [2 ** 53 - 1, 2 ** 53 - 1],
      [2n ** 63n, 2 ** 63],
      [2n ** 64n - 1n, Infinity],
      [Infinity, Infinity],
    ] as const) {
      area.setSizeLimit(given);
      expect(area.getSizeLimit()).toBe(then);
    }
    area.setSizeLimit(MIB);
    expectUnchanged(area, () => {
      for (const bad of [-1, 1.5, NaN, -Infinity, 2 ** 53, -1n, 2n ** 64n, '5', null, undefined, {}, [], true]) {
        expect(codeOf(() => area.setSizeLimit(bad as number))).toBe('ERR_HEAP_BAD_SIZE');
      }
    });
  });
});

describe.each(STORES)('giving back on %s', (store) => {
  it('trim gives back what is kept at hand, once all objects are free', () => {
    const { dsm, area } = newArea({}, { store });
    const pointers = Array.from({ length: 5000 }, (_, k) => area.allocate(1 + ((k * 37) % 8192)));
    expect(area.segments().length).toBeGreaterThan(4);
    freeAll(area, pointers);
    expect(area.dump()).toMatch(/pool for size class/);
    area.trim();
    expect(area.segments().map(({ index }) => index)).toEqual([0]);
    expect(area.dump()).not.toMatch(/pool for/);
    expect(area.getTotalSize()).toBe(MIB);
    expect(dsm.stats().segments.length).toBe(1);
    expectSound(area);
    expect(hex(area.allocate(100))).toBe('4000');
  });

  it('trim leaves alone what holds an object', () => {
    const { area } = newArea({}, { store });
    const pointers = Array.from({ length: 3000 }, () => area.allocate(1000));
    const kept = pointers.filter((_, k) => k % 500 === 0);
    for (const pointer of kept) bytesOf(area, pointer, 1000).fill(0x5a);
    freeAll(
      area,
      pointers.filter((_, k) => k % 500 !== 0),
    );
    area.trim();
    area.trim();
    expectSound(area);
    for (const pointer of kept) expect(holds(area, pointer, 1000, 0x5a)).toBe(true);
    freeAll(area, kept);
    area.trim();
    expect(area.getTotalSize()).toBe(MIB);
    expectSound(area);
  });

  it('a segment that large objects leave stays until a superblock in it goes (P10)', () => {
    const { area } = newArea({}, { store });
    const large = [2, 3, 4].map((n) => area.allocate(n * MIB));
    const total = area.getTotalSize();
    freeAll(area, large);
    area.trim();
    expect(area.getTotalSize()).toBe(total);
    for (const { index, usablePages, contiguousPages } of area.segments().slice(1)) {
      expect([index, contiguousPages]).toEqual([index, usablePages]);
    }
    expectSound(area);
    shake(area);
    expect(area.getTotalSize()).toBe(MIB);
    expectSound(area);
  });

  it('indexes are used again, lowest first, and the size follows the index (P12)', () => {
    const { area } = newArea({}, { store });
    area.allocate(252 * PAGE);
    const usable = [255, 510, 510, 1021, 1021, 2043, 2043];
    const large = usable.map((pages) => area.allocate(pages * PAGE));
    expect(large.map(segmentOf)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    const before = area.segments();
    for (const index of [6, 2, 5]) area.free(large[index - 1]!);
    for (const index of [2, 5, 6]) {
      // A superblock goes into the smallest, and takes its segment along when it goes.
      const pointer = area.allocate(8192);
      expect(segmentOf(pointer)).toBe(index);
      area.free(pointer);
      area.trim();
      expect(area.segments().map((segment) => segment.index)).not.toContain(index);
      expectSound(area);
    }
    for (const index of [2, 5, 6, 8]) expect(segmentOf(area.allocate((usable[index - 1] ?? 9) * PAGE))).toBe(index);
    const after = area.segments();
    expect(after.slice(0, 8).map(({ size }) => size)).toEqual(before.map(({ size }) => size));
    expect(after[8]!.size).toBe(16 * MIB);
    expectSound(area);
  });

  it('the total is the sum of the segments, always', () => {
    const { dsm, area } = newArea({ initSegmentSize: 256 * KIB }, { store });
    const there = DsaArea.attach(another(dsm), area.handle);
    const check = (): void => {
      const sum = area.segments().reduce((bytes, { size }) => bytes + size, 0);
      expect([area.getTotalSize(), there.getTotalSize()]).toEqual([sum, sum]);
    };
    const pointers = [];
    for (let k = 1; k < 60; k++) {
      pointers.push(area.allocate(k * 5000));
      check();
    }
    for (const pointer of pointers) {
      there.free(pointer);
      check();
    }
  });
});
