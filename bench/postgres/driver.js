/**
 * Measures the C original, in a measuring process: asks a server process of the cluster to run a workload. One session
 * is one server process.
 *
 * @typedef {import('../cases.js').Measured} Measured
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { EFFORTS } from '../effort.js';
import { samplePhases } from '../phases.js';
import { median } from '../statistics.js';
import { SOCKET_VARIABLE } from './cluster.js';

/** Seconds until sessions begin together: longer than it takes to tell them. */
const LEAD = 0.1;

/** A connection, and the server process behind it. */
class Session {
  constructor() {
    const host = process.env[SOCKET_VARIABLE];
    if (host === undefined) throw new Error('C is measured in a run that has started a cluster, not by itself');
    const args = ['-XAqt', '-h', host, '-U', 'bench', '-d', 'postgres', '-v', 'ON_ERROR_STOP=1'];
    this.psql = spawn(process.env['PSQL'] ?? 'psql', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.psql.stdout })[Symbol.asyncIterator]();
  }

  /** @param {string} query that answers with one row of one value */
  async ask(query) {
    this.psql.stdin.write(`${query};\n`);
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`the server gave no answer to ${query}`);
    return value;
  }

  async close() {
    const ended = once(this.psql, 'exit');
    this.psql.stdin.end();
    await ended;
  }
}

/**
 * @param {string} workload of workloads.c
 * @param {number} a
 * @param {number} b
 * @param {{ quick: boolean }} options
 * @returns {Promise<Measured>}
 */
export async function measureC(workload, a, b, { quick }) {
  const { call, warmUp, time, calls } = quick ? EFFORTS.quick : EFFORTS.full;
  const session = new Session();
  const answer = await session.ask(
    `SELECT array_to_json(bench_run('${workload}', ${a}, ${b}, ARRAY[${call}, ${warmUp}, ${time}, ${calls}]::float8[]))`,
  );
  await session.close();
  const samples = JSON.parse(answer);
  return { samples, operations: Math.max(2, Math.round((call * 1e6) / median(samples))) };
}

/**
 * Two processes on one area, against the first alone.
 *
 * @param {readonly [string, string]} works
 * @param {number} live objects of each process
 * @param {{ quick: boolean }} options
 * @returns {Promise<Measured>}
 */
export async function measureTwoProcesses(works, live, options) {
  const sessions = [new Session(), new Session()];
  const [first, second] = /** @type {[Session, Session]} */ (sessions);
  const area = await first.ask('SELECT bench_area_create()');
  await second.ask(`SELECT bench_area_attach(${area})`);
  const run = async (/** @type {readonly string[]} */ jobs, /** @type {number} */ milliseconds) => {
    const start = (performance.timeOrigin + performance.now()) / 1000 + LEAD;
    const rates = jobs.map(async (work, i) => {
      const query = `SELECT bench_area_run('${work}', ${start}, ${milliseconds}, ${i + 1}, ${live})`;
      return Number(await sessions[i]?.ask(query));
    });
    return (await Promise.all(rates)).reduce((sum, rate) => sum + rate, 0);
  };
  const measured = await samplePhases(run, { alone: [works[0]], together: works }, options);
  await second.ask('SELECT bench_area_leave(false)');
  await first.ask('SELECT bench_area_leave(true)');
  await Promise.all(sessions.map((session) => session.close()));
  return measured;
}
