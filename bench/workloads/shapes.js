/** The shapes of allocator benchmarks, those of mimalloc-bench among them, with two workers. See shapes/. */

import { HEAP } from '../subjects/ours.js';
import { THREADED } from '../subjects/subjects.js';
import { crewCase } from './threads.js';

/** @typedef {import('../cases.js').Case} Case */

/** @type {[workload: string, works: import('../phases.js').Works][]} */
const SHAPES = [
  ['larson', { alone: ['larson'], together: ['larson', 'larson'] }],
  ['xmalloc', { together: ['produce', 'consume'] }],
  ['sh6', { alone: ['sh6'], together: ['sh6', 'sh6'] }],
  ['sh8', { alone: ['sh8'], together: ['sh8', 'sh8'] }],
  ['mstress', { alone: ['stress'], together: ['stress', 'stress'] }],
  ['cache-scratch', { alone: ['scratch'], together: ['scratch', 'scratch'] }],
];

/** What carries the pointers of xmalloc. The subject gives nothing but its threads. */
const QUEUE_ALONE = crewCase(HEAP, 'shapes', 'xmalloc', { together: ['send', 'receive'] });

/** @type {Case[]} */
export const SHAPE_CASES = SHAPES.flatMap(([workload, works]) => [
  ...THREADED.map((subject) => crewCase(subject, 'shapes', workload, works)),
  ...(workload === 'xmalloc' ? [{ ...QUEUE_ALONE, id: 'queue', subject: 'the queue alone' }] : []),
]);
