/** The manager by hand: order of lists, merging, the tree's own pages, the header's bytes. */

import { describe, expect, it } from 'vitest';
import { allStructs } from '../../dist/layout/layout.js';
import { FreePageManager } from '../../dist/freepage/freepage.js';
import { FREE_PAGE_MANAGER } from '../../dist/freepage/structs.js';
import { faults, HEADER_AT, newManager } from './helpers.js';

describe('the header', () => {
  it('has the size and the offsets of C', () => {
    expect(FreePageManager.SIZEOF).toBe(FREE_PAGE_MANAGER.SIZEOF);
    expect(FREE_PAGE_MANAGER).toMatchObject({
      self: 0,
      btree_root: 8,
      btree_recycle: 16,
      btree_depth: 24,
      btree_recycle_count: 28,
      singleton_first_page: 32,
      singleton_npages: 40,
      contiguous_pages: 48,
      contiguous_pages_dirty: 56,
      freelist: 64,
      SIZEOF: 1096,
    });
  });

  it('every shared field says who may touch it', () => {
    const ours = allStructs().filter((info) => info.name.startsWith('FreePage'));
    expect(ours.map((info) => info.size)).toEqual([1096, 32, 24, 16, 16, 4088]);
    for (const info of ours) for (const row of info.rows) expect(row.guard).toMatch(/lock|initialisation/);
  });

  it('is written whole: what lay there before does not matter', () => {
    const noisy = new Int32Array(8 * 1024).fill(-1);
    const m = new FreePageManager(noisy, 0, HEADER_AT);
    m.initialize();
    expect(Array.from(noisy.slice(HEADER_AT / 4, HEADER_AT / 4 + 274))).toEqual(
      Array.from({ length: 274 }, (_, k) => (k === 0 ? HEADER_AT + 1 : k === 14 ? 1 : 0)),
    );
    expect([noisy[HEADER_AT / 4 - 1], noisy[HEADER_AT / 4 + 274]]).toEqual([-1, -1]);
    for (const page of [1, 3, 5, 7]) m.put(page, 1);
    for (const page of [2, 4, 6]) m.put(page, 1);
    expect(faults(m, { freePages: 7 })).toEqual([]);
    expect(m.get(7)).toBe(1);
  });

  it('is sound straight after initialisation', () => {
    expect(faults(newManager(8), { freePages: 0 })).toEqual([]);
    expect(newManager(8).get(1)).toBe(-1);
  });
});

describe('which run is taken', () => {
  it('the one pushed last among equals, cut from its low end', () => {
    const m = newManager(200);
    for (const first of [10, 30, 50]) m.put(first, 4);
    expect([m.get(4), m.get(4)]).toEqual([50, 30]);
    m.put(100, 9);
    expect([m.get(7), m.get(2)]).toEqual([100, 107]);
  });

  it('the shortest of the long ones; an exact one at once', () => {
    const m = newManager(2000);
    for (const [first, npages] of [
      [1, 200],
      [300, 150],
      [500, 150],
      [700, 400],
    ])
      m.put(first!, npages!);
    expect(m.get(140)).toBe(500);
    m.put(1200, 180);
    m.put(1400, 199);
    expect(m.get(180)).toBe(1200);
    expect(faults(m)).toEqual([]);
  });

  it('a get can leave a longer run than there was', () => {
    const m = newManager(64);
    m.put(41, 7);
    m.put(14, 2);
    expect([m.contiguousPages, m.get(1), m.get(1), m.contiguousPages]).toEqual([6, 14, 15, 7]);
  });
});

describe('giving back', () => {
  it('merges before, after and on both sides, across leaves as well', () => {
    const m = newManager(4000);
    for (let page = 2; page <= 3000; page += 2) m.put(page, 1);
    expect(m.btreeDepth).toBe(2);
    const runs = [...m.runs()];
    for (const [k, run] of runs.entries()) {
      const next = runs[k + 1];
      if (next === undefined || next.first !== run.first + 2) continue;
      m.put(run.first + 1, 1);
      if (k % 50 === 0) expect(faults(m)).toEqual([]);
    }
    expect(
      faults(m, { freePages: 1500 + runs.filter((run, k) => runs[k + 1]?.first === run.first + 2).length }),
    ).toEqual([]);
  });

  it('two runs that only the root page separates fold into one', () => {
    const m = newManager(64);
    m.put(20, 4);
    m.put(10, 2);
    expect([...m.treePages()]).toEqual([20]);
    m.put(12, 8);
    expect([m.btreeDepth, [...m.runs()]]).toEqual([0, [{ first: 10, npages: 14 }]]);
  });
});

describe('the dump', () => {
  it('names a parent that is wrong, and goes on', () => {
    const m = newManager(4000);
    for (let page = 2; page <= 1200; page += 2) m.put(page, 1);
    const [root, leaf] = m.treePages();
    m.handle.a[leaf! * 1024 + 4] = 0;
    m.handle.a[leaf! * 1024 + 5] = 0;
    expect(m.dump()).toContain(`  ${leaf}@1 l [actual parent none, expected ${root}]: `);
  });
});

describe('garbage', () => {
  it('get and put make none', () => {
    const m = newManager(3000);
    m.put(1500, 1000);
    for (let page = 2; page < 1400; page += 2) m.put(page, 1);
    const pairs = (count: number): void => {
      for (let k = 0; k < count; k++) m.put(m.get(16), 16);
    };
    pairs(200_000);
    const before = process.memoryUsage().heapUsed;
    pairs(100_000);
    // An object of 16 bytes per call would be 3.2 MB, less than what makes a collection likely in between.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(1_000_000);
  });
});
