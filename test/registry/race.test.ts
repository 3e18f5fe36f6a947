/** Named things that threads ask for at the same time are made exactly once, also when making them fails at first. */

import { describe, expect, it } from 'vitest';
import { FLAG } from '../workers/registry-flags.mjs';
import { expectSound, join, liveObjects, newDsm, STORES, Thread } from './helpers.js';

const THREADS = 8;
const NAMES = 1000;
/** Kinds of the names, one every so often: segments, areas and tables take a slot each. */
const KINDS = Array.from({ length: NAMES }, (_, i) => {
  if (i % 20 === 7) return 'segment';
  if (i % 50 === 11) return 'area';
  if (i % 50 === 31) return 'hash';
  return (['lock', 'condition', 'barrier', 'queue', 'map', 'block'] as const)[i % 6]!;
});

interface Outcome {
  made: number;
  failed: number;
  where: number[];
}

async function race(store: 'region' | 'buffers', failures: number) {
  const dsm = newDsm(store, { segments: 400, participants: 16, regionSize: 512 * 2 ** 20 });
  const flags = new Int32Array(new SharedArrayBuffer(4 * (FLAG.counts + NAMES)));
  const threads = Array.from({ length: THREADS }, (_, i) => new Thread(dsm, { flags, seed: 1000 + (i >> 2) }));
  const answers = threads.map((thread) => thread.call('race', KINDS, failures));
  Atomics.store(flags, FLAG.go, 1);
  Atomics.notify(flags, FLAG.go);
  const outcomes: Outcome[] = await Promise.all(answers);
  for (const outcome of outcomes) expect(outcome).toMatchObject({ where: { length: NAMES } });
  return { dsm, flags, threads, outcomes };
}

describe.each(STORES)('on %s', (store) => {
  it.each([
    ['a race of 8 threads', 0],
    ['a race of 8 threads in which three of ten initialisations fail', 0.3],
  ])(
    '%s makes each of 1,000 names once, and all see the same',
    async (_what, failures) => {
      const { dsm, flags, threads, outcomes } = await race(store, failures);
      const makers = outcomes.reduce((sum, { made }) => sum + made, 0);
      const failed = outcomes.reduce((sum, { failed: n }) => sum + n, 0);
      const counts = Array.from(flags.subarray(FLAG.counts, FLAG.counts + NAMES));
      expect(counts.filter((n) => n !== 1)).toEqual([]);
      expect(makers).toBe(NAMES);
      if (failures === 0) expect(failed).toBe(0);
      else expect(failed).toBeGreaterThan(100);
      for (const { where } of outcomes) expect(where).toEqual(outcomes[0]!.where);
      expect(new Set(outcomes[0]!.where).size).toBe(NAMES);
      const member = join(dsm);
      expect(member.registry.allocations()).toHaveLength(NAMES);
      const blocks = KINDS.filter((kind) => !['segment', 'area', 'hash'].includes(kind)).length;
      expect(liveObjects(member.registry)).toBe(2 + NAMES + blocks);
      for (const thread of threads) expect(await thread.call('leave')).toBe(undefined);
      expectSound(member);
    },
    120_000,
  );
});
