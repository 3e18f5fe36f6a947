/** The rows as text for people. */

import { GROUPS } from './cases.js';
import { REFERENCE } from './summary.js';

/**
 * @typedef {import('./summary.js').Row} Row
 * @typedef {[title: string, value: (row: Row) => string]} Column
 */

/** @param {number | null | undefined} value */
function time(value) {
  if (value === null || value === undefined) return '';
  return value >= 1000 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** @param {number | null | undefined} value */
function ratio(value) {
  return value === null || value === undefined ? '' : value < 0.01 ? value.toPrecision(1) : value.toFixed(2);
}

/** @type {Column[]} */
const ALWAYS = [
  ['workload', (row) => row.workload],
  ['subject', (row) => row.subject],
  ['median', (row) => time(row.median)],
  ['p25', (row) => time(row.p25)],
  ['p75', (row) => time(row.p75)],
  ['min', (row) => time(row.min)],
  ['mean', (row) => time(row.mean)],
];

/** Shown where a row of the group has something to say. @type {Column[]} */
const SOMETIMES = [
  ['p99', (row) => time(row.p99)],
  ['C', (row) => `${time(row.c)}${row.cRecorded ? '*' : ''}`],
  ['M/s', (row) => (row.threads === undefined ? '' : ratio(1000 / row.median))],
  ['to C', (row) => ratio(row.ratioToC)],
  ['to first', (row) => ratio(row.ratioToFirst)],
  ['1 thread', (row) => time(row.threads?.oneThread)],
  ['2 : 1', (row) => ratio(row.threads?.scaling)],
  ['2 : 1 arithmetic', (row) => ratio(row.threads?.machineScaling)],
  ['2 : 1 C', (row) => ratio(row.threads?.cScaling)],
];

/** @param {readonly Row[]} rows */
function groupTable(rows) {
  const peers = new Set(rows.flatMap((row) => Object.keys(row.ratioToPeers)));
  const toPeers = [...peers].map(
    (peer) => /** @type {Column} */ ([`to ${peer.split(',')[0]}`, (row) => ratio(row.ratioToPeers[peer])]),
  );
  const columns = [
    ...ALWAYS,
    ...[...SOMETIMES, ...toPeers].filter(([, value]) => rows.some((row) => value(row) !== '')),
  ];
  const lines = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, value]) => value(row)))];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => (line[i] ?? '').length)));
  return lines.map((line) =>
    line
      .map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/**
 * Where the figures of C come from.
 *
 * @param {readonly Row[]} rows
 * @param {string | null} postgresql version that was measured in this run
 */
function originOfC(rows, postgresql) {
  const { cpu, cpus, postgresql: recorded, label } = REFERENCE;
  return [
    ...(postgresql === null ? [] : [`C: PostgreSQL ${postgresql}, measured in this run.`]),
    ...(rows.some((row) => row.cRecorded)
      ? [`C*: PostgreSQL ${recorded} on ${cpu}, ${cpus} processors; ${label}.`]
      : []),
  ];
}

/**
 * @param {import('./run.js').Head} head
 * @param {readonly Row[]} rows
 * @returns {string}
 */
export function textReport({ machine, postgresql }, rows) {
  const at = machine.commit === null ? '' : ` at ${machine.commit}${machine.changed ? ' with changes' : ''}`;
  const lines = [
    `sharedheap ${machine.version}${at}, ${machine.date}`,
    `${machine.cpu}, ${machine.cores} processors, load ${machine.loadBefore.join(' ')}; Node ${machine.node}`,
    `Times in ns for one operation. Ratios are time over time: below 1 is faster than the other.`,
    ...originOfC(rows, postgresql),
  ];
  for (const [group, title] of Object.entries(GROUPS)) {
    const members = rows.filter((row) => row.group === group);
    if (members.length > 0) lines.push('', title, ...groupTable(members).map((line) => `  ${line}`));
  }
  return lines.join('\n');
}
