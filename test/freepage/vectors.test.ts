/** Results that PostgreSQL 15.20 gave for the same calls: pages, longest runs, trees, and hashes of 1.4 million more. */

import { describe, expect, it } from 'vitest';
import type { FreePageManager } from '../../dist/freepage/freepage.js';
import { faults, golden, GoldenHash, newManager } from './helpers.js';

function get(manager: FreePageManager, npages: number): string {
  const first = manager.get(npages);
  return `${first < 0 ? 'fail' : first} L${manager.contiguousPages}`;
}

function put(manager: FreePageManager, first: number, npages: number): string {
  manager.put(first, npages);
  return `L${manager.contiguousPages}`;
}

function shape(manager: FreePageManager): object {
  return {
    depth: manager.btreeDepth,
    tree: [...manager.treePages()],
    recycled: [...manager.recyclePages()],
    runs: [...manager.runs()].map((run) => `${run.first}(${run.npages})`),
  };
}

describe('short vectors', () => {
  it('F1: three gets and two puts end in a tree', () => {
    const m = newManager(101);
    expect([put(m, 1, 100), get(m, 10), get(m, 5), get(m, 1), put(m, 1, 10), put(m, 16, 1)]).toEqual([
      'L100',
      '1 L90',
      '11 L85',
      '16 L84',
      'L83',
      'L83',
    ]);
    expect(shape(m)).toEqual({ depth: 1, tree: [17], recycled: [], runs: ['1(10)', '16(1)', '18(83)'] });
    expect(faults(m)).toEqual([]);
  });

  it('F2: a get of too much fails and changes nothing there', () => {
    const m = newManager(101);
    put(m, 1, 100);
    for (const n of [10, 5, 1]) m.get(n);
    m.put(1, 10);
    m.put(16, 1);
    const before = m.dump();
    expect(get(m, 200)).toBe('fail L83');
    expect(m.dump()).toBe(before);
  });

  it('F3: the last free page becomes the root', () => {
    const m = newManager(64);
    expect([put(m, 1, 1), put(m, 10, 5)]).toEqual(['L1', 'L5']);
    expect(shape(m)).toEqual({ depth: 1, tree: [1], recycled: [], runs: ['10(5)'] });
    expect(faults(m, { freePages: 6 })).toEqual([]);
  });

  it('F4: a one-key root that loses its key is lost', () => {
    const m = newManager(64);
    m.put(1, 1);
    m.put(10, 5);
    expect([get(m, 5), get(m, 1), put(m, 10, 5)]).toEqual(['10 L0', 'fail L0', 'L5']);
    expect(shape(m)).toEqual({ depth: 0, tree: [], recycled: [], runs: ['10(5)'] });
    expect(faults(m, { freePages: 6, lostRoots: 1 })).toEqual([]);
  });
});

describe('F5: comb', () => {
  it.each([
    { n: 2000, descending: false, outputs: 6001, hash: '1e787a060dbd5f76', depth: 2, tree: 8, runs: 992 },
    { n: 100000, descending: false, outputs: 300001, hash: 'de1e02d4db455a62', depth: 3, tree: 394, runs: 49606 },
    { n: 100000, descending: true, outputs: 300001, hash: '008c45d4605c1342', depth: 3, tree: 394, runs: 49606 },
  ])('$n pages, descending: $descending', ({ n, descending, outputs, hash, depth, tree, runs }) => {
    const m = newManager(n + 1);
    const results = new GoldenHash();
    const give = (page: number): void => {
      m.put(page, 1);
      results.add(m.contiguousPages);
    };
    m.put(1, n);
    results.add(m.contiguousPages);
    for (let page = 1; page <= n; page++) {
      expect(m.get(1)).toBe(page);
      results.add(page);
      results.add(m.contiguousPages);
    }
    for (let k = 2; k <= n; k += 2) give(descending ? n + 2 - k : k);
    expect([m.btreeDepth, [...m.treePages()].length, [...m.runs()].length, m.btreeRecycleCount]).toEqual([
      depth,
      tree,
      runs,
      0,
    ]);
    expect(faults(m, { freePages: n / 2 })).toEqual([]);
    for (let page = 1; page <= n; page += 2) give(page);
    expect([m.btreeDepth, m.contiguousPages]).toEqual([0, n]);
    expect([results.count, results.hex()]).toEqual([outputs, hash]);
  });
});

interface RandomVector {
  seed: number;
  pages: number;
  steps: number;
  largest: number;
  puts: number;
}

/** Plays a vector of F6; what it ends with. */
function playRandom({ seed, pages, steps, largest, puts }: RandomVector): object {
  const m = newManager(pages + 1);
  const results = new GoldenHash();
  const draw = golden(seed);
  const held: { first: number; npages: number }[] = [];
  m.put(1, pages);
  results.add(m.contiguousPages);
  for (let step = 0; step < steps; step++) {
    if (held.length > 0 && draw() % 100 < puts) {
      const j = draw() % held.length;
      m.put(held[j]!.first, held[j]!.npages);
      held[j] = held.at(-1)!;
      held.pop();
    } else {
      const npages = (draw() % largest) + 1;
      const first = m.get(npages);
      if (first >= 0) held.push({ first, npages });
      results.add(first);
    }
    results.add(m.contiguousPages);
  }
  expect(faults(m, { taken: held })).toEqual([]);
  return { outputs: results.count, hash: results.hex(), depth: m.btreeDepth, L: m.contiguousPages, held: held.length };
}

describe('F6: random', () => {
  it.each([
    [
      { seed: 1, pages: 200, steps: 500, largest: 8, puts: 40 },
      { outputs: 811, hash: 'e613614eebb7f8c2', depth: 1, L: 8, held: 47 },
    ],
    [
      { seed: 2, pages: 5000, steps: 20000, largest: 3, puts: 48 },
      { outputs: 30564, hash: 'd9baa7b26ea961a9', depth: 1, L: 2667, held: 1126 },
    ],
    [
      { seed: 3, pages: 50000, steps: 40000, largest: 1, puts: 30 },
      { outputs: 68001, hash: '7871dcf75c090669', depth: 0, L: 34000, held: 16000 },
    ],
    [
      { seed: 4, pages: 60000, steps: 60000, largest: 40, puts: 49 },
      { outputs: 90686, hash: 'ecfac9c8a92ccf89', depth: 2, L: 30193, held: 1370 },
    ],
    [
      { seed: 5, pages: 3000, steps: 30000, largest: 200, puts: 50 },
      { outputs: 45266, hash: '8e190dac8af6d0ef', depth: 0, L: 2784, held: 2 },
    ],
  ])('%o', (vector, end) => {
    expect(playRandom(vector)).toEqual(end);
  });
});
