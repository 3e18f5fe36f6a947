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
  function results(...ops: string[]): string[] {
    const got: string[] = [];
    replayFreepage(ops, (_, text) => got.push(text));
    return got;
  }

  it('says what is not an operation, and goes on', () => {
    const got = results('get 1', 'init 8', 'swap 1 2', 'put 1', 'put 1 x', 'get 1');
    expect(got[0]).toMatch(/nothing was initialised/);
    expect(got[2]).toMatch(/"swap" is not an operation/);
    expect(got[3]).toMatch(/too few words/);
    expect(got[4]).toMatch(/"x" is not a number/);
    expect([got[1], got[5]]).toEqual(['ok 0 0 0', 'fail 0 0 0']);
  });

  it('reports an error of the manager as the result', () => {
    expect(results('init 8', 'put 1 4', 'put 2 1', 'get 4')).toEqual([
      'ok 0 0 0',
      'ok 4 0 0',
      'error XX000 free page manager btree is corrupt',
      '1 0 0 0',
    ]);
  });

  it('counts pages put and not got', () => {
    expect(results('init 64', 'put 1 10', 'get 4', 'get 11', 'free_pages')).toEqual([
      'ok 0 0 0',
      'ok 10 0 0',
      '1 6 0 0',
      'fail 6 0 0',
      '6',
    ]);
  });
});
