/** All subjects by name; a worker looks its own up. */

import { postgresMissing } from '../postgres/cluster.js';
import { BUFFER, MALLOC, SHARED_BUFFER } from './javascript.js';
import { OURS } from './ours.js';
import { COMPILED, TLSF } from './wasm.js';

/** @typedef {import('./subject.js').Subject} Subject */

/** All that can allocate and free. @type {readonly Subject[]} */
export const EVERYBODY = [...OURS, ...COMPILED, TLSF, MALLOC, BUFFER, SHARED_BUFFER];

/** Those whose memory many threads may use. */
export const THREADED = EVERYBODY.filter(({ attach }) => attach !== undefined);

/**
 * The C original, which is not called from JavaScript: a server process runs the workloads. A run says where that server
 * is before it measures; see run.js.
 */
export const C = { id: 'c', subject: 'PostgreSQL, C', peer: true, missing: postgresMissing };

/** @param {string} id @returns {Subject} */
export function subjectNamed(id) {
  const found = EVERYBODY.find((one) => one.id === id);
  if (found === undefined) throw new Error(`no subject is called ${id}`);
  return found;
}
