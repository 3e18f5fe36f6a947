/**
 * The segments of an area, by its handle: for reports on areas that this participant may not be attached to.
 */

import type { Dsm } from '../dsm/dsm.js';
import { DsaArea } from './area.js';
import { segmentHandlesOf } from './lifecycle.js';

/**
 * Handles of the live segments of an area, segment 0 first, and their sizes together. Attaches for the moment when this
 * participant is not attached. The participant's thread; may block on the area lock. @internal
 *
 * @throws ERR_HEAP_AREA_GONE, ERR_HEAP_BAD_HANDLE, ERR_HEAP_LOCK_STALLED, ERR_HEAP_SEGMENT_UNREACHABLE
 */
export function areaSegments(dsm: Dsm, handle: number): { handles: number[]; totalSize: number } {
  const mapping = DsaArea.isAttached(dsm, handle) ? dsm.findMapping(handle) : null;
  if (mapping !== null) return segmentHandlesOf(mapping, dsm);
  const area = DsaArea.attach(dsm, handle);
  try {
    return segmentHandlesOf(dsm.findMapping(handle)!, dsm);
  } finally {
    area.detach();
  }
}
