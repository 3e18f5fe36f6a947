/**
 * Other ways to get memory in JavaScript, with the loops of subjects.js, measured in the same run.
 *
 * `@thi.ng/malloc` manages one buffer for one thread; its free walks a list of all live blocks. `Buffer.allocUnsafe`
 * is memory of one thread that nobody else can see, given back by the garbage collector: "free" is to forget it.
 */

import { MemPool } from '@thi.ng/malloc';
import { below, next, SEED } from './random.js';

/** Bytes of the pool: more than any workload needs, so that it never runs full. */
const POOL_BYTES = 64 * 2 ** 20;

/** @thi.ng/malloc. */
export class MallocSubject {
  pool = new MemPool({ size: POOL_BYTES });
  /** @type {Float64Array} */
  pointers = new Float64Array(0);
  least = 0;
  sizes = 0;
  random = SEED;

  /**
   * @param {number} size
   * @param {number} count
   */
  pairs(size, count) {
    const { pool } = this;
    for (let i = 0; i < count; i++) pool.free(pool.malloc(size));
  }

  /**
   * @param {number} count
   * @param {number} least
   * @param {number} most
   */
  fill(count, least, most) {
    this.pointers = new Float64Array(count);
    this.least = least;
    this.sizes = most - least + 1;
    for (let i = 0; i < count; i++) {
      this.random = next(this.random);
      this.pointers[i] = this.pool.malloc(least + below(this.random, this.sizes));
    }
  }

  /** @param {number} count */
  replace(count) {
    const { pool, pointers, least, sizes } = this;
    const live = pointers.length;
    let x = this.random;
    for (let i = 0; i < count; i++) {
      x = next(x);
      const k = below(x, live);
      pool.free(pointers[k]);
      x = next(x);
      pointers[k] = pool.malloc(least + below(x, sizes));
      if (pointers[k] === 0) throw new Error(`@thi.ng/malloc: ${POOL_BYTES} bytes are used up`);
    }
    this.random = x;
  }

  close() {
    this.pool.release();
  }
}

/** Buffer.allocUnsafe. */
export class BufferSubject {
  /** The newest; kept, so that the engine cannot leave the work out. */
  last = Buffer.alloc(0);
  /** @type {Buffer[]} */
  buffers = [];
  least = 0;
  sizes = 0;
  random = SEED;

  /**
   * @param {number} size
   * @param {number} count
   */
  pairs(size, count) {
    for (let i = 0; i < count; i++) this.last = Buffer.allocUnsafe(size);
  }

  /**
   * @param {number} count
   * @param {number} least
   * @param {number} most
   */
  fill(count, least, most) {
    this.least = least;
    this.sizes = most - least + 1;
    for (let i = 0; i < count; i++) {
      this.random = next(this.random);
      this.buffers.push(Buffer.allocUnsafe(least + below(this.random, this.sizes)));
    }
  }

  /** @param {number} count */
  replace(count) {
    const { buffers, least, sizes } = this;
    const live = buffers.length;
    let x = this.random;
    for (let i = 0; i < count; i++) {
      x = next(x);
      const k = below(x, live);
      x = next(x);
      buffers[k] = Buffer.allocUnsafe(least + below(x, sizes));
    }
    this.random = x;
  }

  close() {
    this.buffers = [];
  }
}
