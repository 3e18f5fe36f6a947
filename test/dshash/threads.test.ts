import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { DshashTable } from '../../dist/dshash/dshash.js';
import { newCluster, STORES } from '../dsa/helpers.js';
import { contents, COUNTERS, expectTableSound } from './helpers.js';

const SCRIPT = new URL('../workers/dshash-worker.mjs', import.meta.url);

describe.each(STORES)('a table among threads on %s', (store) => {
  it.each([2, 4, 8])('%i threads insert, change, delete and scan while it grows', async (threads) => {
    const dsm = newCluster({ store, lockTimeout: 60_000 });
    const area = DsaArea.create(dsm);
    const table = DshashTable.create(area, COUNTERS);
    const rounds = 30;
    const shared = 50;
    const mine = Math.floor(8000 / threads);
    const workers = Array.from({ length: threads }, (_, me) => {
      const workerData = { cluster: dsm.handle, area: area.handle, table: table.handle, me, mine, shared, rounds };
      return new Worker(SCRIPT, { workerData });
    });
    const ends = workers.map((worker) => once(worker, 'exit'));
    const results = await Promise.all(workers.map((worker) => once(worker, 'message')));
    await Promise.all(ends);
    const all = contents(table);
    for (let k = 0; k < shared; k++) expect(all.get(`shared ${k}`)).toBe(threads * rounds);
    expect(all.size).toBe(shared + results.reduce((sum, [{ left }]) => sum + left, 0));
    expect(table.size).toBe(all.size);
    expectTableSound(table, area);
    table.destroy();
    expect(area.stats().liveObjects).toBe(0);
  });
});
