#!/usr/bin/env node
/**
 * `npm run replay -- PATH...`: replays recorded traces of the C original and compares every result.
 *
 * This file is the command: arguments, one line a file, the first difference of each, the sum and the exit code.
 * What an operation does is in `replay-dsa`, `replay-dsm` and `replay-freepage`; finding and reading files in
 * `trace`. Results are compared as exact strings.
 */

import { parseArgs } from 'node:util';
import { replayDsa, replayDsaMulti } from './replay-dsa.js';
import { replayDsm } from './replay-dsm.js';
import { replayFreepage } from './replay-freepage.js';
import type { Report, StoreKind } from './replay-ops.js';
import { findTraceFiles, readTrace, type Trace, TraceError } from './trace.js';

const USAGE = `Usage: replay PATH... [--store region|buffers] [--json]

Replays recorded traces (.json, .json.gz; folders recursively) and compares every result.

  --store region|buffers   where segments lie (default: region)
  --json                   one JSON document instead of lines
  --help                   this text

Exit code: 0 no difference, 1 differences, 2 bad arguments, missing paths, unreadable traces or no trace.`;

/** A result that differs from what was recorded. */
interface Difference {
  /** Number of the operation, counted from 1; one more than there are when closing down failed. */
  operation: number;
  op: string;
  expected: string;
  got: string;
}

/** What became of one file. */
interface FileReport {
  file: string;
  kind: string;
  operations: number;
  differences: number;
  first: Difference | null;
}

/** The whole answer, which `--json` prints. */
interface ReplayReport {
  store: StoreKind;
  files: FileReport[];
  errors: string[];
  operations: number;
  differences: number;
  summary: string;
}

/** Something to tell the person at the keyboard, together with the usage. */
class UsageError extends Error {}

function runTrace({ kind, ops }: Trace, store: StoreKind, report: Report): void {
  if (kind === 'dsa') replayDsa(ops, store, report);
  else if (kind === 'dsa-multi') replayDsaMulti(ops, store, report);
  else if (kind === 'dsm') replayDsm(ops, store, report);
  else replayFreepage(ops, report);
}

/**
 * Replays one trace.
 *
 * @param file name for the report
 * @param trace what to replay
 * @param store where segments lie
 * @returns how many results differ, and the first of them
 */
function replayTrace(file: string, trace: Trace, store: StoreKind): FileReport {
  const { kind, ops, results } = trace;
  const out: FileReport = { file, kind, operations: ops.length, differences: 0, first: null };
  const differ = (index: number, got: string): void => {
    out.differences++;
    const op = ops[index] ?? '(closing down)';
    out.first ??= { operation: index + 1, op, expected: results[index] ?? '(no error)', got };
  };
  let done = 0;
  try {
    runTrace(trace, store, (index, got) => {
      done = index + 1;
      if (got !== results[index]) differ(index, got);
    });
  } catch (error) {
    differ(done++, `threw ${String(error)}`);
  }
  for (; done < ops.length; done++) differ(done, 'not run');
  return out;
}

/** Where two texts part: the whole of short ones, of longer ones the first line that differs. */
function contrast({ expected, got }: Difference): string[] {
  const a = expected.split('\n');
  const b = got.split('\n');
  let line = 0;
  while (line < a.length - 1 && line < b.length - 1 && a[line] === b[line]) line++;
  const where = Math.max(a.length, b.length) > 1 ? ` (line ${line + 1})` : '';
  return [`    expected${where}: ${a[line]}`, `    got${where}: ${b[line]}`];
}

function describe(report: FileReport): string {
  const { file, operations, differences, first } = report;
  if (first === null) return `ok    ${file}: ${operations} operations`;
  return [
    `FAIL  ${file}: ${differences} of ${operations} operations differ`,
    `  first difference at operation ${first.operation}: ${first.op}`,
    ...contrast(first),
  ].join('\n');
}

function parse(args: string[]): { paths: string[]; store: StoreKind; json: boolean; help: boolean } {
  let parsed;
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        store: { type: 'string', default: 'region' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { store, json, help } = parsed.values;
  if (store !== 'region' && store !== 'buffers') {
    throw new UsageError(`--store is "region" or "buffers", not "${store}"`);
  }
  if (parsed.positionals.length === 0 && !help) throw new UsageError('no path given');
  return { paths: parsed.positionals, store, json, help };
}

/** A line that overwrites itself, on a terminal only. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns || 80) - 1)}`);
}

function replayAll(paths: string[], store: StoreKind, show: (line: string) => void): ReplayReport {
  const report: ReplayReport = { store, files: [], errors: [], operations: 0, differences: 0, summary: '' };
  const candidates = findTraceFiles(paths);
  for (const [index, file] of candidates.entries()) {
    progress(`${index + 1}/${candidates.length} ${file}`);
    try {
      const trace = readTrace(file);
      if (trace === null) continue;
      const one = replayTrace(file, trace, store);
      report.files.push(one);
      report.operations += one.operations;
      report.differences += one.differences;
      progress('');
      show(describe(one));
    } catch (error) {
      if (!(error instanceof TraceError)) throw error;
      report.errors.push(error.message);
      progress('');
      console.error(`replay: ${error.message}`);
    }
  }
  progress('');
  report.summary = `${report.files.length} files, ${report.operations} operations, ${report.differences} differences`;
  return report;
}

/**
 * The command.
 *
 * @param args the arguments, without the names of node and of the script
 * @returns the exit code
 */
function main(args: string[]): number {
  try {
    const { paths, store, json, help } = parse(args);
    if (help) {
      console.log(USAGE);
      return 0;
    }
    const report = replayAll(paths, store, json ? () => {} : (line) => console.log(line));
    console.log(json ? JSON.stringify(report, null, 1) : report.summary);
    if (report.files.length === 0 && report.errors.length === 0) {
      console.error(`replay: no trace in ${paths.join(', ')}`);
    }
    if (report.files.length === 0 || report.errors.length > 0) return 2;
    return report.differences === 0 ? 0 : 1;
  } catch (error) {
    if (error instanceof UsageError) console.error(`replay: ${error.message}\n\n${USAGE}`);
    else if (error instanceof TraceError) console.error(`replay: ${error.message}`);
    else throw error;
    return 2;
  }
}

process.exitCode = main(process.argv.slice(2));
