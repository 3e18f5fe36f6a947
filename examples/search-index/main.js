/**
 * A code search index in one shared heap.
 *
 * A pool of workers reads and indexes files. Each index is one object in the heap; what travels between threads is
 * a pointer, a number. The main thread answers a query over all files by reading the indexes where they lie, frees
 * half of them, has them made again and answers again. At the end the same job is done with results that are copied
 * by structured clone, and the figures of both are shown.
 *
 * Read on in worker.js (how an index gets into the heap), file-index.js (what it looks like) and query.js (how it
 * is read).
 */

import { isDeepStrictEqual } from 'node:util';
import { SharedHeap } from 'sharedheap';
import { runCloneJob } from './clone-job.js';
import { LARGEST_FILE, listFiles } from './files.js';
import { parseOptions, USAGE, UsageError } from './options.js';
import { startPool } from './pool.js';
import { textReport } from './report.js';
import { SearchIndex } from './search-index.js';
import { Verifier } from './verify.js';

/** Hits shown. */
const HITS = 5;

/**
 * Everything but the output.
 * @param {import('./options.js').Options} options
 */
async function run({ path, query, workers, store, verify }) {
  const { files, tooLarge } = listFiles(path);
  if (files.length === 0) throw new UsageError(`${path}: there is no file to index`);

  const start = performance.now();
  const heap = SharedHeap.create({ store, participants: workers + 8 });
  const pool = startPool('worker.js', workers, { heap: heap.handle });
  heap.watch(pool);
  const index = new SearchIndex(heap, pool);
  await index.add(files, 'indexing');
  const indexing = { seconds: secondsSince(start), residentBytes: process.memoryUsage.rss() };
  const { answer, milliseconds } = index.answer(query, HITS);

  const verifier = verify ? new Verifier(files, index.view(), query, HITS) : null;
  verifier?.checkAnswers(index.view(), 'at first');
  verifier?.checkHeap(heap, 'at first');

  const half = index.paths.filter((_, i) => i % 2 === 0);
  const startAgain = performance.now();
  for (const file of half) index.remove(file);
  await index.add(half, 'indexing again');
  const again = {
    files: half.length,
    seconds: secondsSince(startAgain),
    sameAnswer: isDeepStrictEqual(index.answer(query, HITS).answer, answer),
  };
  verifier?.checkAnswers(index.view(), 'after indexing again');
  verifier?.checkHeap(heap, 'after indexing again');

  const indexed = index.view();
  const report = {
    path,
    query,
    workers,
    files: {
      indexed: indexed.length,
      bytes: indexed.reduce((sum, file) => sum + file.index.bytes, 0),
      binary: files.length - indexed.length,
      tooLarge,
      largest: LARGEST_FILE,
    },
    indexing,
    answer: { ...answer, milliseconds },
    again,
    heap: heap.stats(),
    clone: await runCloneJobs({ files, workers, query, hits: HITS }, answer),
  };

  for (const file of index.paths) index.remove(file);
  verifier?.checkEmpty(heap);
  await pool.destroy();
  heap.close();
  return { report, verifier };
}

/**
 * The other way of doing the same, for comparison.
 * @param {Omit<import('./clone-job.js').CloneTask, 'as'>} task
 * @param {import('./query.js').Answer} expected
 */
async function runCloneJobs(task, expected) {
  const { answer, ...bytes } = await runCloneJob({ ...task, as: 'bytes' });
  const { answer: _, ...objects } = await runCloneJob({ ...task, as: 'objects' });
  return { bytes: { ...bytes, sameAnswer: isDeepStrictEqual(answer, expected) }, objects };
}

/** @param {number} start as performance.now() gave it */
function secondsSince(start) {
  return (performance.now() - start) / 1000;
}

/** @typedef {Awaited<ReturnType<typeof run>>['report']} Report */

/**
 * The command.
 * @param {string[]} args
 * @returns {Promise<number>} the exit code
 */
async function main(args) {
  try {
    const options = parseOptions(args);
    if (options.help) {
      console.log(USAGE);
      return 0;
    }
    const { report, verifier } = await run(options);
    const { json } = options;
    const verify = verifier && {
      checks: verifier.checks,
      failed: verifier.failures.length,
      failures: verifier.failures,
    };
    console.log(json ? JSON.stringify({ ...report, verify }, null, 2) : textReport(report));
    // With --json stdout is the document and nothing else, so the verdict goes to stderr.
    const say = json ? console.error : console.log;
    if (verifier) for (const line of verifier.verdict) say(line);
    return report.again.sameAnswer && report.clone.bytes.sameAnswer && !verify?.failed ? 0 : 1;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    return 2;
  }
}

process.exitCode = await main(process.argv.slice(2));
