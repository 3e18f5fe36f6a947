/** The table of contents: sizes, room to the last byte, order of publication, and what bad input leaves behind. */

import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ErrorCode, isSharedHeapError } from '../../dist/errors/errors.js';
import { threadIdentity } from '../../dist/platform/platform.js';
import { Toc, TocEstimator } from '../../dist/toc/toc.js';

const MAGIC = 0xf0f0_1234_5678_9abcn;
const up32 = (n: number) => Math.ceil(n / 32) * 32;
const memory = (bytes: number) => new Int32Array(new SharedArrayBuffer(bytes));

function codeOf(action: () => unknown): ErrorCode | 'nothing' {
  try {
    action();
  } catch (error) {
    if (isSharedHeapError(error)) return error.code;
    throw error;
  }
  return 'nothing';
}

/** Everything that a failed call must leave as it was. */
const bytesOf = (a: Int32Array) => Buffer.from(a.buffer as SharedArrayBuffer).toString('hex');

describe('estimator', () => {
  it('rounds each chunk for itself', () => {
    expect(new TocEstimator().size()).toBe(64);
    expect(new TocEstimator().chunk(1).chunk(1).keys(2).size()).toBe(up32(40 + 32 + 64));
    expect(new TocEstimator().chunk(0).chunk(32).chunk(33).keys(5).size()).toBe(up32(40 + 80 + 96));
  });

  it('refuses what is no size, and what overflows, and stays as it was', () => {
    const estimator = new TocEstimator().chunk(100).keys(1);
    const before = estimator.size();
    for (const bad of [-1, 0.5, Number.NaN, Infinity, '8', null, 1n, 2 ** 53]) {
      expect(codeOf(() => estimator.chunk(bad as never))).toBe('ERR_HEAP_BAD_SIZE');
      expect(codeOf(() => estimator.keys(bad as never))).toBe('ERR_HEAP_BAD_SIZE');
    }
    expect(codeOf(() => estimator.chunk(2 ** 53 - 64))).toBe('ERR_HEAP_BAD_SIZE');
    expect(estimator.size()).toBe(before);
    expect(codeOf(() => new TocEstimator().keys(2 ** 52).size())).toBe('ERR_HEAP_BAD_SIZE');
  });

  it('is exactly enough for whatever is asked for', () => {
    const sizes = fc.array(fc.nat(300), { maxLength: 20 });
    fc.assert(
      fc.property(sizes, fc.nat(20), fc.nat(8), (chunks, keys, start) => {
        const estimator = new TocEstimator().keys(keys);
        for (const bytes of chunks) estimator.chunk(bytes);
        const size = estimator.size();
        const toc = Toc.create(MAGIC, memory(start * 8 + size), start * 8, size);
        const at: number[] = [];
        for (const bytes of chunks) at.push(toc.allocate(bytes));
        for (let key = 0; key < keys; key++) toc.insert(key, at[key % Math.max(1, at.length)] || start * 8 + 40);
        expect(toc.verify()).toEqual([]);
        expect(toc.freeSpace()).toBeLessThan(32);
        // Chunks are cut downwards, without a gap.
        let end = start * 8 + size;
        for (const [i, bytes] of chunks.entries()) {
          end -= up32(bytes);
          expect(at[i]).toBe(end);
        }
        expect(codeOf(() => toc.allocate(32))).toBe('ERR_HEAP_OUT_OF_MEMORY');
      }),
    );
  });
});

describe('table', () => {
  it('is found by its magic number only', () => {
    const a = memory(256);
    Toc.create(MAGIC, a, 8, 200);
    expect(Toc.attach(MAGIC, a, 8)?.totalBytes).toBe(192);
    expect(Toc.attach(MAGIC - 1n, a, 8)).toBe(null);
    expect(Toc.attach(MAGIC, a, 16)).toBe(null);
    // Differs in a bit that a number of 53 bits cannot tell.
    expect(Toc.attach(MAGIC ^ 1n, a, 8)).toBe(null);
  });

  it('keeps 64-bit keys apart, and finds the first of equal ones', () => {
    const a = memory(1024);
    const toc = Toc.create(1, a, 0, 1024);
    const place = toc.allocate(64);
    const keys = [
      0,
      1,
      2 ** 32,
      2 ** 53 - 1,
      2n ** 63n,
      2n ** 64n - 1n,
      0xe000_0000_0000_0001n,
      0xe000_0000_0000_0002n,
    ];
    for (const [i, key] of keys.entries()) toc.insert(key, place + i);
    toc.insert(1n, place + 60);
    const other = Toc.attach(1, a, 0)!;
    for (const [i, key] of keys.entries()) expect(other.lookup(key)).toBe(place + i);
    expect(other.lookup(7, true)).toBe(null);
    expect(codeOf(() => other.lookup(7))).toBe('ERR_HEAP_NO_SUCH_KEY');
    expect(codeOf(() => other.lookup(7, false))).toBe('ERR_HEAP_NO_SUCH_KEY');
  });

  it('has room for one entry more or none, to the byte', () => {
    const a = memory(128);
    const toc = Toc.create(1, a, 0, 96);
    expect(toc.freeSpace()).toBe(32);
    expect(toc.allocate(0)).toBe(96);
    expect(toc.allocate(1)).toBe(64);
    expect(toc.freeSpace()).toBe(0);
    toc.insert(5, 64);
    const before = bytesOf(a);
    expect(codeOf(() => toc.insert(6, 64))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    expect(codeOf(() => toc.allocate(1))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    expect(bytesOf(a)).toBe(before);
    expect(toc.lookup(5)).toBe(64);
    expect(toc.verify()).toEqual([]);
  });

  it('does not clear what it cuts', () => {
    const a = memory(256).fill(-1);
    const toc = Toc.create(1, a, 0, 256);
    const at = toc.allocate(32);
    expect(a[at / 4]).toBe(-1);
  });

  it('refuses bad input and stays as it was', () => {
    const a = memory(256);
    const toc = Toc.create(1, a, 0, 256);
    const before = bytesOf(a);
    for (const key of [-1, 0.5, 2 ** 53, -1n, 2n ** 64n, '1', null, undefined, {}, Number.NaN]) {
      expect(codeOf(() => toc.insert(key as never, 64))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => toc.lookup(key as never, true))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => Toc.attach(key as never, a, 0))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => Toc.create(key as never, a, 0, 256))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    for (const place of [0, -8, 257, 1e9, 0.5, null, '64', undefined]) {
      expect(codeOf(() => toc.insert(1, place as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    for (const size of [-1, 0.5, '8', null, Number.NaN]) {
      expect(codeOf(() => toc.allocate(size as never))).toBe('ERR_HEAP_BAD_SIZE');
    }
    for (const at of [4, -8, 0.5, 256, Number.NaN, null]) {
      expect(codeOf(() => Toc.create(1, a, at as never, 64))).toBe('ERR_HEAP_BAD_ARGUMENT');
      expect(codeOf(() => Toc.attach(1, a, at as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    expect(codeOf(() => Toc.create(1, a, 0, 40))).toBe('ERR_HEAP_BAD_SIZE');
    expect(codeOf(() => Toc.create(1, a, 0, 264))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(codeOf(() => Toc.create(1, new Int32Array(64), 0, 256))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(bytesOf(a)).toBe(before);
  });

  it('tells damage instead of following it', () => {
    const a = memory(256);
    const toc = Toc.create(1, a, 0, 256);
    toc.insert(1, 128);
    a[8] = 1_000_000;
    expect(codeOf(() => toc.lookup(1))).toBe('ERR_HEAP_CORRUPT');
    expect(codeOf(() => toc.allocate(8))).toBe('ERR_HEAP_CORRUPT');
    expect(codeOf(() => toc.insert(2, 128))).toBe('ERR_HEAP_CORRUPT');
    expect(codeOf(() => toc.freeSpace())).toBe('ERR_HEAP_CORRUPT');
    expect(toc.verify()).toHaveLength(1);
    a[8] = 1;
    a[12] = 4096;
    expect(codeOf(() => toc.lookup(1))).toBe('ERR_HEAP_CORRUPT');
    expect(toc.verify()).toEqual(['entry 0 leads to byte 4096, outside']);
    a[4] = 1 << 20;
    expect(codeOf(() => Toc.attach(1, a, 0))).toBe('ERR_HEAP_CORRUPT');
  });
});

describe('the lock', () => {
  it('left by an earlier call of this thread is our own again', () => {
    const a = memory(256);
    const toc = Toc.create(1, a, 0, 256);
    new BigInt64Array(a.buffer)[1] = threadIdentity();
    expect(toc.verify()).toEqual(['the lock is held']);
    expect(toc.allocate(32)).toBe(224);
    expect(toc.verify()).toEqual([]);
  });

  it.runIf(process.platform === 'linux')('of a thread that is gone is taken over', async () => {
    const a = memory(256);
    const toc = Toc.create(1, a, 0, 256);
    const script = new URL('../workers/toc-worker.mjs', import.meta.url);
    const worker = new Worker(script, { workerData: { job: 'hold', a } });
    await new Promise((resolve) => worker.once('message', resolve));
    // It lives: nobody else gets the lock.
    expect(codeOf(() => toc.insert(1, 64))).toBe('ERR_HEAP_LOCK_STALLED');
    await worker.terminate();
    toc.insert(1, 64);
    expect(toc.lookup(1)).toBe(64);
    expect(toc.verify()).toEqual([]);
  });

  it('lets four threads cut and name at once', async () => {
    const threads = 4;
    const times = 500;
    const size = new TocEstimator().keys(threads * times).size() + threads * times * 32;
    const a = memory(size);
    const toc = Toc.create(1, a, 0, size);
    const script = new URL('../workers/toc-worker.mjs', import.meta.url);
    const ends = Array.from({ length: threads }, (_, me) => {
      const worker = new Worker(script, { workerData: { job: 'fill', a, me, times } });
      return new Promise((resolve, reject) => worker.once('error', reject).once('exit', resolve));
    });
    // Lookups take no lock: whatever is visible is complete.
    let seen = 0;
    while (seen < threads * times) {
      for (let me = 0; me < threads; me++) {
        const at = toc.lookup(me * times + times - 1, true);
        if (at !== null) expect(a[at / 4]).toBe(me * times + times);
      }
      seen = a[8]!;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(ends);
    const places = new Set<number>();
    for (let key = 0; key < threads * times; key++) {
      const at = toc.lookup(key);
      expect(a[at / 4]).toBe(key + 1);
      places.add(at);
    }
    expect(places.size).toBe(threads * times);
    expect(toc.verify()).toEqual([]);
  });
});
