/**
 * What fails at a segment creation leaves everything as it was, except the two losses of the C original, which are
 * counted: a span object taken for a superblock that could not be had (P9), a root page (P7).
 *
 * One list of requests is played with a fault at the n-th segment creation, n = 1, 2, ... until none comes up any more.
 */

import { describe, expect, it } from 'vitest';
import { DSA_ALLOC_NO_OOM, DsaArea, type DsaOptions, segmentOf } from '../../dist/dsa/dsa.js';
import type { Dsm } from '../../dist/dsm/dsm.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import {
  another,
  bytesOf,
  codeOf,
  expectEmpty,
  expectSound,
  holds,
  KIB,
  MIB,
  newArea,
  newCluster,
  PAGE,
  STORES,
} from './helpers.js';

type Kind = 'store' | 'slots' | 'limit';

const OPTIONS: DsaOptions = { initSegmentSize: 256 * KIB, maxSegmentSize: MIB };
const CODES = {
  store: 'ERR_HEAP_OUT_OF_MEMORY',
  slots: 'ERR_HEAP_SEGMENT_SLOTS',
  limit: 'ERR_HEAP_OUT_OF_MEMORY',
} as const;

/** Small, page-sized and large requests; a negative number frees the oldest so many. */
const REQUESTS: readonly number[] = Array.from({ length: 140 }, (_, k) =>
  k % 19 === 18 ? -3 : [40, 7000, 180_000, 8192 - 40, 700, 90_000, 3000, 1, 8193][k % 9]! + (k % 5) * 7,
);

/** What must be the same after a failure, and what may differ only by counted losses. */
function account(area: DsaArea) {
  const { ok, accounting, losses } = area.verify();
  expect(ok).toBe(true);
  const sum = (key: 'superblock' | 'spanBlock' | 'large' | 'free' | 'tree' | 'recycle' | 'lost'): number =>
    accounting.reduce((pages, segment) => pages + segment[key], 0);
  const blocks = [...area.dump().matchAll(/pages = 1, objects free = (\d+)/g)];
  return {
    segments: area.segments().map(({ index, size }) => [index, size]),
    total: area.getTotalSize(),
    used: [sum('superblock'), sum('large')],
    free: sum('free') + sum('tree') + sum('recycle') + sum('spanBlock') + sum('lost'),
    lostSpans: losses.spanObjects,
    lostRoots: losses.rootPages,
    lostPages: sum('lost'),
    /** Whether a span object can be had without a new segment. */
    spanAtHand: blocks.some(([, free]) => free !== '0') || sum('free') > 0,
  };
}

/** Plays all requests; a failure is checked and then the next one follows. Returns the number of failures. */
class Player {
  readonly area: DsaArea;
  readonly kind: Kind;
  readonly live: { pointer: DsaPointer; size: number; mark: number }[] = [];
  failures = 0;

  constructor(area: DsaArea, kind: Kind) {
    this.area = area;
    this.kind = kind;
  }

  play(before: (request: number, at: number) => void = () => {}): number {
    for (const [at, request] of REQUESTS.entries()) {
      before(request, at);
      if (request > 0) this.allocate(request, at);
      else for (let k = 0; k < -request && this.live.length > 0; k++) this.free();
    }
    return this.failures;
  }

  free(): void {
    const { pointer, size, mark } = this.live.shift()!;
    expect(holds(this.area, pointer, size, mark)).toBe(true);
    this.area.free(pointer);
  }

  allocate(size: number, at: number): void {
    const flags = at % 2 === 0 ? DSA_ALLOC_NO_OOM : 0;
    // A long free run makes a new segment unnecessary: only what may fail is looked at closely.
    const room = Math.max(...this.area.segments().map(({ contiguousPages }) => contiguousPages));
    const before = room > 1 + Math.max(16, size / PAGE) ? null : account(this.area);
    let pointer = 0 as DsaPointer;
    const code = codeOf(() => {
      pointer = this.area.allocate(size, flags);
    });
    if (pointer !== 0) {
      bytesOf(this.area, pointer, size).fill(at & 255);
      this.live.push({ pointer, size, mark: at & 255 });
      return;
    }
    this.failures++;
    if (before === null) return expect.fail(`${size} bytes are refused with ${room} pages in a row`);
    // Errors of dsm are thrown even where running out of memory would not be.
    const quiet = flags !== 0 && this.kind !== 'slots';
    expect(code).toBe(quiet ? 'nothing' : CODES[this.kind]);
    const after = account(this.area);
    const lost = size <= 8192 && before.spanAtHand ? 1 : 0;
    expect(after.lostPages).toBe(after.lostRoots);
    expect({ ...after, lostRoots: 0, lostPages: 0, spanAtHand: true }).toEqual({
      ...before,
      lostSpans: before.lostSpans + lost,
      lostRoots: 0,
      lostPages: 0,
      spanAtHand: true,
    });
    for (const { pointer: other, size: bytes, mark } of this.live) {
      expect(holds(this.area, other, bytes, mark)).toBe(true);
    }
  }

  finish(): void {
    while (this.live.length > 0) this.free();
    expectSound(this.area);
    this.area.setSizeLimit(Number.POSITIVE_INFINITY);
    expectEmpty(this.area);
  }
}

/** Lets the n-th attempt to create a segment fail. Returns how many attempts there were so far. */
function failAt(dsm: Dsm, n: number, kind: 'store' | 'slots'): () => number {
  const tryCreate = dsm.tryCreate.bind(dsm);
  let attempts = 0;
  dsm.tryCreate = (...args) => {
    if (++attempts !== n) return tryCreate(...args);
    dsm.failure = kind;
    return null;
  };
  return () => attempts;
}

describe.each(STORES)('one creation fails on %s', (store) => {
  it.each(['store', 'slots'] as const)('for want of %s', (kind) => {
    let fired = 0;
    for (let n = 1; ; n++) {
      const { dsm, area } = newArea(OPTIONS, { store });
      const attempts = failAt(dsm, n, kind);
      const player = new Player(area, kind);
      const failures = player.play();
      player.finish();
      dsm.leave();
      expect(failures).toBe(attempts() >= n ? 1 : 0);
      if (attempts() < n) break;
      fired++;
    }
    expect(fired).toBeGreaterThan(5);
  });

  it('for want of budget', () => {
    const growths: number[] = [];
    const { area } = newArea(OPTIONS, { store });
    let segments = 1;
    new Player(area, 'limit').play((_request, at) => {
      const now = area.segments().length;
      if (now > segments) growths.push(at - 1);
      segments = now;
    });
    expect(growths.length).toBeGreaterThan(4);
    for (const growth of growths) {
      const { dsm, area: limited } = newArea(OPTIONS, { store });
      const player = new Player(limited, 'limit');
      const failures = player.play((_request, at) => {
        limited.setSizeLimit(at === growth ? limited.getTotalSize() : Number.POSITIVE_INFINITY);
      });
      expect([growth, failures]).toEqual([growth, 1]);
      player.finish();
      dsm.leave();
    }
  });
});

describe('the real thing runs out', () => {
  it.each(STORES)('of segment slots on %s, from few to enough', (store) => {
    let last = -1;
    for (let segments = 1; last !== 0; segments++) {
      const { dsm, area } = newArea(OPTIONS, { store, segments });
      const player = new Player(area, 'slots');
      last = player.play();
      expect(area.segments().length).toBeLessThanOrEqual(segments);
      player.finish();
      dsm.leave();
      expect(segments).toBeLessThan(40);
    }
  });

  it.each([false, true])('of the region, from small to large enough; fallback %s', (fallback) => {
    let last = -1;
    let first = 0;
    for (let regionSize = 4 * MIB; last !== 0; regionSize += 500 * KIB) {
      const { dsm, area } = newArea({ ...OPTIONS, fallback }, { regionSize, participants: 1, segments: 100 });
      const player = new Player(area, 'store');
      last = player.play();
      first ||= last;
      player.finish();
      dsm.leave();
      expect(regionSize).toBeLessThan(30 * MIB);
    }
    expect(first).toBeGreaterThan(0);
  });

  it('of participants and of everything else when an area is made: nothing stays behind', () => {
    const dsm = newCluster({ segments: 1 });
    const segment = dsm.create(65536)!;
    expect(codeOf(() => DsaArea.create(dsm))).toBe('ERR_HEAP_SEGMENT_SLOTS');
    const place = { buffer: new SharedArrayBuffer(65536) };
    expect(codeOf(() => DsaArea.createInPlace(dsm, place, 65536))).toBe('ERR_HEAP_SEGMENT_SLOTS');
    expect(dsm.stats().segments.map(({ handle }) => handle)).toEqual([segment.handle]);
    segment.detach();
    expectSound(DsaArea.create(dsm));
  });

  it('of the region when an area is made', () => {
    const dsm = newCluster({ regionSize: 4 * MIB });
    const { largestFreeBytes } = dsm.stats();
    expect(codeOf(() => DsaArea.create(dsm, { initSegmentSize: 64 * MIB }))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    expect(dsm.stats()).toMatchObject({ segments: [], largestFreeBytes });
  });
});

describe('a segment that cannot be attached', () => {
  /** A full superblock, a nearly empty one, large objects; spans and objects in different segments. */
  function scene() {
    const { dsm, area } = newArea(OPTIONS, { store: 'buffers' });
    const make = (count: number, size: number): DsaPointer[] =>
      Array.from({ length: count }, () => area.allocate(size));
    const full = make(33, 4096);
    const large = make(100, 8193);
    const few = make(9, 8192);
    const other = another(dsm);
    return { dsm, area, full, large, few, other };
  }

  it.each<[string, (s: ReturnType<typeof scene>) => DsaPointer[]]>([
    ['small objects of full superblocks', ({ full }) => full],
    ['large objects', ({ large }) => large],
    ['objects of small superblocks', ({ few }) => few],
  ])('frees %s or refuses to, and loses nothing', (_name, pick) => {
    const s = scene();
    const pointers = pick(s);
    const there = DsaArea.attach(s.other, s.area.handle);
    const tryAttach = s.other.tryAttach.bind(s.other);
    let attempts = 0;
    s.other.tryAttach = (...args) => {
      if (++attempts % 3 === 0) return tryAttach(...args);
      s.other.failure = 'unreachable';
      return null;
    };
    for (const pointer of pointers) {
      for (let tries = 0; ; tries++) {
        const code = codeOf(() => there.free(pointer));
        expectSound(s.area);
        if (code === 'nothing') break;
        expect([code, tries < 20]).toEqual(['ERR_HEAP_SEGMENT_UNREACHABLE', true]);
        expect(s.area.isLive(pointer)).toBe(true);
      }
      expect(s.area.isLive(pointer)).toBe(false);
    }
    // Where only tidying up behind the object needed the segment, the free succeeded and the superblock stayed.
    expect(attempts).toBeGreaterThan(0);
    s.other.tryAttach = tryAttach;
    expectSound(there);
  });

  it('refuses to allocate until it can, and loses nothing but counted spans', () => {
    const { area, other } = scene();
    const there = DsaArea.attach(other, area.handle);
    const tryAttach = other.tryAttach.bind(other);
    let attempts = 0;
    other.tryAttach = (...args) => {
      if (++attempts % 3 === 0) return tryAttach(...args);
      other.failure = 'unreachable';
      return null;
    };
    let refused = 0;
    for (let k = 0; k < 60; k++) {
      const code = codeOf(() => there.allocate([100, 4096, 9000, 50_000, 8192, 300_000][k % 6]! + k));
      expect(['nothing', 'ERR_HEAP_SEGMENT_UNREACHABLE']).toContain(code);
      if (code !== 'nothing') refused++;
      expectSound(area);
    }
    expect(refused).toBeGreaterThan(3);
    other.tryAttach = tryAttach;
    expectSound(there);
  });
});

describe('placement', () => {
  it('after a failed large request is as if it had not been made', () => {
    const plain = newArea(OPTIONS).area;
    const { dsm, area: tried } = newArea(OPTIONS);
    const sequence = (area: DsaArea, disturb: boolean): string[] =>
      Array.from({ length: 200 }, (_, k) => {
        if (disturb && k % 7 === 0) {
          area.setSizeLimit(area.getTotalSize());
          expect(area.allocate(2 * MIB, DSA_ALLOC_NO_OOM)).toBe(0);
          area.setSizeLimit(Number.POSITIVE_INFINITY);
        }
        return area.allocate(((k * 3571) % 60_000) + 1).toString(16);
      });
    expect(sequence(tried, true)).toEqual(sequence(plain, false));
    expect(segmentOf(tried.allocate(2 * MIB))).toBeGreaterThan(0);
    expectSound(tried);
    expect(dsm.stats().segments.length).toBeGreaterThan(PAGE / PAGE);
  });
});
