/**
 * One reservation of address space, from which a heap cuts all its segments: PostgreSQL's main shared memory region.
 *
 * Stands on the engine alone. Nothing is locked: the buffer is new and nobody else knows it yet.
 *
 * It is one SharedArrayBuffer of fixed length. The operating system backs it page by page as pages are touched, so a
 * large reservation costs neither time nor memory, attaching is instant on every runtime, and no view is ever made
 * again. Users make a view for each part that they work on: since Node 26 an access whose element index is 2^31 or more
 * takes 100 ns instead of 1. The two other candidates, a growable SharedArrayBuffer and a shared WebAssembly.Memory,
 * were measured against it (`bench/platform/README.md`): both can grow, but every participant has to make its views
 * again after each growth, and both end at 4 GiB where this one gives 16 (the growable one on Node 20 only).
 */

import { SharedHeapError, show } from '../errors/errors.js';
import { platformName, runtimeName } from './host.js';

const GiB = 2 ** 30;
const MiB = 2 ** 20;
/** Size of a page of the page manager; reservations are whole pages. */
const PAGE_BYTES = 4096;

/**
 * What is reserved when the caller does not say.
 *
 * 16 GiB: the largest that every Node from 20 on can view through one Int32Array, and it costs nothing until it is
 * touched. Lower: heaps end earlier, for no gain where memory is lazily backed. Higher: Node 20 refuses the view, and
 * Linux refuses the reservation on machines with less memory than that. Windows charges the whole reservation against
 * the memory that it may promise, so a heap there has 1 GiB unless it asks for more.
 */
export const DEFAULT_REGION_BYTES: number = platformName() === 'win32' ? GiB : 16 * GiB;

/**
 * Where halving ends. Lower: a heap that can hold next to nothing is had instead of an error that says why.
 * Higher: runtimes with little memory get none although a small heap would do.
 */
export const MIN_REGION_BYTES: number = 16 * MiB;

/** What was had; `byteLength` is less than `wanted` when the engine refused the whole. */
export interface Region {
  readonly buffer: SharedArrayBuffer;
  /** Bytes reserved, a multiple of 4096. */
  readonly byteLength: number;
  /** Bytes asked for. */
  readonly wanted: number;
}

/**
 * Reserves memory for a heap. When the engine refuses, half of it is tried, and so on down to 16 MiB (or to what was
 * wanted, if that is less). Granted means that one Int32Array covers the whole. Any thread; does not block, but each
 * refusal takes as long as some full garbage collections, which the engine tries first.
 * Follows dsm_shmem_init in that it is done once, in advance.
 *
 * @param wanted bytes, rounded up to whole pages of 4096
 * @throws ERR_HEAP_BAD_SIZE when `wanted` is not a whole number above 0
 * @throws ERR_HEAP_HOST_LIMIT when the smallest was refused too
 */
export function reserveRegion(wanted: number): Region {
  if (!Number.isSafeInteger(wanted) || wanted <= 0) {
    throw new SharedHeapError('ERR_HEAP_BAD_SIZE', 'the size of a region must be a whole number of bytes above 0', {
      detail: `got ${show(wanted)}`,
    });
  }
  const least = Math.min(wholePages(wanted), MIN_REGION_BYTES);
  let refusal: unknown;
  for (let size = wholePages(wanted); ; size = Math.max(wholePages(size / 2), least)) {
    try {
      const buffer = new SharedArrayBuffer(size);
      // An engine may grant what it cannot show; such a reservation is of no use.
      new Int32Array(buffer);
      return { buffer, byteLength: size, wanted };
    } catch (error) {
      refusal = error;
    }
    if (size === least) throw refused(wanted, least, refusal);
  }
}

function wholePages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

function refused(wanted: number, least: number, cause: unknown): SharedHeapError {
  const said = cause instanceof Error ? cause.message : String(cause);
  return new SharedHeapError('ERR_HEAP_HOST_LIMIT', 'the engine refused to reserve memory for a heap', {
    detail: `wanted ${wanted} bytes, refused down to ${least}, ${runtimeName()} said: ${said}`,
    hint: 'raise the limit on address space (ulimit -v, container), close other heaps, or ask for a smaller region',
    cause,
  });
}
