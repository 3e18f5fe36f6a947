/**
 * The LWLock in shared memory: 16 bytes at the place where PostgreSQL's structs have theirs.
 *
 * Stands on the layout declarations. PostgreSQL keeps a list of waiters in the last 8 bytes; here the participant table
 * is the queue (see lwlock-queue.ts), so these bytes hold what fairness needs.
 *
 *     state   31  30       29        28          18         17 ......... 0
 *             ·   WAITERS  POISONED  RECOVERING  EXCLUSIVE  shared holders, or the exclusive owner's slot + 1
 *
 * A fresh lock is all zero but for its tranche.
 */

import { i32, struct, u16 } from '../layout/layout.js';

/** A lightweight lock. Its own words are atomic; what it protects is said where it is embedded. */
export const LWLockStruct = struct(
  'LWLock',
  'lwlock.h',
  {
    tranche: u16('frozen: written by lwlockInitialize() before the lock is shared'),
    unused: u16('for the structure that embeds the lock; a pool of dsa keeps its due count there, under the lock'),
    state: i32('atomic: see the picture above'),
    ticket: i32('atomic: next place in the queue; wraps'),
    passes: i32('atomic, advisory: acquisitions that overtook a queued waiter since the oldest last had its turn'),
  },
  16,
);

/** Bytes of a lock with its padding in arrays of locks; PostgreSQL's LWLockPadded: two cache lines on x86, one on some. */
export const LWLOCK_PADDED_BYTES = 128;

/** Word offsets from the start of a lock. */
export const LOCK_STATE = LWLockStruct.state / 4;
export const LOCK_TICKET = LWLockStruct.ticket / 4;
export const LOCK_PASSES = LWLockStruct.passes / 4;

/** Bits of `state`: number of shared holders, or owner's slot + 1 when EXCLUSIVE_BIT is set. */
export const HOLDERS_MASK = 0x3ffff;
/** Bit of `state`: held exclusively. */
export const EXCLUSIVE_BIT = 1 << 18;
/** Bit of `state`: a survivor repairs what the dead owner left; nobody can take the lock. */
export const RECOVERING = 1 << 28;
/** Bit of `state`: what the lock protects is damaged; nobody can take it any more. */
export const POISONED = 1 << 29;
/** Bit of `state`: there may be waiters, a release must look for them. */
export const HAS_WAITERS = 1 << 30;

/** Modes of a lock, and of a waiter; PostgreSQL's LW_EXCLUSIVE, LW_SHARED, LW_WAIT_UNTIL_FREE. */
export const LW_EXCLUSIVE = 0;
export const LW_SHARED = 1;
export const LW_WAIT_UNTIL_FREE = 2;
/** Mode of an acquire. */
export type LWLockMode = typeof LW_EXCLUSIVE | typeof LW_SHARED;

/** Result: did not get it; `participant.failure` says why. */
export const LW_FAILED = 0;
/** Result: acquired without sleeping. */
export const LW_ACQUIRED = 1;
/** Result: acquired after sleeping. */
export const LW_SLEPT = 2;
/** Result: the lock is, or was meanwhile, free; it was not acquired. */
export const LW_FREED = 3;
/** Result: the variable has another value; see `participant.varValue`. */
export const LW_CHANGED = 4;

/** No failure: a conditional form found the lock taken. */
export const FAIL_NONE = 0;
/** The participant holds this lock already. */
export const FAIL_SELF = 1;
/** The lock was not released in time, or its owner's thread is gone. */
export const FAIL_STALLED = 2;
/** The lock is poisoned. */
export const FAIL_POISONED = 3;
/** The participant holds as many locks as it may. */
export const FAIL_TOO_MANY = 4;
/** This thread must not be parked, and spinning did not help in time. */
export const FAIL_WOULD_BLOCK = 5;
/** The participant has left. */
export const FAIL_CLOSED = 6;

/**
 * Acquisitions that may overtake queued waiters before newcomers have to queue behind them. A lock that is handed
 * from sleeper to sleeper moves once in 4 µs or more, one that awake threads may grab moves many times faster.
 * Lower: fairer and slower under contention; higher: faster, and a waiter can be overtaken that often for each waiter
 * in front of it.
 */
export const LWLOCK_MAX_PASSES = 16;
