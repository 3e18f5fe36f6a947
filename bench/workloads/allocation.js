/** Allocating and freeing in one thread. */

import { Loops } from '../loops.js';
import { below, next, SEED } from '../random.js';
import { MALLOC } from '../subjects/javascript.js';
import { OURS } from '../subjects/ours.js';
import { whoOf } from '../subjects/subject.js';
import { EVERYBODY } from '../subjects/subjects.js';
import { COMPILED, TLSF } from '../subjects/wasm.js';
import { caseOfC } from './c.js';

/** @typedef {import('../cases.js').Case} Case */
/** @typedef {import('../subjects/subject.js').Subject} Subject */

const SIZES = [16, 64, 256, 1024, 4096, 8192, 65536, 1048576];
const LIVE = 10_000;
const LEAST = 8;
const MOST = 1024;

const BURST_OBJECTS = 100_000;
const BURST_SIZE = 64;

/** Bytes and objects of a round. The objects of a round fill some 15 to 160 MB. */
const ALL = /** @type {const} */ ([
  [16, 1_000_000],
  [64, 1_000_000],
  [256, 300_000],
  [1024, 100_000],
  [8192, 20_000],
]);

/** Without the one whose frees take time in proportion to the live blocks. */
const CONSTANT_TIME = EVERYBODY.filter((subject) => subject !== MALLOC);

/**
 * A case of one thread's loops.
 *
 * @param {Subject} subject
 * @param {string} group
 * @param {string} workload
 * @param {(loops: Loops) => { operations?: number, run: (count: number) => unknown }} ready
 * @returns {Case}
 */
function loopCase(subject, group, workload, ready) {
  return {
    ...whoOf(subject),
    group,
    workload,
    prepare() {
      const loops = new Loops(subject.open());
      return { ...ready(loops), close: () => loops.close() };
    },
  };
}

const pairs = SIZES.flatMap((size) => [
  ...EVERYBODY.map((subject) =>
    loopCase(subject, 'pair', `pair-${size}`, (loops) => ({ run: (count) => loops.pairs(size, count) })),
  ),
  caseOfC('pair', `pair-${size}`, 'pair', size, 0),
]);

const replaces = [
  ...EVERYBODY.map((subject) =>
    loopCase(subject, 'replace', 'replace', (loops) => {
      loops.fill(LIVE, LEAST, MOST);
      return { run: (count) => loops.replace(count) };
    }),
  ),
  caseOfC('replace', 'replace', 'replace', LIVE, 0),
  ...EVERYBODY.map((subject) =>
    loopCase(subject, 'replace', 'replace-touched', (loops) => {
      loops.fill(LIVE, LEAST, MOST);
      loops.touch();
      return { run: (count) => loops.replaceTouched(count) };
    }),
  ),
  caseOfC('replace', 'replace-touched', 'replace-touched', LIVE, 0),
];

/** What the replacement spends on choosing an object and a size. @type {Case[]} */
const randomNumbers = [
  {
    id: 'xorshift',
    subject: 'xorshift',
    group: 'replace',
    workload: 'random-numbers',
    prepare() {
      let x = SEED;
      return {
        run(/** @type {number} */ count) {
          let sum = 0;
          let y = x;
          for (let i = 0; i < count; i++) {
            y = next(y);
            sum += below(y, LIVE);
            y = next(y);
            sum += below(y, MOST - LEAST + 1);
          }
          x = y;
          return sum;
        },
      };
    },
  },
  caseOfC('replace', 'random-numbers', 'random-numbers', LIVE, 0),
];

const fifos = [
  ...EVERYBODY.map((subject) =>
    loopCase(subject, 'fifo', 'fifo', (loops) => {
      loops.fillFifo();
      return { run: (count) => loops.fifo(count) };
    }),
  ),
  caseOfC('fifo', 'fifo', 'fifo', 0, 0),
];

/**
 * Allocations and frees of a burst, timed apart; one of the two is what counts.
 *
 * @param {Subject} subject
 * @param {'alloc' | 'free'} part
 * @param {{ quick: boolean }} options
 * @returns {Promise<import('../cases.js').Measured>}
 */
async function measureBurst({ open }, part, { quick }) {
  const loops = new Loops(open());
  const blocks = loops.allocator.table(BURST_OBJECTS);
  /** @type {number[]} */
  const samples = [];
  for (let round = quick ? -1 : -5; round < (quick ? 1 : 25); round++) {
    const start = performance.now();
    loops.allocateAll(BURST_SIZE, blocks);
    const filled = performance.now();
    loops.shuffle(blocks);
    const shuffled = performance.now();
    loops.freeAll(blocks);
    const milliseconds = part === 'alloc' ? filled - start : performance.now() - shuffled;
    if (round >= 0) samples.push((milliseconds * 1e6) / BURST_OBJECTS);
  }
  loops.close();
  return { samples, operations: BURST_OBJECTS };
}

const bursts = /** @type {const} */ (['alloc', 'free']).flatMap((part) => [
  ...CONSTANT_TIME.map(
    (subject) =>
      /** @type {Case} */ ({
        ...whoOf(subject),
        group: 'burst',
        workload: `burst-${part}`,
        measure: (options) => measureBurst(subject, part, options),
      }),
  ),
  caseOfC('burst', `burst-${part}`, 'burst', part === 'alloc' ? 0 : 1, 0),
]);

const all = ALL.flatMap(([size, objects]) => [
  ...[...OURS, ...COMPILED, TLSF].map((subject) =>
    loopCase(subject, 'all', `all-${size}x${objects}`, (loops) => {
      const blocks = loops.allocator.table(objects);
      return {
        operations: objects,
        run() {
          loops.allocateAll(size, blocks);
          loops.freeAll(blocks);
        },
      };
    }),
  ),
  caseOfC('all', `all-${size}x${objects}`, 'all', size, objects),
]);

/** @type {Case[]} */
export const ALLOCATION_CASES = [...pairs, ...replaces, ...randomNumbers, ...fifos, ...bursts, ...all];
