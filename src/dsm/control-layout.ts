/**
 * The control segment: what every participant of a cluster shares besides the segments themselves.
 *
 *     0      cluster_control (512 bytes): identity, geometry, the control lock, the attention word
 *     1024   FreePageManager of the region (1096 bytes; `region` store only)
 *     4096   tranche names
 *     ...    participant table, page aligned
 *     ...    dsm_control_header and one dsm_control_item per segment slot (PostgreSQL, storage/ipc/dsm.c)
 *     ...    rounded up to a page; on `region` the pages behind it are the segments' own
 *
 * Stands on layout and sync. Geometry is written once by the creator before the handle of the cluster is given to
 * anybody, and never changes; that is what "frozen" means in the guards.
 */

import { agreementHash, array, i32, lock, size, struct, u32 } from '../layout/layout.js';

const FROZEN = 'frozen: written by the creator before the handle is published, read by all';
const CONTROL_LOCK = 'written and read under the DSM control lock';
const REGISTRY_LOCK = 'written under the registry lock';

/** Words at the very start of the control memory. */
export const ClusterControl = struct(
  'cluster_control',
  'sharedheap',
  {
    magic: u32(FROZEN),
    version: u32(FROZEN),
    layout_hash: u32(FROZEN),
    store: u32(`${FROZEN}; 0 region, 1 buffers`),
    cluster_id: array(2, u32(FROZEN)),
    control_bytes: size(FROZEN),
    total_bytes: size(`${FROZEN}; bytes of the reservation (region) or of the control memory (buffers)`),
    wanted_bytes: size(`${FROZEN}; bytes that were asked for`),
    participants: u32(FROZEN),
    tranches_at: u32(FROZEN),
    participants_at: u32(FROZEN),
    dsm_at: u32(FROZEN),
    fresh_page: u32(`${CONTROL_LOCK}; pages from here on were never handed out`),
    reserved0: u32('zero'),
    attention: i32('atomic add by whoever wants to be heard on `buffers`; read plainly by every heap call'),
    control_lock: lock('protects the slots below and the page manager of the region'),
    registry_lock: lock('protects the registry fields below; held for a few words, never while anything is made'),
    registry_state: i32(`${REGISTRY_LOCK}, by an atomic store: a claim, see registry/claim.ts; read without the lock`),
    registry_owner: i32(`${REGISTRY_LOCK}; participant slot that opens the registry`),
    registry_generation: i32(`${REGISTRY_LOCK}; which owner of that slot`),
    registry_area: u32(`${REGISTRY_LOCK}, before the state; handle of the registry's area, 0 for none`),
    registry_layout: u32(`${REGISTRY_LOCK}, before the state; hash of the layouts that the area holds`),
    registry_table: size(`${REGISTRY_LOCK}, before the state; pointer of the registry's table in that area`),
    registry_changes: i32('atomic: counts names that became ready or were given up; the futex of those who wait'),
    registry_waiters: i32('atomic: threads that wait for it; too high after one was killed, which costs a notify'),
    layers: array(
      4,
      u32('atomic: 0, or the hash of the layouts of a layer above, see LAYER_DSA; set once by its first user'),
    ),
    reserved: array(88, u32('zero')),
  },
  512,
);

/** PostgreSQL's dsm_control_header. */
export const DsmControlHeader = struct(
  'dsm_control_header',
  'storage/ipc/dsm.c',
  {
    magic: u32(FROZEN),
    nitems: u32(`${CONTROL_LOCK}; slots ever used, never shrinks`),
    maxitems: u32(FROZEN),
    reserved: u32('zero'),
  },
  16,
);

/** PostgreSQL's dsm_control_item: one segment. */
export const DsmControlItem = struct(
  'dsm_control_item',
  'storage/ipc/dsm.c',
  {
    handle: u32(CONTROL_LOCK),
    refcnt: u32(`${CONTROL_LOCK}; 0 free, 1 being destroyed, n: n - 1 references`),
    first_page: size(`${CONTROL_LOCK}; region only`),
    npages: size(`${CONTROL_LOCK}; pages with the tail, whatever the store`),
    size: size(`${CONTROL_LOCK}; exact length in bytes (C keeps a Windows handle here)`),
    pinned: u32(CONTROL_LOCK),
    tail_pages: u32(`${CONTROL_LOCK}; pages behind the page-rounded size, for state that is not part of the segment`),
  },
  40,
);

/** Word offsets of the registry's fields, for the registry: this layer only provides the room and the fresh lock. */
export const REGISTRY_ROOT = {
  lock: ClusterControl.registry_lock / 4,
  state: ClusterControl.registry_state / 4,
  area: ClusterControl.registry_area / 4,
  layout: ClusterControl.registry_layout / 4,
  table: ClusterControl.registry_table / 4,
  changes: ClusterControl.registry_changes / 4,
  waiters: ClusterControl.registry_waiters / 4,
} as const;

/** Identifies control memory of this library; C's number for its control segment. */
export const CONTROL_MAGIC = 0x9a503d32 | 0;
/** Version of the layout as a whole; another version is refused at join. */
export const CONTROL_VERSION = 1;
/** Where the page manager of the region lies: behind the cluster control, in the same page. */
export const REGION_FPM_AT = 1024;
/** Where the tranche names begin. */
export const TRANCHES_AT = 4096;
/** Slots in addition to those per participant (PG_DYNSHMEM_FIXED_SLOTS). Lower: few participants get few segments. */
export const FIXED_SLOTS = 64;
/** Slots per participant (PG_DYNSHMEM_SLOTS_PER_BACKEND). Lower: areas that grow hit the end of the slots earlier. */
export const SLOTS_PER_PARTICIPANT = 5;
/** Most slots: the bitmap of mappings in a participant's slot has that many bits. */
export const MAX_SLOTS = 4096;
/** Default number of participant slots. Each costs one page, touched at first use. */
export const DEFAULT_PARTICIPANTS = 64;
/** Most participants: every wake-up may look at each of them once. */
export const MAX_CLUSTER_PARTICIPANTS = 800;

/**
 * Places in `layers`: this layer cannot know the layouts of those that stand on it, so each brings the hash of its own
 * when a participant first uses it. New ones come at the end, 4 at most.
 */
export const LAYER_DSA = 0;
export const LAYER_DSHASH = 1;

/** Layouts of this layer and those below that two participants must agree on. */
export const CONTROL_AGREED: readonly string[] = [
  'cluster_control',
  'dsm_control_header',
  'dsm_control_item',
  'participant_table',
  'participant_slot',
  'held_lock',
  'lwlock_user_tranche',
  'lwlock_tranche_table',
  'LWLock',
  'ConditionVariable',
  'Barrier',
  'FreePageManager',
  'FreePageSpanLeader',
  'FreePageBtreeHeader',
  'FreePageBtreeLeafKey',
  'FreePageBtreeInternalKey',
  'FreePageBtree',
];

/** Hash over them. */
export function controlLayoutHash(): number {
  return agreementHash(0, CONTROL_AGREED);
}
