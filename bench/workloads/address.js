/**
 * From a pointer to its bytes: random pointers among so many live objects.
 *
 * `SharedHeap.u32` checks the pointer, finds the segment and reads a number; `DsaArea.getAddress` answers with buffer
 * and offset and reads nothing, as dsa_get_address in C.
 */

import { SharedHeap } from 'sharedheap';
import { DsaArea, Dsm } from 'sharedheap/core';
import { below, next, SEED } from '../random.js';
import { caseOfC } from './c.js';

/** @typedef {import('sharedheap').Pointer} Pointer */

/** Live objects and their bytes. */
const SETS = /** @type {const} */ ([
  [1, 64],
  [1000, 64],
  [4000, 4096],
]);

/** Length of the sequence of pointers that is gone through again and again; a power of two. */
const SEQUENCE = 4096;

/**
 * @param {number} objects
 * @param {() => Pointer} allocate
 */
function randomPointers(objects, allocate) {
  const live = Float64Array.from({ length: objects }, allocate);
  let x = SEED;
  return Float64Array.from({ length: SEQUENCE }, () => {
    x = next(x);
    return live[below(x, objects)] ?? 0;
  });
}

/**
 * @param {number} objects
 * @param {number} size
 */
function prepareHeap(objects, size) {
  const heap = SharedHeap.create();
  const pointers = randomPointers(objects, () => heap.alloc(size, { zero: true }));
  return {
    run(/** @type {number} */ count) {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += heap.u32(/** @type {Pointer} */ (pointers[i & (SEQUENCE - 1)]), 0);
      return sum;
    },
    close: () => heap.close(),
  };
}

/**
 * @param {number} objects
 * @param {number} size
 */
function prepareArea(objects, size) {
  const dsm = Dsm.create();
  const area = DsaArea.create(dsm);
  const pointers = randomPointers(objects, () => area.allocate(size));
  return {
    run(/** @type {number} */ count) {
      let sum = 0;
      for (let i = 0; i < count; i++) {
        const address = area.getAddress(/** @type {Pointer} */ (pointers[i & (SEQUENCE - 1)]));
        sum += address === null ? 0 : address.byteOffset;
      }
      return sum;
    },
    close() {
      area.detach();
      dsm.leave();
    },
  };
}

/** @type {import('../cases.js').Case[]} */
export const ADDRESS_CASES = SETS.flatMap(([objects, size]) => {
  const common = { group: 'address', workload: `address-${objects}x${size}` };
  return [
    { ...common, id: 'heap', subject: 'SharedHeap.u32', prepare: () => prepareHeap(objects, size) },
    { ...common, id: 'area', subject: 'DsaArea.getAddress', prepare: () => prepareArea(objects, size) },
    caseOfC('address', common.workload, 'address', objects, size),
  ];
});
