/**
 * Noticing that a segment was given back: several participants in one thread, taking turns.
 *
 * Trap C1: an index may name a new segment while a participant still maps the old one. Where turns must change in the
 * middle of a call, the second participant is made to wait for the area lock: it calls `attend` before it parks, and
 * there the first one acts and lets it go on.
 */

import { describe, expect, it } from 'vitest';
import { C_FREED_COUNTER, C_LOCK, C_SEGMENT_HANDLES } from '../../dist/dsa/area-layout.js';
import { DSA_ALLOC_HUGE, DSA_ALLOC_NO_OOM, DSA_ALLOC_ZERO, DsaArea, segmentOf } from '../../dist/dsa/dsa.js';
import { poolWord } from '../../dist/dsa/spans.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { lwlockAcquireExclusive, lwlockReleaseNewest } from '../../dist/sync/sync.js';
import {
  another,
  bytesOf,
  codeOf,
  describeArea,
  expectSound,
  holds,
  KIB,
  newArea,
  newCluster,
  PAGE,
  STORES,
} from './helpers.js';

/** Size class of objects of 4096 bytes. */
const CLASS_OF_4096 = 33;

/** Two participants and an area whose segment 0 is full but for a few pages, so that more comes to lie elsewhere. */
function twoParticipants(store: 'region' | 'buffers') {
  const { dsm, area: a } = newArea({ initSegmentSize: 256 * KIB, maxSegmentSize: 256 * KIB }, { store });
  a.allocate(50 * PAGE);
  const b = DsaArea.attach(another(dsm), a.handle);
  return { dsm, a, b };
}

/** Gives the segments back that hold nothing but these objects of 8192 bytes. */
function giveBack(area: DsaArea, pointers: readonly DsaPointer[]): void {
  for (const pointer of pointers) area.free(pointer);
  area.trim();
}

/** Allocates objects of 8192 bytes until `count` of them lie in segment `index`. */
function fillSegment(area: DsaArea, index: number, count: number): DsaPointer[] {
  const inside: DsaPointer[] = [];
  while (inside.length < count) {
    const pointer = area.allocate(8192);
    expect(segmentOf(pointer)).toBeLessThanOrEqual(index);
    if (segmentOf(pointer) === index) inside.push(pointer);
  }
  return inside;
}

/** Runs `action` on `waiter` while `holder` has a lock; `meanwhile` runs in `holder` once `waiter` waits for it. */
function whileWaiting(
  holder: DsaArea,
  waiter: DsaArea,
  action: () => void,
  meanwhile: () => void,
  lock = C_LOCK,
): void {
  const h = holder.state;
  const { p } = waiter.state;
  const attend = p.attend;
  let runs = 0;
  p.attend = () => {
    if (++runs > 1) return;
    lwlockReleaseNewest(h.p, h.ctl, lock, h.ns);
    meanwhile();
  };
  try {
    expect(lwlockAcquireExclusive(h.p, h.ctl, lock, h.ns)).not.toBe(0);
    action();
  } finally {
    p.attend = attend;
  }
  expect(runs).toBeGreaterThan(0);
}

describe.each(STORES)('on %s', (store) => {
  it('a pointer into the new segment of an old index leads to the new one (C1)', () => {
    const { a, b } = twoParticipants(store);
    const old = fillSegment(a, 1, 24);
    bytesOf(b, old[0]!, 8192).fill(0xbb);
    expect(b.mappedSegments()).toEqual([0, 1]);
    giveBack(a, old);
    expect(a.segments().map(({ index }) => index)).toEqual([0]);
    const fresh = fillSegment(a, 1, 8);
    bytesOf(a, fresh[0]!, 8192).fill(0xaa);
    expect(fresh[0]).toBe(old[0]);
    expect(holds(b, fresh[0]!, 8192, 0xaa)).toBe(true);
    expectSound(b);
    for (const pointer of fresh) b.free(pointer);
    expectSound(a);
    expectSound(b);
  });

  it.each<[string, (b: DsaArea, fresh: DsaPointer, stay: DsaPointer) => void]>([
    ['free of a small object', (b, fresh) => b.free(fresh)],
    ['sizeOf', (b, fresh) => expect(b.sizeOf(fresh)).toBe(8192)],
    ['isLive', (b, fresh) => expect(b.isLive(fresh)).toBe(true)],
    ['allocate small', (b) => expect(segmentOf(b.allocate(8192))).toBe(1)],
    ['allocate small of a new class', (b) => expect(segmentOf(b.allocate(5000))).toBe(1)],
    ['allocate large', (b) => expect(segmentOf(b.allocate(20 * PAGE))).toBe(1)],
    ['trim', (b) => b.trim()],
    ['dump', (b) => expect(b.dump()).toContain('segment index 1')],
    ['segments', (b) => expect(b.segments().length).toBe(2)],
    ['dumpFreePages', (b) => expect(b.dumpFreePages(1)).toContain('metadata')],
  ])('%s after a segment was replaced works on the new one', (_name, act) => {
    const { a, b } = twoParticipants(store);
    const old = fillSegment(a, 1, 24);
    b.getAddress(old[0]!);
    giveBack(a, old);
    const fresh = fillSegment(a, 1, 9);
    act(b, fresh[0]!, fresh[8]!);
    expectSound(a);
    expectSound(b);
    expect(describeArea(b).replace(/0x[0-9a-f]+/g, '')).toBe(describeArea(a).replace(/0x[0-9a-f]+/g, ''));
  });

  it('pointers into a segment that is gone are stale, also where its memory is still mapped', () => {
    const { a, b } = twoParticipants(store);
    const old = fillSegment(a, 1, 24);
    b.getAddress(old[0]!);
    giveBack(a, old);
    for (const area of [a, b]) {
      expect(codeOf(() => area.free(old[0]!))).toBe('ERR_HEAP_STALE_SEGMENT');
      expect(codeOf(() => area.sizeOf(old[3]!))).toBe('ERR_HEAP_STALE_SEGMENT');
      expect(codeOf(() => area.getAddress(old[5]!))).toBe('ERR_HEAP_STALE_SEGMENT');
      expect(area.isLive(old[0]!)).toBe(false);
      expectSound(area);
    }
  });

  it('the memory of a freed segment lives until the last one has noticed', () => {
    const { dsm, a, b } = twoParticipants(store);
    const old = fillSegment(a, 1, 24);
    const view = bytesOf(b, old[0]!, 8192).fill(0xcc);
    giveBack(a, old);
    expect(dsm.stats().segments.map(({ references, pinned }) => [references, pinned])).toEqual([
      [3, true],
      [1, false],
    ]);
    a.allocate(3 * 1024 * KIB, DSA_ALLOC_ZERO);
    expect(view.filter((byte) => byte === 0xcc).length).toBeGreaterThan(8000);
    b.segments();
    expect(dsm.stats().segments.length).toBe(2);
    expect(b.mappedSegments()).toEqual([0, 1]);
  });

  it('who attaches late starts with the counter of now (C3)', () => {
    const { dsm, a } = twoParticipants(store);
    const old = fillSegment(a, 1, 24);
    giveBack(a, old);
    const fresh = fillSegment(a, 1, 3);
    const late = DsaArea.attach(another(dsm), a.handle);
    expect(late.state.freedSeen).toBe(a.state.ctl[C_FREED_COUNTER]);
    expect(late.state.freedSeen).toBeGreaterThan(0);
    bytesOf(a, fresh[0]!, 8).fill(1);
    expect([...bytesOf(late, fresh[0]!, 8)]).toEqual(Array(8).fill(1));
    expect(late.mappedSegments()).toEqual([0, 1]);
    giveBack(a, fresh);
    expect(codeOf(() => late.free(fresh[0]!))).toBe('ERR_HEAP_STALE_SEGMENT');
    expect(late.mappedSegments()).toEqual([0]);
    expectSound(late);
  });

  it('hundreds of times, each time freed by the other', () => {
    const { dsm, a, b } = twoParticipants(store);
    const areas = [a, b, DsaArea.attach(another(dsm), a.handle)];
    for (let round = 0; round < 120; round++) {
      const maker = areas[round % 3]!;
      const taker = areas[(round + 1 + (round % 2)) % 3]!;
      const made = fillSegment(maker, 1, 8);
      for (const [k, pointer] of made.entries()) bytesOf(maker, pointer, 8192).fill((round + k) & 255);
      for (const [k, pointer] of made.entries()) {
        expect(holds(taker, pointer, 8192, (round + k) & 255)).toBe(true);
      }
      giveBack(taker, made);
      if (round % 10 === 0) for (const area of areas) expectSound(area);
    }
    expect(a.segments().map(({ index }) => index)).toEqual([0]);
  });

  it('a large free that waits for the area lock sees that a neighbour in its bin was replaced meanwhile (C2)', () => {
    const { a, b, replace } = crowd(store);
    const large = b.allocate(40 * PAGE);
    // A search that fails files segment 2 under the few pages that it has left; the free will move it to bin 6.
    a.setSizeLimit(0);
    expect(a.allocate(40 * PAGE, DSA_ALLOC_NO_OOM)).toBe(0);
    a.setSizeLimit(Number.POSITIVE_INFINITY);
    expect([segmentOf(large), a.segments().map(({ bin }) => bin)]).toEqual([2, [4, 4, 3]]);
    const stale = b.state.segments[1]!;
    expect(stale.handle).toBe(a.state.ctl[C_SEGMENT_HANDLES + 1]! >>> 0);
    whileWaiting(a, b, () => b.free(large), replace);
    // There it has met segment 1, which is another one by now, and nobody maps the old one any more.
    expect(a.segments().slice(1)).toMatchObject([
      { bin: 6, prev: 2, next: null },
      { bin: 6, prev: null, next: 1 },
    ]);
    expect(stale.mapped).toBe(false);
    expectSound(a);
    expectSound(b);
  });

  it('a superblock that goes, waiting for the area lock, meets the new neighbour in its bin (C1)', () => {
    const { a, b, replace } = crowd(store);
    const mine = Array.from({ length: 16 }, () => b.allocate(4000));
    const rest = b.allocate(31 * PAGE);
    expect([...mine, rest].every((pointer) => segmentOf(pointer) === 2)).toBe(true);
    // The active superblock of that class is another one, so this one goes with its last object.
    expect(segmentOf(b.allocate(4000))).toBe(3);
    b.free(rest);
    expect(a.segments()[2]!.bin).toBe(5);
    whileWaiting(a, b, () => mine.forEach((pointer) => b.free(pointer)), replace);
    expect(a.segments()[2]).toMatchObject({ contiguousPages: 47, bin: 6, prev: null, next: 1 });
    expectSound(a);
    expectSound(b);
  });

  it('a small free that waits for its pool looks for the neighbours on the list in the new segment', () => {
    // One page in the place: the first block of spans. Segment 1 is filled to its last page by what takes all 72 spans.
    const dsm = newCluster({ store });
    const place = { buffer: new SharedArrayBuffer(12_288) };
    const a = DsaArea.createInPlace(dsm, place, 12_288, { maxSegmentSize: 1024 * KIB });
    const b = DsaArea.attachInPlace(another(dsm), place);
    const full = Array.from({ length: 16 }, () => a.allocate(4096));
    for (let k = 0; k < 70; k++) a.allocate(3 * PAGE);
    expect(segmentOf(a.allocate(29 * PAGE))).toBe(1);
    expect(a.segments().map(({ contiguousPages }) => contiguousPages)).toEqual([0, 0]);
    // Segment 2 begins with a block of spans; then another segment 2 does, with a span that heads the list of `full`.
    const gone = a.allocate(8192);
    expect([segmentOf(gone), b.sizeOf(gone), b.mappedSegments()]).toEqual([2, 8192, [0, 2]]);
    b.getAddress(full[0]!);
    let next: DsaPointer[] = [];
    const replace = (): void => {
      giveBack(a, [gone]);
      expect(a.segments().length).toBe(2);
      next = Array.from({ length: 17 }, () => a.allocate(4096));
      a.free(next[0]!);
    };
    whileWaiting(a, b, () => b.free(full[0]!), replace, poolWord(CLASS_OF_4096));
    expectSound(a);
    expectSound(b);
    for (const pointer of [...full.slice(1), ...next.slice(1)]) b.free(pointer);
    expectSound(a);
    a.releaseInPlace();
    b.releaseInPlace();
  });

  it.each<[string, (b: DsaArea, mine: DsaPointer[]) => void]>([
    ['a superblock that goes', (b, mine) => mine.forEach((pointer) => b.free(pointer))],
    ['a new superblock', (b) => expect(b.allocate(3000)).not.toBe(0)],
    ['a large object', (b) => expect(b.allocate(7 * PAGE)).not.toBe(0)],
    ['a request that needs a new segment', (b) => expect(segmentOf(b.allocate(60 * PAGE))).toBe(3)],
    ['a request that fails', (b) => expect(b.allocate(2 ** 41, DSA_ALLOC_NO_OOM | DSA_ALLOC_HUGE)).toBe(0)],
    ['dump', (b) => expect(b.dump()).toContain('segment index 1,')],
    ['segments', (b) => expect(b.segments().length).toBe(3)],
    ['getTotalSize', (b) => expect(b.getTotalSize()).toBe(3 * 256 * KIB)],
  ])('%s that waits for the area lock sees what was replaced meanwhile', (_name, act) => {
    const { a, b, replace } = crowd(store);
    const mine = Array.from({ length: 17 }, () => b.allocate(4000));
    whileWaiting(a, b, () => act(b, mine), replace);
    expectSound(a);
    expectSound(b);
    expect(describeArea(b).replace(/0x[0-9a-f]+/g, '')).toBe(describeArea(a).replace(/0x[0-9a-f]+/g, ''));
  });
});

/**
 * Segment 1 full of `first`, segment 2 with a superblock or more, `b` mapping both; `replace` gives segment 1 back and
 * makes another one, without any lock but those of pools 37, 0 and 1 and the area lock.
 */
function crowd(store: 'region' | 'buffers') {
  const { a, b } = twoParticipants(store);
  const first = fillSegment(a, 1, 24);
  expect(segmentOf(a.allocate(8192))).toBe(2);
  b.getAddress(first[0]!);
  b.segments();
  const replace = (): void => {
    for (const pointer of first) a.free(pointer);
    expect(segmentOf(a.allocate(60 * PAGE))).toBe(1);
  };
  return { a, b, replace };
}
