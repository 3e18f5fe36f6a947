/** Cases of the C original: they run in a server process, which bench/postgres/ asks for figures. */

import { measureC } from '../postgres/driver.js';
import { C } from '../subjects/subjects.js';

/**
 * @param {string} group
 * @param {string} workload
 * @param {string} name in workloads.c
 * @param {number} a its parameters
 * @param {number} b
 * @returns {import('../cases.js').Case}
 */
export function caseOfC(group, workload, name, a, b) {
  return { ...C, group, workload, measure: (options) => measureC(name, a, b, options) };
}
