import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HeapMap } from '../../dist/heap/map.js';
import type { MapOptions } from '../../dist/heap/map-open.js';
import { codeOf, STORES } from './helpers.js';
import { expectMapSound, World } from './map-helpers.js';

const TEXT = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', '\0', '\ud800', '\udc00x', 'ä', 'ÿ', 'Ā', '😀'),
  fc.integer({ min: 0, max: 700 }).map((n) => 'long '.repeat(n)),
);
const BYTES = fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.uint8Array({ minLength: 60, maxLength: 700 }));
const NUMBER = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(0, -0, Number.NaN, Infinity, -Infinity, 5e-324));
const STRUCT = { flag: 'bool', small: 'i8', count: 'u32', ratio: 'f64', big: 'i64', at: 'pointer' } as const;

interface Kind {
  readonly options: MapOptions;
  readonly key: fc.Arbitrary<unknown>;
  readonly value: fc.Arbitrary<unknown>;
}

/** Every kind of key and of value at least once. */
const KINDS: readonly [string, Kind][] = [
  ['string to number', { options: { key: 'string', value: 'number' }, key: TEXT, value: NUMBER }],
  ['string to string', { options: { value: 'string' }, key: TEXT, value: TEXT }],
  ['number to bytes', { options: { key: 'number', value: 'bytes' }, key: NUMBER, value: BYTES }],
  ['bytes to JSON', { options: { key: 'bytes' }, key: BYTES, value: fc.jsonValue() }],
  [
    'number to struct',
    {
      options: { key: 'number', value: STRUCT },
      key: NUMBER,
      value: fc.record({
        flag: fc.boolean(),
        small: fc.integer({ min: -128, max: 127 }),
        count: fc.nat(),
        ratio: fc.double(),
        big: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        at: fc.integer({ min: 0, max: 2 ** 50 - 1 }),
      }),
    },
  ],
];

/** What a model keys by: a JS Map compares arrays by identity. */
const id = (key: unknown): unknown => (key instanceof Uint8Array ? key.join() : key);
/** JSON has one zero; everything else comes back as it was. */
const same = (value: unknown): unknown => (value === undefined ? undefined : structuredClone(value));

describe.each(STORES)('a map on %s', (store) => {
  it.each(KINDS)('of %s does what a Map does', (_name, { options, key, value }) => {
    const world = new World({ store });
    const empty = world.area.stats().liveObjects;
    const map = world.map('m', options) as HeapMap<unknown, unknown>;
    const json = options.value === undefined;
    const put = (v: unknown): unknown => (json ? JSON.parse(JSON.stringify(v)) : same(v));
    const keys = fc.array(key, { minLength: 1, maxLength: 40 });
    const op = fc.record({ what: fc.nat(9), which: fc.nat(), value });
    fc.assert(
      fc.property(keys, fc.array(op, { maxLength: 150 }), (pool, ops) => {
        const model = new Map<unknown, unknown>();
        for (const { what, which, value } of ops) {
          const k = pool[which % pool.length];
          if (what < 4) {
            map.set(k, value);
            model.set(id(k), put(value));
          } else if (what < 5) {
            expect(map.get(k)).toEqual(model.get(id(k)));
          } else if (what < 6) {
            expect(map.has(k)).toBe(model.has(id(k)));
          } else if (what < 7) {
            expect(map.delete(k)).toBe(model.delete(id(k)));
          } else if (what < 8) {
            const found = model.has(id(k));
            if (!found) model.set(id(k), put(value));
            expect(map.getOrInsert(k, which % 2 === 0 ? value : () => value)).toEqual(model.get(id(k)));
          } else {
            const before = model.get(id(k));
            const after = map.update(k, (old: unknown, found: boolean) => {
              expect(found).toBe(model.has(id(k)));
              if (found || options.value !== STRUCT)
                expect(options.value === STRUCT ? { ...(old as object) } : old).toEqual(before);
              return which % 3 === 0 ? (options.value === STRUCT ? false : undefined) : (value as never);
            });
            if (which % 3 !== 0) model.set(id(k), put(value));
            expect(after).toEqual(model.get(id(k)));
          }
        }
        expect(map.size).toBe(model.size);
        expect(new Map([...map].map(([k, v]) => [id(k), v]))).toEqual(model);
        expect([...map.keys()].map(id).sort()).toEqual([...model.keys()].sort());
        expect([...map.values()]).toHaveLength(model.size);
        expectMapSound(map as never, world.area);
        map.clear();
        expect(map.size).toBe(0);
        expect([...map]).toEqual([]);
        expect(world.area.stats().liveObjects).toBe(empty + 2);
      }),
      { numRuns: 25 },
    );
  });

  it('grows, shrinks and uses freed memory again', () => {
    const world = new World({ store });
    const map = world.map('m', { value: 'number' });
    for (let n = 0; n < 20_000; n++) map.set(`key ${n}`, n);
    for (let n = 0; n < 20_000; n++) expect(map.get(`key ${n}`)).toBe(n);
    expectMapSound(map as never, world.area);
    const { liveBytes } = world.area.stats();
    for (let round = 0; round < 5; round++) {
      for (let n = 0; n < 20_000; n++) expect(map.delete(`key ${n}`)).toBe(true);
      expect(map.size).toBe(0);
      for (let n = 0; n < 20_000; n++) map.set(`key ${n}`, -n);
    }
    expect(map.size).toBe(20_000);
    expect(world.area.stats().liveBytes).toBe(liveBytes);
    expectMapSound(map as never, world.area);
  });

  it('keeps values that change their length, from nothing to megabytes', () => {
    const world = new World({ store });
    const map = world.map('m', { value: 'bytes' });
    for (let n = 0; n < 400; n++) {
      const length = n % 40 === 39 ? 2 ** 20 + n : (n * 97) % 900;
      map.set(`${n % 10}`, new Uint8Array(length).fill(n));
      const got = map.get(`${n % 10}`)!;
      expect(got.length).toBe(length);
      expect(got.every((byte) => byte === n % 256)).toBe(true);
    }
    expectMapSound(map as never, world.area);
    for (let n = 0; n < 10; n++) map.delete(`${n}`);
    map.clear();
    expect(world.area.stats().liveObjects).toBe(2);
  });
});

describe('keys', () => {
  it('that are numbers are one when a JS Map takes them for one', () => {
    const map = new World().map('m', { key: 'number', value: 'string' });
    map.set(-0, 'zero').set(Number.NaN, 'nan');
    const other = new Float64Array(new Uint32Array([1, 0x7ff80000]).buffer)[0]!;
    expect([map.get(0), map.get(other), map.size]).toEqual(['zero', 'nan', 2]);
    expect([...map.keys()].map((key) => Object.is(key, 0) || Number.isNaN(key))).toEqual([true, true]);
  });

  it('that are text are one only when they are the same text', () => {
    const map = new World().map('m', { value: 'number' });
    const texts = [
      '',
      '\0',
      '\0\0',
      'a',
      'a\0',
      'ä',
      'a\u0308',
      'aĀ',
      '\ud83d',
      '\ud83d\ude00',
      'x'.repeat(100),
      `${'x'.repeat(99)}ä`,
    ];
    for (const [n, text] of texts.entries()) map.set(text, n);
    for (const [n, text] of texts.entries()) expect(map.get(text)).toBe(n);
    expect(map.size).toBe(texts.length);
    expect(new Set(map.keys())).toEqual(new Set(texts));
  });
});

describe('update', () => {
  it('leaves everything as it was when its function throws', () => {
    const world = new World();
    const map = world.map('m', { value: { count: 'u32' } });
    map.set('a', { count: 1 });
    for (const key of ['a', 'b']) {
      expect(() =>
        map.update(key, (v) => {
          v.count = 7;
          throw new Error('no');
        }),
      ).toThrow('no');
      expect(codeOf(() => map.update(key, (v) => void (v.count = -1)))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => map.update(key, () => ({ count: 'x' }) as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    expect([...map]).toEqual([['a', { count: 1 }]]);
    expect(world.dsm.participant.nheld).toBe(0);
    expectMapSound(map as never, world.area);
  });

  it('changes fields in place, and starts new ones at 0', () => {
    const map = new World().map('m', { value: { count: 'u32', last: 'f64' } });
    for (let n = 1; n <= 3; n++) {
      const now = map.update('a', (v) => {
        v.count++;
        v.last = n / 2;
      });
      expect(now).toEqual({ count: n, last: n / 2 });
    }
    expect(map.update('b', () => false)).toBeUndefined();
    expect(map.has('b')).toBe(false);
    const kept = map.update('a', (v) => {
      v.count = 99;
      return false;
    });
    expect(kept).toEqual({ count: 3, last: 1.5 });
    expect(map.get('a')).toEqual({ count: 3, last: 1.5 });
  });

  it('refuses the same map inside its function, on every call, and goes on working', () => {
    const world = new World();
    const map = world.map('m', { value: 'json' });
    const other = world.map('other', { value: 'json' });
    map.set('a', 1);
    const calls: (() => unknown)[] = [
      () => map.get('b'),
      () => map.has('b'),
      () => map.set('b', 1),
      () => map.delete('b'),
      () => map.update('b', () => 1),
      () => map.getOrInsert('b', 1),
      () => map.clear(),
      () => map.size,
      () => [...map],
      () => map.verify(),
      () => map.set('b', { toJSON: () => map.get('a') }),
    ];
    for (const call of calls) {
      expect(codeOf(() => map.update('a', call as never))).toBe('ERR_HEAP_LOCK_SELF');
      expect(codeOf(() => map.getOrInsert('new', call as never))).toBe('ERR_HEAP_LOCK_SELF');
      expect(codeOf(() => map.update('a', () => ({ toJSON: call }) as never))).toBe('ERR_HEAP_LOCK_SELF');
    }
    expect([...map]).toEqual([['a', 1]]);
    // Another map may be used, and this one again afterwards; and by toJSON before the lock is taken.
    expect(map.update('a', (v: number) => other.getOrInsert('x', v + 1))).toBe(2);
    map.set('b', { toJSON: () => [map.get('a'), map.set('c', 3).size] });
    expect(map.get('b')).toEqual([2, 2]);
    expect(world.dsm.participant.nheld).toBe(0);
  });
});

describe('loops', () => {
  it('see every entry that stays exactly once while the map grows and others go', () => {
    const world = new World();
    const map = world.map('m', { key: 'number', value: 'number' });
    for (let n = 0; n < 1000; n++) map.set(n, n);
    const seen = new Set<number>();
    for (const [key, value] of map) {
      expect(seen.has(key)).toBe(false);
      expect(value).toBe(key);
      seen.add(key);
      // Twenty times as many as at the beginning, so that the table doubles several times meanwhile.
      if (map.size < 20_000) for (let n = 0; n < 50; n++) map.set(1000 + seen.size * 50 + n, 1000 + seen.size * 50 + n);
      if (key % 2 === 1) map.delete(key);
    }
    expect(map.size).toBeGreaterThan(10_000);
    for (let n = 0; n < 1000; n += 2) expect(seen.has(n)).toBe(true);
    const again = [...map.keys()];
    expect(new Set(again).size).toBe(again.length);
    expect(again.length).toBe(map.size);
    expectMapSound(map as never, world.area);
  });

  it('hold no lock while their body runs', () => {
    const world = new World();
    const map = world.map('m', { value: 'number' });
    for (let n = 0; n < 300; n++) map.set(`${n}`, n);
    let sum = 0;
    map.forEach((value, key, self) => {
      expect(world.dsm.participant.nheld).toBe(0);
      expect(self.get(key)).toBe(value);
      self.set(key, -value);
      sum += value;
    });
    expect(sum).toBe(44_850);
    expect([...map.values()].reduce((a, b) => a + b)).toBe(-44_850);
  });
});
