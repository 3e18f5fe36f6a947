/**
 * The list of locks that a participant holds: PostgreSQL's held_lwlocks, in the participant's slot.
 *
 * Stands on the participant. Private to its owner while that lives, so no lock and no atomics; but ordered by the
 * lock's own atomic operations: `noteHold` goes before the operation that may take the lock, `dropHold` after the one
 * that gave it back. Hence for whoever looks at a dead participant: list ⊇ locks held. A lock is known by the number of
 * the memory it lies in and its word index there; views and base addresses differ between threads.
 */

import type { Participant } from './participant.js';

const WORDS = 3;

/** High bits of a word index, placed above the mode bit. Nearly always 0. */
function high(word: number): number {
  return word <= 0xffffffff ? 0 : Math.floor(word / 0x100000000) << 1;
}

/** Writes entry `p.nheld` and counts it. The caller has checked that there is room. */
export function noteHold(p: Participant, ns: number, word: number, mode: number): void {
  const c = p.control;
  const n = c[p.nheldWord]!;
  const h = p.heldWord + n * WORDS;
  c[h] = ns;
  c[h + 1] = word;
  c[h + 2] = high(word) | mode;
  c[p.nheldWord] = n + 1;
}

/** Removes the newest entry. */
export function dropNewestHold(p: Participant): void {
  const c = p.control;
  c[p.nheldWord] = c[p.nheldWord]! - 1;
}

/**
 * Removes entry `at`. Later ones move down one by one, each copied before its old place is reused: every lock that is
 * still held stands in the list at every moment.
 */
export function dropHold(p: Participant, at: number): void {
  const c = p.control;
  const end = p.heldWord + (p.nheld - 1) * WORDS;
  for (let h = p.heldWord + at * WORDS; h < end; h++) c[h] = c[h + WORDS]!;
  dropNewestHold(p);
}

/**
 * Mode of entry `n` if it names this lock, else -1. Asked for the newest entry it is nearly always right, and cheaper
 * than {@link findHold}; a word index above 32 bits is left to that one.
 */
export function newestHold(p: Participant, n: number, ns: number, word: number): number {
  const c = p.control;
  const h = p.heldWord + n * WORDS;
  if (n < 0 || c[h + 1] !== (word | 0) || c[h] !== (ns | 0) || word > 0xffffffff) return -1;
  const mode = c[h + 2]!;
  return mode <= 1 ? mode : -1;
}

/** Index of the newest of the first `n` entries that names this lock, or -1. */
export function findHold(p: Participant, n: number, ns: number, word: number): number {
  const c = p.control;
  for (let at = n - 1; at >= 0; at--) {
    const h = p.heldWord + at * WORDS;
    if (c[h] === (ns | 0) && c[h + 1] === (word | 0) && (c[h + 2]! & ~1) === high(word)) return at;
  }
  return -1;
}

/** Mode (LW_EXCLUSIVE or LW_SHARED) of entry `at`. */
export function holdMode(p: Participant, at: number): number {
  return p.control[p.heldWord + at * WORDS + 2]! & 1;
}

/** Memory number of entry `at`. */
export function holdNs(p: Participant, at: number): number {
  return p.control[p.heldWord + at * WORDS]! >>> 0;
}

/** Word index of entry `at`. */
export function holdWord(p: Participant, at: number): number {
  const h = p.heldWord + at * WORDS;
  return (p.control[h + 2]! >>> 1) * 0x100000000 + (p.control[h + 1]! >>> 0);
}

/**
 * Tells whether the list in `slot`'s memory names this lock in shared mode. For the list of another participant: exact
 * when that one is gone, a guess while it lives.
 *
 * @param heldWord word index of the list
 * @param n number of entries, cut to the size of the list by the caller
 */
export function listsShared(c: Int32Array, heldWord: number, n: number, ns: number, word: number): boolean {
  for (let at = 0; at < n; at++) {
    const h = heldWord + at * WORDS;
    if (c[h] === (ns | 0) && c[h + 1] === (word | 0) && c[h + 2] === (high(word) | 1)) return true;
  }
  return false;
}
