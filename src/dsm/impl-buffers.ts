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
  private readonly exchange: BufferExchange;

  constructor(exchange: BufferExchange) {
    this.exchange = exchange;
  }

  create(handle: number, npages: number, _clean: boolean): (Piece & { firstPage: number }) | null {
    let buffer: SharedArrayBuffer;
    try {
      buffer = new SharedArrayBuffer(npages * PAGE_SIZE);
      // A buffer that cannot be viewed is of no use; Node 20 grants some that it cannot.
      new Int32Array(buffer);
    } catch {
      return null;
    }
    this.exchange.announce(handle, buffer);
    return { buffer, byteOffset: 0, firstPage: 0 };
  }

  find(handle: number): Piece | null {
    const buffer = this.exchange.lookup(handle) ?? this.exchange.request(handle);
    return buffer === undefined ? null : { buffer, byteOffset: 0 };
  }

  forget(): void {
    // The exchange keeps its reference while the segment lives, so that it can answer for others.
  }

  destroy(handle: number): void {
    this.exchange.gone(handle);
  }

  largest(): number {
    // The engine does not say; callers that want less than they asked for try smaller sizes.
    return Number.POSITIVE_INFINITY;
  }

  known(): [number, SharedArrayBuffer][] {
    return [...this.exchange.entries()];
  }

  attend(): void {
    this.exchange.attend();
  }

  close(): void {
    this.exchange.close();
  }
}
