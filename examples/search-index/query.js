/**
 * Answers a query: which files hold all of its words, the best ones first.
 *
 * The indexes are read where they lie, in the shared heap or in what a worker has returned. Ranking is BM25, the usual measure of text search: a word counts more when
 * few files hold it and when it is frequent in a file, less when the file is long.
 */

import { FileIndex } from './file-index.js';

/**
 * A file that is searched.
 * @typedef {{ path: string, index: import('./file-index.js').FileIndex }} IndexedFile
 *
 * A file that is found, and its best line.
 * @typedef {{ path: string, line: number, score: number, snippet: string }} Hit
 *
 * @typedef {{ files: number, occurrences: number, hits: Hit[] }} Answer
 */

/** The part of a file's score that one word gives. */
export function bm25(count, length, meanLength, filesWithWord, files) {
  const rarity = Math.log(1 + (files - filesWithWord + 0.5) / (filesWithWord + 0.5));
  return (rarity * count * 2.2) / (count + 1.2 * (0.25 + (0.75 * length) / meanLength));
}

/** Best score first; equal ones by path, so that an answer is always the same. */
export const byScore = (a, b) => b.score - a.score || (a.path < b.path ? -1 : 1);

/**
 * Searches the shared index: the lists of the words say which files hold all of them, and only those are looked into.
 * @param {import('sharedheap').SharedHeap} heap
 * @param {import('./term-index.js').TermIndex} terms
 * @param {import('./words.js').Word[]} words
 * @param {number} limit most hits wanted
 * @returns {Answer}
 */
export function search(heap, terms, words, limit) {
  const lists = words.map((word) => terms.filesWith(word.bytes));
  const { files, words: length } = terms.totals;
  const [shortest = [], ...others] = [...lists].sort((a, b) => a.length - b.length);
  const sets = others.map((list) => new Set(list));
  const holders = shortest.filter((pointer) => sets.every((set) => set.has(pointer)));
  const filesWithWord = lists.map((list) => list.length);
  const indexed = holders.map((pointer) => ({
    path: terms.pathOf(pointer),
    index: new FileIndex(heap.bytes(pointer)),
  }));
  return rank(indexed, words, { filesWithWord, files, meanLength: length / files }, limit);
}

/**
 * Searches files without a shared index, one after the other.
 * @param {IndexedFile[]} files
 * @param {import('./words.js').Word[]} words
 * @param {number} limit most hits wanted
 * @returns {Answer}
 */
export function scan(files, words, limit) {
  const filesWithWord = words.map(() => 0);
  const holders = files.filter(({ index }) => {
    const has = words.map((word) => index.occurrences(word).length > 0);
    has.forEach((yes, i) => (filesWithWord[i] += yes ? 1 : 0));
    return has.every(Boolean);
  });
  const length = files.reduce((sum, { index }) => sum + index.length, 0);
  return rank(holders, words, { filesWithWord, files: files.length, meanLength: length / files.length }, limit);
}

/** The answer, given the files that hold all words and the figures that BM25 wants. */
function rank(holders, words, { filesWithWord, files, meanLength }, limit) {
  let occurrences = 0;
  const found = holders.map(({ path, index }) => {
    const lists = words.map((word) => index.occurrences(word));
    let score = 0;
    lists.forEach((list, i) => {
      occurrences += list.length;
      score += bm25(list.length, index.length, meanLength, filesWithWord[i], files);
    });
    return { path, index, lists, score };
  });
  const hits = found
    .sort(byScore)
    .slice(0, limit)
    .map(({ path, score, index, lists }) => {
      const { line, offset } = bestLine(index, lists);
      return { path, line: line + 1, score, snippet: index.snippet(line, offset) };
    });
  return { files: found.length, occurrences, hits };
}

/** The line with most of the words, the first of several; and where the first of them stands in it. */
function bestLine(index, occurrences) {
  /** @type {Map<number, { words: Set<number>, offset: number }>} */
  const lines = new Map();
  occurrences.forEach((list, word) => {
    for (const offset of list) {
      const line = index.lineOf(offset);
      const seen = lines.get(line);
      if (seen === undefined) lines.set(line, { words: new Set([word]), offset });
      else {
        seen.words.add(word);
        seen.offset = Math.min(seen.offset, offset);
      }
    }
  });
  let best = { line: -1, words: 0, offset: 0 };
  for (const [line, { words, offset }] of lines) {
    if (words.size > best.words || (words.size === best.words && line < best.line))
      best = { line, words: words.size, offset };
  }
  return best;
}
