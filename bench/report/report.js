/**
 * `npm run bench:report [-- FILE]`: makes the tables of bench/README.md, between its markers, and bench/chart.svg from a
 * file that `npm run bench -- --save` has written; from the newest in bench/results/ when none is named.
 *
 *   --readme FILE   another file with the markers (default: bench/README.md)
 *   --chart FILE    where the chart goes (default: bench/chart.svg)
 *
 * The same results give the same bytes. Exit code: 0, or 2 when the arguments make no sense.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chart } from './chart.js';
import { markdown } from './markdown.js';

const BENCH = fileURLToPath(new URL('..', import.meta.url));
const BEGIN = '<!-- results: begin -->';
const END = '<!-- results: end -->';

/** Something to tell the person at the keyboard. */
class UsageError extends Error {}

/** @typedef {import('../run.js').Head & { rows: import('../summary.js').Row[] }} Results */

function newest() {
  const files = readdirSync(`${BENCH}results`).filter((name) => /^\d{4}-\d\d-\d\d\.json$/.test(name));
  const last = files.sort().at(-1);
  if (last === undefined) throw new UsageError('there are no results yet; npm run bench -- --save makes them');
  return `${BENCH}results/${last}`;
}

/** @param {string} file @returns {Results} */
function readResults(file) {
  let results;
  try {
    results = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`${file}: ${/** @type {Error} */ (error).message}`);
  }
  if (!Array.isArray(results?.rows) || results.rows.length === 0 || results.machine === undefined) {
    throw new UsageError(`${file}: these are no results that npm run bench -- --save has written`);
  }
  return results;
}

/**
 * @param {string} text with the markers
 * @param {string} tables what shall stand between them
 * @param {string} file for the message
 */
function between(text, tables, file) {
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new UsageError(`${file}: there is no ${BEGIN} with ${END} after it`);
  return `${text.slice(0, begin + BEGIN.length)}\n\n${tables}\n\n${text.slice(end)}`;
}

/** @param {string[]} args */
function parse(args) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        readme: { type: 'string', default: `${BENCH}README.md` },
        chart: { type: 'string', default: `${BENCH}chart.svg` },
      },
    });
  } catch (error) {
    throw new UsageError(/** @type {Error} */ (error).message);
  }
}

/** @param {string[]} args */
function report(args) {
  const { values, positionals } = parse(args);
  const [file = newest(), ...more] = positionals;
  if (more.length > 0) throw new UsageError(`one file at a time, not "${more.join(' ')}" too`);
  const results = readResults(file);
  const readme = between(readFileSync(values.readme, 'utf8'), markdown(results), values.readme);
  writeFileSync(values.chart, chart(results));
  writeFileSync(values.readme, readme);
}

try {
  report(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`bench:report: ${error.message}`);
  process.exitCode = 2;
}
