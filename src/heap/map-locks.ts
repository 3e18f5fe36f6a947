/**
 * The lock of the partition that the packed key of a map belongs to, as the hot path takes it.
 *
 * The short forms of LWLock serve locks whose word index fits 31 bits, which is every lock in the first 8 GiB of a
 * segment; `m.near` says so. A failure is noted in the map's state: nothing throws.
 */

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
import { PART_WORDS, PARTITIONS_LOG2 } from './map-layout.js';
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
const TO_PARTITION = 32 - PARTITIONS_LOG2;
const STRIDE = PART_WORDS;

/** Takes the lock of the partition of the key, exclusively, and notes its place in `m.part`. Blocks. False with `failure` set. */
export function lockKey(m: MapState): boolean {
  const { p, parts, ns } = m;
  const word = m.partsAt + (m.hash >>> TO_PARTITION) * STRIDE;
  m.part = word;
  const got = m.near ? acquireExclusive(p, parts, word, ns) : acquireAny(p, parts, word, ns, EXCLUSIVE);
  return got !== 0 || refused(m, word);
}

/** The same for reading. */
export function lockToRead(m: MapState): boolean {
  const { p, parts, ns } = m;
  const word = m.partsAt + (m.hash >>> TO_PARTITION) * STRIDE;
  m.part = word;
  const got = m.near ? acquireShared(p, parts, word, ns) : acquireAny(p, parts, word, ns, SHARED);
  return got !== 0 || refused(m, word);
}

/** Takes the lock of a partition by its number, in either mode. Blocks. False with `failure` set. */
export function lockPartition(m: MapState, partition: number, exclusive: boolean): boolean {
  const word = m.partsAt + partition * STRIDE;
  m.part = word;
  return acquireAny(m.p, m.parts, word, m.ns, exclusive ? EXCLUSIVE : SHARED) !== 0 || refused(m, word);
}

function refused(m: MapState, word: number): false {
  m.failure = 'lock';
  m.failedLock = word;
  return false;
}

/** Gives the lock back that {@link lockKey} took last: no other lock was taken since and kept. */
export function unlockNewest(m: MapState): void {
  if (m.near) releaseExclusive(m.p, m.parts, m.part, m.ns);
  else release(m.p, m.parts, m.part, m.ns);
}

/** The same after {@link lockToRead}. */
export function unlockRead(m: MapState): void {
  if (m.near) releaseShared(m.p, m.parts, m.part, m.ns);
  else release(m.p, m.parts, m.part, m.ns);
}

/** Gives the lock at `m.part` back, whatever a function of the program has locked meanwhile. */
export function unlockAny(m: MapState): void {
  release(m.p, m.parts, m.part, m.ns);
}
