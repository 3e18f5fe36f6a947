/** Condition variable and barrier between real threads. Nothing here is timed but by limits that are far away. */

import { describe, expect, test } from 'vitest';
import {
  BARRIER_CHOSEN,
  BARRIER_PASSED,
  BARRIER_STATE,
  BARRIER_TIMED_OUT,
  barrierArriveAndWait,
  barrierInit,
  barrierParticipants,
  barrierPhase,
  conditionVariableBroadcast,
  conditionVariableInit,
  conditionVariableSignal,
  CV_ARRIVALS,
  CV_SETTLED,
  CV_SIGNALLED,
  CV_TIMED_OUT,
} from '../../dist/sync/sync.js';
import { counterWord, lockWord, makeWorld, startJob, type TestWorld, untilWord } from './world.js';

const CV = lockWord(1);
const CV2 = lockWord(2);
const BARRIER = lockWord(3);
const WORK = counterWord(0);
const READY = counterWord(40);

const start = <T = Record<string, number>>(world: TestWorld, job: string, options: object) =>
  startJob<T>(world, job, options, 'waiting-worker.mjs');

function worldWithBarrier(parties: number): TestWorld {
  const world = makeWorld();
  barrierInit(world.i32, BARRIER, parties);
  return world;
}

function worldWithCv(): TestWorld {
  const world = makeWorld();
  conditionVariableInit(world.i32, CV);
  conditionVariableInit(world.i32, CV2);
  return world;
}

/** Long enough that a thread which said that it will sleep does so, mostly; correct in any case. */
const pause = (ms = 20) => new Promise((resolve) => setTimeout(resolve, ms));

describe('a million hand-overs without slices lose no wake-up:', () => {
  const cvs = [CV, CV2];

  test.each([
    [0, 20_000],
    [undefined, 80_000],
  ])('in turns (spin %s)', async (spin, times) => {
    const world = worldWithCv();
    const options = { cvs, turn: WORK, times: times / 2, spin, slices: false };
    const results = await Promise.all([0, 1].map((me) => start(world, 'pingPong', { ...options, me }).result));
    expect(world.i32[WORK + 1]).toBe(times);
    if (spin === 0) expect(results[0]!['parks']! + results[1]!['parks']!).toBeGreaterThan(100);
  });

  test.each([
    [1, 100_000],
    [8, 800_000],
  ])('through a ring of %i', async (size, times) => {
    const world = worldWithCv();
    const options = { cvs, ring: WORK, size, times, slices: false };
    const jobs = ['put', 'take'].map((job) => start(world, job, options).result);
    const [put, take] = await Promise.all(jobs);
    expect(take).toMatchObject({ wrong: 0 });
    expect(put!['parks']! + take!['parks']!).toBeGreaterThan(100);
  });
});

describe('a condition variable', () => {
  test('wakes one for a signal and the rest for a broadcast', async () => {
    const world = worldWithCv();
    const jobs = [0, 1, 2].map(() => start(world, 'sleepOnce', { cv: CV, ready: READY, slices: false, spin: 0 }));
    await untilWord(world, READY, 3);
    await pause();
    let done = 0;
    const results = jobs.map((job) =>
      job.result.then((result) => {
        done++;
        return result;
      }),
    );
    conditionVariableSignal(world.i32, CV);
    await Promise.race(results);
    conditionVariableBroadcast(world.i32, CV);
    for (const result of results) expect(await result).toMatchObject({ slept: CV_SIGNALLED });
    expect(done).toBe(3);
  });

  test('gives a sleeper its time and no more', async () => {
    const world = worldWithCv();
    const { result } = start(world, 'sleepOnce', { cv: CV, ready: READY, ms: 150 });
    expect(await result).toMatchObject({ slept: CV_TIMED_OUT });
  });

  test('is settled after the death of a sleeper, so that signals are free again', async () => {
    const world = worldWithCv();
    const { worker } = start(world, 'sleepOnce', { cv: CV, ready: READY });
    await untilWord(world, READY);
    await worker.terminate();
    const settled = () => world.i32[CV + CV_SETTLED] === world.i32[CV + CV_ARRIVALS];
    expect(settled()).toBe(false);
    conditionVariableSignal(world.i32, CV);
    expect(settled()).toBe(true);
  });

  test('loses nothing for the others when a sleeper is killed with the wake-up in its hands', async () => {
    for (let round = 0; round < 15; round++) {
      const world = worldWithCv();
      const options = { cv: CV, flag: WORK, ready: READY, spin: 0 };
      const [doomed, other] = [start(world, 'follow', options), start(world, 'follow', options)];
      await untilWord(world, READY, 2);
      if (round % 2 === 0) await pause(round % 5);
      const ended = round % 3 === 0 ? doomed!.worker.terminate() : undefined;
      Atomics.store(world.i32, WORK, 1);
      conditionVariableSignal(world.i32, CV);
      await (ended ?? doomed!.worker.terminate());
      expect(await other!.result).toHaveProperty('parks');
    }
  });
});

describe('a barrier', () => {
  test.each([
    [2, 30_000, undefined],
    [4, 4000, undefined],
    [4, 2000, 0],
  ])('of %i parties elects one in each of %i phases (spin %s)', async (parties, phases, spin) => {
    const world = worldWithBarrier(parties);
    const options = { barrier: BARRIER, work: WORK, parties, phases, spin, slices: false };
    const jobs = Array.from({ length: parties }, (_, me) => start(world, 'phases', { ...options, me }).result);
    const results = await Promise.all(jobs);
    expect(results.reduce((sum, result) => sum + result['elected']!, 0)).toBe(phases);
    for (const result of results) expect(result['early']).toBe(0);
    expect(barrierPhase(world.i32, BARRIER)).toBe(phases);
    expect(barrierParticipants(world.i32, BARRIER)).toBe(parties);
  });

  test('goes on while parties come and go', async () => {
    const world = worldWithBarrier(0);
    const rounds = 3000;
    const jobs = [1, 2, 3].map((seed) =>
      start<{ chosen: number[]; wrong: number }>(world, 'churn', { barrier: BARRIER, seed, rounds, slices: false }),
    );
    const results = await Promise.all(jobs.map((job) => job.result));
    const chosen = results.flatMap((result) => result.chosen);
    expect(results.map((result) => result.wrong)).toEqual([0, 0, 0]);
    expect(new Set(chosen).size).toBe(chosen.length);
    expect(chosen.length).toBeGreaterThan(rounds);
    expect(barrierParticipants(world.i32, BARRIER)).toBe(0);
    expect(world.i32[BARRIER + BARRIER_STATE]! & 0x3fff).toBe(0);
  });

  test('counts the arrival of a party that was killed while it waited', async () => {
    const world = worldWithBarrier(2);
    const { worker } = start(world, 'arrive', { barrier: BARRIER, ready: READY });
    await untilWord(world, READY);
    while ((Atomics.load(world.i32, BARRIER + BARRIER_STATE) & 0x3fff) === 0) await pause(1);
    await worker.terminate();
    expect(barrierArriveAndWait(world.join(), world.i32, BARRIER, 60_000)).toBe(BARRIER_CHOSEN);
    expect(barrierPhase(world.i32, BARRIER)).toBe(1);
  });

  test('lets those go who wait for a party that never comes, as if they had not arrived', async () => {
    const world = worldWithBarrier(3);
    const waiting = start(world, 'arrive', { barrier: BARRIER, ready: READY, ms: 150 });
    expect(barrierArriveAndWait(world.join(), world.i32, BARRIER, 150)).toBe(BARRIER_TIMED_OUT);
    expect(await waiting.result).toEqual({ result: BARRIER_TIMED_OUT });
    expect(world.i32[BARRIER + BARRIER_STATE]! & 0x3fff).toBe(0);
    // The same three can use it afterwards.
    const [a, b] = [0, 1].map(() => start(world, 'arrive', { barrier: BARRIER, ready: READY }));
    const mine = barrierArriveAndWait(world.join(), world.i32, BARRIER, 60_000);
    const all = [mine, (await a!.result)['result'], (await b!.result)['result']].sort();
    expect(all).toEqual([BARRIER_PASSED, BARRIER_PASSED, BARRIER_CHOSEN]);
  });
});
