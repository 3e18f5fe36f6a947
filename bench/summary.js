/**
 * From samples to rows: medians, and ratios to what there is to compare with.
 *
 * @typedef {import('./cases.js').Case} Case
 * @typedef {import('./cases.js').Measured} Measured
 *
 * @typedef {object} Row
 * @property {string} name workload and subject; unique
 * @property {string} group
 * @property {string} workload
 * @property {string} subject
 * @property {'ns'} unit of all times below: for one operation
 * @property {number} median the median of the processes' medians
 * @property {number} mean of all samples: also what rarely happens, such as collecting garbage
 * @property {number} min of all samples
 * @property {number} p25 of all samples
 * @property {number} p75 of all samples
 * @property {number | null} p99 of all samples, where each is one operation
 * @property {number} samples how many, of all processes
 * @property {number} batch operations in a sample; the median of the processes
 * @property {number[]} processes the median of each process
 * @property {number | null} c the figure of the C original, recorded on such a machine, not in this run
 * @property {number | null} ratioToC
 * @property {Record<string, number>} ratioToPeers to the medians of others in this run
 * @property {number | null} ratioToFirst to the smallest of its series, when that was measured too
 * @property {ThreadFigures} [threads]
 *
 * @typedef {object} ThreadFigures
 * @property {number} oneThread ns per operation of one thread that is alone
 * @property {number} scaling operations per second of two threads over those of one
 * @property {number} machineScaling the same for plain arithmetic, at the same moments
 * @property {number | null} cScaling the same for two processes of the C original
 *
 * @typedef {object} Reference
 * @property {string} label
 * @property {string} postgresql
 * @property {string} cpu
 * @property {number} cpus
 * @property {Record<string, number>} medians
 * @property {Record<string, { scaling: number }>} threads
 */

import { readFileSync } from 'node:fs';
import { CASES, nameOf } from './cases.js';

/** The figures of the C original; see its `method`. @type {Reference} */
export const REFERENCE = JSON.parse(readFileSync(new URL('reference.json', import.meta.url), 'utf8'));

/**
 * The value below which a part of the numbers lies, linear between neighbours.
 *
 * @param {readonly number[]} numbers
 * @param {number} part 0 .. 1
 */
function quantile(numbers, part) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

/** @param {readonly number[]} numbers */
const median = (numbers) => quantile(numbers, 0.5);

/** Four digits: more would be noise. @param {number} number */
const round = (number) => Number(number.toPrecision(4));

/** Whether each sample is a single operation. @param {readonly Measured[]} processes */
const singly = (processes) => processes.every(({ operations, threads }) => operations === 1 && threads === undefined);

/**
 * @param {Case} one
 * @param {readonly Measured[]} processes
 * @returns {Row}
 */
function rowOf(one, processes) {
  const samples = processes.flatMap((measured) => measured.samples);
  const medians = processes.map((measured) => median(measured.samples));
  const c = one.peer ? undefined : REFERENCE.medians[one.workload];
  return {
    name: nameOf(one),
    group: one.group,
    workload: one.workload,
    subject: one.subject,
    unit: 'ns',
    median: round(median(medians)),
    mean: round(samples.reduce((sum, sample) => sum + sample, 0) / samples.length),
    min: round(Math.min(...samples)),
    p25: round(quantile(samples, 0.25)),
    p75: round(quantile(samples, 0.75)),
    p99: singly(processes) ? round(quantile(samples, 0.99)) : null,
    samples: samples.length,
    batch: median(processes.map((measured) => measured.operations)),
    processes: medians.map(round),
    c: c ?? null,
    ratioToC: c === undefined ? null : round(median(medians) / c),
    ratioToPeers: {},
    ratioToFirst: null,
    ...threadFigures(one, processes),
  };
}

/**
 * @param {Case} one
 * @param {readonly Measured[]} processes
 * @returns {{ threads?: ThreadFigures }}
 */
function threadFigures(one, processes) {
  const all = processes.flatMap(({ threads }) => (threads === undefined ? [] : [threads]));
  if (all.length === 0) return {};
  return {
    threads: {
      oneThread: round(median(all.flatMap(({ oneThread }) => oneThread))),
      scaling: round(median(all.flatMap(({ scaling }) => scaling))),
      machineScaling: round(median(all.flatMap(({ machineScaling }) => machineScaling))),
      cScaling: REFERENCE.threads[one.workload]?.scaling ?? null,
    },
  };
}

/**
 * @param {readonly Case[]} cases in the order of the rows
 * @param {ReadonlyMap<string, readonly Measured[]>} results by name, one for each process; cases without any are left out
 * @returns {Row[]}
 */
export function summarise(cases, results) {
  const done = cases.flatMap((one) => {
    const processes = results.get(nameOf(one)) ?? [];
    return processes.length === 0 ? [] : [{ one, row: rowOf(one, processes) }];
  });
  for (const { one, row } of done) {
    for (const other of done) {
      if (one.peer || !other.one.peer || other.row.workload !== row.workload) continue;
      row.ratioToPeers[other.row.subject] = round(row.median / other.row.median);
    }
    const first = CASES.find(({ series }) => series !== undefined && series === one.series);
    const base = done.find((other) => other.one === first);
    if (base !== undefined) row.ratioToFirst = round(row.median / base.row.median);
  }
  return done.map(({ row }) => row);
}
