/** Queues for tests: a heap without its front, so that its memory can be looked at, and workers at the other ends. */

import { Worker } from 'node:worker_threads';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import type { NamedSeam } from '../../dist/heap/named.js';
import { openQueue } from '../../dist/heap/queue-open.js';
import type { QueueOptions } from '../../dist/heap/queue-options.js';
import { SharedQueue } from '../../dist/heap/queue.js';
import type { QueuePlace } from '../../dist/heap/queue-ring.js';
import { Registry } from '../../dist/registry/registry.js';

export interface QueueWorld {
  readonly dsm: Dsm;
  readonly area: DsaArea;
  readonly registry: Registry;
  readonly jobs: QueueJob[];
  open<T = any>(options?: QueueOptions<T>, name?: string): SharedQueue<T>;
  /** Where the queue `q` lies. */
  place(): QueuePlace;
  start(job: string, options?: object): QueueJob;
  /** Ends the workers, and requires that area and queue are in order. */
  end(): Promise<void>;
}

export interface QueueJob {
  readonly worker: Worker;
  /** Resolves once the worker has joined; only with the option `ready`. */
  readonly ready: Promise<unknown>;
  /** What the job returned; rejects when it failed. */
  readonly result: Promise<any>;
}

const SCRIPT = new URL('../workers/queue-worker.mjs', import.meta.url);

function startWorker(data: object): QueueJob {
  const worker = new Worker(SCRIPT, { workerData: data });
  const ready = new Promise((resolve) => worker.once('message', resolve));
  const result = new Promise((resolve, reject) => {
    worker.on('message', (message) => {
      if (typeof message === 'object') resolve(message.result);
    });
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the worker ended with ${code}`)));
  });
  result.catch(() => {});
  return { worker, ready, result };
}

export function makeQueueWorld(store: 'region' | 'buffers', limit?: number): QueueWorld {
  const dsm = Dsm.create({ store, regionSize: 64 * 2 ** 20, lockTimeout: 20_000 });
  const area = DsaArea.create(dsm, { initSegmentSize: 2 ** 18, fallback: true });
  if (limit !== undefined) area.setSizeLimit(limit);
  const registry = Registry.open(dsm);
  const seam: NamedSeam = { dsm, area, registry };
  const jobs: QueueJob[] = [];
  return {
    dsm,
    area,
    registry,
    jobs,
    open: (options, name = 'q') => SharedQueue.open(seam, name, options),
    place: () => openQueue(seam, 'q', { capacity: undefined, codec: undefined }).place,
    start(job, options = {}) {
      const data = { cluster: dsm.handle, area: area.handle, job, longest: 200, ...options };
      const started = startWorker(data);
      jobs.push(started);
      return started;
    },
    async end() {
      await Promise.all(jobs.map(({ worker }) => worker.terminate()));
      registry.close();
      area.detach();
      dsm.leave();
    },
  };
}
