/**
 * Where the bytes of a segment come from: the lowest layer, PostgreSQL's dsm_impl.
 *
 * Two implementations share this interface: `region` cuts page runs out of one reservation, `buffers` makes a
 * SharedArrayBuffer per segment. All calls except {@link DsmImpl.find} are made under the DSM control lock and
 * therefore never throw: a refusal is a null, and what the engine throws is caught where it is called.
 */

/** Size of a page in bytes, as in the FreePageManager. */
export const PAGE_SIZE = 4096;
/** Words (Int32) of a page. */
export const PAGE_WORDS = PAGE_SIZE / 4;

/** A piece of shared memory. */
export interface Piece {
  readonly buffer: SharedArrayBuffer;
  /** Byte offset in `buffer`; a multiple of 8. */
  readonly byteOffset: number;
}

/** A store of segments, as one participant sees it. */
export interface DsmImpl {
  readonly kind: 'region' | 'buffers';
  /** What the last call that failed has thrown; null when there merely was no room. */
  readonly thrown: unknown;
  /**
   * Provides `npages` pages for a new segment.
   *
   * @param handle the handle that the segment will have
   * @param npages pages, tail included
   * @param clean false when the caller does not care for old contents
   * @returns the memory and its first page in the reservation (0 on `buffers`), or null when it cannot be had
   */
  create(handle: number, npages: number, clean: boolean): (Piece & { readonly firstPage: number }) | null;
  /**
   * Finds the memory of a live segment of another participant; may block up to `attachTimeout` on `buffers`. Not under
   * the lock; does not throw either.
   *
   * @param firstPage as {@link create} returned it
   * @param npages pages, tail included
   * @returns null when nobody handed it over in time (`buffers`), or the pages lie outside the reservation (`region`)
   */
  find(handle: number, firstPage: number, npages: number): Piece | null;
  /** Forgets this participant's reference to a segment that it has just detached. */
  forget(handle: number): void;
  /**
   * Destroys a segment that nobody maps any more.
   *
   * @returns false when its pages cannot be given back, since something wrote over the bookkeeping
   */
  destroy(handle: number, firstPage: number, npages: number): boolean;
  /** The longest run of pages that `create` can provide now, as far as the store can tell. */
  largest(): number;
  /** Buffers to be put into a handle of the cluster. */
  known(): [handle: number, buffer: SharedArrayBuffer][];
  /** Answers requests of other participants; cheap when there are none. */
  attend(): void;
  /**
   * Has everybody compare what they keep with the control memory. After a participant was found gone, whose last words
   * may not have come through; does not throw.
   */
  sweep(): void;
  /** Releases what this participant holds of the store. */
  close(): void;
}
