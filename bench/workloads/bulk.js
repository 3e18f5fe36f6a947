/**
 * Sixty-four objects at once: what a program saves that allocates and frees many in one call, against a loop of single
 * calls, ours and mimalloc's.
 */

import { SharedHeap } from 'sharedheap';
import { Loops } from '../loops.js';
import { HEAP } from '../subjects/ours.js';
import { MIMALLOC } from '../subjects/wasm.js';

const SIZES = [16, 64, 256, 1024];
const OBJECTS = 64;

/** @param {number} size */
function prepareMany(size) {
  const heap = SharedHeap.create();
  const pointers = new Float64Array(OBJECTS);
  return {
    run(/** @type {number} */ count) {
      for (let i = 0; i < count; i += OBJECTS) {
        heap.allocMany(size, OBJECTS, pointers);
        heap.freeMany(pointers, OBJECTS);
      }
    },
    close: () => heap.close(),
  };
}

/**
 * @param {import('../subjects/subject.js').Subject} subject
 * @param {number} size
 */
function prepareSingle(subject, size) {
  const loops = new Loops(subject.open());
  const blocks = loops.allocator.table(OBJECTS);
  return {
    run(/** @type {number} */ count) {
      for (let i = 0; i < count; i += OBJECTS) {
        loops.allocateAll(size, blocks);
        loops.freeAll(blocks);
      }
    },
    close: () => loops.close(),
  };
}

/** @type {import('../cases.js').Case[]} */
export const BULK_CASES = SIZES.flatMap((size) => {
  const common = { group: 'bulk', workload: `bulk-${size}` };
  const many = { id: 'heap-many', subject: 'SharedHeap.allocMany' };
  const single = { id: 'heap', subject: 'SharedHeap, single calls' };
  const mimalloc = { id: 'mimalloc', subject: MIMALLOC.subject, peer: true, missing: MIMALLOC.missing };
  return [
    { ...common, ...many, prepare: () => prepareMany(size) },
    { ...common, ...single, prepare: () => prepareSingle(HEAP, size) },
    { ...common, ...mimalloc, prepare: () => prepareSingle(MIMALLOC, size) },
  ];
});
