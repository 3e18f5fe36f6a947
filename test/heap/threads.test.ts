import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { describe, expect, it } from 'vitest';
import { type Pointer, SharedHeap } from '../../dist/heap/heap.js';
import { STORES } from './helpers.js';

const SCRIPT = new URL('../workers/heap-task.mjs', import.meta.url);

describe.each(STORES)('a heap among threads on %s', (store) => {
  it('passes objects by pointer from a pool to the main thread, in place', async () => {
    const heap = SharedHeap.create({ store });
    const pool = new Piscina({
      filename: SCRIPT.href,
      workerData: { heap: heap.handle },
      // No minimum: piscina would replace a worker that ends late, even after destroy().
      minThreads: 0,
      maxThreads: 2,
      atomics: 'async',
    });
    const sizes = Array.from({ length: 60 }, (_, i) => 1 + ((i * 7919) % 50_000));
    const results = await Promise.all(sizes.map((size) => pool.run({ fill: size })));
    for (const [i, { ptr, text }] of (results as { ptr: Pointer; text: Pointer }[]).entries()) {
      expect(heap.bytes(ptr, sizes[i]).every((b) => b === sizes[i]! % 251)).toBe(true);
      expect(heap.getString(text)).toBe(`object of ${sizes[i]} bytes: äöü€😀`);
      heap.free(ptr);
      heap.free(text);
    }
    await pool.run({ close: true });
    await pool.destroy();
    expect(heap.stats().liveObjects).toBe(0);
    expect(heap.verify().findings).toEqual([]);
    heap.close();
  });

  it('takes the handle through a message and a task, and pointers in both directions', async () => {
    const heap = SharedHeap.create({ store });
    const worker = new Worker(SCRIPT);
    worker.postMessage({ heap: heap.handle, sum: heap.putString('1 2 3 4 5') });
    const [{ ptr }] = (await once(worker, 'message')) as [{ ptr: Pointer }];
    expect(heap.f64(ptr)).toBe(15);
    worker.postMessage({ bye: true });
    await once(worker, 'exit');
    heap.free(ptr);
    expect(heap.stats()).toMatchObject({ liveObjects: 0, participants: 1 });
    heap.close();
  });
});
