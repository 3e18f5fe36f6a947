/**
 * The checker along recorded traces of the C original: nothing is wrong at the end of any, nor on the way, for any
 * participant; and the losses that it counts are those that follow from the recorded dumps.
 */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { replayDsa, replayDsaMulti } from '../../dist/cli/replay-dsa.js';
import { findTraceFiles, readTrace } from '../../dist/cli/trace.js';
import { DsaArea, type VerifyReport } from '../../dist/dsa/dsa.js';

const GOLDEN = new URL('../golden/', import.meta.url).pathname;
const FILES = findTraceFiles([`${GOLDEN}dsa`, `${GOLDEN}dsa-multi`]);
/** Checks on the way of each trace. */
const STOPS = 6;

afterEach(() => vi.restoreAllMocks());

/** Areas that the replay creates and attaches to, as it goes on. */
function watchAreas(): () => DsaArea[] {
  const made = (['create', 'createInPlace', 'attach', 'attachInPlace'] as const).map((name) => vi.spyOn(DsaArea, name));
  return () => {
    const areas = made.flatMap(({ mock }) => mock.results.map(({ value }) => value as DsaArea));
    return areas.filter((area) => area instanceof DsaArea && area.state.attached && !area.state.p.closed);
  };
}

function errorsOf({ findings }: VerifyReport): string[] {
  return findings.filter(({ severity }) => severity === 'error').map(({ id, message }) => `${id}: ${message}`);
}

/** What a recorded `segments` and `fpm_all` leave of the pages of an area without large objects and superblocks. */
function lostByRecord(segments: string, pages: string): number {
  let usable = 0;
  for (const [, count] of segments.matchAll(/ usable=(\d+)/g)) usable += Number(count);
  let known = 0;
  for (const part of pages.split(/^segment \d+:$/m).slice(1)) {
    const singleton = /^singleton: \d+\((\d+)\)$/m.exec(part);
    if (singleton !== null) known += Number(singleton[1]);
    for (const [, depth, page, items] of part.matchAll(/^ {2}(\d+)@(\d+) [il](?: \[[^\]]*\])?:(.*)$/gm)) {
      expect([depth, page].every((text) => text !== undefined)).toBe(true);
      known++;
      for (const [, npages] of items!.matchAll(/\((\d+)\)/g)) known += Number(npages);
    }
    const recycled = /^btree recycle:(.*)$/m.exec(part);
    known += recycled === null ? 0 : recycled[1]!.trim().split(' ').length;
  }
  return usable - known;
}

describe.each(['region', 'buffers'] as const)('on %s', (store) => {
  it.each(FILES.map((file) => [file.slice(GOLDEN.length), file] as const))('%s', (_, file) => {
    const trace = readTrace(file)!;
    const { ops, results } = trace;
    const attached = watchAreas();
    let checked = 0;
    let last: VerifyReport | null = null;
    const every = Math.ceil(ops.length / STOPS);
    const replay = trace.kind === 'dsa' ? replayDsa : replayDsaMulti;
    replay(ops, store, (index) => {
      if (index !== ops.length - 1 && index % every !== every - 1) return;
      for (const area of attached()) {
        const mapped = new Set(area.mappedSegments());
        last = area.verify();
        expect([index, ops[index], ...errorsOf(last)]).toEqual([index, ops[index]]);
        expect([index, ...errorsOf(area.verify({ quiescent: false }))]).toEqual([index]);
        // Looking maps nothing; like every call, it drops mappings of segments that others gave back.
        expect(area.mappedSegments().filter((k) => !mapped.has(k))).toEqual([]);
        expect(last.accounting.length).toBeGreaterThan(0);
        checked++;
      }
    });
    expect(checked).toBeGreaterThan(0);
    if (trace.kind !== 'dsa' || ops.at(-1) !== 'fpm_all') return;
    const segments = results[ops.lastIndexOf('segments')]!;
    const { accounting, losses } = last!;
    const taken = accounting.reduce((sum, row) => sum + row.superblock + row.large + row.spanBlock, 0);
    expect(lostByRecord(segments, results.at(-1)!) - taken).toBe(losses.rootPages);
  });
});
