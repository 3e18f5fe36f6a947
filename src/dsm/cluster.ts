/**
 * Dsm: one participant's door to dynamic shared memory (PostgreSQL, storage/ipc/dsm.c).
 *
 * A *cluster* is one control segment with the segments it names; a Dsm is one participant of it, with mappings of its
 * own. A thread may hold several. Slots, reference counts and the page manager of the region are guarded by the DSM
 * control lock, the innermost lock of the library: while it is held no other lock is taken.
 *
 * Functions that dsa calls inside its own critical sections (`tryCreate`, `tryAttach`, `giveBack`, `tryUnpin`)
 * never throw: they return null or false and leave the reason in `failure`. The public forms throw.
 */

import { SharedHeapError } from '../errors/errors.js';
import { lwlockAcquire, lwlockFailure, lwlockRelease, LW_EXCLUSIVE, type Participant, ParticipantSlot } from '../sync/sync.js';
import type { ParticipantTable, TrancheTable } from '../sync/sync.js';
import { ClusterControl } from './control-layout.js';
import type { SlotArray } from './control.js';
import { type DsmImpl, PAGE_SIZE } from './impl.js';
import { buildCluster, type ClusterParts, type DsmOptions, joinCluster } from './bootstrap.js';
import type { ResourceOwner } from './resource-owner.js';
import { DsmSegment } from './segment.js';
import { type ClusterStats, clusterStats } from './stats.js';
import { type DsmClusterHandle, requireInteger, requireSegmentSize } from './validate.js';

/** Flag of {@link Dsm.create}: null instead of an error when all slots are in use. */
export const DSM_CREATE_NULL_IF_MAXSEGMENTS = 1;

const LOCK = ClusterControl.control_lock / 4;
const MAPPINGS = ParticipantSlot.mappings / 4;
const CONTROL_NS = 0;
/** Word of the control memory that others bump to be heard on `buffers`; compare it with {@link Dsm.attentionSeen}. @internal */
export const ATTENTION_WORD = ClusterControl.attention / 4;

/** Why a call that does not throw failed; see {@link Dsm.failureError}. */
export type DsmFailure = 'none' | 'slots' | 'store' | 'lock' | 'unreachable' | 'gone';

/** One participant of a cluster. */
export class Dsm {
  /** The slot of this participant, with its locks. */
  readonly participant: Participant;
  /** Where segments come from. */
  readonly storeKind: 'region' | 'buffers';
  /** Names of lock tranches, shared by the cluster. */
  readonly tranches: TrancheTable;
  /** Owner of mappings made from now on; null means until the end of the session. */
  currentOwner: ResourceOwner | null = null;
  /** Reason of the last failure of a call that does not throw. @internal */
  failure: DsmFailure = 'none';
  /** @internal */
  readonly control: Int32Array;
  /** Attention word as this participant last saw it; see {@link Dsm.attend}. @internal */
  attentionSeen: number;
  /** @internal */
  readonly slots: SlotArray;
  /** @internal */
  readonly impl: DsmImpl;
  /** @internal */
  readonly table: ParticipantTable;
  private readonly parts: ClusterParts;
  private readonly mappings = new Map<number, DsmSegment>();
  private left = false;

  private constructor(parts: ClusterParts, participant: Participant) {
    this.parts = parts;
    this.participant = participant;
    this.storeKind = parts.impl.kind;
    this.tranches = parts.tranches;
    this.control = parts.control;
    this.slots = parts.slots;
    this.impl = parts.impl;
    this.table = parts.table;
    this.attentionSeen = parts.control[ATTENTION_WORD]!;
    participant.attend = this.storeKind === 'buffers' ? () => this.attend() : null;
  }

  /**
   * Makes a new cluster and joins it as its first participant. Any thread; does not block.
   *
   * @param options see {@link DsmOptions}
   * @throws ERR_HEAP_BAD_OPTION, ERR_HEAP_HOST_LIMIT, ERR_HEAP_UNSUPPORTED (`buffers` outside Node)
   */
  static create(options: DsmOptions = {}): Dsm {
    const parts = buildCluster(options);
    return Dsm.enter(parts, parts.lockTimeout);
  }

  /**
   * Joins a cluster that another participant made, after taking back the slots, mappings and references of
   * participants whose threads are gone. Any thread; may block on the DSM control lock.
   *
   * @param handle `dsm.handle` of any participant
   * @param options `lockTimeout` in ms, default that of the creator
   * @throws ERR_HEAP_BAD_HANDLE, ERR_HEAP_VERSION, ERR_HEAP_PARTICIPANT_SLOTS, ERR_HEAP_UNSUPPORTED
   */
  static join(handle: DsmClusterHandle, options: { lockTimeout?: number } = {}): Dsm {
    const parts = joinCluster(handle);
    const lockTimeout = options.lockTimeout ?? parts.lockTimeout;
    requireInteger(lockTimeout, 0, 2 ** 31 - 1, 'lockTimeout', 'ERR_HEAP_BAD_OPTION');
    return Dsm.enter(parts, lockTimeout);
  }

  private static enter(parts: ClusterParts, lockTimeout: number): Dsm {
    try {
      const participant = parts.table.join({ lockTimeout, release: (gone) => releaseMappings(parts, gone) });
      return new Dsm(parts, participant);
    } catch (error) {
      parts.impl.close();
      throw error;
    }
  }

  /** What another thread needs to join; made afresh at each read, so that it holds every buffer known now. */
  get handle(): DsmClusterHandle {
    this.requireOpen();
    this.impl.attend();
    const { storeKind: store } = this;
    const { memory: control, attachTimeout, lockTimeout } = this.parts;
    return { v: 1, kind: 'sharedheap.dsm', store, control, segments: this.impl.known(), attachTimeout, lockTimeout };
  }

  /** @internal */
  requireOpen(): void {
    if (this.left) {
      throw new SharedHeapError('ERR_HEAP_CLOSED', 'this participant has left the cluster', { hint: 'Join again.' });
    }
  }

  private lock(): boolean {
    if (lwlockAcquire(this.participant, this.control, LOCK, CONTROL_NS, LW_EXCLUSIVE) !== 0) return true;
    this.failure = 'lock';
    return false;
  }

  private unlock(): void {
    lwlockRelease(this.participant, this.control, LOCK, CONTROL_NS);
  }

  private lockOrThrow(): void {
    if (!this.lock()) throw lwlockFailure(this.participant, this.control, LOCK, CONTROL_NS);
  }

  private setMapped(slot: number, on: boolean): void {
    const word = this.participant.base + MAPPINGS + (slot >>> 5);
    const bit = 1 << (slot & 31);
    this.control[word] = on ? this.control[word]! | bit : this.control[word]! & ~bit;
  }

  /**
   * The error for {@link failure}, to be thrown outside of all locks. @internal
   *
   * @param what what was attempted, for the message
   */
  failureError(what: string): SharedHeapError {
    const { slots } = this;
    switch (this.failure) {
      case 'slots':
        return new SharedHeapError('ERR_HEAP_SEGMENT_SLOTS', 'too many dynamic shared memory segments', {
          detail: `${what}; all ${slots.maxitems} slots are in use`,
          hint: 'Raise the `segments` option of the cluster, or use fewer and larger segments.',
          sqlState: '53000',
        });
      case 'lock':
        return lwlockFailure(this.participant, this.control, LOCK, CONTROL_NS);
      case 'unreachable':
        return new SharedHeapError('ERR_HEAP_SEGMENT_UNREACHABLE', 'nobody handed over the buffer of a segment', {
          detail: `${what}; waited ${this.parts.attachTimeout} ms`,
          hint: 'Read `heap.handle` afresh for each worker, let some participant run its event loop, or use the `region` store.',
        });
      case 'gone':
        return new SharedHeapError('ERR_HEAP_SEGMENT_GONE', 'the segment no longer exists', { detail: what });
      default:
        return new SharedHeapError('ERR_HEAP_OUT_OF_MEMORY', 'out of memory', {
          detail: `${what}; the ${this.storeKind} store of ${this.parts.totalBytes} bytes cannot provide it`,
          hint:
            this.storeKind === 'region'
              ? 'Raise `regionSize`, free objects, or use smaller segments (`maxSegmentSize`).'
              : 'The engine refused the buffer: ask for less, or raise the memory limit of the process.',
          sqlState: '53200',
        });
    }
  }

  /**
   * Creates a segment and maps it here. All bytes are zero. Follows dsm_create.
   *
   * @param size bytes, 1 .. 2^40
   * @param flags 0 or {@link DSM_CREATE_NULL_IF_MAXSEGMENTS}
   * @returns the mapping, owned by {@link currentOwner}; null only with the flag, when all slots are in use
   * @throws ERR_HEAP_BAD_SIZE, ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_SEGMENT_SLOTS, ERR_HEAP_OUT_OF_MEMORY, ERR_HEAP_LOCK_STALLED
   */
  create(size: number | bigint, flags = 0): DsmSegment | null {
    this.requireOpen();
    const bytes = requireSegmentSize(size);
    requireInteger(flags, 0, DSM_CREATE_NULL_IF_MAXSEGMENTS, 'flags');
    const segment = this.tryCreate(bytes, 0, true, false, this.currentOwner);
    if (segment !== null) return segment;
    if (this.failure === 'slots' && flags === DSM_CREATE_NULL_IF_MAXSEGMENTS) return null;
    throw this.failureError(`segment of ${bytes} bytes`);
  }

  /**
   * As {@link create} without checks and without throwing. @internal
   *
   * @param tailPages pages to add behind the segment for state that does not count as its own
   * @param clean false when old contents do not matter
   * @param pin true to pin the segment in the same step
   */
  tryCreate(
    size: number,
    tailPages: number,
    clean: boolean,
    pin: boolean,
    owner: ResourceOwner | null,
  ): DsmSegment | null {
    const { slots, impl } = this;
    const npages = Math.ceil(size / PAGE_SIZE) + tailPages;
    if (!this.lock()) return null;
    const slot = slots.findFree();
    if (slot < 0) {
      this.unlock();
      this.failure = 'slots';
      return null;
    }
    let handle = 0;
    while (handle === 0 || slots.inUse(handle)) handle = (this.parts.random() << 1) >>> 0;
    const piece = impl.create(handle, npages, clean);
    if (piece !== null) {
      slots.occupy(slot, handle, piece.firstPage, npages, size, tailPages);
      if (pin) {
        slots.setPinned(slot, true);
        slots.setRefcnt(slot, 3);
      }
      this.setMapped(slot, true);
    }
    this.unlock();
    if (piece === null) {
      this.failure = 'store';
      return null;
    }
    return this.map({ ...piece, handle, slot, size, tailPages }, owner);
  }

  private map(facts: ConstructorParameters<typeof DsmSegment>[1], owner: ResourceOwner | null): DsmSegment {
    const segment = new DsmSegment(this, facts, owner);
    this.mappings.set(facts.handle, segment);
    return segment;
  }

  /**
   * Maps a segment that another participant made. Follows dsm_attach.
   *
   * @param handle of the segment
   * @returns the mapping, or null when the segment no longer exists
   * @throws ERR_HEAP_ALREADY_ATTACHED, ERR_HEAP_BAD_HANDLE, ERR_HEAP_SEGMENT_UNREACHABLE (`buffers`), ERR_HEAP_LOCK_STALLED
   */
  attach(handle: number): DsmSegment | null {
    this.requireOpen();
    requireInteger(handle, 1, 0xffffffff, 'segment handle', 'ERR_HEAP_BAD_HANDLE');
    if (this.mappings.has(handle)) {
      throw new SharedHeapError('ERR_HEAP_ALREADY_ATTACHED', "can't attach the same segment more than once", {
        detail: `segment ${handle}`,
        hint: 'Use findMapping first.',
      });
    }
    const segment = this.tryAttach(handle, this.currentOwner);
    if (segment === null && this.failure !== 'gone') throw this.failureError(`segment ${handle}`);
    return segment;
  }

  /** As {@link attach} without checks and without throwing: null with `failure` set. @internal */
  tryAttach(handle: number, owner: ResourceOwner | null): DsmSegment | null {
    const { slots, impl } = this;
    if (!this.lock()) return null;
    const slot = slots.find(handle);
    if (slot < 0) {
      this.unlock();
      this.failure = 'gone';
      return null;
    }
    slots.setRefcnt(slot, slots.refcnt(slot) + 1);
    this.setMapped(slot, true);
    const firstPage = slots.firstPage(slot);
    const size = slots.size(slot);
    const tailPages = slots.tailPages(slot);
    this.unlock();
    const piece = impl.find(handle, firstPage);
    if (piece === null) {
      this.release(slot, handle);
      this.failure = 'unreachable';
      return null;
    }
    return this.map({ ...piece, handle, slot, size, tailPages }, owner);
  }

  /** This participant's mapping of a segment, or null. Does not block. Follows dsm_find_mapping. */
  findMapping(handle: number): DsmSegment | null {
    this.requireOpen();
    return this.mappings.get(handle) ?? null;
  }

  /** Gives a mapping's reference back; called by the mapping itself. @internal */
  giveBack(segment: DsmSegment): boolean {
    this.mappings.delete(segment.handle);
    this.impl.forget(segment.handle);
    const { slot } = segment;
    segment.slot = -1;
    return this.release(slot, segment.handle);
  }

  private release(slot: number, handle: number): boolean {
    if (!this.lock()) return false;
    this.setMapped(slot, false);
    dropReference(this.slots, this.impl, slot, handle);
    this.unlock();
    return true;
  }

  /** @internal */
  pinSlot(slot: number, handle: number): void {
    this.lockOrThrow();
    const already = this.slots.pinned(slot);
    if (!already) {
      this.slots.setPinned(slot, true);
      this.slots.setRefcnt(slot, this.slots.refcnt(slot) + 1);
    }
    this.unlock();
    if (already) {
      throw new SharedHeapError('ERR_HEAP_ALREADY_PINNED', 'cannot pin a segment that is already pinned', {
        detail: `segment ${handle}`,
      });
    }
  }

  /**
   * Undoes {@link DsmSegment.pinSegment}; destroys the segment when nobody maps it. Works on segments that are not
   * mapped here. Follows dsm_unpin_segment.
   *
   * @param handle of the segment
   * @throws ERR_HEAP_SEGMENT_GONE, ERR_HEAP_NOT_PINNED, ERR_HEAP_BAD_HANDLE, ERR_HEAP_LOCK_STALLED
   */
  unpinSegment(handle: number): void {
    this.requireOpen();
    requireInteger(handle, 1, 0xffffffff, 'segment handle', 'ERR_HEAP_BAD_HANDLE');
    const outcome = this.tryUnpin(handle);
    if (outcome === 'done') return;
    if (outcome === 'lock') throw lwlockFailure(this.participant, this.control, LOCK, CONTROL_NS);
    const known = outcome === 'not pinned';
    throw new SharedHeapError(
      known ? 'ERR_HEAP_NOT_PINNED' : 'ERR_HEAP_SEGMENT_GONE',
      known ? 'cannot unpin a segment that is not pinned' : 'cannot unpin unknown segment handle',
      { detail: `segment ${handle}` },
    );
  }

  /** As {@link unpinSegment} without checks and without throwing. @internal */
  tryUnpin(handle: number): 'done' | 'lock' | 'unknown' | 'not pinned' {
    const { slots } = this;
    if (!this.lock()) return 'lock';
    const slot = slots.find(handle);
    const pinned = slot >= 0 && slots.pinned(slot);
    if (pinned) {
      slots.setPinned(slot, false);
      dropReference(slots, this.impl, slot, handle);
    }
    this.unlock();
    if (slot < 0) return 'unknown';
    return pinned ? 'done' : 'not pinned';
  }

  /** Pages in the longest run that a new segment can have now; Infinity when the store cannot tell. @internal */
  largestRun(): number {
    if (!this.lock()) return 0;
    const pages = this.impl.largest();
    this.unlock();
    return pages;
  }

  /** Answers what other participants have asked for on `buffers`; nothing to do on `region`. Does not block. */
  attend(): void {
    this.attentionSeen = this.control[ATTENTION_WORD]!;
    this.impl.attend();
  }

  /**
   * Declares a JavaScript thread gone, where the library cannot see that for itself; see `heap.watch`.
   *
   * @param jsThread its `threadId`
   * @returns the number of participants it had
   */
  markDead(jsThread: number): number {
    this.requireOpen();
    return this.table.markDead(requireInteger(jsThread, 0, 2 ** 31 - 1, 'thread id'));
  }

  /** Sizes, segments and participants of the cluster, as plain data. May block on the DSM control lock. */
  stats(): ClusterStats {
    this.requireOpen();
    this.lockOrThrow();
    const stats = clusterStats(this.parts);
    this.unlock();
    return stats;
  }

  /**
   * Leaves the cluster: detaches every mapping, newest first, and frees the participant slot. Idempotent. Follows
   * dsm_backend_shutdown.
   *
   * @throws the first error of a detach callback, after everything was done
   */
  leave(): void {
    if (this.left) return;
    let first: unknown;
    let failed = false;
    for (let newest = this.newest(); newest !== undefined; newest = this.newest()) {
      try {
        newest.detach();
      } catch (error) {
        if (!failed) first = error;
        failed = true;
      }
    }
    this.participant.leave();
    this.left = true;
    this.impl.close();
    if (failed) throw first;
  }

  private newest(): DsmSegment | undefined {
    let last: DsmSegment | undefined;
    for (const segment of this.mappings.values()) last = segment;
    return last;
  }
}

/**
 * One reference less; destroys the segment with the last. Under the DSM control lock. The slot becomes free only
 * after the memory went back, so that nobody can take the slot and be given the same pages.
 */
function dropReference(slots: SlotArray, impl: DsmImpl, slot: number, handle: number): void {
  const left = slots.refcnt(slot) - 1;
  slots.setRefcnt(slot, left);
  if (left === 1) {
    impl.destroy(handle, slots.firstPage(slot), slots.npages(slot));
    slots.setRefcnt(slot, 0);
  }
}

/** Gives back all references of a participant that is gone, acting in its slot; see ParticipantTable.join. */
function releaseMappings(parts: ClusterParts, gone: Participant): void {
  const { control, slots, impl } = parts;
  if (lwlockAcquire(gone, control, LOCK, CONTROL_NS, LW_EXCLUSIVE) === 0) {
    throw lwlockFailure(gone, control, LOCK, CONTROL_NS);
  }
  for (let slot = 0; slot < slots.nitems; slot++) {
    const word = gone.base + MAPPINGS + (slot >>> 5);
    const bit = 1 << (slot & 31);
    if ((control[word]! & bit) === 0) continue;
    control[word] = control[word]! & ~bit;
    if (slots.refcnt(slot) > 1) dropReference(slots, impl, slot, slots.handle(slot));
  }
  lwlockRelease(gone, control, LOCK, CONTROL_NS);
}
