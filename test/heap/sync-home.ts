/** Where named locks, conditions and barriers of a test lie: a segment with a place for each name, in a cluster. */

import { Worker } from 'node:worker_threads';
import { onTestFinished } from 'vitest';
import { Dsm } from '../../dist/dsm/dsm.js';
import type { SyncHome } from '../../dist/heap/named-block.js';

/** Bytes of the segment, and of a place in it; the first one is for the words that a test itself uses. */
const SEGMENT_BYTES = 8192;
const PLACE_BYTES = 128;

export interface TestHome extends SyncHome {
  readonly dsm: Dsm;
  /** Words of the test itself. */
  readonly words: Int32Array;
  /** The same for another participant in this thread. */
  another(): TestHome;
  /** Runs a job of test/workers/named-sync.mjs, with the places that are known by now. */
  run(job: string, options?: object): { worker: Worker; result: Promise<Record<string, number>> };
}

function homeOf(dsm: Dsm, handle: number, places: Map<string, { at: number; kind: string }>): TestHome {
  const segment = dsm.findMapping(handle) ?? dsm.attach(handle)!;
  return {
    dsm,
    participant: dsm.participant,
    tranches: dsm.tranches,
    words: segment.i32.subarray(0, PLACE_BYTES / 4),
    blocks: {
      block(name, kind, _size, init) {
        const known = places.get(name);
        const at = known?.at ?? places.size + 1;
        const block = { i32: segment.i32, word: (at * PLACE_BYTES) / 4, ns: handle };
        if (known === undefined) init(block);
        places.set(name, { at, kind });
        return block;
      },
    },
    another() {
      const joined = Dsm.join(dsm.handle);
      onTestFinished(() => joined.leave());
      return homeOf(joined, handle, places);
    },
    run(job, options = {}) {
      const worker = new Worker(new URL('../workers/named-sync.mjs', import.meta.url), {
        workerData: { dsm: dsm.handle, handle, places, job, ...options },
      });
      const result = new Promise<Record<string, number>>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
        worker.once('exit', (code) => reject(new Error(`the worker ended with ${code}`)));
      });
      result.catch(() => {});
      return { worker, result };
    },
  };
}

/** A cluster that is left when the test ends. */
export function newHome(store: 'region' | 'buffers', lockTimeout = 30_000): TestHome {
  const dsm = Dsm.create({ store, lockTimeout, attachTimeout: 10_000 });
  onTestFinished(() => dsm.leave());
  return homeOf(dsm, dsm.create(SEGMENT_BYTES)!.handle, new Map());
}
