import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../bench/run.js', import.meta.url));
const REFERENCE = JSON.parse(readFileSync(new URL('../../bench/reference.json', import.meta.url), 'utf8'));

interface Row {
  readonly name: string;
  readonly workload: string;
  readonly unit: string;
  readonly median: number;
  readonly mean: number;
  readonly min: number;
  readonly p25: number;
  readonly p75: number;
  readonly samples: number;
  readonly batch: number;
  readonly processes: number[];
  readonly c: number | null;
  readonly ratioToC: number | null;
  readonly ratioToPeers: Record<string, number>;
  readonly threads?: Record<string, number>;
}

function bench(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], {
    encoding: 'utf8',
    timeout: 50_000,
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
  expect(row.unit).toBe('ns');
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

    expect(rows.map(({ name }) => name)).toEqual(['pair-64/area', 'pair-64/heap', 'pair-64/malloc', 'pair-64/buffer']);
    const [area, heap, malloc, buffer] = rows as [Row, Row, Row, Row];
    for (const row of rows) {
      expectSound(row);
      expect(row.processes).toHaveLength(2);
    }
    for (const ours of [area, heap]) {
      expect(ours.c).toBe(REFERENCE.medians['pair-64']);
      expect(ours.ratioToC).toBeCloseTo(ours.median / ours.c!, 1);
      expect(Object.keys(ours.ratioToPeers)).toEqual(['@thi.ng/malloc', 'Buffer.allocUnsafe']);
      expect(ours.ratioToPeers['@thi.ng/malloc']! / (ours.median / malloc.median)).toBeCloseTo(1, 1);
      expect(ours.ratioToPeers['Buffer.allocUnsafe']! / (ours.median / buffer.median)).toBeCloseTo(1, 1);
    }
    expect([malloc.c, malloc.ratioToC, malloc.ratioToPeers]).toEqual([null, null, {}]);
  });

  test('two threads say what one does alone, and what the machine gives for arithmetic', () => {
    const { rows } = benchJson('--only', 'threads-different-classes');
    expect(rows).toHaveLength(1);
    expectSound(rows[0]!);
    const { threads } = rows[0]!;
    expect(threads).toMatchObject({ cScaling: REFERENCE.threads['threads-different-classes'].scaling });
    for (const figure of ['oneThread', 'scaling', 'machineScaling'])
      expect(threads![figure], figure).toBeGreaterThan(0);
  });
});

describe('npm run bench', () => {
  test('prints a table that says where the C figures come from', () => {
    const { status, stdout, stderr } = bench('--quick', '--only', 'pages-16-holes-200');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('recorded on such a machine, not in this run');
    const [, c] =
      stdout.match(/^ {2}pages-16-holes-200 +FreePageManager(?: +\d+(?:\.\d+)?){5} +(\S+) +\d+\.\d\d$/m) ?? [];
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
