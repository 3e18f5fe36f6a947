/** The checked form: every bad argument has its error, and nothing is changed. */

import { describe, expect, it } from 'vitest';
import { freePages, type FreePages, type FreePagesOptions } from '../../dist/freepage/freepage.js';
import { growTree } from './helpers.js';

const PAGE = 4096;
const BAD_NUMBERS: unknown[] = [
  Number.NaN,
  -1,
  1.5,
  Number.POSITIVE_INFINITY,
  2 ** 53,
  '3',
  null,
  undefined,
  3n,
  {},
  [4],
  true,
];

function make(pages = 64): FreePages {
  return freePages(new SharedArrayBuffer(pages * PAGE));
}

/** Runs `act`, which must fail with `code` and leave `pages` as it was. */
function refused(pages: FreePages, code: string, act: () => unknown): void {
  const before = pages.manager.handle.a.slice();
  expect(act).toThrow(
    expect.objectContaining({ code, detail: expect.stringMatching(/./), hint: expect.stringMatching(/./) }),
  );
  expect(Buffer.compare(Buffer.from(pages.manager.handle.a.slice().buffer), Buffer.from(before.buffer))).toBe(0);
}

describe('freePages', () => {
  it('hands pages out and takes them back', () => {
    const pages = make();
    pages.put(1, 63);
    expect([pages.get(4), pages.get(60), pages.get(59), pages.contiguousPages]).toEqual([1, -1, 5, 0]);
    pages.put(1, 4);
    pages.put(5, 59);
    expect([...pages.runs()]).toEqual([{ first: 1, npages: 63 }]);
    expect(pages.verify({ freePages: 63 })).toEqual([]);
    expect(pages.dump()).toBe('metadata: self 0 max contiguous pages = 63\nsingleton: 1(63)\nfreelists:\n  63: 1\n');
  });

  it('works in an ArrayBuffer, from any place in it', () => {
    const pages = freePages(new ArrayBuffer(10 * PAGE), { byteOffset: 24, headerOffset: 3 * PAGE + 8, pages: 9 });
    pages.put(0, 3);
    pages.put(4, 5);
    expect([pages.pages, pages.get(5), pages.get(3), pages.get(1)]).toEqual([9, 4, 0, -1]);
    expect(pages.verify()).toEqual([]);
  });

  it('page 0 is a page like any other when the header lies elsewhere', () => {
    const pages = freePages(new SharedArrayBuffer(8 * PAGE), { headerOffset: 7 * PAGE });
    for (const page of [0, 2, 4, 6]) pages.put(page, 1);
    for (const page of [1, 3, 5]) pages.put(page, 1);
    expect(pages.verify({ freePages: 7 })).toEqual([]);
    expect([pages.get(7), pages.get(1)]).toEqual([0, -1]);
  });

  it('a second view attaches to what the first made', () => {
    const memory = new SharedArrayBuffer(16 * PAGE);
    const one = freePages(memory, { headerOffset: 64 });
    one.put(1, 15);
    const two = freePages(memory, { headerOffset: 64, attach: true });
    expect([two.get(2), one.get(2), two.contiguousPages]).toEqual([1, 3, 11]);
  });

  it('refuses to attach where no manager lies', () => {
    const memory = new SharedArrayBuffer(16 * PAGE);
    const attach = (headerOffset: number): unknown => freePages(memory, { headerOffset, attach: true });
    expect(() => attach(0)).toThrow(expect.objectContaining({ code: 'ERR_HEAP_BAD_ARGUMENT' }));
    freePages(memory, { headerOffset: 64 });
    expect(() => attach(72)).toThrow(expect.objectContaining({ code: 'ERR_HEAP_BAD_ARGUMENT' }));
    expect(new Int32Array(memory).slice(0, 16).every((word) => word === 0)).toBe(true);
  });

  it.each([null, undefined, 5, 'memory', {}, new Uint8Array(8192)])('refuses %s as memory', (memory) => {
    expect(() => freePages(memory as unknown as ArrayBuffer)).toThrow(
      expect.objectContaining({ code: 'ERR_HEAP_BAD_ARGUMENT' }),
    );
  });

  it.each([
    ...['byteOffset', 'headerOffset', 'pages'].flatMap((name) =>
      BAD_NUMBERS.filter((value) => value !== undefined && value !== null).map((value) => ({ [name]: value })),
    ),
    { byteOffset: 4 },
    { byteOffset: 17 * PAGE },
    { headerOffset: 12 },
    { headerOffset: 16 * PAGE - 1088 },
    { pages: 0 },
    { pages: 17 },
    { byteOffset: 8, pages: 16 },
    { attach: 1 },
    { ofset: 8 },
    5,
    'x',
  ])('refuses options %o', (options) => {
    expect(() => freePages(new SharedArrayBuffer(16 * PAGE), options as FreePagesOptions)).toThrow(
      expect.objectContaining({ code: 'ERR_HEAP_BAD_OPTION' }),
    );
  });

  it('refuses memory that is too small for a header', () => {
    expect(() => freePages(new SharedArrayBuffer(4095))).toThrow(
      expect.objectContaining({ code: 'ERR_HEAP_BAD_OPTION' }),
    );
  });
});

describe('get', () => {
  it.each([...BAD_NUMBERS, 0, 65])('refuses %s pages', (npages) => {
    const pages = make();
    pages.put(1, 10);
    refused(pages, 'ERR_HEAP_BAD_SIZE', () => pages.get(npages as number));
  });
});

describe('put', () => {
  it.each([...BAD_NUMBERS, 0, 65])('refuses %s pages', (npages) => {
    const pages = make();
    refused(pages, 'ERR_HEAP_BAD_SIZE', () => pages.put(1, npages as number));
  });

  it.each([...BAD_NUMBERS, 64, 62])('refuses three pages from page %s', (first) => {
    const pages = make();
    refused(pages, 'ERR_HEAP_BAD_ARGUMENT', () => pages.put(first as number, 3));
  });

  it('refuses the pages of the header', () => {
    const across = freePages(new SharedArrayBuffer(16 * PAGE), { headerOffset: 3 * PAGE - 8 });
    for (const first of [2, 3]) refused(across, 'ERR_HEAP_BAD_ARGUMENT', () => across.put(first, 1));
    refused(across, 'ERR_HEAP_BAD_ARGUMENT', () => across.put(0, 16));
    across.put(0, 2);
    across.put(4, 12);
    expect(across.verify({ freePages: 14 })).toEqual([]);
  });

  it.each([
    [10, 1],
    [12, 2],
    [14, 1],
    [9, 2],
    [14, 2],
    [5, 30],
  ])('refuses %d(%d) while 10(5) is the only run', (first, n) => {
    const pages = make();
    pages.put(10, 5);
    refused(pages, 'ERR_HEAP_BAD_ARGUMENT', () => pages.put(first, n));
  });

  it('refuses every run that touches a free page, whatever that page is used for', () => {
    const pages = make(2700);
    growTree(pages, pages.manager);
    const free = new Set([...pages.manager.treePages(), ...pages.manager.recyclePages()]);
    expect(free.size).toBeGreaterThan(3);
    for (const run of pages.runs()) for (let k = 0; k < run.npages; k++) free.add(run.first + k);
    const before = pages.dump();
    for (let first = 1; first < 2690; first++) {
      for (const npages of [1, 2, 5]) {
        const touches = Array.from({ length: npages }, (_, k) => first + k).some((page) => free.has(page));
        if (!touches) continue;
        expect(() => pages.put(first, npages)).toThrow(expect.objectContaining({ code: 'ERR_HEAP_BAD_ARGUMENT' }));
      }
    }
    expect(pages.dump()).toBe(before);
  });

  it('refuses a second put of the same run', () => {
    const pages = make();
    pages.put(1, 63);
    const first = pages.get(5);
    pages.put(first, 5);
    refused(pages, 'ERR_HEAP_BAD_ARGUMENT', () => pages.put(first, 5));
  });
});
