/**
 * What the registry keeps in shared memory: one entry per name in its table. The root, which says where the table is,
 * lies in the cluster control (dsm/control-layout.ts), and begins with a claim like every entry.
 *
 * Stands on layout. An entry is changed under the exclusive lock of its partition; once its state is *ready* it never
 * changes again.
 */

import { agreementHash, array, dp, i32, size, struct, u32 } from '../layout/layout.js';

const PARTITION = 'written under the exclusive, read under any mode of the lock of its partition in the table';

/** A name and what it stands for. PostgreSQL's DSMRegistryEntry, with what it says of an initialisation under way. */
export const RegistryEntry = struct(
  'registry_entry',
  'storage/ipc/dsm_registry.c',
  {
    name: array(32, u32('written before the entry is linked, then frozen: UTF-8, zero padded')),
    state: i32(`${PARTITION}; CLAIM_*, see claim.ts`),
    owner: i32(`${PARTITION}; participant slot of whoever claims the name`),
    generation: i32(`${PARTITION}; which owner of that slot`),
    kind: u32(`${PARTITION}; index into KINDS`),
    handle: u32(`${PARTITION}; segment, or first segment of the area; 0 for blocks, and as long as there is none`),
    reserved: u32('zero'),
    size: size(`${PARTITION}; bytes that were asked for; 0 for areas and tables`),
    pointer: dp(`${PARTITION}; of the table in its own area, or of the block in the registry's`),
  },
  168,
);

/** Bytes of a name with the zero at its end. Lower: paths do not fit; higher: each entry grows by as much. */
export const NAME_BYTES = 128;

/** What a name can stand for. The order is part of the layout: new kinds come at the end. */
export const KINDS = ['segment', 'area', 'hash', 'block', 'lock', 'condition', 'barrier', 'queue', 'map'] as const;

/** What a name stands for. */
export type RegistryKind = (typeof KINDS)[number];
/** What a named block holds. */
export type NamedKind = Exclude<RegistryKind, 'segment' | 'area' | 'hash'>;

/* Word offsets of an entry. */
export const E_STATE = RegistryEntry.state / 4;
export const E_KIND = RegistryEntry.kind / 4;
export const E_HANDLE = RegistryEntry.handle / 4;
export const E_RESERVED = RegistryEntry.reserved / 4;
export const E_SIZE = RegistryEntry.size / 4;
export const E_POINTER = RegistryEntry.pointer / 4;

/** Layouts that all users of a registry must agree on, besides those of the cluster. */
const AGREED = ['registry_entry', 'dshash_table_control', 'dshash_table_item'];

/** Hash over them. */
export function registryLayoutHash(): number {
  return agreementHash(KINDS.length, AGREED);
}
