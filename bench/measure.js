/**
 * Measures one case, in a process that does nothing else.
 *
 * tinybench times calls that each do thousands of operations, so that neither the harness nor the clock counts; a
 * sample is the time of a call divided by its operations.
 */

import { Bench } from 'tinybench';
import { nameOf } from './cases.js';
import { EFFORTS } from './effort.js';

/** @typedef {import('./cases.js').Measured} Measured */
/** @typedef {import('./effort.js').Effort} Effort */

/** Most operations of a call. */
const MOST = 2 ** 22;

/**
 * Operations that take at least `milliseconds` at the speed of now.
 *
 * @param {(operations: number) => unknown} run
 * @param {number} milliseconds
 * @param {number} from
 */
function operationsFor(run, milliseconds, from) {
  for (let operations = from; ; operations *= 2) {
    const start = performance.now();
    run(operations);
    if (performance.now() - start >= milliseconds || operations >= MOST) return operations;
  }
}

/**
 * @param {(operations: number) => unknown} run
 * @param {Effort} effort
 */
function warmUp(run, effort) {
  const start = performance.now();
  let operations = operationsFor(run, effort.call, 16);
  while (performance.now() - start < effort.warmUp) run(operations);
  // The optimised code does more in the same time.
  operations = operationsFor(run, effort.call, operations);
  return operations;
}

/**
 * @param {import('./cases.js').Prepared} prepared
 * @param {string} name
 * @param {Effort} effort
 * @returns {Measured}
 */
function measurePrepared(prepared, name, effort) {
  const operations = prepared.operations ?? warmUp(prepared.run, effort);
  const bench = new Bench({
    name,
    time: effort.time,
    iterations: effort.calls,
    warmupTime: 0,
    warmupIterations: 1,
    retainSamples: true,
    throws: true,
  });
  let result;
  bench.add(name, () => {
    result = prepared.run(operations);
  });
  const [task] = bench.runSync();
  if (task?.result.state !== 'completed') throw new Error(`${name}: ${task?.result.state}, ${result}`);
  const samples = Array.from(task.result.latency.samples ?? [], (milliseconds) => (milliseconds * 1e6) / operations);
  return { samples, operations };
}

/**
 * @param {import('./cases.js').Case} one
 * @param {{ quick: boolean }} options
 * @returns {Promise<Measured>}
 */
export async function measure(one, options) {
  if (one.measure !== undefined) return one.measure(options);
  if (one.prepare === undefined) throw new Error(`${nameOf(one)} says neither how to prepare nor how to measure`);
  const prepared = one.prepare();
  const measured = measurePrepared(prepared, nameOf(one), options.quick ? EFFORTS.quick : EFFORTS.full);
  prepared.close?.();
  return measured;
}
