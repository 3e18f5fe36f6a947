/** Everything public of DsaArea with arguments that cannot be meant: each is refused by code, and nothing changes. */

import { describe, expect, it } from 'vitest';
import { C_LOCK } from '../../dist/dsa/area-layout.js';
import { DSA_ALLOC_NO_OOM, DsaArea, makePointer } from '../../dist/dsa/dsa.js';
import { poolWord } from '../../dist/dsa/spans.js';
import type { Dsm } from '../../dist/dsm/dsm.js';
import type { ErrorCode } from '../../dist/errors/errors.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { lwlockAcquireExclusive, lwlockReleaseNewest } from '../../dist/sync/sync.js';
import {
  another,
  as,
  codeOf,
  expectSound,
  expectUnchanged,
  KIB,
  MIB,
  newArea,
  newCluster,
  PAGE,
  STORES,
} from './helpers.js';

const PLACE = { buffer: new SharedArrayBuffer(65536) };

describe('a participant', () => {
  const calls: [string, (dsm: Dsm) => unknown][] = [
    ['create', (dsm) => DsaArea.create(dsm)],
    ['createInPlace', (dsm) => DsaArea.createInPlace(dsm, PLACE, 65536)],
    ['attach', (dsm) => DsaArea.attach(dsm, 2)],
    ['attachInPlace', (dsm) => DsaArea.attachInPlace(dsm, PLACE)],
    ['isAttached', (dsm) => DsaArea.isAttached(dsm, 2)],
    ['getTotalSizeFromHandle', (dsm) => DsaArea.getTotalSizeFromHandle(dsm, 2)],
  ];

  it.each(calls)('is needed to %s', (_name, call) => {
    for (const wrong of [null, undefined, 0, 1, NaN, '', 'dsm', true, {}, [], () => {}, Symbol('dsm'), 1n]) {
      expect(codeOf(() => call(wrong as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
  });

  it.each(calls)('that has left cannot %s', (_name, call) => {
    const dsm = newCluster();
    dsm.leave();
    expect(codeOf(() => call(dsm))).toBe('ERR_HEAP_CLOSED');
  });
});

describe.each(STORES)('a handle on %s', (store) => {
  const calls: [string, (dsm: Dsm, handle: number) => unknown][] = [
    ['attach', (dsm, handle) => DsaArea.attach(dsm, handle)],
    ['getTotalSizeFromHandle', (dsm, handle) => DsaArea.getTotalSizeFromHandle(dsm, handle)],
    ['isAttached', (dsm, handle) => DsaArea.isAttached(dsm, handle)],
  ];

  it.each(calls)('that is none: %s', (_name, call) => {
    const { dsm, area } = newArea({}, { store });
    const wrong = [
      0,
      -0,
      -1,
      0.5,
      NaN,
      Infinity,
      2 ** 32,
      2 ** 53,
      null,
      undefined,
      '',
      '5',
      true,
      {},
      [area.handle],
      5n,
    ];
    expectUnchanged(area, () => {
      for (const handle of wrong) expect(codeOf(() => call(dsm, handle as number))).toBe('ERR_HEAP_BAD_HANDLE');
    });
  });

  it('of nobody', () => {
    const { dsm, area } = newArea({}, { store });
    for (const handle of [1, 2, 0xffffffff, (area.handle ^ 2) >>> 0]) {
      expect(codeOf(() => DsaArea.attach(dsm, handle))).toBe('ERR_HEAP_AREA_GONE');
      expect(codeOf(() => DsaArea.getTotalSizeFromHandle(dsm, handle))).toBe('ERR_HEAP_AREA_GONE');
      expect(DsaArea.isAttached(dsm, handle)).toBe(false);
    }
    expectSound(area);
  });

  it('of a segment that is no area, of another segment of an area, of a forged one', () => {
    const { dsm, area } = newArea({}, { store });
    area.allocate(3 * MIB);
    const other = another(dsm);
    const plain = [dsm.create(8)!, dsm.create(MIB)!];
    const forged = dsm.create(MIB)!;
    forged.i32.set(dsm.findMapping(area.handle)!.i32.subarray(0, 3 * KIB));
    const handles = dsm
      .stats()
      .segments.map(({ handle }) => handle)
      .filter((handle) => handle !== area.handle);
    expect(handles.length).toBe(4);
    for (const handle of handles) {
      const before = dsm.stats();
      expect(codeOf(() => DsaArea.attach(other, handle))).toBe('ERR_HEAP_BAD_HANDLE');
      expect(codeOf(() => DsaArea.getTotalSizeFromHandle(other, handle))).toBe('ERR_HEAP_BAD_HANDLE');
      expect(dsm.stats()).toEqual(before);
    }
    expect(plain.every(({ mapped }) => mapped)).toBe(true);
    expectSound(area);
  });
});

describe('addresses', () => {
  it.each<[string, ErrorCode, unknown]>([
    ['NaN', 'ERR_HEAP_FOREIGN_POINTER', NaN],
    ['-8', 'ERR_HEAP_FOREIGN_POINTER', -8],
    ['a half', 'ERR_HEAP_FOREIGN_POINTER', 0.5],
    ['2^50', 'ERR_HEAP_FOREIGN_POINTER', 2 ** 50],
    ['Infinity', 'ERR_HEAP_FOREIGN_POINTER', Infinity],
    ['text', 'ERR_HEAP_FOREIGN_POINTER', '16384'],
    ['null', 'ERR_HEAP_FOREIGN_POINTER', null],
    ['undefined', 'ERR_HEAP_FOREIGN_POINTER', undefined],
    ['a bigint', 'ERR_HEAP_FOREIGN_POINTER', 16384n],
    ['an object', 'ERR_HEAP_FOREIGN_POINTER', {}],
    ['the end of segment 0', 'ERR_HEAP_FOREIGN_POINTER', MIB],
    ['4 GiB into segment 0', 'ERR_HEAP_FOREIGN_POINTER', 2 ** 32 + PAGE],
    ['the end of segment 1', 'ERR_HEAP_FOREIGN_POINTER', makePointer(1, 2 ** 39)],
    ['a segment that never was', 'ERR_HEAP_STALE_SEGMENT', makePointer(2, 0)],
    ['the last segment', 'ERR_HEAP_STALE_SEGMENT', makePointer(1023, 2 ** 40 - 8)],
  ])('of %s', (_name, code, wrong) => {
    const { area } = newArea();
    area.allocate(3 * MIB);
    expectUnchanged(area, () => expect(codeOf(() => area.getAddress(as(wrong)))).toBe(code));
  });

  it('of nothing is null, of the inside of an object is there', () => {
    const { area } = newArea();
    expect([area.getAddress(as(0)), area.getAddress(as(-0))]).toEqual([null, null]);
    const pointer = area.allocate(3 * MIB);
    const { byteOffset } = area.getAddress(pointer)!;
    expect(area.getAddress(as(pointer + 3 * MIB - 1))!.byteOffset).toBe(byteOffset + 3 * MIB - 1);
  });
});

describe('a lock that is never released ends in an error, not in a hang; what was asked for is not done', () => {
  type Act = (area: DsaArea, small: DsaPointer, large: DsaPointer) => unknown;
  it.each<[string, number, Act]>([
    ['allocate', poolWord(12), (area) => area.allocate(100)],
    ['allocate without an error for want of memory', poolWord(12), (area) => area.allocate(100, DSA_ALLOC_NO_OOM)],
    ['allocate, a span is wanted', poolWord(0), (area) => area.allocate(5000)],
    ['allocate, a superblock is wanted', C_LOCK, (area) => area.allocate(5000)],
    ['allocate, large', C_LOCK, (area) => area.allocate(20_000)],
    ['free', poolWord(12), (area, small) => area.free(small)],
    ['free, large', C_LOCK, (area, _small, large) => area.free(large)],
    ['trim', poolWord(37), (area) => area.trim()],
    ['trim, the last pool', poolWord(0), (area) => area.trim()],
    ['getTotalSize', C_LOCK, (area) => area.getTotalSize()],
    ['setSizeLimit', C_LOCK, (area) => area.setSizeLimit(5)],
    ['pin', C_LOCK, (area) => area.pin()],
    ['unpin', C_LOCK, (area) => area.unpin()],
    ['dump', C_LOCK, (area) => area.dump()],
    ['dump, the last pool', poolWord(37), (area) => area.dump()],
    ['segments', C_LOCK, (area) => area.segments()],
    ['dumpFreePages', C_LOCK, (area) => area.dumpFreePages(0)],
  ])('%s', (_name, word, act) => {
    const { dsm, area } = newArea();
    const other = another(dsm);
    const there = DsaArea.attach(other, area.handle);
    const [small, large] = [area.allocate(100), area.allocate(20_000)];
    other.participant.lockTimeout = 5;
    const s = area.state;
    expect(lwlockAcquireExclusive(s.p, s.ctl, word, s.ns)).not.toBe(0);
    expect(codeOf(() => act(there, small, large))).toBe('ERR_HEAP_LOCK_STALLED');
    lwlockReleaseNewest(s.p, s.ctl, word, s.ns);
    expect([other.participant.nheld, area.isLive(small), area.isLive(large)]).toEqual([0, true, true]);
    expect([area.getSizeLimit(), area.dump().includes('pinned: f')]).toEqual([Number.POSITIVE_INFINITY, true]);
    expectSound(area);
    there.free(small);
    there.free(large);
    expectSound(there);
  });
});
