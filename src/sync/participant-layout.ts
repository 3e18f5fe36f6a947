/**
 * The participant table in shared memory: what PostgreSQL keeps in PGPROC, one slot for each attached participant.
 *
 * Stands on the layout declarations. The table is a header and `count` slots of one page each. A slot belongs to the
 * participant whose thread identity stands in its first 8 bytes: claiming, leaving and taking over a slot are each one
 * compare-and-exchange of that field. All other fields are written by the owner of the slot alone, except `wake`,
 * `dead` and the bitmaps' clearing by an adopter (which is the owner by then).
 *
 *     identity ─ who   │ wake, wait_* ─ what it waits for │ nheld, held ─ its locks │ mappings, areas ─ its references
 *
 * The groups lie on cache lines of their own: others poll `wait_seq`, the owner writes `nheld` with every lock.
 */

import { array, i32, size, struct, u32 } from '../layout/layout.js';

/**
 * Locks that one participant can hold at once; PostgreSQL's MAX_SIMUL_LWLOCKS. Lower: a resize of a hash table (128
 * partition locks and the caller's) would not fit; higher: the slot would outgrow its page.
 */
export const MAX_HELD_LOCKS = 200;

/** Bytes of a slot: one page, so that a slot that was never used is never backed by memory. */
export const PARTICIPANT_SLOT_BYTES = 4096;

/** Most slots of a table: the number of a participant must fit the 18 bits that a lock word has for its owner. */
export const MAX_PARTICIPANTS = 65536;

/** `state`: nobody has the slot, or it is being claimed, given back or taken over. */
export const SLOT_FREE = 0;
/** `state`: the slot is in use. */
export const SLOT_LIVE = 1;
/** `state`: the owner is taking back what a predecessor left, and will give the slot back itself. */
export const SLOT_ADOPTED = 2;

/** `wake`: the waiter runs, or is about to look whether it must park. Written by the waiter. */
export const WAKE_NONE = 0;
/** `wake`: a releaser chose this waiter. Written by releasers; the waiter takes it back before its next try. */
export const WAKE_CHOSEN = 1;
/** `wake`: the waiter is parked or about to be; who replaces the value must unpark it. Written by the waiter. */
export const WAKE_PARKED = 2;
/** `wake`: somebody wants the waiter to look up (a death was noticed, a buffer is wanted), without a lock for it. */
export const WAKE_ATTEND = 3;

/** Header of the participant table. */
export const ParticipantTableControl = struct(
  'participant_table',
  'sharedheap',
  {
    count: i32('number of slots; written once by initialize(), before the table is shared'),
    high_water: i32('atomic: highest slot ever used + 1; only grows; read by every scan over the slots'),
    reserved: array(14, i32('zero')),
  },
  64,
);

/** One lock in `held`: 3 words. */
export const HeldLock = struct(
  'held_lock',
  'sharedheap',
  {
    ns: u32('owner only: number of the memory that the lock lies in'),
    word_lo: u32('owner only: low 32 bits of the word index of the lock in that memory'),
    word_hi_mode: u32('owner only: mode in bit 0 (0 exclusive, 1 shared), high bits of the word index above it'),
  },
  12,
);

/** A participant's slot; PostgreSQL's PGPROC. */
export const ParticipantSlot = struct(
  'participant_slot',
  'proc.h',
  {
    identity: size('atomic (BigInt64): identity of the owning thread, 0 = free; changed by compare-and-exchange only'),
    dead: size('atomic (BigInt64): an identity that was seen to be gone; true for ever, whoever owns the slot now'),
    state: i32('atomic: SLOT_*; written by the owner; for reports, and for joiners who find no free slot'),
    generation: i32('atomic: counts owners; written by the owner after it got the slot; for reports and caches'),
    js_thread: i32('atomic: JavaScript number of the owning thread; written by the owner; for reports'),
    reserved0: array(9, i32('zero')),
    wake: i32('atomic, the futex word: WAKE_*; written by the owner and by those who wake it'),
    wait_seq: i32('atomic: odd while wait_* are valid; written by the owner, read by everybody'),
    wait_ns: i32('atomic: memory of the lock waited for; written by the owner while wait_seq is even'),
    wait_word_lo: i32('atomic: word index of that lock, low bits; as wait_ns'),
    wait_word_hi: i32('atomic: word index of that lock, high bits; as wait_ns'),
    wait_mode: i32('atomic: 0 exclusive, 1 shared, 2 until free; as wait_ns'),
    wait_ticket: i32('atomic: place in the queue, compared modulo 2^32; as wait_ns'),
    reserved1: array(9, i32('zero')),
    nheld: i32('owner only, plain: valid entries of held; others read it when the owner is known to be gone'),
    op: i32('owner only: the operation under way'),
    reserved2: array(2, i32('zero')),
    held: array(MAX_HELD_LOCKS * 3, u32('owner only, plain: struct held_lock; a superset of the locks held')),
    mappings: array(
      128,
      u32('bit = dsm slot that the owner references; written by the owner under the dsm control lock'),
    ),
    areas: array(
      128,
      u32('bit = dsm slot of segment 0 of an area the owner is attached to; under the dsm control lock'),
    ),
    reserved3: array(132, i32('zero')),
  },
  PARTICIPANT_SLOT_BYTES,
);

/** Word offsets of the fields above, for hot code. */
export const STATE = ParticipantSlot.state / 4;
export const GENERATION = ParticipantSlot.generation / 4;
export const JS_THREAD = ParticipantSlot.js_thread / 4;
export const WAKE = ParticipantSlot.wake / 4;
export const WAIT_SEQ = ParticipantSlot.wait_seq / 4;
export const WAIT_NS = ParticipantSlot.wait_ns / 4;
export const WAIT_WORD_LO = ParticipantSlot.wait_word_lo / 4;
export const WAIT_WORD_HI = ParticipantSlot.wait_word_hi / 4;
export const WAIT_MODE = ParticipantSlot.wait_mode / 4;
export const WAIT_TICKET = ParticipantSlot.wait_ticket / 4;
export const NHELD = ParticipantSlot.nheld / 4;
export const HELD = ParticipantSlot.held / 4;
