/** Allocates and frees at random in an area, so that a checker elsewhere has something to look through. */

import { parentPort, workerData } from 'node:worker_threads';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';

const { cluster, handle, seed, operations } = workerData;
const dsm = Dsm.join(cluster);
const area = DsaArea.attach(dsm, handle);
const held = [];
let x = seed;
for (let k = 0; k < operations; k++) {
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  const draw = x >>> 0;
  // Phases of growing and shrinking, so that segments come and go.
  const shrink = Math.floor(k / 2000) % 2 === 1;
  if (held.length > 0 && draw % 100 < (shrink ? 70 : 35)) {
    const at = (draw >>> 8) % held.length;
    area.free(held[at]);
    held[at] = held.at(-1);
    held.pop();
  } else {
    held.push(area.allocate((draw >>> 8) % 16 === 0 ? 9000 + ((draw >>> 12) % 100_000) : 1 + ((draw >>> 12) % 3000)));
  }
  if (draw % 5000 === 0) area.trim();
}
for (const pointer of held) area.free(pointer);
area.detach();
dsm.leave();
parentPort.postMessage(operations);
