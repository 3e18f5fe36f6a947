/**
 * A participant with a cache for the threads tests. It joins, works as it is told, says so, and ends in the way it is told:
 * tidily, by leaving without detaching, by ending without a word, by process.exit, or by being terminated from outside
 * while it is idle or at work.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { fill, randomFrom, verify } from './dsa-ring.mjs';

const { cluster, handle, ending, seed, steps, board, at } = workerData;
const dsm = Dsm.join(cluster, { lockTimeout: 10_000 });
const area = DsaArea.attach(dsm, handle);
const random = randomFrom(seed);
/** What it keeps, for the others to see: pointers in two words each, 0 for none. */
const KEEP = 16;
const kept = new Int32Array(board, at * 4, 2 * KEEP);

function size() {
  const kind = random(100);
  if (kind < 60) return 1 + random(300);
  if (kind < 85) return 1 + random(8192);
  return 8193 + random(kind < 97 ? 40_000 : 400_000);
}

function work(count) {
  const objects = [];
  for (let k = 0; k < count; k++) {
    if (objects.length > 0 && random(100) < 50) {
      const object = objects.splice(random(objects.length), 1)[0];
      verify(area, object);
      area.free(object.pointer);
    } else {
      const object = { pointer: 0, size: size(), seed: random(2 ** 30) };
      object.pointer = area.allocate(object.size);
      fill(area, object);
      objects.push(object);
    }
    if (objects.length > 80) {
      for (const object of objects.splice(0, 40)) {
        verify(area, object);
        area.free(object.pointer);
      }
    }
  }
  for (const object of objects) {
    verify(area, object);
    area.free(object.pointer);
  }
}

/** Leaves a few objects behind, which the others know of. */
function leaveSome() {
  for (let k = 0; k < kept.length; k += 2) {
    const pointer = area.allocate(1 + random(20_000));
    kept[k] = pointer % 2 ** 32;
    kept[k + 1] = Math.floor(pointer / 2 ** 32);
  }
}

if (ending === 'at work') {
  parentPort.postMessage('working');
  for (;;) work(200);
}
work(steps);
leaveSome();
const { cachedBytes } = area.stats();
if (ending === 'tidy') area.detach();
if (ending === 'tidy' || ending === 'leave') dsm.leave();
parentPort.postMessage({ slot: dsm.participant.slot, cachedBytes });
if (ending === 'exit') process.exit(0);
if (ending === 'idle') setInterval(() => {}, 1000);
