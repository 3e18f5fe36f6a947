/**
 * Objects of the heap: making, freeing and resizing them, and looking at their bytes without copying.
 *
 * Stands on {@link HeapNumbers} and the area, whose locks it takes through the area only. `bytes` and `view` make a
 * new typed array over the shared memory itself; how long that is valid is said there, because nothing can enforce it.
 */

import {
  DSA_ALLOC_HUGE,
  DSA_ALLOC_NO_OOM,
  DSA_ALLOC_ZERO,
  type DsaArea,
  type Pointers,
  takeCached,
  usableSize,
} from '../dsa/dsa.js';
import { SharedHeapError } from '../errors/errors.js';
import { requireCount, SPAN } from './memory.js';
import { HeapNumbers, type Pointer } from './numbers.js';
import { type AllocOptions, checkAllocOptions } from './options.js';
import { parseSizeText, type Size, show } from './sizes.js';
import { STRING_HEADER, TextCodec } from './strings.js';
import { type AnyViewType, isViewType, type ViewOf, type ViewType } from './typed-views.js';

/** Bytes copied at once by realloc. Every engine makes views of this size. */
const COPY_CHUNK = 2 ** 30;
/** Requests up to this size, in bytes, are allowed without the flag for huge ones, which is the area's shortest way. */
const ORDINARY = 2 ** 30 - 1;
const TWO_32 = 2 ** 32;
/** Longest text, in bytes: its length is stored in 32 bits. */
const LONGEST_TEXT = 2 ** 32 - 1;

function allocFlags(options: AllocOptions | undefined): number {
  if (options === undefined) return DSA_ALLOC_HUGE;
  const { zero, orNull } = checkAllocOptions(options);
  return DSA_ALLOC_HUGE | (zero === true ? DSA_ALLOC_ZERO : 0) | (orNull === true ? DSA_ALLOC_NO_OOM : 0);
}

function sizeInBytes(size: Size): number {
  if (typeof size === 'number') return size;
  if (typeof size === 'string') return parseSizeText(size, 'bytes', 'ERR_HEAP_BAD_SIZE');
  throw new SharedHeapError('ERR_HEAP_BAD_SIZE', 'bytes is not a size', {
    detail: `got ${show(size)}`,
    hint: "Give whole bytes as a number, or text with a unit such as '64MiB'.",
  });
}

function outside(asked: string, usable: number): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_OUT_OF_BOUNDS', 'the bytes asked for do not lie inside the object', {
    detail: `${asked}; the object has ${usable} bytes`,
  });
}

/** Objects and views; see {@link HeapNumbers} for the numbers in them. */
export abstract class HeapObjects extends HeapNumbers {
  readonly #text = new TextCodec();

  /**
   * Allocates an object. Its bytes hold whatever was there before, unless `zero` is given.
   *
   * @param bytes size, 1 or more, without an upper limit but the memory there is; also text such as `'64MiB'`. The
   *   object may be larger: see {@link sizeOf}.
   * @param options `zero`: fill the requested bytes with 0; `orNull`: return 0 when there is no memory
   * @returns the pointer, a multiple of 8 and never 0 unless `orNull` is given; a plain number that can be sent to any
   *   thread
   * @throws ERR_HEAP_OUT_OF_MEMORY, ERR_HEAP_BAD_SIZE, ERR_HEAP_BAD_OPTION, ERR_HEAP_SEGMENT_SLOTS,
   *   ERR_HEAP_LOCK_STALLED, ERR_HEAP_CLOSED; the heap is as before then. Any attached thread; may block on the locks
   *   of the size class and of the area. Follows dsa_allocate_extended.
   */
  alloc(bytes: Size, options?: AllocOptions): Pointer {
    const s = this.fast;
    if (s !== null && options === undefined) {
      const pointer = takeCached(s, bytes);
      if (pointer !== 0) return pointer as Pointer;
    }
    // The sign tells V8 that this is a number as well; it would make an object of the pointer above otherwise.
    return +this.#allocUncached(bytes, options) as Pointer;
  }

  #allocUncached(bytes: Size, options: AllocOptions | undefined): Pointer {
    const area = this.open();
    if (options === undefined && typeof bytes === 'number' && bytes <= ORDINARY) return area.allocateUncached(bytes, 0);
    return area.allocate(sizeInBytes(bytes), allocFlags(options));
  }

  /**
   * Frees an object, whichever thread made it. Its views are void from now on; see {@link bytes}.
   *
   * @param ptr the start of a live object
   * @throws ERR_HEAP_DOUBLE_FREE, ERR_HEAP_INTERIOR_POINTER, ERR_HEAP_FOREIGN_POINTER, ERR_HEAP_MISALIGNED_POINTER,
   *   ERR_HEAP_STALE_SEGMENT, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CLOSED; the heap is as before
   *   then. Any attached thread; may block on the locks of the size class and of the area. Follows dsa_free.
   */
  free(ptr: Pointer): void {
    const s = this.fast;
    if (s !== null && typeof ptr === 'number') {
      // As in DsaArea.free, whose call would be one too many for V8 to put all of this into the caller.
      const lo = ptr | 0;
      const hi = (ptr * (1 / TWO_32)) | 0;
      if (hi * TWO_32 + (lo >>> 0) === ptr) {
        if (!s.give(s, lo, hi, ptr)) this.#freeUncached(ptr, lo, hi);
        return;
      }
    }
    this.open().free(ptr);
  }

  #freeUncached(ptr: Pointer, lo: number, hi: number): void {
    const area = this.open();
    area.freeUncached(ptr, lo, hi, true);
    this.afterFree(area);
  }

  /**
   * Allocates `n` objects of the same size: all, or none. With {@link freeMany} about twice as fast as single calls.
   *
   * @param bytes size of each, 1 to 2^30 - 1; also text such as `'4KiB'`
   * @param n how many, 0 or more
   * @param out gets the pointers, in its first `n` places: a Float64Array (fastest) or an array
   * @returns `n`
   * @throws the codes of {@link alloc}, ERR_HEAP_BAD_ARGUMENT; the heap is as before then. Any attached thread; may block on
   *   the locks of the size class and of the area.
   */
  allocMany(bytes: Size, n: number, out: Pointers): number {
    return this.open().allocateMany(sizeInBytes(bytes), n, out);
  }

  /**
   * Frees the first `n` objects of a list, whichever threads made them: all, or none when one pointer is wrong or comes twice.
   *
   * @param ptrs starts of live objects: a Float64Array or an array
   * @param n how many, 0 or more; by default all
   * @throws the codes of {@link free} and ERR_HEAP_BAD_ARGUMENT; nothing was freed then, except with ERR_HEAP_LOCK_STALLED,
   *   whose detail says how many were. Any attached thread; may block on the locks of the size classes and of the area.
   */
  freeMany(ptrs: Pointers, n: number = ptrs?.length): void {
    const area = this.open();
    area.freeMany(ptrs, n);
    this.afterFree(area);
  }

  /**
   * Usable size of an object: at least what was asked for, rounded up to the size class or to whole pages of 4096
   * bytes.
   *
   * @param ptr the start of a live object
   * @returns bytes
   * @throws the codes of {@link free}. Any attached thread; does not block on `region`.
   */
  sizeOf(ptr: Pointer): number {
    return this.open().sizeOf(ptr);
  }

  /**
   * Changes the size of an object. The contents are kept as far as they fit; further bytes hold whatever was there
   * before. The pointer stays when the object already has the size class, or the number of pages, that a new one would
   * get; otherwise the contents are copied and the old object is freed, which voids its views.
   *
   * @param ptr the start of a live object, or 0 to allocate one
   * @param bytes the new size, 1 or more; also text such as `'64MiB'`
   * @returns the pointer of the object from now on
   * @throws the codes of {@link alloc} and {@link free}; the object is as before then. Any attached thread, but only
   *   one at a time may use the object; may block as alloc and free do.
   */
  realloc(ptr: Pointer | 0, bytes: Size): Pointer {
    const area = this.open();
    const wanted = sizeInBytes(bytes);
    if (ptr === 0) return area.allocate(wanted, DSA_ALLOC_HUGE);
    const had = area.sizeOf(ptr);
    if (wanted > 0 && usableSize(wanted) === had) return ptr;
    const fresh = area.allocate(wanted, DSA_ALLOC_HUGE);
    try {
      copyBytes(area, ptr, fresh, Math.min(had, wanted));
      area.free(ptr);
      this.afterFree(area);
    } catch (error) {
      area.free(fresh);
      throw error;
    }
    return fresh;
  }

  /**
   * Bytes of an object as a Uint8Array over the shared memory itself: nothing is copied, writes are seen by all
   * threads.
   *
   * The view is valid until the object is freed or moved by {@link realloc}, by any thread, and until this heap is
   * closed. Nothing stops a program from using it afterwards: it then sees and overwrites whatever lives there next.
   * TextDecoder and some other functions of some runtimes refuse shared memory: copy with `.slice()` first.
   *
   * @param ptr the start of a live object
   * @param length bytes; by default all from `offset` to the usable end, which may be more than was asked for
   * @param offset bytes from `ptr`, default 0
   * @throws ERR_HEAP_OUT_OF_BOUNDS, ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_HOST_LIMIT (Node 20: more than 4 GiB) and the codes
   *   of {@link free}. Any attached thread; does not block on `region`.
   */
  bytes(ptr: Pointer, length?: number, offset = 0): Uint8Array<SharedArrayBuffer> {
    return this.view(ptr, Uint8Array, length, offset);
  }

  /**
   * An object as a typed array over the shared memory itself. As long valid as {@link bytes}.
   *
   * @param ptr the start of a live object
   * @param type `Float64Array` or any other typed array of the language
   * @param length elements; by default as many as fit from `offset` to the usable end
   * @param offset bytes from `ptr`, a multiple of the element size, default 0
   * @throws ERR_HEAP_OUT_OF_BOUNDS, ERR_HEAP_MISALIGNED_POINTER (offset), ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_HOST_LIMIT
   *   and the codes of {@link free}. Any attached thread; does not block on `region`.
   */
  view<T extends ViewType>(ptr: Pointer, type: T, length?: number, offset = 0): ViewOf<T> {
    const area = this.open();
    if (!isViewType(type)) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'type is not a typed array', {
        detail: `got ${show(type)}`,
        hint: 'Give a constructor, for instance Float64Array.',
      });
    }
    requireCount(offset, 'offset');
    const width = type.BYTES_PER_ELEMENT;
    if (length !== undefined) requireCount(length, 'length');
    if (offset % width !== 0) {
      throw new SharedHeapError('ERR_HEAP_MISALIGNED_POINTER', `offset is not a multiple of ${width}`, {
        detail: `offset ${offset}, ${type.name}`,
      });
    }
    const usable = area.sizeOf(ptr);
    const count = length ?? Math.floor(Math.max(usable - offset, 0) / width);
    if (offset + count * width > usable) throw outside(`${count} * ${width} bytes at offset ${offset}`, usable);
    return makeView(area, ptr, type, count, offset) as ViewOf<T>;
  }

  /**
   * Stores text in an object of its own: 4 bytes of length in bytes, then UTF-8. A lone surrogate becomes U+FFFD, as
   * UTF-8 has no form for it.
   *
   * @param text any string whose UTF-8 form is shorter than 4 GiB
   * @returns the pointer, to be given to {@link getString} and, in the end, to {@link free}
   * @throws ERR_HEAP_BAD_ARGUMENT and the codes of {@link alloc}. Any attached thread; may block as alloc does.
   */
  putString(text: string): Pointer {
    const area = this.open();
    if (typeof text !== 'string') {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'text is not a string', { detail: `got ${show(text)}` });
    }
    const length = this.#text.encode(text);
    if (length > LONGEST_TEXT) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'text is too long', { detail: `${length} bytes of UTF-8` });
    }
    const size = STRING_HEADER + length;
    const ptr = area.allocate(size, size <= ORDINARY ? 0 : DSA_ALLOC_HUGE);
    try {
      this.setU32(ptr, 0, length);
      const bytes = this.#textBytes(area, ptr, length);
      this.#text.copyTo(bytes, this.farIndex);
    } catch (error) {
      area.free(ptr);
      throw error;
    }
    return ptr;
  }

  /** Memory that holds the `length` bytes of text of a live object; they begin at index `farIndex`. */
  #textBytes(area: DsaArea, ptr: Pointer, length: number): Uint8Array {
    const views = this.currentViews(area, ptr);
    const at = ptr - Math.floor(ptr / SPAN) * SPAN + STRING_HEADER;
    if (views.u8.length === 0) views.reach('u8', at);
    this.farIndex = at;
    if (at + length <= views.u8.length) return views.u8;
    this.farIndex = 0;
    return makeView(area, ptr, Uint8Array, length, STRING_HEADER) as Uint8Array;
  }

  /**
   * Reads the text that {@link putString} stored. Bytes that are not UTF-8 are read as U+FFFD.
   *
   * @param ptr what putString returned
   * @returns the text, as a string of this thread
   * @throws ERR_HEAP_OUT_OF_BOUNDS when the object holds no such text, and the codes of {@link free}. Any attached
   *   thread; does not block on `region`.
   */
  getString(ptr: Pointer): string {
    const area = this.open();
    const usable = area.sizeOf(ptr);
    const length = this.u32(ptr, 0);
    if (STRING_HEADER + length > usable) throw outside(`${length} bytes of text after ${STRING_HEADER}`, usable);
    const bytes = this.#textBytes(area, ptr, length);
    return this.#text.decode(bytes, this.farIndex, length);
  }
}

function makeView(area: DsaArea, ptr: Pointer, type: AnyViewType, count: number, offset: number): ArrayBufferView {
  const { buffer, byteOffset } = area.getAddress(ptr)!;
  try {
    return new type(buffer, byteOffset + offset, count);
  } catch (cause) {
    throw new SharedHeapError('ERR_HEAP_HOST_LIMIT', 'the engine refused a view', {
      detail: `${type.name} of ${count} elements`,
      hint: 'Ask for a shorter view; Node 20 makes none of more than 2^32 elements.',
      cause,
    });
  }
}

function copyBytes(area: DsaArea, from: Pointer, to: Pointer, length: number): void {
  for (let at = 0; at < length; at += COPY_CHUNK) {
    const chunk = Math.min(COPY_CHUNK, length - at);
    const source = makeView(area, from, Uint8Array, chunk, at) as Uint8Array;
    (makeView(area, to, Uint8Array, chunk, at) as Uint8Array).set(source);
  }
}
