/** Out of memory at every allocation of a map leaves it as it was; what is wrong with arguments is said. */

import { describe, expect, it } from 'vitest';
import type { HeapMap } from '../../dist/heap/map.js';
import { MapBlock } from '../../dist/heap/map-layout.js';
import { HeapMaps } from '../../dist/heap/maps.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { codeOf, STORES } from './helpers.js';
import { exhaust, expectMapSound, SMALL, World } from './map-helpers.js';

/** Everything that a map holds and says of itself. */
function image(map: HeapMap<string, any>): string {
  return JSON.stringify([[...map].sort(), map.size, map.verify()]);
}

/** A number from a row that looks like chance. */
function noise(n: number): number {
  return (Math.imul(n, 0x9e3779b1) >>> 0) % 1000;
}

type Change = (map: HeapMap<string, string>, n: number) => void;

/** Every operation that may allocate: a new entry, a longer value, a value that needs an object of its own. */
const CHANGES: readonly [string, Change][] = [
  ['set', (map, n) => map.set(`key ${n}`, 'v'.repeat(noise(n)))],
  ['set with longer values', (map, n) => map.set(`key ${n % 50}`, 'v'.repeat(n * 3))],
  ['update', (map, n) => map.update(`key ${n}`, (old) => `${old ?? ''}${'u'.repeat(noise(n))}`)],
  [
    'update with longer values',
    (map, n) => map.update(`key ${n % 20}`, (old) => `${old ?? ''}${'u'.repeat(noise(n))}`),
  ],
  ['getOrInsert', (map, n) => map.getOrInsert(`key ${n}`, 'w'.repeat(noise(n)))],
  ['getOrInsert with a function', (map, n) => map.getOrInsert(`key ${n}`, () => 'x'.repeat(noise(n)))],
];

describe.each(STORES)('without memory, on %s', (store) => {
  it.each(CHANGES)('%s changes all or nothing', (_name, change) => {
    const world = new World({ store }, SMALL);
    const map = world.map('m', { value: 'string' });
    for (let n = 0; n < 100; n++) map.set(`key ${n}`, `${n}`);
    const taken = exhaust(world);
    let refused = 0;
    for (let n = 100; n < 700; n++) {
      const before = n % 25 === 0 || refused < 15 ? image(map) : '';
      const code = codeOf(() => change(map, n));
      if (code === 'nothing') continue;
      refused++;
      expect(code).toBe('ERR_HEAP_OUT_OF_MEMORY');
      expect(world.dsm.participant.nheld).toBe(0);
      if (before !== '') expect(image(map)).toBe(before);
      // Smaller and smaller objects come back first, then ever larger ones.
      for (let k = 0; k <= n % 3; k++) if (taken.length > 0) world.area.free(taken.pop()!);
      if (codeOf(() => change(map, n)) !== 'nothing' && taken.length > 0) world.area.free(taken.shift()!);
    }
    expect(refused).toBeGreaterThan(10);
    for (const p of taken) world.area.free(p);
    world.area.setSizeLimit(Number.POSITIVE_INFINITY);
    for (let n = 0; n < 3000; n++) map.set(`key ${n}`, `${n}`);
    for (let n = 0; n < 3000; n++) expect(map.get(`key ${n}`)).toBe(`${n}`);
    expectMapSound(map as never, world.area);
    map.clear();
    expect(world.area.stats().liveObjects).toBe(2);
  });

  it('opens no map, and keeps nothing of it', () => {
    const world = new World({ store }, SMALL);
    world.map('first', {});
    const taken = exhaust(world);
    const failures = new Set<number>();
    let live = world.area.stats().liveObjects;
    while (codeOf(() => world.map('m', {})) === 'ERR_HEAP_OUT_OF_MEMORY') {
      expect(world.area.stats().liveObjects).toBe(live);
      expect(world.blocks.has('m')).toBe(false);
      failures.add(live);
      // Small objects first, so that block and partitions fail in this order.
      world.area.free(taken.pop()!);
      live = world.area.stats().liveObjects;
    }
    expect(failures.size).toBeGreaterThan(1);
    const map = world.map('m', {});
    expect(world.area.stats().liveObjects).toBe(live + 2);
    world.area.setSizeLimit(Number.POSITIVE_INFINITY);
    map.set('a', 1);
    expectMapSound(map as never, world.area);
  });

  it('reads and deletes all the same', () => {
    const world = new World({ store }, SMALL);
    const map = world.map('m', { value: 'string' });
    for (let n = 0; n < 500; n++) map.set(`key ${n}`, 'v'.repeat(noise(n)));
    exhaust(world);
    for (let n = 0; n < 500; n++) {
      expect(map.get(`key ${n}`)).toBe('v'.repeat(noise(n)));
      map.set(`key ${n}`, '');
      expect(map.delete(`key ${n}`)).toBe(true);
    }
    expect([...map]).toEqual([]);
    expectMapSound(map as never, world.area);
  });
});

describe('bad input', () => {
  it.each([
    [null],
    ['string'],
    [5],
    [{ key: 'text' }],
    [{ key: null }],
    [{ value: 'int' }],
    [{ value: null }],
    [{ value: 5 }],
    [{ value: {} }],
    [{ value: { a: 'f16' } }],
    [{ value: { a: null } }],
    [{ value: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`f${i}`, 'f64'])) }],
    [{ capacity: -1 }],
    [{ capacity: 1.5 }],
    [{ capacity: 2 ** 31 }],
    [{ keys: 'string' }],
  ])('as options: %j', (options) => {
    const world = new World();
    expect(codeOf(() => world.map('m', options as never))).toBe('ERR_HEAP_BAD_OPTION');
    expect(world.area.stats().liveObjects).toBe(0);
  });

  it('as options that differ from those of the map', () => {
    const world = new World();
    const options = { key: 'string', value: { a: 'i32', b: 'i32' } } as const;
    const map = world.map('m', options);
    expect(world.map('m', { ...options, capacity: 500 })).toBe(map);
    for (const other of [
      { ...options, key: 'number' },
      { ...options, value: 'json' },
      { ...options, value: { b: 'i32', a: 'i32' } },
      { ...options, value: { a: 'i32', c: 'i32' } },
      { ...options, value: { a: 'i32', b: 'u32' } },
      { ...options, value: { a: 'i32', b: 'i32', c: 'i32' } },
    ] as never[]) {
      expect(codeOf(() => world.map('m', other))).toBe('ERR_HEAP_BAD_OPTION');
      // The same from a participant that has not opened it yet.
      expect(codeOf(() => world.map('m', other, new HeapMaps()))).toBe('ERR_HEAP_BAD_OPTION');
    }
    expect(world.map('m', options, new HeapMaps())).not.toBe(map);
  });

  it.each([
    ['ERR_HEAP_VERSION', 'another layout', MapBlock.layout, 1],
    ['ERR_HEAP_BAD_HANDLE', 'a pointer to nothing', MapBlock.partitions, 8],
    ['ERR_HEAP_BAD_HANDLE', 'a size that no table has', MapBlock.first_log2, 64],
  ])('%s as a block with %s', (code, _what, field, change) => {
    const world = new World();
    world.map('m', {}).set('a', 1);
    const words = world.area.segmentI32(0);
    const word = (world.blocks.get('m')! + field) / 4;
    words[word] = words[word]! + change;
    expect(codeOf(() => world.map('m', {}, new HeapMaps()))).toBe(code);
    words[word] = words[word]! - change;
    expect(world.map('m', {}, new HeapMaps()).get('a')).toBe(1);
  });

  const KEYS: readonly [string, object, unknown, readonly unknown[]][] = [
    [
      'text',
      { key: 'string', value: 'number' },
      1,
      [1, null, undefined, new Uint8Array(1), Symbol('a'), 'x'.repeat(2 ** 20)],
    ],
    ['numbers', { key: 'number', value: 'number' }, 1, ['1', null, undefined, 1n, {}]],
    ['bytes', { key: 'bytes', value: 'number' }, 1, ['1', null, [1], new Uint16Array(1), new Uint8Array(2 ** 20)]],
  ];

  it.each(KEYS)('as keys that are %s', (_name, options, value, wrong) => {
    const world = new World();
    const map = world.map('m', options as never) as HeapMap<unknown, unknown>;
    for (const key of wrong) {
      for (const call of [
        () => map.get(key),
        () => map.has(key),
        () => map.set(key, value),
        () => map.delete(key),
        () => map.update(key, () => value),
        () => map.getOrInsert(key, value),
      ]) {
        expect(codeOf(call)).toBe('ERR_HEAP_BAD_ARGUMENT');
      }
    }
    expect(map.size).toBe(0);
    expect(world.dsm.participant.nheld).toBe(0);
  });

  const loop: unknown[] = [];
  loop.push(loop);
  const VALUES: readonly [string, object, unknown, readonly unknown[]][] = [
    ['numbers', { value: 'number' }, 1, ['1', null, undefined, 1n, {}]],
    ['text', { value: 'string' }, 'a', [1, null, undefined, new Uint8Array(1)]],
    ['bytes', { value: 'bytes' }, new Uint8Array(1), ['a', null, undefined, [1], new Int8Array(1)]],
    ['JSON', { value: 'json' }, [1], [undefined, Symbol('a'), 1n, loop]],
    [
      'structs',
      { value: { a: 'u8' } },
      { a: 1 },
      [1, null, undefined, {}, { a: '1' }, { a: 256 }, { a: 1.5 }, { a: -1 }],
    ],
  ];

  it.each(VALUES)('as values that are %s', (_name, options, good, wrong) => {
    const world = new World();
    const map = world.map('m', options as never) as HeapMap<unknown, unknown>;
    map.set('there', good);
    const before = image(map as never);
    for (const value of wrong) {
      for (const key of ['there', 'new']) {
        expect(codeOf(() => map.set(key, value))).toBe('ERR_HEAP_BAD_ARGUMENT');
        if (value !== undefined)
          expect(codeOf(() => map.update(key, () => value as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
      }
      expect(codeOf(() => map.getOrInsert('new', value))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => map.getOrInsert('new', () => value))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    expect(image(map as never)).toBe(before);
    expect(world.dsm.participant.nheld).toBe(0);
  });

  it('as fields of every type', () => {
    const map = new World().map('m', {
      value: { a: 'i8', b: 'i16', c: 'u16', d: 'i32', e: 'f32', f: 'f64', g: 'i64', h: 'u64', i: 'bool', j: 'pointer' },
    });
    const good = {
      a: -128,
      b: -32_768,
      c: 65_535,
      d: -(2 ** 31),
      e: 0.5,
      f: Math.PI,
      g: -(2n ** 63n),
      h: 2n ** 64n - 1n,
      i: true,
      j: (2 ** 50 - 1) as DsaPointer,
    };
    map.set('x', good);
    expect(map.get('x')).toEqual(good);
    const wrong = { a: 128, b: 32_768, c: 65_536, d: 2 ** 31, e: 1n, f: '1', g: 2n ** 63n, h: -1n, i: 1, j: 2 ** 50 };
    for (const [name, value] of Object.entries(wrong)) {
      expect(codeOf(() => map.set('x', { ...good, [name]: value }))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    expect(map.get('x')).toEqual(good);
  });

  it('as functions, and as options of verify', () => {
    const map = new World().map('m', {});
    for (const wrong of [undefined, null, 5, {}]) {
      expect(codeOf(() => map.update('a', wrong as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => map.forEach(wrong as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    expect(codeOf(() => map.verify({ quiescent: 1 as never }))).toBe('ERR_HEAP_BAD_OPTION');
  });

  it('as a heap that was closed', () => {
    const world = new World();
    const map = world.map('m', {});
    map.set('a', 1);
    const running = map.entries();
    running.next();
    world.area.detach();
    for (const call of [
      () => map.get('a'),
      () => map.has('a'),
      () => map.set('a', 1),
      () => map.delete('a'),
      () => map.update('a', () => 1),
      () => map.getOrInsert('a', 1),
      () => map.clear(),
      () => map.size,
      () => map.verify(),
      () => [...map],
      () => running.next(),
    ]) {
      expect(codeOf(call)).toBe('ERR_HEAP_CLOSED');
    }
    expect(map.name).toBe('m');
  });
});
