/**
 * A worker of maps.js: opens the map that it is sent, and sets or reads keys when the shared flag is raised.
 *
 * The engine compiles the loops while they run on a map of this thread's own, before anything is measured. A main thread
 * that dies takes its workers with it, so the wait for the flag needs no limit of its own.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { next, SEED } from '../random.js';
import { keyOf, subjectNamed } from './map-subjects.js';

const { id, entries, words, started, waiting } = workerData;
const subject = subjectNamed(id);
/** Flat text: a key that was put together is flattened at its first use. */
const keys = Array.from({ length: entries }, (_, n) => Buffer.from(keyOf(n)).toString('latin1'));
const clock = () => performance.timeOrigin + performance.now();

/**
 * @param {import('./map-subjects.js').OpenMap} map
 * @param {number} first
 * @param {number} step
 */
function insert(map, first, step) {
  for (let n = first; n < keys.length; n += step) map.set(/** @type {string} */ (keys[n]), n);
}

/**
 * @param {import('./map-subjects.js').OpenMap} map
 * @param {number} first
 */
function lookUp(map, first) {
  let wrong = 0;
  for (let n = first; n < keys.length; n++) if (map.get(/** @type {string} */ (keys[n])) !== n) wrong++;
  for (let n = 0; n < first; n++) if (map.get(/** @type {string} */ (keys[n])) !== n) wrong++;
  if (wrong > 0) throw new Error(`${wrong} of ${keys.length} lookups were wrong`);
}

function compute() {
  let x = SEED;
  for (let i = 0; i < 100 * entries; i++) x = next(x);
  return x;
}

function warmUp() {
  const own = subject.make(entries);
  const map = subject.id === 'structured-clone' ? own.map : subject.open(own.share());
  for (let round = 0; round < 3; round++) {
    if (subject.writers !== 'none' || round === 0) insert(map, 0, 1);
    lookUp(map, 0);
  }
  map.close?.();
  own.close();
}

/** @param {{ job: string, shared: unknown, part: number, parts: number, phase: number }} message */
function runPhase({ job, shared, part, parts, phase }) {
  const map = shared === undefined ? undefined : subject.open(shared);
  Atomics.add(words, waiting, 1);
  while (Atomics.load(words, started) < phase);
  const begin = clock();
  if (map === undefined) compute();
  else if (job === 'insert') insert(map, part, parts);
  else lookUp(map, Math.floor((part * keys.length) / parts));
  const end = clock();
  map?.close?.();
  return { begin, end };
}

if (workerData.shared !== undefined) subject.enter?.(workerData.shared);
if (workerData.warm) warmUp();
parentPort?.on('message', (message) => {
  if (message === 'leave') {
    subject.leave?.();
    parentPort?.close();
  } else if (message.job === 'wake up') {
    parentPort?.postMessage({ end: clock() });
  } else if (message.job === 'share') {
    const map = subject.open(message.shared);
    const last = map.get(/** @type {string} */ (keys.at(-1)));
    const end = clock();
    if (last !== entries - 1) throw new Error(`the last entry is ${last}`);
    parentPort?.postMessage({ end });
  } else {
    parentPort?.postMessage(runPhase(message));
  }
});
parentPort?.postMessage('ready');
