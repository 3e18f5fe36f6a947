/** Every new segment is all zero, also where old ones have been, and where the page manager has written. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Dsm, type DsmSegment } from '../../dist/dsm/dsm.js';
import { firstNonZero, lostPages, make, makeCluster, MiB, requireEmpty, seeded, STORES } from './helpers.js';

/** Fills a segment with its tail. */
function scribble(segment: DsmSegment, value: number): void {
  segment.i32.fill(value);
  new Int32Array(segment.buffer, segment.tailOffset, segment.tailLength / 4).fill(value);
}

/** Index of the first word of a segment or its tail that is not zero, or -1. */
function stain(segment: DsmSegment): number {
  return firstNonZero(segment.buffer, segment.byteOffset, segment.i32.byteLength + segment.tailLength);
}

interface Step {
  /** Creates when true, else detaches. */
  readonly create: boolean;
  readonly pages: number;
  /** Bytes in the last page. */
  readonly rest: number;
  readonly tail: number;
  readonly clean: boolean;
  /** Which of the live segments to detach, modulo their number. */
  readonly victim: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  create: fc.boolean(),
  pages: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 90 })),
  rest: fc.constantFrom(1, 8, 4095, 4096),
  tail: fc.constantFrom(0, 0, 1, 2),
  clean: fc.boolean(),
  victim: fc.nat(1000),
});

describe.each(STORES)('new segments on %s', (store) => {
  it('are zero after any sequence of creating, writing and detaching', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const dsm = makeCluster(store, { participants: 1, segments: 40, regionSize: 4 * MiB });
        const live: DsmSegment[] = [];
        let value = 0x01010101;
        for (const { create, pages, rest, tail, clean, victim } of steps) {
          if (!create) {
            if (live.length > 0) live.splice(victim % live.length, 1)[0]!.detach();
            continue;
          }
          const segment = dsm.tryCreate(pages * 4096 + rest, tail, clean, false, null);
          if (segment === null) continue;
          expect([segment.i32.length, segment.tailLength]).toEqual([(pages + 1) * 1024, tail * 4096]);
          if (clean) expect(stain(segment)).toBe(-1);
          scribble(segment, (value += 3));
          live.push(segment);
        }
        dsm.leave();
      }),
      { numRuns: store === 'region' ? 300 : 40 },
    );
  });
});

describe('new segments on region', () => {
  it('are zero when the page manager has had its tree in the pages, and those behind them', () => {
    const dsm = Dsm.create({ participants: 1, segments: 4096, regionSize: 64 * MiB });
    const random = seeded(5);
    let segments: DsmSegment[] = [];
    // As many runs as there can be: every other of 4000 pages is free, which takes a tree of two levels.
    for (let i = 0; i < 4000; i++) segments.push(make(dsm, 4096));
    for (const segment of segments) segment.i32.fill(-1);
    segments = segments.filter((segment, i) => i % 2 === 1 || segment.detach());
    expect(lostPages(dsm)).toBe(0);
    for (let round = 0; round < 12; round++) {
      // Beyond the last page that was ever in use.
      const large = make(dsm, 40 * 4096 + Math.floor(random() * 8 * 4096));
      expect([round, stain(large)]).toEqual([round, -1]);
      large.i32.fill(-1);
      segments.push(large);
      for (let i = 0; i < 300; i++) {
        const at = Math.floor(random() * segments.length);
        segments.splice(at, 1)[0]!.detach();
        const small = make(dsm, 1 + Math.floor(random() * 3 * 4096));
        expect(stain(small)).toBe(-1);
        small.i32.fill(-1);
        segments.push(small);
      }
      lostPages(dsm);
    }
    for (const segment of segments) segment.detach();
    requireEmpty(dsm);
    dsm.leave();
  });

  it('are zero in the one page that is left, again and again', () => {
    const dsm = Dsm.create({ participants: 1, segments: 10, regionSize: 4 * MiB });
    const { largestFreeBytes } = dsm.stats();
    const rest = make(dsm, largestFreeBytes! - 4096);
    rest.i32.fill(-1);
    for (let round = 0; round < 20; round++) {
      const last = make(dsm, 4096);
      expect(dsm.stats().largestFreeBytes).toBe(0);
      expect(stain(last)).toBe(-1);
      last.i32.fill(-1);
      last.detach();
    }
    rest.detach();
    const all = make(dsm, largestFreeBytes!);
    expect(stain(all)).toBe(-1);
    all.detach();
    expect(dsm.stats().largestFreeBytes).toBe(largestFreeBytes);
    dsm.leave();
  });
});
