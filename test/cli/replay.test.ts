import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../dist/cli/replay.js', import.meta.url));
const GOLDEN = fileURLToPath(new URL('../golden', import.meta.url));

/** What each folder of recorded traces holds. */
const FOLDERS = [
  { folder: 'dsa', files: 64, operations: 422042 },
  { folder: 'dsa-multi', files: 6, operations: 16475 },
  { folder: 'dsm', files: 5, operations: 688 },
  { folder: 'freepage', files: 36, operations: 485246 },
];

let temporary = '';
beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), 'replay-'));
});
afterAll(() => rmSync(temporary, { recursive: true }));

function replay(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], {
    encoding: 'utf8',
    timeout: 120_000,
    maxBuffer: 2 ** 26,
  });
  return { status, stdout, stderr, last: stdout.trimEnd().split('\n').at(-1) };
}

/** Writes a file into the temporary folder and returns its path. */
function put(name: string, content: string | Buffer): string {
  const path = join(temporary, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, content);
  return path;
}

function golden(name: string): { kind: string; ops: string[]; results: string[] } {
  const bytes = readFileSync(join(GOLDEN, name));
  return JSON.parse((name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString());
}

describe.each(['region', 'buffers'])('recorded traces on the store %s', (store) => {
  it.each(FOLDERS)('$folder: nothing differs', ({ folder, files, operations }) => {
    const { status, stdout, stderr, last } = replay(join(GOLDEN, folder), '--store', store);
    expect(last, stdout + stderr).toBe(`${files} files, ${operations} operations, 0 differences`);
    expect(status).toBe(0);
  });
});

describe('differences', () => {
  it('a result that differs is counted, shown, and the replay goes on', () => {
    const trace = golden('dsa/pinning.json');
    const at = trace.ops.findIndex((op) => op.startsWith('alloc'));
    const got = trace.results[at];
    trace.results[at] = '1230 0:4656';
    const { status, stdout, last } = replay(put('doctored/one.json', JSON.stringify(trace)));
    expect(last).toBe(`1 files, ${trace.ops.length} operations, 1 differences`);
    expect(stdout).toContain(`first difference at operation ${at + 1}: ${trace.ops[at]}`);
    expect(stdout).toContain('expected: 1230 0:4656');
    expect(stdout).toContain(`got: ${got}`);
    expect(status).toBe(1);
  });

  it('a doctored dump shows the line that differs', () => {
    const trace = golden('dsa/pinning.json');
    const at = trace.ops.indexOf('dump');
    trace.results[at] = trace.results[at]!.replace(/refcnt: \d/, 'refcnt: 7');
    const { status, stdout } = replay(put('doctored/dump.json', JSON.stringify(trace)));
    expect(stdout).toMatch(/expected \(line \d+\): {3}refcnt: 7/);
    expect(stdout).toMatch(/got \(line \d+\): {3}refcnt: 2/);
    expect(status).toBe(1);
  });

  it.each([
    [
      'dsa',
      ['create', 'alloc 1', 'alloc x 8', 'alloc 1 eight', 'alloc 1 8 blue', 'nonsense', '', 'fpm -1', 'fill 9 1 1'],
    ],
    ['dsa', ['trim', 'alloc 1 8', 'create_in_place', 'create_in_place 18446744073709551615', 'dump']],
    ['dsa-multi', ['A', 'A trim', 'A attach', 'B detach', 'A create', 'A create', 'nonsense', '']],
    [
      'dsm',
      ['create', 'create 1 8', 'create 1 8', 'attach 2 9', 'write 1 8 1', 'read 9 1', 'scope_begin', 'scope_begin', ''],
    ],
  ])('operations that make no sense are differences, not crashes (%s)', (kind, ops) => {
    const results = ops.map(() => 'something else');
    const { status, last, stderr } = replay(put('doctored/nonsense.json', JSON.stringify({ kind, ops, results })));
    expect(stderr).toBe('');
    expect(last).toBe(`1 files, ${ops.length} operations, ${ops.length} differences`);
    expect(status).toBe(1);
  });

  it('--json prints one document with the first difference of each file', () => {
    const trace = { kind: 'dsm', ops: ['create 1 100', 'read 1 0'], results: ['ok length=100 handle=even', '9'] };
    const { status, stdout } = replay(put('doctored/json.json', JSON.stringify(trace)), '--json');
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ store: 'region', operations: 2, differences: 1, errors: [] });
    expect(report.summary).toBe('1 files, 2 operations, 1 differences');
    expect(report.files[0].first).toEqual({ operation: 2, op: 'read 1 0', expected: '9', got: '0' });
    expect(status).toBe(1);
  });
});

describe('what is read', () => {
  it('plain and gzipped files of a folder, recursively; other JSON is ignored', () => {
    const trace = JSON.stringify({ kind: 'dsm', ops: ['create 1 64'], results: ['ok length=64 handle=even'] });
    put('tree/a.json', trace);
    put('tree/b/c/d.json.gz', gzipSync(trace));
    put('tree/facts.json', '{"kind": "dsm"}');
    put('tree/list.json', '[1, 2]');
    put('tree/notes.txt', 'not JSON at all');
    const { status, last } = replay(join(temporary, 'tree'));
    expect(last).toBe('2 files, 2 operations, 0 differences');
    expect(status).toBe(0);
  });

  it.each([
    ['broken JSON', 'a.json', '{"kind": "dsa", ', /broken JSON/],
    ['broken gzip', 'b.json.gz', Buffer.from([0x1f, 0x8b, 1, 2, 3]), /cannot be read/],
    ['lengths that differ', 'c.json', '{"kind":"dsa","ops":["create"],"results":[]}', /1 operations but 0 results/],
    ['no results', 'd.json', '{"kind":"dsa","ops":["create"]}', /"results" is not a list/],
    ['ops that are no strings', 'e.json', '{"kind":"dsa","ops":[1],"results":["ok"]}', /"ops" is not a list/],
    ['an unknown kind', 'f.json', '{"kind":"toc","ops":[],"results":[]}', /unknown kind "toc"/],
  ])('%s: an error that names the file, exit code 2', (_, name, content, message) => {
    const path = put(`broken/${name}`, content);
    const { status, stderr } = replay(path);
    expect(stderr).toMatch(message);
    expect(stderr).toContain(name);
    expect(status).toBe(2);
  });

  it('a broken file does not keep the others from being replayed', () => {
    put('mixed/a.json', '{');
    put('mixed/b.json', JSON.stringify({ kind: 'dsa', ops: ['min_size'], results: ['8192'] }));
    const { status, last } = replay(join(temporary, 'mixed'));
    expect(last).toBe('1 files, 1 operations, 0 differences');
    expect(status).toBe(2);
  });
});

describe('exit codes of the command line', () => {
  it.each([
    ['a missing path', ['/no/such/path'], /no such file or folder/],
    ['no trace', [fileURLToPath(new URL('.', import.meta.url))], /no trace in/],
    ['no path', [], /Usage: replay/],
    ['an unknown option', ['--fast', '.'], /Usage: replay/],
    ['an unknown store', ['--store', 'disk', '.'], /"region" or "buffers"/],
  ])('%s: 2, with a message', (_, args, message) => {
    const { status, stderr } = replay(...args);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });

  it('--help: 0', () => {
    const { status, stdout } = replay('--help');
    expect(stdout).toMatch(/^Usage: replay/);
    expect(status).toBe(0);
  });
});
