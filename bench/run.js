/**
 * `npm run bench`: measures the library against the C original and against other allocators.
 *
 * Every case runs in processes of its own. The rounds go through all cases, forwards and backwards in turn, so that the
 * processes of one case are spread over the whole time and a noisy moment hits all alike; each process gives a median,
 * and the figure is the median of these. Nothing is written anywhere but to the output, unless `--save` is given.
 *
 * Read on in cases.js (what is measured), measure.js (how), summary.js (what is reported).
 */

import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CASES, nameOf } from './cases.js';
import { machineFacts } from './machine.js';
import { measure } from './measure.js';
import { parseOptions, USAGE, UsageError } from './options.js';
import { startCluster } from './postgres/cluster.js';
import { C } from './subjects/subjects.js';
import { summarise } from './summary.js';
import { textReport } from './table.js';

const SELF = fileURLToPath(import.meta.url);
const RESULTS = new URL('results/', import.meta.url);

/** Milliseconds after which a process is given up. The longest needs some ten seconds. */
const PATIENCE = 300_000;

/**
 * @typedef {import('./options.js').Options} Options
 * @typedef {import('./cases.js').Case} Case
 *
 * @typedef {object} Head
 * @property {ReturnType<typeof machineFacts>} machine
 * @property {boolean} quick
 * @property {number} runs
 * @property {string | null} postgresql version of the C original that was measured in this run
 * @property {{ subject: string, why: string }[]} skipped subjects that could not be had
 */

/**
 * Measures a case in a new process.
 *
 * @param {string} name
 * @param {boolean} quick
 * @returns {Promise<import('./cases.js').Measured>}
 */
async function measureApart(name, quick) {
  const args = [...process.execArgv, SELF, '--measure', name, ...(quick ? ['--quick'] : [])];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: PATIENCE, maxBuffer: 2 ** 26 });
  return JSON.parse(stdout);
}

/**
 * The measuring process: prints what it found.
 *
 * @param {string} name
 * @param {boolean} quick
 */
async function measureHere(name, quick) {
  const one = CASES.find((other) => nameOf(other) === name);
  if (one === undefined) throw new UsageError(`--measure wants the name of a case, not "${name}"`);
  process.stdout.write(JSON.stringify(await measure(one, { quick })));
}

/** Shows how far we are, on a terminal only. @param {string} text */
function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

/** What a process that failed had to say. @param {any} error as execFile gives it */
function explain({ stderr, message, cmd, signal }) {
  if (signal) return `ended by ${signal}`;
  return stderr ? stderr.trimEnd() : message.replace(cmd, 'the process');
}

/**
 * @param {readonly Case[]} cases
 * @param {Options} options
 */
async function measureAll(cases, { runs, quick }) {
  const names = cases.map(nameOf);
  /** @type {Map<string, import('./cases.js').Measured[]>} */
  const results = new Map(names.map((name) => [name, []]));
  /** @type {string[]} */
  const failures = [];
  const fail = (/** @type {string} */ name, /** @type {string} */ why) => {
    failures.push(why);
    progress('');
    const again = failures.length > 1 && why === failures.at(-2);
    console.error(`${name} failed${again ? ' in the same way' : `: ${why}`}`);
  };
  for (let round = 0; round < runs; round++) {
    const order = round % 2 === 0 ? names : [...names].reverse();
    for (const [i, name] of order.entries()) {
      progress(`round ${round + 1} of ${runs}, ${i + 1} of ${names.length}: ${name}`);
      try {
        const measured = await measureApart(name, quick);
        results.get(name)?.push(measured);
        if (measured.failure !== undefined) fail(name, measured.failure);
      } catch (error) {
        fail(name, explain(error));
      }
    }
  }
  progress('');
  return { results, failed: failures.length };
}

/**
 * Sorts out what cannot be had here.
 *
 * @param {readonly Case[]} cases
 * @returns {{ available: Case[], skipped: { subject: string, why: string }[] }}
 */
function sortOut(cases) {
  /** @type {Map<string, string | undefined>} */
  const reasons = new Map();
  const available = cases.filter(({ subject, missing }) => {
    if (!reasons.has(subject)) reasons.set(subject, missing?.());
    return reasons.get(subject) === undefined;
  });
  const skipped = [...reasons].flatMap(([subject, why]) => (why === undefined ? [] : [{ subject, why }]));
  return { available, skipped };
}

/** The server of the C original, if it is wanted and can be had. @param {readonly Case[]} cases */
async function openC(cases) {
  if (!cases.some(({ id }) => id === C.id)) return { cluster: null, why: undefined };
  try {
    return { cluster: await startCluster(), why: undefined };
  } catch (error) {
    const why = /** @type {Error} */ (error).message.trimEnd().split('\n').at(-1) ?? '';
    return { cluster: null, why: `its server does not start: ${why}` };
  }
}

/**
 * @param {string} name
 * @param {object} results
 */
function save(name, results) {
  // Numbers of a list on one line, as the formatter has them.
  const text = JSON.stringify(results, null, 2).replaceAll(/\[[^[\]{}]*\]/g, (list) =>
    list.replaceAll(/\s+/g, ' ').replace('[ ', '[').replace(' ]', ']'),
  );
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(new URL(name, RESULTS), `${text}\n`);
  console.error(`written: bench/results/${name}`);
}

/** @param {Options} options */
async function run(options) {
  const machine = machineFacts();
  const { quick, runs } = options;
  const { available, skipped } = sortOut(options.cases);
  const { cluster, why } = await openC(available);
  if (why !== undefined) skipped.push({ subject: C.subject, why });
  const cases = why === undefined ? available : available.filter(({ id }) => id !== C.id);
  /** @type {Head} */
  const head = { machine, quick, runs, postgresql: cluster?.version ?? null, skipped };
  if (options.json) console.log(JSON.stringify(head));
  else for (const one of skipped) console.log(`skipped: ${one.subject}: ${one.why}`);
  const { results, failed } = await measureAll(cases, options).finally(() => cluster?.stop());
  const rows = summarise(cases, results);
  if (options.json) for (const row of rows) console.log(JSON.stringify(row));
  else console.log(textReport(head, rows));
  if (options.save) save(`${machine.date.slice(0, 10)}.json`, { ...head, rows });
  return failed === 0 ? 0 : 1;
}

async function main() {
  try {
    const options = parseOptions(process.argv.slice(2));
    if (options.help) console.log(USAGE);
    else if (options.list) console.log(options.cases.map(nameOf).join('\n'));
    else if (options.measure !== undefined) await measureHere(options.measure, options.quick);
    else process.exitCode = await run(options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`bench: ${error.message}\n\n${USAGE}`);
    process.exitCode = 2;
  }
}

await main();
