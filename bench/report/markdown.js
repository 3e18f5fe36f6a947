/** Results as Markdown: a table for each group, with a row for each workload and a column for each subject. */

import { GROUPS } from '../cases.js';
import { isTrusted } from '../phases.js';
import { C } from '../subjects/subjects.js';
import { MIMALLOC } from '../subjects/wasm.js';

/** @typedef {import('../summary.js').Row} Row */
/** @typedef {import('./report.js').Results} Results */

/** Three digits say all that a measurement on a shared machine can say. @param {number | null | undefined} value */
function figure(value) {
  if (value === null || value === undefined) return '';
  if (value < 100) return value === 0 ? '0' : value.toPrecision(3);
  return String(Number(value.toPrecision(3))).replaceAll(/(?<=\d)(?=(?:\d{3})+$)/g, ',');
}

/** @param {number | null | undefined} value */
function ratio(value) {
  if (value === null || value === undefined) return '';
  return value < 0.01 ? value.toPrecision(1) : value.toFixed(2);
}

/** @param {readonly string[][]} lines the first is the head */
function table([head = [], ...lines]) {
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'));
  return [head, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** @template T @param {readonly T[]} values */
const distinct = (values) => [...new Set(values)];

/**
 * The row of the first of ours: what the ratios are about.
 * @param {readonly Row[]} members
 */
const firstOfOurs = (members) => members.find(({ peer }) => !peer);

/**
 * @param {readonly Row[]} members of a group
 * @returns {{ title: string, value: (row: Row | undefined, members: readonly Row[]) => string }[]}
 */
function ratioColumns(members) {
  const ours = members.flatMap((row) => (row.peer ? [] : [row]));
  const columns = [
    {
      title: 'C, recorded',
      value: (/** @type {Row | undefined} */ row) => (row?.cRecorded ? figure(row.c) : ''),
    },
    { title: 'to C', value: (/** @type {Row | undefined} */ row) => ratio(row?.ratioToC) },
    {
      title: `to ${MIMALLOC.subject.split(',')[0]}`,
      value: (/** @type {Row | undefined} */ row) => ratio(row?.ratioToPeers[MIMALLOC.subject]),
    },
  ];
  return columns.filter(({ value }) => ours.some((row) => value(row) !== ''));
}

/** @param {readonly Row[]} members of a group */
function medians(members) {
  const subjects = distinct(members.map(({ subject }) => subject));
  const ratios = ratioColumns(members);
  const lines = distinct(members.map(({ workload }) => workload)).map((workload) => {
    const rows = members.filter((row) => row.workload === workload);
    const cells = subjects.map((subject) => figure(rows.find((row) => row.subject === subject)?.median));
    return [workload, ...cells, ...ratios.map(({ value }) => value(firstOfOurs(rows), rows))];
  });
  return table([['', ...subjects, ...ratios.map(({ title }) => title)], ...lines]);
}

/**
 * With a question mark where somebody else had a processor.
 * @param {Row | undefined} row
 */
function scaling(row) {
  const { threads } = row ?? {};
  return typeof threads?.scaling === 'number'
    ? `${ratio(threads.scaling)}${isTrusted(threads.machineScaling) ? '' : '?'}`
    : '';
}

/** Operations per second of two threads over those of one. @param {readonly Row[]} members of a group */
function scalings(members) {
  const scaled = members.filter(({ threads }) => typeof threads?.scaling === 'number');
  if (scaled.length === 0) return [];
  const subjects = distinct(scaled.map(({ subject }) => subject));
  const lines = distinct(scaled.map(({ workload }) => workload)).map((workload) => {
    const rows = scaled.filter((row) => row.workload === workload);
    const cells = subjects.map((subject) => scaling(rows.find((row) => row.subject === subject)));
    const machine = rows.map(({ threads }) => threads?.machineScaling).filter((value) => typeof value === 'number');
    const worth = machine.sort((a, b) => a - b)[machine.length >> 1];
    return [workload, ...cells, ratio(worth)];
  });
  return [
    'Operations per second of two threads over those of one; with a question mark, somebody else had a processor meanwhile:',
    table([['', ...subjects, 'arithmetic'], ...lines]),
  ];
}

/** @param {Results} results */
function origin({ machine, runs, quick, postgresql, skipped = [] }) {
  const at = machine.commit === null ? '' : ` at ${machine.commit}${machine.changed ? ' with changes' : ''}`;
  const parts = [
    `sharedheap ${machine.version}${at}, ${machine.date.slice(0, 10)}; ${machine.cpu}, ${machine.cores} processors,`,
    `load ${machine.loadBefore[0]} before; Node ${machine.node}; ${runs} processes for each case.`,
    `Times in ns for one operation; ratios are of the first column, below 1 is faster than the other.`,
    quick ? 'A quick run: the figures mean little.' : '',
    postgresql ? `${C.subject} is PostgreSQL ${postgresql}, measured in the same run.` : '',
    skipped.length === 0 ? '' : `Not to be had: ${skipped.map(({ subject }) => subject).join('; ')}.`,
  ];
  return parts.filter((part) => part !== '').join(' ');
}

/** @param {Results} results */
export function markdown(results) {
  const sections = Object.entries(GROUPS).flatMap(([group, title]) => {
    const members = results.rows.filter((row) => row.group === group);
    return members.length === 0
      ? []
      : [`**${group}**${title.slice(group.length)}`, medians(members), ...scalings(members)];
  });
  return [origin(results), ...sections].join('\n\n');
}
