/** Reports of the dsm layer as plain data. The caller holds the DSM control lock while the numbers are taken. */

import { ld64 } from '../layout/layout.js';
import type { ClusterParts } from './bootstrap.js';
import { ClusterControl } from './control-layout.js';
import { PAGE_SIZE } from './impl.js';

/** One live segment. */
export interface SegmentStats {
  readonly handle: number;
  readonly slot: number;
  /** Exact bytes, as asked for. */
  readonly size: number;
  /** Bytes taken from the store, tail and rounding included. */
  readonly reserved: number;
  /** Mappings of all participants, plus one when pinned. */
  readonly references: number;
  readonly pinned: boolean;
}

/** The cluster at a moment. */
export interface ClusterStats {
  readonly store: 'region' | 'buffers';
  /** Bytes of the reservation (`region`) or of control memory and live buffers (`buffers`). Not resident memory. */
  readonly reservedBytes: number;
  /** Bytes that were asked for; larger than {@link reservedBytes} on `region` when the engine refused them. */
  readonly wantedBytes: number;
  /** Bytes of the control segment. */
  readonly controlBytes: number;
  /** `region`: bytes ever handed out or used for control, an upper bound of what is resident. */
  readonly touchedBytes: number;
  /** `region`: bytes in the longest run that a new segment can have. */
  readonly largestFreeBytes: number | null;
  readonly segments: readonly SegmentStats[];
  readonly slotsMax: number;
  readonly participantsMax: number;
  readonly participants: number;
}

/** @param participants number of those that live, counted before the lock was taken: that reads files. @internal */
export function clusterStats(parts: ClusterParts, participants: number): ClusterStats {
  const { control, slots, impl } = parts;
  const segments: SegmentStats[] = [];
  let live = 0;
  for (let slot = 0; slot < slots.nitems; slot++) {
    const refcnt = slots.refcnt(slot);
    if (refcnt === 0) continue;
    const reserved = slots.npages(slot) * PAGE_SIZE;
    live += reserved;
    segments.push({
      handle: slots.handle(slot),
      slot,
      size: slots.size(slot),
      reserved,
      references: refcnt - 1,
      pinned: slots.pinned(slot),
    });
  }
  const controlBytes = control.byteLength;
  const region = impl.kind === 'region';
  return {
    store: impl.kind,
    reservedBytes: region ? parts.totalBytes : controlBytes + live,
    wantedBytes: region ? ld64(control, ClusterControl.wanted_bytes / 4) : controlBytes + live,
    controlBytes,
    touchedBytes: region ? control[ClusterControl.fresh_page / 4]! * PAGE_SIZE : controlBytes + live,
    largestFreeBytes: region ? impl.largest() * PAGE_SIZE : null,
    segments,
    slotsMax: slots.maxitems,
    participantsMax: control[ClusterControl.participants / 4]!,
    participants,
  };
}
