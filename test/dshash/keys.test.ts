import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DshashTable, hashWords, memoryKeys, stringKeys } from '../../dist/dshash/dshash.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { TRANCHE_PGSTATS_HASH } from '../../dist/sync/sync.js';
import { codeOf, newArea } from '../dsa/helpers.js';
import { COUNTERS } from './helpers.js';

describe('the hash', () => {
  /** Against the algorithm in whole-number arithmetic. */
  it('is MurmurHash3 over words, seeded with the length', () => {
    expect(hashWords(new Int32Array(0), 0, 0)).toBe(0);
    const words = new Int32Array([0x64636261, 0x68676665, 0x6c6b6a69]);
    const reference = (key: Int32Array, length: number): number => {
      const M = 2n ** 32n;
      const rot = (x: bigint, n: bigint): bigint => ((x << n) | (x >> (32n - n))) % M;
      let h = BigInt(length);
      for (const word of key) {
        let k = (BigInt(word >>> 0) * 0xcc9e2d51n) % M;
        k = (rot(k, 15n) * 0x1b873593n) % M;
        h = (rot(h ^ k, 13n) * 5n + 0xe6546b64n) % M;
      }
      h = ((h ^ (h >> 16n)) * 0x85ebca6bn) % M;
      h = ((h ^ (h >> 13n)) * 0xc2b2ae35n) % M;
      return Number(h ^ (h >> 16n));
    };
    for (const length of [4, 8, 12]) {
      expect(hashWords(words, 0, length) >>> 0).toBe(reference(words.subarray(0, length / 4), length));
    }
  });

  it.each(['numbered', 'padded', 'flags', 'urls'])(
    'spreads %s keys over partitions and buckets like chance',
    (kind) => {
      const n = 65_536;
      const make = {
        numbered: (i: number) => `${i}`,
        padded: (i: number) => `${i}`.padStart(12, '0'),
        flags: (i: number) => i.toString(2).padStart(20, 'x'),
        urls: (i: number) => `/api/v1/${i % 256}/${(i - (i % 256)) / 256}`,
      }[kind]!;
      const buckets = new Uint16Array(n);
      for (let i = 0; i < n; i++) buckets[COUNTERS.hash(make(i), undefined) >>> 16]!++;
      // Sum of squares: n for chance is 2n; its standard deviation is sqrt(2n).
      let squares = 0;
      for (const count of buckets) squares += count * count;
      expect(Math.abs(squares - 2 * n)).toBeLessThan(6 * Math.sqrt(2 * n));
    },
  );
});

describe('text keys', () => {
  it('tell all texts apart, and write the text, a zero and nothing else', () => {
    const keys = stringKeys(16);
    const text = fc
      .string({ unit: 'grapheme', maxLength: 15 })
      .filter((s) => Buffer.byteLength(s) < 16 && !s.includes('\0'));
    const words = new Int32Array(6);
    fc.assert(
      fc.property(text, text, (a, b) => {
        words.fill(-1);
        keys.copy(words, 1, a, undefined);
        expect(Buffer.from(words.slice(1, 5).buffer)).toEqual(Buffer.concat([Buffer.from(a)], 16));
        expect([words[0], words[5]]).toEqual([-1, -1]);
        expect(keys.equals(words, 1, b, undefined)).toBe(a === b);
        if (a === b) expect(keys.hash(a, undefined)).toBe(keys.hash(b, undefined));
        expect(keys.equals(words, 1, a, undefined)).toBe(true);
      }),
    );
  });

  it.each([['é'.repeat(8)], ['x'.repeat(16)], ['a\0b'], ['\ud800'], [5], [null], [undefined]])('refuse %j', (key) => {
    const keys = stringKeys(16);
    expect(codeOf(() => keys.hash(key as never, undefined))).toBe('ERR_HEAP_BAD_ARGUMENT');
    // What was refused is not remembered.
    expect(keys.hash('', undefined)).toBe(hashWords(new Int32Array(0), 0, 0));
  });
});

describe('keys of bytes', () => {
  it('tell all keys apart, zeroes included', () => {
    const { area } = newArea();
    const table = DshashTable.create(area, { ...memoryKeys(5), entrySize: 12, trancheId: TRANCHE_PGSTATS_HASH });
    const model = new Map<string, Uint8Array>();
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 5, maxLength: 5, max: 3 }), (key) => {
        const entry = table.findOrInsert(key) as DsaPointer;
        expect(table.found).toBe(model.has(key.join()));
        table.words[table.entryWord + 2] = 7;
        table.releaseLock(entry);
        model.set(key.join(), key);
        expect(table.size).toBe(model.size);
      }),
    );
    for (const key of model.values()) {
      const entry = table.find(key, false) as DsaPointer;
      expect(table.words[table.entryWord + 2]).toBe(7);
      table.releaseLock(entry);
    }
  });

  it.each([[new Uint8Array(4)], [new Uint8Array(6)], ['12345'], [null]])('refuse %j', (key) => {
    expect(codeOf(() => memoryKeys(5).hash(key as never, undefined))).toBe('ERR_HEAP_BAD_ARGUMENT');
  });
});

it('hands the argument to key functions of the program', () => {
  const { area } = newArea();
  const table = DshashTable.create(
    area,
    {
      keySize: 8,
      entrySize: 8,
      trancheId: TRANCHE_PGSTATS_HASH,
      hash: (key: { id: number }, arg: number) => Math.imul(key.id, arg),
      equals: (words, at, key, arg) => words[at] === key.id && words[at + 1] === arg,
      copy: (words, at, key, arg) => words.set([key.id, arg], at),
    },
    0x1b873593,
  );
  for (let id = 0; id < 100; id++) table.releaseLock(table.findOrInsert({ id }) as DsaPointer);
  for (let id = 0; id < 100; id++) expect(table.deleteKey({ id })).toBe(true);
  expect(table.size).toBe(0);
});
