/** Numbers about areas: exact against what the test has allocated itself, and adding up. */

import { describe, expect, it, onTestFinished } from 'vitest';
import { C_LOCK, S_NEXT } from '../../dist/dsa/area-layout.js';
import { type AreaStats, DSA_ALLOC_HUGE, DsaArea } from '../../dist/dsa/dsa.js';
import { CLASS_CAPACITY, CLASS_SIZE } from '../../dist/dsa/size-classes.js';
import { poolWord } from '../../dist/dsa/spans.js';
import { lwlockAcquireExclusive, lwlockReleaseNewest } from '../../dist/sync/sync.js';
import { busyArea, busyInPlace, spansOn } from './busy.js';
import { another, codeOf, GIB, MIB, newArea, newAreaInPlace, STORES } from './helpers.js';

/** What must hold for the numbers of any area at rest. */
function expectConsistent(area: DsaArea): AreaStats {
  const stats = area.stats();
  const { totalSegmentSize, liveBytes, freeBytes, metadataBytes, perClass } = stats;
  expect(liveBytes + freeBytes + metadataBytes).toBe(totalSegmentSize);
  expect(totalSegmentSize).toBe(area.getTotalSize());
  expect(stats.segments).toBe(area.segments().length);
  expect(JSON.parse(JSON.stringify(stats))).toEqual(stats);
  for (const { sizeClass, objectSize, live, free, superblocks } of perClass) {
    expect([objectSize, live + free]).toEqual([CLASS_SIZE[sizeClass], superblocks * CLASS_CAPACITY[sizeClass]!]);
  }
  // The checker counts the same pages from the other side.
  const rows = area.verify().accounting;
  const sum = (pages: (row: (typeof rows)[number]) => number): number => rows.reduce((n, row) => n + pages(row), 0);
  expect(stats.largeBytes).toBe(4096 * sum(({ large }) => large));
  const inBlocks = perClass.reduce((n, { objectSize, free }) => n + objectSize * free, 0);
  expect(freeBytes - inBlocks).toBe(4096 * sum(({ free }) => free));
  const ends = perClass.reduce(
    (n, { objectSize, live, free, superblocks }) => n + 65536 * superblocks - objectSize * (live + free),
    0,
  );
  const pages = sum(({ meta, spanBlock, tree, recycle, lost }) => meta + spanBlock + tree + recycle + lost);
  expect(metadataBytes).toBe(4096 * pages + ends + rows.reduce((n, { tailBytes }) => n + tailBytes, 0));
  return stats;
}

describe.each(STORES)('on %s', (store) => {
  it('of a fresh area', () => {
    const { area } = newArea({}, { store });
    expect(expectConsistent(area)).toEqual({
      segments: 1,
      totalSegmentSize: MIB,
      limit: null,
      liveObjects: 0,
      liveBytes: 0,
      cachedBytes: 0,
      freeBytes: 253 * 4096,
      metadataBytes: 3 * 4096,
      // Two bytes an entry, 584 entries a page; one page for up to 1024 participants.
      overheadBytes: 256 * 1168 + 4096,
      perClass: [],
      largeObjects: 0,
      largeBytes: 0,
    });
  });

  it('count every live object with its usable size', () => {
    const { dsm, area, live } = busyArea(store);
    onTestFinished(() => dsm.leave());
    const bytes = (): number => live.reduce((sum, pointer) => sum + area.sizeOf(pointer), 0);
    let stats = expectConsistent(area);
    expect([stats.liveObjects, stats.liveBytes]).toEqual([live.length, bytes()]);
    const large = live.filter((pointer) => area.sizeOf(pointer) > 8192);
    expect([stats.largeObjects, stats.largeBytes]).toEqual([
      large.length,
      large.reduce((n, p) => n + area.sizeOf(p), 0),
    ]);
    expect(stats.perClass.find(({ objectSize }) => objectSize === 1024)!.live).toBe(
      live.filter((pointer) => area.sizeOf(pointer) === 1024).length,
    );
    while (live.length > 100) area.free(live.pop()!);
    stats = expectConsistent(area);
    expect([stats.liveObjects, stats.liveBytes]).toEqual([100, bytes()]);
    while (live.length > 0) area.free(live.pop()!);
    area.trim();
    stats = expectConsistent(area);
    expect([stats.liveObjects, stats.liveBytes, stats.perClass]).toEqual([0, 0, []]);
  });

  it('are the same for a participant that has met no other segment, which then still has not', () => {
    const { dsm, area } = busyArea(store);
    onTestFinished(() => dsm.leave());
    const other = DsaArea.attach(another(dsm), area.handle);
    expect(other.stats()).toEqual(area.stats());
    expect(other.mappedSegments()).toEqual([0]);
  });
});

it('of areas in place: the state segment is overhead, the tail of the place is metadata', () => {
  const { area } = newAreaInPlace(65536 + 100);
  const stats = expectConsistent(area);
  expect(stats).toMatchObject({
    segments: 1,
    totalSegmentSize: 65636,
    freeBytes: 14 * 4096,
    metadataBytes: 2 * 4096 + 100,
  });
  // 16 pages of 1168 bytes, rounded up, and those of the attachments.
  expect(stats.overheadBytes).toBe(5 * 4096 + 4096);
  const { dsm, area: full } = busyInPlace();
  onTestFinished(() => dsm.leave());
  expect(expectConsistent(full).segments).toBeGreaterThan(1);
});

it('the limit, and sizes beyond 4 GiB', () => {
  const { area } = newArea({}, { regionSize: 16 * GIB });
  area.setSizeLimit(8 * GIB);
  area.allocate(5 * GIB, DSA_ALLOC_HUGE);
  const stats = expectConsistent(area);
  expect(stats).toMatchObject({ limit: 8 * GIB, liveBytes: 5 * GIB, largeBytes: 5 * GIB, largeObjects: 1 });
  area.setSizeLimit(Number.POSITIVE_INFINITY);
  expect(area.stats().limit).toBeNull();
});

describe('errors', () => {
  it('a list that goes in a circle, or nowhere', () => {
    const { dsm, area } = busyArea();
    const { words, w, pointer } = spansOn(area, 25, 2)[0]!;
    const right = [words[w + S_NEXT]!, words[w + S_NEXT + 1]!];
    for (const [lo, hi] of [
      [pointer | 0, Math.floor(pointer / 2 ** 32)],
      [0x7ffffff8, 0],
      [64, 1000 << 8],
      [64, -1],
    ]) {
      [words[w + S_NEXT], words[w + S_NEXT + 1]] = [lo!, hi!];
      expect(codeOf(() => area.stats())).toBe('ERR_HEAP_CORRUPT');
      expect(area.state.p.nheld).toBe(0);
    }
    [words[w + S_NEXT], words[w + S_NEXT + 1]] = [right[0]!, right[1]!];
    expect(area.stats().liveObjects).toBeGreaterThan(0);
    const { a, header } = area.state.fpm[0]!.handle;
    const root = a[header + 2]!;
    a[header + 2] = 4097;
    expect(codeOf(() => area.stats())).toBe('ERR_HEAP_CORRUPT');
    a[header + 2] = root;
    expect(area.verify()).toMatchObject({ ok: true, findings: [] });
    dsm.leave();
  });

  it('locks that do not come; after the end', () => {
    const { dsm, area } = newArea();
    const other = DsaArea.attach(another(dsm), area.handle);
    other.state.p.lockTimeout = 1;
    const { p, ctl, ns } = area.state;
    for (const word of [C_LOCK, poolWord(0) + 2 * (poolWord(1) - poolWord(0))]) {
      expect(lwlockAcquireExclusive(p, ctl, word, ns)).not.toBe(0);
      expect(codeOf(() => other.stats())).toBe('ERR_HEAP_LOCK_STALLED');
      lwlockReleaseNewest(p, ctl, word, ns);
    }
    other.detach();
    expect(codeOf(() => other.stats())).toBe('ERR_HEAP_CLOSED');
  });
});
