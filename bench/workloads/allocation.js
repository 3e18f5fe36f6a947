/** Allocating and freeing in one thread: pairs, random replacement, and allocate all, then free all. */

import { BufferSubject, MallocSubject } from '../peers.js';
import { below, next, SEED } from '../random.js';
import { AreaSubject, HeapSubject } from '../subjects.js';

/** @typedef {import('../cases.js').Case} Case */

const SIZES = [16, 64, 256, 1024, 4096, 8192, 65536, 1048576];
const LIVE = 10_000;
const LEAST = 8;
const MOST = 1024;

/** Bytes and objects of a round. The objects of a round fill some 15 to 160 MB. */
const ALL = /** @type {const} */ ([
  [16, 1_000_000],
  [64, 1_000_000],
  [256, 300_000],
  [1024, 100_000],
  [8192, 20_000],
]);

const OURS = [
  { id: 'area', subject: 'DsaArea', peer: false, open: () => AreaSubject.create() },
  { id: 'heap', subject: 'SharedHeap', peer: false, open: () => HeapSubject.create() },
];
const EVERYBODY = [
  ...OURS,
  { id: 'malloc', subject: '@thi.ng/malloc', peer: true, open: () => new MallocSubject() },
  { id: 'buffer', subject: 'Buffer.allocUnsafe', peer: true, open: () => new BufferSubject() },
];

const pairs = SIZES.flatMap((size) =>
  EVERYBODY.map(({ open, ...who }) => ({
    ...who,
    group: 'pair',
    workload: `pair-${size}`,
    prepare() {
      const subject = open();
      return { run: (/** @type {number} */ count) => subject.pairs(size, count), close: () => subject.close() };
    },
  })),
);

const replaces = EVERYBODY.map(({ open, ...who }) => ({
  ...who,
  group: 'replace',
  workload: 'replace',
  prepare() {
    const subject = open();
    subject.fill(LIVE, LEAST, MOST);
    return { run: (/** @type {number} */ count) => subject.replace(count), close: () => subject.close() };
  },
}));

/** What the replacement spends on choosing an object and a size. */
const randomNumbers = {
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
};

const all = ALL.flatMap(([size, objects]) =>
  OURS.map(({ open, ...who }) => ({
    ...who,
    group: 'all',
    workload: `all-${size}x${objects}`,
    prepare() {
      const subject = open();
      const pointers = new Float64Array(objects);
      return {
        operations: objects,
        run: () => subject.allocateAllThenFreeAll(size, pointers),
        close: () => subject.close(),
      };
    },
  })),
);

/** @type {Case[]} */
export const ALLOCATION_CASES = [...pairs, ...replaces, randomNumbers, ...all];
