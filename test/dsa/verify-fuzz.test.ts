/**
 * The checker of areas on damaged memory: it finds every changed word that means something, always comes back, never
 * throws, never writes, and never looks at more than there is.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DsaArea, type VerifyReport } from '../../dist/dsa/dsa.js';
import { busyArea, busyInPlace, metadataWords, type Word } from './busy.js';
import { another } from './helpers.js';

/** Pseudo-random words, the same for the same seed. */
function draws(seed: number): () => number {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x | 0;
  };
}

/** A value that the word does not have: one bit, a small number, or anything. */
function wrong({ view, at }: Word, draw: () => number): number {
  const right = view[at]!;
  const bits = view instanceof Uint16Array ? 16 : 32;
  const kind = draw() & 3;
  const value = kind < 2 ? right ^ (1 << ((draw() >>> 1) % bits)) : kind === 2 ? (draw() >>> 1) % 100 : draw();
  const stored = bits === 16 ? value & 0xffff : value;
  return stored === right ? right ^ 1 : stored;
}

/** Segments, pages and slots bound the work; so does the cluster, which has 64 participants and few segments. */
function expectBounded(report: VerifyReport, area: DsaArea, rounds: number): void {
  const pages = area.state.maps.reduce((sum, { pages }) => sum + pages, 0);
  expect(report.checks).toBeLessThan(5000 + rounds * pages * 600);
  expect(report.findings.filter(({ id }) => id === 'K0')).toEqual([]);
  expect(report.ok).toBe(!report.findings.some(({ severity }) => severity === 'error'));
}

/** Both kinds of check; the locks may be garbage, so they are not waited for. */
function survive(area: DsaArea): VerifyReport {
  area.state.p.lockTimeout = 1;
  const report = area.verify();
  expectBounded(report, area, 1);
  // While others are at work, the pages of one pool say nothing about another, so each pool may look at all.
  expectBounded(area.verify({ quiescent: false }), area, 38);
  expect(area.state.p.nheld).toBe(0);
  return report;
}

describe('every changed word is found', () => {
  it.each([
    ['an area on region', () => busyArea('region'), 1],
    ['an area on buffers, each fourth', () => busyArea('buffers'), 4],
    ['an area in place, each fourth', busyInPlace, 4],
  ] as const)('of %s', (_, make, step) => {
    const { dsm, area } = make();
    const draw = draws(12345);
    const missed: string[] = [];
    const words = metadataWords(area);
    for (const word of words.filter((_, k) => k % step === 0)) {
      const { view, at, what } = word;
      const right = view[at]!;
      const value = wrong(word, draw);
      view[at] = value;
      const report = area.verify();
      if (report.findings.length === 0) missed.push(`${what}: word ${at}, ${right} became ${value}`);
      expectBounded(report, area, 1);
      view[at] = right;
    }
    expect(words.length).toBeGreaterThan(5000);
    expect(missed).toEqual([]);
    expect(area.verify()).toMatchObject({ ok: true, findings: [] });
    dsm.leave();
  });
});

describe('any damage ends in a report', () => {
  it('several words, also for a participant that has met only segment 0', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1 }), (count, seed) => {
        const { dsm, area } = busyArea();
        const other = DsaArea.attach(another(dsm), area.handle);
        const words = metadataWords(area);
        const draw = draws(seed);
        const right: [Word, number][] = [];
        for (let k = 0; k < count; k++) {
          const word = words[(draw() >>> 1) % words.length]!;
          right.push([word, word.view[word.at]!]);
          word.view[word.at] = wrong(word, draw);
        }
        expect(survive(area).findings.length).toBeGreaterThan(0);
        survive(other);
        // Put right again: the other one leaves at the end, and leaving says so when a lock is garbage.
        for (const [{ view, at }, value] of right.reverse()) view[at] = value;
      }),
      { numRuns: 60 },
    );
  });

  it('links that lead to other sound places', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 60 }), fc.integer({ min: 1 }), (count, seed) => {
        const { area } = busyArea();
        const words = metadataWords(area).filter(({ what }) => /lists|span|tree|free run|manager/.test(what));
        const values = words.map(({ view, at }) => view[at]!);
        const draw = draws(seed);
        for (let k = 0; k < count; k++) {
          const { view, at } = words[(draw() >>> 1) % words.length]!;
          view[at] = values[(draw() >>> 1) % values.length]!;
        }
        survive(area);
      }),
      { numRuns: 60 },
    );
  });

  it('pages of noise, the control block included', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 1, maxLength: 30 }), fc.integer({ min: 1 }), (pages, seed) => {
        const { area } = busyArea();
        const draw = draws(seed);
        const { state: s } = area;
        for (const page of pages) {
          const index = page % 3;
          const a = s.maps[index]!.i32;
          const from = (page % s.maps[index]!.pages) * 1024;
          for (let k = from; k < from + 1024; k++) a[k] = (draw() & 3) === 0 ? 0 : draw();
          s.maps[index]!.state.fill(draw() & 0xffff, from / 2, from / 2 + 300);
        }
        survive(area);
      }),
      { numRuns: 60 },
    );
  });

  it('one value everywhere', () => {
    for (const value of [0, -1, 1, 0x7fffffff, 0x40, 0x4000, 0x00100010]) {
      const { area } = busyArea();
      for (const { view, at } of metadataWords(area)) view[at] = value;
      expect(survive(area).ok).toBe(false);
    }
  });

  it('lists that go in circles', () => {
    const { area } = busyArea();
    const spans = metadataWords(area).filter(({ what }) => what.startsWith('span'));
    const lists = metadataWords(area).filter(({ what }) => what.startsWith('lists'));
    // Every span of every pool links to the first of the first pool, there and back.
    const head = lists.find(({ view, at }) => view[at] !== 0)!;
    for (let k = 0; k < spans.length; k += 13) {
      const { view, at } = spans[k]!;
      for (const field of [2, 4]) {
        view[at + field] = head.view[head.at]!;
        view[at + field + 1] = head.view[head.at + 1]!;
      }
    }
    expect(survive(area).ok).toBe(false);
  });
});
