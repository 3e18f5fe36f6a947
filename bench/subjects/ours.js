/**
 * What this project is measured as: the friendly SharedHeap, as it is and without what can be switched off, and the
 * core's DsaArea, which places objects as PostgreSQL does.
 *
 * Words are written and read as a program would: through the heap's own accessors, which check the pointer. The core
 * has none; there the words of the mapped segment are used directly.
 *
 * @typedef {import('./subject.js').Allocator} Allocator
 * @typedef {import('./subject.js').Subject} Subject
 */

import { SharedHeap } from 'sharedheap';
import { DsaArea, Dsm } from 'sharedheap/core';
import { addresses } from './subject.js';

/** Bytes that a segment's index spans in a pointer. */
const SPAN = 2 ** 40;

/** @implements {Allocator} */
export class HeapAllocator {
  table = addresses;

  /** @param {SharedHeap} heap */
  constructor(heap) {
    this.heap = heap;
  }

  /** @param {number} bytes */
  alloc(bytes) {
    return this.heap.alloc(bytes);
  }

  /** @param {any} block */
  free(block) {
    this.heap.free(block);
  }

  /**
   * @param {any} block
   * @param {number} offset
   * @param {number} value
   */
  write(block, offset, value) {
    this.heap.setI32(block, offset, value);
  }

  /**
   * @param {any} block
   * @param {number} offset
   */
  read(block, offset) {
    return this.heap.i32(block, offset);
  }

  /**
   * @param {any} block
   * @param {number} bytes
   */
  view(block, bytes) {
    return this.heap.view(block, Int32Array, bytes >> 2);
  }

  share() {
    return this.heap.handle;
  }

  close() {
    this.heap.close();
  }
}

/** @implements {Allocator} */
export class AreaAllocator {
  table = addresses;

  /**
   * @param {Dsm} dsm
   * @param {DsaArea} area
   */
  constructor(dsm, area) {
    this.dsm = dsm;
    this.area = area;
  }

  /** @param {import('sharedheap/core').DsaOptions} [options] */
  static create(options) {
    const dsm = Dsm.create();
    // Without caches, which is its default: objects lie where PostgreSQL would place them.
    return new AreaAllocator(dsm, DsaArea.create(dsm, options));
  }

  /** @param {{ cluster: import('sharedheap/core').DsmClusterHandle, area: number }} shared */
  static attach({ cluster, area }) {
    const dsm = Dsm.join(cluster);
    return new AreaAllocator(dsm, DsaArea.attach(dsm, area));
  }

  /** @param {number} bytes */
  alloc(bytes) {
    return this.area.allocate(bytes);
  }

  /** @param {any} block */
  free(block) {
    this.area.free(block);
  }

  /**
   * @param {any} block
   * @param {number} offset
   * @param {number} value
   */
  write(block, offset, value) {
    const segment = (block / SPAN) | 0;
    this.area.resolve(segment)[(block - segment * SPAN + offset) / 4] = value;
  }

  /**
   * @param {any} block
   * @param {number} offset
   */
  read(block, offset) {
    const segment = (block / SPAN) | 0;
    return this.area.resolve(segment)[(block - segment * SPAN + offset) / 4];
  }

  /**
   * @param {any} block
   * @param {number} bytes
   */
  view(block, bytes) {
    const address = this.area.getAddress(block);
    if (address === null) throw new Error('there is no view of the null pointer');
    return new Int32Array(address.buffer, address.byteOffset, bytes >> 2);
  }

  share() {
    return { cluster: this.dsm.handle, area: this.area.handle };
  }

  close() {
    this.area.detach();
    this.dsm.leave();
  }
}

/** @param {any} handle */
const attachHeap = (handle) => new HeapAllocator(SharedHeap.attach(handle));

/** @type {Subject} */
export const HEAP = {
  id: 'heap',
  subject: 'SharedHeap',
  peer: false,
  open: () => new HeapAllocator(SharedHeap.create()),
  attach: attachHeap,
};

/** @param {'checks' | 'cache'} option @returns {Subject} */
const without = (option) => ({
  id: `heap-no-${option}`,
  subject: `SharedHeap, ${option}: false`,
  peer: false,
  open: () => new HeapAllocator(SharedHeap.create({ [option]: false })),
  attach: attachHeap,
});

/** @type {Subject} */
export const AREA = {
  id: 'area',
  subject: 'DsaArea',
  peer: false,
  open: () => AreaAllocator.create(),
  attach: AreaAllocator.attach,
};

/** @type {Subject[]} */
export const OURS = [HEAP, without('checks'), without('cache'), AREA];
