/** The command line: `npm start -- [PATH] [--workers N] [--query "words"] [--store region|buffers] [--json] [--verify]`. */

import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { queryWords } from './words.js';

const MOST_WORKERS = 64;

export const USAGE = `Usage: npm start -- [PATH] [options]

Indexes the text files under PATH (default: this project's node_modules) into one shared heap and answers a query.

  --workers N              threads that read and index, 1 to ${MOST_WORKERS} (default: one for each processor)
  --query "words"          what to look for (default: "worker thread pool")
  --store region|buffers   where the heap's segments lie (default: region)
  --json                   one JSON document instead of text
  --verify                 check every answer against a plain Map index, and the heap against its invariants
  --help                   this text

Exit code: 0, or 1 when an answer or the heap is wrong, or 2 for bad arguments.`;

/**
 * @typedef {object} Options
 * @property {string} path what is searched
 * @property {string} query
 * @property {number} workers
 * @property {'region' | 'buffers'} store
 * @property {boolean} json
 * @property {boolean} verify
 * @property {boolean} help
 */

/** Something to tell the person at the keyboard. */
export class UsageError extends Error {}

/** Whether a path can be searched at all. */
function exists(path) {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/**
 * Reads the arguments.
 * @param {string[]} args
 * @returns {Options}
 * @throws {UsageError} when they make no sense
 */
export function parseOptions(args) {
  const { values, positionals } = parseStrictly(args);
  const path = positionals[0] ?? relative('', fileURLToPath(new URL('../../node_modules', import.meta.url)));
  const { query, store } = values;
  const workers = Number(values.workers ?? Math.min(availableParallelism(), MOST_WORKERS));
  if (positionals.length > 1) throw new UsageError(`one PATH is wanted, not ${positionals.length}`);
  if (!Number.isInteger(workers) || workers < 1 || workers > MOST_WORKERS) {
    throw new UsageError(`--workers is a whole number from 1 to ${MOST_WORKERS}, not "${values.workers}"`);
  }
  if (store !== 'region' && store !== 'buffers') {
    throw new UsageError(`--store is "region" or "buffers", not "${store}"`);
  }
  if (queryWords(query).length === 0) throw new UsageError(`there is no word to look for in "${query}"`);
  if (!values.help && !exists(path)) throw new UsageError(`${path}: no such file or folder`);
  return { path, query, workers, store, json: values.json, verify: values.verify, help: values.help };
}

/** @param {string[]} args */
function parseStrictly(args) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        workers: { type: 'string' },
        query: { type: 'string', default: 'worker thread pool' },
        store: { type: 'string', default: 'region' },
        json: { type: 'boolean', default: false },
        verify: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(/** @type {Error} */ (error).message);
  }
}
