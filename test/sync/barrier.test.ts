/** The barrier in one thread, with tasks as parties: what each call does and refuses. */

import { describe, expect, test } from 'vitest';
import {
  Barrier,
  BARRIER_CV,
  BARRIER_FAILED,
  BARRIER_MAX_PARTIES,
  BARRIER_PHASE,
  BARRIER_STATE,
  barrierArriveAndWait,
  BarrierStruct,
} from '../../dist/sync/sync.js';
import { counterWord, lockWord, makeWorld, startJob, untilWord } from './world.js';

const PLACE = lockWord(3);
const READY = counterWord(0);

function setting(parties: number, lockTimeout = 30_000) {
  const world = makeWorld();
  const memory = { i32: world.i32, ns: 0 };
  Barrier.initialize(memory, PLACE * 4, parties);
  const p = world.join(lockTimeout);
  return { world, i32: world.i32, memory, p, barrier: new Barrier(p, memory, PLACE * 4) };
}

const turn = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));
const refused = expect.objectContaining({ code: 'ERR_HEAP_BARRIER' });
const arrived = (i32: Int32Array) => i32[PLACE + BARRIER_STATE]! & 0x3fff;

describe('a static barrier', () => {
  test('takes 36 bytes, as in C, with phase and condition variable in their places', () => {
    expect([BarrierStruct.SIZEOF, BARRIER_PHASE * 4, BARRIER_CV * 4]).toEqual([36, 4, 24]);
  });

  test('of one party never waits', () => {
    const { barrier } = setting(1);
    for (let phase = 0; phase < 5; phase++) {
      expect(barrier.phase).toBe(phase);
      expect(barrier.arriveAndWait({ timeout: 0 })).toBe(true);
    }
    expect([barrier.participants, barrier.isStatic]).toEqual([1, true]);
  });

  test('elects one of its tasks in each phase', async () => {
    const { i32, barrier } = setting(7);
    const elected: number[] = [];
    const task = async () => {
      for (let phase = 0; phase < 20; phase++) {
        if (await barrier.arriveAndWaitAsync()) elected.push(phase);
        expect(barrier.phase).toBe(phase + 1);
      }
    };
    await Promise.all(Array.from({ length: 7 }, task));
    expect(elected).toEqual(Array.from({ length: 20 }, (_, phase) => phase));
    expect(arrived(i32)).toBe(0);
  });

  test('of tasks and a blocking thread', async () => {
    const { world, barrier } = setting(4);
    const job = startJob(world, 'arrive', { barrier: PLACE, ready: READY }, 'waiting-worker.mjs');
    const tasks = [1, 2, 3].map(() => barrier.arriveAndWaitAsync());
    const passed = [...(await Promise.all(tasks)).map((chosen) => (chosen ? 2 : 1)), (await job.result)['result']];
    expect(passed.sort()).toEqual([1, 1, 1, 2]);
  });

  test('does not let anybody attach or leave', () => {
    const { i32, barrier } = setting(2);
    const before = [...i32];
    expect(() => barrier.attach()).toThrow(refused);
    expect(() => barrier.detach()).toThrow(refused);
    expect(() => barrier.arriveAndDetach()).toThrow(refused);
    expect(() => barrier.arriveAndDetachExceptLast()).toThrow(refused);
    expect([...i32]).toEqual(before);
  });

  test('takes an arrival back whose time is over', async () => {
    const { i32, p, barrier } = setting(3, 20);
    const timeout = expect.objectContaining({
      code: 'ERR_HEAP_TIMEOUT',
      detail: expect.stringContaining('3 parties, phase 0'),
    });
    expect(() => barrier.arriveAndWait()).toThrow(timeout);
    expect(() => barrier.arriveAndWait({ timeout: 0 })).toThrow(timeout);
    await expect(barrier.arriveAndWaitAsync({ timeout: 5 })).rejects.toMatchObject({ code: 'ERR_HEAP_TIMEOUT' });
    await expect(barrier.arriveAndWaitAsync({ timeout: 0 })).rejects.toMatchObject({ code: 'ERR_HEAP_TIMEOUT' });
    (p as { canBlock: boolean }).canBlock = false;
    expect(() => barrier.arriveAndWait()).toThrow(expect.objectContaining({ code: 'ERR_HEAP_WOULD_BLOCK' }));
    expect([arrived(i32), barrier.phase]).toEqual([0, 0]);
  });

  test('takes an arrival back that is aborted, unless the phase is over by then', async () => {
    const { i32, barrier } = setting(2);
    const controller = new AbortController();
    const first = barrier.arriveAndWaitAsync({ signal: controller.signal });
    await turn();
    expect(arrived(i32)).toBe(1);
    controller.abort();
    await expect(first).rejects.toMatchObject({ code: 'ERR_HEAP_ABORTED' });
    expect(arrived(i32)).toBe(0);
    await expect(barrier.arriveAndWaitAsync({ signal: controller.signal })).rejects.toMatchObject({
      code: 'ERR_HEAP_ABORTED',
    });
    expect(arrived(i32)).toBe(0);
    const late = new AbortController();
    const second = barrier.arriveAndWaitAsync({ signal: late.signal });
    expect(barrier.arriveAndWait()).toBe(true);
    late.abort();
    expect(await second).toBe(false);
    expect([arrived(i32), barrier.phase]).toEqual([0, 1]);
  });

  test('takes arrivals back when the participant leaves', async () => {
    const { i32, p, barrier } = setting(2);
    const wait = barrier.arriveAndWaitAsync();
    await turn();
    p.leave();
    await expect(wait).rejects.toMatchObject({ code: 'ERR_HEAP_CLOSED' });
    expect(arrived(i32)).toBe(0);
    const closed = expect.objectContaining({ code: 'ERR_HEAP_CLOSED' });
    expect(() => barrier.arriveAndWait()).toThrow(closed);
    expect(() => barrier.attach()).toThrow(closed);
    await expect(barrier.arriveAndWaitAsync()).rejects.toMatchObject({ code: 'ERR_HEAP_CLOSED' });
    expect(barrierArriveAndWait(p, i32, PLACE, 0)).toBe(BARRIER_FAILED);
  });

  test('counts phases beyond 2^31', () => {
    const { i32, barrier } = setting(1);
    i32[PLACE + BARRIER_PHASE] = 0x7ffffffe;
    expect(barrier.arriveAndWait()).toBe(true);
    expect(barrier.phase).toBe(0x7fffffff);
    expect(barrier.arriveAndWait()).toBe(true);
    expect(barrier.phase).toBe(-0x80000000);
  });

  test('has its phase counted by the others when the one that ended it died before it could', () => {
    const { i32, barrier } = setting(1);
    // As it is left by a death between the two steps.
    i32[PLACE + BARRIER_STATE]! ^= 1 << 30;
    expect(barrier.phase).toBe(1);
    expect(i32[PLACE + BARRIER_PHASE]).toBe(1);
    expect(barrier.arriveAndWait()).toBe(true);
    expect([barrier.phase, i32[PLACE + BARRIER_PHASE]]).toEqual([2, 2]);
  });
});

describe('a dynamic barrier', () => {
  test('has nobody at first, and refuses who is no party', async () => {
    const { i32, barrier } = setting(0);
    const before = [...i32];
    expect([barrier.participants, barrier.phase, barrier.isStatic]).toEqual([0, 0, false]);
    expect(() => barrier.arriveAndWait()).toThrow(refused);
    await expect(barrier.arriveAndWaitAsync()).rejects.toMatchObject({ code: 'ERR_HEAP_BARRIER' });
    expect(() => barrier.detach()).toThrow(refused);
    expect(() => barrier.arriveAndDetach()).toThrow(refused);
    expect(() => barrier.arriveAndDetachExceptLast()).toThrow(refused);
    expect([...i32]).toEqual(before);
  });

  test('waits for who attaches while others wait', async () => {
    const { barrier } = setting(0);
    expect([barrier.attach(), barrier.attach()]).toEqual([0, 0]);
    const first = barrier.arriveAndWaitAsync();
    expect(barrier.attach()).toBe(0);
    const second = barrier.arriveAndWaitAsync();
    await turn(5);
    expect(barrier.phase).toBe(0);
    expect(barrier.arriveAndWait()).toBe(true);
    expect(await Promise.all([first, second])).toEqual([false, false]);
    expect(barrier.attach()).toBe(1);
    expect(barrier.participants).toBe(4);
  });

  test('goes on when the one leaves whom all wait for, and elects one of those who stay', async () => {
    for (const how of ['detach', 'arriveAndDetach', 'arriveAndDetachExceptLast'] as const) {
      const { barrier } = setting(0);
      for (let n = 0; n < 3; n++) barrier.attach();
      const waits = [barrier.arriveAndWaitAsync(), barrier.arriveAndWaitAsync()];
      await turn();
      expect(barrier[how]()).toBe(false);
      expect((await Promise.all(waits)).sort()).toEqual([false, true]);
      expect([barrier.phase, barrier.participants]).toEqual([1, 2]);
    }
  });

  test('is left by the last one', () => {
    const { barrier } = setting(0);
    barrier.attach();
    expect(barrier.detach()).toBe(true);
    expect([barrier.phase, barrier.participants]).toEqual([0, 0]);
    barrier.attach();
    expect(barrier.arriveAndDetach()).toBe(true);
    expect([barrier.phase, barrier.participants]).toEqual([1, 0]);
    barrier.attach();
    barrier.attach();
    expect(barrier.arriveAndDetachExceptLast()).toBe(false);
    expect([barrier.phase, barrier.participants]).toEqual([1, 1]);
    expect(barrier.arriveAndDetachExceptLast()).toBe(true);
    expect([barrier.phase, barrier.participants]).toEqual([2, 1]);
    expect(barrier.detach()).toBe(true);
  });

  test('has a limit', () => {
    const { i32, barrier } = setting(0);
    for (let n = 0; n < BARRIER_MAX_PARTIES; n++) barrier.attach();
    const before = [...i32];
    expect(() => barrier.attach()).toThrow(refused);
    expect([...i32]).toEqual(before);
    for (let n = 1; n < BARRIER_MAX_PARTIES; n++) expect(barrier.detach()).toBe(false);
    expect(barrier.detach()).toBe(true);
  });

  test('waits for a thread that attached, until it is ended', async () => {
    const { world, barrier } = setting(3);
    const job = startJob(world, 'arrive', { barrier: PLACE, ready: READY }, 'waiting-worker.mjs');
    await untilWord(world, READY);
    const task = barrier.arriveAndWaitAsync({ timeout: 60_000 });
    await turn(5);
    // Whether it has arrived by now or not.
    const last = barrier.arriveAndWaitAsync({ timeout: 60_000 });
    await Promise.all([task, last, job.result]);
    expect(barrier.phase).toBe(1);
  });
});

describe('bad input', () => {
  const { i32, memory, p, barrier } = setting(2);
  const before = JSON.stringify([...i32]);
  const calls: [string, () => unknown][] = [
    ['no participant', () => new Barrier(undefined as never, memory, 0)],
    ['no memory', () => new Barrier(p, null as never, 0)],
    ...[Number.NaN, -4, 2, 0.5, '4', 4n, null, i32.byteLength - 32, Infinity].flatMap(
      (offset): [string, () => unknown][] => [
        [`place ${String(offset)}`, () => new Barrier(p, memory, offset as never)],
        [`initialize at ${String(offset)}`, () => Barrier.initialize(memory, offset as never, 1)],
      ],
    ),
    ...[Number.NaN, -1, 1.5, '2', 2n, null, undefined, Infinity, BARRIER_MAX_PARTIES + 1].map(
      (parties): [string, () => unknown] => [
        `${String(parties)} parties`,
        () => Barrier.initialize(memory, PLACE * 4, parties as never),
      ],
    ),
    ...[
      5,
      null,
      { timeout: -1 },
      { timeout: Number.NaN },
      { timeout: '5' },
      { other: 1 },
      { signal: AbortSignal.abort() },
    ].map((options): [string, () => unknown] => [
      `a wait with ${JSON.stringify(options)}`,
      () => barrier.arriveAndWait(options as never),
    ]),
  ];
  test.each(calls)('%s', (_what, call) => {
    expect(call).toThrow(expect.objectContaining({ code: 'ERR_HEAP_BAD_ARGUMENT' }));
    expect(JSON.stringify([...i32])).toBe(before);
  });

  test.each([5, null, { timeout: -1 }, { timeout: Number.NaN }, { signal: 1 }, { signal: null }])(
    'waiting with %o',
    async (options) => {
      await expect(barrier.arriveAndWaitAsync(options as never)).rejects.toMatchObject({
        code: 'ERR_HEAP_BAD_ARGUMENT',
      });
      expect(JSON.stringify([...i32])).toBe(before);
    },
  );
});
