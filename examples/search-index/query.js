/**
 * Answers a query: which files hold all of its words, the best ones first.
 *
 * The indexes are read where they lie. Ranking is BM25, the usual measure of text search: a word counts more when
 * few files hold it and when it is frequent in a file, less when the file is long.
 */

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
 * Searches all files.
 * @param {IndexedFile[]} files
 * @param {import('./words.js').Word[]} words
 * @param {number} limit most hits wanted
 * @returns {Answer}
 */
export function search(files, words, limit) {
  const filesWithWord = words.map(() => 0);
  const found = [];
  let postings = 0;
  for (const { path, index } of files) {
    postings += index.length;
    const occurrences = words.map((word) => index.occurrences(word));
    occurrences.forEach((list, i) => (filesWithWord[i] += list.length > 0 ? 1 : 0));
    if (occurrences.every((list) => list.length > 0)) found.push({ path, index, occurrences, score: 0 });
  }
  const meanLength = postings / files.length;
  let occurrences = 0;
  for (const file of found) {
    file.occurrences.forEach((list, i) => {
      occurrences += list.length;
      file.score += bm25(list.length, file.index.length, meanLength, filesWithWord[i], files.length);
    });
  }
  const hits = found
    .sort(byScore)
    .slice(0, limit)
    .map(({ path, score, index, occurrences }) => {
      const { line, offset } = bestLine(index, occurrences);
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
