/**
 * A code search index in one shared heap.
 *
 * A pool of workers reads and indexes files. The index of a file is one object in the heap; what travels between threads
 * is a pointer, a number. One shared table leads from each word to the files that hold it: all workers fill it at the
 * same time, and any of them answers from it meanwhile. The main thread answers a query, frees half of the files, has
 * them indexed again and answers again. At the end the same job is done with results that are copied by structured
 * clone, and the figures of both are shown.
 *
 * Read on in worker.js (how an index gets into the heap), term-index.js (the shared table), file-index.js (what a file's
 * index looks like) and query.js (how both are read).
 */

import { isDeepStrictEqual } from 'node:util';
import { SharedHeap } from 'sharedheap';
import { runCloneJob } from './clone-job.js';
import { LARGEST_FILE, listFiles } from './files.js';
import { parseOptions, USAGE, UsageError } from './options.js';
import { startPool } from './pool.js';
import { scan } from './query.js';
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
  const { liveObjects } = heap.stats();
  const early = await index.add(files, 'indexing', query);
  const indexing = { seconds: secondsSince(start), residentBytes: process.memoryUsage.rss() };
  const { answer, milliseconds } = index.answer(query, HITS);

  const verifier = verify ? new Verifier(files, index.view(), query, HITS) : null;
  verifier?.checkEarly(early, files.length);
  checkBoth(verifier, index, 'at first');
  verifier?.checkHeap(heap, 'at first');

  const half = index.paths.filter((_, i) => i % 2 === 0);
  const startAgain = performance.now();
  for (const file of half) index.remove(file);
  await index.add(half, 'indexing again', query);
  const again = {
    files: half.length,
    seconds: secondsSince(startAgain),
    sameAnswer: isDeepStrictEqual(index.answer(query, HITS).answer, answer),
  };
  checkBoth(verifier, index, 'after indexing again');
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
    early: summary(early),
    answer: { ...answer, milliseconds },
    again,
    heap: heap.stats(),
    clone: await runCloneJobs({ files, workers, query, hits: HITS }, answer),
  };

  for (const file of index.paths) index.remove(file);
  index.clear();
  verifier?.checkEmpty(heap, liveObjects);
  await pool.destroy();
  heap.close();
  return { report, verifier };
}

/**
 * The shared index and the files one by one must give the same answers.
 * @param {Verifier | null} verifier
 * @param {SearchIndex} index
 * @param {string} when
 */
function checkBoth(verifier, index, when) {
  const files = index.view();
  verifier?.checkAnswers((words, limit) => index.search(words, limit), when);
  verifier?.checkAnswers((words, limit) => scan(files, words, limit), `${when}, file by file`);
}

/**
 * What was answered while indexing went on.
 * @param {import('./search-index.js').EarlyAnswer[]} early
 */
function summary(early) {
  const times = early.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
  return {
    questions: early.length,
    milliseconds: times[times.length >> 1] ?? 0,
    files: early.map(({ files }) => files),
  };
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
