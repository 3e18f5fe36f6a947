/** Two threads on one heap that hand nothing to each other, against one thread in the same run. */

import { samplePhases } from '../phases.js';
import { measureTwoProcesses } from '../postgres/driver.js';
import { AREA, HEAP } from '../subjects/ours.js';
import { whoOf } from '../subjects/subject.js';
import { C, THREADED } from '../subjects/subjects.js';
import { MIMALLOC } from '../subjects/wasm.js';
import { Crew } from './crew.js';
import { MIXED_LIVE } from './plain-works.js';

/** @typedef {import('../subjects/subject.js').Subject} Subject */
/** @typedef {import('../cases.js').Case} Case */

/** @type {readonly Subject[]} */
const SOME = [HEAP, AREA, MIMALLOC];
/** @type {readonly Subject[]} */
const ONLY_AREA = [AREA];

/** One thread alone does the first of the two works. @type {[workload: string, works: [string, string], subjects: readonly Subject[], inC: boolean][]} */
const WORKS = [
  ['threads-same-class', ['pair64', 'pair64'], SOME, true],
  ['threads-different-classes', ['pair64', 'pair1024'], SOME, true],
  ['threads-mixed', ['mixed', 'mixed'], THREADED, true],
  ['threads-touched', ['touched', 'touched'], THREADED, false],
  ['threads-lock-exclusive', ['lockExclusive', 'lockExclusive'], ONLY_AREA, false],
  ['threads-lock-shared', ['lockShared', 'lockShared'], ONLY_AREA, false],
];

/**
 * @param {Subject} subject
 * @param {import('../phases.js').Works} works
 * @param {{ quick: boolean }} options
 */
async function measureCrew(subject, works, options) {
  const crew = new Crew(subject);
  const measured = await samplePhases((names, time) => crew.run(names, time), works, options);
  await crew.close();
  return measured;
}

/**
 * @param {Subject} subject
 * @param {string} group
 * @param {string} workload
 * @param {import('../phases.js').Works} works
 * @returns {Case}
 */
export function crewCase(subject, group, workload, works) {
  return { ...whoOf(subject), group, workload, measure: (options) => measureCrew(subject, works, options) };
}

/** @type {Case[]} */
export const THREAD_CASES = WORKS.flatMap(([workload, works, subjects, inC]) => {
  const cases = subjects.map((subject) =>
    crewCase(subject, 'threads', workload, { alone: [works[0]], together: works }),
  );
  if (inC) {
    const measure = (/** @type {{ quick: boolean }} */ options) => measureTwoProcesses(works, MIXED_LIVE, options);
    cases.push({ ...C, group: 'threads', workload, measure });
  }
  return cases;
});
