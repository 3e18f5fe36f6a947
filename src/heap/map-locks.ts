/**
 * The lock of the partition that the packed key of a map belongs to, as the hot path takes it.
 *
 * The short forms of LWLock serve locks whose word index fits 31 bits, which is every lock in the first 8 GiB of a
 * segment; `m.near` says so. A failure is noted in the table's state: nothing throws.
 */

import { NUM_PARTITIONS_LOG2, PARTITION_WORDS, type TableState } from '../dshash/dshash.js';
import {
  LW_EXCLUSIVE,
  LW_SHARED,
  lwlockAcquire,
  lwlockAcquireExclusive,
  lwlockAcquireShared,
  lwlockRelease,
  lwlockReleaseNewest,
  lwlockReleaseNewestShared,
} from '../sync/sync.js';
import type { MapState } from './map-state.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see dsa/allocate.ts). */
const acquireExclusive = lwlockAcquireExclusive;
const acquireShared = lwlockAcquireShared;
const releaseExclusive = lwlockReleaseNewest;
const releaseShared = lwlockReleaseNewestShared;
const acquireAny = lwlockAcquire;
const release = lwlockRelease;
const EXCLUSIVE = LW_EXCLUSIVE;
const SHARED = LW_SHARED;
const TO_PARTITION = 32 - NUM_PARTITIONS_LOG2;
const LOCK_STRIDE = PARTITION_WORDS;

/** Takes the lock of the partition of the key, exclusively. Blocks. False with `failure` set. */
export function lockKey(m: MapState): boolean {
  const { t } = m;
  const word = m.locks + (m.hash >>> TO_PARTITION) * LOCK_STRIDE;
  const got = m.near ? acquireExclusive(t.p, t.control, word, t.ns) : acquireAny(t.p, t.control, word, t.ns, EXCLUSIVE);
  return got !== 0 || refused(t, word);
}

/** The same for reading. */
export function lockToRead(m: MapState): boolean {
  const { t } = m;
  const word = m.locks + (m.hash >>> TO_PARTITION) * LOCK_STRIDE;
  const got = m.near ? acquireShared(t.p, t.control, word, t.ns) : acquireAny(t.p, t.control, word, t.ns, SHARED);
  return got !== 0 || refused(t, word);
}

function refused(t: TableState, word: number): false {
  t.failure = 'lock';
  t.failedLock = word;
  return false;
}

/** Gives the lock back that {@link lockKey} took last: no other lock was taken since and kept. */
export function unlockNewest(m: MapState): void {
  const { t } = m;
  const word = m.locks + (m.hash >>> TO_PARTITION) * LOCK_STRIDE;
  if (m.near) releaseExclusive(t.p, t.control, word, t.ns);
  else release(t.p, t.control, word, t.ns);
}

/** The same after {@link lockToRead}. */
export function unlockRead(m: MapState): void {
  const { t } = m;
  const word = m.locks + (m.hash >>> TO_PARTITION) * LOCK_STRIDE;
  if (m.near) releaseShared(t.p, t.control, word, t.ns);
  else release(t.p, t.control, word, t.ns);
}

/** Gives the lock of the partition of the key back, whatever a function of the program has locked meanwhile. */
export function unlockKey(m: MapState): void {
  const { t } = m;
  release(t.p, t.control, m.locks + (m.hash >>> TO_PARTITION) * LOCK_STRIDE, t.ns);
}
