/** Options of a new area: first and largest segment, fallback, tranche. */

import { describe, expect, it } from 'vitest';
import {
  DSA_ALLOC_HUGE,
  DSA_ALLOC_NO_OOM,
  DsaArea,
  type DsaOptions,
  MAX_SEGMENT_SIZE,
  segmentOf,
} from '../../dist/dsa/dsa.js';
import {
  another,
  codeOf,
  expectEmpty,
  expectSound,
  freeAll,
  GIB,
  hex,
  KIB,
  losses,
  MIB,
  newArea,
  newCluster,
  PAGE,
  shake,
  STORES,
} from './helpers.js';

describe.each(STORES)('segment sizes on %s', (store) => {
  it('grow from the first to the largest, and stay there', () => {
    const { area } = newArea({ initSegmentSize: 256 * KIB, maxSegmentSize: MIB }, { store });
    area.allocate(61 * PAGE);
    for (let k = 1; k <= 9; k++) area.allocate((k === 1 ? 63 : k < 4 ? 127 : 255) * PAGE);
    expect(area.segments().map(({ size }) => size / KIB)).toEqual([256, 256, 512, 512, ...Array(6).fill(1024)]);
    expectSound(area);
  });

  it('a larger request gets an odd segment beyond the largest size', () => {
    const { area } = newArea({ initSegmentSize: 256 * KIB, maxSegmentSize: 256 * KIB }, { store });
    const pointer = area.allocate(2 * MIB);
    expect(hex(pointer)).toBe('10000002000');
    expect(area.segments()[1]).toMatchObject({ size: 2 * MIB + 2 * PAGE, usablePages: 512 });
    expectSound(area);
  });

  it.each([262144, 262145, 300001, 999999, 1234567, 3 * MIB + 8])(
    'of %i bytes at first, whole pages or not',
    (size) => {
      const { area } = newArea({ initSegmentSize: size }, { store });
      const pages = Math.floor(size / PAGE);
      const [first] = area.segments();
      expect(first).toMatchObject({ size, usablePages: pages - Math.ceil((7272 + 8 * pages) / PAGE) });
      const objects = [];
      while (area.segments().length < 4)
        for (let k = 0; k < 9; k++) objects.push(area.allocate(1 + ((k * 1999) % 20_000)));
      const [, second, third, fourth] = area.segments();
      expect([second!.size, third!.size, fourth!.size]).toEqual([size, 2 * size, 2 * size]);
      expectSound(area);
      freeAll(area, objects);
      shake(area);
      expect(area.getTotalSize()).toBe(size);
      expectSound(area);
    },
  );

  it('are the same for everybody who attaches', () => {
    const { dsm, area } = newArea({ initSegmentSize: 512 * KIB, maxSegmentSize: 512 * KIB }, { store });
    const there = DsaArea.attach(another(dsm), area.handle);
    for (let k = 0; k < 40; k++) there.allocate(65536);
    expect(new Set(area.segments().map(({ size }) => size))).toEqual(new Set([512 * KIB]));
  });
});

describe('the number of segments', () => {
  it('ends at 1023 beside the first: out of memory, and the rest goes on', () => {
    const { dsm, area } = newArea({ initSegmentSize: 256 * KIB, maxSegmentSize: 256 * KIB }, { segments: 1100 });
    // Leaves room for the blocks of spans.
    area.allocate(40 * PAGE);
    const large = Array.from({ length: 1023 }, () => area.allocate(63 * PAGE, DSA_ALLOC_NO_OOM));
    expect(large.map(segmentOf)).toEqual(Array.from({ length: 1023 }, (_, k) => k + 1));
    expect(area.allocate(63 * PAGE, DSA_ALLOC_NO_OOM)).toBe(0);
    expect(codeOf(() => area.allocate(5000))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    expect(dsm.stats().segments.length).toBe(1024);
    expectSound(area);
    const there = DsaArea.attach(another(dsm), area.handle);
    for (const pointer of [large[0]!, large[511]!, large[1022]!]) there.free(pointer);
    for (const index of [1023, 512, 1]) expect(segmentOf(there.allocate(63 * PAGE))).toBe(index);
    expectSound(there);
  });

  it('with the default largest size C overflows at index 88, and so do we; with a smaller one we saturate (P23)', () => {
    for (const [maxSegmentSize, possible] of [
      [MAX_SEGMENT_SIZE, false],
      [MAX_SEGMENT_SIZE / 2, true],
    ] as const) {
      const { area } = newArea({ maxSegmentSize }, { segments: 200 });
      area.allocate(240 * PAGE);
      for (let index = 1; index < 88; index++) {
        area.setSizeLimit(area.getTotalSize() + 256 * KIB);
        expect(segmentOf(area.allocate(63 * PAGE))).toBe(index);
      }
      area.setSizeLimit(area.getTotalSize() + 256 * KIB);
      const pointer = area.allocate(63 * PAGE, DSA_ALLOC_NO_OOM);
      expect([maxSegmentSize, segmentOf(pointer)]).toEqual([maxSegmentSize, possible ? 88 : 0]);
      expect(pointer !== 0).toBe(possible);
      expectSound(area);
    }
  });
});

describe('bad options', () => {
  it.each<[string, unknown]>([
    ['null', null],
    ['a number', 5],
    ['text', 'large'],
    ['initSegmentSize 0', { initSegmentSize: 0 }],
    ['initSegmentSize below 256 KiB', { initSegmentSize: 262143 }],
    ['initSegmentSize negative', { initSegmentSize: -1048576 }],
    ['initSegmentSize fractional', { initSegmentSize: 1048576.5 }],
    ['initSegmentSize NaN', { initSegmentSize: NaN }],
    ['initSegmentSize Infinity', { initSegmentSize: Infinity }],
    ['initSegmentSize above 2^40', { initSegmentSize: 2 ** 40 + 1 }],
    ['initSegmentSize text', { initSegmentSize: '1MiB' }],
    ['initSegmentSize bigint', { initSegmentSize: 1048576n }],
    ['initSegmentSize null', { initSegmentSize: null }],
    ['maxSegmentSize below 256 KiB', { initSegmentSize: 262144, maxSegmentSize: 262143 }],
    ['maxSegmentSize below initSegmentSize', { initSegmentSize: 1048576, maxSegmentSize: 1048575 }],
    ['maxSegmentSize above 2^40', { maxSegmentSize: 2 ** 40 + 1 }],
    ['maxSegmentSize NaN', { maxSegmentSize: NaN }],
    ['maxSegmentSize text', { maxSegmentSize: '2' }],
    ['fallback text', { fallback: 'yes' }],
    ['fallback 1', { fallback: 1 }],
  ])('%s', (name, options) => {
    const dsm = newCluster();
    const codes = [
      codeOf(() => DsaArea.create(dsm, options as DsaOptions)),
      codeOf(() => DsaArea.createInPlace(dsm, { buffer: new SharedArrayBuffer(65536) }, 65536, options as DsaOptions)),
    ];
    // `null` stands for nothing given, as undefined does.
    const expected = name === 'initSegmentSize null' ? 'nothing' : 'ERR_HEAP_BAD_OPTION';
    expect(codes).toEqual([expected, expected]);
    if (expected !== 'nothing') expect(dsm.stats().segments).toEqual([]);
  });

  it.each([-1, 0.5, NaN, 70_000, '1', 9999, 69n, Symbol('69'), {}, Object.create(null)])('tranche %o', (trancheId) => {
    const dsm = newCluster();
    expect(codeOf(() => DsaArea.create(dsm, { trancheId: trancheId as number }))).toBe('ERR_HEAP_TRANCHE');
    expect(dsm.stats().segments).toEqual([]);
  });

  it.each<[string, unknown]>([
    ['null', null],
    ['a number', 1],
    ['fallback text', { fallback: 'no' }],
  ])('when attaching: %s', (_name, options) => {
    const { dsm, area } = newArea();
    const other = another(dsm);
    expect(codeOf(() => DsaArea.attach(other, area.handle, options as never))).toBe('ERR_HEAP_BAD_OPTION');
    expect(DsaArea.isAttached(other, area.handle)).toBe(false);
    expect(area.dump()).toContain('refcnt: 1');
  });
});

describe('the fallback', () => {
  it('takes the largest segment that the region can give, where the scheduled one does not fit', () => {
    const sizes: number[] = [];
    for (let regionSize = 6 * MIB; regionSize <= 11 * MIB; regionSize += 350 * KIB) {
      const { dsm, area } = newArea({ initSegmentSize: 4 * MIB, fallback: true }, { regionSize });
      area.allocate(area.segments()[0]!.usablePages * PAGE - 4 * PAGE);
      const free = dsm.stats().largestFreeBytes!;
      const pointer = area.allocate(65536);
      expect(segmentOf(pointer)).toBe(1);
      const { size } = area.segments()[1]!;
      // 1168 bytes a page go to the states beside the segment; whole pages.
      const largest = Math.min(4 * MIB, Math.floor(free / (PAGE + 1168)) * PAGE);
      expect([regionSize, size]).toEqual([regionSize, largest]);
      sizes.push(size);
      expectSound(area);
    }
    expect(new Set(sizes).size).toBeGreaterThan(3);
  });

  it('goes on down to the smallest that holds the request, then fails; frees bring everything back', () => {
    const { dsm, area } = newArea({ fallback: true }, { regionSize: 24 * MIB });
    const objects = [];
    for (let p = area.allocate(65536, DSA_ALLOC_NO_OOM); p !== 0; p = area.allocate(65536, DSA_ALLOC_NO_OOM))
      objects.push(p);
    // Less than what one more object takes is left over anywhere.
    expect(dsm.stats().largestFreeBytes).toBeLessThan(20 * PAGE);
    expect(codeOf(() => area.allocate(65536))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    expect(objects.length * 65536).toBeGreaterThan(17 * MIB);
    expectSound(area);
    freeAll(area, objects);
    expectEmpty(area);
    expect(losses(area)).toEqual({ rootPages: 0, spanObjects: 0 });
  });

  it('gives a large request a segment of its own size when twice as much cannot be had', () => {
    const { area } = newArea({ initSegmentSize: 8 * MIB, fallback: true }, { regionSize: 18 * MIB });
    area.allocate(7 * MIB);
    const pointer = area.allocate(5 * MIB);
    expect(segmentOf(pointer)).toBe(1);
    expect(area.sizeOf(pointer)).toBe(5 * MIB);
    expectSound(area);
    expect(area.allocate(9 * MIB, DSA_ALLOC_NO_OOM)).toBe(0);
    expect(codeOf(() => area.allocate(200 * GIB, DSA_ALLOC_HUGE))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    expectSound(area);
  });

  it('is off by default: the scheduled size or nothing, as in C', () => {
    const { area } = newArea({ initSegmentSize: 8 * MIB }, { regionSize: 18 * MIB });
    area.allocate(7 * MIB);
    expect(area.allocate(2 * MIB, DSA_ALLOC_NO_OOM)).toBe(0);
    expect(codeOf(() => area.allocate(2 * MIB))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    expect(area.segments().length).toBe(1);
    expectSound(area);
  });

  it('belongs to the participant that asks', () => {
    const { dsm, area } = newArea({ initSegmentSize: 8 * MIB }, { regionSize: 18 * MIB });
    area.allocate(7 * MIB);
    const there = DsaArea.attach(another(dsm), area.handle, { fallback: true });
    expect(area.allocate(2 * MIB, DSA_ALLOC_NO_OOM)).toBe(0);
    const pointer = there.allocate(2 * MIB);
    expect(segmentOf(pointer)).toBe(1);
    area.free(pointer);
    expectSound(area);
  });

  it('does nothing where the scheduled size can be had', () => {
    const plain = newArea().area;
    const careful = newArea({ fallback: true }).area;
    const run = (area: DsaArea): string[] =>
      Array.from({ length: 300 }, (_, k) => hex(area.allocate(1 + ((k * 7919) % 100_000))));
    expect(run(careful)).toEqual(run(plain));
  });

  it('on buffers halves until the engine agrees', () => {
    const { dsm, area } = newArea({ fallback: true }, { store: 'buffers' });
    area.allocate(252 * PAGE);
    const asked: number[] = [];
    const tryCreate = dsm.tryCreate.bind(dsm);
    dsm.tryCreate = (size, ...rest) => {
      asked.push(size);
      if (size <= 300 * KIB) return tryCreate(size, ...rest);
      dsm.failure = 'store';
      return null;
    };
    const pointer = area.allocate(65536);
    expect(asked).toEqual([MIB, 512 * KIB, 256 * KIB]);
    expect(area.segments()[1]!.size).toBe(256 * KIB);
    asked.length = 0;
    expect(area.allocate(400 * KIB, DSA_ALLOC_NO_OOM)).toBe(0);
    expect(asked.at(-1)).toBeGreaterThan(400 * KIB);
    expect(asked.at(-1)).toBeLessThan(410 * KIB);
    area.free(pointer);
    expectSound(area);
  });
});
