/**
 * Two threads against one: phases of a fixed time, in turn. Arithmetic alone and in both tells what the machine's second
 * processor is worth at that moment; then comes the work alone and in both. When it was worth little, somebody else had
 * it: the round is done again, a few times at most, and only where it never gets better do all rounds count.
 *
 * @typedef {import('./cases.js').Measured} Measured
 *
 * @typedef {object} Works
 * @property {readonly string[]} [alone] what one thread does; left out where one thread makes no sense
 * @property {readonly string[]} together
 */

/** Milliseconds of a phase, rounds that count, and most rounds. */
const FULL = { phase: 200, rounds: 2, most: 4 };
const QUICK = { phase: 20, rounds: 1, most: 1 };

/**
 * What the second processor must be worth for a round to count. Less: somebody else was using it when both worked; more:
 * when one did. Bounds that are nearer to 2 waste rounds on a busy machine; with wider ones a thread that waits for
 * the other may really wait for a stranger.
 */
const LEAST_WORTH = 1.8;
const MOST_WORTH = 2.1;

/** Whether two threads had the machine to themselves. @param {number | null} worth of the second processor */
export function isTrusted(worth) {
  return worth !== null && worth >= LEAST_WORTH && worth <= MOST_WORTH;
}

const BOTH = ['arithmetic', 'arithmetic'];

/**
 * @typedef {(works: readonly string[], milliseconds: number) => Promise<number>} Run runs one phase; operations per
 *   millisecond of all that take part; it knows `arithmetic`
 * @typedef {{ machine: number, one: number, two: number }} Round `one` is NaN where one thread makes no sense
 */

/** @param {number} operationsPerMillisecond */
const nanoseconds = (operationsPerMillisecond) => 1e6 / operationsPerMillisecond;

/**
 * @param {Run} run
 * @param {Works} works
 * @param {number} phase milliseconds
 * @returns {Promise<Round>}
 */
async function oneRound(run, { alone, together }, phase) {
  const single = await run(['arithmetic'], phase);
  const machine = (await run(BOTH, phase)) / single;
  const one = alone === undefined ? Number.NaN : await run(alone, phase);
  return { machine, one, two: await run(together, phase) };
}

/**
 * @param {Run} run
 * @param {Works} works
 * @param {{ quick: boolean }} options
 * @returns {Promise<Measured>}
 */
export async function samplePhases(run, { alone, together }, { quick }) {
  const { phase, rounds, most } = quick ? QUICK : FULL;
  for (const works of [alone, BOTH, together, alone]) {
    if (works !== undefined) await run(works, phase / 2);
  }
  /** @type {Round[]} */
  const done = [];
  const good = () => done.filter(({ machine }) => isTrusted(machine));
  while (good().length < rounds && done.length < most) {
    done.push(await oneRound(run, { alone, together }, phase));
  }
  const counted = good().length > 0 ? good() : done;
  const known = (/** @type {number[]} */ numbers) => numbers.filter((number) => !Number.isNaN(number));
  return {
    samples: counted.map(({ two }) => nanoseconds(two)),
    operations: 1,
    threads: {
      oneThread: known(counted.map(({ one }) => nanoseconds(one))),
      scaling: known(counted.map(({ one, two }) => two / one)),
      machineScaling: counted.map(({ machine }) => machine),
    },
  };
}
