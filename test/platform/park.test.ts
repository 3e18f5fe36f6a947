import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { now, park, parkAsync, unpark } from '../../dist/platform/platform.js';

const workers: Worker[] = [];
const words = () => new Int32Array(new SharedArrayBuffer(64));

afterEach(async () => {
  await Promise.all(workers.splice(0).map((w) => w.terminate()));
});

function startWaker(memory: ArrayBufferLike, rounds: number): void {
  workers.push(
    new Worker(new URL('../workers/platform-wake.mjs', import.meta.url), { workerData: { memory, rounds } }),
  );
}

async function lesser(scenario: string, report: string): Promise<any> {
  const worker = new Worker(new URL('../workers/platform-lesser.mjs', import.meta.url), {
    workerData: { scenario, report },
  });
  workers.push(worker);
  return (await once(worker, 'message'))[0];
}

async function alone(program: string): Promise<string> {
  const script = fileURLToPath(new URL('../workers/platform-alone.mjs', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, program], { timeout: 30_000 });
  return stdout.trim();
}

describe('park', () => {
  test('another value ends the call at once', () => {
    const a = words();
    a[3] = 7;
    expect(park(a, 3, 8, Infinity)).toBe('not-equal');
    expect(unpark(a, 3)).toBe(0);
  });

  test('the time runs out, and not before', () => {
    const start = now();
    expect(park(words(), 0, 0, 30)).toBe('timed-out');
    expect(now() - start).toBeGreaterThanOrEqual(29);
    expect(park(words(), 0, 0, 0)).toBe('timed-out');
  });

  test('no wake-up is lost when the word is changed before the unpark', () => {
    const rounds = 2000;
    const a = words();
    startWaker(a.buffer, rounds);
    const ends: Record<string, number> = { ok: 0, 'not-equal': 0, 'timed-out': 0 };
    for (let round = 1; round <= rounds; round++) {
      Atomics.store(a, 0, round);
      Atomics.notify(a, 0);
      while (Atomics.load(a, 1) !== round) ends[park(a, 1, round - 1, 30_000)]!++;
    }
    expect(ends['timed-out']).toBe(0);
    expect(ends['ok']! + ends['not-equal']!).toBeLessThanOrEqual(rounds);
    expect(ends['ok']).toBeGreaterThan(0);
  });

  test('beyond 4 GiB', () => {
    const a = new Int32Array(new SharedArrayBuffer(5 * 2 ** 30));
    const i = a.length - 1;
    expect(park(a, i, 0, 1)).toBe('timed-out');
    expect(park(a, i, 1, Infinity)).toBe('not-equal');
  });

  test('where blocking is forbidden it says so', async () => {
    const error = await lesser('no blocking', 'park');
    expect(error).toMatchObject({ code: 'ERR_HEAP_WOULD_BLOCK', detail: `node ${process.versions.node}` });
    expect(error.hint).toContain('worker');
  });
});

describe('unpark', () => {
  test('wakes as many as asked for', async () => {
    const a = words();
    const waits = Array.from({ length: 5 }, () => parkAsync(a, 2, 0, 60_000));
    expect(unpark(a, 2, 2)).toBe(2);
    expect(unpark(a, 2, 0)).toBe(0);
    expect(unpark(a, 2)).toBe(3);
    expect(await Promise.all(waits)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok']);
  });
});

describe('parkAsync', () => {
  test('another value, a timeout, a wake-up from another thread', async () => {
    const a = words();
    expect(await parkAsync(a, 1, 1, Infinity)).toBe('not-equal');
    expect(await parkAsync(a, 1, 0, 10)).toBe('timed-out');
    expect(await parkAsync(a, 1, 0, 0)).toBe('timed-out');
    startWaker(a.buffer, 1);
    const woken = parkAsync(a, 1, 0, Infinity);
    Atomics.store(a, 0, 1);
    expect(await woken).toBe('ok');
  });

  test('works where blocking is forbidden', async () => {
    expect(await lesser('no blocking', 'parkAsync')).toBe('timed-out');
  });

  test('says so where the engine has no waitAsync', async () => {
    expect(await lesser('no waitAsync', 'parkAsync')).toMatchObject({ code: 'ERR_HEAP_UNSUPPORTED' });
  });

  test('ends in an engine that never ends a wait, and passes a swallowed wake-up on', async () => {
    expect(await lesser('endless waitAsync', 'parkAsync')).toBe('timed-out');
    expect(await lesser('endless waitAsync', 'passedOn')).toEqual([1, 'ok']);
  });

  test('alone keeps a program alive until it is woken or the time is over', async () => {
    expect(await alone('wait')).toBe('timed-out');
    expect(await alone('woken')).toBe('ok');
  });
});
