/**
 * Memory that is resident for each live byte.
 *
 * The process's resident memory is read before the subject is opened and after: the tables of the workload lie in memory
 * that was touched before, the loops were compiled on a set of a hundredth. All words of all blocks are written, as a
 * program would, through the subject's own way to write.
 *
 * - `memory-filled`: after the blocks were allocated.
 * - `memory-replaced`: after 300,000 random replacements.
 * - `memory-freed`: after the blocks were freed then, for each byte that was live; nothing is given time to go away.
 */

import { below, next, SEED } from '../random.js';
import { whoOf } from '../subjects/subject.js';
import { EVERYBODY } from '../subjects/subjects.js';

const LEAST = 8;
const MOST = 1024;
const FULL = { live: 100_000, replacements: 300_000 };
const QUICK = { live: 1000, replacements: 3000 };
/** Its free takes time in proportion to the live blocks: fewer, so that it ends. */
const SLOW = { live: 20_000, replacements: 6_000 };

const STAGES = /** @type {const} */ (['filled', 'replaced', 'freed']);

/** @typedef {import('../subjects/subject.js').Subject} Subject */

/** Live blocks that are written from end to end. */
class Written {
  random = SEED;
  bytes = 0;

  /**
   * @param {import('../subjects/subject.js').Allocator} allocator
   * @param {any} blocks places
   * @param {Int32Array} sizes
   */
  constructor(allocator, blocks, sizes) {
    this.allocator = allocator;
    this.blocks = blocks;
    this.sizes = sizes;
  }

  /** @param {number} k */
  allocate(k) {
    const { allocator } = this;
    this.random = next(this.random);
    const size = LEAST + below(this.random, MOST - LEAST + 1);
    const block = allocator.alloc(size);
    for (let at = 0; at + 4 <= size; at += 4) allocator.write(block, at, k);
    this.blocks[k] = block;
    this.sizes[k] = size;
    this.bytes += size;
  }

  fill() {
    for (let k = 0; k < this.sizes.length; k++) this.allocate(k);
  }

  /** @param {number} count */
  replace(count) {
    for (let i = 0; i < count; i++) {
      this.random = next(this.random);
      const k = below(this.random, this.sizes.length);
      this.free(k);
      this.allocate(k);
    }
  }

  /** @param {number} k */
  free(k) {
    this.bytes -= this.sizes[k] ?? 0;
    this.allocator.free(this.blocks[k]);
    this.blocks[k] = null;
  }
}

/**
 * @param {Subject} subject
 * @param {typeof STAGES[number]} stage
 * @param {{ quick: boolean }} options
 * @returns {Promise<import('../cases.js').Measured>}
 */
async function measureMemory(subject, stage, { quick }) {
  const { live, replacements } = quick ? QUICK : subject.id === 'malloc' ? SLOW : FULL;
  const first = subject.open();
  const warm = new Written(first, first.table(live / 100), new Int32Array(live / 100));
  warm.fill();
  warm.replace(live / 20);
  // Filled, so that they are there before anything is measured.
  const places = first.table(live).fill(null);
  const sizes = new Int32Array(live).fill(1);
  first.close();

  const before = process.memoryUsage.rss();
  const written = new Written(subject.open(), places, sizes);
  written.fill();
  let bytes = written.bytes;
  if (stage !== 'filled') {
    written.replace(replacements);
    bytes = written.bytes;
  }
  if (stage === 'freed') for (let k = 0; k < live; k++) written.free(k);
  const samples = [Math.max(process.memoryUsage.rss() - before, 0) / bytes];
  written.allocator.close();
  return { samples, operations: live };
}

/** @type {import('../cases.js').Case[]} */
export const MEMORY_CASES = STAGES.flatMap((stage) =>
  EVERYBODY.map((subject) => ({
    ...whoOf(subject),
    group: 'memory',
    workload: `memory-${stage}`,
    unit: 'bytes per byte',
    measure: (/** @type {{ quick: boolean }} */ options) => measureMemory(subject, stage, options),
  })),
);
