/**
 * What lies behind the pages of segment 0, in memory that does not count as the area's: where each table begins.
 *
 *     state table ─ 1168 bytes a page │ attachment table ─ 4 bytes a participant slot │ caches ─ see cache-layout.ts
 */

import type { Dsm } from '../dsm/dsm.js';
import { cacheTableBytes } from './cache-layout.js';
import { tailPages } from './segments.js';
import { PAGE_SIZE } from './size-classes.js';
import { STATE_PER_PAGE } from './state.js';

/** Pages of the attachment table. */
export function attachmentPages(dsm: Dsm): number {
  return Math.ceil((dsm.table.count * 4) / PAGE_SIZE);
}

/** Pages of the table of participant caches; areas without caches have none. */
export function cachePages(dsm: Dsm, cache: boolean): number {
  return cache ? Math.ceil(cacheTableBytes(dsm.table.count) / PAGE_SIZE) : 0;
}

interface Side {
  readonly state: Uint16Array;
  readonly attachments: Int32Array;
  readonly cacheTable: Int32Array;
}

/** State table, attachment table and table of caches in memory that the store added, from `offset` on. */
export function sideTables(dsm: Dsm, buffer: SharedArrayBuffer, offset: number, pages: number, cache: boolean): Side {
  const stateBytes = tailPages(pages * PAGE_SIZE) * PAGE_SIZE;
  return {
    state: new Uint16Array(buffer, offset, pages * STATE_PER_PAGE),
    attachments: new Int32Array(buffer, offset + stateBytes, dsm.table.count),
    cacheTable: new Int32Array(
      buffer,
      offset + stateBytes + attachmentPages(dsm) * PAGE_SIZE,
      cache ? cacheTableBytes(dsm.table.count) / 4 : 0,
    ),
  };
}
