/**
 * How large a segment must be for what will be put into it: shm_toc_estimator.
 *
 * Each chunk is rounded up for itself, as the table does when it allocates, so chunks are told one by one. Private to
 * its owner; touches no shared memory.
 */

import { SharedHeapError } from '../errors/errors.js';
import { TOC_ALIGNMENT, TOC_ENTRY_BYTES, TOC_HEADER_BYTES } from './layout.js';

/** Rounds up to a multiple of {@link TOC_ALIGNMENT}. */
function roundUp(bytes: number): number {
  return Math.ceil(bytes / TOC_ALIGNMENT) * TOC_ALIGNMENT;
}

function requireWhole(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new SharedHeapError('ERR_HEAP_BAD_SIZE', `${what} is not a whole number, 0 or more`, {
    detail: `got ${typeof value === 'number' ? value : typeof value}`,
  });
}

function requireSafe(total: number): number {
  if (Number.isSafeInteger(total)) return total;
  throw new SharedHeapError('ERR_HEAP_BAD_SIZE', 'the estimate is too large', {
    detail: `about ${total} bytes; sizes lie below 2^53`,
    sqlState: '54000',
    pgMessage: 'requested shared memory size overflows size_t',
  });
}

/** Adds up what a table of contents will hold. A failed call leaves the estimate as it was. */
export class TocEstimator {
  #chunkBytes = 0;
  #keys = 0;

  /**
   * One chunk more, to be cut with `Toc.allocate`. Follows shm_toc_estimate_chunk.
   *
   * @param bytes size of the chunk, 0 or more
   * @throws ERR_HEAP_BAD_SIZE when it is no size, or the sum is 2^53 or more. Does not block.
   */
  chunk(bytes: number): this {
    this.#chunkBytes = requireSafe(this.#chunkBytes + roundUp(requireWhole(bytes, 'the size of a chunk')));
    return this;
  }

  /**
   * So many keys more, to be inserted with `Toc.insert`. Follows shm_toc_estimate_keys.
   *
   * @param count 0 or more
   * @throws ERR_HEAP_BAD_SIZE when it is no count, or the sum is 2^53 or more. Does not block.
   */
  keys(count: number): this {
    this.#keys = requireSafe(this.#keys + requireWhole(count, 'the number of keys'));
    return this;
  }

  /**
   * Bytes that the table and its chunks need. Follows shm_toc_estimate.
   *
   * @throws ERR_HEAP_BAD_SIZE when the sum is 2^53 or more. Does not block.
   */
  size(): number {
    return requireSafe(roundUp(TOC_HEADER_BYTES + this.#keys * TOC_ENTRY_BYTES + this.#chunkBytes));
  }
}
