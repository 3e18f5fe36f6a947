/**
 * What a subject of the benchmark is. The workloads' loops (loops.js and workloads/) are written once over this, and a
 * process or worker only ever loads one subject into them, so that the engine inlines what stands behind.
 *
 * A block is whatever `alloc` returns: a number where memory has addresses, an object where it has none.
 *
 * @typedef {object} Allocator one thread's way to the memory
 * @property {(bytes: number) => any} alloc throws when there is no memory
 * @property {(block: any) => void} free
 * @property {(block: any, offset: number, value: number) => void} write a 32-bit word; the offset is a multiple of 4
 * @property {(block: any, offset: number) => number} read
 * @property {(block: any, bytes: number) => Int32Array} view on the block, for many accesses
 * @property {(count: number) => any} table for so many blocks
 * @property {() => unknown} [share] what one other thread needs to `attach`; to be called anew for each
 * @property {() => void} close
 *
 * @typedef {object} Subject
 * @property {string} id short
 * @property {string} subject as shown
 * @property {boolean} peer not ours: the others are compared with it
 * @property {() => string | undefined} [missing] why it cannot be had here, in one line
 * @property {() => Allocator} open makes the memory
 * @property {(shared: any) => Allocator} [attach] in another thread; only where many may allocate and free
 */

/** Places for addresses: storing one in a Float64Array makes no object. @param {number} count */
export function addresses(count) {
  return new Float64Array(count);
}

/** Places for blocks that are objects. @param {number} count */
export function objects(count) {
  return Array.from({ length: count }, () => null);
}

/**
 * Offset of the last whole word of a block; at least 0.
 * @param {number} bytes 8 or more
 */
export function lastWord(bytes) {
  return (bytes - 4) & ~3;
}

/**
 * What the cases of a subject have of it.
 * @param {Subject} subject
 */
export function whoOf({ id, subject, peer, missing }) {
  return { id, subject, peer, missing };
}
