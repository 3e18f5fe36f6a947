/**
 * Objects: the part of DsaArea that allocates and frees, one or many. Checks what comes from outside, calls the functions
 * that do the work, and throws once no lock is held.
 */

import { requireInteger } from '../dsm/dsm.js';
import { SharedHeapError } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import { MAX_ALLOC_SIZE } from './area-layout.js';
import { AreaReports } from './area-reports.js';
import { allocateMany, freeMany } from './bulk.js';
import { takeLarge } from './cache-large.js';
import type { Pointers } from './cache-many.js';
import { takeCached } from './cache.js';
import { allocatePages, allocateSmall, freeCached } from './cached.js';
import { areaError, badSize, invalidRequest, outOfMemory } from './failures.js';
import { freeObject } from './free.js';
import { explainBadPointer, isUnreachable, usableBytes } from './inspect.js';
import { segmentWords } from './mapping.js';
import { fromWords, hiWord, loWord, segmentOf, wordOf } from './pointer.js';
import { CLASS_OF_EIGHTHS, MAX_SMALL_SIZE, PAGE_SIZE } from './size-classes.js';
import type { AreaFailure } from './state.js';

/** Flag: allow requests of 1 GiB and more. */
export const DSA_ALLOC_HUGE = 1;
/** Flag: return 0 instead of throwing when memory is exhausted. Errors of dsm are thrown all the same. */
export const DSA_ALLOC_NO_OOM = 2;
/** Flag: the object's bytes are zero. */
export const DSA_ALLOC_ZERO = 4;
const ALL_FLAGS = DSA_ALLOC_HUGE | DSA_ALLOC_NO_OOM | DSA_ALLOC_ZERO;
/** Most bytes of a request with the huge flag: 2^63 - 1. */
const MAX_HUGE_SIZE = 2n ** 63n - 1n;
/* Constants of this module fold into the code; imported ones are read from memory at every use (see allocate.ts). */
const TWO_32 = 2 ** 32;
const MAX_SMALL = MAX_SMALL_SIZE;
const MAX_ORDINARY = MAX_ALLOC_SIZE;
const CLASSES = CLASS_OF_EIGHTHS;

/** Base of DsaArea; see there. */
export class AreaObjects extends AreaReports {
  /**
   * Allocates an object. For up to 8192 bytes no atomic operation when the cache has one, two without a cache when a superblock
   * has room. Follows dsa_allocate_extended.
   *
   * @param size bytes; up to 1073741823, up to 2^63 - 1 with DSA_ALLOC_HUGE
   * @param flags DSA_ALLOC_HUGE | DSA_ALLOC_NO_OOM | DSA_ALLOC_ZERO
   * @returns pointer, a multiple of 8; 0 only with DSA_ALLOC_NO_OOM
   * @throws ERR_HEAP_BAD_SIZE, ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_OUT_OF_MEMORY, ERR_HEAP_SEGMENT_SLOTS, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT
   */
  allocate(size: number | bigint, flags = 0): DsaPointer {
    const pointer = flags === 0 ? takeCached(this.state, size) : 0;
    if (pointer !== 0) return pointer as DsaPointer;
    // The sign tells V8 that this is a number as well; it would make an object of the pointer above otherwise.
    return +this.allocateUncached(size, flags) as DsaPointer;
  }

  /** {@link allocate} of what `takeCached` has not. @internal */
  allocateUncached(size: number | bigint, flags: number): DsaPointer {
    const s = this.state;
    const n = typeof size === 'number' ? size : 0;
    if (flags !== 0 || n >>> 0 !== n || n === 0 || n > MAX_ORDINARY || s.attached !== true) {
      return this.allocateGeneral(size, flags);
    }
    if (n > MAX_SMALL && s.largeCached > 0) {
      const cached = takeLarge(s, (n + 4095) >>> 12);
      if (cached !== 0) return cached as DsaPointer;
    }
    const lo = n <= MAX_SMALL ? allocateSmall(s, CLASSES[(n + 7) >>> 3]!) : allocatePages(s, (n + 4095) >>> 12);
    const { hi } = s;
    if (hi === 0 && lo > 0) return lo as DsaPointer;
    return hi < 0 ? this.refuse(size, flags) : ((hi * TWO_32 + (lo >>> 0)) as DsaPointer);
  }

  private allocateGeneral(size: number | bigint, flags: number): DsaPointer {
    const s = this.open();
    if (flags !== 0) requireInteger(flags, 0, ALL_FLAGS, 'flags');
    const huge = (flags & DSA_ALLOC_HUGE) !== 0;
    const bytes = typeof size === 'bigint' ? Number(size) : size;
    if (typeof bytes !== 'number' || (typeof size === 'number' && !Number.isSafeInteger(size)) || bytes < 1) {
      throw badSize(size);
    }
    if (bytes > MAX_ALLOC_SIZE && (!huge || BigInt(size) > MAX_HUGE_SIZE)) throw invalidRequest(size, huge);
    const small = bytes <= MAX_SMALL_SIZE;
    s.failure = 'none';
    const lo = small ? allocateSmall(s, CLASSES[(bytes + 7) >>> 3]!) : allocatePages(s, Math.ceil(bytes / PAGE_SIZE));
    if (s.hi < 0) return this.refuse(size, flags);
    const pointer = fromWords(lo, s.hi);
    if ((flags & DSA_ALLOC_ZERO) !== 0) this.clear(pointer, bytes);
    return pointer;
  }

  /** Zeroes an object up to a whole word: slots are multiples of 8 bytes. */
  private clear(pointer: number, bytes: number): void {
    const words = segmentWords(this.state, segmentOf(pointer));
    const from = wordOf(loWord(pointer), hiWord(pointer));
    words.fill(0, from, from + Math.ceil(bytes / 4));
  }

  private refuse(size: number | bigint, flags: number): DsaPointer {
    const s = this.state;
    if (s.failure !== 'memory') throw areaError(s, `allocation of ${size} bytes`);
    if ((flags & DSA_ALLOC_NO_OOM) !== 0) return 0 as DsaPointer;
    throw outOfMemory(s, size);
  }

  /**
   * Frees an object that any participant has allocated. Follows dsa_free; unlike it, checks the pointer.
   *
   * @param pointer start of a live object
   * @throws ERR_HEAP_DOUBLE_FREE, ERR_HEAP_INTERIOR_POINTER, ERR_HEAP_FOREIGN_POINTER, ERR_HEAP_MISALIGNED_POINTER,
   *   ERR_HEAP_STALE_SEGMENT (nothing is changed), ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT
   */
  free(pointer: DsaPointer): void {
    const { state } = this;
    if (typeof pointer !== 'number') this.refusePointer('free', pointer);
    // Both words straight from the number, so that neither has to wait for the other; then the proof.
    const lo = pointer | 0;
    const hi = (pointer * (1 / TWO_32)) | 0;
    const whole = hi * TWO_32 + (lo >>> 0) === pointer;
    if (!whole || !state.give(state, lo, hi, pointer)) {
      this.freeUncached(pointer, lo, hi, whole);
    }
  }

  /** {@link free} of what `give` did not take; `whole` tells whether (lo, hi) is the pointer. @internal */
  freeUncached(pointer: DsaPointer, lo: number, hi: number, whole: boolean): void {
    const s = this.state;
    if (s.attached !== true) this.refusePointer('free', pointer);
    if (!whole || hi < 0) {
      // Not a whole number from 0 to 2^63, say. What failed before has nothing to do with it.
      s.failure = 'none';
      this.refusePointer('free', pointer);
    }
    const done = s.caching ? freeCached(s, lo, hi, pointer) : freeObject(s, lo, hi);
    if (!done) throw areaError(s, 'free', pointer);
  }

  /**
   * Allocates `n` objects of `size` bytes each: all, or none. Several times as fast as as many calls of {@link allocate}.
   *
   * @param size bytes, 1 to 1073741823
   * @param n how many, 0 or more
   * @param out gets the pointers, in its first `n` places; a Float64Array makes no object for one
   * @returns `n`
   * @throws the codes of {@link allocate}; ERR_HEAP_BAD_ARGUMENT. Everything is as before then, but for what `out` holds
   */
  allocateMany(size: number, n: number, out: Pointers): number {
    const s = this.open();
    requireList(out, n);
    if (!Number.isSafeInteger(size) || size < 1) throw badSize(size);
    if (size > MAX_ORDINARY) throw invalidRequest(size, false);
    const got = allocateMany(s, size, n, out);
    if (got === n) return n;
    const failure: AreaFailure = s.failure;
    const error = failure === 'memory' ? outOfMemory(s, size) : areaError(s, `allocation of ${n} times ${size} bytes`);
    freeMany(s, out, got);
    throw error;
  }

  /**
   * Frees the first `n` objects of a list: all, or, when one pointer is wrong or comes twice, none.
   *
   * @param pointers starts of live objects
   * @param n how many, 0 or more
   * @throws the codes of {@link free}, with the index of the wrong one in the detail; nothing is changed then.
   *   ERR_HEAP_LOCK_STALLED when a lock stalls on the way: then those in front of the one that it names are free.
   *   ERR_HEAP_BAD_ARGUMENT
   */
  freeMany(pointers: Pointers, n: number): void {
    const s = this.open();
    requireList(pointers, n);
    const failed = freeMany(s, pointers, n);
    if (failed === null) return;
    const { at, freedBefore } = failed;
    const error = areaError(s, `freeMany, index ${at}`, pointers[at]!);
    if (freedBefore) {
      throw new SharedHeapError(error.code, error.message, {
        detail: `${error.detail}; the ${at} in front of it are free`,
        hint: error.hint,
        cause: error,
      });
    }
    throw error;
  }

  private refusePointer(what: string, pointer: unknown): never {
    if (typeof pointer !== 'number') {
      throw new SharedHeapError('ERR_HEAP_MISALIGNED_POINTER', `${what}: not a pointer`, {
        detail: `got ${pointer === null ? 'null' : typeof pointer}; pointers are numbers`,
      });
    }
    const s = this.open();
    if (!isUnreachable(s)) explainBadPointer(s, pointer);
    throw areaError(s, what, pointer);
  }

  /**
   * Usable bytes of a live object: its size class, or its pages. Never less than what was asked for. Takes no lock.
   *
   * @throws as {@link free}
   */
  sizeOf(pointer: DsaPointer): number {
    const s = this.open();
    const bytes = typeof pointer === 'number' ? usableBytes(s, pointer) : 0;
    return bytes !== 0 ? bytes : this.refusePointer('sizeOf', pointer);
  }

  /** Tells whether `pointer` is the start of a live object. Takes no lock. @throws ERR_HEAP_CLOSED */
  isLive(pointer: DsaPointer): boolean {
    const s = this.open();
    return typeof pointer === 'number' && usableBytes(s, pointer) !== 0;
  }
}

function requireList(list: unknown, n: number): void {
  requireInteger(n, 0, 2 ** 32 - 1, 'n');
  const fits =
    (list instanceof Float64Array || Array.isArray(list)) && (list.length >= n || !(list instanceof Float64Array));
  if (fits) return;
  throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'the pointers are in no list that is long enough', {
    detail: `got ${list instanceof Float64Array ? `${list.length} places for ${String(n)}` : typeof list}`,
    hint: 'Give a Float64Array with n places, or an array.',
  });
}
