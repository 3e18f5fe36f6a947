/**
 * Pointers as a real PostgreSQL 15.20 server gave them: the hand-written sequences and the random table.
 *
 * In a sequence `a100` allocates 100 bytes and `f2` frees the third object allocated.
 */

import { describe, expect, it } from 'vitest';
import { DSA_ALLOC_NO_OOM, type DsaArea } from '../../dist/dsa/dsa.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { golden } from '../freepage/helpers.js';
import { expectSound, freeAll, hex, newArea, newAreaInPlace, STORES } from './helpers.js';

/** Runs a sequence; returns every pointer allocated, in order. */
function run(area: DsaArea, sequence: string): DsaPointer[] {
  const pointers: DsaPointer[] = [];
  for (const step of sequence.split(' ')) {
    const n = Number(step.slice(1));
    if (step[0] === 'a') pointers.push(area.allocate(n, DSA_ALLOC_NO_OOM));
    else area.free(pointers[n]!);
  }
  return pointers;
}

const repeat = (step: string, n: number): string => Array<string>(n).fill(step).join(' ');

describe.each(STORES)('sequences on %s', (store) => {
  it.each([
    [
      'D1',
      'a1 a8 a9 a56 a64 a65 a1023 a1024 a1025 a8191 a8192 a8193',
      '4000 4008 14000 24000 34000 44000 54000 54400 64000 74000 76000 84000',
    ],
    ['D3', 'a64 a64 a64 f0 f2 a64 a64 a64', '4000 4040 4080 4080 4000 40c0'],
    ['D7', 'a8 a8 a16 a100 a9000 a8192 a2000000 a1', '4000 4008 14000 24000 34000 37000 10000002000 4010'],
  ])('%s', (_name, sequence, expected) => {
    const { area } = newArea({}, { store });
    expect(run(area, sequence).map(hex).join(' ')).toBe(expected);
    expectSound(area);
  });

  it.each<[string, string, number, Record<number, string>]>([
    ['D2', 'a64', 1026, { 0: '4000', 1023: '13fc0', 1024: '14000', 1025: '14040' }],
    ['D4', 'a8193', 80, { 0: '4000', 1: '7000', 2: 'a000', 70: 'd6000', 71: 'd9000', 72: 'dd000', 73: 'e0000' }],
    [
      'D5',
      'a65536',
      200,
      { 15: '10000001000', 30: '20000002000', 61: '30000002000', 92: '40000003000', 155: '50000003000' },
    ],
    [
      'D6',
      'a4096',
      4000,
      {
        240: '10000001000',
        480: '20000002000',
        976: '30000002000',
        1472: '40000003000',
        2480: '50000003000',
        3488: '60000005000',
      },
    ],
  ])('%s', (_name, step, count, expected) => {
    const { area } = newArea({}, { store });
    const pointers = run(area, repeat(step, count));
    for (const [at, pointer] of Object.entries(expected))
      expect([at, hex(pointers[Number(at)]!)]).toEqual([at, pointer]);
    expectSound(area);
  });

  it('D5: each segment begins where it should and nowhere earlier', () => {
    const { area } = newArea({}, { store });
    const segments = run(area, repeat('a65536', 200)).map((p) => Math.floor(p / 2 ** 40));
    expect([1, 2, 3, 4, 5].map((index) => segments.indexOf(index))).toEqual([15, 30, 61, 92, 155]);
  });

  it('D8: the size limit', () => {
    const { area } = newArea({}, { store });
    area.setSizeLimit(1048576);
    const pointers = run(area, repeat('a65536', 17)).map(hex);
    const expected = Array.from({ length: 15 }, (_, k) => hex(0x4000 + k * 0x10000));
    expect(expected.at(-1)).toBe('e4000');
    expect(pointers).toEqual([...expected, '0', '0']);
    expectSound(area);
  });

  it('D13: a segment that a large object leaves is kept', () => {
    const { area } = newArea({}, { store });
    expect(run(area, 'a2000000 a100 f0').map(hex)).toEqual(['10000002000', '4000']);
    const [, second] = area.segments();
    expect(second).toMatchObject({ index: 1, usablePages: 489, contiguousPages: 489 });
    expect(area.getTotalSize()).toBe(3059712);
    expectSound(area);
  });
});

describe('sequences in a place', () => {
  it.each([
    ['D9', 8192, 'a8 a8 a2000', '10000002000 10000002008 10000012000'],
    ['D10', 12288, 'a8 a8 a2000', '10000001000 10000001008 10000011000'],
    ['D11', 65536, 'a8 a9000', '10000001000 3000'],
    ['D12', 262144, 'a8 a9000', '3000 13000'],
  ])('%s', (_name, size, sequence, expected) => {
    const { area } = newAreaInPlace(size);
    expect(run(area, sequence).map(hex).join(' ')).toBe(expected);
    expectSound(area);
    area.releaseInPlace();
  });
});

/** seed, steps, largest size, per cent of frees; then allocations, last pointer, hash, last segment, total size. */
const RANDOM = [
  [1, 2000, 200, 40, 1214, '34330', 'f7d9907bc7d4ed21', 0, 1048576],
  [2, 20000, 2000, 45, 10995, '200000d19d8', 'a262c3edbb1a6415', 2, 4194304],
  [3, 20000, 9000, 45, 11119, '10000062800', '7330bbd40c5a88c4', 5, 14680064],
  [4, 20000, 40000, 45, 10918, '4000025c000', 'fa6324be36d62f7d', 8, 48234496],
  [5, 5000, 2000000, 49, 2563, 'b0000a1c000', '0c4df86aa3df3b3b', 12, 199630848],
  [6, 30000, 8192, 50, 15207, 'b4c00', '7f8e1eb26ea1711d', 3, 6291456],
] as const;

describe.each(STORES)('random steps on %s', (store) => {
  it.each(RANDOM)('seed %i', (seed, steps, largest, frees, allocations, last, hash, high, total) => {
    const { area } = newArea({}, { store });
    const random = golden(seed);
    const live: DsaPointer[] = [];
    const results = new GoldenHash64();
    let pointer = 0;
    for (let step = 0; step < steps; step++) {
      const v = random();
      if (live.length > 0 && v % 100 < frees) {
        const at = random() % live.length;
        area.free(live[at]!);
        live[at] = live.at(-1)!;
        live.pop();
      } else {
        pointer = area.allocate((random() % largest) + 1);
        live.push(pointer as DsaPointer);
        results.add(pointer);
      }
    }
    expect([results.count, hex(pointer), results.hex()]).toEqual([allocations, last, hash]);
    const segments = area.segments();
    expect(segments.map(({ index }) => index)).toEqual(Array.from({ length: high + 1 }, (_, k) => k));
    expect(area.getTotalSize()).toBe(total);
    expect(segments.reduce((sum, { size }) => sum + size, 0)).toBe(total);
    expectSound(area);
    freeAll(area, live);
    expectSound(area);
  });
});

/** The golden hash over pointers: they need all of the 8 bytes. */
class GoldenHash64 {
  count = 0;
  #hash = 0xcbf29ce484222325n;

  add(pointer: number): void {
    this.count++;
    for (let rest = BigInt(pointer), k = 0; k < 8; k++, rest >>= 8n) {
      this.#hash = BigInt.asUintN(64, (this.#hash ^ (rest & 0xffn)) * 0x100000001b3n);
    }
  }

  hex(): string {
    return this.#hash.toString(16).padStart(16, '0');
  }
}
