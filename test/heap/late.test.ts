/** Threads that come late: when nobody hands them what they need, and when the heap is closed already. */

import { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { describe, expect, it } from 'vitest';
import { type AttachOptions, type HeapHandle, SharedHeap } from '../../dist/heap/heap.js';
import { closeSound, codeOf, STORES, textOf } from './helpers.js';

const SCRIPT = new URL('../workers/heap-attach.mjs', import.meta.url);

interface Answer {
  readonly code: string;
  readonly message?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly ms: number;
}

/** Has a new thread attach, while this one is blocked and cannot answer. */
function attachElsewhere(heap: HeapHandle, options: AttachOptions): Answer {
  const box = new SharedArrayBuffer(4096);
  const worker = new Worker(SCRIPT, { workerData: { heap, options, box } });
  const state = new Int32Array(box, 0, 1);
  // Starting a thread takes long on a busy machine.
  Atomics.wait(state, 0, 0, 60_000);
  const text = new TextDecoder().decode(new Uint8Array(box, 4).slice(0, Atomics.load(state, 0)));
  worker.unref();
  return JSON.parse(text) as Answer;
}

describe('the attachTimeout of an attach on buffers', () => {
  it.each([0, 150])('is %i ms, whatever the creator has set', (attachTimeout) => {
    const heap = SharedHeap.create({ store: 'buffers', attachTimeout: 50_000 });
    const { handle } = heap;
    // As if it had been read before the heap had any buffer.
    const stale = { ...handle, dsm: { ...handle.dsm, segments: [] } };
    const answer = attachElsewhere(stale, { attachTimeout });
    expect(answer.code).toBe('ERR_HEAP_SEGMENT_UNREACHABLE');
    expect(answer.detail).toContain(`waited ${attachTimeout} ms`);
    expect(answer.ms).toBeGreaterThanOrEqual(attachTimeout);
    expect(heap.stats().participants).toBe(1);
    expect(attachElsewhere(handle, { attachTimeout }).code).toBe('nothing');
    closeSound(heap);
  });
});

describe.each(STORES)('a heap that was closed, on %s', (store) => {
  it('is said to be so to those who attach later', () => {
    const heap = SharedHeap.create({ store });
    const { handle } = heap;
    heap.close();
    expect(codeOf(() => SharedHeap.attach(handle))).toBe('ERR_HEAP_AREA_GONE');
    expect(textOf(() => SharedHeap.attach(handle))).toContain('the heap was closed by its last participant');
    // Those who came in vain have left no trace: all 64 slots are free.
    for (let n = 0; n < 70; n++) expect(codeOf(() => SharedHeap.attach(handle))).toBe('ERR_HEAP_AREA_GONE');
  });

  it('is said to be so to a worker with which a pool replaces another', async () => {
    const heap = SharedHeap.create({ store });
    const pool = new Piscina({
      filename: SCRIPT.href,
      workerData: { heap: heap.handle },
      minThreads: 1,
      maxThreads: 1,
      atomics: 'async',
    });
    expect(await pool.run(null)).toMatchObject({ code: 'nothing' });
    const [first] = pool.threads;
    heap.close();
    await first!.terminate();
    const answer = (await pool.run(null)) as Answer;
    expect(pool.threads[0]!.threadId).not.toBe(first!.threadId);
    expect(answer).toMatchObject({
      code: 'ERR_HEAP_AREA_GONE',
      message: 'the heap was closed by its last participant',
    });
    expect(answer.hint).toContain('close it after a pool was destroyed');
    await pool.destroy();
  });
});
