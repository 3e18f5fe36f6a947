/**
 * Who is attached to an area: one word per participant slot, holding the generation of the attached participant.
 *
 * Lies behind the state table, outside the area's counted size; guarded by the area lock. C decrements the reference
 * count in the exit hooks of a process. A thread may end without a word, so whoever attaches or detaches next takes
 * back the references of participants that are no longer there.
 */

import { C_PINNED, C_REFCNT, C_SEGMENT_HANDLES } from './area-layout.js';
import type { AreaState } from './state.js';
import { ld64 } from '../layout/layout.js';
import { C_HIGH } from './area-layout.js';

/**
 * Notes this participant as attached, and counts it. Under the area lock. A note that stands in its slot is its own,
 * since it left an in-place area without releasing it, or that of a predecessor who is gone: either way that one's
 * reference becomes this one's.
 */
export function noteAttached(s: AreaState): void {
  if (s.attachments[s.p.slot] === 0) s.ctl[C_REFCNT] = s.ctl[C_REFCNT]! + 1;
  s.attachments[s.p.slot] = s.p.generation;
}

/** Tells whether this participant is noted as attached. Under the area lock. */
export function isNoted(s: AreaState): boolean {
  return s.attachments[s.p.slot] === s.p.generation;
}

/** Drops the note of this participant. Under the area lock. @returns false when there was none */
export function noteDetached(s: AreaState): boolean {
  const mine = isNoted(s);
  if (mine) s.attachments[s.p.slot] = 0;
  return mine;
}

/**
 * Takes back the references of participants that are gone. Under the area lock.
 *
 * @param ask true to ask the host who lives: 10 µs for each attached participant, while others wait for the lock. One who
 *   attaches goes by what is known, since joining the cluster has asked; one who leaves may be the last who can.
 */
export function sweepAttachments(s: AreaState, ask: boolean): void {
  const { attachments, ctl } = s;
  const { table } = s.dsm;
  for (let slot = 0; slot < attachments.length; slot++) {
    const generation = attachments[slot]!;
    if (generation === 0 || (ask ? table.isCurrent(slot, generation) : table.seemsCurrent(slot, generation))) continue;
    attachments[slot] = 0;
    ctl[C_REFCNT] = ctl[C_REFCNT]! - 1;
  }
}

/**
 * One reference less; with the last one all segments of the area are unpinned. Under the area lock. Follows
 * dsa_release_in_place.
 */
export function dropReference(s: AreaState): void {
  const { ctl } = s;
  ctl[C_REFCNT] = ctl[C_REFCNT]! - 1;
  if (ctl[C_REFCNT] !== 0) return;
  const high = ld64(ctl, C_HIGH);
  const handles: number[] = [];
  for (let index = 0; index <= high; index++) {
    const handle = ctl[C_SEGMENT_HANDLES + index]! >>> 0;
    if (handle !== 0) handles.push(handle);
  }
  if (s.side !== null) handles.push(s.side.handle);
  s.dsm.unpinOrOwe(handles);
}

/** Attached participants as the table says, for verify. Under the area lock. */
export function countAttached(s: AreaState): number {
  let n = s.ctl[C_PINNED] !== 0 ? 1 : 0;
  for (const generation of s.attachments) if (generation !== 0) n++;
  return n;
}
