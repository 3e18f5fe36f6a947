/**
 * Does optimised code stay optimised? A deoptimisation costs what thousands of allocations do, and one that comes back
 * again and again is a mistake in our code.
 *
 * A child runs pairs, replacement and fifo with the engine's `--trace-deopt` and `--trace-opt`, warms up, and then works
 * for a second. Where the warm-up ends, the child has a function of its own deoptimise: the line of that in the engine's
 * output, which appears in order, is the mark. Deoptimisations after it are counted; any of one of our functions, or of
 * the loop that they were inlined into, makes the case fail.
 */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { AREA, HEAP } from '../subjects/ours.js';
import { MARK } from './steady-child.js';

const CHILD = fileURLToPath(new URL('steady-child.js', import.meta.url));
const FLAGS = ['--trace-deopt', '--trace-opt', '--allow-natives-syntax'];

/** Milliseconds of the child's work before the mark, and after. */
const FULL = { warmUp: 1000, time: 1000 };
const QUICK = { warmUp: 300, time: 50 };
const PATIENCE = 60_000;

/** A line that says that optimised code was left; the function's name is the first group. */
const DEOPTIMISED = /\[bailout \(kind: ([^,]+), reason: ([^)]+)\).*<JSFunction ([^ >(]*)/;
const OPTIMISED = /\[completed compiling .*<JSFunction ([^ >(]*)/;

/**
 * @param {string} output of the engine
 * @returns {{ warm: boolean, deoptimised: string[], optimised: string[] }} whether there was a mark, and what came after
 *   it: `function: reason`, and names of functions
 */
export function afterMark(output) {
  const lines = output.split('\n');
  const mark = lines.findIndex((line) => DEOPTIMISED.exec(line)?.[3] === MARK);
  const rest = lines.slice(mark + 1);
  return {
    warm: mark >= 0,
    deoptimised: rest.flatMap((line) => {
      const [, , reason, name] = DEOPTIMISED.exec(line) ?? [];
      return name === undefined ? [] : [`${name}: ${reason}`];
    }),
    optimised: rest.flatMap((line) => OPTIMISED.exec(line)?.[1] ?? []),
  };
}

/**
 * @param {string} id of the subject
 * @param {string} loop
 * @param {{ quick: boolean }} options
 * @returns {Promise<import('../cases.js').Measured>}
 */
async function countDeoptimisations(id, loop, { quick }) {
  const { warmUp, time } = quick ? QUICK : FULL;
  const args = [...process.execArgv, ...FLAGS, CHILD, id, loop, String(warmUp), String(time)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: PATIENCE, maxBuffer: 2 ** 28 });
  const { warm, deoptimised, optimised } = afterMark(stdout);
  if (!warm) throw new Error('the engine did not say that the mark was deoptimised');
  const measured = { samples: [deoptimised.length], operations: 1 };
  if (deoptimised.length === 0) return measured;
  const newly = optimised.length === 0 ? '' : `; optimised meanwhile: ${optimised.slice(0, 5).join(', ')}`;
  return { ...measured, failure: `deoptimised after the warm-up: ${deoptimised.slice(0, 5).join('; ')}${newly}` };
}

/** @type {import('../cases.js').Case[]} */
export const STEADY_CASES = ['pair', 'replace', 'fifo'].flatMap((loop) =>
  [HEAP, AREA].map(({ id, subject }) => ({
    id,
    subject,
    group: 'steady',
    workload: `steady-${loop}`,
    unit: 'deoptimisations',
    measure: (/** @type {{ quick: boolean }} */ options) => countDeoptimisations(id, loop, options),
  })),
);
