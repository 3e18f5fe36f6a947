/** What `--verify` does: every answer against the plain reference, the heap against its own invariants. */

import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { progressBar } from './progress.js';
import { Reference } from './reference.js';
import { queryWords } from './words.js';

const GENERATED_QUERIES = 200;
const FAILURES_SHOWN = 10;

/**
 * A file that cannot be read is not indexed.
 * @param {string} file
 */
function readIfPossible(file) {
  try {
    return readFileSync(file);
  } catch {
    return null;
  }
}

export class Verifier {
  checks = 0;
  /** @type {string[]} */
  failures = [];
  #limit;
  /**
   * Queries and the answers that the reference gives.
   * @type {{ query: string, expected: import('./query.js').Answer }[]}
   */
  #expected;

  /**
   * Reads every file again, in this thread, with plain JavaScript.
   * @param {string[]} files all that were given to the workers
   * @param {import('./query.js').IndexedFile[]} indexed what they made of them
   * @param {string} query
   * @param {number} limit hits in an answer
   */
  constructor(files, indexed, query, limit) {
    const indexes = new Map(indexed.map(({ path, index }) => [path, index]));
    this.#limit = limit;
    const reference = new Reference();
    const bar = progressBar('reading again', files.length);
    for (const file of files) {
      const bytes = readIfPossible(file);
      const isText = bytes !== null && !bytes.subarray(0, 8000).includes(0);
      const index = indexes.get(file);
      this.check(isText === (index !== undefined), `${file}: ${isText ? 'text, not indexed' : 'binary, indexed'}`);
      if (isText) reference.add(file, bytes);
      if (index) this.check(bytes?.equals(index.text) === true, `${file}: the text in the heap differs from the file`);
      bar.step();
    }
    bar.end();
    const queries = [query, ...reference.makeQueries(GENERATED_QUERIES)];
    const answering = progressBar('answering the plain way', queries.length);
    this.#expected = queries.map((text) => {
      answering.step();
      return { query: text, expected: reference.search(text, limit) };
    });
    answering.end();
  }

  /**
   * @param {boolean} good
   * @param {string} what is wrong if not
   */
  check(good, what) {
    this.checks++;
    if (!good) this.failures.push(what);
  }

  /**
   * Asks all queries and compares the answers, to the last digit of each score.
   * @param {(words: import('./words.js').Word[], limit: number) => import('./query.js').Answer} ask
   * @param {string} when
   */
  checkAnswers(ask, when) {
    for (const { query, expected } of this.#expected) {
      const answer = ask(queryWords(query), this.#limit);
      this.check(isDeepStrictEqual(answer, expected), `${when}, query "${query}": the answer differs`);
    }
  }

  /**
   * What workers answered while others were indexing: never more files than there are.
   * @param {import('./search-index.js').EarlyAnswer[]} early
   * @param {number} files
   */
  checkEarly(early, files) {
    const [{ expected }] = this.#expected;
    for (const { files: known, found } of early) {
      this.check(known <= files && found <= expected.files, `while indexing: ${found} of ${known} files found`);
    }
  }

  /**
   * @param {import('sharedheap').SharedHeap} heap
   * @param {string} when
   */
  checkHeap(heap, when) {
    const { ok, findings } = heap.verify();
    this.check(ok, `${when}, heap.verify(): ${JSON.stringify(findings.slice(0, 3))}`);
  }

  /**
   * After everything was freed nothing may be left but the empty tables.
   * @param {import('sharedheap').SharedHeap} heap
   * @param {number} objects that the empty tables took at first
   */
  checkEmpty(heap, objects) {
    const { liveObjects } = heap.stats();
    this.check(liveObjects === objects, `at the end: ${liveObjects} objects are left, not ${objects}`);
    this.checkHeap(heap, 'at the end');
  }

  /** What failed, and the last line. */
  get verdict() {
    const shown = this.failures.slice(0, FAILURES_SHOWN).map((failure) => `failed: ${failure}`);
    return [...shown, `verify: ${this.checks} checks, ${this.failures.length} failed`];
  }
}
