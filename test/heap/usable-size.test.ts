import { describe, expect, it } from 'vitest';
import { CLASS_OF_EIGHTHS, CLASS_SIZE, MAX_SMALL_SIZE } from '../../dist/dsa/size-classes.js';
import { usableSize } from '../../dist/heap/usable-size.js';

describe('usableSize', () => {
  it('is the size class that the area allocates by, for every small request', () => {
    for (let bytes = 1; bytes <= MAX_SMALL_SIZE; bytes++) {
      expect(usableSize(bytes)).toBe(CLASS_SIZE[CLASS_OF_EIGHTHS[(bytes + 7) >>> 3]!]);
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
