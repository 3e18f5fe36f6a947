import { EventEmitter, once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { describe, expect, it } from 'vitest';
import type { DsaArea } from '../../dist/dsa/dsa.js';
import { SharedHeap } from '../../dist/heap/heap.js';
import { watchThreads } from '../../dist/heap/watch.js';
import { STORES } from './helpers.js';

const SCRIPT = new URL('../workers/heap-task.mjs', import.meta.url);

class FakeWorker extends EventEmitter {
  threadId: number;
  constructor(threadId: number) {
    super();
    this.threadId = threadId;
  }
  end() {
    this.threadId = -1;
    this.emit('exit', 0);
  }
}

class FakePool extends EventEmitter {
  threads: FakeWorker[] = [];
  add(threadId: number, announce = true): FakeWorker {
    const worker = new FakeWorker(threadId);
    this.threads = [...this.threads, worker];
    if (announce) this.emit('workerCreate', {});
    return worker;
  }
}

describe('watchThreads', () => {
  it('reports the number that the worker had', () => {
    const ended: number[] = [];
    const worker = new FakeWorker(7);
    watchThreads(worker, (id) => ended.push(id));
    worker.end();
    worker.end();
    expect(ended).toEqual([7]);
    expect(worker.listenerCount('exit')).toBe(0);
  });

  it('stops', () => {
    const ended: number[] = [];
    const worker = new FakeWorker(7);
    const stop = watchThreads(worker, (id) => ended.push(id));
    stop();
    stop();
    worker.end();
    expect(ended).toEqual([]);
  });

  it('follows a pool: the workers it has and those it makes, also before they are ready', () => {
    const ended: number[] = [];
    const pool = new FakePool();
    const [one, gone] = [pool.add(1), pool.add(2)];
    gone.end();
    const stop = watchThreads(pool, (id) => ended.push(id));
    pool.add(3).end();
    const four = pool.add(4, false);
    (process as EventEmitter).emit('worker', four);
    one.end();
    four.end();
    expect(ended).toEqual([3, 1, 4]);
    const five = pool.add(5);
    stop();
    expect([five.listenerCount('exit'), pool.listenerCount('workerCreate')]).toEqual([0, 0]);
    pool.add(6).end();
    five.end();
    expect(ended).toEqual([3, 1, 4]);
  });

  it('leaves no listeners on the process', () => {
    const before = process.listenerCount('worker');
    const stop = watchThreads(new FakePool(), () => undefined);
    expect(process.listenerCount('worker')).toBe(before + 1);
    stop();
    expect(process.listenerCount('worker')).toBe(before);
  });
});

/** References to all segments, as the cluster counts them: nothing but taking back lowers what a dead thread left. */
function references(heap: SharedHeap): number {
  const { area } = heap as unknown as { area: DsaArea };
  return area.state.dsm.stats().segments.reduce((sum, segment) => sum + segment.references, 0);
}

describe.each(STORES)('heap.watch on %s', (store) => {
  it('takes back what a worker left behind', async () => {
    const heap = SharedHeap.create({ store });
    const before = references(heap);
    const worker = new Worker(SCRIPT, { workerData: { heap: heap.handle } });
    heap.watch(worker);
    await once(worker, 'message');
    expect([heap.stats().participants, references(heap)]).toEqual([2, before + 1]);
    await worker.terminate();
    expect([heap.stats().participants, references(heap)]).toEqual([1, before]);
    expect(heap.verify().findings).toEqual([]);
    heap.close();
  });

  it('takes back what the workers of a pool left behind, however they end', async () => {
    const heap = SharedHeap.create({ store });
    const before = references(heap);
    const pool = new Piscina({
      filename: SCRIPT.href,
      workerData: { heap: heap.handle },
      // No minimum: piscina would replace a worker that ends late, even after destroy().
      minThreads: 0,
      maxThreads: 2,
      idleTimeout: 0,
      atomics: 'async',
    });
    heap.watch(pool);
    for (let i = 0; i < 6; i++) {
      const results = await Promise.allSettled(['work', i % 2 === 0 ? 'exit' : 'throw'].map((task) => pool.run(task)));
      expect(results[0]!.status).toBe('fulfilled');
    }
    await pool.destroy();
    // The 'exit' events of the last workers may still be on their way.
    for (let i = 0; i < 1000 && references(heap) > before; i++) await new Promise((r) => setTimeout(r, 5));
    expect([heap.stats().participants, references(heap)]).toEqual([1, before]);
    expect(heap.verify().findings).toEqual([]);
    heap.close();
    expect(pool.listenerCount('workerCreate')).toBe(0);
  });

  it('ends with the heap', () => {
    const heap = SharedHeap.create({ store });
    const worker = new FakeWorker(12_345);
    const stop = heap.watch(worker);
    heap.close();
    expect(worker.listenerCount('exit')).toBe(0);
    stop();
    worker.end();
  });
});
