/**
 * An LWLock that nobody else wants: acquire and release, as an object and through the functions that embed locks.
 *
 * The floor is what any lock of one word pays: two successful Atomics.compareExchange.
 */

import {
  Dsm,
  LW_EXCLUSIVE,
  LW_SHARED,
  LWLock,
  lwlockAcquire,
  lwlockAcquireExclusive,
  lwlockRelease,
  lwlockReleaseNewest,
} from 'sharedheap/core';

const REGION_BYTES = 16 * 2 ** 20;
const LOCK_AT = 64;

function makeLock() {
  const dsm = Dsm.create({ regionSize: REGION_BYTES });
  const segment = dsm.create(4096);
  if (segment === null) throw new Error('no segment');
  const memory = { i32: segment.i32, ns: segment.handle };
  LWLock.initialize(memory, LOCK_AT, dsm.tranches.newTrancheId('bench'), dsm.tranches);
  const lock = new LWLock(dsm.participant, memory, LOCK_AT, dsm.tranches);
  return { dsm, i32: segment.i32, ns: segment.handle | 0, p: dsm.participant, lock };
}

/** @param {import('sharedheap/core').LWLockMode} mode */
function prepareObject(mode) {
  const { dsm, lock } = makeLock();
  return {
    run(/** @type {number} */ count) {
      for (let i = 0; i < count; i++) {
        lock.acquire(mode);
        lock.release();
      }
    },
    close: () => dsm.leave(),
  };
}

function prepareExclusiveFunctions() {
  const { dsm, p, i32, ns } = makeLock();
  const word = LOCK_AT / 4;
  return {
    run(/** @type {number} */ count) {
      for (let i = 0; i < count; i++) {
        lwlockAcquireExclusive(p, i32, word, ns);
        lwlockReleaseNewest(p, i32, word, ns);
      }
      return p.nheld;
    },
    close: () => dsm.leave(),
  };
}

function prepareSharedFunctions() {
  const { dsm, p, i32, ns } = makeLock();
  const word = LOCK_AT / 4;
  return {
    run(/** @type {number} */ count) {
      for (let i = 0; i < count; i++) {
        lwlockAcquire(p, i32, word, ns, LW_SHARED);
        lwlockRelease(p, i32, word, ns);
      }
      return p.nheld;
    },
    close: () => dsm.leave(),
  };
}

function prepareFloor() {
  const words = new Int32Array(new SharedArrayBuffer(64));
  return {
    run(/** @type {number} */ count) {
      let sum = 0;
      for (let i = 0; i < count; i++) {
        sum += Atomics.compareExchange(words, 1, 0, 1);
        sum += Atomics.compareExchange(words, 1, 1, 0);
      }
      return sum;
    },
  };
}

const object = { group: 'locks', id: 'object', subject: 'LWLock' };
const functions = { group: 'locks', id: 'functions', subject: 'lwlock functions' };

/** @type {import('../cases.js').Case[]} */
export const LOCK_CASES = [
  { ...object, workload: 'lock-exclusive', prepare: () => prepareObject(LW_EXCLUSIVE) },
  { ...functions, workload: 'lock-exclusive', prepare: prepareExclusiveFunctions },
  { ...object, workload: 'lock-shared', prepare: () => prepareObject(LW_SHARED) },
  { ...functions, workload: 'lock-shared', prepare: prepareSharedFunctions },
  { group: 'locks', id: 'floor', subject: 'Atomics', workload: 'compare-exchange', prepare: prepareFloor },
];
