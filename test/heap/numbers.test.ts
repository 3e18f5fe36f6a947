import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Pointer, SharedHeap } from '../../dist/heap/heap.js';
import { codeOf, STORES } from './helpers.js';

const SIZE = 256;
const NUMBERS = [
  { kind: 'i8', setter: 'setI8', width: 1, value: fc.integer({ min: -128, max: 127 }), get: 'getInt8' },
  { kind: 'u8', setter: 'setU8', width: 1, value: fc.integer({ min: 0, max: 255 }), get: 'getUint8' },
  { kind: 'i16', setter: 'setI16', width: 2, value: fc.integer({ min: -32768, max: 32767 }), get: 'getInt16' },
  { kind: 'u16', setter: 'setU16', width: 2, value: fc.integer({ min: 0, max: 65535 }), get: 'getUint16' },
  {
    kind: 'i32',
    setter: 'setI32',
    width: 4,
    value: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    get: 'getInt32',
  },
  { kind: 'u32', setter: 'setU32', width: 4, value: fc.integer({ min: 0, max: 2 ** 32 - 1 }), get: 'getUint32' },
  { kind: 'f32', setter: 'setF32', width: 4, value: fc.float(), get: 'getFloat32' },
  { kind: 'f64', setter: 'setF64', width: 8, value: fc.double(), get: 'getFloat64' },
  {
    kind: 'i64',
    setter: 'setI64',
    width: 8,
    value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    get: 'getBigInt64',
  },
  { kind: 'u64', setter: 'setU64', width: 8, value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), get: 'getBigUint64' },
] as const;

type Reader = (ptr: Pointer, offset?: number) => number | bigint;
type Writer = (ptr: Pointer, offset: number, value: number | bigint) => void;

describe.each(STORES)('numbers by offset on %s', (store) => {
  let heap: SharedHeap;
  let ptr: Pointer;

  beforeAll(() => {
    heap = SharedHeap.create({ store, initSegmentSize: '256KiB' });
    ptr = heap.alloc(SIZE);
  });
  afterAll(() => heap.close());

  for (const { kind, setter, width, value, get } of NUMBERS) {
    const read: Reader = (p, offset) => heap[kind](p, offset);
    const write: Writer = (p, offset, v) => (heap[setter] as Writer).call(heap, p, offset, v);

    it(`${kind}: writes exactly its bytes, little endian, and reads them back`, () => {
      const slot = fc.nat({ max: SIZE / width - 1 });
      fc.assert(
        fc.property(slot, value, fc.nat({ max: 255 }), (index, v, background) => {
          const bytes = heap.bytes(ptr, SIZE).fill(background);
          const at = index * width;
          write(ptr, at, v);
          const found = new DataView(bytes.buffer, bytes.byteOffset, SIZE)[get](at, true);
          expect(Object.is(found, v) || (v !== v && found !== found)).toBe(true);
          expect(read(ptr, at)).toEqual(found);
          // A place inside the object is as good as its start.
          expect(read((ptr + at) as Pointer)).toEqual(found);
          bytes.subarray(at, at + width).fill(background);
          expect(bytes.every((b) => b === background)).toBe(true);
        }),
      );
    });
  }

  for (const { kind, setter, width } of NUMBERS.filter(({ width }) => width > 1)) {
    const read: Reader = (p, offset) => heap[kind](p, offset);
    const write: Writer = (p, offset, v) => (heap[setter] as Writer).call(heap, p, offset, v);

    it(`${kind}: refuses what is not aligned`, () => {
      const before = [...heap.bytes(ptr)];
      for (let off = 1; off < width; off++) {
        expect(codeOf(() => read(ptr, off))).toBe('ERR_HEAP_MISALIGNED_POINTER');
        expect(codeOf(() => write(ptr, off, read(ptr)))).toBe('ERR_HEAP_MISALIGNED_POINTER');
        expect(codeOf(() => read((ptr + off) as Pointer, SIZE - width))).toBe('ERR_HEAP_MISALIGNED_POINTER');
        expect(read((ptr + off) as Pointer, width - off)).toEqual(read(ptr, width));
      }
      expect([...heap.bytes(ptr)]).toEqual(before);
    });
  }

  it('rounds to a 32-bit float as Math.fround does', () => {
    for (const v of [0.1, 1e300, -1e-300, Math.PI]) {
      heap.setF32(ptr, 0, v);
      expect(heap.f32(ptr)).toBe(Math.fround(v));
    }
  });

  it('stores pointers as C does: low word, then segment * 256 + high bits of the offset', () => {
    for (const [value, lo, hi] of [
      [0, 0, 0],
      [0x4008, 0x4008, 0],
      [5 * 2 ** 40 + 2 ** 33 + 0x12345678, 0x12345678, 0x502],
      [2 ** 50 - 1, 0xffffffff, 0x3ffff],
    ] as const) {
      heap.setPointer(ptr, 8, value as Pointer);
      expect([heap.u32(ptr, 8), heap.u32(ptr, 12)]).toEqual([lo, hi]);
      expect(heap.pointer(ptr, 8)).toBe(value);
      expect(heap.pointer((ptr + 8) as Pointer)).toBe(value);
    }
  });

  it('says so when the 8 bytes are no pointer', () => {
    for (const value of [2n ** 50n, 2n ** 63n, 2n ** 64n - 1n]) {
      heap.setU64(ptr, 16, value);
      expect(codeOf(() => heap.pointer(ptr, 16))).toBe('ERR_HEAP_FOREIGN_POINTER');
    }
  });

  it('ends at the end of the segment, whatever the object', () => {
    const { segmentBytes } = heap.stats();
    const last = segmentBytes - ptr - 8;
    heap.setU64(ptr, last, heap.u64(ptr, last));
    expect(codeOf(() => heap.u64(ptr, last + 8))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
    expect(codeOf(() => heap.setU64(ptr, last + 8, 0n))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
    expect(codeOf(() => heap.u8(ptr, last + 8))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
    expect(codeOf(() => heap.u8(ptr, Number.MAX_SAFE_INTEGER))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
    expect(codeOf(() => heap.u8(ptr, Number.MAX_VALUE))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
  });

  it('keeps the pages with the structures of the heap out of reach', () => {
    for (const p of [8, 56, 4096, 8184]) {
      expect(codeOf(() => heap.setU32(p as Pointer, 0, 0))).toBe('ERR_HEAP_FOREIGN_POINTER');
    }
    expect(codeOf(() => heap.setU32(0 as Pointer, ptr, 0))).toBe('ERR_HEAP_FOREIGN_POINTER');
    expect(heap.verify().findings).toEqual([]);
  });
});

describe.each(STORES)('segments that come and go on %s', (store) => {
  it('reads through the mapping that is there now', () => {
    const heap = SharedHeap.create({ store, initSegmentSize: '256KiB' });
    const other = SharedHeap.attach(heap.handle);
    const MEGABYTE = 2 ** 20;
    const seen = new Set<number>();
    for (let round = 1; round <= 6; round++) {
      // Small objects fill segments of their own, which go back with their last object.
      const pointers = Array.from({ length: 80 * round }, () => heap.alloc(8192));
      const last = pointers.at(-1)!;
      heap.setU32(last, 0, round);
      heap.setPointer(last, 8, last);
      expect([other.u32(last), other.pointer(last, 8)]).toEqual([round, last]);
      other.setF64(last, 16, round / 3);
      expect(heap.f64(last, 16)).toBe(round / 3);
      seen.add(last);
      for (const p of pointers) other.free(p);
      // Each has some of them in its cache.
      other.trim();
      heap.trim();
      expect(last).toBeGreaterThan(2 ** 40);
      expect(codeOf(() => other.u32(last))).toBe('ERR_HEAP_STALE_SEGMENT');
      expect(codeOf(() => heap.setU32(last, 0, 1))).toBe('ERR_HEAP_STALE_SEGMENT');
    }
    expect(heap.stats().segmentBytes).toBeLessThan(MEGABYTE);
    expect(seen.size).toBeGreaterThan(1);
    expect(heap.verify().findings).toEqual([]);
    other.close();
    heap.close();
  });
});
