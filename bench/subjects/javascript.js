/**
 * Other ways to get memory in JavaScript, all for one thread.
 *
 * `@thi.ng/malloc` manages one buffer; its free walks a list of all live blocks. `Buffer.allocUnsafe` is memory that
 * nobody else can see, given back by the garbage collector: "free" is to forget it. A SharedArrayBuffer for each object,
 * with the view that its user needs, can be posted to other threads one by one.
 *
 * @typedef {import('./subject.js').Allocator} Allocator
 * @typedef {import('./subject.js').Subject} Subject
 */

import { MemPool } from '@thi.ng/malloc';
import { addresses, objects } from './subject.js';

/** Bytes of the pool: more than any workload needs, so that it never runs full. */
const POOL_BYTES = 128 * 2 ** 20;

/** @implements {Allocator} */
class PoolAllocator {
  table = addresses;
  pool = new MemPool({ size: POOL_BYTES });
  words = new Int32Array(this.pool.buf);

  /** @param {number} bytes */
  alloc(bytes) {
    const block = this.pool.malloc(bytes);
    if (block === 0) throw new Error(`@thi.ng/malloc: ${POOL_BYTES} bytes are used up`);
    return block;
  }

  /** @param {any} block */
  free(block) {
    this.pool.free(block);
  }

  /**
   * @param {any} block
   * @param {number} offset
   * @param {number} value
   */
  write(block, offset, value) {
    this.words[(block + offset) >> 2] = value;
  }

  /**
   * @param {any} block
   * @param {number} offset
   */
  read(block, offset) {
    return /** @type {number} */ (this.words[(block + offset) >> 2]);
  }

  /**
   * @param {any} block
   * @param {number} bytes
   */
  view(block, bytes) {
    return new Int32Array(this.pool.buf, block, bytes >> 2);
  }

  close() {
    this.pool.release();
  }
}

/** @implements {Allocator} */
class BufferAllocator {
  table = objects;
  /** The newest that was given up; kept, so that the engine cannot leave the work out. @type {Buffer | null} */
  last = null;

  /** @param {number} bytes */
  alloc(bytes) {
    return Buffer.allocUnsafe(bytes);
  }

  /** @param {Buffer} block */
  free(block) {
    this.last = block;
  }

  /**
   * @param {Buffer} block
   * @param {number} offset
   * @param {number} value
   */
  write(block, offset, value) {
    block.writeInt32LE(value, offset);
  }

  /**
   * @param {Buffer} block
   * @param {number} offset
   */
  read(block, offset) {
    return block.readInt32LE(offset);
  }

  /**
   * @param {Buffer} block
   * @param {number} bytes
   */
  view(block, bytes) {
    return new Int32Array(block.buffer, block.byteOffset, bytes >> 2);
  }

  close() {}
}

/** @implements {Allocator} */
class SharedBufferAllocator {
  table = objects;
  /** @type {Int32Array | null} */
  last = null;

  /** @param {number} bytes */
  alloc(bytes) {
    return new Int32Array(new SharedArrayBuffer((bytes + 3) & ~3));
  }

  /** @param {Int32Array} block */
  free(block) {
    this.last = block;
  }

  /**
   * @param {Int32Array} block
   * @param {number} offset
   * @param {number} value
   */
  write(block, offset, value) {
    block[offset >> 2] = value;
  }

  /**
   * @param {Int32Array} block
   * @param {number} offset
   */
  read(block, offset) {
    return /** @type {number} */ (block[offset >> 2]);
  }

  /** @param {Int32Array} block */
  view(block) {
    return block;
  }

  close() {}
}

/** Its free takes time in proportion to the live blocks: not for workloads with very many. @type {Subject} */
export const MALLOC = { id: 'malloc', subject: '@thi.ng/malloc', peer: true, open: () => new PoolAllocator() };

/** @type {Subject} */
export const BUFFER = { id: 'buffer', subject: 'Buffer.allocUnsafe', peer: true, open: () => new BufferAllocator() };

/** @type {Subject} */
export const SHARED_BUFFER = {
  id: 'sab',
  subject: 'SharedArrayBuffer each',
  peer: true,
  open: () => new SharedBufferAllocator(),
};
