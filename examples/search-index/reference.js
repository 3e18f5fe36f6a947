/**
 * What `--verify` compares with: the same search, written the plain way. One thread, strings, regular expressions,
 * a Map from word to files, and the file read from the disk again whenever a line of it is wanted. It shares with
 * the real one only the ranking formula and the cutting of snippets.
 */

import { readFileSync } from 'node:fs';
import { cutSnippet } from './file-index.js';
import { bm25, byScore } from './query.js';
import { MAX_WORD, MIN_WORD } from './words.js';

/** The words of a text, as latin1 so that a character is a byte: folded, with their offsets. */
function* wordsOf(text) {
  for (const match of text.matchAll(/[0-9A-Za-z_\x80-\xff]+/g)) {
    const word = match[0].replace(/[A-Z]+/g, (upper) => upper.toLowerCase());
    if (word.length >= MIN_WORD && word.length <= MAX_WORD) yield { word, offset: match.index };
  }
}

const latin1ToUtf8 = (text) => Buffer.from(text, 'latin1').toString('utf8');

export class Reference {
  /** For each file: how often each word occurs. */
  #files = new Map();
  /** For each word: the files that hold it. */
  #holders = new Map();
  #postings = 0;

  /**
   * @param {string} path
   * @param {Buffer} bytes
   */
  add(path, bytes) {
    const counts = new Map();
    let length = 0;
    for (const { word } of wordsOf(bytes.toString('latin1'))) {
      counts.set(word, (counts.get(word) ?? 0) + 1);
      length++;
    }
    for (const word of counts.keys()) {
      const holders = this.#holders.get(word);
      if (holders) holders.push(path);
      else this.#holders.set(word, [path]);
    }
    this.#files.set(path, { counts, length });
    this.#postings += length;
  }

  /**
   * Queries that are worth asking: words that do occur, one to three from the same file, chosen by a generator
   * with a fixed seed; and a few that find nothing.
   * @param {number} count
   * @returns {string[]}
   */
  makeQueries(count) {
    let seed = 1;
    const pick = (list) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return list[Math.floor((seed / 2 ** 32) * list.length)];
    };
    const files = [...this.#files.values()].filter(({ counts }) => counts.size > 0);
    if (files.length === 0) return [];
    const queries = Array.from({ length: count }, (_, i) => {
      const words = [...pick(files).counts.keys()];
      return Array.from({ length: 1 + (i % 3) }, () => latin1ToUtf8(pick(words))).join(' ');
    });
    return [...queries, 'no_such_word_anywhere', `${queries[0]} no_such_word_anywhere`];
  }

  /**
   * @param {string} query
   * @param {number} limit
   * @returns {import('./query.js').Answer}
   */
  search(query, limit) {
    const text = Buffer.from(query).toString('latin1');
    const words = [...new Set(Array.from(wordsOf(text), ({ word }) => word))];
    const files = this.#files.size;
    const mean = this.#postings / files;
    const paths = (this.#holders.get(words[0]) ?? []).filter((path) =>
      words.every((word) => this.#files.get(path).counts.has(word)),
    );
    let occurrences = 0;
    const found = paths.map((path) => {
      const { counts, length } = this.#files.get(path);
      let score = 0;
      for (const word of words) {
        occurrences += counts.get(word);
        score += bm25(counts.get(word), length, mean, this.#holders.get(word).length, files);
      }
      return { path, score };
    });
    const hits = found
      .sort(byScore)
      .slice(0, limit)
      .map(({ path, score }) => Object.assign({ path, score }, bestLine(path, words)));
    return { files: found.length, occurrences, hits };
  }
}

/** The line with most of the words, the first of several. */
function bestLine(path, words) {
  const bytes = readFileSync(path);
  let start = 0;
  let best = { words: 0, line: 0, snippet: '' };
  for (const [number, line] of bytes.toString('latin1').split('\n').entries()) {
    const seen = new Set();
    let first = -1;
    for (const { word, offset } of wordsOf(line)) {
      if (!words.includes(word)) continue;
      seen.add(word);
      if (first === -1) first = start + offset;
    }
    if (seen.size > best.words) {
      const end = Math.min(start + line.length + 1, bytes.length);
      best = { words: seen.size, line: number + 1, snippet: cutSnippet(bytes, start, end, first) };
    }
    start += line.length + 1;
  }
  return { line: best.line, snippet: best.snippet };
}
