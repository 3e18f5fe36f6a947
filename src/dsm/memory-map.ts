/**
 * Where every byte of a cluster is, as of one moment: the parts of the control segment, the live segments, what is free.
 *
 * For reports that must add up, so all of it is read under the DSM control lock, at once. Reads only.
 */

import { SharedHeapError } from '../errors/errors.js';
import { FreePageManager } from '../freepage/freepage.js';
import { ParticipantTable, TrancheTable } from '../sync/sync.js';
import type { Dsm } from './cluster.js';
import { controlBytesNeeded } from './control.js';
import { ClusterControl, REGION_FPM_AT, TRANCHES_AT } from './control-layout.js';
import { controlLockFailure } from './failures.js';
import { controlGeometry } from './geometry.js';
import { PAGE_SIZE } from './impl.js';
import { underControlLock } from './verify.js';

/** A part of the control segment. */
export interface ControlPart {
  readonly name: string;
  /** Byte offset in the control memory. */
  readonly offset: number;
  /** Bytes that it has. */
  readonly size: number;
}

/** A live segment. */
export interface SegmentPlace {
  readonly handle: number;
  /** Byte offset in the reservation; null on `buffers`, where each segment is a buffer of its own. */
  readonly offset: number | null;
  /** Exact bytes, as asked for. */
  readonly size: number;
  /** Bytes taken from the store, tail and rounding included. */
  readonly reserved: number;
}

/** The memory of a cluster. */
export interface MemoryMap {
  /** The reservation (`region`), or control memory and all live buffers. */
  readonly reservedBytes: number;
  readonly controlBytes: number;
  /** First byte of the reservation that was never handed out; null on `buffers`. */
  readonly neverUsedAt: number | null;
  /** Bytes that new segments can be cut from; 0 on `buffers`, where nothing is reserved in advance. */
  readonly freeBytes: number;
  /** Ascending. */
  readonly control: readonly ControlPart[];
  readonly segments: readonly SegmentPlace[];
}

/**
 * Reads the memory map of a cluster. The participant's thread; may block on the DSM control lock. Cost: segments + runs of
 * free pages. @internal
 *
 * @throws ERR_HEAP_CLOSED, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT when the free pages cannot be counted
 */
export function memoryMap(dsm: Dsm): MemoryMap {
  dsm.requireOpen();
  const map = underControlLock(dsm, false, () => readMap(dsm));
  if (map === null) throw controlLockFailure(dsm.participant);
  if (map.freeBytes >= 0) return map;
  throw new SharedHeapError('ERR_HEAP_CORRUPT', 'the free pages of the region cannot be counted', {
    hint: 'Something wrote outside of its segment. verify() says more; make a new cluster.',
  });
}

function readMap(dsm: Dsm): MemoryMap {
  const { slots, control } = dsm;
  const region = dsm.storeKind === 'region';
  const segments: SegmentPlace[] = [];
  let live = 0;
  for (let slot = 0; slot < slots.nitems; slot++) {
    if (slots.refcnt(slot) === 0) continue;
    const reserved = slots.npages(slot) * PAGE_SIZE;
    const offset = region ? slots.firstPage(slot) * PAGE_SIZE : null;
    live += reserved;
    segments.push({ handle: slots.handle(slot), offset, size: slots.size(slot), reserved });
  }
  const controlBytes = control.byteLength;
  return {
    reservedBytes: region ? control.buffer.byteLength : controlBytes + live,
    controlBytes,
    neverUsedAt: region ? control[ClusterControl.fresh_page / 4]! * PAGE_SIZE : null,
    freeBytes: region ? countFree(control.buffer) : 0,
    control: controlParts(dsm, region),
    segments,
  };
}

/** Bytes in the free runs of the region; -1 when they are damaged. Does not throw: a lock is held. */
function countFree(memory: ArrayBufferLike): number {
  let pages = 0;
  try {
    for (const { npages } of new FreePageManager(new Int32Array(memory), 0, REGION_FPM_AT).runs()) pages += npages;
  } catch {
    return -1;
  }
  return pages * PAGE_SIZE;
}

function controlParts(dsm: Dsm, region: boolean): ControlPart[] {
  const { count } = dsm.table;
  const { maxitems } = dsm.slots;
  const { participantsAt, dsmAt } = controlGeometry(count, maxitems);
  const manager = { name: 'region pages', offset: REGION_FPM_AT, size: FreePageManager.SIZEOF };
  return [
    { name: 'cluster control', offset: 0, size: ClusterControl.SIZEOF },
    ...(region ? [manager] : []),
    { name: 'lock tranches', offset: TRANCHES_AT, size: TrancheTable.sizeof() },
    { name: 'participants', offset: participantsAt, size: ParticipantTable.sizeof(count) },
    { name: 'segment slots', offset: dsmAt, size: controlBytesNeeded(maxitems) },
  ];
}
