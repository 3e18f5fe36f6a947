/**
 * Everything that can be said about the code without running it: `npm run check`.
 *
 * One line a step; the output of a step is shown only when it failed. All steps run, whatever the earlier ones said.
 * The last line is `check: ok` and the exit code 0, or `check: failed` with the names of the steps, and 1.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const PATH = `${join(root, 'node_modules/.bin')}${delimiter}${process.env['PATH'] ?? ''}`;
const windows = process.platform === 'win32';

/**
 * Runs a program to its end.
 *
 * @param {string[]} command program and arguments
 * @returns {{ ok: boolean, output: string }}
 */
function run([program = '', ...args]) {
  // Windows finds the programs of node_modules/.bin through its shell only.
  const done = spawnSync(program, args, { cwd: root, encoding: 'utf8', shell: windows, env: { ...process.env, PATH } });
  const trouble = done.error === undefined ? '' : `${program}: ${done.error.message}\n`;
  return { ok: done.status === 0, output: `${done.stdout ?? ''}${done.stderr ?? ''}${trouble}` };
}

/**
 * Runs programs one after the other until one fails.
 *
 * @param {string[][]} commands
 */
function runAll(commands) {
  let result = { ok: true, output: '' };
  for (const command of commands) if (result.ok) result = run(command);
  return result;
}

/**
 * Packs the package as `npm publish` would and hands the file to a program: what counts is what users get.
 *
 * @param {string[]} command program and arguments; the file is added
 */
function runOnPackage(command) {
  const folder = mkdtempSync(join(tmpdir(), 'sharedheap-pack-'));
  try {
    const packed = run(['npm', 'pack', '--ignore-scripts', '--pack-destination', folder]);
    const [file] = readdirSync(folder);
    return packed.ok && file !== undefined ? run([...command, join(folder, file)]) : { ...packed, ok: false };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @type {[name: string, step: () => { ok: boolean, output: string }][]} */
const steps = [
  [
    'types',
    () =>
      runAll([
        ['node', 'scripts/clean.mjs'],
        ['tsc', '-p', 'tsconfig.json'],
      ]),
  ],
  [
    'types of tests',
    () =>
      runAll([
        ['tsc', '-p', 'tsconfig.test.json'],
        ['tsc', '-p', 'tsconfig.js.json'],
      ]),
  ],
  ['lint', () => run(['oxlint', '--deny-warnings'])],
  ['format', () => run(['biome', 'format', '--colors=off'])],
  ['import direction', () => run(['node', 'scripts/imports.mjs'])],
  ['knip', () => run(['knip', '--no-progress'])],
  ['publint', () => runOnPackage(['publint', '--strict'])],
  ['are the types wrong', () => runOnPackage(['attw', '--profile', 'esm-only', '--no-emoji', '--no-color'])],
];

/** @type {string[]} */
const failed = [];
for (const [name, step] of steps) {
  const { ok, output } = step();
  console.log(`${name}: ${ok ? 'ok' : 'failed'}`);
  if (ok) continue;
  failed.push(name);
  console.log(output.trimEnd().replaceAll(/^/gm, '  '));
}
console.log(failed.length === 0 ? 'check: ok' : `check: failed (${failed.join(', ')})`);
process.exitCode = failed.length === 0 ? 0 : 1;
