/**
 * Wrong frees change nothing that comes later: golden traces are replayed while, all the time, what is not the start of
 * a live object is freed in between. Every result must still be that of the C original.
 */

import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { replayDsa } from '../../dist/cli/replay-dsa.js';
import { readTrace } from '../../dist/cli/trace.js';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { golden } from '../freepage/helpers.js';
import { as, codeOf, STORES } from './helpers.js';

const FOLDER = fileURLToPath(new URL('../golden/dsa/', import.meta.url));
const WRONG = /^ERR_HEAP_(DOUBLE_FREE|INTERIOR_POINTER|FOREIGN_POINTER|MISALIGNED_POINTER|STALE_SEGMENT)$/;
/** Up to so many operations on either store: what is special is in short traces, the long ones are random. */
const LENGTH = { region: 2600, buffers: 500 };

function shortTraces(store: 'region' | 'buffers'): string[] {
  return readdirSync(FOLDER).filter((name) => readTrace(`${FOLDER}${name}`)!.ops.length <= LENGTH[store]);
}

/** Makes every allocate and free of every area be followed by wrong frees; returns how many there were. */
function disturb(): { count: number } {
  const done = { count: 0 };
  const random = golden(4711);
  /** What was allocated lately, live or not. */
  const seen: number[] = [];
  const { allocate, free } = DsaArea.prototype;
  const tryWrong = (area: DsaArea): void => {
    for (const base of [seen[random() % seen.length] ?? 0, random() * 8]) {
      const wrong = [base, base + 8 * (1 + (random() % 600)), base + 4, base + 4096 * (random() % 20), -base][
        random() % 5
      ]!;
      if (area.isLive(as(wrong))) continue;
      done.count++;
      expect(codeOf(() => free.call(area, as(wrong)))).toMatch(WRONG);
    }
  };
  vi.spyOn(DsaArea.prototype, 'allocate').mockImplementation(function (this: DsaArea, size, flags) {
    const pointer = allocate.call(this, size, flags);
    if (pointer !== 0) seen[seen.length < 500 ? seen.length : random() % 500] = pointer;
    tryWrong(this);
    return pointer;
  });
  vi.spyOn(DsaArea.prototype, 'free').mockImplementation(function (this: DsaArea, pointer) {
    free.call(this, pointer);
    expect(codeOf(() => free.call(this, pointer))).toMatch(WRONG);
    tryWrong(this);
  });
  return done;
}

describe.each(STORES)('on %s', (store) => {
  it.each(shortTraces(store))('%s', (name) => {
    const { ops, results } = readTrace(`${FOLDER}${name}`)!;
    const done = disturb();
    const different: unknown[] = [];
    try {
      replayDsa(ops, store, (index, got) => {
        if (got !== results[index]) different.push([index, ops[index], results[index], got]);
      });
    } finally {
      vi.restoreAllMocks();
    }
    expect(different).toEqual([]);
    expect(done.count).toBeGreaterThan(0);
  });
});
