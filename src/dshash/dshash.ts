/**
 * Hash tables in shared memory (PostgreSQL, lib/dshash.c). Entry of the folder; see its parts.
 *
 * A table lies in an area and is named by its handle. Every participant attaches for itself, with the same parameters:
 *
 *     const params = { ...stringKeys(64), entrySize: 64 + 16, trancheId: TRANCHE_DSM_REGISTRY_HASH };
 *     const table = DshashTable.create(area, params);             // one participant
 *     const table = DshashTable.attach(area, params, handle);     // the others; handle = table.handle of the first
 *
 *     const entry = table.findOrInsert('name');                   // entry is locked now, exclusively
 *     if (!table.found) table.words[table.entryWord + 16] = 42;   // the fields behind the key, as words
 *     table.releaseLock(entry);
 *
 * | call | dshash.c | locks | result |
 * |---|---|---|---|
 * | `DshashTable.create(area, params, arg?)` | dshash_create | | the table; out of memory throws and keeps nothing |
 * | `DshashTable.attach(area, params, handle, arg?)` | dshash_attach | | the table |
 * | `handle` | dshash_get_hash_table_handle | | pointer in the area |
 * | `find(key, exclusive)` | dshash_find | a partition | entry, locked; or 0, unlocked |
 * | `findOrInsert(key, flags?)` | dshash_find_or_insert | a partition | entry, locked exclusively; `found` |
 * | `releaseLock(entry)` | dshash_release_lock | | |
 * | `deleteKey(key)` | dshash_delete_key | a partition | whether there was one |
 * | `deleteEntry(entry)` | dshash_delete_entry | | unlocks |
 * | `scan(exclusive)` → `next()`, `deleteCurrent()`, `term()` | dshash_seq_* | partition after partition | entry or 0 |
 * | `dump()` | dshash_dump | all, shared | text |
 * | `verify(options?)` | | none, or one after the other | findings H1 .. H7 |
 * | `detach()`, `destroy()` | dshash_detach, dshash_destroy | | |
 *
 * After a call that returned an entry (of the table or of a scan), `words` and `entryWord` say where it lies: an
 * Int32Array and an index into it, valid while the entry is locked; the entry pointer itself is good for
 * `area.getAddress`. The key is at the beginning of the entry, `keySize` bytes rounded up to a multiple of 4; an entry is
 * 8-aligned. A new entry's other bytes are not cleared.
 *
 * Out of memory leaves the table as it was: at the growth of the table, which then stays at its size, and at the item.
 */

export { type DshashKeyFunctions, type DshashParameters, memoryKeys, stringKeys } from './keys.js';
export { DshashScan } from './scan.js';
export { DSHASH_INSERT_NO_OOM, DshashTable } from './table.js';
export type { TableReport, TableVerifyOptions } from './verify.js';

// For structures of this library that keep pointers as two words, and hash keys as tables do.
export { hashWords } from './hash.js';
export { hiOf, loOf, pointerOf, wordIndex } from './state.js';
