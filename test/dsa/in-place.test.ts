/** Areas in memory that the caller provides: in segments and in buffers, at any 8-aligned offset, of any size. */

import { describe, expect, it } from 'vitest';
import { DSA_ALLOC_NO_OOM, DsaArea, type DsaPlace, segmentOf } from '../../dist/dsa/dsa.js';
import { Dsm, ResourceOwner } from '../../dist/dsm/dsm.js';
import {
  another,
  as,
  bytesOf,
  codeOf,
  expectSound,
  freeAll,
  GIB,
  hex,
  holds,
  MIB,
  newCluster,
  PAGE,
  STORES,
} from './helpers.js';

describe.each(STORES)('on %s', (store) => {
  it.each([0, 8, 4096, 4104, 65528])('in a buffer at offset %i, nothing around it is touched', (byteOffset) => {
    const dsm = newCluster({ store });
    const size = 131072 + 5;
    const buffer = new SharedArrayBuffer(byteOffset + size + 4096);
    const all = new Uint8Array(buffer);
    all.fill(0xaa);
    const area = DsaArea.createInPlace(dsm, { buffer, byteOffset }, size);
    const pointers = [8, 100, 9000, 5000].map((bytes) => area.allocate(bytes));
    const inside = pointers.filter((p) => segmentOf(p) === 0);
    expect(inside.length).toBeGreaterThan(1);
    for (const pointer of inside) {
      expect(area.getAddress(pointer)).toEqual({ buffer, byteOffset: byteOffset + pointer });
      bytesOf(area, pointer, area.sizeOf(pointer)).fill(1);
    }
    expectSound(area);
    freeAll(area, pointers);
    area.trim();
    expectSound(area);
    area.releaseInPlace();
    expect(all.subarray(0, byteOffset).every((byte) => byte === 0xaa)).toBe(true);
    expect(all.subarray(byteOffset + size).every((byte) => byte === 0xaa)).toBe(true);
  });

  it('old bytes do not matter, and pointers are those of a clean place (C17)', () => {
    const dsm = newCluster({ store });
    const results = [0, 0xff].map((filler) => {
      const segment = dsm.create(300_000)!;
      new Uint8Array(segment.buffer, segment.byteOffset, segment.mapLength).fill(filler);
      const area = DsaArea.createInPlace(dsm, { segment, byteOffset: 24 }, 262144);
      const pointers = [8, 9000, 100, 8192, 70_000, 300_000].map((size) => area.allocate(size));
      expectSound(area);
      // The counts of large spans mean nothing and are what the memory held, as in the C original.
      const text = area.dump().replace(/mapped at 0x[0-9a-f]+|objects free = (0\/0|65535\/65535)/g, '');
      segment.detach();
      return [pointers.map(hex), text];
    });
    expect(results[1]).toEqual(results[0]);
  });

  it('several participants attach by the same place', () => {
    const dsm = newCluster({ store });
    const segment = dsm.create(100_000)!;
    const area = DsaArea.createInPlace(dsm, { segment, byteOffset: 16 }, 65536);
    const other = another(dsm);
    const mapped = other.attach(segment.handle)!;
    const there = DsaArea.attachInPlace(other, { segment: mapped, byteOffset: 16 });
    const pointer = area.allocate(9000);
    const far = area.allocate(3 * MIB);
    bytesOf(there, pointer, 9000).fill(3);
    bytesOf(there, far, 3 * MIB).fill(4);
    expect(holds(area, far, 3 * MIB, 4)).toBe(true);
    expect(area.dump()).toContain('refcnt: 2');
    there.free(far);
    there.free(pointer);
    expectSound(area);
    expectSound(there);
    expect(codeOf(() => DsaArea.attachInPlace(other, { segment: mapped, byteOffset: 16 }))).toBe(
      'ERR_HEAP_ALREADY_ATTACHED',
    );
    expect(codeOf(() => DsaArea.attachInPlace(other, { segment: mapped, byteOffset: 8 }))).toBe('ERR_HEAP_BAD_HANDLE');
  });

  it('the segment around the place gives the reference back when it is detached (C11)', () => {
    const dsm = newCluster({ store });
    const segment = dsm.create(65536)!;
    const area = DsaArea.createInPlace(dsm, { segment }, 65536);
    for (let k = 0; k < 20; k++) area.allocate(65536);
    expect(dsm.stats().segments.length).toBeGreaterThan(3);
    area.detach();
    // Leaving an in-place area is not releasing it.
    expect(dsm.stats().segments.length).toBeGreaterThan(3);
    segment.detach();
    expect(dsm.stats().segments).toEqual([]);
  });

  it('in a buffer the reference must be given back by hand (C11)', () => {
    const dsm = newCluster({ store });
    const place = { buffer: new SharedArrayBuffer(65536) };
    const area = DsaArea.createInPlace(dsm, place, 65536);
    const pointer = area.allocate(3 * MIB);
    bytesOf(area, pointer, 8).fill(6);
    area.detach();
    expect(dsm.stats().segments.length).toBe(2);
    const again = DsaArea.attachInPlace(dsm, place);
    expect(again.dump()).toContain('refcnt: 1');
    expect([...bytesOf(again, pointer, 8)]).toEqual(Array(8).fill(6));
    expectSound(again);
    again.releaseInPlace();
    again.detach();
    expect(dsm.stats().segments).toEqual([]);
    expect(codeOf(() => DsaArea.attachInPlace(dsm, place))).toBe('ERR_HEAP_AREA_GONE');
    // The place can be used again.
    const anew = DsaArea.createInPlace(dsm, place, 65536);
    expect(hex(anew.allocate(8))).toBe('10000001000');
    expectSound(anew);
    anew.releaseInPlace();
  });

  it('a reference can be given back after leaving, and only once', () => {
    const dsm = newCluster({ store });
    const area = DsaArea.createInPlace(dsm, { buffer: new SharedArrayBuffer(65536) }, 65536);
    area.allocate(3 * MIB);
    area.detach();
    area.releaseInPlace();
    expect(dsm.stats().segments).toEqual([]);
    expect(codeOf(() => area.releaseInPlace())).toBe('ERR_HEAP_CLOSED');
    expect(codeOf(() => area.allocate(8))).toBe('ERR_HEAP_CLOSED');
  });

  it('a reference that was taken over by attaching again is no longer that of the first', () => {
    const dsm = newCluster({ store });
    const place = { buffer: new SharedArrayBuffer(65536) };
    const area = DsaArea.createInPlace(dsm, place, 65536);
    const pointer = area.allocate(3 * MIB);
    area.detach();
    const again = DsaArea.attachInPlace(dsm, place);
    expect(codeOf(() => area.releaseInPlace())).toBe('ERR_HEAP_CLOSED');
    expect(again.dump()).toContain('refcnt: 1');
    expect(again.isLive(pointer)).toBe(true);
    again.releaseInPlace();
    again.detach();
    expect(dsm.stats().segments).toEqual([]);
  });

  it.each(['released', 'released and made again'])('an area that is %s while somebody attaches is gone', (fate) => {
    const dsm = newCluster({ store });
    const place = { buffer: new SharedArrayBuffer(65536) };
    const area = DsaArea.createInPlace(dsm, place, 65536);
    const other = another(dsm);
    let next: DsaArea | null = null;
    // Between the look at the place and the lock of the area.
    other.attach = (handle) => {
      const segment = Dsm.prototype.attach.call(other, handle);
      area.releaseInPlace();
      area.detach();
      if (fate !== 'released') next = DsaArea.createInPlace(dsm, place, 65536);
      return segment;
    };
    expect(codeOf(() => DsaArea.attachInPlace(other, place))).toBe('ERR_HEAP_AREA_GONE');
    expect(dsm.stats().segments).toHaveLength(next === null ? 0 : 1);
    if (next !== null) {
      expect((next as DsaArea).dump()).toContain('refcnt: 1');
      expectSound(next);
      (next as DsaArea).releaseInPlace();
      (next as DsaArea).detach();
    }
    expect(dsm.stats().segments).toEqual([]);
  });

  it('of two participants the last to release ends the area', () => {
    const dsm = newCluster({ store });
    const other = another(dsm);
    const place = { buffer: new SharedArrayBuffer(16384) };
    const area = DsaArea.createInPlace(dsm, place, 16384);
    const there = DsaArea.attachInPlace(other, place);
    const pointer = area.allocate(3 * MIB);
    area.releaseInPlace();
    area.detach();
    expect(there.dump()).toContain('refcnt: 1');
    expect(there.isLive(pointer)).toBe(true);
    expectSound(there);
    there.releaseInPlace();
    there.detach();
    expect(dsm.stats().segments).toEqual([]);
  });

  it.each([false, true])(
    'after its end nothing touches memory that others have by now; place used again: %s',
    (again) => {
      const dsm = newCluster({ store });
      const segment = dsm.create(65536)!;
      const first = DsaArea.createInPlace(dsm, { segment }, 32768);
      const second = DsaArea.createInPlace(dsm, { segment, byteOffset: 32768 }, 32768);
      first.allocate(3 * MIB);
      first.releaseInPlace();
      first.detach();
      // Left, attached again and released: one callback too many is registered.
      second.detach();
      const third = DsaArea.attachInPlace(dsm, { segment, byteOffset: 32768 });
      third.releaseInPlace();
      third.detach();
      const next = dsm.create(6 * MIB)!;
      next.i32.fill(1);
      if (again) segment.i32.fill(1);
      const before = segment.i32.slice();
      segment.detach();
      expect(segment.i32.every((word, k) => word === before[k])).toBe(true);
      expect(next.i32.every((word) => word === 1)).toBe(true);
      expect(dsm.stats().segments.length).toBe(1);
    },
  );

  it('a resource owner that ends closes the area here, but the reference stays (C11)', () => {
    const dsm = newCluster({ store });
    const owner = new ResourceOwner(dsm, 'scope');
    const place = { buffer: new SharedArrayBuffer(65536) };
    dsm.currentOwner = owner;
    const area = DsaArea.createInPlace(dsm, place, 65536);
    area.allocate(3 * MIB);
    dsm.currentOwner = null;
    owner.release();
    expect(codeOf(() => area.allocate(8))).toBe('ERR_HEAP_CLOSED');
    expect(dsm.stats().segments.length).toBe(2);
    area.releaseInPlace();
    expect(dsm.stats().segments).toEqual([]);
  });

  it('who leaves the cluster without releasing is replaced by the next in its slot', () => {
    const dsm = newCluster({ store });
    const place = { buffer: new SharedArrayBuffer(65536) };
    const area = DsaArea.createInPlace(dsm, place, 65536);
    for (let round = 0; round < 3; round++) {
      const other = another(dsm);
      const there = DsaArea.attachInPlace(other, place);
      expect(there.dump()).toContain('refcnt: 2');
      expectSound(there);
      other.leave();
    }
    area.allocate(3 * MIB);
    area.releaseInPlace();
    area.detach();
    expect(dsm.stats().segments).toEqual([]);
  });

  it('pinned it stays when all have released', () => {
    const dsm = newCluster({ store });
    const place = { buffer: new SharedArrayBuffer(65536) };
    const area = DsaArea.createInPlace(dsm, place, 65536);
    const pointer = area.allocate(3 * MIB);
    area.pin();
    area.releaseInPlace();
    area.detach();
    expect(dsm.stats().segments.length).toBe(2);
    const again = DsaArea.attachInPlace(dsm, place);
    again.free(pointer);
    expectSound(again);
    again.unpin();
    again.releaseInPlace();
    again.detach();
    expect(dsm.stats().segments).toEqual([]);
  });
});

describe('a place', () => {
  it('as a start without segments: limited to itself at first (spec §16)', () => {
    const dsm = newCluster();
    const place = { buffer: new SharedArrayBuffer(262144) };
    const area = DsaArea.createInPlace(dsm, place, 262144);
    area.pin();
    area.setSizeLimit(262144);
    const pointers = [];
    for (let p = area.allocate(1000, DSA_ALLOC_NO_OOM); p !== 0; p = area.allocate(1000, DSA_ALLOC_NO_OOM))
      pointers.push(p);
    expect(pointers.every((p) => segmentOf(p) === 0)).toBe(true);
    expect(area.getTotalSize()).toBe(262144);
    area.setSizeLimit(Number.POSITIVE_INFINITY);
    expect(segmentOf(area.allocate(1000))).toBe(1);
    expectSound(area);
    area.unpin();
    area.releaseInPlace();
  });

  it('of more than 4 GiB is attached with its whole size', () => {
    const dsm = newCluster({ regionSize: 4 * GIB });
    const buffer = new SharedArrayBuffer(5 * GIB);
    const area = DsaArea.createInPlace(dsm, { buffer }, 5 * GIB);
    const there = DsaArea.attachInPlace(another(dsm), { buffer });
    const low = area.allocate(4.5 * GIB, 1);
    const high = area.allocate(100);
    expect([segmentOf(low), segmentOf(high)]).toEqual([0, 0]);
    expect(high).toBeGreaterThan(4.5 * GIB);
    expect(there.sizeOf(high)).toBe(112);
    there.free(high);
    there.free(low);
    expectSound(there);
    there.releaseInPlace();
    area.releaseInPlace();
  });

  it('may be nowhere near a page border', () => {
    const dsm = newCluster();
    const segment = dsm.create(40_000)!;
    const area = DsaArea.createInPlace(dsm, { segment, byteOffset: 8 }, 39_991);
    expect(area.segments()[0]).toMatchObject({ size: 39_991, usablePages: 7 });
    const pointer = area.allocate(6 * PAGE);
    expect(pointer).toBe(3 * PAGE);
    bytesOf(area, pointer, 6 * PAGE).fill(1);
    expectSound(area);
    area.free(pointer);
    expectSound(area);
  });

  it.each<[string, () => DsaPlace, unknown, string]>([
    ['too small', () => ({ buffer: new SharedArrayBuffer(65536) }), 8191, 'ERR_HEAP_BAD_SIZE'],
    ['larger than its buffer', () => ({ buffer: new SharedArrayBuffer(65536) }), 65537, 'ERR_HEAP_BAD_SIZE'],
    ['beyond its buffer', () => ({ buffer: new SharedArrayBuffer(65536), byteOffset: 8 }), 65536, 'ERR_HEAP_BAD_SIZE'],
    [
      'at an odd offset',
      () => ({ buffer: new SharedArrayBuffer(65536), byteOffset: 4 }),
      8192,
      'ERR_HEAP_BAD_ARGUMENT',
    ],
    [
      'at a negative offset',
      () => ({ buffer: new SharedArrayBuffer(65536), byteOffset: -8 }),
      8192,
      'ERR_HEAP_BAD_ARGUMENT',
    ],
    ['at offset NaN', () => ({ buffer: new SharedArrayBuffer(65536), byteOffset: NaN }), 8192, 'ERR_HEAP_BAD_ARGUMENT'],
    [
      'behind its buffer',
      () => ({ buffer: new SharedArrayBuffer(8192), byteOffset: 16384 }),
      8192,
      'ERR_HEAP_BAD_ARGUMENT',
    ],
    ['not shared', () => ({ buffer: new ArrayBuffer(65536) }) as never, 8192, 'ERR_HEAP_BAD_ARGUMENT'],
    ['null', () => null as never, 8192, 'ERR_HEAP_BAD_ARGUMENT'],
    ['a number', () => 5 as never, 8192, 'ERR_HEAP_BAD_ARGUMENT'],
    ['of size NaN', () => ({ buffer: new SharedArrayBuffer(65536) }), NaN, 'ERR_HEAP_BAD_SIZE'],
    ['of a negative size', () => ({ buffer: new SharedArrayBuffer(65536) }), -8192, 'ERR_HEAP_BAD_SIZE'],
    ['of a fractional size', () => ({ buffer: new SharedArrayBuffer(65536) }), 8192.5, 'ERR_HEAP_BAD_SIZE'],
    ['of a size in text', () => ({ buffer: new SharedArrayBuffer(65536) }), '8192', 'ERR_HEAP_BAD_SIZE'],
  ])('%s is refused', (_name, place, size, code) => {
    const dsm = newCluster();
    expect(codeOf(() => DsaArea.createInPlace(dsm, place(), size as number))).toBe(code);
    expect(dsm.stats().segments).toEqual([]);
  });

  it('that is too small says so in the words of PostgreSQL', () => {
    const dsm = newCluster();
    expect(() => DsaArea.createInPlace(dsm, { buffer: new SharedArrayBuffer(65536) }, 100)).toThrow(
      expect.objectContaining({ pgMessage: 'dsa_area space must be at least 8192, but 100 provided' }),
    );
  });

  it('in a detached segment is refused', () => {
    const dsm = newCluster();
    const segment = dsm.create(65536)!;
    segment.detach();
    expect(codeOf(() => DsaArea.createInPlace(dsm, { segment }, 65536))).toBe('ERR_HEAP_CLOSED');
    expect(codeOf(() => DsaArea.attachInPlace(dsm, { segment }))).toBe('ERR_HEAP_CLOSED');
  });

  it.each([0, 100, 8191, 65536])('of %i bytes without an area cannot be attached', (bytes) => {
    const dsm = newCluster();
    expect(codeOf(() => DsaArea.attachInPlace(dsm, { buffer: new SharedArrayBuffer(bytes) }))).toBe(
      'ERR_HEAP_BAD_HANDLE',
    );
  });

  it('has no handle', () => {
    const dsm = newCluster();
    const area = DsaArea.createInPlace(dsm, { buffer: new SharedArrayBuffer(65536) }, 65536);
    expect(codeOf(() => area.handle)).toBe('ERR_HEAP_BAD_HANDLE');
    expect(codeOf(() => area.free(as(8192)))).toBe('ERR_HEAP_FOREIGN_POINTER');
    area.releaseInPlace();
  });
});
