/**
 * The loops of one thread on one allocator. In bench/postgres/workloads.c those of the same names have the same shapes.
 *
 * `replaceTouched` uses the blocks as a program would at least: the first and the last word are written when a block was
 * allocated and compared when it is freed. An allocator that hands out overlapping blocks does not survive that.
 */

import { below, next, SEED } from './random.js';
import { lastWord } from './subjects/subject.js';

/** Objects and sizes of `fifo`; the number is a power of two. */
const FIFO_OBJECTS = 1024;
const FIFO_LEAST = 16;
const FIFO_MOST = 256;

export class Loops {
  /** Live blocks, and the bytes of each where somebody wants to know. @type {any} */
  blocks = [];
  sizes = new Int32Array(0);
  least = 0;
  spread = 0;
  /** Of `fifo`: the oldest block. */
  head = 0;
  random = SEED;
  /** Added to the marks, so that those of two threads differ. */
  base = 0;

  /** @param {import('./subjects/subject.js').Allocator} allocator */
  constructor(allocator) {
    this.allocator = allocator;
  }

  /**
   * @param {number} size
   * @param {number} count
   */
  pairs(size, count) {
    const { allocator } = this;
    for (let i = 0; i < count; i++) allocator.free(allocator.alloc(size));
  }

  /**
   * Makes so many live blocks of random sizes.
   *
   * @param {number} count
   * @param {number} least
   * @param {number} most
   */
  fill(count, least, most) {
    this.blocks = this.allocator.table(count);
    this.sizes = new Int32Array(count);
    this.least = least;
    this.spread = most - least + 1;
    for (let k = 0; k < count; k++) {
      this.random = next(this.random);
      const size = least + below(this.random, this.spread);
      this.sizes[k] = size;
      this.blocks[k] = this.allocator.alloc(size);
    }
  }

  /** Marks all live blocks, for `replaceTouched`. */
  touch() {
    const { allocator, blocks, sizes, base } = this;
    for (let k = 0; k < sizes.length; k++) {
      allocator.write(blocks[k], 0, base + k);
      allocator.write(blocks[k], lastWord(sizes[k] ?? 0), base + k);
    }
  }

  /** @param {number} count */
  replace(count) {
    const { allocator, blocks, least, spread } = this;
    const live = blocks.length;
    let x = this.random;
    for (let i = 0; i < count; i++) {
      x = next(x);
      const k = below(x, live);
      allocator.free(blocks[k]);
      x = next(x);
      blocks[k] = allocator.alloc(least + below(x, spread));
    }
    this.random = x;
  }

  /** @param {number} count */
  replaceTouched(count) {
    const { allocator, blocks, sizes, least, spread, base } = this;
    const live = blocks.length;
    let x = this.random;
    for (let i = 0; i < count; i++) {
      x = next(x);
      const k = below(x, live);
      const old = blocks[k];
      if (allocator.read(old, 0) !== base + k || allocator.read(old, lastWord(sizes[k])) !== base + k) {
        throw new Error(`the block at place ${k} was overwritten`);
      }
      allocator.free(old);
      x = next(x);
      const size = least + below(x, spread);
      const block = allocator.alloc(size);
      allocator.write(block, 0, base + k);
      allocator.write(block, lastWord(size), base + k);
      sizes[k] = size;
      blocks[k] = block;
    }
    this.random = x;
  }

  fillFifo() {
    this.fill(FIFO_OBJECTS, FIFO_LEAST, FIFO_MOST);
  }

  /** Frees the oldest block and allocates another. @param {number} count */
  fifo(count) {
    const { allocator, blocks, least, spread } = this;
    let x = this.random;
    let { head } = this;
    for (let i = 0; i < count; i++) {
      allocator.free(blocks[head]);
      x = next(x);
      blocks[head] = allocator.alloc(least + below(x, spread));
      head = (head + 1) & (FIFO_OBJECTS - 1);
    }
    this.head = head;
    this.random = x;
  }

  /**
   * Allocates until all places have a block.
   *
   * @param {number} size
   * @param {any} blocks
   */
  allocateAll(size, blocks) {
    const { allocator } = this;
    for (let i = 0; i < blocks.length; i++) blocks[i] = allocator.alloc(size);
  }

  /** Frees them in the order of the places. @param {any} blocks */
  freeAll(blocks) {
    const { allocator } = this;
    for (let i = 0; i < blocks.length; i++) allocator.free(blocks[i]);
  }

  /** Mixes the places. @param {any} blocks */
  shuffle(blocks) {
    let x = this.random;
    for (let i = blocks.length - 1; i > 0; i--) {
      x = next(x);
      const k = below(x, i + 1);
      const other = blocks[k];
      blocks[k] = blocks[i];
      blocks[i] = other;
    }
    this.random = x;
  }

  /** Frees the live blocks. */
  empty() {
    this.freeAll(this.blocks);
    this.blocks = this.allocator.table(0);
    this.sizes = new Int32Array(0);
  }

  close() {
    this.allocator.close();
  }
}
