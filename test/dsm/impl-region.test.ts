import { describe, expect, it } from 'vitest';
import { Dsm, type DsmSegment } from '../../dist/dsm/dsm.js';
import { residentBytes } from '../../dist/platform/platform.js';
import { codeOf, errorOf, GiB, lostPages, make, MiB, pageManager, requireEmpty, seeded } from './helpers.js';

describe('the reservation', () => {
  it('is as large as was asked for, in whole pages, and costs nothing until it is touched', () => {
    const before = residentBytes()!;
    const dsm = Dsm.create({ regionSize: GiB + 1 });
    expect(dsm.stats()).toMatchObject({
      store: 'region',
      reservedBytes: GiB + 4096,
      wantedBytes: GiB + 4096,
      segments: [],
      participants: 1,
      participantsMax: 64,
    });
    expect(residentBytes()! - before).toBeLessThan(64 * MiB);
    const { controlBytes, touchedBytes, largestFreeBytes } = dsm.stats();
    expect(touchedBytes).toBe(controlBytes);
    expect(largestFreeBytes).toBe(GiB + 4096 - controlBytes);
    make(dsm, 10_000).detach();
    expect(dsm.stats().touchedBytes).toBe(controlBytes + 3 * 4096);
    dsm.leave();
  });

  it('is smaller where the engine refuses, and says what was wanted and had', () => {
    for (const regionSize of [2 ** 50, 2 ** 45 + 4096]) {
      const dsm = Dsm.create({ regionSize });
      const { reservedBytes, wantedBytes, largestFreeBytes, controlBytes } = dsm.stats();
      expect(wantedBytes).toBe(regionSize);
      expect(reservedBytes).toBeLessThan(regionSize);
      expect([reservedBytes % 4096, reservedBytes >= 16 * MiB]).toEqual([0, true]);
      expect(largestFreeBytes).toBe(reservedBytes - controlBytes);
      // It is worth what it says.
      const segment = make(dsm, 5000);
      segment.i32[0] = 3;
      const guest = Dsm.join(dsm.handle);
      expect(guest.attach(segment.handle)!.i32[0]).toBe(3);
      expect(guest.stats().wantedBytes).toBe(regionSize);
      expect(errorOf(() => dsm.create(reservedBytes)).detail).toContain(`the region of ${reservedBytes} bytes`);
      guest.leave();
      dsm.leave();
    }
  });

  it('is never asked for with more pages than have numbers', () => {
    const Real = globalThis.SharedArrayBuffer;
    const asked: number[] = [];
    globalThis.SharedArrayBuffer = class extends Real {
      constructor(length: number) {
        asked.push(length);
        super(Math.min(length, 64 * MiB));
      }
    } as SharedArrayBufferConstructor;
    const dsm = Dsm.create({ regionSize: 2 ** 50 });
    globalThis.SharedArrayBuffer = Real;
    expect(asked[0]).toBe(2 ** 40);
    dsm.leave();
  });

  it('holds the control segment and as much again, however small it was asked to be', () => {
    const dsm = Dsm.create({ regionSize: 4 * MiB, participants: 800, segments: 4096 });
    const { controlBytes, reservedBytes, largestFreeBytes } = dsm.stats();
    expect(reservedBytes).toBe(2 * controlBytes);
    make(dsm, largestFreeBytes!).detach();
    dsm.leave();
  });
});

describe('segments', () => {
  it('lie where the page manager puts them: best fit, from the low end', () => {
    const dsm = Dsm.create({ regionSize: 16 * MiB });
    const first = dsm.stats().controlBytes;
    const [a, b, c, d] = [3, 1, 2, 4].map((pages) => make(dsm, pages * 4096));
    expect([a, b, c, d].map((s) => (s!.byteOffset - first) / 4096)).toEqual([0, 3, 4, 6]);
    a!.detach();
    c!.detach();
    expect((make(dsm, 2 * 4096).byteOffset - first) / 4096).toBe(4);
    expect((make(dsm, 1).byteOffset - first) / 4096).toBe(0);
    dsm.leave();
  });

  it('fill the region to the last page, and give it back', () => {
    const dsm = Dsm.create({ regionSize: 16 * MiB, segments: 4096, participants: 2 });
    const { largestFreeBytes, controlBytes } = dsm.stats();
    const segments: DsmSegment[] = [];
    for (let segment = dsm.tryCreate(4096, 0, false, false, null); segment !== null; ) {
      segments.push(segment);
      segment = dsm.tryCreate(4096, 0, false, false, null);
    }
    expect(dsm.failure).toBe('store');
    expect(segments).toHaveLength(largestFreeBytes! / 4096);
    expect(new Set(segments.map((s) => s.byteOffset)).size).toBe(segments.length);
    expect(Math.min(...segments.map((s) => s.byteOffset))).toBe(controlBytes);
    expect(dsm.stats()).toMatchObject({ largestFreeBytes: 0, touchedBytes: 16 * MiB });
    expect(codeOf(() => dsm.create(1))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    // Every other first, so that the page manager has many runs.
    for (const odd of [1, 0]) for (let i = odd; i < segments.length; i += 2) segments[i]!.detach();
    expect(lostPages(dsm)).toBe(0);
    expect(dsm.stats().largestFreeBytes).toBe(largestFreeBytes);
    dsm.leave();
  });

  it('are told apart by thousands, and all found again', () => {
    const dsm = Dsm.create({ regionSize: 64 * MiB, segments: 4096, participants: 3 });
    const guest = Dsm.join(dsm.handle);
    const segments: DsmSegment[] = [];
    for (let i = 0; i < 4096; i++) {
      const segment = make(dsm, 4 + (i % 9000));
      segment.i32[0] = i;
      segments.push(segment);
    }
    expect(codeOf(() => dsm.create(1))).toBe('ERR_HEAP_SEGMENT_SLOTS');
    for (let i = 0; i < 4096; i += 61) {
      const theirs = guest.attach(segments[i]!.handle)!;
      expect([theirs.i32[0], theirs.mapLength]).toEqual([i, 4 + (i % 9000)]);
    }
    expect(guest.stats().segments.filter((s) => s.references === 2)).toHaveLength(68);
    dsm.leave();
    expect(guest.stats().segments).toHaveLength(68);
    guest.leave();
  });
});

/** Whether this machine reserves that much; it does on every Node from 20 on unless address space is limited. */
const has16GiB = (() => {
  const dsm = Dsm.create({ regionSize: 16 * GiB });
  const { reservedBytes } = dsm.stats();
  dsm.leave();
  return reservedBytes === 16 * GiB;
})();

describe.runIf(has16GiB)('beyond 4 GiB', () => {
  it('segments work: their words, their neighbours, and their pages when they are given back', () => {
    const before = residentBytes()!;
    const dsm = Dsm.create({ regionSize: 16 * GiB, segments: 2000 });
    const guest = Dsm.join(dsm.handle);
    const low = make(dsm, 5 * GiB + 123);
    expect([low.mapLength, low.i32.length]).toEqual([5 * GiB + 123, (5 * GiB + 4096) / 4]);
    low.i32[low.i32.length - 1] = -7;
    const high = make(dsm, 4096);
    expect(high.byteOffset).toBeGreaterThan(5 * GiB);
    expect(high.i32[0]).toBe(0);
    high.i32.fill(6);
    expect([low.i32[low.i32.length - 1], low.i32[0]]).toEqual([-7, 0]);
    const theirs = guest.attach(high.handle)!;
    expect([theirs.byteOffset, theirs.i32[1023]]).toEqual([high.byteOffset, 6]);
    const theirLow = guest.attach(low.handle)!;
    expect([theirLow.mapLength, theirLow.i32.at(-1)]).toEqual([5 * GiB + 123, -7]);

    // Page numbers beyond 2^20: runs, lists and tree of the page manager up there.
    const random = seeded(11);
    const live: DsmSegment[] = [];
    for (let i = 0; i < 1500; i++) {
      const pages = 1 + Math.floor(random() * 6);
      const segment = dsm.tryCreate(pages * 4096, 0, true, false, null)!;
      expect(segment.byteOffset).toBeGreaterThan(5 * GiB);
      expect(segment.i32[0]).toBe(0);
      segment.i32.fill(i);
      live.push(segment);
      if (i % 3 !== 0) live.splice(Math.floor(random() * live.length), 1)[0]!.detach();
    }
    for (const segment of live) {
      const value = segment.i32[0]!;
      expect(segment.i32.every((word) => word === value)).toBe(true);
    }
    expect(pageManager(dsm).btreeDepth).toBeGreaterThan(0);
    lostPages(dsm);
    for (const segment of live) segment.detach();
    lostPages(dsm);

    // The region has 16 GiB in all; what is asked for without cleaning touches no page.
    const free = dsm.stats().largestFreeBytes!;
    expect(free).toBeGreaterThan(10 * GiB);
    const most = dsm.tryCreate(free, 0, false, false, null)!;
    most.i32[most.i32.length - 1] = 1;
    expect([most.i32.length, most.i32.at(-1)]).toEqual([free / 4, 1]);
    expect(dsm.largestRun()).toBeLessThan(2 ** 18);
    for (const segment of [most, high, low]) segment.detach();
    guest.leave();
    requireEmpty(dsm);
    dsm.leave();
    expect(residentBytes()! - before).toBeLessThan(200 * MiB);
  });
});
