/**
 * The `region` store: segments are page runs of one reservation, handed out by a FreePageManager in the control
 * segment, as PostgreSQL's preallocated main region (`min_dynamic_shared_memory`).
 *
 * The manager and the fresh-page mark are guarded by the DSM control lock. Attaching is arithmetic and never waits.
 * Unlike C's main region, a new segment is all zero: pages that were in use before are cleared. Pages beyond the
 * fresh-page mark are zero by the engine's promise, except where the manager itself wrote.
 */

import type { FreePageManager } from '../freepage/freepage.js';
import { ClusterControl } from './control-layout.js';
import { type DsmImpl, PAGE_SIZE, PAGE_WORDS, type Piece } from './impl.js';

const W_FRESH = ClusterControl.fresh_page / 4;
/**
 * Pages behind the fresh-page mark that the manager may have written: it writes the head of the run that begins
 * there and takes tree pages from it. Lower than its largest tree: stale bytes shine through. Higher: a little more
 * clearing. One tree page holds at least 84 of at most 4096 runs.
 */
const MANAGER_SLACK = 64;

/** Segments cut out of one reservation. */
export class RegionImpl implements DsmImpl {
  readonly kind = 'region';
  thrown: unknown = null;
  private readonly buffer: SharedArrayBuffer;
  private readonly control: Int32Array;
  private readonly fpm: FreePageManager;

  constructor(buffer: SharedArrayBuffer, control: Int32Array, fpm: FreePageManager) {
    this.buffer = buffer;
    this.control = control;
    this.fpm = fpm;
  }

  create(_handle: number, npages: number, clean: boolean): (Piece & { firstPage: number }) | null {
    const firstPage = this.take(npages);
    if (firstPage < 0) return null;
    const fresh = this.control[W_FRESH]!;
    const end = firstPage + npages;
    if (clean) {
      const dirtyEnd = Math.min(end, fresh + MANAGER_SLACK);
      if (dirtyEnd > firstPage) {
        new Int32Array(this.buffer, firstPage * PAGE_SIZE, (dirtyEnd - firstPage) * PAGE_WORDS).fill(0);
      }
    }
    if (end > fresh) this.control[W_FRESH] = end;
    return { buffer: this.buffer, byteOffset: firstPage * PAGE_SIZE, firstPage };
  }

  private take(npages: number): number {
    this.thrown = null;
    try {
      return this.fpm.get(npages);
    } catch (error) {
      this.thrown = error;
      return -1;
    }
  }

  /** Tells whether pages lie where segments can lie. */
  private holds(firstPage: number, npages: number): boolean {
    const behindControl = firstPage >= this.control.byteLength / PAGE_SIZE;
    return behindControl && npages > 0 && (firstPage + npages) * PAGE_SIZE <= this.buffer.byteLength;
  }

  find(_handle: number, firstPage: number, npages: number): Piece | null {
    return this.holds(firstPage, npages) ? { buffer: this.buffer, byteOffset: firstPage * PAGE_SIZE } : null;
  }

  forget(): void {}

  destroy(_handle: number, firstPage: number, npages: number): boolean {
    this.thrown = null;
    if (!this.holds(firstPage, npages)) return false;
    try {
      this.fpm.put(firstPage, npages);
      return true;
    } catch (error) {
      this.thrown = error;
      return false;
    }
  }

  largest(): number {
    return this.fpm.contiguousPages;
  }

  known(): [number, SharedArrayBuffer][] {
    return [];
  }

  attend(): void {}

  sweep(): void {}

  close(): void {}
}
