/**
 * shm_toc: a table at the start of a piece of shared memory that says what lies where in it (PostgreSQL,
 * storage/ipc/shm_toc.c). One thread cuts chunks and names them by 64-bit keys, others find them by key.
 *
 * Stands on the atomic operations and on the host's knowledge of threads; needs no participant. A short lock, whose word
 * names the holding thread, orders allocate and insert; lookup takes no lock: an entry is complete before the count that
 * makes it visible.
 *
 * Death. Whatever a thread dies in, the table is whole: a chunk counts, or an entry counts, from one atomic store on.
 * A chunk that was cut but not named is lost, as there is no free. The lock of a thread that is seen to be gone is taken
 * over; where the host can't tell, the next who want it fail with ERR_HEAP_LOCK_STALLED after LOCK_PATIENCE_MS.
 */

import { compareExchange, load, store, wait } from '#atomic';
import { SharedHeapError, show } from '../errors/errors.js';
import { ld64, ld64Big, requirePlace, st64, st64Big } from '../layout/layout.js';
import { canBlock, now, threadAlive, threadIdentity } from '../platform/platform.js';
import { checkKey, type TocKey } from './key.js';
import { TOC_ALIGNMENT, TOC_ENTRY_BYTES, TOC_HEADER_BYTES, TocControl, TocEntry } from './layout.js';

export { TOC_ALIGNMENT } from './layout.js';

/**
 * Milliseconds that the lock is waited for. What is done under it takes less than a microsecond. Lower: a holder that the
 * system keeps from running is taken for stuck; higher: where deaths can't be seen, callers wait that long for nothing.
 */
const LOCK_PATIENCE_MS = 2000;
/** Looks at the lock before the thread sleeps for a moment. Lower: naps of 1 ms; higher: processor time for nothing. */
const LOOKS = 1000;
const MOST_ENTRIES = 2 ** 32 - 1;

/** Indexes of 64-bit fields from the start of the table. */
const HOLDER = TocControl.holder / 8;
const ALLOCATED = TocControl.allocated_bytes / 8;
const KEY = TocEntry.key / 4;
const OFFSET = TocEntry.offset / 4;

function outOfSharedMemory(detail: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_OUT_OF_MEMORY', 'the table of contents has no room', {
    detail,
    hint: 'Make the piece as large as TocEstimator says: one chunk() for each allocate, keys() for all inserts.',
    sqlState: '53200',
    pgMessage: 'out of shared memory',
  });
}

/** This thread's handle of a table of contents. Any number of threads may have one. */
export class Toc {
  readonly #a: Int32Array;
  /** The header as 64-bit fields. */
  readonly #header: BigInt64Array;
  /** Word index of the table in the memory. */
  readonly #word: number;
  /** Byte offset of the table in its memory. */
  readonly byteOffset: number;
  /** Bytes that the table and its chunks may take. */
  readonly totalBytes: number;

  private constructor(a: Int32Array, byteOffset: number, totalBytes: number) {
    this.#a = a;
    this.#word = byteOffset / 4;
    this.#header = new BigInt64Array(a.buffer as SharedArrayBuffer, a.byteOffset + byteOffset, TOC_HEADER_BYTES / 8);
    this.byteOffset = byteOffset;
    this.totalBytes = totalBytes;
  }

  /**
   * Makes an empty table. Before others know of it; does not block. Follows shm_toc_create.
   *
   * @param magic number by which {@link attach} knows the table again, 0 .. 2^64 - 1
   * @param a words of the memory
   * @param byteOffset where the table starts in it, a multiple of 8
   * @param size bytes for table and chunks; more than 40, rounded down to a multiple of 32
   * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_BAD_SIZE when it is too small
   */
  static create(magic: TocKey, a: Int32Array, byteOffset: number, size: number): Toc {
    const key = checkKey(magic, 'the magic number');
    requirePlace(a, byteOffset, size, 'a table of contents');
    if (size <= TOC_HEADER_BYTES) {
      throw new SharedHeapError('ERR_HEAP_BAD_SIZE', 'the piece is too small for a table of contents', {
        detail: `${size} bytes; more than ${TOC_HEADER_BYTES} are needed`,
      });
    }
    const total = Math.floor(size / TOC_ALIGNMENT) * TOC_ALIGNMENT;
    const word = byteOffset / 4;
    a.fill(0, word, word + TOC_HEADER_BYTES / 4);
    st64Big(a, word + TocControl.magic / 4, key);
    st64(a, word + TocControl.total_bytes / 4, total);
    return new Toc(a, byteOffset, total);
  }

  /**
   * Opens the table that another thread has made. Any thread; does not block. Follows shm_toc_attach.
   *
   * @param magic what the creator gave
   * @param a words of the memory
   * @param byteOffset where the table starts in it
   * @returns null when there is no table with this magic number
   * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_CORRUPT when the table claims more than the memory has
   */
  static attach(magic: TocKey, a: Int32Array, byteOffset: number): Toc | null {
    const key = checkKey(magic, 'the magic number');
    requirePlace(a, byteOffset, TOC_HEADER_BYTES, 'a table of contents');
    const word = byteOffset / 4;
    if (ld64Big(a, word + TocControl.magic / 4) !== key) return null;
    const total = ld64(a, word + TocControl.total_bytes / 4);
    if (total % TOC_ALIGNMENT !== 0 || total < TOC_ALIGNMENT || byteOffset + total > a.byteLength) {
      throw new SharedHeapError('ERR_HEAP_CORRUPT', 'a table of contents is damaged', {
        detail: `it claims ${total} bytes at ${byteOffset} of ${a.byteLength}`,
      });
    }
    return new Toc(a, byteOffset, total);
  }

  /**
   * Cuts a chunk. Its bytes hold whatever was there before, and there is no way to give it back. Any thread; may wait a
   * moment for another that changes the table. Follows shm_toc_allocate.
   *
   * @param bytes 0 or more; rounded up to a multiple of 32
   * @returns byte offset of the chunk in the memory `a`
   * @throws ERR_HEAP_BAD_SIZE, ERR_HEAP_OUT_OF_MEMORY, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT; nothing has changed then
   */
  allocate(bytes: number): number {
    if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) {
      throw new SharedHeapError('ERR_HEAP_BAD_SIZE', 'the size of a chunk is not a whole number, 0 or more', {
        detail: `got ${typeof bytes === 'number' ? bytes : typeof bytes}`,
      });
    }
    const wanted = Math.ceil(bytes / TOC_ALIGNMENT) * TOC_ALIGNMENT;
    this.#lock();
    const allocated = this.#allocated();
    const used = allocated + this.#tableBytes();
    const fits = used + wanted <= this.totalBytes;
    if (fits) store(this.#header, ALLOCATED, BigInt(allocated + wanted));
    this.#unlock();
    if (used > this.totalBytes) throw this.#damaged();
    if (!fits) throw outOfSharedMemory(`${wanted} bytes asked for, ${used} of ${this.totalBytes} used`);
    return this.byteOffset + this.totalBytes - allocated - wanted;
  }

  /**
   * Bytes that are neither table nor chunk, rounded down to whole chunks. Any thread; may wait a moment. Follows
   * shm_toc_freespace.
   *
   * @throws ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT
   */
  freeSpace(): number {
    this.#lock();
    const allocated = this.#allocated();
    const table = this.#tableBytes();
    this.#unlock();
    if (allocated + table > this.totalBytes) throw this.#damaged();
    // The table may have grown into the last whole chunk.
    return Math.max(0, this.totalBytes - allocated - Math.ceil(table / TOC_ALIGNMENT) * TOC_ALIGNMENT);
  }

  /**
   * Names a place. Of several entries with one key the first counts. Any thread; may wait a moment. Follows
   * shm_toc_insert.
   *
   * @param key 0 .. 2^64 - 1
   * @param byteOffset any place inside the piece, as an offset in the memory `a`; not only the start of a chunk
   * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_OUT_OF_MEMORY, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT; nothing has changed
   *   then
   */
  insert(key: TocKey, byteOffset: number): void {
    const name = checkKey(key, 'the key');
    const offset = byteOffset - this.byteOffset;
    // The end itself is a place too: that of a chunk of no bytes.
    if (!Number.isSafeInteger(byteOffset) || offset <= 0 || offset > this.totalBytes) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'the place does not lie in the piece of this table', {
        detail: `got ${show(byteOffset)}; the piece has ${this.totalBytes} bytes at ${this.byteOffset}`,
      });
    }
    this.#lock();
    const n = this.#entries();
    const used = this.#allocated() + this.#tableBytes();
    const fits = used + TOC_ENTRY_BYTES <= this.totalBytes && n < MOST_ENTRIES;
    if (fits) {
      const entry = this.#entryWord(n);
      st64Big(this.#a, entry + KEY, name);
      st64(this.#a, entry + OFFSET, offset);
      store(this.#a, this.#word + TocControl.nentry / 4, n + 1);
    }
    this.#unlock();
    if (used > this.totalBytes) throw this.#damaged();
    if (!fits) throw outOfSharedMemory(`an entry of ${TOC_ENTRY_BYTES} bytes, ${used} of ${this.totalBytes} used`);
  }

  /**
   * Finds a place by its key, in time proportional to the number of entries. Any thread; does not block. Follows
   * shm_toc_lookup.
   *
   * @param key 0 .. 2^64 - 1
   * @param noError return null instead of throwing when there is no such key
   * @returns the offset in the memory `a` that was inserted first under this key
   * @throws ERR_HEAP_NO_SUCH_KEY, ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_CORRUPT
   */
  lookup(key: TocKey, noError?: false): number;
  lookup(key: TocKey, noError: boolean): number | null;
  lookup(key: TocKey, noError = false): number | null {
    const name = checkKey(key, 'the key');
    const a = this.#a;
    const lo = Number(BigInt.asIntN(32, name));
    const hi = Number(BigInt.asIntN(32, name >> 32n));
    const n = this.#entries();
    if (n > (this.totalBytes - TOC_HEADER_BYTES) / TOC_ENTRY_BYTES) throw this.#damaged();
    for (let i = 0; i < n; i++) {
      const entry = this.#entryWord(i);
      if (a[entry + KEY] !== lo || a[entry + KEY + 1] !== hi) continue;
      const offset = ld64(a, entry + OFFSET);
      if (offset <= 0 || offset > this.totalBytes) throw this.#damaged();
      return this.byteOffset + offset;
    }
    if (noError) return null;
    throw new SharedHeapError('ERR_HEAP_NO_SUCH_KEY', 'the table of contents has no such key', {
      detail: `key ${name}, ${n} entries`,
      hint: 'Insert before others look it up, or pass noError.',
      pgMessage: `could not find key ${name} in shm TOC`,
    });
  }

  /**
   * What is wrong with the table, a sentence each; empty when nothing is. Changes nothing. Any thread; does not block.
   * While others change the table, wait until they have finished.
   */
  verify(): string[] {
    const n = this.#entries();
    const allocated = this.#allocated();
    const problems: string[] = [];
    if (allocated % TOC_ALIGNMENT !== 0) problems.push(`allocated bytes ${allocated} are no multiple of 32`);
    if (allocated + this.#tableBytes() > this.totalBytes) {
      problems.push(`${n} entries and ${allocated} bytes of chunks exceed ${this.totalBytes} bytes`);
      return problems;
    }
    for (let i = 0; i < n; i++) {
      const offset = ld64(this.#a, this.#entryWord(i) + OFFSET);
      if (offset <= 0 || offset > this.totalBytes) problems.push(`entry ${i} leads to byte ${offset}, outside`);
    }
    if (load(this.#header, HOLDER) !== 0n) problems.push('the lock is held');
    return problems;
  }

  #entries(): number {
    return load(this.#a, this.#word + TocControl.nentry / 4) >>> 0;
  }

  #allocated(): number {
    return Number(BigInt.asUintN(64, load(this.#header, ALLOCATED)));
  }

  #tableBytes(): number {
    return TOC_HEADER_BYTES + this.#entries() * TOC_ENTRY_BYTES;
  }

  #entryWord(i: number): number {
    return this.#word + (TOC_HEADER_BYTES + i * TOC_ENTRY_BYTES) / 4;
  }

  #damaged(): SharedHeapError {
    return new SharedHeapError('ERR_HEAP_CORRUPT', 'a table of contents is damaged', {
      detail: `${this.#entries()} entries, ${this.#allocated()} bytes of chunks, ${this.totalBytes} bytes in all`,
    });
  }

  /** Becomes the holder. Our own identity found there is what an earlier call, cut short, has left: the table is whole. */
  #lock(): void {
    const me = threadIdentity();
    let end = Number.NaN;
    for (;;) {
      const found = compareExchange(this.#header, HOLDER, 0n, me);
      if (found === 0n || found === me) return;
      for (let look = 0; look < LOOKS && load(this.#header, HOLDER) !== 0n; look++);
      if (load(this.#header, HOLDER) !== found) continue;
      if (threadAlive(found) === false && compareExchange(this.#header, HOLDER, found, me) === found) return;
      if (Number.isNaN(end)) end = now() + LOCK_PATIENCE_MS;
      if (now() >= end) {
        throw new SharedHeapError('ERR_HEAP_LOCK_STALLED', 'a table of contents stays locked', {
          detail: `by thread ${BigInt.asUintN(32, found)} for more than ${LOCK_PATIENCE_MS} ms`,
          hint: 'A thread ended, or is kept from running, while it changed the table.',
        });
      }
      // Nobody notifies: unlocking must stay cheap, and this is rare.
      if (canBlock()) wait(this.#header, HOLDER, found, 1);
    }
  }

  #unlock(): void {
    store(this.#header, HOLDER, 0n);
  }
}
