/**
 * Addresses: the part of DsaArea that says where the bytes of a pointer lie. It also holds what every part needs: the
 * private state, and the question whether this participant is still attached.
 *
 * Takes no lock but for noticing freed segments (area lock) and mapping new ones (DSM control lock).
 */

import { ATTENTION_WORD, requireInteger } from '../dsm/dsm.js';
import type { SharedHeapError } from '../errors/errors.js';
import { type DsaPointer, ld64 } from '../layout/layout.js';
import { C_FREED_COUNTER, C_HIGH, C_SEGMENT_HANDLES, MAX_SEGMENTS } from './area-layout.js';
import { requireAttached } from './area-open.js';
import { areaError, outOfMemory } from './failures.js';
import { checkForFreedSegments, checkForFreedSegmentsLocked, lockArea, segmentWords, unlockArea } from './mapping.js';
import { offsetOf, segmentOf } from './pointer.js';
import { type AreaState, UNMAPPED } from './state.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see allocate.ts). */
const ATTENTION = ATTENTION_WORD;
const FREED_COUNTER = C_FREED_COUNTER;

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

  /**
   * What a structure in this area does before it follows a pointer that it has read there: forgets segments that others
   * gave back, whose indexes may lead to other segments by now, and answers participants that ask for buffers. Two
   * comparisons when there is nothing to do. To be called after taking the lock that guards the pointer.
   *
   * @returns false when the area lock stalls; {@link resolveError} says so. Hot. @internal
   */
  notice(): boolean {
    const s = this.state;
    if (s.listens && s.dsm.control[ATTENTION] !== s.dsm.attentionSeen) s.dsm.attend();
    return s.ctl[FREED_COUNTER] === s.freedSeen || checkForFreedSegments(s);
  }

  /**
   * Maps every live segment here: for structures that are about to follow many pointers and must not fail half-way. Takes
   * the area lock.
   *
   * @returns false when that lock stalls or a segment cannot be mapped; {@link resolveError} says why. @internal
   */
  mapAll(): boolean {
    const s = this.state;
    if (!lockArea(s)) return false;
    checkForFreedSegmentsLocked(s);
    const highest = ld64(s.ctl, C_HIGH);
    let complete = true;
    for (let index = 1; index <= highest && complete; index++) {
      if (s.ctl[C_SEGMENT_HANDLES + index] !== 0) complete = segmentWords(s, index).length !== 0;
    }
    unlockArea(s);
    return complete;
  }

  /** The number that locks in segment `index` know their memory by; the segment is mapped. @internal */
  lockSpace(index: number): number {
    const { state } = this;
    return index === 0 ? state.ns : state.segments[index]!.handle | 0;
  }

  /** The error of a structure in this area that could not have `size` bytes, with the limit in the way. @internal */
  memoryError(size: number, structure: string): SharedHeapError {
    return outOfMemory(this.open(), size, `${structure}: `);
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
