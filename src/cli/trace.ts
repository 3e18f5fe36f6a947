/**
 * Finds and reads recorded traces.
 *
 * A trace is one JSON object, plain or gzipped: what was done (`ops`) and what the C original answered (`results`),
 * both lists of strings of the same length. Folders are walked recursively for `.json` and `.json.gz`; a file
 * without `kind` and `ops` is some other JSON and is left alone. A file that claims to be a trace and is not
 * well formed is an error, never a silent skip: a replay that reads less than it was given proves nothing.
 */

import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** The kinds of trace that can be replayed. */
export const TRACE_KINDS = ['dsa', 'dsa-multi', 'dsm', 'freepage'] as const;

/** One of {@link TRACE_KINDS}. */
export type TraceKind = (typeof TRACE_KINDS)[number];

/** A recorded trace. */
export interface Trace {
  kind: TraceKind;
  /** The operations, one string each: a word and its arguments. */
  ops: string[];
  /** What the C original answered, one string for each operation. */
  results: string[];
}

/** A path or file that cannot be used; the message is meant for the person at the keyboard. */
export class TraceError extends Error {}

function walk(folder: string, seen: Set<string>, found: string[]): void {
  // A folder may be reachable twice through links, and a link may point upwards: each real folder is read once.
  const real = realpathSync(folder);
  if (seen.has(real)) return;
  seen.add(real);
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory()) walk(path, seen, found);
    else if (stat?.isFile() && /\.json(\.gz)?$/.test(name)) found.push(path);
  }
}

/**
 * Lists the files that may be traces.
 *
 * @param paths files (taken as they are) and folders (walked recursively)
 * @returns file paths, in the order given and by name within a folder
 * @throws TraceError when a path does not exist or cannot be read
 */
export function findTraceFiles(paths: readonly string[]): string[] {
  const found: string[] = [];
  for (const path of paths) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) throw new TraceError(`${path}: no such file or folder`);
    try {
      if (stat.isDirectory()) walk(path, new Set(), found);
      else found.push(path);
    } catch (error) {
      throw new TraceError(`${path}: ${(error as Error).message}`);
    }
  }
  return found;
}

function isStringList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function readJson(file: string): unknown {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipSync(bytes);
  } catch (error) {
    throw new TraceError(`${file}: cannot be read: ${(error as Error).message}`);
  }
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new TraceError(`${file}: broken JSON: ${(error as Error).message}`);
  }
}

/**
 * Reads one file.
 *
 * @param file path of a `.json` or `.json.gz` file (gzip is told by its first bytes, not by the name)
 * @returns the trace, or null when the file holds other JSON (no `kind`, no `ops`)
 * @throws TraceError when the file cannot be read, is not JSON, or is a trace that is not well formed
 */
export function readTrace(file: string): Trace | null {
  const json = readJson(file) as Record<string, unknown> | null;
  if (typeof json !== 'object' || json === null || !('kind' in json) || !('ops' in json)) return null;
  const { kind, ops, results } = json;
  if (!TRACE_KINDS.includes(kind as TraceKind)) {
    throw new TraceError(`${file}: unknown kind ${JSON.stringify(kind)} (known: ${TRACE_KINDS.join(', ')})`);
  }
  if (!isStringList(ops)) throw new TraceError(`${file}: "ops" is not a list of strings`);
  if (!isStringList(results)) throw new TraceError(`${file}: "results" is not a list of strings`);
  if (ops.length !== results.length) {
    throw new TraceError(`${file}: ${ops.length} operations but ${results.length} results`);
  }
  return { kind: kind as TraceKind, ops, results };
}
