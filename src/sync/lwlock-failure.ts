/**
 * Turns the failure that a lock function noted in its participant into an error.
 *
 * Stands on the participant and the table of tranches. No lock. Apart from the lock functions, because these must not throw: a
 * caller that holds other locks releases them first and throws then.
 */

import { type ErrorCode, SharedHeapError } from '../errors/errors.js';
import {
  FAIL_CLOSED,
  FAIL_NONE,
  FAIL_POISONED,
  FAIL_SELF,
  FAIL_STALLED,
  FAIL_TOO_MANY,
  FAIL_WOULD_BLOCK,
} from './lwlock-layout.js';
import { holdNs, holdWord } from './lwlock-held.js';
import type { Participant } from './participant.js';
import { MAX_HELD_LOCKS } from './participant-layout.js';
import { BUILTIN_TRANCHES, lwlockTranche, type TrancheTable } from './tranches.js';

interface Wording {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
}

const WORDINGS: Readonly<Record<number, Wording>> = {
  [FAIL_NONE]: {
    code: 'ERR_HEAP_WOULD_BLOCK',
    message: 'the lock is taken',
    hint: 'try again, or use a form that waits',
  },
  [FAIL_SELF]: {
    code: 'ERR_HEAP_LOCK_SELF',
    message: 'the participant holds this lock already',
    hint: 'locks are not re-entrant: release it first',
  },
  [FAIL_STALLED]: {
    code: 'ERR_HEAP_LOCK_STALLED',
    message: 'the lock was not released in time',
    hint: 'look for a thread that keeps the lock, or raise lockTimeout',
  },
  [FAIL_POISONED]: {
    code: 'ERR_HEAP_POISONED',
    message: 'what the lock protects was found damaged',
    hint: 'make a new heap',
  },
  [FAIL_TOO_MANY]: {
    code: 'ERR_HEAP_TOO_MANY_LOCKS',
    message: 'too many LWLocks taken',
    hint: 'release locks before taking more',
  },
  [FAIL_WOULD_BLOCK]: {
    code: 'ERR_HEAP_WOULD_BLOCK',
    message: 'the lock was not released in time, and this thread must not be parked',
    hint: 'work in a worker thread, where waiting is allowed',
  },
  [FAIL_CLOSED]: {
    code: 'ERR_HEAP_CLOSED',
    message: 'the participant has left',
    hint: 'attach again',
  },
};

/** Names the lock: its tranche, or the tranche's id where no name is known. */
function lockName(a: Int32Array, i: number, tranches: TrancheTable | undefined): string {
  const id = lwlockTranche(a, i);
  const name = tranches === undefined ? BUILTIN_TRANCHES.get(id) : tranches.findTrancheName(id);
  return name === undefined ? `lock of tranche ${id}` : `lock "${name}"`;
}

/** Locks that an error names at most. Lower: the one to look for may be missing; higher: long lines. */
const MOST_NAMED = 4;

/**
 * The error for a participant that wants to leave while it holds locks: names them. The thread of `p`; does not block.
 *
 * @param viewOf the words of the memory with this number, where the participant can reach it
 * @param tranches where the locks' names are looked up
 */
export function locksHeld(
  p: Participant,
  viewOf: (ns: number) => Int32Array | undefined,
  tranches: TrancheTable,
): SharedHeapError {
  const names: string[] = [];
  for (let at = Math.min(p.nheld, MOST_NAMED) - 1; at >= 0; at--) {
    const ns = holdNs(p, at);
    const word = holdWord(p, at);
    const a = viewOf(ns);
    const name = a === undefined ? 'a lock' : lockName(a, word, tranches);
    names.push(`${name} at byte ${word * 4} of memory ${ns}`);
  }
  const more = p.nheld > MOST_NAMED ? ` and ${p.nheld - MOST_NAMED} more` : '';
  return new SharedHeapError('ERR_HEAP_LOCK_HELD', 'a participant must release its locks before it leaves', {
    detail: `participant ${p.slot} holds ${names.join(', ')}${more}`,
    hint: 'Release them, or call this again when what holds them is done.',
  });
}

function detailOf(p: Participant): string {
  if (p.failure === FAIL_TOO_MANY) return `${p.nheld} held, at most ${MAX_HELD_LOCKS}`;
  const owner = p.failureOwner < 0 ? '' : `, held by participant ${p.failureOwner}`;
  return `participant ${p.slot}${owner}, waited ${Math.round(p.failureMs)} ms of at most ${p.lockTimeout}`;
}

/**
 * The error for the failure that `p` noted last. The thread of `p`; does not block.
 *
 * @param a view of the memory of the lock
 * @param i word index of the lock there
 * @param ns number of that memory
 * @param tranches where the lock's name is looked up; without it, only built-in names are known
 */
export function lwlockFailure(
  p: Participant,
  a: Int32Array,
  i: number,
  ns: number,
  tranches?: TrancheTable,
): SharedHeapError {
  const wording = WORDINGS[p.failure]!;
  const gone = p.failure === FAIL_STALLED && p.failureOwnerGone;
  const message = gone ? 'the lock will not be released: its holder is gone' : wording.message;
  const hint = gone ? 'a thread ended, or waits for itself, inside a critical section' : wording.hint;
  return new SharedHeapError(wording.code, message, {
    detail: `${lockName(a, i, tranches)} at byte ${i * 4} of memory ${ns}: ${detailOf(p)}`,
    hint,
  });
}
