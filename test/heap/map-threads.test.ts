import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { attachMap, checkMapOptions } from '../../dist/heap/map-open.js';
import { packKey } from '../../dist/heap/map-state.js';
import { codeOf, STORES } from './helpers.js';
import { expectMapSound, World } from './map-helpers.js';

const SCRIPT = new URL('../workers/map-worker.mjs', import.meta.url);
const OPTIONS = { key: 'string', value: 'string' } as const;

/** Runs a job in several threads on the map `m`. Not awaited to the end when the caller needs the event loop meanwhile. */
function start(world: World, threads: number, job: string, count = 0): Promise<number[]> {
  const jobs = Array.from({ length: threads }, async (_, me) => {
    const block = world.blocks.get('m');
    const shared = {
      cluster: world.dsm.handle,
      area: world.area.handle,
      block,
      me,
      threads,
      job,
      count,
    };
    const worker = new Worker(SCRIPT, { workerData: shared });
    const ended = once(worker, 'exit');
    const [result] = await once(worker, 'message');
    await ended;
    return result as number;
  });
  return Promise.all(jobs);
}

const valueOf = (key: string, n: number): string => `${key}=${n};${'.'.repeat((n * 37) % 200)}`;

describe.each(STORES)('a map among threads on %s', (store) => {
  const newMap = () => {
    const world = new World({ store, lockTimeout: 60_000 });
    return { world, map: world.map('m', OPTIONS) };
  };

  it.each([2, 8])('%i threads write keys of their own while it grows', async (threads) => {
    const { world, map } = newMap();
    const count = Math.floor(6000 / threads);
    await start(world, threads, 'mine', count);
    expect(map.size).toBe(threads * (count - Math.floor(count / 3)));
    expect(new Set(map.keys()).size).toBe(map.size);
    expectMapSound(map as never, world.area);
  });

  it.each([2, 4])('%i threads update the same keys, and no change is lost', async (threads) => {
    const { world, map } = newMap();
    const count = 3000;
    await start(world, threads, 'same', count);
    expect(map.size).toBe(20);
    for (const [key, value] of map) expect(value).toBe(valueOf(key, (threads * count) / 20));
    expectMapSound(map as never, world.area);
  });

  it('one of eight threads inserts each key that all want to insert', async () => {
    const { world, map } = newMap();
    const inserted = await start(world, 8, 'race', 2000);
    expect(inserted.reduce((sum, n) => sum + n, 0)).toBe(2000);
    expect(map.size).toBe(2000);
    expectMapSound(map as never, world.area);
  });

  it('loops see what stays, once and whole, while others insert, delete and grow it', async () => {
    const { world, map } = newMap();
    for (let n = 0; n < 500; n++) map.set(`stay ${n}`, valueOf(`stay ${n}`, 1));
    const loops = start(world, 2, 'loop');
    await start(world, 2, 'mine', 6000);
    expect(map.verify({ quiescent: false }).findings).toEqual([]);
    map.set('stop', '');
    const rounds = await loops;
    for (const n of rounds) expect(n).toBeGreaterThan(0);
    expectMapSound(map as never, world.area);
  });
});

describe('a partition that stays locked', () => {
  /** Keys in the partition of a key, and others. */
  function keysBeside(world: World, key: string): { same: string[]; others: string[] } {
    const place = { i32: world.area.segmentI32(0), word: world.blocks.get('m')! / 4 };
    const m = attachMap(world.area, place, 'm', checkMapOptions(OPTIONS));
    const partitionOf = (k: string): number => {
      packKey(m, k);
      return m.hash >>> 25;
    };
    const all = Array.from({ length: 20_000 }, (_, n) => `key ${n}`);
    const same = all.filter((k) => partitionOf(k) === partitionOf(key));
    return { same, others: all.filter((k) => partitionOf(k) !== partitionOf(key)) };
  }

  it('keeps nobody from the others, also while they grow', async () => {
    const world = new World({ lockTimeout: 200 });
    const map = world.map('m', OPTIONS);
    map.set('stuck', 'old');
    // The worker ends inside the function that it gave to update.
    await start(world, 1, 'die');
    const { same, others } = keysBeside(world, 'stuck');
    expect(same.length).toBeGreaterThan(50);
    for (const call of [
      () => map.get('stuck'),
      () => map.set(same[0]!, ''),
      () => map.delete('stuck'),
      () => [...map],
      () => map.clear(),
    ]) {
      expect(codeOf(call)).toBe('ERR_HEAP_LOCK_STALLED');
      expect(world.dsm.participant.nheld).toBe(0);
    }
    for (const key of others) map.set(key, valueOf(key, 1));
    for (const key of others) expect(map.get(key)).toBe(valueOf(key, 1));
    const errors = map.verify().findings.filter(({ severity }) => severity === 'error');
    expect(errors.map(({ id }) => id)).toEqual(['N11']);
  });
});
