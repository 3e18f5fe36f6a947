/**
 * A participant dies at each atomic operation of what its cache does: whoever comes next takes back all that it had.
 *
 * Where it died with a lock of the area, others cannot go on in this version; how often it did not is counted. See
 * test/workers/cache-deaths.mjs, which runs with the operations that can be stepped.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { STORES } from './helpers.js';

const SCRIPT = new URL('../workers/cache-deaths.mjs', import.meta.url).pathname;

interface Outcome {
  readonly deaths: number;
  /** Deaths without a lock, after which everything must be as if the victim had left. */
  readonly clean: number;
  readonly wrong: readonly string[];
}

it.each(STORES)('at each operation on %s', async (store) => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions', 'explore', SCRIPT, store]);
  const report = JSON.parse(stdout) as Record<string, Outcome>;
  expect(Object.keys(report).length).toBe(9);
  for (const [name, { deaths, clean, wrong }] of Object.entries(report)) {
    expect([name, wrong]).toEqual([name, []]);
    expect([name, deaths > 5, clean > 0]).toEqual([name, true, true]);
  }
  const sum = (key: 'deaths' | 'clean'): number => Object.values(report).reduce((n, scene) => n + scene[key], 0);
  expect(sum('deaths')).toBeGreaterThan(250);
  expect(sum('clean')).toBeGreaterThan(100);
});
