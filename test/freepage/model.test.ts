/**
 * Random calls beside a naive model that knows which pages were handed out.
 *
 * After every call: all invariants hold, pages are conserved, nothing overlaps, a get took the start of a shortest run
 * that is long enough, and it failed only when there was none.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FreePageManager, FreeRun } from '../../dist/freepage/freepage.js';
import { faults, newManager } from './helpers.js';

/** A call: a get of so many pages, or a put of a part of a held run (each number taken modulo what there is). */
type Call = { get: number } | { put: number; skip: number; keep: number };

class Model {
  readonly manager: FreePageManager;
  held: FreeRun[];
  free = 0;
  lost = 0;

  constructor(pages: number) {
    this.manager = newManager(pages);
    this.held = [{ first: 1, npages: pages - 1 }];
  }

  call(call: Call): void {
    if ('get' in call) this.get(call.get);
    else if (this.held.length > 0) this.put(call.put % this.held.length, call.skip, call.keep);
    expect(faults(this.manager, { freePages: this.free, lostRoots: this.lost, taken: this.held })).toEqual([]);
  }

  get(npages: number): void {
    const runs = [...this.manager.runs()];
    const fitting = runs.filter((run) => run.npages >= npages).map((run) => run.npages);
    const loses = this.manager.btreeDepth === 1 && runs.length === 1 && runs[0]!.npages === npages;
    const first = this.manager.get(npages);
    expect(first >= 0).toBe(fitting.length > 0);
    if (first < 0) return;
    expect(runs.find((run) => run.first === first)?.npages).toBe(Math.min(...fitting));
    this.held.push({ first, npages });
    this.free -= npages;
    if (loses) this.lost++;
  }

  /** Puts the middle of a held run; what lies before and after stays held. */
  put(j: number, skip: number, keep: number): void {
    const { first, npages } = this.held[j]!;
    const before = skip % npages;
    const after = keep % (npages - before);
    this.held.splice(j, 1);
    if (before > 0) this.held.push({ first, npages: before });
    if (after > 0) this.held.push({ first: first + npages - after, npages: after });
    this.manager.put(first + before, npages - before - after);
    this.free += npages - before - after;
  }
}

function calls(largest: number): fc.Arbitrary<Call[]> {
  const part = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(largest));
  return fc.array(
    fc.oneof(
      fc.record({ get: fc.integer({ min: 1, max: largest }) }),
      fc.record({ put: fc.nat(1000), skip: part, keep: part }),
    ),
    { minLength: 1, maxLength: 120 },
  );
}

function play(pages: number, list: readonly Call[]): Model {
  const model = new Model(pages);
  for (const call of list) model.call(call);
  return model;
}

describe('random calls', () => {
  it.each([
    { pages: 12, largest: 3 },
    { pages: 64, largest: 8 },
    { pages: 600, largest: 5 },
    { pages: 2000, largest: 300 },
  ])('on $pages pages, up to $largest at once', ({ pages, largest }) => {
    fc.assert(
      fc.property(calls(largest), (list) => void play(pages, list)),
      { numRuns: 150 },
    );
  });

  it('everything given back makes one run again, lost roots excepted', () => {
    fc.assert(
      fc.property(calls(6), (list) => {
        const model = play(300, list);
        while (model.held.length > 0) model.call({ put: model.held.length - 1, skip: 0, keep: 0 });
        let free = 0;
        for (const run of model.manager.runs()) free += run.npages;
        free += [...model.manager.treePages()].length + model.manager.btreeRecycleCount;
        expect(free).toBe(299 - model.lost);
        if (model.lost === 0) expect(model.manager.contiguousPages).toBe(299);
      }),
      { numRuns: 100 },
    );
  });

  it('trees of several levels grow and shrink', () => {
    const order = fc.shuffledSubarray(
      Array.from({ length: 1500 }, (_, k) => 2 * k + 2),
      { minLength: 700 },
    );
    fc.assert(
      fc.property(order, fc.infiniteStream(fc.nat(100)), (pages, draws) => {
        const m = newManager(3100);
        const taken = new Set<number>();
        m.put(3003, 40);
        let free = 40;
        const check = (): void => expect(faults(m, { freePages: free })).toEqual([]);
        for (const [k, page] of pages.entries()) {
          m.put(page, 1);
          free++;
          if (k % 100 === 0) check();
        }
        expect(m.btreeDepth).toBe(2);
        for (let k = 0; m.contiguousPages > 0; k++) {
          const npages = draws.next().value! < 90 ? 1 : m.contiguousPages;
          const first = m.get(npages);
          for (let page = first; page < first + npages; page++) {
            expect(taken.has(page)).toBe(false);
            taken.add(page);
          }
          free -= npages;
          if (k % 100 === 0) check();
        }
        expect(taken.size).toBe(pages.length + 40 - free);
      }),
      { numRuns: 8 },
    );
  });
});
