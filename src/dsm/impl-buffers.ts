/**
 * The `buffers` store: each segment is a SharedArrayBuffer of its own, handed from thread to thread by the exchange
 * of the platform layer.
 *
 * Stands on platform/buffers. A buffer goes back to the operating system when every participant that had it has
 * dropped it and collected garbage. Creation and destruction run under the DSM control lock.
 */

import type { BufferExchange } from '../platform/platform.js';
import { type DsmImpl, PAGE_SIZE, type Piece } from './impl.js';

/** Segments that are buffers of their own. */
export class BuffersImpl implements DsmImpl {
  readonly kind = 'buffers';
  readonly thrown = null;
  private readonly exchange: BufferExchange;

  constructor(exchange: BufferExchange) {
    this.exchange = exchange;
  }

  create(handle: number, npages: number, _clean: boolean): (Piece & { firstPage: number }) | null {
    try {
      const buffer = new SharedArrayBuffer(npages * PAGE_SIZE);
      // A buffer that cannot be viewed is of no use; Node 20 grants some that it cannot.
      new Int32Array(buffer);
      this.exchange.announce(handle, buffer);
      return { buffer, byteOffset: 0, firstPage: 0 };
    } catch {
      // Nobody may keep what could not be told to all.
      this.exchange.drop(handle);
      return null;
    }
  }

  find(handle: number, _firstPage: number, npages: number): Piece | null {
    try {
      // First what others have said: a handle may have been used before, for a buffer that is gone.
      this.exchange.attend();
      let buffer = this.exchange.lookup(handle);
      if (buffer !== undefined && buffer.byteLength !== npages * PAGE_SIZE) {
        // It came with a handle of the cluster that somebody had put together wrongly.
        this.exchange.drop(handle);
        buffer = undefined;
      }
      buffer ??= this.exchange.request(handle);
      return buffer?.byteLength === npages * PAGE_SIZE ? { buffer, byteOffset: 0 } : null;
    } catch {
      return null;
    }
  }

  forget(): void {
    // The exchange keeps its reference while the segment lives, so that it can answer for others.
  }

  destroy(handle: number): boolean {
    try {
      this.exchange.gone(handle);
    } catch {
      // The others could not be told; each finds out when it next compares its table with the control memory.
    }
    return true;
  }

  largest(): number {
    // The engine does not say; callers that want less than they asked for try smaller sizes.
    return Number.POSITIVE_INFINITY;
  }

  known(): [number, SharedArrayBuffer][] {
    return [...this.exchange.entries()];
  }

  attend(): void {
    try {
      this.exchange.attend();
    } catch {
      // An answer that cannot be sent: whoever asked goes on asking others. Wait loops come here and must not throw.
    }
  }

  sweep(): void {
    try {
      this.exchange.sweep();
    } catch {
      // The own table is swept then; the others' when the next one is found gone.
    }
  }

  close(): void {
    this.exchange.close();
  }
}
