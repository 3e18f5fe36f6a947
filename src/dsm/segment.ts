/**
 * A mapping: one participant's attachment to a segment (PostgreSQL's dsm_segment).
 *
 * Private to its participant. What it changes in the control segment goes through its {@link DsmSession},
 * under the DSM control lock. Detach callbacks run newest first, each popped before it runs, so that one that throws cannot run twice.
 */

import { SharedHeapError } from '../errors/errors.js';
import type { DsmSession } from './session.js';
import { PAGE_SIZE, PAGE_WORDS, type Piece } from './impl.js';
import type { ResourceOwner } from './resource-owner.js';

/** Called when a mapping is detached, before the memory goes. */
export type DetachCallback<T> = (segment: DsmSegment, arg: T) => void;

interface CallbackRecord {
  readonly fn: DetachCallback<unknown>;
  readonly arg: unknown;
}

/** What a mapping is made of; filled in by {@link DsmSession}. */
export interface MappingFacts extends Piece {
  readonly handle: number;
  readonly slot: number;
  readonly size: number;
  readonly tailPages: number;
}

/** What a callback has thrown; wrapped, since it may be any value. */
export interface Thrown {
  readonly error: unknown;
}

/**
 * Callbacks that may be registered while those of the same mapping run. Lower: a long chain, each link made by the one
 * before, is cut. Higher: a callback that registers itself again, which C would run for ever, is noticed later.
 */
const MOST_LATE_CALLBACKS = 1000;

/** What a detached mapping shows: nothing, so that a stale use fails instead of reading what is no longer its own. */
const NO_MEMORY = new SharedArrayBuffer(0);
const NO_WORDS = new Int32Array(NO_MEMORY);

/** A segment as mapped by one participant. Made by `Dsm.create` and `Dsm.attach`. */
export class DsmSegment {
  /** Names the segment for every participant of the cluster; even, never 0. */
  readonly handle: number;
  /** Exact length in bytes, as it was asked for. */
  readonly mapLength: number;
  /** Byte offset of the segment in {@link buffer}. */
  readonly byteOffset: number;
  /** Byte offset in {@link buffer} of what the store keeps behind the segment. @internal */
  readonly tailOffset: number;
  /** Bytes at {@link tailOffset}. @internal */
  readonly tailLength: number;
  /** Slot in the control segment; -1 once the reference is given back. @internal */
  slot: number;
  private readonly dsm: DsmSession;
  private owner: ResourceOwner | null;
  private readonly callbacks: CallbackRecord[] = [];
  private isMapped = true;
  /** Callbacks registered since they began to run; -1 before. */
  private late = -1;
  private memory: SharedArrayBuffer;
  private words: Int32Array;

  /** @internal */
  constructor(dsm: DsmSession, facts: MappingFacts, owner: ResourceOwner | null) {
    const pages = Math.ceil(facts.size / PAGE_SIZE);
    this.dsm = dsm;
    this.handle = facts.handle;
    this.slot = facts.slot;
    this.mapLength = facts.size;
    this.memory = facts.buffer;
    this.byteOffset = facts.byteOffset;
    this.words = new Int32Array(facts.buffer, facts.byteOffset, pages * PAGE_WORDS);
    this.tailOffset = facts.byteOffset + pages * PAGE_SIZE;
    this.tailLength = facts.tailPages * PAGE_SIZE;
    this.owner = owner;
    owner?.remember(this);
  }

  /** The memory that holds the segment; empty once detached. */
  get buffer(): SharedArrayBuffer {
    return this.memory;
  }

  /** All words of the segment; its last page is whole. Empty once detached. */
  get i32(): Int32Array {
    return this.words;
  }

  /** False once detached; then every other method throws ERR_HEAP_CLOSED. */
  get mapped(): boolean {
    return this.isMapped;
  }

  private requireMapped(): void {
    if (!this.isMapped) {
      throw new SharedHeapError('ERR_HEAP_CLOSED', `segment ${this.handle} is detached here`, {
        hint: 'Attach it again by its handle.',
      });
    }
  }

  /**
   * Runs the detach callbacks, newest first, gives the mapping and its reference back, and destroys the segment when
   * it was the last reference. Only the participant's own thread; may block on the DSM control lock. Follows
   * dsm_detach.
   *
   * @throws ERR_HEAP_CLOSED when detached already; the first error that a callback threw, after all was done
   * @throws ERR_HEAP_LOCK_STALLED when the lock could not be had: the mapping is gone, its reference is given back when
   *   this participant next gets the lock, when it leaves, or when its thread ends
   */
  detach(): void {
    this.requireMapped();
    const thrown = this.runCallbacks();
    const done = this.dropMapping();
    if (thrown !== null) throw thrown.error;
    if (!done) throw this.dsm.failureError(`detach of segment ${this.handle}`);
  }

  /** {@link detach} without throwing; returns what the first callback that threw has thrown. @internal */
  end(): Thrown | null {
    const thrown = this.runCallbacks();
    this.dropMapping();
    return thrown;
  }

  private runCallbacks(): Thrown | null {
    let first: Thrown | null = null;
    this.late = Math.max(this.late, 0);
    for (let record = this.callbacks.pop(); record !== undefined; record = this.callbacks.pop()) {
      try {
        record.fn(this, record.arg);
      } catch (error) {
        first ??= { error };
      }
    }
    return first;
  }

  /**
   * Gives mapping and reference back without callbacks; false when the reference could not be given back. A caller in
   * a critical section uses this form. @internal
   *
   * @param unlessOwing true not to wait for a lock that has stalled before
   */
  dropMapping(unlessOwing = false): boolean {
    if (!this.isMapped) return true;
    this.isMapped = false;
    this.owner?.forget(this);
    this.owner = null;
    this.memory = NO_MEMORY;
    this.words = NO_WORDS;
    return this.dsm.giveBack(this, unlessOwing);
  }

  /** Keeps the mapping beyond its resource owner, until detach or the end of the session. Idempotent. Follows dsm_pin_mapping. */
  pinMapping(): void {
    this.requireMapped();
    this.owner?.forget(this);
    this.owner = null;
  }

  /**
   * Gives the mapping to the current resource owner again. Follows dsm_unpin_mapping.
   *
   * @throws ERR_HEAP_NOT_PINNED when an owner has it already, ERR_HEAP_CLOSED when the current owner was released
   */
  unpinMapping(): void {
    this.requireMapped();
    if (this.owner !== null) {
      throw new SharedHeapError('ERR_HEAP_NOT_PINNED', 'cannot unpin a mapping that is not pinned', {
        detail: `segment ${this.handle} belongs to owner ${this.owner.name}`,
      });
    }
    const owner = this.dsm.openOwner();
    owner?.remember(this);
    this.owner = owner;
  }

  /**
   * Keeps the segment alive without any mapping, until `Dsm.unpinSegment`. May block. Follows dsm_pin_segment.
   *
   * @throws ERR_HEAP_ALREADY_PINNED, ERR_HEAP_LOCK_STALLED
   */
  pinSegment(): void {
    this.requireMapped();
    const outcome = this.dsm.tryPin(this.slot);
    if (outcome === 'lock') throw this.dsm.failureError(`pin of segment ${this.handle}`);
    if (outcome === 'already') {
      throw new SharedHeapError('ERR_HEAP_ALREADY_PINNED', 'cannot pin a segment that is already pinned', {
        detail: `segment ${this.handle}`,
      });
    }
  }

  /**
   * Registers a callback to run at detach, before the memory goes; newest runs first. Follows on_dsm_detach.
   *
   * @param fn called with this mapping and `arg`
   * @param arg passed on; also part of what {@link cancelOnDetach} compares
   * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_CLOSED when detached, and when callbacks that are running have registered
   *   1000 others
   */
  onDetach<T>(fn: DetachCallback<T>, arg: T): void {
    this.requireMapped();
    if (typeof fn !== 'function') {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a detach callback must be a function');
    }
    if (this.late >= MOST_LATE_CALLBACKS) {
      throw new SharedHeapError('ERR_HEAP_CLOSED', `segment ${this.handle} is being detached here`, {
        detail: `${this.late} callbacks were registered since`,
        hint: 'A detach callback must not register itself again.',
      });
    }
    if (this.late >= 0) this.late++;
    this.callbacks.push({ fn: fn as DetachCallback<unknown>, arg });
  }

  /** Removes the newest registration equal in both; nothing happens when there is none. Follows cancel_on_dsm_detach. */
  cancelOnDetach<T>(fn: DetachCallback<T>, arg: T): void {
    this.requireMapped();
    for (let i = this.callbacks.length - 1; i >= 0; i--) {
      const record = this.callbacks[i]!;
      if (record.fn === fn && Object.is(record.arg, arg)) {
        this.callbacks.splice(i, 1);
        return;
      }
    }
  }
}
