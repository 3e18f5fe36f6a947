/** Every recorded trace of PostgreSQL's page manager gives the same results here, dumps included. */

import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { replayFreepage } from '../../dist/cli/replay-freepage.js';

const FOLDER = new URL('../golden/freepage/', import.meta.url);

function readTrace(name: string): { ops: string[]; results: string[] } {
  const bytes = readFileSync(new URL(name, FOLDER));
  return JSON.parse((name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8'));
}

describe('recorded traces', () => {
  const names = readdirSync(FOLDER);

  it('are all there', () => {
    expect(names.length).toBe(36);
  });

  it.each(names)('%s', (name) => {
    const { ops, results } = readTrace(name);
    const differences: string[] = [];
    let reported = 0;
    replayFreepage(ops, (index, got) => {
      expect(index).toBe(reported++);
      if (got !== results[index]) differences.push(`${index} ${ops[index]}: ${got} instead of ${results[index]}`);
    });
    expect(differences.slice(0, 3)).toEqual([]);
    expect(reported).toBe(results.length);
  });
});

describe('replayFreepage', () => {
  it('refuses what is not an operation', () => {
    expect(() => replayFreepage(['init 8', 'swap 1 2'], () => {})).toThrow(/unknown operation swap/);
    expect(() => replayFreepage(['get 1'], () => {})).toThrow(/before init/);
  });

  it('counts pages put and not got', () => {
    const got: string[] = [];
    replayFreepage(['init 64', 'put 1 10', 'get 4', 'get 11', 'free_pages'], (_, text) => got.push(text));
    expect(got).toEqual(['ok 0 0 0', 'ok 10 0 0', '1 6 0 0', 'fail 6 0 0', '6']);
  });
});
