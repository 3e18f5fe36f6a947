/** Wakes whoever waits on word 1, round after round: waits until word 0 tells that somebody is about to park. */
import { workerData } from 'node:worker_threads';
import { unpark } from '../../dist/platform/platform.js';

const words = new Int32Array(workerData.memory);
for (let round = 1; round <= workerData.rounds; round++) {
  while (Atomics.load(words, 0) !== round) Atomics.wait(words, 0, round - 1, 10);
  Atomics.store(words, 1, round);
  unpark(words, 1);
}
