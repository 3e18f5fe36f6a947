import { describe, expect, it } from 'vitest';
import { CLASS_OF_EIGHTHS, CLASS_SIZE, MAX_SMALL_SIZE, usableSize } from '../../dist/dsa/size-classes.js';

describe('usableSize', () => {
  it('is the smallest class that holds the request, for every small one', () => {
    const sizes = [...CLASS_SIZE].slice(2);
    for (let bytes = 1; bytes <= MAX_SMALL_SIZE; bytes++) {
      expect(usableSize(bytes)).toBe(sizes.find((size) => size >= bytes));
      expect(CLASS_SIZE[CLASS_OF_EIGHTHS[(bytes + 7) >>> 3]!]).toBe(usableSize(bytes));
    }
  });

  it('is whole pages for every larger request', () => {
    expect([8193, 12_288, 12_289, 2 ** 40, 2 ** 40 + 1].map(usableSize)).toEqual([
      12_288,
      12_288,
      16_384,
      2 ** 40,
      2 ** 40 + 4096,
    ]);
  });
});
