/** Jobs of worker threads for the tests in test/sync. The job's name and its numbers come in workerData. */

import { parentPort, workerData } from 'node:worker_threads';
import * as sync from '../../dist/sync/sync.js';

const { buffer, participantsAt, count } = workerData;
const i32 = new Int32Array(buffer);
const vars = new BigInt64Array(buffer);
const table = new sync.ParticipantTable(i32, participantsAt, count);

/** @param {number} [lockTimeout] in ms */
function join(lockTimeout = 30_000) {
  return table.join({ lockTimeout, release: () => {} });
}

/**
 * @param {import('../../dist/sync/sync.js').Participant} p
 * @param {import('../../dist/sync/sync.js').LWLockMode} mode
 */
function acquire(p, mode) {
  const got = sync.lwlockAcquire(p, i32, workerData.lock, 0, mode);
  if (got === sync.LW_FAILED) throw sync.lwlockFailure(p, i32, workerData.lock, 0);
  return got;
}

/** @param {import('../../dist/sync/sync.js').Participant} p */
function release(p) {
  if (!sync.lwlockRelease(p, i32, workerData.lock, 0)) throw new Error('not held');
}

/** Says that this worker has come to a point: the word becomes 1. */
function signal(/** @type {number} */ word) {
  Atomics.store(i32, word, 1);
  Atomics.notify(i32, word);
}

/** Parks for good; the test ends the worker. */
function sleepForEver() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** Waits until every worker of the test is here. */
function barrier() {
  Atomics.add(i32, workerData.gate, 1);
  while (Atomics.load(i32, workerData.gate) < workerData.parties) Atomics.wait(i32, workerData.gate, 0, 1);
}

/** @type {Record<string, () => unknown>} */
const jobs = {
  /** Adds 1 to an unprotected counter under the lock, `times` times, shared reads in between. */
  count() {
    const p = join();
    p.spin = workerData.spin ?? p.spin;
    barrier();
    let slept = 0;
    let torn = 0;
    for (let n = 0; n < workerData.times; n++) {
      if (acquire(p, sync.LW_EXCLUSIVE) === sync.LW_SLEPT) slept++;
      i32[workerData.counter]++;
      i32[workerData.counter + 1] = i32[workerData.counter];
      release(p);
      if (n % 4 === 0) {
        if (acquire(p, sync.LW_SHARED) === sync.LW_SLEPT) slept++;
        if (i32[workerData.counter] !== i32[workerData.counter + 1]) torn++;
        release(p);
      }
    }
    p.leave();
    return { slept, torn, parks: p.parks, lost: p.lostWakeups };
  },

  /**
   * Hands the lock to and fro with one other worker: keeps it until the other one wants it, and each 100th time until the
   * other one sleeps for it; then gives it back and lets the other go first.
   */
  handOver() {
    const p = join();
    barrier();
    const { counter, me, times } = workerData;
    const [total, last, want] = [counter, counter + 1, counter + 2];
    const other = table.slotBase(1 - p.slot);
    const otherSleeps = () => Atomics.load(i32, other + sync.WAKE) === sync.WAKE_PARKED;
    let handed = 0;
    for (;;) {
      signal(want + me);
      acquire(p, sync.LW_EXCLUSIVE);
      Atomics.store(i32, want + me, 0);
      if (i32[total] >= times) break;
      if (i32[last] !== me) {
        i32[total]++;
        handed++;
        Atomics.store(i32, last, me);
        Atomics.notify(i32, last);
      }
      for (let poll = 0; Atomics.load(i32, want + 1 - me) === 0; poll++) {
        if (poll > 200) Atomics.wait(i32, want + 1 - me, 0, 10);
      }
      if (i32[total] % 100 === 0) for (let poll = 0; poll < 3000 && !otherSleeps(); poll++);
      release(p);
      for (let poll = 0; poll < 2000 && Atomics.load(i32, last) === me; poll++);
      // The other one is not running: do not stand in its way.
      if (Atomics.load(i32, last) === me) Atomics.wait(i32, last, me, 5);
    }
    release(p);
    // The other one may be waiting for us to want the lock.
    signal(want + me);
    p.leave();
    return { handed, parks: p.parks, lost: p.lostWakeups };
  },

  /** Takes the lock, says so, and keeps it until the word `until` is set. */
  hold() {
    const p = join();
    acquire(p, workerData.mode);
    signal(workerData.ready);
    while (Atomics.load(i32, workerData.until) === 0) Atomics.wait(i32, workerData.until, 0);
    release(p);
    p.leave();
    return {};
  },

  /** Takes the lock and keeps it until the worker is ended. */
  holdForEver() {
    acquire(join(), workerData.mode);
    signal(workerData.ready);
    sleepForEver();
  },

  /** Joins and idles until the worker is ended. */
  idle() {
    const p = join();
    i32[p.base + sync.ParticipantSlot.mappings / 4] = 5;
    signal(workerData.ready);
    sleepForEver();
  },

  /** Joins and idles, with an event loop that keeps it alive. */
  idleLoop() {
    join();
    signal(workerData.ready);
    setInterval(() => {}, 1000);
    return undefined;
  },

  /** Acquires in the given mode, says so, gives back. */
  acquireOnce() {
    const p = join(workerData.lockTimeout);
    p.spin = 0;
    const slot = p.slot;
    const begun = performance.now();
    const got = sync.lwlockAcquire(p, i32, workerData.lock, 0, workerData.mode);
    const ms = performance.now() - begun;
    if (got !== sync.LW_FAILED) {
      Atomics.add(i32, workerData.counter, 1);
      release(p);
    }
    p.leave();
    return { got, ms, slot, failure: p.failure, owner: p.failureOwner, gone: p.failureOwnerGone, lost: p.lostWakeups };
  },

  acquireOrWait() {
    const p = join();
    p.spin = 0;
    const got = sync.lwlockAcquireOrWait(p, i32, workerData.lock, 0, sync.LW_EXCLUSIVE);
    const held = sync.lwlockHeldByMe(p, workerData.lock, 0);
    if (held) release(p);
    p.leave();
    return { got, held, lost: p.lostWakeups };
  },

  /** Follows a variable from `from` until the lock is free. */
  waitForVar() {
    const p = join();
    const seen = [];
    let old = 0n;
    for (;;) {
      const found = sync.lwlockWaitForVar(p, i32, workerData.lock, 0, vars, workerData.variable, old);
      if (found === sync.LW_FAILED) throw sync.lwlockFailure(p, i32, workerData.lock, 0);
      if (found === sync.LW_FREED) break;
      old = p.varValue;
      seen.push(Number(old));
      Atomics.store(i32, workerData.ready, Number(old));
      Atomics.notify(i32, workerData.ready);
    }
    p.leave();
    return { seen, parks: p.parks };
  },

  /**
   * A reader that gives the lock back only when the other reader has it too, so that the lock is never free. Counts the
   * times it came in while participant 0 was queued for it.
   */
  overlap() {
    const p = join();
    barrier();
    const { counter, me, stop } = workerData;
    const writer = table.slotBase(0) + sync.WAIT_SEQ;
    const [overtaken, inside] = [counter, counter + 1];
    let reads = 0;
    while (Atomics.load(i32, stop) === 0) {
      acquire(p, sync.LW_SHARED);
      reads++;
      if ((Atomics.load(i32, writer) & 1) !== 0) Atomics.add(i32, overtaken, 1);
      Atomics.store(i32, inside + me, 1);
      // Until the other one is in, too. It may be kept out by the fairness that is tested here: not for ever.
      for (let poll = 0; poll < 20_000 && Atomics.load(i32, inside + 1 - me) === 0; poll++);
      Atomics.store(i32, inside + me, 0);
      release(p);
    }
    p.leave();
    return { reads, lost: p.lostWakeups };
  },
};

const result = jobs[workerData.job]();
if (result !== undefined) parentPort.postMessage(result);
