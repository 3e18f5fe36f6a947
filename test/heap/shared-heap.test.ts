import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import * as front from '../../dist/index.js';
import { type HeapHandle, type Pointer, SharedHeap } from '../../dist/heap/heap.js';
import { codeOf, STORES } from './helpers.js';

describe('the public front', () => {
  it('exports exactly what it promises', () => {
    expect(Object.keys(front).sort()).toEqual(['ERROR_CODES', 'SharedHeap', 'SharedHeapError', 'isSharedHeapError']);
  });
});

describe.each(STORES)('life of a heap on %s', (store) => {
  it('is shared by all who attach, in one thread too', () => {
    const first = SharedHeap.create({ store });
    const second = SharedHeap.attach(first.handle);
    const third = SharedHeap.attach(second.handle, { lockTimeout: 1000 });
    const ptr = first.putString('hello');
    expect([second.getString(ptr), third.getString(ptr)]).toEqual(['hello', 'hello']);
    second.setU8(ptr, 4, 0x6a);
    expect(third.getString(ptr)).toBe('jello');
    third.free(ptr);
    expect(codeOf(() => first.free(ptr))).toBe('ERR_HEAP_DOUBLE_FREE');
    expect(first.stats()).toMatchObject({ participants: 3, liveObjects: 0 });
    for (const heap of [second, third, first]) heap.close();
  });

  it('outlives its creator and ends with its last participant', () => {
    const first = SharedHeap.create({ store });
    const second = SharedHeap.attach(first.handle);
    const ptr = first.alloc(100_000);
    first.bytes(ptr).fill(7);
    const { handle } = second;
    first.close();
    expect(second.bytes(ptr).every((b) => b === 7)).toBe(true);
    const third = SharedHeap.attach(handle);
    second.close();
    expect(third.sizeOf(ptr)).toBe(102_400);
    expect(third.verify().findings).toEqual([]);
    third.close();
    expect(codeOf(() => SharedHeap.attach(handle))).toBe('ERR_HEAP_AREA_GONE');
  });

  it('has a handle that survives structured clone, and is plain data', () => {
    const heap = SharedHeap.create({ store });
    const clone = structuredClone(heap.handle);
    expect(clone).toEqual(heap.handle);
    expect(Object.getPrototypeOf(clone)).toBe(Object.prototype);
    expect(heap.handle).not.toBe(heap.handle);
    const other = SharedHeap.attach(clone);
    const ptr = heap.alloc(8);
    heap.setF64(ptr, 0, Math.PI);
    expect(other.f64(ptr)).toBe(Math.PI);
    other.close();
    heap.close();
  });

  it('gives every method the same end after close', () => {
    const keeper = SharedHeap.create({ store });
    const heap = SharedHeap.attach(keeper.handle);
    const ptr = heap.alloc(64);
    heap.setU32(ptr, 0, 1);
    expect(heap.closed).toBe(false);
    heap.close();
    heap.close();
    heap[Symbol.dispose]();
    expect(heap.closed).toBe(true);
    const names = new Set<string>();
    for (let proto = SharedHeap.prototype; proto !== Object.prototype; proto = Object.getPrototypeOf(proto)) {
      for (const name of Object.getOwnPropertyNames(proto)) names.add(name);
    }
    const internal = new Set([
      'constructor',
      'close',
      'closed',
      'forget',
      'attend',
      'afterFree',
      'forgetFreed',
      'locate',
      'currentViews',
    ]);
    const special: Record<string, unknown[]> = {
      view: [ptr, Float64Array],
      putString: ['x'],
      setLimit: [1],
      watch: [{ threadId: 5, on: () => 0, off: () => 0 }],
      setI64: [ptr, 0, 1n],
      setU64: [ptr, 0, 1n],
      far: ['u8', ptr, 0],
    };
    let checked = 0;
    for (const name of names) {
      if (internal.has(name)) continue;
      const use = () => {
        const member = (heap as unknown as Record<string, unknown>)[name];
        if (typeof member === 'function') member.apply(heap, special[name] ?? [ptr, 0, 1]);
      };
      expect([name, codeOf(use)]).toEqual([name, 'ERR_HEAP_CLOSED']);
      checked++;
    }
    expect(checked).toBeGreaterThan(35);
    expect(keeper.sizeOf(ptr)).toBe(64);
    keeper.close();
  });

  it('leaves the slot free when attaching fails', () => {
    const heap = SharedHeap.create({ store, participants: 3 });
    const { handle } = heap;
    for (let i = 0; i < 10; i++) {
      expect(codeOf(() => SharedHeap.attach({ ...handle, area: handle.area ^ 0x1000 }))).not.toBe('nothing');
    }
    expect(heap.stats().participants).toBe(1);
    const others = [SharedHeap.attach(handle), SharedHeap.attach(handle)];
    expect(codeOf(() => SharedHeap.attach(handle))).toBe('ERR_HEAP_PARTICIPANT_SLOTS');
    others.pop()!.close();
    others.push(SharedHeap.attach(handle));
    for (const other of [...others, heap]) other.close();
  });

  it('reports itself as plain data and as text', () => {
    const heap = SharedHeap.create({ store, limit: '64MiB', participants: 5 });
    const ptr = heap.alloc(1000);
    const stats = heap.stats();
    expect(JSON.parse(JSON.stringify(stats))).toEqual(stats);
    expect(stats).toMatchObject({
      store,
      segments: 1,
      segmentBytes: 2 ** 20,
      limit: 2 ** 26,
      liveObjects: 1,
      liveBytes: 1024,
      participants: 1,
      participantsMax: 5,
    });
    expect(stats.liveBytes + stats.freeBytes + stats.metadataBytes).toBe(stats.segmentBytes);
    expect(stats.perClass).toEqual([
      { sizeClass: 25, objectSize: 1024, live: 1, free: 63, cached: 31, superblocks: 1 },
    ]);
    expect(stats.cachedBytes).toBe(31 * 1024);
    expect(stats.reservedBytes).toBeGreaterThan(stats.segmentBytes);
    expect(stats.touchedBytes).toBeLessThanOrEqual(stats.reservedBytes);
    expect(stats.overheadBytes).toBeGreaterThan(0);
    expect(heap.dump()).toContain('size class');
    const report = heap.verify();
    expect(report).toMatchObject({ ok: true, findings: [] });
    expect(report.checks).toBeGreaterThan(100);
    expect(heap.verify({ quiescent: false })).toMatchObject({ ok: true, findings: [] });
    heap.free(ptr);
    heap.setLimit(Number.POSITIVE_INFINITY);
    expect(heap.stats()).toMatchObject({ limit: null, liveObjects: 0, liveBytes: 0 });
    heap.close();
  });

  it('gives segments back', () => {
    const heap = SharedHeap.create({ store });
    const start = heap.stats().segmentBytes;
    const pointers = Array.from({ length: 2000 }, () => heap.alloc(8000));
    expect(heap.stats().segmentBytes).toBeGreaterThan(2000 * 8000);
    for (const ptr of pointers) heap.free(ptr);
    heap.trim();
    expect(heap.stats()).toMatchObject({ segmentBytes: start, segments: 1 });
    heap.close();
  });

  it('finds damage and says what it is', () => {
    const heap = SharedHeap.create({ store });
    heap.alloc(64);
    const { dsm } = heap.handle as HeapHandle & {
      dsm: { control: SharedArrayBuffer; segments: [number, SharedArrayBuffer][] };
    };
    // The control block of the heap: find it by its limit, which is all ones until one is set.
    heap.setLimit(0x7654_3000);
    const memory = new Int32Array(
      store === 'region' ? dsm.control : dsm.segments[0]![1],
      0,
      2 ** 22 / 4 / (store === 'region' ? 1 : 4),
    );
    const at = memory.indexOf(0x7654_3000);
    expect(at).toBeGreaterThan(0);
    memory[at - 2]! += 4096;
    const report = heap.verify();
    expect(report.ok).toBe(false);
    expect(report.findings.length).toBeGreaterThan(0);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(report.findings.map(({ id }) => id)).toContain('K3');
    memory[at - 2]! -= 4096;
    expect(heap.verify().ok).toBe(true);
    heap.close();
  });
});

describe('the region', () => {
  it('is as large as the engine grants, and stats() says so', () => {
    const heap = SharedHeap.create({ regionSize: '1TiB' });
    const { reservedBytes, wantedBytes } = heap.stats();
    expect(wantedBytes).toBe(2 ** 40);
    expect(reservedBytes).toBeLessThanOrEqual(wantedBytes);
    const ptr = heap.alloc('10MiB');
    heap.free(ptr);
    heap.close();
  });

  it.each(['creator', 'other'])(
    'gives a smaller segment when the wanted one does not fit any more, to the %s',
    (who) => {
      const creator = SharedHeap.create({ regionSize: '24MiB' });
      const other = SharedHeap.attach(creator.handle);
      const heap = who === 'creator' ? creator : other;
      // Growth doubles: 1, 1, 2, 2, 4, 4, 8 MiB would not fit, but most of the region can be used all the same.
      const pointers: Pointer[] = [];
      for (let ptr = heap.alloc(60_000, { orNull: true }); ptr !== 0; ptr = heap.alloc(60_000, { orNull: true })) {
        pointers.push(ptr);
      }
      expect(pointers.length * 61_440).toBeGreaterThan(18 * 2 ** 20);
      expect(codeOf(() => heap.alloc(60_000))).toBe('ERR_HEAP_OUT_OF_MEMORY');
      for (const ptr of pointers) heap.free(ptr);
      expect(heap.stats().liveObjects).toBe(0);
      expect(heap.verify().findings).toEqual([]);
      other.close();
      creator.close();
    },
  );

  it('holds objects and numbers beyond 4 GiB', () => {
    const heap = SharedHeap.create();
    const GIB = 2 ** 30;
    const ptr = heap.alloc('5GiB');
    for (const at of [0, GIB - 8, GIB, 4 * GIB - 8, 4 * GIB, 5 * GIB - 8]) {
      heap.setF64(ptr, at, at + 0.5);
      expect(heap.f64(ptr, at)).toBe(at + 0.5);
      heap.setU8(ptr, at, 201);
      heap.setU16(ptr, at + 2, 60_001);
      heap.setI32(ptr, at + 4, 7 - (at % 2 ** 31));
      expect([heap.u8(ptr, at), heap.u16(ptr, at + 2), heap.i32(ptr, at + 4)]).toEqual([
        201,
        60_001,
        7 - (at % 2 ** 31),
      ]);
      expect(heap.bytes(ptr, 4, at)[0]).toBe(201);
      heap.setPointer(ptr, at, ptr);
      expect(heap.pointer(ptr, at)).toBe(ptr);
    }
    expect(heap.verify().findings).toEqual([]);
    heap.free(ptr);
    heap.close();
  });
});

describe('the buffers', () => {
  it('can be collected once their segment was given back, whatever was read through them', async () => {
    const heap = SharedHeap.create({ store: 'buffers' });
    const other = SharedHeap.attach(heap.handle);
    const pointers = Array.from({ length: 1000 }, () => heap.alloc(8000));
    for (const ptr of pointers) {
      heap.setU32(ptr, 0, 3);
      other.setF64(ptr, 8, 0.5);
      expect(other.getString(ptr)).toBe('\0'.repeat(3));
    }
    const buffers = new Set(pointers.map((ptr) => heap.bytes(ptr, 0).buffer));
    const references = [...buffers].slice(1).map((buffer) => new WeakRef(buffer));
    buffers.clear();
    expect(references.length).toBeGreaterThan(3);
    for (const ptr of pointers) heap.free(ptr);
    heap.trim();
    other.free(other.alloc(8));
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    for (let i = 0; i < 20 && references.some((reference) => reference.deref() !== undefined); i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      collect();
    }
    expect(references.filter((reference) => reference.deref() !== undefined)).toEqual([]);
    other.close();
    heap.close();
  });
});
