/**
 * Numbers and pointers by byte offset: the part of SharedHeap that programs call most.
 *
 * Stands on {@link HeapMemory}, which decodes and checks. No lock. An access costs about 5 ns, no object and no
 * closure: the pairs of methods are written out, and each keeps to one type of view, so that the engine compiles each
 * to a few loads.
 */

import { load, store } from '#atomic';
import { SharedHeapError } from '../errors/errors.js';
import { wordAt } from '../dsa/dsa.js';
import type { DsaPointer } from '../layout/layout.js';
import { HeapMemory, LAST_SEGMENT, POINTER_END, SPAN } from './memory.js';
import type { Kind } from './segment-views.js';
import { show } from './sizes.js';

/**
 * Where an object lies: segment index * 2^40 + byte offset, as PostgreSQL's dsa_pointer. A plain number below 2^50, 0
 * is null; branded so that no other number is taken for one. It means the same in every thread: send it as it is.
 */
export type Pointer = DsaPointer;

const RANGES: Readonly<Record<Kind, string>> = {
  i8: 'a whole number, -128 .. 127',
  u8: 'a whole number, 0 .. 255',
  i16: 'a whole number, -32768 .. 32767',
  u16: 'a whole number, 0 .. 65535',
  i32: 'a whole number, -2^31 .. 2^31 - 1',
  u32: 'a whole number, 0 .. 2^32 - 1',
  f32: 'a number',
  f64: 'a number',
  i64: 'a bigint, -2^63 .. 2^63 - 1',
  u64: 'a bigint, 0 .. 2^64 - 1',
};

function refuse(kind: Kind, value: unknown): never {
  throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `value does not fit ${kind}`, {
    detail: `got ${show(value)}, wanted ${RANGES[kind]}`,
  });
}

/**
 * Numbers and pointers by byte offset. All methods follow one rule:
 *
 * - `ptr` is a pointer of this heap: an object, or a place inside one (`ptr + 16` is fine). `offset` is a whole number
 *   of bytes from there, 0 or more; reading takes 0 when it is left out. The sum must be a multiple of the number's
 *   width.
 * - Checked: the place lies in a segment that exists, where objects can be. Not checked, for speed: that the object is
 *   live and long enough; writing past its end damages its neighbour. `bytes` and `view` check that.
 * - Plain loads and stores in little-endian order, not atomic: threads that touch the same number at the same time need
 *   a lock, or hand the object over. Only {@link pointer} and {@link setPointer} never tear.
 * - Any thread that is attached. Does not block, except that the first access to a segment of another thread maps it,
 *   which takes a lock for a moment (and on `buffers` may wait up to `attachTimeout`).
 * - Throws ERR_HEAP_BAD_ARGUMENT (offset or value), ERR_HEAP_MISALIGNED_POINTER, ERR_HEAP_FOREIGN_POINTER (null, too
 *   large, or among the heap's own pages), ERR_HEAP_STALE_SEGMENT, ERR_HEAP_OUT_OF_BOUNDS (beyond the segment),
 *   ERR_HEAP_HOST_LIMIT, ERR_HEAP_SEGMENT_UNREACHABLE, ERR_HEAP_CLOSED. Nothing has been changed then.
 */
export abstract class HeapNumbers extends HeapMemory {
  /** Reads an 8-bit signed number. See {@link HeapNumbers}. */
  i8(ptr: Pointer, offset = 0): number {
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.i8;
      const index = at;
      if (index < view.length && Math.floor(index) === index) return view[index]!;
    }
    return this.far('i8', ptr, offset)[this.farIndex] as number;
  }

  /** Stores an 8-bit signed number: -128 .. 127. See {@link HeapNumbers}. */
  setI8(ptr: Pointer, offset: number, value: number): void {
    if (typeof value !== 'number' || (value << 24) >> 24 !== value) refuse('i8', value);
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.i8;
      const index = at;
      if (index < view.length && Math.floor(index) === index) {
        view[index] = value;
        return;
      }
    }
    this.far('i8', ptr, offset)[this.farIndex] = value;
  }

  /** Reads an 8-bit unsigned number. See {@link HeapNumbers}. */
  u8(ptr: Pointer, offset = 0): number {
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.u8;
      const index = at;
      if (index < view.length && Math.floor(index) === index) return view[index]!;
    }
    return this.far('u8', ptr, offset)[this.farIndex] as number;
  }

  /** Stores an 8-bit unsigned number: 0 .. 255. See {@link HeapNumbers}. */
  setU8(ptr: Pointer, offset: number, value: number): void {
    if (typeof value !== 'number' || (value & 0xff) !== value) refuse('u8', value);
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.u8;
      const index = at;
      if (index < view.length && Math.floor(index) === index) {
        view[index] = value;
        return;
      }
    }
    this.far('u8', ptr, offset)[this.farIndex] = value;
  }

  /** Reads a 16-bit signed number. See {@link HeapNumbers}. */
  i16(ptr: Pointer, offset = 0): number {
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.i16;
      const index = at / 2;
      if (index < view.length && Math.floor(index) === index) return view[index]!;
    }
    return this.far('i16', ptr, offset)[this.farIndex] as number;
  }

  /** Stores a 16-bit signed number: -32,768 .. 32,767. See {@link HeapNumbers}. */
  setI16(ptr: Pointer, offset: number, value: number): void {
    if (typeof value !== 'number' || (value << 16) >> 16 !== value) refuse('i16', value);
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.i16;
      const index = at / 2;
      if (index < view.length && Math.floor(index) === index) {
        view[index] = value;
        return;
      }
    }
    this.far('i16', ptr, offset)[this.farIndex] = value;
  }

  /** Reads a 16-bit unsigned number. See {@link HeapNumbers}. */
  u16(ptr: Pointer, offset = 0): number {
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.u16;
      const index = at / 2;
      if (index < view.length && Math.floor(index) === index) return view[index]!;
    }
    return this.far('u16', ptr, offset)[this.farIndex] as number;
  }

  /** Stores a 16-bit unsigned number: 0 .. 65,535. See {@link HeapNumbers}. */
  setU16(ptr: Pointer, offset: number, value: number): void {
    if (typeof value !== 'number' || (value & 0xffff) !== value) refuse('u16', value);
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.u16;
      const index = at / 2;
      if (index < view.length && Math.floor(index) === index) {
        view[index] = value;
        return;
      }
    }
    this.far('u16', ptr, offset)[this.farIndex] = value;
  }

  /** Reads a 32-bit signed number. See {@link HeapNumbers}. */
  i32(ptr: Pointer, offset = 0): number {
    const s = this.fast;
    const near = s === null ? -1 : wordAt(s, ptr, offset);
    if (near >= 0) return s!.words[near]!;
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.i32;
      const index = at / 4;
      if (index < view.length && Math.floor(index) === index) return view[index]!;
    }
    return this.far('i32', ptr, offset)[this.farIndex] as number;
  }

  /** Stores a 32-bit signed number: -2^31 .. 2^31 - 1. See {@link HeapNumbers}. */
  setI32(ptr: Pointer, offset: number, value: number): void {
    if (typeof value !== 'number' || (value | 0) !== value) refuse('i32', value);
    const s = this.fast;
    const near = s === null ? -1 : wordAt(s, ptr, offset);
    if (near >= 0) {
      s!.words[near] = value;
      return;
    }
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.i32;
      const index = at / 4;
      if (index < view.length && Math.floor(index) === index) {
        view[index] = value;
        return;
      }
    }
    this.far('i32', ptr, offset)[this.farIndex] = value;
  }

  /** Reads a 32-bit unsigned number. See {@link HeapNumbers}. */
  u32(ptr: Pointer, offset = 0): number {
    const s = this.fast;
    const near = s === null ? -1 : wordAt(s, ptr, offset);
    if (near >= 0) return s!.words[near]! >>> 0;
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.u32;
      const index = at / 4;
      if (index < view.length && Math.floor(index) === index) return view[index]!;
    }
    return this.far('u32', ptr, offset)[this.farIndex] as number;
  }

  /** Stores a 32-bit unsigned number: 0 .. 2^32 - 1. See {@link HeapNumbers}. */
  setU32(ptr: Pointer, offset: number, value: number): void {
    if (typeof value !== 'number' || value >>> 0 !== value) refuse('u32', value);
    const s = this.fast;
    const near = s === null ? -1 : wordAt(s, ptr, offset);
    if (near >= 0) {
      s!.words[near] = value;
      return;
    }
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.u32;
      const index = at / 4;
      if (index < view.length && Math.floor(index) === index) {
        view[index] = value;
        return;
      }
    }
    this.far('u32', ptr, offset)[this.farIndex] = value;
  }

  /** Reads a 32-bit float. See {@link HeapNumbers}. */
  f32(ptr: Pointer, offset = 0): number {
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.f32;
      const index = at / 4;
      if (index < view.length && Math.floor(index) === index) return view[index]!;
    }
    return this.far('f32', ptr, offset)[this.farIndex] as number;
  }

  /** Stores a 32-bit float: any number; rounded to the nearest float. See {@link HeapNumbers}. */
  setF32(ptr: Pointer, offset: number, value: number): void {
    if (typeof value !== 'number') refuse('f32', value);
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.f32;
      const index = at / 4;
      if (index < view.length && Math.floor(index) === index) {
        view[index] = value;
        return;
      }
    }
    this.far('f32', ptr, offset)[this.farIndex] = value;
  }

  /** Reads a 64-bit float. See {@link HeapNumbers}. */
  f64(ptr: Pointer, offset = 0): number {
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.f64;
      const index = at / 8;
      if (index < view.length && Math.floor(index) === index) return view[index]!;
    }
    return this.far('f64', ptr, offset)[this.farIndex] as number;
  }

  /** Stores a 64-bit float: any number. See {@link HeapNumbers}. */
  setF64(ptr: Pointer, offset: number, value: number): void {
    if (typeof value !== 'number') refuse('f64', value);
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.f64;
      const index = at / 8;
      if (index < view.length && Math.floor(index) === index) {
        view[index] = value;
        return;
      }
    }
    this.far('f64', ptr, offset)[this.farIndex] = value;
  }

  /** Reads a 64-bit signed number; two threads at once may see half of a change. See {@link HeapNumbers}. */
  i64(ptr: Pointer, offset = 0): bigint {
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.i64;
      const index = at / 8;
      if (index < view.length && Math.floor(index) === index) return view[index]!;
    }
    return this.far('i64', ptr, offset)[this.farIndex] as bigint;
  }

  /** Stores a 64-bit signed number: -2^63 .. 2^63 - 1. See {@link HeapNumbers}. */
  setI64(ptr: Pointer, offset: number, value: bigint): void {
    if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value) refuse('i64', value);
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.i64;
      const index = at / 8;
      if (index < view.length && Math.floor(index) === index) {
        view[index] = value;
        return;
      }
    }
    this.far('i64', ptr, offset)[this.farIndex] = value;
  }

  /** Reads a 64-bit unsigned number; two threads at once may see half of a change. See {@link HeapNumbers}. */
  u64(ptr: Pointer, offset = 0): bigint {
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.u64;
      const index = at / 8;
      if (index < view.length && Math.floor(index) === index) return view[index]!;
    }
    return this.far('u64', ptr, offset)[this.farIndex] as bigint;
  }

  /** Stores a 64-bit unsigned number: 0 .. 2^64 - 1. See {@link HeapNumbers}. */
  setU64(ptr: Pointer, offset: number, value: bigint): void {
    if (typeof value !== 'bigint' || BigInt.asUintN(64, value) !== value) refuse('u64', value);
    const at = this.locate(ptr, offset);
    if (at >= 0) {
      const view = this.views[(ptr / SPAN) & LAST_SEGMENT]!.u64;
      const index = at / 8;
      if (index < view.length && Math.floor(index) === index) {
        view[index] = value;
        return;
      }
    }
    this.far('u64', ptr, offset)[this.farIndex] = value;
  }

  /**
   * Reads a pointer that {@link setPointer} stored: 8 bytes, at once. See {@link HeapNumbers}.
   *
   * @returns the pointer, 0 for null
   * @throws ERR_HEAP_FOREIGN_POINTER also when the 8 bytes are no pointer
   */
  pointer(ptr: Pointer, offset = 0): Pointer {
    let value: bigint;
    const at = this.locate(ptr, offset);
    const view = at >= 0 ? this.views[(ptr / SPAN) & LAST_SEGMENT]!.i64 : null;
    const index = at / 8;
    if (view !== null && index < view.length && Math.floor(index) === index) value = load(view, index);
    else value = load(this.far('i64', ptr, offset) as BigInt64Array, this.farIndex);
    const found = Number(value);
    if (found >= 0 && found < POINTER_END) return found as Pointer;
    throw new SharedHeapError('ERR_HEAP_FOREIGN_POINTER', 'the 8 bytes are no pointer', {
      detail: `0x${BigInt.asUintN(64, value).toString(16)} at ptr ${ptr} + offset ${offset}`,
      hint: 'Read pointers only where setPointer stored them; new memory holds old bytes unless it was zeroed.',
    });
  }

  /**
   * Stores a pointer: 8 bytes, low word first as in C, at once, so that a reader sees the old or the new one. What it
   * leads to is not checked. See {@link HeapNumbers}.
   *
   * @param value a pointer, a place inside an object, or 0 for null
   */
  setPointer(ptr: Pointer, offset: number, value: Pointer | 0): void {
    if (!Number.isInteger(value) || value < 0 || value >= POINTER_END) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'value is not a pointer', {
        detail: `got ${show(value)}, wanted a whole number, 0 .. 2^50 - 1`,
      });
    }
    const at = this.locate(ptr, offset);
    const view = at >= 0 ? this.views[(ptr / SPAN) & LAST_SEGMENT]!.i64 : null;
    const index = at / 8;
    if (view !== null && index < view.length && Math.floor(index) === index) store(view, index, BigInt(value));
    else store(this.far('i64', ptr, offset) as BigInt64Array, this.farIndex, BigInt(value));
  }
}
