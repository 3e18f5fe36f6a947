/**
 * One of several threads on one map.
 *
 * The blocks that the registry would find by name are handed in. Jobs: `mine`, keys of this thread alone, through growth
 * and deletion; `same`, counters that everybody raises; `loop`, reading all entries over and over while others write;
 * `race`, everybody inserts the same keys, one of all inserts each; `die`, end under the lock of a partition.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { HeapMaps } from '../../dist/heap/maps.js';

const { cluster, area: areaHandle, block, me, threads, job, count } = workerData;
const dsm = Dsm.join(cluster);
const area = DsaArea.attach(dsm, areaHandle);
const place = { i32: area.resolve(0), word: block / 4 };
const map = new HeapMaps().open(area, () => ({ block: () => place }), 'm', {
  key: 'string',
  value: 'string',
});

function fail(what) {
  throw new Error(`thread ${me}: ${what}`);
}

/** A value whose length depends on the number, and which tells both. */
const valueOf = (key, n) => `${key}=${n};${'.'.repeat((n * 37) % 200)}`;

const JOBS = {
  mine() {
    for (let n = 0; n < count; n++) {
      const key = `${me}/${n}`;
      map.set(key, valueOf(key, n));
      if (map.get(key) !== valueOf(key, n)) fail(`${key} is ${map.get(key)}`);
      if (n % 3 === 2 && !map.delete(`${me}/${n - 1}`)) fail(`${n - 1} is gone`);
      if (n % 5 === 4) map.set(`${me}/${n}`, valueOf(key, n + 1));
    }
    for (let n = 0; n < count; n++) {
      const gone = n % 3 === 1 && n + 1 < count;
      const key = `${me}/${n}`;
      const want = gone ? undefined : valueOf(key, n % 5 === 4 ? n + 1 : n);
      if (map.get(key) !== want) fail(`${key} is ${map.get(key)}`);
    }
    return 0;
  },
  same() {
    for (let n = 0; n < count; n++) {
      const key = `counter ${n % 20}`;
      map.update(key, (old) => {
        if (old === undefined) return valueOf(key, 1);
        const [name, rest] = old.split('=');
        const now = Number.parseInt(rest, 10);
        if (name !== key || old !== valueOf(key, now)) fail(`half a value: ${old}`);
        return valueOf(key, now + 1);
      });
    }
    return 0;
  },
  loop() {
    let rounds = 0;
    while (!map.has('stop')) {
      const seen = new Set();
      for (const [key, value] of map) {
        if (seen.has(key)) fail(`${key} twice`);
        seen.add(key);
        if (key.startsWith('stay') && value !== valueOf(key, 1)) fail(`${key} is ${value}`);
      }
      for (let n = 0; n < 500; n++) if (!seen.has(`stay ${n}`)) fail(`stay ${n} was not seen`);
      rounds++;
    }
    return rounds;
  },
  die() {
    parentPort?.postMessage(0);
    map.update('stuck', () => process.exit());
    return 0;
  },
  race() {
    let inserted = 0;
    for (let n = 0; n < count; n++) {
      const value = map.getOrInsert(`race ${n}`, () => {
        inserted++;
        return `${me}`;
      });
      if (!(Number(value) < threads)) fail(`race ${n} is ${value}`);
    }
    return inserted;
  },
};

const result = JOBS[job]();
area.detach();
dsm.leave();
parentPort?.postMessage(result);
