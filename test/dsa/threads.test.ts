/**
 * Real threads on one area: allocating, handing objects over, freeing what others made, while segments come and go.
 *
 * Every read of an object checks what was written into it. At the end all is free: the invariants hold, and every page
 * is accounted for. Counts are fixed, nothing is measured by the clock.
 */

import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { C_FREED_COUNTER } from '../../dist/dsa/area-layout.js';
import { DsaArea, type DsaOptions } from '../../dist/dsa/dsa.js';
import type { Dsm } from '../../dist/dsm/dsm.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { fill, randomFrom, randomSize, ringMemory, verify } from '../workers/dsa-ring.mjs';
import { another, expectEmpty, expectSound, KIB, losses, MIB, newArea, STORES } from './helpers.js';

interface Handed {
  pointer: DsaPointer;
  size: number;
  seed: number;
}

interface Done {
  allocated: number;
  freed: number;
  received: number;
  refused: number;
}

const workers = new Set<Worker>();
afterEach(async () => {
  await Promise.all([...workers].map((worker) => worker.terminate()));
  workers.clear();
});

/** Starts a thread; the promise gives its last message when it has ended, and rejects with what it threw. */
function start(script: string, data: object): { worker: Worker; ended: Promise<unknown> } {
  const worker = new Worker(new URL(`../workers/${script}`, import.meta.url), { workerData: data });
  workers.add(worker);
  let message: unknown;
  const ended = new Promise<unknown>((resolve, reject) => {
    worker.on('message', (value) => (message = value));
    worker.on('error', reject);
    worker.on('exit', () => {
      workers.delete(worker);
      resolve(message);
    });
  });
  return { worker, ended };
}

function newSharedArea(store: 'region' | 'buffers', options: DsaOptions): { dsm: Dsm; area: DsaArea } {
  return newArea(options, { store, lockTimeout: 60_000, attachTimeout: 60_000 });
}

/** The end of every test: nothing is live, nothing is lost but what is counted. */
function expectNothingLeft(area: DsaArea, firstSize: number): void {
  expectSound(area);
  const left = expectEmpty(area);
  const lost = losses(area);
  expect(lost.spanObjects).toBe(0);
  if (lost.rootPages === 0) expect([left, area.getTotalSize()]).toEqual([[0], firstSize]);
}

describe.each(STORES)('on %s', (store) => {
  it.each([
    [2, 1500, { initSegmentSize: 256 * KIB, maxSegmentSize: 256 * KIB }],
    [4, 800, { initSegmentSize: 256 * KIB, maxSegmentSize: MIB }],
    [8, 400, { initSegmentSize: MIB }],
  ])('%i threads, %i steps between two tides', async (threads, iterations, options) => {
    const { dsm, area } = newSharedArea(store, options);
    const shared = { cluster: dsm.handle, handle: area.handle, rings: ringMemory(threads) };
    const data = { ...shared, threads, iterations, tides: 8, seed: 1234567 * threads };
    const all = Array.from({ length: threads }, (_, me) => start('dsa-traffic.mjs', { ...data, me }));
    const results = (await Promise.all(all.map(({ ended }) => ended))) as Done[];
    const sum = (key: keyof Done): number => results.reduce((total, done) => total + done[key], 0);
    expect(sum('allocated')).toBe(sum('freed'));
    expect(sum('received')).toBeGreaterThan(threads * 100);
    expect(sum('refused')).toBeGreaterThan(threads * 10);
    // Segments came and went meanwhile.
    expect(area.state.ctl[C_FREED_COUNTER]).toBeGreaterThan(5);
    expectNothingLeft(area, options.initSegmentSize);
    expect(area.dump()).toContain('refcnt: 1');
  });

  it('main and three threads hand objects over by message', async () => {
    const { dsm, area } = newSharedArea(store, { initSegmentSize: 256 * KIB, maxSegmentSize: 512 * KIB });
    const random = randomFrom(99);
    const make = (): Handed => {
      const size = randomSize(random);
      const object = { pointer: area.allocate(size), size, seed: random(2 ** 30) };
      fill(area, object);
      return object;
    };
    let received = 0;
    await Promise.all(
      [1, 2, 3].map((seed) => {
        const { worker, ended } = start('dsa-post.mjs', { cluster: dsm.handle, handle: area.handle, seed });
        let rest = 300;
        worker.on('message', (object: Handed) => {
          verify(area, object);
          area.free(object.pointer);
          received++;
          worker.postMessage(--rest > 0 ? make() : 'leave');
        });
        worker.postMessage(make());
        return ended;
      }),
    );
    expect(received).toBe(900);
    expectNothingLeft(area, 256 * KIB);
  });

  it('threads come and go, some without a word', async () => {
    const { dsm, area } = newSharedArea(store, { initSegmentSize: 256 * KIB, maxSegmentSize: 256 * KIB });
    const { handle } = area;
    let seed = 1;
    const lane = async (endings: readonly string[]): Promise<void> => {
      for (const ending of endings) {
        await start('dsa-churn.mjs', { cluster: dsm.handle, handle, rounds: 8, ending, seed: seed++ }).ended;
      }
    };
    await Promise.all([
      lane(['tidy', 'end', 'leave', 'exit']),
      lane(['end', 'exit', 'leave', 'tidy']),
      lane(['exit', 'leave', 'tidy', 'end']),
    ]);
    // Whoever attaches next takes back what the silent ones have left.
    const late = DsaArea.attach(another(dsm), handle);
    expect(late.dump()).toContain('refcnt: 2');
    expect(dsm.stats().participants).toBe(2);
    expectSound(late);
    late.detach();
    expectNothingLeft(area, 256 * KIB);
    area.detach();
    expect(dsm.stats().segments).toEqual([]);
  });
});
