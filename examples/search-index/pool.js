/** The worker pool, the same for both ways of handing results back. */

import { Piscina } from 'piscina';
import { progressBar } from './progress.js';

/** Tasks under way for each worker: two that it has, and two that wait. */
const TASKS_PER_WORKER = 4;

/**
 * Starts the threads.
 *
 * `atomics: 'async'` matters. By default an idle piscina worker blocks its event loop in `Atomics.wait`: it would
 * wake up for tasks only, and on the store `buffers` it could neither drop the buffers of segments that were freed
 * nor hand out those that others ask for. Two tasks at a time keep a worker busy while its last result travels.
 *
 * @param {string} script the worker's file, next to this one
 * @param {number} workers
 * @param {object} [workerData]
 */
export function startPool(script, workers, workerData) {
  const filename = new URL(script, import.meta.url).href;
  return new Piscina({
    filename,
    minThreads: workers,
    maxThreads: workers,
    concurrentTasksPerWorker: 2,
    atomics: 'async',
    ...(workerData && { workerData }),
  });
}

/**
 * Gives every file to the pool.
 * @param {Piscina} pool
 * @template Task
 * @param {Task[]} tasks one for each file: its path, or whatever the worker wants to know
 * @param {string} label for the progress bar
 * @param {() => void} [onDone] called for each file that is done
 * @returns {Promise<any[]>} what the workers returned, in the order of the tasks
 */
export async function runAll(pool, tasks, label, onDone) {
  const bar = progressBar(label, tasks.length);
  const results = new Array(tasks.length);
  let next = 0;
  // Enough tasks to keep everybody busy, few enough that a question asked meanwhile is not the last in the queue.
  const lane = async () => {
    while (next < tasks.length) {
      const i = next++;
      results[i] = await pool.run(tasks[i]);
      bar.step();
      onDone?.();
    }
  };
  await Promise.all(Array.from({ length: TASKS_PER_WORKER * pool.threads.length }, lane));
  bar.end();
  return results;
}
