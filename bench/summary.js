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
 * @property {string} unit of all figures below, for one operation: ns, bytes per byte, deoptimisations
 * @property {boolean} peer whether it is not ours
 * @property {number} median the median of the processes' medians
 * @property {number} mean of all samples: also what rarely happens, such as collecting garbage
 * @property {number} min of all samples
 * @property {number} p25 of all samples
 * @property {number} p75 of all samples
 * @property {number | null} p99 of all samples, where each is one operation
 * @property {number} samples how many, of all processes
 * @property {number} batch operations in a sample; the median of the processes
 * @property {number[]} processes the median of each process
 * @property {number | null} c the figure of the C original
 * @property {boolean} cRecorded whether that was recorded on such a machine, not measured in this run
 * @property {number | null} ratioToC
 * @property {Record<string, number>} ratioToPeers to the medians of others in this run
 * @property {number | null} ratioToFirst to the smallest of its series, when that was measured too
 * @property {ThreadFigures} [threads]
 *
 * @typedef {object} ThreadFigures
 * @property {number | null} oneThread ns per operation of one thread that is alone; null where that makes no sense
 * @property {number | null} scaling operations per second of two threads over those of one
 * @property {number | null} machineScaling the same for plain arithmetic, at the same moments
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
import { median, quantile } from './statistics.js';
import { C } from './subjects/subjects.js';

/** The figures of the C original; see its `method`. @type {Reference} */
export const REFERENCE = JSON.parse(readFileSync(new URL('reference.json', import.meta.url), 'utf8'));

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
  return {
    name: nameOf(one),
    group: one.group,
    workload: one.workload,
    subject: one.subject,
    unit: one.unit ?? 'ns',
    peer: one.peer === true,
    median: round(median(medians)),
    mean: round(samples.reduce((sum, sample) => sum + sample, 0) / samples.length),
    min: round(Math.min(...samples)),
    p25: round(quantile(samples, 0.25)),
    p75: round(quantile(samples, 0.75)),
    p99: one.unit === undefined && singly(processes) ? round(quantile(samples, 0.99)) : null,
    samples: samples.length,
    batch: median(processes.map((measured) => measured.operations)),
    processes: medians.map(round),
    c: null,
    cRecorded: false,
    ratioToC: null,
    ratioToPeers: {},
    ratioToFirst: null,
    ...threadFigures(processes),
  };
}

/**
 * @param {readonly Measured[]} processes
 * @returns {{ threads?: ThreadFigures }}
 */
function threadFigures(processes) {
  const all = processes.flatMap(({ threads }) => (threads === undefined ? [] : [threads]));
  if (all.length === 0) return {};
  const figure = (/** @type {number[]} */ numbers) => (numbers.length === 0 ? null : round(median(numbers)));
  return {
    threads: {
      oneThread: figure(all.flatMap(({ oneThread }) => oneThread)),
      scaling: figure(all.flatMap(({ scaling }) => scaling)),
      machineScaling: figure(all.flatMap(({ machineScaling }) => machineScaling)),
      cScaling: null,
    },
  };
}

/** @typedef {{ one: Case, row: Row }} Done */

/**
 * Compares with the C original: with that of this run, where it was measured, else with what was recorded.
 *
 * @param {Row} row
 * @param {readonly Done[]} done
 */
function compareWithC(row, done) {
  const here = done.find((other) => other.one.id === C.id && other.row.workload === row.workload)?.row;
  const c = here?.median ?? REFERENCE.medians[row.workload];
  if (c === undefined) return;
  row.c = c;
  row.cRecorded = here === undefined;
  row.ratioToC = round(row.median / c);
  if (row.threads === undefined) return;
  row.threads.cScaling = here?.threads?.scaling ?? REFERENCE.threads[row.workload]?.scaling ?? null;
}

/**
 * Compares with the others of the same workload, and with the first of the same series.
 *
 * @param {Done} mine
 * @param {readonly Done[]} done
 */
function compareWithOthers({ one, row }, done) {
  for (const other of done) {
    if (one.peer || !other.one.peer || other.one.id === C.id || other.row.workload !== row.workload) continue;
    if (other.row.median > 0) row.ratioToPeers[other.row.subject] = round(row.median / other.row.median);
  }
  const first = CASES.find(({ series }) => series !== undefined && series === one.series);
  const base = done.find((other) => other.one === first);
  if (base !== undefined) row.ratioToFirst = round(row.median / base.row.median);
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
  for (const mine of done) {
    if (!mine.row.peer) compareWithC(mine.row, done);
    compareWithOthers(mine, done);
  }
  return done.map(({ row }) => row);
}
