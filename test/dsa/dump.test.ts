/** The text of dsa_dump, and of the page managers. */

import { describe, expect, it } from 'vitest';
import { codeOf, MIB, newArea, newAreaInPlace } from './helpers.js';

describe('dump', () => {
  it('says everything once', () => {
    const { area } = newArea();
    area.setSizeLimit(64 * MIB);
    area.pin();
    area.allocate(100);
    area.allocate(2_000_000);
    const text = area.dump();
    const at = text.match(/mapped at (0x[0-9a-f]+)/g)!;
    expect(at.length).toBe(2);
    expect(text.replace(/mapped at 0x[0-9a-f]+/g, 'mapped at *').split('\n')).toEqual([
      `dsa_area handle ${area.handle.toString(16)}:`,
      '  max_total_segment_size: 67108864',
      '  total_segment_size: 3059712',
      '  refcnt: 2',
      '  pinned: t',
      '  segment bins:',
      '    segment bin 8 (at least 128 contiguous pages free):',
      '      segment index 0, usable_pages = 253, contiguous_pages = 236, mapped at *',
      '    segment bin 9 (at least 256 contiguous pages free):',
      '      segment index 1, usable_pages = 489, contiguous_pages = 0, mapped at *',
      '  pools:',
      '    pool for blocks of span objects:',
      '      fullness class 0 is empty',
      '      fullness class 1:',
      '        span descriptor at 0000000000003000, superblock at 0000000000003000, pages = 1, objects free = 70/72',
      '      fullness class 2 is empty',
      '      fullness class 3 is empty',
      '    pool for large object spans:',
      '      fullness class 0 is empty',
      '      fullness class 1:',
      '        span descriptor at 0000000000003070, superblock at 0000010000002000, pages = 489, objects free = 0/0',
      '      fullness class 2 is empty',
      '      fullness class 3 is empty',
      '    pool for size class 12 (object size 112 bytes):',
      '      fullness class 0 is empty',
      '      fullness class 1:',
      '        span descriptor at 0000000000003038, superblock at 0000000000004000, pages = 16, objects free = 584/585',
      '      fullness class 2 is empty',
      '      fullness class 3 is empty',
      '',
    ]);
  });

  it('bin 0 says what it is (C30)', () => {
    const { area } = newAreaInPlace(8192);
    expect(area.dump()).toMatch(/segment bin 0 \(no contiguous free pages\):\n {6}segment index 0, usable_pages = 0/);
    area.releaseInPlace();
  });

  it('free pages of a segment; null where there is no segment', () => {
    const { area } = newArea();
    area.allocate(3 * MIB);
    expect(area.dumpFreePages(0)).toContain('metadata');
    expect([area.dumpFreePages(1) === null, area.dumpFreePages(2), area.dumpFreePages(1023)]).toEqual([
      false,
      null,
      null,
    ]);
    for (const bad of [-1, 1024, 0.5, NaN, '0', null, undefined]) {
      expect(codeOf(() => area.dumpFreePages(bad as number))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
  });
});
