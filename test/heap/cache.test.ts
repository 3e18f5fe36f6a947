/** Caches as the front shows them: on by default, off when asked, always part of the numbers. */

import { describe, expect, it } from 'vitest';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { SharedHeap } from '../../dist/heap/heap.js';
import { closeSound, codeOf, snapshot, STORES } from './helpers.js';

const MIB = 1024 * 1024;

/** Requests of all kinds, some freed again; the pointers in the order in which they came. */
function program(alloc: (bytes: number) => number, free: (pointer: number) => void): number[] {
  const all: number[] = [];
  const live: number[] = [];
  for (let k = 0; k < 3000; k++) {
    const pointer = alloc(1 + ((k * 7919) % (k % 10 === 0 ? 60_000 : 2000)));
    all.push(pointer);
    live.push(pointer);
    if (k % 3 === 2) free(live.splice((k * 31) % live.length, 1)[0]!);
  }
  return all;
}

describe.each(STORES)('on %s', (store) => {
  it('a heap keeps free objects at hand, and says so', () => {
    const heap = SharedHeap.create({ store });
    const other = SharedHeap.attach(heap.handle);
    const pointers = Array.from({ length: 200 }, () => heap.alloc(100));
    for (const pointer of pointers) other.free(pointer);
    const { liveObjects, cachedBytes, freeBytes, liveBytes, metadataBytes, segmentBytes, perClass } = heap.stats();
    expect(liveObjects).toBe(0);
    expect(cachedBytes).toBeGreaterThan(100 * 112);
    expect(cachedBytes).toBeLessThanOrEqual(freeBytes);
    expect(liveBytes + freeBytes + metadataBytes).toBe(segmentBytes);
    expect(perClass.reduce((sum, c) => sum + c.cached * c.objectSize, 0)).toBe(cachedBytes);
    expect(other.alloc(100)).toBe(pointers.at(-1));
    other.close();
    heap.trim();
    expect(heap.stats()).toMatchObject({ cachedBytes: 0, liveObjects: 1 });
    closeSound(heap);
  });

  it('with cache: false it never does, and places as PostgreSQL does', () => {
    const heap = SharedHeap.create({ store, cache: false });
    const mine = program(
      (bytes) => heap.alloc(bytes),
      (pointer) => {
        heap.free(pointer as never);
        if (heap.stats().cachedBytes !== 0) throw new Error('something is cached');
      },
    );
    const dsm = Dsm.create({ store });
    const area = DsaArea.create(dsm);
    const theirs = program(
      (bytes) => area.allocate(bytes),
      (pointer) => area.free(pointer as never),
    );
    expect(mine).toEqual(theirs);
    expect(heap.stats().cachedBytes).toBe(0);
    dsm.leave();
    closeSound(heap);
  });

  it('whether there are caches is the creator’s choice for all', () => {
    for (const cache of [true, false]) {
      const heap = SharedHeap.create({ store, cache });
      const other = SharedHeap.attach(heap.handle);
      other.free(heap.alloc(64));
      expect(heap.stats().cachedBytes > 0).toBe(cache);
      other.close();
      closeSound(heap);
    }
    expect(codeOf(() => SharedHeap.create({ store, cache: 'yes' as never }))).toBe('ERR_HEAP_BAD_OPTION');
    expect(codeOf(() => SharedHeap.create({ store, checks: 0 as never }))).toBe('ERR_HEAP_BAD_OPTION');
  });

  it('a wrong free of what lies in a cache changes nothing', () => {
    const heap = SharedHeap.create({ store });
    const other = SharedHeap.attach(heap.handle);
    const [text, small, large] = [heap.putString('still here'), heap.alloc(48), heap.alloc(50_000)];
    heap.free(small);
    other.free(large);
    const before = snapshot(heap, [text]);
    for (const one of [heap, other]) {
      for (const pointer of [small, large]) {
        expect(codeOf(() => one.free(pointer))).toBe('ERR_HEAP_DOUBLE_FREE');
        expect(codeOf(() => one.bytes(pointer))).toBe('ERR_HEAP_DOUBLE_FREE');
        expect(codeOf(() => one.realloc(pointer, 100))).toBe('ERR_HEAP_DOUBLE_FREE');
        expect(codeOf(() => one.sizeOf(pointer))).toBe('ERR_HEAP_DOUBLE_FREE');
      }
    }
    expect(snapshot(heap, [text])).toBe(before);
    expect(other.getString(text)).toBe('still here');
    other.close();
    closeSound(heap);
  });

  it('a heap with a limit can be filled whoever keeps what: at most an eighth is out of reach', () => {
    const heap = SharedHeap.create({ store, limit: 8 * MIB });
    const idle = Array.from({ length: 6 }, () => SharedHeap.attach(heap.handle));
    for (const one of idle) {
      const all = Array.from({ length: 60 }, () => one.alloc(8192));
      for (const pointer of all) one.free(pointer);
    }
    let bytes = 0;
    for (
      let pointer = heap.alloc(8192, { orNull: true });
      pointer !== 0;
      pointer = heap.alloc(8192, { orNull: true })
    ) {
      bytes += 8192;
    }
    expect(heap.stats().cachedBytes).toBeLessThanOrEqual(MIB);
    expect(bytes + heap.stats().cachedBytes).toBeGreaterThan(7.5 * MIB);
    for (const one of idle) one.close();
    expect(heap.stats().cachedBytes).toBe(0);
    expect(heap.alloc(8192)).not.toBe(0);
    closeSound(heap);
  });

  it('realloc, maps and queues live with it', () => {
    const heap = SharedHeap.create({ store });
    const other = SharedHeap.attach(heap.handle);
    let pointer = heap.putString('grows');
    for (const bytes of [100, 5000, 9000, 100_000, 9000, 16])
      pointer = (bytes % 200 ? heap : other).realloc(pointer, bytes);
    expect(heap.getString(pointer)).toBe('grows');
    const map = heap.map('m', { value: 'number' });
    for (let k = 0; k < 2000; k++) map.set(`key ${k}`, k);
    for (let k = 0; k < 2000; k += 2) other.map('m', { value: 'number' }).delete(`key ${k}`);
    expect([map.size, map.get('key 1001')]).toEqual([1000, 1001]);
    const queue = heap.queue('q');
    for (let k = 0; k < 50; k++) queue.send({ k });
    for (let k = 0; k < 50; k++) expect(other.queue('q').receive()).toEqual({ k });
    other.close();
    closeSound(heap);
  });
});
