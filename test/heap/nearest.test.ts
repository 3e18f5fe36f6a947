import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, nearest } from '../../dist/heap/nearest.js';

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['', 'abc', 3],
    ['limit', 'limit', 0],
    ['limt', 'limit', 1],
    ['limiit', 'limit', 1],
    ['linit', 'limit', 1],
    ['ilmit', 'limit', 1],
    ['kitten', 'sitting', 3],
  ])('%j to %j takes %d slips', (a, b, slips) => {
    expect(editDistance(a, b)).toBe(slips);
  });

  it('is symmetric, zero only for equals, and bounded by the longer text', () => {
    const text = fc.string({ maxLength: 12, unit: fc.constantFrom('a', 'b', 'c') });
    fc.assert(
      fc.property(text, text, (a, b) => {
        const d = editDistance(a, b);
        expect(d).toBe(editDistance(b, a));
        expect(d === 0).toBe(a === b);
        expect(d).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(d).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });
});

describe('nearest', () => {
  const known = ['store', 'regionSize', 'limit', 'segments'];

  it.each([
    ['regionsize', 'regionSize'],
    ['RegionSize', 'regionSize'],
    ['stroe', 'store'],
    ['segment', 'segments'],
    ['limits', 'limit'],
  ])('finds %j near %j', (name, expected) => {
    expect(nearest(name, known)).toBe(expected);
  });

  it('does not compare text that is far too long', () => {
    expect(nearest('x'.repeat(1e6), known)).toBeUndefined();
  });
});
