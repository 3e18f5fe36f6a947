/**
 * Where things lie in the control segment.
 *
 * Everything follows from two counts, so the creator computes it once, and a participant that joins computes it again
 * instead of believing what it reads. Stands on the sizes of the parts. No lock: nothing is read or written here.
 */

import { ParticipantTable, TrancheTable } from '../sync/sync.js';
import { controlBytesNeeded } from './control.js';
import { TRANCHES_AT } from './control-layout.js';
import { PAGE_SIZE } from './impl.js';

/** Byte offsets in the control memory. */
export interface ControlGeometry {
  readonly participantsAt: number;
  readonly dsmAt: number;
  /** Bytes of the whole control segment, whole pages. */
  readonly controlBytes: number;
}

/** Rounds up to whole pages. */
export function alignPage(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}

/**
 * The geometry of a control segment.
 *
 * @param participants number of participant slots
 * @param segments number of segment slots
 */
export function controlGeometry(participants: number, segments: number): ControlGeometry {
  const participantsAt = alignPage(TRANCHES_AT + TrancheTable.sizeof());
  const dsmAt = participantsAt + alignPage(ParticipantTable.sizeof(participants));
  return { participantsAt, dsmAt, controlBytes: alignPage(dsmAt + controlBytesNeeded(segments)) };
}
