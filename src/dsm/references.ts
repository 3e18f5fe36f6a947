/**
 * The references that participants hold to segments.
 *
 * A participant holds at most one reference to a segment. Which ones is told by the bitmap in its slot of the
 * participant table, one bit for each slot of the control segment; the reference counts are the sums. So whoever acts
 * for a participant, itself or an adopter after its thread has gone, can give back what it holds, and can do so twice.
 * Everything here is done under the DSM control lock.
 */

import { ParticipantSlot, type Participant } from '../sync/sync.js';
import type { SlotArray } from './control.js';
import type { DsmImpl } from './impl.js';

const MAPPINGS = ParticipantSlot.mappings / 4;

/** Tells whether `p` holds a reference to the segment in `slot`. */
export function holdsReference(p: Participant, slot: number): boolean {
  return (p.control[p.base + MAPPINGS + (slot >>> 5)]! & (1 << (slot & 31))) !== 0;
}

/** Notes that `p` holds a reference to the segment in `slot`, or no longer does. */
export function noteReference(p: Participant, slot: number, on: boolean): void {
  const word = p.base + MAPPINGS + (slot >>> 5);
  const bit = 1 << (slot & 31);
  p.control[word] = on ? p.control[word]! | bit : p.control[word]! & ~bit;
}

/**
 * One reference less; destroys the segment with the last. The slot becomes free only after the memory went back, so
 * that nobody can take the slot and be given the same pages.
 *
 * @returns false when the memory could not be given back: the slot stays, with a count of 1, out of everybody's reach
 */
export function dropReference(slots: SlotArray, impl: DsmImpl, slot: number): boolean {
  const left = slots.refcnt(slot) - 1;
  slots.setRefcnt(slot, left);
  if (left !== 1) return true;
  if (!impl.destroy(slots.handle(slot), slots.firstPage(slot), slots.npages(slot))) return false;
  slots.setRefcnt(slot, 0);
  return true;
}

/**
 * Gives back every reference that `p` holds.
 *
 * @returns false when the memory of some segment could not be given back
 */
export function dropAllReferences(slots: SlotArray, impl: DsmImpl, p: Participant): boolean {
  let done = true;
  for (let slot = 0; slot < slots.nitems; slot++) {
    if (!holdsReference(p, slot)) continue;
    noteReference(p, slot, false);
    if (slots.refcnt(slot) > 1) done = dropReference(slots, impl, slot) && done;
  }
  return done;
}
