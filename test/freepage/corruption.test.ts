/**
 * Damaged memory: `verifyFreePages` sees it, and nothing that walks over it hangs or fails in any other way than with
 * ERR_HEAP_CORRUPT.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FreePageManager, verifyFreePages } from '../../dist/freepage/freepage.js';
import { FREE_PAGE_MANAGER } from '../../dist/freepage/structs.js';
import { faults, golden, growTree, HEADER_AT, newManager } from './helpers.js';

const PAGES = 3000;
const HEADER = HEADER_AT / 4;

/** A manager with a tree of two levels, pages on the recycle list, and runs on short and long lists. */
function makeTree(): FreePageManager {
  const m = newManager(PAGES);
  growTree(m, m);
  return m;
}

/** A manager with one run. */
function makeSingle(): FreePageManager {
  const m = newManager(64);
  m.put(5, 50);
  return m;
}

/** Words of the header, the leaders and the tree that mean something. */
function meaningfulWords(m: FreePageManager): number[] {
  const words: number[] = [];
  for (let k = 0; k < FREE_PAGE_MANAGER.SIZEOF / 4; k++) words.push(HEADER + k);
  const leaders = [...m.recyclePages(), ...Array.from(m.runs(), (run) => run.first)];
  for (const page of leaders) for (const k of [0, 2, 3, 4, 5, 6, 7]) words.push(page * 1024 + k);
  for (const page of m.treePages()) {
    const nused = m.handle.a[page * 1024 + 2]!;
    for (const k of [0, 2, 3, 4, 5]) words.push(page * 1024 + k);
    for (let k = 0; k < 4 * nused; k++) words.push(page * 1024 + 6 + k);
  }
  return words;
}

/** Runs `act`; the only error it may end with is ERR_HEAP_CORRUPT. */
function survives(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_HEAP_CORRUPT', detail: expect.stringMatching(/\d/) });
  }
}

/** Whatever can be done with a damaged manager. */
function exercise(m: FreePageManager, seed: number): void {
  verifyFreePages(m);
  m.dump();
  survives(() => [...m.runs()]);
  survives(() => [...m.treePages()]);
  survives(() => [...m.recyclePages()]);
  survives(() => m.largest());
  const draw = golden(seed);
  for (let k = 0; k < 60; k++) {
    survives(() => m.get(1 + (draw() % (draw() % 4 === 0 ? 400 : 3))));
    survives(() => m.put(1 + (draw() % (PAGES - 10)), 1 + (draw() % 3)));
  }
  verifyFreePages(m);
  m.dump();
}

describe('verifyFreePages sees', () => {
  it.each([
    ['a tree', makeTree],
    ['a single run', makeSingle],
  ])('every changed word of %s', (_, make) => {
    const m = make();
    const a = m.handle.a;
    const words = meaningfulWords(m);
    const draw = golden(1);
    const missed: number[] = [];
    for (const word of words) {
      const right = a[word]!;
      for (const flip of [1, 1 << (draw() % 32), draw() | 1, ~0]) {
        a[word] = right ^ flip;
        if (verifyFreePages(m).length === 0) missed.push(word - HEADER);
        a[word] = right;
      }
    }
    expect(missed).toEqual([]);
    expect(faults(m)).toEqual([]);
  });

  it.each([
    [
      'Q3',
      'a singleton beside a tree',
      (a: Int32Array) => {
        a[HEADER + 10] = 3;
      },
    ],
    ['Q7', 'a wrong number of recycled pages', (a: Int32Array) => a[HEADER + 7]!++],
    ['Q8', 'a wrong longest run', (a: Int32Array) => a[HEADER + 12]!--],
    [
      'Q8',
      'a dirty flag',
      (a: Int32Array) => {
        a[HEADER + 14] = 1;
      },
    ],
    [
      'Q11',
      'a group of lists that is not marked',
      (a: Int32Array) => {
        a[HEADER + 15] = 0;
      },
    ],
  ])('%s: %s', (id, _, damage) => {
    const m = makeTree();
    damage(m.handle.a);
    expect(verifyFreePages(m).map((finding) => finding.id)).toEqual([id]);
  });

  it.each([
    ['Q3', 'a parent that is wrong', 4],
    ['Q6', 'a page without items', 2],
  ])('%s: %s', (id, _, word) => {
    const m = makeTree();
    const leaf = [...m.treePages()].at(-1)!;
    m.handle.a[leaf * 1024 + word] = 0;
    expect(verifyFreePages(m).map((finding) => finding.id)).toContain(id);
  });

  it('Q1: a depth that is wrong', () => {
    const m = makeTree();
    m.handle.a[HEADER + 6]!++;
    expect(verifyFreePages(m)[0]!.id).toBe('Q1');
  });

  it('Q4: runs out of order', () => {
    const m = makeTree();
    const leaf = [...m.treePages()].at(-1)!;
    const at = leaf * 1024 + 6;
    m.handle.a.copyWithin(at + 8, at + 4, at + 8);
    expect(verifyFreePages(m).map((finding) => finding.id)).toContain('Q4');
  });

  it('Q2: a list that does not hold the only run; Q5: one that does not hold a run of the tree', () => {
    const single = makeSingle();
    single.handle.a[HEADER + 16 + 2 * 49] = 0;
    expect(verifyFreePages(single).map((finding) => finding.id)).toEqual(['Q2', 'Q11']);
    const tree = makeTree();
    tree.handle.a.fill(0, HEADER + 16 + 256, HEADER + 16 + 258);
    expect(new Set(verifyFreePages(tree).map((finding) => finding.id))).toEqual(new Set(['Q5']));
  });

  it('Q9: pages that are missing; Q10: pages that are free and taken', () => {
    const m = makeTree();
    let free = m.btreeRecycleCount + [...m.treePages()].length;
    for (const run of m.runs()) free += run.npages;
    expect(faults(m, { freePages: free })).toEqual([]);
    expect(verifyFreePages(m, { freePages: free + 1 }).map((finding) => finding.id)).toEqual(['Q9']);
    expect(verifyFreePages(m, { freePages: free + 1, lostRoots: 1 })).toEqual([]);
    const [run] = m.runs();
    expect(verifyFreePages(m, { taken: [run!] }).map((finding) => finding.id)).toEqual(['Q10']);
    expect(verifyFreePages(m, { taken: [{ first: 0, npages: 1 }] }).map((finding) => finding.id)).toEqual(['Q10']);
  });

  it('a header outside the memory', () => {
    const m = new FreePageManager(new Int32Array(1024), 0, 4096);
    expect(verifyFreePages(m).map((finding) => finding.id)).toEqual(['Q10']);
  });

  it('no more than a hundred things', () => {
    const m = makeTree();
    m.handle.a.fill(0x55555555, HEADER);
    expect(verifyFreePages(m).length).toBeLessThanOrEqual(100);
  });
});

describe('damaged memory neither hangs nor breaks anything else', () => {
  const tree = Array.from(makeTree().handle.a);

  function copyOfTree(): FreePageManager {
    return new FreePageManager(Int32Array.from(tree), 0, HEADER_AT);
  }

  it('one meaningful word', () => {
    const words = meaningfulWords(copyOfTree());
    fc.assert(
      fc.property(fc.nat(words.length - 1), fc.integer(), fc.integer({ min: 1 }), (k, value, seed) => {
        const m = copyOfTree();
        m.handle.a[words[k]!] = value;
        exercise(m, seed);
      }),
      { numRuns: 60 },
    );
  });

  it('links that lead to other sound places', () => {
    const sound = copyOfTree();
    const words = meaningfulWords(sound);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(words.length - 1), fc.nat(words.length - 1)), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1 }),
        (pairs, seed) => {
          const m = copyOfTree();
          for (const [to, from] of pairs) m.handle.a[words[to]!] = sound.handle.a[words[from]!]!;
          exercise(m, seed);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('whole pages of noise', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(PAGES - 1), { maxLength: 40 }), fc.integer({ min: 1 }), (pages, seed) => {
        const m = copyOfTree();
        const draw = golden(seed);
        for (const page of pages) {
          const from = page === 0 ? HEADER : page * 1024;
          for (let k = from; k < (page + 1) * 1024; k++) m.handle.a[k] = draw() * 256 + (draw() & 255);
        }
        exercise(m, seed);
      }),
      { numRuns: 40 },
    );
  });

  it('cycles', () => {
    const longList = copyOfTree();
    const [page] = longList
      .dump()
      .match(/(?<=\n {2}129: )\d+/)!
      .map(Number);
    longList.handle.a[page! * 1024 + 6] = (page! << 12) + 1;
    expect(() => longList.get(2999)).toThrow(expect.objectContaining({ code: 'ERR_HEAP_CORRUPT' }));
    const root = copyOfTree();
    const [top] = root.treePages();
    root.handle.a[top! * 1024 + 8] = (top! << 12) + 1;
    expect(() => root.put(1, 1)).toThrow(expect.objectContaining({ code: 'ERR_HEAP_CORRUPT' }));
    expect(verifyFreePages(root).map((finding) => finding.id)).toContain('Q1');
    expect(root.dump()).toContain('[met before]');
  });

  it('pages given back twice', () => {
    for (const m of [makeSingle(), makeTree()]) {
      const before = m.dump();
      for (const run of m.runs()) {
        expect(() => m.put(run.first, 1)).toThrow(expect.objectContaining({ code: 'ERR_HEAP_CORRUPT' }));
        expect(() => m.put(run.first - 1, run.npages + 1)).toThrow(
          expect.objectContaining({ code: 'ERR_HEAP_CORRUPT' }),
        );
      }
      expect(m.dump()).toBe(before);
    }
  });
});
