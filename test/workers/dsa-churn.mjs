/**
 * A thread that joins, attaches, works and leaves again and again; at last it ends in the way it is told to: tidily, by
 * leaving without detaching, by just ending, or by process.exit.
 */
import { workerData } from 'node:worker_threads';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { fill, randomFrom, randomSize, verify } from './dsa-ring.mjs';

const { cluster, handle, rounds, ending, seed } = workerData;
const random = randomFrom(seed);

function work(area) {
  const objects = [];
  for (let k = 0; k < 30; k++) {
    const object = { pointer: 0, size: randomSize(random), seed: (seed << 16) | k };
    object.pointer = area.allocate(object.size);
    fill(area, object);
    objects.push(object);
    if (random(2) === 0) {
      const victim = objects.splice(random(objects.length), 1)[0];
      verify(area, victim);
      area.free(victim.pointer);
    }
  }
  for (const object of objects) {
    verify(area, object);
    area.free(object.pointer);
  }
  if (random(4) === 0) area.trim();
}

for (let round = 1; round <= rounds; round++) {
  const dsm = Dsm.join(cluster);
  const area = DsaArea.attach(dsm, handle);
  work(area);
  const last = round === rounds;
  if (last && ending === 'end') break;
  if (last && ending === 'exit') process.exit(0);
  if (!last || ending === 'tidy') area.detach();
  dsm.leave();
}
