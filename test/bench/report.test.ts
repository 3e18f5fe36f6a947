import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../bench/report/report.js', import.meta.url));
const FRAME = 'before\n\n<!-- results: begin -->\nold\n<!-- results: end -->\n\nafter\n';

function row(workload: string, group: string, subject: string, median: number, more: object = {}) {
  const peer = !subject.startsWith('SharedHeap');
  const figures = { name: `${workload}/${subject}`, unit: 'ns', median, min: median, p25: median, p75: median };
  return {
    ...figures,
    group,
    workload,
    subject,
    peer,
    c: null,
    cRecorded: false,
    ratioToC: null,
    ratioToPeers: {},
    ...more,
  };
}

const RESULTS = {
  machine: {
    cpu: 'A <fast> & quiet one',
    cores: 2,
    node: '20.0.0',
    version: '1.2.3',
    commit: 'abcdef0',
    changed: false,
    date: '2026-01-02T03:04:05.000Z',
    loadBefore: [0.5, 0, 0],
  },
  quick: false,
  runs: 3,
  postgresql: '15.1',
  skipped: [{ subject: 'emmalloc, wasm', why: 'not built' }],
  rows: [
    row('pair-64', 'pair', 'SharedHeap', 20, { c: 40, ratioToC: 0.5, ratioToPeers: { 'mimalloc, wasm': 1.6 } }),
    row('pair-64', 'pair', 'mimalloc, wasm', 12.5),
    row('pair-64', 'pair', 'PostgreSQL, C', 40),
    row('replace-touched', 'replace', 'SharedHeap', 30),
    row('replace-touched', 'replace', '@thi.ng/malloc', 84_123),
    row('threads-mixed', 'threads', 'SharedHeap', 15.25, {
      threads: { oneThread: 30, scaling: 1.97, machineScaling: 1.99, cScaling: 0.5 },
    }),
    row('threads-mixed', 'threads', 'mimalloc, wasm', 12.25, {
      threads: { oneThread: 12, scaling: 0.98, machineScaling: 1.01, cScaling: null },
    }),
  ],
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sharedheap-report-'));
  writeFileSync(join(folder, 'README.md'), FRAME);
  writeFileSync(join(folder, 'results.json'), JSON.stringify(RESULTS));
});
afterEach(() => rmSync(folder, { recursive: true }));

function report(...files: string[]) {
  const args = [SCRIPT, ...files, '--readme', join(folder, 'README.md'), '--chart', join(folder, 'chart.svg')];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 50_000 });
  return { status, stderr };
}

const written = (name: string) => readFileSync(join(folder, name), 'utf8');

/** Names of elements whose tags do not match, in a text without comments and character data. */
function unbalanced(xml: string): string[] {
  const open: string[] = [];
  for (const [, closing, name, , empty] of xml.matchAll(/<(\/?)([a-z]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/g)) {
    if (closing === '/') {
      if (open.pop() !== name) return [...open, name!];
    } else if (empty !== '/') open.push(name!);
  }
  return open;
}

describe('npm run bench:report', () => {
  test('puts a table for each group between the markers, and nothing else is changed', () => {
    expect(report(join(folder, 'results.json'))).toEqual({ status: 0, stderr: '' });
    const readme = written('README.md');
    expect(readme.startsWith('before\n\n<!-- results: begin -->\n\n')).toBe(true);
    expect(readme.endsWith('\n\n<!-- results: end -->\n\nafter\n')).toBe(true);
    expect(readme).not.toContain('old');
    expect(readme).toContain('sharedheap 1.2.3 at abcdef0, 2026-01-02');
    expect(readme).toContain('Not to be had: emmalloc, wasm.');
    expect(readme).toContain('|  | SharedHeap | mimalloc, wasm | PostgreSQL, C | to C | to mimalloc |');
    expect(readme).toContain('| pair-64 | 20.0 | 12.5 | 40.0 | 0.50 | 1.60 |');
    expect(readme).toContain('| replace-touched | 30.0 | 84,100 |');
    expect(readme).toContain('| threads-mixed | 1.97 | 0.98? | 1.99 |');
  });

  test('draws a chart with a bar and a figure for each subject', () => {
    expect(report(join(folder, 'results.json')).status).toBe(0);
    const svg = written('chart.svg');
    expect(unbalanced(svg)).toEqual([]);
    expect(svg).toContain('prefers-color-scheme: dark');
    expect(svg).toContain('A &lt;fast&gt; &amp; quiet one');
    expect(svg.match(/<rect class="(?:ours|peer)"/g)).toHaveLength(RESULTS.rows.length);
    for (const text of ['12.5', '40', '84k →', '15.3']) expect(svg, text).toContain(`>${text}</text>`);
  });

  test('makes the same bytes again', () => {
    report(join(folder, 'results.json'));
    const first = [written('README.md'), written('chart.svg')];
    report(join(folder, 'results.json'));
    expect([written('README.md'), written('chart.svg')]).toEqual(first);
  });

  test('the repository shows its newest results', () => {
    const readme = readFileSync(new URL('../../bench/README.md', import.meta.url), 'utf8');
    writeFileSync(join(folder, 'README.md'), readme);
    expect(report()).toEqual({ status: 0, stderr: '' });
    expect(written('README.md')).toBe(readme);
    expect(written('chart.svg')).toBe(readFileSync(new URL('../../bench/chart.svg', import.meta.url), 'utf8'));
  });

  test.each([
    { what: 'no JSON', text: 'rows', complaint: 'results.json' },
    { what: 'no results', text: '{}', complaint: 'these are no results' },
    { what: 'no rows', text: JSON.stringify({ ...RESULTS, rows: [] }), complaint: 'these are no results' },
  ])('refuses $what and writes nothing', ({ text, complaint }) => {
    writeFileSync(join(folder, 'results.json'), text);
    const { status, stderr } = report(join(folder, 'results.json'));
    expect(status).toBe(2);
    expect(stderr).toContain(complaint);
    expect(written('README.md')).toBe(FRAME);
    expect(existsSync(join(folder, 'chart.svg'))).toBe(false);
  });

  test('refuses a text without the markers and writes nothing', () => {
    writeFileSync(join(folder, 'README.md'), 'no markers\n');
    const { status, stderr } = report(join(folder, 'results.json'));
    expect(status).toBe(2);
    expect(stderr).toContain('<!-- results: begin -->');
    expect(written('README.md')).toBe('no markers\n');
    expect(existsSync(join(folder, 'chart.svg'))).toBe(false);
  });
});
