/**
 * One of several threads in a ring: it allocates, fills and hands each object to its neighbour, which checks and frees it.
 * So every object is freed by another thread than the one that allocated it, into that one's cache.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { fill, meet, randomFrom, Ring, verify } from './dsa-ring.mjs';

const { cluster, handle, rings, threads, me, count, sizes, seed } = workerData;
const dsm = Dsm.join(cluster);
const area = DsaArea.attach(dsm, handle);
const random = randomFrom(seed + me);
const out = new Ring(rings, threads, me, (me + 1) % threads);
const into = new Ring(rings, threads, (me + threads - 1) % threads, me);
let freed = 0;
let sent = 0;
let waiting = null;

function next() {
  const [least, most] = sizes[random(sizes.length)];
  const object = { pointer: 0, size: least + random(most - least + 1), seed: random(2 ** 30) };
  object.pointer = area.allocate(object.size);
  fill(area, object);
  return object;
}

while (sent < count || freed < count) {
  if (sent < count) {
    waiting ??= next();
    if (out.push(waiting)) {
      waiting = null;
      sent++;
    }
  }
  /** @type {any} */
  const object = into.pop();
  if (object !== null) {
    verify(area, object);
    area.free(object.pointer);
    freed++;
    if (random(50) === 0) {
      let code = 'nothing';
      try {
        area.free(object.pointer);
      } catch (error) {
        code = /** @type {{ code: string }} */ (error).code;
      }
      // What was freed last stays in this cache: nobody else can have it by now.
      if (code !== 'ERR_HEAP_DOUBLE_FREE') throw new Error(`freed twice: ${code}`);
    }
  }
  dsm.attend();
}
meet(rings, threads, 1, () => dsm.attend());
const { cachedBytes } = area.stats();
area.detach();
dsm.leave();
parentPort.postMessage({ sent, freed, cachedBytes });
