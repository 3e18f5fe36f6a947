/**
 * The same job without a shared heap: results come back by structured clone. It runs in a process of its own, as
 * the shared heap's job does, so that the memory of the two can be compared. main.js calls `runCloneJob`, which
 * forks this very file.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { FileIndex } from './file-index.js';
import { runAll, startPool } from './pool.js';
import { scan } from './query.js';
import { queryWords } from './words.js';

/**
 * @typedef {object} CloneTask
 * @property {string[]} files
 * @property {number} workers
 * @property {string} query
 * @property {number} hits most hits wanted
 * @property {'bytes' | 'objects'} as what the workers return: the very bytes that the heap would hold, or the
 *   Maps and arrays that a program without an index format would make (these are not searched)
 *
 * @typedef {{ seconds: number, residentBytes: number, answer: import('./query.js').Answer | null }} CloneResult
 */

const THIS_FILE = fileURLToPath(import.meta.url);

/**
 * Runs the job in a child process.
 * @param {CloneTask} task
 * @returns {Promise<CloneResult>}
 */
export async function runCloneJob(task) {
  const child = fork(THIS_FILE, ['child']);
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the structured clone job ended early with code ${code}`);
  });
  child.send(task);
  const [result] = await Promise.race([once(child, 'message'), ended]);
  child.disconnect();
  return result;
}

/** @param {CloneTask} task */
async function work({ files, workers, query, hits, as }) {
  const start = performance.now();
  const pool = startPool('clone-worker.js', workers);
  const tasks = files.map((file) => ({ file, as }));
  const results = await runAll(pool, tasks, `structured clone of ${as}`);
  const seconds = (performance.now() - start) / 1000;
  const residentBytes = process.memoryUsage.rss();
  /** @type {CloneResult['answer']} */
  let answer = null;
  if (as === 'bytes') {
    const indexes = results.flatMap((memory, i) => (memory ? [{ path: files[i], index: new FileIndex(memory) }] : []));
    answer = scan(indexes, queryWords(query), hits);
  }
  process.send?.({ seconds, residentBytes, answer });
  await pool.destroy();
}

if (process.argv[1] === THIS_FILE && process.argv[2] === 'child') process.once('message', work);
