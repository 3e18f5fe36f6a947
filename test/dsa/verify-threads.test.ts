/** The checker while other threads are at work: under the locks, what it looks at is in order at every moment. */

import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { newCluster, STORES } from './helpers.js';

const SCRIPT = new URL('../workers/verify-churn.mjs', import.meta.url);

it.each(STORES)('three threads allocate and free on %s', async (store) => {
  const dsm = newCluster({ store });
  const area = DsaArea.create(dsm);
  const running = new Set<number>();
  const workers = [1, 2, 3].map((seed) => {
    const worker = new Worker(SCRIPT, {
      workerData: { cluster: dsm.handle, handle: area.handle, seed, operations: 20_000 },
    });
    running.add(seed);
    worker.once('exit', () => running.delete(seed));
    return worker;
  });
  const ended = Promise.all(workers.map((worker) => once(worker, 'message')));
  let busy = 0;
  while (running.size > 0) {
    const { findings, checks } = area.verify({ quiescent: false });
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    const { liveObjects, liveBytes, totalSegmentSize } = area.stats();
    if (liveObjects > 0 && checks > 0) busy++;
    expect(liveBytes).toBeGreaterThanOrEqual(0);
    expect(totalSegmentSize).toBeGreaterThan(0);
    await setImmediate();
  }
  expect((await ended).flat()).toEqual([20_000, 20_000, 20_000]);
  expect(busy).toBeGreaterThan(3);
  area.trim();
  expect(area.verify()).toMatchObject({ ok: true, losses: { spanObjects: 0 } });
  expect(area.stats()).toMatchObject({ liveObjects: 0, liveBytes: 0 });
});
