/**
 * Everything that can be measured, in the order of the table.
 *
 * A case is one workload with one subject. It is measured in a process of its own, so that no case inherits the heap,
 * the garbage or the optimised code of another.
 *
 * @typedef {object} Prepared
 * @property {number} [operations] operations of a call; when left out, the caller chooses a number that takes some ms
 * @property {(operations: number) => unknown} run does them; what it returns keeps the engine from leaving work out
 * @property {() => void} [close]
 *
 * @typedef {object} ThreadSamples each list is empty where it makes no sense
 * @property {number[]} oneThread ns per operation of one thread that is alone
 * @property {number[]} scaling operations per second of two threads over those of one
 * @property {number[]} machineScaling the same for arithmetic that touches no memory
 *
 * @typedef {object} Measured
 * @property {number[]} samples in the unit of the case, for one operation
 * @property {number} operations in each sample's batch
 * @property {ThreadSamples} [threads]
 * @property {string} [failure] why the case counts as failed, although there is something to show
 *
 * @typedef {object} Case
 * @property {string} group workloads that are shown together
 * @property {string} workload
 * @property {string} id of the subject, short
 * @property {string} subject as shown
 * @property {'ns' | 'bytes per byte' | 'deoptimisations'} [unit] ns when left out
 * @property {boolean} [peer] not ours: the others are compared with it
 * @property {string} [series] cases that differ in one quantity, ascending
 * @property {() => string | undefined} [missing] why the subject cannot be had here
 * @property {() => Prepared} [prepare] for cases in one thread
 * @property {(options: { quick: boolean }) => Promise<Measured>} [measure] for those that measure themselves
 */

import { ADDRESS_CASES } from './workloads/address.js';
import { ALLOCATION_CASES } from './workloads/allocation.js';
import { BULK_CASES } from './workloads/bulk.js';
import { FLATNESS_CASES } from './workloads/flatness.js';
import { LOCK_CASES } from './workloads/locks.js';
import { MAP_CASES } from './workloads/maps.js';
import { MEMORY_CASES } from './workloads/memory.js';
import { PAGE_CASES } from './workloads/pages.js';
import { QUEUE_CASES } from './workloads/queues.js';
import { SHAPE_CASES } from './workloads/shapes.js';
import { STEADY_CASES } from './workloads/steady.js';
import { THREAD_CASES } from './workloads/threads.js';

/** What the groups are, for the table. */
export const GROUPS = {
  pair: 'pair: allocate an object of so many bytes and free it, over and over',
  replace:
    'replace: 10,000 live objects of 8 to 1024 bytes; free a random one, allocate another (random numbers included)',
  fifo: 'fifo: 1,024 live objects of 16 to 256 bytes; free the oldest, allocate another',
  burst: 'burst: allocate 100,000 objects of 64 bytes, then free them in random order; for each object',
  all: 'all: allocate so many objects of so many bytes, then free them all; for each object',
  address: 'address: a random pointer of so many live objects to its bytes',
  pages: 'pages: FreePageManager, get a run of so many pages and put it back',
  bulk: 'bulk: allocate 64 objects of so many bytes and free them; for each object',
  memory: 'memory: resident bytes for each live byte; 100,000 live objects of 8 to 1024 bytes, all written',
  threads: 'threads: two threads on one heap; time on the clock for each pair of both',
  shapes:
    'shapes: two threads on one heap, in the shapes of well-known allocator benchmarks; time on the clock for each object',
  flatness: 'flatness: pair and replacement with ever more live objects of 64 bytes, segments, participants',
  steady: 'steady: deoptimisations of the engine in a second of work, after the warm-up',
  maps: 'maps: 100,000 texts to numbers in two workers; share: the whole map; insert: with one worker; lookup: with both',
  locks: 'locks: acquire and release a lock that nobody else wants',
  queue: 'queue: messages of so many bytes from a worker to the main thread; time on the clock for each',
  handover: 'handover: one message to another thread that waits for it; half of forth and back',
};

/** @type {readonly Case[]} */
export const CASES = [
  ...ALLOCATION_CASES,
  ...ADDRESS_CASES,
  ...PAGE_CASES,
  ...BULK_CASES,
  ...MEMORY_CASES,
  ...THREAD_CASES,
  ...SHAPE_CASES,
  ...FLATNESS_CASES,
  ...STEADY_CASES,
  ...MAP_CASES,
  ...LOCK_CASES,
  ...QUEUE_CASES,
];

/** @param {Case} one */
export function nameOf({ workload, id }) {
  return `${workload}/${id}`;
}

/**
 * The cases that a name stands for: one case, all subjects of a workload, or a group.
 * @param {string} name
 */
export function casesNamed(name) {
  return CASES.filter((one) => [nameOf(one), one.workload, one.group].includes(name));
}
