import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Pointer, SharedHeap } from '../../dist/heap/heap.js';
import { closeSound, codeOf, snapshot, STORES } from './helpers.js';

describe.each(STORES)('objects on %s', (store) => {
  let heap: SharedHeap;

  beforeEach(() => {
    heap = SharedHeap.create({ store });
  });
  afterEach(() => closeSound(heap));

  it('hands out disjoint objects of any size and takes them back', () => {
    const live = new Map<Pointer, { size: number; tag: number }>();
    let tag = 0;
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 40_000 })), { maxLength: 30 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        (sizes, victims) => {
          for (const size of sizes) {
            const ptr = heap.alloc(size);
            expect(heap.sizeOf(ptr)).toBeGreaterThanOrEqual(size);
            tag = (tag + 1) & 0xff;
            heap.bytes(ptr).fill(tag);
            live.set(ptr, { size, tag });
          }
          for (const victim of victims) {
            const ptr = [...live.keys()][victim % Math.max(live.size, 1)];
            if (ptr === undefined) continue;
            heap.free(ptr);
            live.delete(ptr);
          }
          for (const [ptr, object] of live) expect(heap.bytes(ptr).every((b) => b === object.tag)).toBe(true);
          expect(heap.stats().liveObjects).toBe(live.size);
        },
      ),
      { numRuns: 30 },
    );
    for (const ptr of live.keys()) heap.free(ptr);
    expect(heap.stats()).toMatchObject({ liveObjects: 0, liveBytes: 0 });
  });

  it('rounds sizes up to the class or to whole pages', () => {
    for (const [asked, usable] of [
      [1, 8],
      [8, 8],
      [9, 16],
      [100, 112],
      [8192, 8192],
      [8193, 12288],
      [65536, 65536],
      [65537, 69632],
    ] as const) {
      const ptr = heap.alloc(asked);
      expect(heap.sizeOf(ptr)).toBe(usable);
      heap.free(ptr);
    }
  });

  it('takes sizes as text', () => {
    const ptr = heap.alloc('64KiB');
    expect(heap.sizeOf(ptr)).toBe(65536);
    const moved = heap.realloc(ptr, '1MiB');
    expect(heap.sizeOf(moved)).toBe(2 ** 20);
    heap.free(moved);
  });

  it('zeroes when asked to, also memory that was used before', () => {
    for (const size of [24, 1000, 100_000]) {
      const dirty = heap.alloc(size);
      heap.bytes(dirty).fill(0xff);
      heap.free(dirty);
      const clean = heap.alloc(size, { zero: true });
      expect(clean).toBe(dirty);
      expect(heap.bytes(clean, size).every((b) => b === 0)).toBe(true);
      heap.free(clean);
    }
  });

  it('throws or returns 0 when out of memory, and is as before', () => {
    heap.setLimit('2MiB');
    // It keeps the page that the descriptors of large objects come from.
    const kept = heap.alloc(10_000);
    const before = snapshot(heap, []);
    expect(codeOf(() => heap.alloc('100MiB'))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    expect(heap.alloc('100MiB', { orNull: true })).toBe(0);
    expect(snapshot(heap, [])).toBe(before);
    heap.setLimit(Number.POSITIVE_INFINITY);
    const ptr = heap.alloc('100MiB', { orNull: true });
    expect(ptr).not.toBe(0);
    heap.free(ptr);
    heap.free(kept);
  });

  it('gives views of the memory itself', () => {
    const ptr = heap.alloc(64, { zero: true });
    const bytes = heap.bytes(ptr, 64);
    const floats = heap.view(ptr, Float64Array, 2, 16);
    floats[1] = 1.5;
    expect(heap.f64(ptr, 24)).toBe(1.5);
    expect(bytes[31]).toBe(0x3f);
    expect(bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect([heap.bytes(ptr).length, heap.bytes(ptr, undefined, 60).length, heap.bytes(ptr, 0).length]).toEqual([
      64, 4, 0,
    ]);
    expect([heap.view(ptr, Uint16Array).length, heap.view(ptr, BigInt64Array, undefined, 8).length]).toEqual([32, 7]);
    expect(heap.bytes(ptr, 0, 64).length).toBe(0);
    expect(heap.bytes(ptr, undefined, 64).length).toBe(0);
    heap.free(ptr);
  });

  it.each([
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
  ])('makes a view of type %o', (type) => {
    const ptr = heap.alloc(80);
    const view = heap.view(ptr, type, 3, 8);
    expect(view).toBeInstanceOf(type);
    expect([view.length, view.byteOffset % type.BYTES_PER_ELEMENT]).toEqual([3, 0]);
    heap.free(ptr);
  });

  it('keeps views inside live objects', () => {
    const ptr = heap.alloc(64);
    expect(codeOf(() => heap.bytes(ptr, 65))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
    expect(codeOf(() => heap.bytes(ptr, 1, 64))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
    expect(codeOf(() => heap.bytes(ptr, undefined, 65))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
    expect(codeOf(() => heap.view(ptr, Float64Array, 9))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
    expect(codeOf(() => heap.view(ptr, Float64Array, 1, 4))).toBe('ERR_HEAP_MISALIGNED_POINTER');
    expect(codeOf(() => heap.bytes((ptr + 8) as Pointer))).toBe('ERR_HEAP_INTERIOR_POINTER');
    heap.free(ptr);
    expect(codeOf(() => heap.bytes(ptr))).toBe('ERR_HEAP_DOUBLE_FREE');
    expect(codeOf(() => heap.getString(ptr))).toBe('ERR_HEAP_DOUBLE_FREE');
  });
});

describe.each(STORES)('realloc on %s', (store) => {
  it('keeps the contents and moves only when the class or the number of pages changes', () => {
    const heap = SharedHeap.create({ store });
    const size = fc.oneof(
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 8192 }),
      fc.integer({ min: 8193, max: 200_000 }),
    );
    fc.assert(
      fc.property(fc.array(size, { minLength: 2, maxLength: 12 }), ([first, ...rest]) => {
        let ptr = heap.realloc(0, first!);
        let contents = heap.bytes(ptr, first).fill(1).slice();
        for (const [i, next] of rest.entries()) {
          const had = heap.sizeOf(ptr);
          const moved = heap.realloc(ptr, next);
          const kept = Math.min(contents.length, next);
          expect(Buffer.compare(heap.bytes(moved, kept), contents.subarray(0, kept))).toBe(0);
          const fresh = heap.alloc(next);
          expect(heap.sizeOf(moved)).toBe(heap.sizeOf(fresh));
          heap.free(fresh);
          expect(moved === ptr).toBe(heap.sizeOf(moved) === had);
          expect(codeOf(() => heap.sizeOf(ptr)) === 'nothing').toBe(moved === ptr);
          ptr = moved;
          contents = heap
            .bytes(ptr, next)
            .fill(i + 2)
            .slice();
        }
        heap.free(ptr);
        expect(heap.stats().liveObjects).toBe(0);
      }),
      { numRuns: 60 },
    );
    expect(heap.verify().findings).toEqual([]);
    heap.close();
  });

  it('leaves the object alone when there is no memory', () => {
    const heap = SharedHeap.create({ store, limit: '2MiB' });
    const ptr = heap.alloc(100);
    heap.bytes(ptr).fill(9);
    expect(codeOf(() => heap.realloc(ptr, '10MiB'))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    expect(heap.bytes(ptr).every((b) => b === 9)).toBe(true);
    expect(heap.stats().liveObjects).toBe(1);
    heap.close();
  });
});

describe.each(STORES)('text on %s', (store) => {
  it('goes in and comes out, in objects of its own', () => {
    const heap = SharedHeap.create({ store });
    const unit = fc.oneof(
      fc.constantFrom('a', 'é', '€', '😀', '\ud800', '\ufeff'),
      fc.string({ unit: 'binary', maxLength: 1 }),
    );
    fc.assert(
      fc.property(fc.array(fc.string({ unit, maxLength: 80 }), { maxLength: 10 }), (texts) => {
        const pointers = texts.map((text) => heap.putString(text));
        const expected = texts.map((text) => Buffer.from(text).toString());
        expect(pointers.map((ptr) => heap.getString(ptr))).toEqual(expected);
        for (const [i, ptr] of pointers.entries()) {
          const utf8 = Buffer.from(texts[i]!);
          expect(heap.u32(ptr)).toBe(utf8.length);
          expect(Buffer.compare(heap.bytes(ptr, utf8.length, 4), utf8)).toBe(0);
          heap.free(ptr);
        }
      }),
    );
    expect(heap.stats().liveObjects).toBe(0);
    heap.close();
  });

  it('takes text of megabytes', () => {
    const heap = SharedHeap.create({ store });
    const text = 'é€😀x'.repeat(500_000);
    expect(heap.getString(heap.putString(text)) === text).toBe(true);
    heap.close();
  });

  it('does not read beyond the object', () => {
    const heap = SharedHeap.create({ store });
    const ptr = heap.alloc(16);
    for (const length of [13, 1000, 2 ** 31, 2 ** 32 - 1]) {
      heap.setU32(ptr, 0, length);
      expect(codeOf(() => heap.getString(ptr))).toBe('ERR_HEAP_OUT_OF_BOUNDS');
    }
    heap.setU32(ptr, 0, 12);
    expect(heap.getString(ptr)).toHaveLength(12);
    heap.close();
  });
});
