/**
 * Reports: the part of DsaArea that says what an area holds and whether it is in order. Changes nothing.
 *
 * Reports take the locks one after the other, so they are no snapshot of one moment while others are at work.
 */

import { requireInteger, type VerifyOptions } from '../dsm/dsm.js';
import { isAllOnes64, ld64 } from '../layout/layout.js';
import { C_LIMIT, C_TOTAL, MAX_SEGMENTS } from './area-layout.js';
import { AreaMemory } from './area-memory.js';
import { type AreaSegment, dumpArea, dumpFreePages, listSegments } from './dump.js';
import { areaError } from './failures.js';
import { unlockArea } from './mapping.js';
import { type AreaStats, areaStats } from './stats.js';
import { verifyArea, type VerifyReport } from './verify.js';

/** Base of DsaArea; see there. */
export class AreaReports extends AreaMemory {
  /** The size limit in bytes; Infinity when there is none. Takes no lock. */
  getSizeLimit(): number {
    const { ctl } = this.open();
    return isAllOnes64(ctl, C_LIMIT) ? Number.POSITIVE_INFINITY : ld64(ctl, C_LIMIT);
  }

  /** Bytes in all segments, segment 0 or the place included. Follows dsa_get_total_size. */
  getTotalSize(): number {
    const s = this.lock('getTotalSize');
    const total = ld64(s.ctl, C_TOTAL);
    unlockArea(s);
    return total;
  }

  /** PostgreSQL's dsa_dump as text. Not a consistent snapshot. Maps every segment. */
  dump(): string {
    const s = this.open();
    const text = dumpArea(s);
    if (text === null) throw areaError(s, 'dump');
    return text;
  }

  /** Live segments, ascending. Maps them all. */
  segments(): AreaSegment[] {
    const s = this.open();
    const rows = listSegments(s);
    if (rows === null) throw areaError(s, 'segments');
    return rows;
  }

  /** FreePageManagerDump of segment `index`; null when there is none. */
  dumpFreePages(index: number): string | null {
    const s = this.open();
    requireInteger(index, 0, MAX_SEGMENTS - 1, 'segment index');
    const text = dumpFreePages(s, index);
    if (text === undefined) throw areaError(s, 'dumpFreePages');
    return text;
  }

  /** Indexes of the segments that this participant has mapped. Takes no lock. */
  mappedSegments(): number[] {
    const s = this.open();
    const indexes: number[] = [];
    for (let index = 0; index < MAX_SEGMENTS; index++) if (s.maps[index]!.i32.length !== 0) indexes.push(index);
    return indexes;
  }

  /**
   * Numbers about the area: segments, live and free bytes, size classes. May block on the area lock and the locks of the
   * pools, one after the other. Cost: superblocks + large objects + free runs. Maps no segment that is not mapped.
   *
   * @throws ERR_HEAP_CLOSED, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT, ERR_HEAP_SEGMENT_UNREACHABLE
   */
  stats(): AreaStats {
    const s = this.open();
    const stats = areaStats(s);
    if (stats === null) throw areaError(s, 'stats');
    return stats;
  }

  /**
   * Checks every invariant of the area and of its cluster. Never hangs and never throws for damage, whatever it finds.
   * Cost: pages + spans + object slots.
   *
   * @param options `quiescent: false` while other threads use the area: then it takes the locks, one after the other,
   *   and leaves out what holds only at rest. Without it no lock is taken, and changes under way are found as damage
   * @throws ERR_HEAP_CLOSED, ERR_HEAP_BAD_OPTION
   */
  verify(options: VerifyOptions = {}): VerifyReport {
    return verifyArea(this, options);
  }
}
