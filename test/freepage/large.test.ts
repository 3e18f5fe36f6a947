/** Page numbers whose bytes lie beyond 4 GiB and whose words lie beyond 2^31 behave like small ones. */

import { describe, expect, it } from 'vitest';
import { FPM_PAGE_SIZE, FreePageManager } from '../../dist/freepage/freepage.js';
import { faults, golden, HEADER_AT, newManager } from './helpers.js';

const GIB_PAGES = 2 ** 30 / FPM_PAGE_SIZE;

/** Memory of 10 GiB, of which only what is written takes room; null where the engine refuses it. */
function reserve(): SharedArrayBuffer | null {
  try {
    return new SharedArrayBuffer(10 * 2 ** 30);
  } catch {
    return null;
  }
}

/** Plays random calls on pages from `origin`; results and dump with pages relative to it. */
function play(manager: FreePageManager, origin: number, seed: number): string[] {
  const draw = golden(seed);
  const held: { first: number; npages: number }[] = [];
  const results: string[] = [];
  manager.put(origin, 4000);
  for (let step = 0; step < 4000; step++) {
    if (held.length > 0 && draw() % 100 < (step < 2000 ? 35 : 60)) {
      const [run] = held.splice(draw() % held.length, 1);
      manager.put(run!.first, run!.npages);
    } else {
      const npages = (draw() % 4) + 1;
      const first = manager.get(npages);
      if (first >= 0) held.push({ first, npages });
      results.push(String(first < 0 ? first : first - origin));
    }
    results.push(`${manager.contiguousPages} ${manager.btreeDepth} ${manager.btreeRecycleCount}`);
  }
  expect(faults(manager, { taken: held })).toEqual([]);
  results.push([...manager.runs()].map((run) => `${run.first - origin}(${run.npages})`).join(' '));
  results.push([...manager.treePages()].map((page) => page - origin).join(' '));
  return results;
}

const memory = reserve();

describe.skipIf(memory === null)('memory of 10 GiB', () => {
  it.each([
    { what: 'across 4 GiB', origin: 4 * GIB_PAGES - 2000 },
    { what: 'across word 2^31', origin: 8 * GIB_PAGES - 2000 },
    { what: 'beyond word 2^31', origin: 8 * GIB_PAGES + 12345 },
    { what: 'at the end', origin: 10 * GIB_PAGES - 4000 },
  ])('$what', ({ origin }) => {
    const manager = new FreePageManager(new Int32Array(memory!), 0, HEADER_AT);
    manager.initialize();
    expect(play(manager, origin, 7)).toEqual(play(newManager(4100), 1, 7));
  });

  it('a manager whose page 0 lies beyond word 2^31 works', () => {
    const base = 9 * GIB_PAGES * (FPM_PAGE_SIZE / 4);
    const manager = new FreePageManager(new Int32Array(memory!), base, HEADER_AT);
    manager.initialize();
    expect(play(manager, 1, 11)).toEqual(play(newManager(4100), 1, 11));
    expect(manager.dump().startsWith('metadata: self 56 ')).toBe(true);
  });

  it('a run of all 10 GiB is one run', () => {
    const manager = new FreePageManager(new Int32Array(memory!), 0, HEADER_AT);
    manager.initialize();
    manager.put(1, 10 * GIB_PAGES - 1);
    expect(manager.contiguousPages).toBe(10 * GIB_PAGES - 1);
    expect(manager.get(9 * GIB_PAGES)).toBe(1);
    expect(manager.get(GIB_PAGES)).toBe(-1);
    expect(manager.get(GIB_PAGES - 1)).toBe(9 * GIB_PAGES + 1);
    expect(faults(manager, { freePages: 0 })).toEqual([]);
  });
});

describe('requests beyond any segment', () => {
  it.each([2 ** 28, 2 ** 31, 2 ** 32 + 1, 2 ** 40, Number.MAX_SAFE_INTEGER])('%d pages cannot be had', (npages) => {
    const manager = newManager(300);
    manager.put(1, 299);
    expect(manager.get(npages)).toBe(-1);
    expect(manager.contiguousPages).toBe(299);
  });
});
