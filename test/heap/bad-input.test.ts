/**
 * Bad input: every public method with NaN, negative, fractional, too large, foreign, null and wrong-type arguments
 * throws its code and changes nothing.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Pointer, SharedHeap } from '../../dist/heap/heap.js';
import { closeSound, codeOf, snapshot, STORES } from './helpers.js';

const WRONG_TYPES: readonly unknown[] = [
  null,
  true,
  '16384',
  'abc',
  {},
  [],
  [16384],
  () => 1,
  Symbol('p'),
  8n,
  new Date(0),
];
const BAD_SIZES: readonly unknown[] = [
  0,
  -1,
  -8,
  0.5,
  1e-300,
  Number.NaN,
  Number.NEGATIVE_INFINITY,
  Number.POSITIVE_INFINITY,
  2 ** 53,
  1e300,
  undefined,
  '64',
  '-1MiB',
  '1.5B',
  '64mib',
  '',
  ...WRONG_TYPES,
];
const BAD_COUNTS: readonly unknown[] = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, ...WRONG_TYPES];

/** Methods that take the start of an object, called with otherwise good arguments. */
const OBJECT_METHODS = {
  free: (heap: SharedHeap, p: never) => heap.free(p),
  sizeOf: (heap: SharedHeap, p: never) => heap.sizeOf(p),
  bytes: (heap: SharedHeap, p: never) => heap.bytes(p, 1),
  view: (heap: SharedHeap, p: never) => heap.view(p, Float64Array, 1),
  getString: (heap: SharedHeap, p: never) => heap.getString(p),
  realloc: (heap: SharedHeap, p: never) => heap.realloc(p, 100),
};

const KINDS = ['I8', 'U8', 'I16', 'U16', 'I32', 'U32', 'F32', 'F64', 'I64', 'U64'] as const;
type Kind = (typeof KINDS)[number];
const width = (kind: Kind) => Number(kind.slice(1)) / 8;
const wide = (kind: Kind) => kind === 'I64' || kind === 'U64';

describe.each(STORES)('bad input on %s', (store) => {
  let heap: SharedHeap;
  let small: Pointer;
  let large: Pointer;
  let freed: Pointer;
  let before: string;

  const read = (kind: Kind, p: unknown, offset?: unknown) =>
    heap[kind.toLowerCase() as Lowercase<Kind>](p as never, offset as never);
  const write = (kind: Kind, p: unknown, offset: unknown, value: unknown) =>
    heap[`set${kind}`](p as never, offset as never, value as never);
  /** The code that a call throws, or what it changed. */
  const tried = (action: () => unknown) => {
    const code = codeOf(action);
    return snapshot(heap, [small, large]) === before ? code : `${code}, and something changed`;
  };

  beforeAll(() => {
    heap = SharedHeap.create({ store, initSegmentSize: '256KiB', limit: '64MiB' });
    small = heap.alloc(64);
    large = heap.alloc(20_000);
    freed = heap.alloc(64);
    // A good access of each kind first: after it the short way is taken, which must refuse the same things.
    for (const kind of KINDS) write(kind, small, 0, read(kind, small));
    heap.bytes(small).fill(0x11);
    heap.bytes(large).fill(0x22);
    heap.free(freed);
    // A failed large request may leave a block of span objects behind, as in the original: have it there already.
    heap.alloc('1GiB', { orNull: true });
    before = snapshot(heap, [small, large]);
  });
  afterAll(() => {
    closeSound(heap);
  });

  it('alloc', () => {
    for (const size of BAD_SIZES) {
      expect(tried(() => heap.alloc(size as never))).toBe('ERR_HEAP_BAD_SIZE');
      expect(tried(() => heap.alloc(size as never, { orNull: true }))).toBe('ERR_HEAP_BAD_SIZE');
    }
    for (const size of [2 ** 52, 2 ** 30, '1TiB']) {
      expect(tried(() => heap.alloc(size))).toBe('ERR_HEAP_OUT_OF_MEMORY');
      expect(heap.alloc(size, { orNull: true })).toBe(0);
    }
    for (const options of [null, 1, 'zero', { zeor: true }, { zero: 1 }, { orNull: 'yes' }, []]) {
      expect(tried(() => heap.alloc(8, options as never))).toBe('ERR_HEAP_BAD_OPTION');
    }
  });

  for (const [name, call] of Object.entries(OBJECT_METHODS)) {
    it(`${name}: what is no number`, () => {
      for (const p of [...WRONG_TYPES, undefined])
        expect(tried(() => call(heap, p as never))).toBe('ERR_HEAP_MISALIGNED_POINTER');
    });

    it(`${name}: what is no pointer`, () => {
      for (const p of [
        Number.NaN,
        Number.POSITIVE_INFINITY,
        -1,
        -8,
        0.5,
        small + 0.5,
        small + 1,
        small + 4,
        2 ** 50 + 0.5,
      ]) {
        expect(tried(() => call(heap, p as never))).toBe('ERR_HEAP_MISALIGNED_POINTER');
      }
      for (const p of [2 ** 50, 2 ** 52, 1e300]) {
        expect(['ERR_HEAP_FOREIGN_POINTER', 'ERR_HEAP_MISALIGNED_POINTER']).toContain(
          tried(() => call(heap, p as never)),
        );
      }
    });

    it(`${name}: pointers to anything but the start of a live object`, () => {
      expect(tried(() => call(heap, freed as never))).toBe('ERR_HEAP_DOUBLE_FREE');
      for (const p of [small + 8, large + 8, large + 4096, large + 19_992]) {
        expect(tried(() => call(heap, p as never))).toBe('ERR_HEAP_INTERIOR_POINTER');
      }
      // The control block, the page map, a span object, a slot never used, a free page, the end of the segment.
      for (const p of [8, 4096, large - 4096, small + 64 * 100, 200 * 1024, 256 * 1024, 2 ** 39]) {
        expect(['ERR_HEAP_FOREIGN_POINTER', 'ERR_HEAP_DOUBLE_FREE']).toContain(tried(() => call(heap, p as never)));
      }
      for (const index of [1, 2, 500, 1023]) {
        expect(tried(() => call(heap, (index * 2 ** 40 + 16_384) as never))).toBe('ERR_HEAP_STALE_SEGMENT');
      }
    });
  }

  it.each(['free', 'sizeOf', 'bytes', 'view', 'getString'] as const)('%s: the null pointer', (name) => {
    expect(tried(() => OBJECT_METHODS[name](heap, 0 as never))).toBe('ERR_HEAP_FOREIGN_POINTER');
    expect(tried(() => OBJECT_METHODS[name](heap, -0 as never))).toBe('ERR_HEAP_FOREIGN_POINTER');
  });

  it('realloc: sizes', () => {
    for (const size of BAD_SIZES) {
      expect(tried(() => heap.realloc(small, size as never))).toBe('ERR_HEAP_BAD_SIZE');
      expect(tried(() => heap.realloc(0, size as never))).toBe('ERR_HEAP_BAD_SIZE');
    }
    expect(tried(() => heap.realloc(small, '1GiB'))).toBe('ERR_HEAP_OUT_OF_MEMORY');
  });

  it('bytes and view: length, offset and type', () => {
    for (const n of BAD_COUNTS) {
      expect(tried(() => heap.bytes(small, n as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(tried(() => heap.bytes(small, 1, n as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(tried(() => heap.view(small, Int16Array, n as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(tried(() => heap.view(small, Int16Array, 1, n as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    for (const n of [65, 2 ** 31, 2 ** 53, Number.MAX_VALUE]) {
      expect(tried(() => heap.bytes(small, n))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
      expect(tried(() => heap.bytes(small, 0, n))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
    }
    for (const type of [
      ...WRONG_TYPES,
      undefined,
      DataView,
      Buffer,
      Array,
      Object.getPrototypeOf(Int8Array),
      class {},
    ]) {
      expect(tried(() => heap.view(small, type as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
  });

  it('putString', () => {
    for (const text of [undefined, null, 1, true, {}, [], () => 'x', Symbol('x'), 8n, new String('x')]) {
      expect(tried(() => heap.putString(text as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
  });

  it.each(KINDS)('numbers: %s', (kind) => {
    const value = wide(kind) ? 1n : 1;
    for (const [p, code] of [
      ...WRONG_TYPES.map((p) => [p, 'ERR_HEAP_MISALIGNED_POINTER'] as const),
      [undefined, 'ERR_HEAP_MISALIGNED_POINTER'],
      [Number.NaN, 'ERR_HEAP_MISALIGNED_POINTER'],
      [small + 0.5, 'ERR_HEAP_MISALIGNED_POINTER'],
      [Number.POSITIVE_INFINITY, 'ERR_HEAP_MISALIGNED_POINTER'],
      [0, 'ERR_HEAP_FOREIGN_POINTER'],
      [-0, 'ERR_HEAP_FOREIGN_POINTER'],
      [-8, 'ERR_HEAP_MISALIGNED_POINTER'],
      [2 ** 50, 'ERR_HEAP_FOREIGN_POINTER'],
      [1e300, 'ERR_HEAP_FOREIGN_POINTER'],
      [8, 'ERR_HEAP_FOREIGN_POINTER'],
      [2 ** 40 + 16_384, 'ERR_HEAP_STALE_SEGMENT'],
      [256 * 1024, 'ERR_HEAP_OUT_OF_BOUNDS'],
      [2 ** 39, 'ERR_HEAP_OUT_OF_BOUNDS'],
    ] as const) {
      expect(tried(() => read(kind, p, 0))).toBe(code);
      expect(tried(() => read(kind, p))).toBe(code);
      expect(tried(() => write(kind, p, 0, value))).toBe(code);
    }
    for (const offset of BAD_COUNTS.filter((n) => n !== Number.POSITIVE_INFINITY)) {
      expect(tried(() => read(kind, small, offset))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(tried(() => write(kind, small, offset, value))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    expect(tried(() => write(kind, small, undefined, value))).toBe('ERR_HEAP_BAD_ARGUMENT');
    // Two fractions that add up to a whole number.
    expect(tried(() => read(kind, small + 0.5, width(kind) - 0.5))).toBe('ERR_HEAP_MISALIGNED_POINTER');
    expect(tried(() => write(kind, small + 0.5, width(kind) - 0.5, value))).toBe('ERR_HEAP_MISALIGNED_POINTER');
    expect(tried(() => write(kind, small + 7.75, 0.25, value))).toBe('ERR_HEAP_MISALIGNED_POINTER');
    for (const offset of [2 ** 18, 2 ** 40, 2 ** 50, 2 ** 53]) {
      expect(tried(() => read(kind, small, offset))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
      expect(tried(() => write(kind, small, offset, value))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
    }
    for (const v of [undefined, null, true, '1', {}, [], () => 1, Symbol('v'), wide(kind) ? 1 : 1n]) {
      expect(tried(() => write(kind, small, 0, v))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
  });

  it.each(KINDS.filter((kind) => !kind.startsWith('F')))('numbers: values that do not fit %s', (kind) => {
    const bits = BigInt(width(kind) * 8);
    const signed = kind.startsWith('I');
    const least = signed ? -(2n ** (bits - 1n)) : 0n;
    const most = signed ? 2n ** (bits - 1n) - 1n : 2n ** bits - 1n;
    const of = (v: bigint) => (wide(kind) ? v : Number(v));
    for (const v of [least - 1n, most + 1n, -(2n ** 70n), 2n ** 70n]) {
      expect(tried(() => write(kind, small, 0, of(v)))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    for (const v of [Number.NaN, 0.5, Number.POSITIVE_INFINITY, 1e300]) {
      expect(tried(() => write(kind, small, 0, v))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
  });

  it('pointer and setPointer', () => {
    for (const p of [...WRONG_TYPES, undefined]) {
      expect(tried(() => heap.pointer(p as never))).toBe('ERR_HEAP_MISALIGNED_POINTER');
      expect(tried(() => heap.setPointer(p as never, 0, small))).toBe('ERR_HEAP_MISALIGNED_POINTER');
    }
    for (const p of [0, 8, 2 ** 50]) {
      expect(tried(() => heap.pointer(p as never))).toBe('ERR_HEAP_FOREIGN_POINTER');
      expect(tried(() => heap.setPointer(p as never, 0, small))).toBe('ERR_HEAP_FOREIGN_POINTER');
    }
    for (const offset of [...WRONG_TYPES, -8, 0.5, Number.NaN]) {
      expect(tried(() => heap.pointer(small, offset as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(tried(() => heap.setPointer(small, offset as never, small))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    for (const offset of [1, 2, 4, 7]) {
      expect(tried(() => heap.pointer(small, offset))).toBe('ERR_HEAP_MISALIGNED_POINTER');
      expect(tried(() => heap.setPointer(small, offset, small))).toBe('ERR_HEAP_MISALIGNED_POINTER');
    }
    for (const value of [...WRONG_TYPES, undefined, Number.NaN, -1, 0.5, 2 ** 50, Number.POSITIVE_INFINITY]) {
      expect(tried(() => heap.setPointer(small, 0, value as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
  });

  it('setLimit', () => {
    for (const bytes of [...BAD_SIZES].filter((n) => n !== 0 && n !== Number.POSITIVE_INFINITY)) {
      expect(tried(() => heap.setLimit(bytes as never))).toBe('ERR_HEAP_BAD_SIZE');
    }
  });

  it('verify', () => {
    for (const options of [null, 1, 'x', [], { quiet: true }, { quiescent: 'no' }, { quiescent: null }]) {
      expect(tried(() => heap.verify(options as never))).toBe('ERR_HEAP_BAD_OPTION');
    }
  });

  it('watch', () => {
    const emitter = { on: () => emitter, off: () => emitter };
    for (const target of [
      undefined,
      null,
      1,
      'worker',
      {},
      [],
      () => 1,
      emitter,
      { ...emitter, threadId: 'x' },
      process,
    ]) {
      expect(tried(() => heap.watch(target as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    expect(tried(() => heap.watch({ postMessage: () => 1, addEventListener: () => 1 } as never))).toBe(
      'ERR_HEAP_UNSUPPORTED',
    );
    expect(tried(() => heap.watch({ ...emitter, threadId: -1 } as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
  });

  it('create', () => {
    expect(tried(() => SharedHeap.create({ limt: 1 } as never))).toBe('ERR_HEAP_BAD_OPTION');
    expect(tried(() => SharedHeap.create(null as never))).toBe('ERR_HEAP_BAD_OPTION');
    expect(tried(() => Reflect.construct(SharedHeap, []))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(tried(() => Reflect.construct(SharedHeap, [{}, {}]))).toBe('ERR_HEAP_BAD_ARGUMENT');
  });

  it('attach', () => {
    const good = heap.handle;
    const variant = (change: object) => Object.assign({}, good, change);
    const { dsm, area } = good;
    const foreign: readonly unknown[] = [
      ...WRONG_TYPES,
      undefined,
      1,
      { ...good, kind: 'other' },
      { v: good.v, dsm, area },
      Object.create(good),
      JSON.parse(JSON.stringify(good)),
      ...[0, -1, 1.5, 2 ** 32, Number.NaN, '2', null, undefined].map((bad) => variant({ area: bad })),
      ...[null, undefined, 1, 'x', {}, []].map((bad) => variant({ dsm: bad })),
      ...[
        undefined,
        null,
        new ArrayBuffer(4096),
        new SharedArrayBuffer(0),
        new SharedArrayBuffer(64),
        new SharedArrayBuffer(1 << 20),
      ].map((control) => variant({ dsm: Object.assign({}, dsm, { control }) })),
      { ...good, dsm: { ...dsm, segments: null } },
      { ...good, dsm: { ...dsm, segments: [[1, null]] } },
      { ...good, dsm: { ...dsm, store: 'other' } },
    ];
    for (const handle of foreign) expect(tried(() => SharedHeap.attach(handle as never))).toBe('ERR_HEAP_BAD_HANDLE');
    expect(tried(() => SharedHeap.attach({ ...good, v: 2 } as never))).toBe('ERR_HEAP_VERSION');
    expect(tried(() => SharedHeap.attach(good, { lockTimeout: -1 }))).toBe('ERR_HEAP_BAD_OPTION');
    expect(tried(() => SharedHeap.attach(good, { store: 'region' } as never))).toBe('ERR_HEAP_BAD_OPTION');
    const gone = { ...good, area: area === 2 ? 4 : 2 };
    expect(tried(() => SharedHeap.attach(gone))).toBe('ERR_HEAP_AREA_GONE');
  });
});
