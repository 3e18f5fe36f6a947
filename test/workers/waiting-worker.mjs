/** Jobs of worker threads for the tests of condition variables and barriers. */

import { parentPort, workerData } from 'node:worker_threads';
import * as sync from '../../dist/sync/sync.js';

const { buffer, participantsAt, count } = workerData;
const i32 = new Int32Array(buffer);
const table = new sync.ParticipantTable(i32, participantsAt, count);
const p = table.join({ lockTimeout: 60_000, release: () => {} });
p.spin = workerData.spin ?? p.spin;
// Without slices a lost wake-up is a thread that sleeps for ever.
if (workerData.slices === false) p.sliceMs = Infinity;

/** @param {number} word */
function say(word) {
  Atomics.add(i32, word, 1);
  Atomics.notify(i32, word);
}

/** Sleeps until `test` is true. @param {number} cv @param {() => boolean} test */
function waitFor(cv, test) {
  sync.conditionVariablePrepareToSleep(p, i32, cv);
  while (!test()) sync.conditionVariableTimedSleep(p, i32, cv, Infinity);
  sync.conditionVariableCancelSleep(p);
}

/** A small generator, so that a run can be repeated. @param {number} seed */
function random(seed) {
  let state = seed;
  return (/** @type {number} */ below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
}

/** @type {Record<string, () => unknown>} */
const jobs = {
  /** Takes its turn `times` times: waits until `turn` is `me`, gives it to the other one. */
  pingPong() {
    const { cvs, turn, me, times } = workerData;
    for (let n = 0; n < times; n++) {
      waitFor(cvs[me], () => Atomics.load(i32, turn) === me);
      i32[turn + 1]++;
      Atomics.store(i32, turn, 1 - me);
      sync.conditionVariableSignal(i32, cvs[1 - me]);
    }
    return { parks: p.parks };
  },

  /** Puts the numbers from 1 to `times` into a ring of `size` words. */
  put() {
    const { cvs, ring, size, times } = workerData;
    for (let n = 1; n <= times; n++) {
      waitFor(cvs[0], () => n - Atomics.load(i32, ring + 1) <= size);
      i32[ring + 2 + (n % size)] = n;
      Atomics.store(i32, ring, n);
      sync.conditionVariableSignal(i32, cvs[1]);
    }
    return { parks: p.parks };
  },

  /** Takes them out again. */
  take() {
    const { cvs, ring, size, times } = workerData;
    let wrong = 0;
    for (let n = 1; n <= times; n++) {
      waitFor(cvs[1], () => Atomics.load(i32, ring) >= n);
      if (i32[ring + 2 + (n % size)] !== n) wrong++;
      Atomics.store(i32, ring + 1, n);
      sync.conditionVariableSignal(i32, cvs[0]);
    }
    return { wrong, parks: p.parks };
  },

  /** Waits for the word `flag`, says that it does, and tells the next one. */
  follow() {
    const { cv, flag, ready } = workerData;
    let told = false;
    waitFor(cv, () => {
      if (!told) say(ready);
      told = true;
      return Atomics.load(i32, flag) !== 0;
    });
    sync.conditionVariableSignal(i32, cv);
    return { parks: p.parks };
  },

  /** Waits once; says before that it will. */
  sleepOnce() {
    const { cv, ready, ms } = workerData;
    sync.conditionVariablePrepareToSleep(p, i32, cv);
    say(ready);
    return { slept: sync.conditionVariableTimedSleep(p, i32, cv, ms ?? Infinity), parks: p.parks };
  },

  /** Says that it is there; some time later changes that, and signals. */
  signalOnce() {
    const { cv, ready, after } = workerData;
    say(ready);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, after ?? 30);
    say(ready);
    sync.conditionVariableSignal(i32, cv);
    return {};
  },

  /** Goes through `phases` phases, with work before and after each arrival that depends on all others. */
  phases() {
    const { barrier, work, me, parties, phases } = workerData;
    let elected = 0;
    let early = 0;
    for (let phase = 1; phase <= phases; phase++) {
      i32[work + me] = phase;
      const result = sync.barrierArriveAndWait(p, i32, barrier, Infinity);
      if (result === sync.BARRIER_CHOSEN) elected++;
      for (let other = 0; other < parties; other++) if (i32[work + other] < phase) early++;
      if (sync.barrierPhase(i32, barrier) !== phase) early++;
    }
    return { elected, early, parks: p.parks };
  },

  /** Attaches, takes part in some phases, leaves in one of the ways, again and again. */
  churn() {
    const { barrier, seed, rounds } = workerData;
    const next = random(seed);
    const chosen = [];
    let wrong = 0;
    for (let round = 0; round < rounds; round++) {
      if (!sync.barrierAttach(i32, barrier)) throw new Error('cannot attach');
      let phase = sync.barrierPhase(i32, barrier);
      for (let n = next(5); n > 0; n--) {
        const result = sync.barrierArriveAndWait(p, i32, barrier, Infinity);
        phase++;
        if (sync.barrierPhase(i32, barrier) !== phase) wrong++;
        if (result === sync.BARRIER_CHOSEN) chosen.push(phase);
      }
      const how = next(3);
      if (how === 0) sync.barrierDetach(i32, barrier);
      else if (how === 1) sync.barrierArriveAndDetach(i32, barrier);
      else if (sync.barrierArriveAndDetachExceptLast(i32, barrier) === sync.BARRIER_CHOSEN) {
        if (sync.barrierPhase(i32, barrier) !== phase + 1) wrong++;
        sync.barrierDetach(i32, barrier);
      }
    }
    return { chosen, wrong };
  },

  /** Says that it is about to arrive, then arrives. */
  arrive() {
    say(workerData.ready);
    return { result: sync.barrierArriveAndWait(p, i32, workerData.barrier, workerData.ms ?? Infinity) };
  },

  /** Waits for a lock, or holds it for some time. */
  contend() {
    const { lock, times, counter } = workerData;
    for (let n = 0; n < times; n++) {
      if (sync.lwlockAcquire(p, i32, lock, 0, sync.LW_EXCLUSIVE) === sync.LW_FAILED) throw new Error('no lock');
      i32[counter]++;
      sync.lwlockRelease(p, i32, lock, 0);
    }
    return { lost: p.lostWakeups };
  },
};

const result = jobs[workerData.job]();
p.leave();
parentPort.postMessage(result);
