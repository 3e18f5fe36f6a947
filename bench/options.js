/** The command line of the benchmark. */

import { parseArgs } from 'node:util';
import { CASES, casesNamed, GROUPS, nameOf } from './cases.js';

/** Processes for each case. */
const DEFAULT_RUNS = 2;
const MOST_RUNS = 100;

export const USAGE = `Usage: npm run bench -- [options]

  --json        one JSON object per line: the machine, then a row for each case
  --quick       a short run that shows that everything works; its figures mean little
  --runs N      processes for each case, 1 to ${MOST_RUNS} (default: ${DEFAULT_RUNS}, or 1 with --quick)
  --only NAME   a group, a workload, or a case such as pair-64/area; may be given several times
  --list        the names of all cases
  --save        also write bench/results/<date>.json
  --help        this text

Groups: ${Object.keys(GROUPS).join(', ')}.
Exit code: 0, or 1 when a case failed, or 2 for bad arguments.`;

/** Something to tell the person at the keyboard. */
export class UsageError extends Error {}

/**
 * @typedef {object} Options
 * @property {boolean} json
 * @property {boolean} quick
 * @property {number} runs
 * @property {import('./cases.js').Case[]} cases in the order of the table
 * @property {boolean} list
 * @property {boolean} save
 * @property {boolean} help
 * @property {string | undefined} measure name of a case: this is the process that measures it
 */

/** @param {string[]} args */
function parseStrictly(args) {
  try {
    return parseArgs({
      args,
      options: {
        json: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        runs: { type: 'string' },
        only: { type: 'string', multiple: true, default: [] },
        list: { type: 'boolean', default: false },
        save: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
        measure: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(/** @type {Error} */ (error).message);
  }
}

/** @param {string[]} names */
function chosenCases(names) {
  const unknown = names.find((name) => casesNamed(name).length === 0);
  if (unknown !== undefined) throw new UsageError(`nothing is called "${unknown}"; --list shows the names`);
  const chosen = new Set(names.flatMap(casesNamed).map(nameOf));
  return CASES.filter((one) => names.length === 0 || chosen.has(nameOf(one)));
}

/**
 * @param {string[]} args
 * @returns {Options}
 * @throws {UsageError} when they make no sense
 */
export function parseOptions(args) {
  const { json, quick, runs: text, only, list, save, help, measure } = parseStrictly(args);
  const runs = text === undefined ? (quick ? 1 : DEFAULT_RUNS) : Number(text);
  if (!Number.isInteger(runs) || runs < 1 || runs > MOST_RUNS) {
    throw new UsageError(`--runs is a whole number from 1 to ${MOST_RUNS}, not "${text}"`);
  }
  return { json, quick, runs, cases: chosenCases(only), list, save, help, measure };
}
