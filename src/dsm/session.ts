/**
 * One participant's work on the control segment: the part of {@link Dsm} that runs under the DSM control lock.
 *
 * Slots, reference counts and the page manager of the region are guarded by that lock, the innermost of the library:
 * while it is held no other lock is taken. dsa makes these calls inside its own critical sections, so none that works
 * under the lock throws: they return null or false and leave the reason in `failure`. Arguments are trusted.
 */

import { SharedHeapError } from '../errors/errors.js';
import {
  FAIL_POISONED,
  LW_EXCLUSIVE,
  lwlockAcquire,
  lwlockPoison,
  lwlockRelease,
  type Participant,
  type ParticipantTable,
  type TrancheTable,
} from '../sync/sync.js';
import type { ClusterParts } from './bootstrap.js';
import type { SlotArray } from './control.js';
import { ClusterControl } from './control-layout.js';
import { CONTROL_LOCK, CONTROL_NS, type DsmFailure, dsmError } from './failures.js';
import { type DsmImpl, PAGE_SIZE } from './impl.js';
import { dropAllReferences, dropReference, holdsReference, noteReference } from './references.js';
import type { ResourceOwner } from './resource-owner.js';
import { DsmSegment, type MappingFacts } from './segment.js';

/** Word of the control memory that others bump to be heard on `buffers`; compare it with {@link DsmSession.attentionSeen}. @internal */
export const ATTENTION_WORD = ClusterControl.attention / 4;

/** See the head of the file. @internal */
export class DsmSession {
  /** The slot of this participant, with its locks. */
  readonly participant: Participant;
  /** Where segments come from. */
  readonly storeKind: 'region' | 'buffers';
  /** Names of lock tranches, shared by the cluster. */
  readonly tranches: TrancheTable;
  /** Reason of the last failure of a call that does not throw. @internal */
  failure: DsmFailure = 'none';
  /** @internal */
  readonly control: Int32Array;
  /** Attention word as this participant last saw it; see `Dsm.attend`. @internal */
  attentionSeen: number;
  /** @internal */
  readonly slots: SlotArray;
  /** @internal */
  readonly impl: DsmImpl;
  /** @internal */
  readonly table: ParticipantTable;
  protected readonly parts: ClusterParts;
  protected readonly mappings = new Map<number, DsmSegment>();
  protected owner: ResourceOwner | null = null;
  /** What was thrown underneath the last failure. */
  protected thrown: unknown = null;
  /** References that could not be given back since the control lock was not to be had; the bitmap in the slot has them. */
  protected owed = 0;
  protected leaving = false;
  protected left = false;

  protected constructor(parts: ClusterParts, participant: Participant) {
    this.parts = parts;
    this.participant = participant;
    this.storeKind = parts.impl.kind;
    this.tranches = parts.tranches;
    this.control = parts.control;
    this.slots = parts.slots;
    this.impl = parts.impl;
    this.table = parts.table;
    this.attentionSeen = parts.control[ATTENTION_WORD]!;
    participant.attend = this.storeKind === 'buffers' ? () => this.answer() : null;
    // What was asked while this participant joined has been counted above, but nobody has looked at it yet.
    this.impl.attend();
  }

  protected lock(): boolean {
    if (this.control[ATTENTION_WORD] !== this.attentionSeen) this.answer();
    if (lwlockAcquire(this.participant, this.control, CONTROL_LOCK, CONTROL_NS, LW_EXCLUSIVE) !== 0) return true;
    this.failure = 'lock';
    return false;
  }

  protected unlock(): void {
    lwlockRelease(this.participant, this.control, CONTROL_LOCK, CONTROL_NS);
  }

  /** The owner that new mappings get. @throws ERR_HEAP_CLOSED when it was released. @internal */
  openOwner(): ResourceOwner | null {
    this.owner?.requireOpen();
    return this.owner;
  }

  /** @throws ERR_HEAP_CLOSED @internal */
  requireOpen(): void {
    if (this.left) {
      throw new SharedHeapError('ERR_HEAP_CLOSED', 'this participant has left the cluster', { hint: 'Join again.' });
    }
  }

  /** Releases the lock after damage was found: nobody may be given memory on the word of these structures any more. */
  protected unlockDamaged(): void {
    lwlockPoison(this.participant, this.control, CONTROL_LOCK, CONTROL_NS);
    this.unlock();
    this.failure = 'corrupt';
    this.thrown = this.impl.thrown;
  }

  /**
   * The error for {@link failure}, to be thrown outside of all locks. @internal
   *
   * @param what what was attempted, for the message
   */
  failureError(what: string): SharedHeapError {
    return dsmError(this.failure, what, this.parts, this.participant, this.thrown);
  }

  /**
   * As `Dsm.create` without checks and without throwing. @internal
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
    // Before the lock, since this may be code of the user's.
    let handle = this.drawHandle();
    if (handle < 0 || !this.lock()) return null;
    const slot = slots.findFree();
    if (slot < 0) {
      this.unlock();
      this.failure = 'slots';
      return null;
    }
    // Neighbours instead of further draws: a poor source of random numbers would keep us here.
    while (handle === 0 || slots.inUse(handle)) handle = (handle + 2) >>> 0;
    const piece = impl.create(handle, npages, clean);
    if (piece === null) {
      if (impl.thrown !== null) this.unlockDamaged();
      else {
        this.unlock();
        this.failure = 'store';
      }
      return null;
    }
    slots.occupy(slot, handle, piece.firstPage, npages, size, tailPages);
    if (pin) {
      slots.setPinned(slot, true);
      slots.setRefcnt(slot, 3);
    }
    noteReference(this.participant, slot, true);
    this.unlock();
    return this.map({ ...piece, handle, slot, size, tailPages }, owner);
  }

  /** An even number, possibly 0; -1 with `failure` set when the source has thrown. */
  protected drawHandle(): number {
    try {
      return (this.parts.random() << 1) >>> 0;
    } catch (error) {
      this.failure = 'random';
      this.thrown = error;
      return -1;
    }
  }

  protected map(facts: MappingFacts, owner: ResourceOwner | null): DsmSegment {
    const segment = new DsmSegment(this, facts, owner);
    this.mappings.set(facts.handle, segment);
    return segment;
  }

  /** As `Dsm.attach` without checks and without throwing: null with `failure` set. @internal */
  tryAttach(handle: number, owner: ResourceOwner | null): DsmSegment | null {
    const { slots, impl, participant } = this;
    if (this.mappings.has(handle)) {
      this.failure = 'attached';
      return null;
    }
    if (!this.lock()) return null;
    const slot = slots.find(handle);
    if (slot < 0 || !slots.consistent(slot)) {
      this.unlock();
      this.thrown = null;
      this.failure = slot < 0 ? 'gone' : 'corrupt';
      return null;
    }
    // It may hold one already, from a mapping that could not be given back.
    if (holdsReference(participant, slot)) this.owed--;
    else slots.setRefcnt(slot, slots.refcnt(slot) + 1);
    noteReference(participant, slot, true);
    const firstPage = slots.firstPage(slot);
    const npages = slots.npages(slot);
    const size = slots.size(slot);
    const tailPages = slots.tailPages(slot);
    this.unlock();
    const piece = impl.find(handle, firstPage, npages);
    if (piece === null) {
      this.release(slot);
      this.thrown = null;
      this.failure = impl.kind === 'buffers' ? 'unreachable' : 'corrupt';
      return null;
    }
    return this.map({ ...piece, handle, slot, size, tailPages }, owner);
  }

  /** Gives a mapping's reference back; called by the mapping itself. False with `failure` set when that failed. @internal */
  giveBack(segment: DsmSegment): boolean {
    this.mappings.delete(segment.handle);
    this.impl.forget(segment.handle);
    const { slot } = segment;
    segment.slot = -1;
    return this.release(slot);
  }

  protected release(slot: number): boolean {
    // While leaving, one wait for a lock that does not come is enough; the rest is done at the end.
    if ((this.leaving && this.owed > 0) || !this.lock()) {
      this.owed++;
      return false;
    }
    noteReference(this.participant, slot, false);
    const done = dropReference(this.slots, this.impl, slot);
    if (done) this.unlock();
    else this.unlockDamaged();
    return done;
  }

  /** Pins the segment in a slot that this participant references. @internal */
  tryPin(slot: number): 'done' | 'lock' | 'already' {
    const { slots } = this;
    if (!this.lock()) return 'lock';
    const already = slots.pinned(slot);
    if (!already) {
      slots.setPinned(slot, true);
      slots.setRefcnt(slot, slots.refcnt(slot) + 1);
    }
    this.unlock();
    return already ? 'already' : 'done';
  }

  /** As `Dsm.unpinSegment` without checks and without throwing. @internal */
  tryUnpin(handle: number): 'done' | 'lock' | 'corrupt' | 'unknown' | 'not pinned' {
    const { slots } = this;
    if (!this.lock()) return 'lock';
    const slot = slots.find(handle);
    const pinned = slot >= 0 && slots.pinned(slot);
    if (pinned) {
      slots.setPinned(slot, false);
      if (!dropReference(slots, this.impl, slot)) {
        this.unlockDamaged();
        return 'corrupt';
      }
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

  /** `Dsm.attend` for wait loops, which must not throw. */
  protected answer(): void {
    this.attentionSeen = this.control[ATTENTION_WORD]!;
    this.impl.attend();
  }

  /** Gives back what is owed. Of a poisoned cluster nothing is ever handed out again, so there nothing is owed. */
  protected settle(): boolean {
    if (!this.lock()) return this.participant.failure === FAIL_POISONED;
    this.owed = 0;
    if (dropAllReferences(this.slots, this.impl, this.participant)) this.unlock();
    else this.unlockDamaged();
    return true;
  }

  /** The mapping that was made last. */
  protected newest(): DsmSegment | undefined {
    let last: DsmSegment | undefined;
    for (const segment of this.mappings.values()) last = segment;
    return last;
  }
}
