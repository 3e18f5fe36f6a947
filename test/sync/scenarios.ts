/** What participants do in the explorations of the lock, and what must be true at the end. */

import type { Participant } from '../../dist/sync/participant.js';
import {
  FAIL_POISONED,
  FAIL_STALLED,
  HAS_WAITERS,
  LW_CHANGED,
  LW_EXCLUSIVE as EX,
  LW_FAILED,
  LW_FREED,
  LW_SHARED as SH,
  LWLOCK_MAX_PASSES,
} from '../../dist/sync/sync.js';
import type { Run } from './explorer-code.js';
import { finish, LOCK, OTHER_LOCK, type Scenario, type World } from './explorer-machine.js';

/** A scenario with three or more participants. */
export interface Bounded extends Scenario {
  /** Interruptions beyond which the search would take too long. */
  readonly interruptions?: number;
}

type Body = (w: World, p: Participant) => Run;

/** Who is in the critical section: words of the shared memory, so that a search sees them. */
const INSIDE_EX = 0;
const INSIDE_SH = 1;

function* criticalSection(w: World, mode: number): Run {
  const m = w.memory;
  if (m[INSIDE_EX] !== 0 || (mode === EX && m[INSIDE_SH] !== 0)) throw new Error('two in the critical section');
  const word = mode === EX ? INSIDE_EX : INSIDE_SH;
  m[word]!++;
  yield;
  m[word]!--;
  return undefined;
}

/** Acquires, works, releases, `times` times. */
function locker(mode: number, times = 1): Body {
  return function* (w, p) {
    for (let k = 0; k < times; k++) {
      const got = yield* w.code.lwlockAcquire(p, w.memory, LOCK, 0, mode);
      w.mark(p, 10 * k + 1);
      if (got === LW_FAILED) continue;
      yield* criticalSection(w, mode);
      yield* w.code.lwlockRelease(p, w.memory, LOCK, 0);
      w.mark(p, 10 * k + 2);
    }
  };
}

/** As `locker` with the hot functions for the exclusive mode. */
const hotLocker: Body = function* (w, p) {
  const got = yield* w.code.lwlockAcquireExclusive(p, w.memory, LOCK, 0);
  w.mark(p, 1);
  if (got === LW_FAILED) return;
  yield* criticalSection(w, EX);
  yield* w.code.lwlockReleaseNewest(p, w.memory, LOCK, 0);
};

/** Holds the lock from the start (see `holding`) and releases it. */
const releaser: Body = function* (w, p) {
  yield* w.code.lwlockRelease(p, w.memory, LOCK, 0);
};

/** Setup: participant 0 holds the lock; `passes` overtakings have been counted. */
function holding(mode: number, passes = 0): (w: World, p: readonly Participant[]) => void {
  return (w, p) => {
    finish(w.code.lwlockAcquire(p[0], w.memory, LOCK, 0, mode));
    w.memory[LOCK + 3] = passes;
  };
}

/** No holder is left in the lock word. */
function lockIsFree(w: World): void {
  const s = w.memory[LOCK + 1]!;
  if ((s & ~HAS_WAITERS) !== 0) throw new Error(`the lock word says ${s.toString(16)} at the end`);
}

function threeParties(held: number, passes: number, ...modes: number[]): Scenario {
  const threads = [releaser, ...modes.map((mode) => locker(mode))];
  return { threads, setup: holding(held, passes), atEnd: lockIsFree };
}

const BAR = LWLOCK_MAX_PASSES;

export const inEveryOrder: Record<string, Scenario> = {
  'two newcomers': { threads: [locker(EX), locker(EX)], atEnd: lockIsFree },
  'two newcomers by the hot functions': { threads: [hotLocker, hotLocker], atEnd: lockIsFree },
  'two newcomers, twice': { threads: [locker(EX, 2), locker(SH, 2)], atEnd: lockIsFree },
  'a releaser and an exclusive waiter': threeParties(EX, 0, EX),
  'a shared releaser and a shared waiter behind the bar': threeParties(SH, BAR, SH),
};

export const withThree: Record<string, Bounded> = {
  'two exclusive waiters': threeParties(EX, 0, EX, EX),
  'an exclusive and a shared waiter': threeParties(EX, 0, EX, SH),
  'two exclusive waiters by the hot functions': {
    threads: [releaser, hotLocker, hotLocker],
    setup: holding(EX),
    atEnd: lockIsFree,
  },
  'two shared waiters': threeParties(EX, 0, SH, SH),
  'a shared holder, an exclusive and a shared waiter': threeParties(SH, 0, EX, SH),
  'two exclusive waiters, bar down': threeParties(EX, BAR, EX, EX),
  'an exclusive and a shared waiter, bar down': threeParties(EX, BAR, EX, SH),
  'a shared holder, an exclusive and a shared waiter, bar down': threeParties(SH, BAR, EX, SH),
  'the releaser comes back at once': {
    threads: [
      function* (w, p) {
        yield* releaser(w, p);
        w.mark(p, 5);
        yield* locker(EX)(w, p);
      },
      locker(EX),
      locker(EX),
    ],
    setup: holding(EX, BAR - 1),
    atEnd: lockIsFree,
    interruptions: 5,
  },
  'a waiter gives up at once': { ...threeParties(EX, 0, EX, EX), lockTimeout: [1000, 1000, 0] },
  'a waiter gives up at once, bar down': { ...threeParties(SH, BAR, SH, EX), lockTimeout: [1000, 1000, 0] },
  'a waiter gives up after a sleep': {
    ...threeParties(EX, 0, EX, EX),
    lockTimeout: [1000, 1000, 50],
    timeouts: [0, 0, 2],
    interruptions: 5,
  },
  'three waiters, one of which gives up': {
    ...threeParties(EX, BAR - 1, EX, SH, EX),
    lockTimeout: [1000, 1000, 1000, 0],
    interruptions: 2,
  },
  'until-free and exclusive waiter': {
    threads: [
      releaser,
      function* (w, p) {
        const got = yield* w.code.lwlockAcquireOrWait(p, w.memory, LOCK, 0, EX);
        w.mark(p, Number(got));
        if (got === LW_FAILED) throw new Error('neither got the lock nor saw it free');
        if (got !== LW_FREED) yield* releaser(w, p);
      },
      locker(EX),
    ],
    setup: holding(EX),
    atEnd: lockIsFree,
  },
  'waiting for a variable': {
    threads: [
      function* (w, p) {
        yield* w.code.lwlockUpdateVar(p, w.memory, LOCK, 0, w.vars, 0, 1n);
        w.mark(p, 6);
        // Held on purpose until the waiter has seen the change: it must not need the release.
        yield* w.park(2);
        w.mark(p, 7);
        yield* releaser(w, p);
      },
      function* (w, p) {
        const found = yield* w.code.lwlockWaitForVar(p, w.memory, LOCK, 0, w.vars, 0, 0n);
        if (found !== LW_CHANGED || p.varValue !== 1n) throw new Error('missed the change');
        w.memory[2] = 1;
        for (const t of w.threads) if (t.parkedOn === 2) t.parked = false;
      },
      locker(EX),
    ],
    setup: holding(EX),
    atEnd: lockIsFree,
  },
  'a poisoner': {
    threads: [
      function* (w, p) {
        yield* w.code.lwlockPoison(p, w.memory, LOCK, 0);
      },
      function* (w, p) {
        const got = yield* w.code.lwlockAcquire(p, w.memory, LOCK, 0, EX);
        if (got === LW_FAILED && p.failure !== FAIL_POISONED) throw new Error(`failure ${p.failure}`);
        if (got !== LW_FAILED) yield* releaser(w, p);
      },
      locker(SH),
    ],
  },
  'a nudge makes a waiter look up': {
    threads: [
      function* (w, p) {
        // Releases only after the waiter has attended: nobody else could wake it.
        yield* w.park(2);
        w.mark(p, 8);
        yield* releaser(w, p);
      },
      function* (w, p) {
        p.attend = () => {
          if (w.memory[3] === 0) return;
          w.memory[2] = 1;
          for (const t of w.threads) if (t.parkedOn === 2) t.parked = false;
        };
        yield* locker(EX)(w, p);
      },
      function* (w, p) {
        const waiter = w.threads[1]!.p;
        yield;
        // Before the waiter is queued a nudge may pass unseen: that one attends before it parks.
        w.memory[3] = 1;
        yield* w.code.nudge(p.control, waiter.base);
      },
    ],
    setup: holding(EX),
    atEnd: lockIsFree,
  },
};

/** Deaths: the survivors get the lock or are told; a dead one with an empty list holds nothing. */
function afterDeath(w: World): void {
  const s = w.memory[LOCK + 1]!;
  const dead = w.threads.find((t) => t.dead);
  if (dead === undefined) return lockIsFree(w);
  if (dead.p.control[dead.p.nheldWord] === 0 && (s & ~HAS_WAITERS) !== 0)
    throw new Error('held by one who lists nothing');
  for (const t of w.threads) {
    const { failure, failureOwnerGone, failureOwner } = t.p;
    if (failure === 0) continue;
    const known = failureOwnerGone && failureOwner === dead.p.slot;
    if (failure !== FAIL_STALLED || !(known || w.unknowable) || (s & ~HAS_WAITERS) === 0)
      throw new Error(`participant ${t.p.slot} gave up without need`);
  }
}

function mortal(who: number, scenario: Scenario): Scenario {
  return { ...scenario, mortal: [who], timeouts: [6, 6, 6], atEnd: afterDeath };
}

/** The same where nobody can tell who is dead: who waits for the dead waits until its time is over. */
function mortalUnseen(who: number, scenario: Scenario): Scenario {
  return { ...mortal(who, scenario), unknowable: true, timeouts: [12, 12, 12], lockTimeout: [300, 300, 300] };
}

export const deaths: Record<string, Scenario> = {
  'an exclusive holder': mortal(0, threeParties(EX, 0, EX, EX)),
  'a shared holder': mortal(0, threeParties(SH, 0, EX, SH)),
  'an exclusive waiter': mortal(1, threeParties(EX, 0, EX, EX)),
  'an exclusive waiter in its sleep': {
    ...mortal(1, threeParties(EX, BAR, EX, EX)),
    // The releaser finds out, so nobody needs the clock.
    onlyAsleep: true,
    timeouts: [0, 0, 0],
  },
  'an exclusive waiter, bar down': mortal(1, threeParties(EX, BAR, EX, SH)),
  'a shared waiter': mortal(1, threeParties(EX, 0, SH, EX)),
  'a shared waiter, bar down': mortal(1, threeParties(SH, BAR, SH, EX)),
  'an exclusive holder, unseen': mortalUnseen(0, threeParties(EX, 0, EX, EX)),
  'an exclusive waiter, bar down, unseen': mortalUnseen(1, threeParties(EX, BAR, EX, SH)),
  'a shared waiter, bar down, unseen': mortalUnseen(1, threeParties(SH, BAR, SH, EX)),
};

/** A slot that waits for one lock, then for another: a reader in mid-read must not see a third. */
export const tornSlot: Scenario = {
  threads: [
    releaser,
    locker(EX),
    function* (w, p) {
      // First the same word in another memory, then the same memory at another word.
      yield* w.code.enqueue(p, w.memory1, LOCK, 1, EX);
      yield* w.code.leaveQueue(p, w.memory1, LOCK, 1);
      w.mark(p, 3);
      yield* w.code.enqueue(p, w.memory, OTHER_LOCK, 0, EX);
      yield* w.code.leaveQueue(p, w.memory, OTHER_LOCK, 0);
    },
  ],
  setup: (w, p) => {
    holding(EX)(w, p);
    // So that it looks older than the waiter that must be woken.
    w.memory[OTHER_LOCK + 2] = -5;
  },
  atEnd: lockIsFree,
  fine: true,
};
export const fineSteps: Scenario = { ...threeParties(EX, 0, EX, EX), fine: true };
