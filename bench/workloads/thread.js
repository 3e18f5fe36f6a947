/**
 * A worker of threads.js: waits for the shared start flag, works for a fixed time, answers how much it did.
 *
 * The clock is read once in 256 operations. A main thread that dies takes its workers with it, so the wait for the flag
 * needs no limit of its own.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { DsaArea, Dsm, LW_EXCLUSIVE, LW_SHARED, lwlockAcquire, lwlockRelease } from 'sharedheap/core';
import { next, SEED } from '../random.js';
import { AreaSubject } from '../subjects.js';

const BLOCK = 256;
const { index, cluster, handle, words, started, waiting, live, lockWord } = workerData;
const dsm = Dsm.join(cluster);
const subject = new AreaSubject(dsm, DsaArea.attach(dsm, handle));
subject.random = SEED ^ Math.imul(index, 0x9e3779b9);
let arithmetic = SEED;

const nothing = () => {};

/** One lock of the two threads, in the memory of the flags. @param {import('sharedheap/core').LWLockMode} mode */
function lockPairs(mode) {
  for (let i = 0; i < BLOCK; i++) {
    lwlockAcquire(dsm.participant, words, lockWord, 0, mode);
    lwlockRelease(dsm.participant, words, lockWord, 0);
  }
}

/** @type {Record<string, { prepare: () => void, block: () => void, finish: () => void }>} */
const WORKS = {
  pair64: { prepare: nothing, block: () => subject.pairs(64, BLOCK), finish: nothing },
  pair1024: { prepare: nothing, block: () => subject.pairs(1024, BLOCK), finish: nothing },
  mixed: {
    prepare: () => subject.fill(live, 8, 1024),
    block: () => subject.replace(BLOCK),
    finish: () => subject.empty(),
  },
  lockExclusive: { prepare: nothing, block: () => lockPairs(LW_EXCLUSIVE), finish: nothing },
  lockShared: { prepare: nothing, block: () => lockPairs(LW_SHARED), finish: nothing },
  arithmetic: {
    prepare: nothing,
    block() {
      let x = arithmetic;
      for (let i = 0; i < BLOCK; i++) x = next(x);
      arithmetic = x;
    },
    finish: nothing,
  },
};

/** @param {{ work: string, milliseconds: number, phase: number }} job */
function runPhase({ work, milliseconds, phase }) {
  const { prepare, block, finish } = /** @type {typeof WORKS[string]} */ (WORKS[work]);
  prepare();
  Atomics.add(words, waiting, 1);
  while (Atomics.load(words, started) < phase);
  const begin = performance.now();
  let operations = 0;
  let now = begin;
  do {
    block();
    operations += BLOCK;
    now = performance.now();
  } while (now < begin + milliseconds);
  finish();
  return operations / (now - begin);
}

parentPort?.on('message', (job) => {
  if (job === 'leave') {
    subject.close();
    parentPort?.close();
  } else {
    parentPort?.postMessage(runPhase(job));
  }
});
