/**
 * The table of contents in shared memory.
 *
 *     0         40          40 + 16 n                  total - allocated     total
 *     | header  | n entries | free                     | chunks, newest first |
 *               entries grow upwards →                ← chunks are cut downwards
 *
 * Where PostgreSQL has a spinlock of one byte and padding, the identity of the holding thread fills the 8 bytes. Every
 * step under the lock ends with one atomic store, before which nothing of it counts: so the table is whole at any
 * moment, and the lock of a thread that is gone may simply be taken over.
 */

import { i32, size, struct, u32 } from '../layout/layout.js';

/** Chunks are multiples of this and aligned to it (from the start of the table); PostgreSQL's buffer alignment. */
export const TOC_ALIGNMENT = 32;

/** Header of a table of contents. */
export const TocControl = struct(
  'shm_toc',
  'shm_toc.c',
  {
    magic: size('frozen: written by create() before anybody else can know of the table; compared by attach()'),
    holder: size(
      'atomic (BigInt64): identity of the thread that changes the table, 0 = none; taken over from the dead',
    ),
    total_bytes: size('frozen: written by create()'),
    allocated_bytes: size('atomic (BigInt64): bytes of all chunks; written under holder; only grows'),
    nentry: u32(
      'atomic: entries that count; written under holder after the entry itself; only grows; read by lookup()',
    ),
    reserved: i32('zero'),
  },
  40,
);

/** One entry. */
export const TocEntry = struct(
  'shm_toc_entry',
  'shm_toc.c',
  {
    key: size('written under holder while its number is not yet below nentry, frozen then'),
    offset: size('bytes from the start of the table; as key'),
  },
  16,
);

export const TOC_HEADER_BYTES = TocControl.SIZEOF;
export const TOC_ENTRY_BYTES = TocEntry.SIZEOF;
