/** Who keeps an area alive: attaching, leaving, pinning, mappings and their owners. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm, ResourceOwner } from '../../dist/dsm/dsm.js';
import {
  another,
  bytesOf,
  codeOf,
  describeArea,
  expectSound,
  holds,
  MIB,
  newArea,
  newCluster,
  STORES,
} from './helpers.js';

/** `refcnt` and `pinned` as the dump says. */
function references(area: DsaArea): string {
  return area
    .dump()
    .match(/refcnt: (\d+)\n {2}pinned: ([tf])/)!
    .slice(1)
    .join(' ');
}

describe.each(STORES)('on %s', (store) => {
  it('the last one to leave takes all segments with it', () => {
    const { dsm, area } = newArea({}, { store });
    const other = another(dsm);
    const there = DsaArea.attach(other, area.handle);
    for (let k = 0; k < 40; k++) area.allocate(65536);
    expect(references(area)).toBe('2 f');
    const { handle } = area;
    area.detach();
    expect(dsm.stats().segments.length).toBe(3);
    expect(references(there)).toBe('1 f');
    expectSound(there);
    there.detach();
    expect(dsm.stats().segments).toEqual([]);
    expect(codeOf(() => DsaArea.attach(dsm, handle))).toBe('ERR_HEAP_AREA_GONE');
  });

  it.runIf(process.platform === 'linux')(
    'a thread that ended is asked after by who leaves, not by who attaches',
    async () => {
      const { dsm, area } = newArea({}, { store });
      const other = another(dsm);
      const workerData = { cluster: dsm.handle, area: area.handle };
      const worker = new Worker(new URL('../workers/dsa-idle.mjs', import.meta.url), { workerData });
      await once(worker, 'message');
      expect(references(area)).toBe('2 f');
      await worker.terminate();
      const there = DsaArea.attach(other, area.handle);
      expect(references(there)).toBe('3 f');
      there.detach();
      expect(references(area)).toBe('1 f');
      expectSound(area);
      area.detach();
      Dsm.join(dsm.handle).leave();
      expect(dsm.stats().segments).toEqual([]);
    },
  );

  it('what one allocates the others read and free', () => {
    const { dsm, area } = newArea({}, { store });
    const there = DsaArea.attach(another(dsm), area.handle);
    const small = area.allocate(100);
    const large = area.allocate(3 * MIB);
    bytesOf(area, small, 100).fill(7);
    bytesOf(area, large, 3 * MIB).fill(9);
    expect(holds(there, small, 100, 7)).toBe(true);
    expect(holds(there, large, 3 * MIB, 9)).toBe(true);
    there.free(small);
    there.free(large);
    expect(codeOf(() => area.free(small))).toBe('ERR_HEAP_DOUBLE_FREE');
    expect(codeOf(() => area.free(large))).toBe('ERR_HEAP_DOUBLE_FREE');
    expectSound(area);
  });

  it('objects are freed by participants that have met none of their segments yet', () => {
    const { dsm, area } = newArea({}, { store });
    const pointers = Array.from({ length: 400 }, () => area.allocate(8193));
    let elsewhere = 0;
    for (let k = pointers.length - 1; k >= 0; k -= 20) {
      const other = another(dsm);
      const there = DsaArea.attach(other, area.handle);
      expect(there.mappedSegments()).toEqual([0]);
      there.free(pointers[k]!);
      // The span of some large objects lies in another segment than the object.
      if (there.mappedSegments().length > 2) elsewhere++;
      expect(area.isLive(pointers[k]!)).toBe(false);
      there.detach();
      other.leave();
    }
    expect(elsewhere).toBeGreaterThan(0);
    expectSound(area);
  });

  it('a pinned area outlives everybody', () => {
    const { dsm, area } = newArea({}, { store });
    const { handle } = area;
    const pointer = area.allocate(2 * MIB);
    bytesOf(area, pointer, 8).fill(5);
    area.pin();
    expect(references(area)).toBe('2 t');
    expect(codeOf(() => area.pin())).toBe('ERR_HEAP_ALREADY_PINNED');
    expect(references(area)).toBe('2 t');
    area.detach();
    expect(dsm.stats().segments.map(({ references: n, pinned }) => [n, pinned])).toEqual([
      [1, true],
      [1, true],
    ]);
    const again = DsaArea.attach(dsm, handle);
    expect([...bytesOf(again, pointer, 8)]).toEqual(Array(8).fill(5));
    expect(references(again)).toBe('2 t');
    expectSound(again);
    again.unpin();
    expect(references(again)).toBe('1 f');
    expect(codeOf(() => again.unpin())).toBe('ERR_HEAP_NOT_PINNED');
    expect(references(again)).toBe('1 f');
    again.detach();
    expect(dsm.stats().segments).toEqual([]);
  });

  it('attaching counts, leaving uncounts, again and again', () => {
    const { dsm, area } = newArea({}, { store });
    for (let round = 1; round <= 5; round++) {
      const others = Array.from({ length: round }, () => another(dsm));
      const areas = others.map((other) => DsaArea.attach(other, area.handle));
      expect(references(area)).toBe(`${round + 1} f`);
      expectSound(area);
      for (const there of areas) there.detach();
      for (const other of others) other.leave();
      expect(references(area)).toBe('1 f');
      expectSound(area);
    }
  });

  it('a participant that leaves the cluster leaves its areas', () => {
    const { dsm, area } = newArea({}, { store });
    const other = another(dsm);
    const there = DsaArea.attach(other, area.handle);
    const pointer = area.allocate(2 * MIB);
    there.getAddress(pointer);
    other.leave();
    expect(references(area)).toBe('1 f');
    expectSound(area);
    for (const call of [
      () => there.allocate(8),
      () => there.allocate(100_000, 2),
      () => there.free(pointer),
      () => there.sizeOf(pointer),
      () => there.isLive(pointer),
      () => there.isLive('text' as never),
      () => there.getTotalSize(),
      () => there.pin(),
    ]) {
      expect(codeOf(call)).toBe('ERR_HEAP_CLOSED');
    }
    there.detach();
    expect(references(area)).toBe('1 f');
  });

  it('the dead cannot be joined: nobody attached, but segment 0 still mapped by somebody (C4)', () => {
    const { dsm, area } = newArea({}, { store });
    const { handle } = area;
    const raw = another(dsm).attach(handle)!;
    area.allocate(2 * MIB);
    area.detach();
    const error = (() => {
      try {
        DsaArea.attach(dsm, handle);
      } catch (thrown) {
        return thrown as { code: string; sqlState: string; pgMessage: string };
      }
      return undefined;
    })();
    expect(error).toMatchObject({
      code: 'ERR_HEAP_AREA_GONE',
      sqlState: '55000',
      pgMessage: 'could not attach to dynamic shared area',
    });
    // The failed attempt has left no mapping.
    expect(dsm.findMapping(handle)).toBe(null);
    expect(dsm.stats().segments.map(({ handle: one, references: n }) => [one, n])).toEqual([[handle, 1]]);
    raw.detach();
    expect(dsm.stats().segments).toEqual([]);
  });

  it('twice by one participant is refused, and nothing changes', () => {
    const { dsm, area } = newArea({}, { store });
    const before = describeArea(area);
    expect(codeOf(() => DsaArea.attach(dsm, area.handle))).toBe('ERR_HEAP_ALREADY_ATTACHED');
    expect(describeArea(area)).toBe(before);
  });

  it('isAttached and getTotalSizeFromHandle', () => {
    const { dsm, area } = newArea({}, { store });
    const other = another(dsm);
    area.allocate(2 * MIB);
    const total = area.getTotalSize();
    expect([DsaArea.isAttached(dsm, area.handle), DsaArea.isAttached(other, area.handle)]).toEqual([true, false]);
    expect(DsaArea.getTotalSizeFromHandle(dsm, area.handle)).toBe(total);
    expect(DsaArea.getTotalSizeFromHandle(other, area.handle)).toBe(total);
    expect(DsaArea.isAttached(other, area.handle)).toBe(false);
    expect(references(area)).toBe('1 f');
    const plain = dsm.create(65536)!;
    for (const who of [dsm, other]) {
      expect(codeOf(() => DsaArea.getTotalSizeFromHandle(who, plain.handle))).toBe('ERR_HEAP_BAD_HANDLE');
    }
    const { handle } = area;
    area.detach();
    expect(DsaArea.isAttached(dsm, handle)).toBe(false);
    expect(codeOf(() => DsaArea.getTotalSizeFromHandle(dsm, handle))).toBe('ERR_HEAP_AREA_GONE');
  });

  it('detaching twice does nothing the second time; then every call is refused', () => {
    const { dsm, area } = newArea({}, { store });
    const pointer = area.allocate(8);
    const there = DsaArea.attach(another(dsm), area.handle);
    area.detach();
    area.detach();
    expect(references(there)).toBe('1 f');
    for (const call of [
      () => area.allocate(8),
      () => area.allocate(8, 2),
      () => area.free(pointer),
      () => area.sizeOf(pointer),
      () => area.isLive(pointer),
      () => area.getAddress(pointer),
      () => area.trim(),
      () => area.setSizeLimit(1),
      () => area.getSizeLimit(),
      () => area.getTotalSize(),
      () => area.pin(),
      () => area.unpin(),
      () => area.pinMapping(),
      () => area.releaseInPlace(),
      () => area.dump(),
      () => area.segments(),
      () => area.dumpFreePages(0),
      () => area.mappedSegments(),
      () => area.handle,
      () => area.verify(),
    ]) {
      expect([call.toString(), codeOf(call)]).toEqual([call.toString(), 'ERR_HEAP_CLOSED']);
    }
    expect(there.isLive(pointer)).toBe(true);
    expectSound(there);
  });
});

describe('owners', () => {
  it('of the area own every segment of it, whoever is current later (C9)', () => {
    const dsm = newCluster();
    const owner = new ResourceOwner(dsm, 'area');
    const later = new ResourceOwner(dsm, 'later');
    dsm.currentOwner = owner;
    const area = DsaArea.create(dsm);
    dsm.currentOwner = later;
    for (let k = 0; k < 40; k++) area.allocate(65536);
    dsm.currentOwner = null;
    expect(later.release()).toBe(0);
    expectSound(area);
    expect(owner.release()).toBe(3);
    expect(dsm.stats().segments).toEqual([]);
  });

  it('that end close the area: nothing is done to memory that is no longer mapped', () => {
    const dsm = newCluster();
    const owner = new ResourceOwner(dsm, 'area');
    dsm.currentOwner = owner;
    const area = DsaArea.create(dsm);
    dsm.currentOwner = null;
    const small = area.allocate(100);
    const large = area.allocate(3 * MIB);
    owner.release();
    const next = dsm.create(4 * MIB)!;
    next.i32.fill(0x01010101);
    for (const call of [
      () => area.allocate(100),
      () => area.allocate(100_000),
      () => area.free(small),
      () => area.free(large),
      () => area.sizeOf(small),
      () => area.trim(),
      () => area.setSizeLimit(5),
      () => area.pin(),
      () => area.dump(),
    ]) {
      expect(codeOf(call)).toBe('ERR_HEAP_CLOSED');
    }
    area.detach();
    expect(next.i32.every((word) => word === 0x01010101)).toBe(true);
    expect(dsm.stats().segments.length).toBe(1);
  });

  it('have no say once the mapping is pinned', () => {
    const dsm = newCluster();
    const owner = new ResourceOwner(dsm, 'area');
    dsm.currentOwner = owner;
    const area = DsaArea.create(dsm);
    area.allocate(2 * MIB);
    area.pinMapping();
    area.pinMapping();
    area.allocate(2 * MIB);
    expect(owner.release()).toBe(0);
    dsm.currentOwner = null;
    const pointer = area.allocate(2 * MIB);
    bytesOf(area, pointer, 16).fill(1);
    expect(area.segments().length).toBe(4);
    expectSound(area);
    area.detach();
    expect(dsm.stats().segments).toEqual([]);
  });

  it('of one participant do not touch the mappings of another', () => {
    const dsm = newCluster();
    const area = DsaArea.create(dsm);
    const other = another(dsm);
    const owner = new ResourceOwner(other, 'there');
    other.currentOwner = owner;
    const there = DsaArea.attach(other, area.handle);
    const pointer = area.allocate(2 * MIB);
    there.getAddress(pointer);
    owner.release();
    expect(references(area)).toBe('1 f');
    area.free(pointer);
    expectSound(area);
    expect(codeOf(() => there.getAddress(pointer))).toBe('ERR_HEAP_CLOSED');
  });

  it('whose segment 0 alone is detached: the area is closed, and detach gives the rest back (C10)', () => {
    const { dsm, area } = newArea();
    area.allocate(2 * MIB);
    dsm.findMapping(area.handle)!.detach();
    expect(codeOf(() => area.allocate(8))).toBe('ERR_HEAP_CLOSED');
    // The others were unpinned with the last reference, but are still mapped here.
    expect(dsm.stats().segments.map(({ references: n, pinned }) => [n, pinned])).toEqual([[1, false]]);
    area.detach();
    expect(dsm.stats().segments).toEqual([]);
  });
});
