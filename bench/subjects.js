/**
 * What is measured: the core's DsaArea and the friendly SharedHeap, with the loops that several workloads share.
 *
 * The loops are written out for each subject (those of other allocators are in peers.js) instead of once over an
 * interface: what stands here is what a program would write, and nothing is called in between. Pointers are kept in a
 * Float64Array, where storing one makes no object.
 *
 * @typedef {import('sharedheap').Pointer} Pointer
 *
 * @typedef {object} Subject
 * @property {(size: number, count: number) => void} pairs allocate and free, `count` times
 * @property {(count: number, least: number, most: number) => void} fill makes `count` live objects of random sizes
 * @property {(count: number) => void} replace frees a random live object and makes another, `count` times
 * @property {() => void} close
 */

import { SharedHeap } from 'sharedheap';
import { DsaArea, Dsm } from 'sharedheap/core';
import { below, next, SEED } from './random.js';

/** Live objects and the random numbers that choose among them. */
class LiveSet {
  /** The live objects. */
  pointers = new Float64Array(0);
  /** Smallest size. */
  least = 0;
  /** Number of sizes. */
  sizes = 0;
  /** The last random number. */
  random = SEED;

  /**
   * @param {number} count
   * @param {number} least
   * @param {number} most
   */
  reserve(count, least, most) {
    this.pointers = new Float64Array(count);
    this.least = least;
    this.sizes = most - least + 1;
  }
}

/** An area of the core. */
export class AreaSubject extends LiveSet {
  /**
   * @param {Dsm} dsm
   * @param {DsaArea} area
   */
  constructor(dsm, area) {
    super();
    this.dsm = dsm;
    this.area = area;
  }

  /** @param {import('sharedheap/core').DsaOptions} [options] */
  static create(options) {
    const dsm = Dsm.create();
    return new AreaSubject(dsm, DsaArea.create(dsm, options));
  }

  /**
   * @param {number} size
   * @param {number} count
   */
  pairs(size, count) {
    const { area } = this;
    for (let i = 0; i < count; i++) area.free(area.allocate(size));
  }

  /**
   * @param {number} count
   * @param {number} least
   * @param {number} most
   */
  fill(count, least, most) {
    this.reserve(count, least, most);
    for (let i = 0; i < count; i++) {
      this.random = next(this.random);
      this.pointers[i] = this.area.allocate(least + below(this.random, this.sizes));
    }
  }

  /** @param {number} count */
  replace(count) {
    const { area, pointers, least, sizes } = this;
    const live = pointers.length;
    let x = this.random;
    for (let i = 0; i < count; i++) {
      x = next(x);
      const k = below(x, live);
      area.free(/** @type {Pointer} */ (pointers[k]));
      x = next(x);
      pointers[k] = area.allocate(least + below(x, sizes));
    }
    this.random = x;
  }

  /**
   * @param {number} size
   * @param {Float64Array} pointers
   */
  allocateAllThenFreeAll(size, pointers) {
    const { area } = this;
    for (let i = 0; i < pointers.length; i++) pointers[i] = area.allocate(size);
    for (let i = 0; i < pointers.length; i++) area.free(/** @type {Pointer} */ (pointers[i]));
  }

  /** Frees the live objects. */
  empty() {
    for (const pointer of this.pointers) this.area.free(/** @type {Pointer} */ (pointer));
    this.pointers = new Float64Array(0);
  }

  close() {
    this.area.detach();
    this.dsm.leave();
  }
}

/** A heap. */
export class HeapSubject extends LiveSet {
  heap = SharedHeap.create();

  static create() {
    return new HeapSubject();
  }

  /**
   * @param {number} size
   * @param {number} count
   */
  pairs(size, count) {
    const { heap } = this;
    for (let i = 0; i < count; i++) heap.free(heap.alloc(size));
  }

  /**
   * @param {number} count
   * @param {number} least
   * @param {number} most
   */
  fill(count, least, most) {
    this.reserve(count, least, most);
    for (let i = 0; i < count; i++) {
      this.random = next(this.random);
      this.pointers[i] = this.heap.alloc(least + below(this.random, this.sizes));
    }
  }

  /** @param {number} count */
  replace(count) {
    const { heap, pointers, least, sizes } = this;
    const live = pointers.length;
    let x = this.random;
    for (let i = 0; i < count; i++) {
      x = next(x);
      const k = below(x, live);
      heap.free(/** @type {Pointer} */ (pointers[k]));
      x = next(x);
      pointers[k] = heap.alloc(least + below(x, sizes));
    }
    this.random = x;
  }

  /**
   * @param {number} size
   * @param {Float64Array} pointers
   */
  allocateAllThenFreeAll(size, pointers) {
    const { heap } = this;
    for (let i = 0; i < pointers.length; i++) pointers[i] = heap.alloc(size);
    for (let i = 0; i < pointers.length; i++) heap.free(/** @type {Pointer} */ (pointers[i]));
  }

  close() {
    this.heap.close();
  }
}
