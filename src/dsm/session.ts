/**
 * One participant's work on the control segment: the part of {@link Dsm} that runs under the DSM control lock.
 *
 * Slots, reference counts and the page manager of the region are guarded by that lock, the innermost of the library:
 * while it is held no other lock is taken. dsa makes these calls inside its own critical sections, so none that works
 * under the lock throws: they return null or false and leave the reason in `failure`. Arguments are trusted.
 *
 * What cannot be given back because the lock stalls is owed: the participant notes it for itself, and gives it back the
 * next time it gets the lock, at the latest when it leaves. When its thread dies first, references are taken back from
 * the bitmap in its slot; an owed pin stays on, which `verify` reports.
 */

import { compareExchange } from '#atomic';
import { SharedHeapError } from '../errors/errors.js';
import {
  FAIL_POISONED,
  locksHeld,
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
import { CONTROL_LOCK, CONTROL_NS, type DsmFailure, dsmError, otherVersion } from './failures.js';
import { type DsmImpl, PAGE_SIZE } from './impl.js';
import { dropAllReferences, dropReference, noteReference } from './references.js';
import type { ResourceOwner } from './resource-owner.js';
import { DsmSegment, type MappingFacts } from './segment.js';

/** Word of the control memory that others bump to be heard on `buffers`; compare it with {@link DsmSession.attentionSeen}. @internal */
export const ATTENTION_WORD = ClusterControl.attention / 4;

const LAYERS = ClusterControl.layers / 4;

/** A reference that an upper layer holds for this participant. @internal */
export interface Holding {
  /** Memory that its locks lie in. */
  readonly ctl: Int32Array;
  /** True once it was given back, or taken over by another object of the same participant. */
  released: boolean;
  /** Gives it back where a lock stalled before; true when that is done. Null when nothing was tried. */
  retry: (() => boolean) | null;
}

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
  /** Slots of references that could not be given back since the lock was not to be had; the bitmap in the slot has them too. */
  protected readonly owedSlots = new Set<number>();
  /** Handles of segments whose pin could not be taken off for the same reason. */
  protected readonly owedPins = new Set<number>();
  /** References to areas, by the number of the memory that their locks lie in. @internal */
  readonly holdings = new Map<number, Holding>();
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
    if (lwlockAcquire(this.participant, this.control, CONTROL_LOCK, CONTROL_NS, LW_EXCLUSIVE) === 0) {
      this.failure = 'lock';
      return false;
    }
    return !this.owes || this.giveOwed();
  }

  /** Gives back what is owed. Under the lock. False, with the lock released and poisoned, when damage was found. */
  private giveOwed(): boolean {
    let done = true;
    for (const slot of this.owedSlots) done = this.dropOwn(slot) && done;
    for (const handle of this.owedPins) done = this.dropPin(this.slots.find(handle)) !== 'corrupt' && done;
    this.owedSlots.clear();
    this.owedPins.clear();
    if (!done) this.unlockDamaged();
    return done;
  }

  /**
   * Makes sure that all participants of the cluster have the same layouts of a layer above this one. Does not block.
   *
   * @param layer LAYER_DSA, say
   * @param hash over its layouts, see `agreementHash`
   * @throws ERR_HEAP_VERSION @internal
   */
  requireLayer(layer: number, hash: number): void {
    const mine = hash | 0 || 1;
    const theirs = compareExchange(this.control, LAYERS + layer, 0, mine);
    if (theirs !== 0 && theirs !== mine) throw otherVersion(`layer ${layer}`, theirs >>> 0, mine >>> 0);
  }

  /** Before something that cannot be done with locks held. @throws ERR_HEAP_LOCK_HELD @internal */
  requireNoLocks(): void {
    if (this.participant.nheld === 0) return;
    const viewOf = (ns: number): Int32Array | undefined =>
      ns === CONTROL_NS ? this.control : (this.holdings.get(ns | 0)?.ctl ?? this.mappings.get(ns)?.i32);
    throw locksHeld(this.participant, viewOf, this.tranches);
  }

  /** Tells whether something is owed: the last attempt to get the lock failed. @internal */
  get owes(): boolean {
    return this.owedSlots.size > 0 || this.owedPins.size > 0;
  }

  /** Gives this participant's reference to the segment in `slot` back. Under the lock. False when damage was found. */
  private dropOwn(slot: number): boolean {
    noteReference(this.participant, slot, false);
    return dropReference(this.slots, this.impl, slot);
  }

  /** Takes the pin off the segment in `slot`, -1 for none. Under the lock. */
  private dropPin(slot: number): 'done' | 'corrupt' | 'unknown' | 'not pinned' {
    const { slots } = this;
    if (slot < 0) return 'unknown';
    if (!slots.pinned(slot)) return 'not pinned';
    slots.setPinned(slot, false);
    return dropReference(slots, this.impl, slot) ? 'done' : 'corrupt';
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
    slots.setRefcnt(slot, slots.refcnt(slot) + 1);
    noteReference(participant, slot, true);
    const firstPage = slots.firstPage(slot);
    const npages = slots.npages(slot);
    const size = slots.size(slot);
    const tailPages = slots.tailPages(slot);
    this.unlock();
    const piece = impl.find(handle, firstPage, npages);
    if (piece === null) {
      this.release(slot, false);
      this.thrown = null;
      this.failure = impl.kind === 'buffers' ? 'unreachable' : 'corrupt';
      return null;
    }
    return this.map({ ...piece, handle, slot, size, tailPages }, owner);
  }

  /**
   * Gives a mapping's reference back; called by the mapping itself. False with `failure` set when that failed. @internal
   *
   * @param unlessOwing true not to wait for the lock when something is owed already
   */
  giveBack(segment: DsmSegment, unlessOwing: boolean): boolean {
    this.mappings.delete(segment.handle);
    this.impl.forget(segment.handle);
    const { slot } = segment;
    segment.slot = -1;
    return this.release(slot, unlessOwing || this.leaving);
  }

  protected release(slot: number, unlessOwing: boolean): boolean {
    // One wait for a lock that does not come is enough; the rest is done at the end.
    if ((unlessOwing && this.owes) || !this.lock()) {
      this.owedSlots.add(slot);
      return false;
    }
    const done = this.dropOwn(slot);
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
    if (!this.lock()) return 'lock';
    const outcome = this.dropPin(this.slots.find(handle));
    if (outcome === 'corrupt') this.unlockDamaged();
    else this.unlock();
    return outcome;
  }

  /** Unpins segments for a caller who cannot come back: where the lock stalls, the pins are owed. @internal */
  unpinOrOwe(handles: readonly number[]): void {
    if (!this.lock()) {
      for (const handle of handles) this.owedPins.add(handle);
      return;
    }
    let done = true;
    for (const handle of handles) done = this.dropPin(this.slots.find(handle)) !== 'corrupt' && done;
    if (done) this.unlock();
    else this.unlockDamaged();
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
