/**
 * Addresses: the part of DsaArea that says where the bytes of a pointer lie. It also holds what every part needs: the
 * private state, and the question whether this participant is still attached.
 *
 * Takes no lock but for noticing freed segments (area lock) and mapping new ones (DSM control lock).
 */

import { requireInteger } from '../dsm/dsm.js';
import type { SharedHeapError } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import { MAX_SEGMENTS } from './area-layout.js';
import { requireAttached } from './area-open.js';
import { areaError } from './failures.js';
import { checkForFreedSegments, lockArea, segmentWords } from './mapping.js';
import { offsetOf, segmentOf } from './pointer.js';
import { type AreaState, UNMAPPED } from './state.js';

/** Base of DsaArea; see there. */
export class AreaMemory {
  /** @internal */
  readonly state: AreaState;

  protected constructor(state: AreaState) {
    this.state = state;
  }

  /** The state, while attached. @throws ERR_HEAP_CLOSED */
  protected open(): AreaState {
    const { state } = this;
    requireAttached(state);
    return state;
  }

  /** The state with the area lock held. @throws ERR_HEAP_CLOSED, ERR_HEAP_LOCK_STALLED */
  protected lock(what: string): AreaState {
    const s = this.open();
    if (!lockArea(s)) throw areaError(s, what);
    return s;
  }

  /**
   * Where the byte at `pointer` lies; any pointer into a live segment. Maps the segment if need be. Follows
   * dsa_get_address.
   *
   * @returns null for pointer 0
   * @throws ERR_HEAP_STALE_SEGMENT, ERR_HEAP_FOREIGN_POINTER, ERR_HEAP_SEGMENT_UNREACHABLE
   */
  getAddress(pointer: DsaPointer): { buffer: SharedArrayBuffer; byteOffset: number } | null {
    const s = this.open();
    if (pointer === 0) return null;
    requireInteger(pointer, 0, MAX_SEGMENTS * 2 ** 40 - 1, 'pointer', 'ERR_HEAP_FOREIGN_POINTER');
    const index = segmentOf(pointer);
    const offset = offsetOf(pointer);
    const words = this.resolve(index);
    if (words.length !== 0 && offset >= words.length * 4) s.failure = 'foreign';
    if (offset >= words.length * 4) throw areaError(s, 'getAddress', pointer);
    return { buffer: this.segmentBuffer(index), byteOffset: this.segmentByteOffset(index) + offset };
  }

  /**
   * Words of segment `index`, mapped if need be, after noticing segments that others gave back. The view stays valid
   * until the segment is given back, which cannot happen while a live object lies in it.
   *
   * @returns an empty array when it cannot be mapped; `resolveError` says why. @internal
   */
  resolve(index: number): Int32Array {
    const s = this.state;
    s.failure = 'foreign';
    if (index < 0 || index >= MAX_SEGMENTS || !checkForFreedSegments(s)) return UNMAPPED;
    return segmentWords(s, index);
  }

  /** The error after {@link resolve} came back empty. @internal */
  resolveError(what: string, pointer: number): SharedHeapError {
    return areaError(this.state, what, pointer);
  }

  /** Words of segment `index` if it is mapped here, else an empty array. Hot. @internal */
  segmentI32(index: number): Int32Array {
    return this.state.maps[index]!.i32 ?? UNMAPPED;
  }

  /** Buffer that holds the mapped segment `index`. @internal */
  segmentBuffer(index: number): SharedArrayBuffer {
    const { state } = this;
    return index === 0 ? state.buffer : state.segments[index]!.buffer;
  }

  /** Byte offset of the mapped segment `index` in its buffer. @internal */
  segmentByteOffset(index: number): number {
    const { state } = this;
    return index === 0 ? state.byteOffset : state.segments[index]!.byteOffset;
  }
}
