import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../bench/run.js', import.meta.url));
const REFERENCE = JSON.parse(readFileSync(new URL('../../bench/reference.json', import.meta.url), 'utf8'));

/** A machine without emscripten and PostgreSQL, whatever this one has. */
const BARE = { ...process.env, PG_CONFIG: '/nowhere/pg_config', BENCH_WASM: '/nowhere' };

interface Row {
  readonly name: string;
  readonly workload: string;
  readonly subject: string;
  readonly unit: string;
  readonly peer: boolean;
  readonly median: number;
  readonly mean: number;
  readonly min: number;
  readonly p25: number;
  readonly p75: number;
  readonly samples: number;
  readonly batch: number;
  readonly processes: number[];
  readonly c: number | null;
  readonly cRecorded: boolean;
  readonly ratioToC: number | null;
  readonly ratioToPeers: Record<string, number>;
  readonly threads?: Record<string, number>;
}

function bench(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], {
    encoding: 'utf8',
    timeout: 50_000,
    env: BARE,
  });
  return { status, stdout, stderr };
}

/** Runs it with `--json` and parses every line. */
function benchJson(...args: string[]): { head: Record<string, any>; rows: Row[] } {
  const { status, stdout, stderr } = bench('--quick', '--json', ...args);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const [head, ...rows] = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  return { head, rows };
}

/** What is true of every row, whatever the machine. */
function expectSound(row: Row): void {
  expect(row.min).toBeGreaterThan(0);
  expect(row.p25).toBeGreaterThanOrEqual(row.min);
  expect(row.p75).toBeGreaterThanOrEqual(row.p25);
  expect(row.median).toBeGreaterThanOrEqual(row.min);
  expect(row.mean).toBeGreaterThanOrEqual(row.min);
  expect(row.samples).toBeGreaterThanOrEqual(row.processes.length);
  expect(row.batch).toBeGreaterThanOrEqual(1);
}

describe('npm run bench -- --json', () => {
  test('prints the machine, then a row for each subject, with ratios to C and to the peers', () => {
    const { head, rows } = benchJson('--runs', '2', '--only', 'pair-64');
    expect(head).toMatchObject({ quick: true, runs: 2, machine: { node: process.versions.node } });
    expect(head['machine'].cpu).toEqual(expect.any(String));
    expect(head['machine'].cores).toBeGreaterThanOrEqual(1);
    expect(head['machine'].loadBefore).toHaveLength(3);
    expect(Number.isNaN(Date.parse(head['machine'].date))).toBe(false);

    const known = rows.filter(({ name }) => !name.includes('/heap-no-'));
    const subjects = ['heap', 'area', 'malloc', 'buffer', 'sab'];
    expect(known.map(({ name }) => name)).toEqual(subjects.map((id) => `pair-64/${id}`));
    const [heap, area, ...peers] = known as [Row, Row, ...Row[]];
    for (const row of rows) {
      expectSound(row);
      expect(row.unit).toBe('ns');
      expect(row.processes).toHaveLength(2);
    }
    for (const ours of [area, heap]) {
      expect(ours).toMatchObject({ peer: false, c: REFERENCE.medians['pair-64'], cRecorded: true });
      expect(ours.ratioToC).toBeCloseTo(ours.median / ours.c!, 1);
      expect(Object.keys(ours.ratioToPeers)).toEqual(peers.map(({ subject }) => subject));
      for (const { subject, median } of peers) {
        expect(ours.ratioToPeers[subject]! / (ours.median / median)).toBeCloseTo(1, 1);
      }
    }
    for (const row of peers) expect(row).toMatchObject({ peer: true, c: null, ratioToC: null, ratioToPeers: {} });
  });

  test('goes on without what cannot be had, and says what and why', () => {
    const { head, rows } = benchJson('--only', 'burst-free');
    expect(head).toMatchObject({ postgresql: null });
    const reasons = new Map(head['skipped'].map(({ subject, why }: Record<string, string>) => [subject, why]));
    expect(reasons.get('PostgreSQL, C')).toMatch(/no \/nowhere\/pg_config; Debian: apt-get install/);
    for (const name of ['mimalloc, wasm', 'dlmalloc, wasm', 'emmalloc, wasm', 'TLSF, AssemblyScript']) {
      expect(reasons.get(name), name).toContain('not built');
    }
    expect(rows.map(({ subject }) => subject)).toEqual(expect.arrayContaining(['SharedHeap', 'Buffer.allocUnsafe']));
    for (const row of rows) expect(reasons.has(row.subject), row.subject).toBe(false);
  });

  test('the tables of subjects have a unit of their own where they are no times', () => {
    const { rows } = benchJson('--only', 'memory-filled/heap', '--only', 'memory-filled/buffer');
    expect(rows.map(({ unit }) => unit)).toEqual(['bytes per byte', 'bytes per byte']);
    expect(rows[0]).toMatchObject({ c: null, ratioToC: null });
  });

  test('two threads say what one does alone, and what the machine gives for arithmetic', () => {
    const { rows } = benchJson('--only', 'threads-different-classes');
    expect(rows.map(({ name }) => name)).toEqual(['threads-different-classes/heap', 'threads-different-classes/area']);
    for (const row of rows) {
      expectSound(row);
      const { cScaling, ...figures } = row.threads!;
      expect(cScaling).toBe(REFERENCE.threads['threads-different-classes'].scaling);
      expect(Object.keys(figures)).toEqual(['oneThread', 'scaling', 'machineScaling']);
      for (const [name, figure] of Object.entries(figures)) expect(figure, name).toBeGreaterThan(0);
    }
  });

  test.each(['larson', 'xmalloc', 'sh6', 'sh8', 'mstress', 'cache-scratch'])('two threads do %s', (shape) => {
    const { rows } = benchJson('--only', `${shape}/heap`);
    expect(rows).toHaveLength(1);
    expectSound(rows[0]!);
  });
});

describe('npm run bench', () => {
  test('prints a table that says where the C figures come from', () => {
    const { status, stdout, stderr } = bench('--quick', '--only', 'pages-16-holes-200');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^skipped: PostgreSQL, C: there is no .+$/m);
    expect(stdout).toMatch(/^C\*: PostgreSQL .+recorded on such a machine, not in this run\.$/m);
    const [, c] =
      stdout.match(/^ {2}pages-16-holes-200 +FreePageManager(?: +\d+(?:\.\d+)?){5} +(\S+)\* +\d+\.\d\d$/m) ?? [];
    expect(Number(c)).toBe(REFERENCE.medians['pages-16-holes-200']);
  });

  test('lists cases with distinct names, among them one for every C figure', () => {
    const names = bench('--list').stdout.trimEnd().split('\n');
    expect(new Set(names).size).toBe(names.length);
    const workloads = new Set(names.map((name) => name.split('/')[0]));
    for (const workload of Object.keys(REFERENCE.medians)) expect(workloads, workload).toContain(workload);
    for (const workload of Object.keys(REFERENCE.threads)) expect(workloads, workload).toContain(workload);
  });

  test.each([
    { args: ['--only', 'pear-64'], complaint: 'nothing is called "pear-64"' },
    { args: ['--runs', '0'], complaint: '--runs is a whole number from 1 to 100, not "0"' },
    { args: ['--fast'], complaint: "Unknown option '--fast'" },
    { args: ['--measure', 'pair-64'], complaint: '--measure wants the name of a case, not "pair-64"' },
  ])('refuses $args', ({ args, complaint }) => {
    const { status, stdout, stderr } = bench(...args);
    expect(stderr).toContain(complaint);
    expect([status, stdout]).toEqual([2, '']);
  });
});
