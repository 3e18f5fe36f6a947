/** A thread that gets objects by message, checks and frees them, and answers each with one of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { fill, randomFrom, randomSize, verify } from './dsa-ring.mjs';

const { cluster, handle, seed } = workerData;
const dsm = Dsm.join(cluster);
const area = DsaArea.attach(dsm, handle);
const random = randomFrom(seed);

parentPort?.on('message', (object) => {
  if (object === 'leave') {
    area.detach();
    dsm.leave();
    parentPort?.close();
    return;
  }
  verify(area, object);
  area.free(object.pointer);
  const size = randomSize(random);
  const answer = { pointer: area.allocate(size), size, seed: random(2 ** 30) };
  fill(area, answer);
  parentPort?.postMessage(answer);
});
