/** What participants do in the explorations of condition variable and barrier, and what must be true at the end. */

import type { Participant } from '../../dist/sync/participant.js';
import {
  BARRIER_CHOSEN,
  BARRIER_PASSED,
  BARRIER_PHASE,
  BARRIER_STATE,
  BARRIER_TIMED_OUT,
  barrierInit,
  CV_ARRIVALS,
  CV_SETTLED,
  CV_TIMED_OUT,
} from '../../dist/sync/sync.js';
import type { Run } from './explorer-code.js';
import { LOCK, type Scenario, type World } from './explorer-machine.js';

type Body = (w: World, p: Participant) => Run;

/** Where the condition variable, or the barrier, lies. */
const PLACE = LOCK;
/** Things to be had; taken by compare-and-exchange. */
const ITEMS = 0;
/** Participants that were elected in phase 0 and 1. */
const CHOSEN = 1;
/** Times somebody has passed. */
const PASSED = 3;

/** Takes one of the items, if there is one. */
function* take(w: World): Run {
  for (;;) {
    const there = Number(yield* w.load(w.memory, ITEMS));
    if (there === 0) return false;
    if ((yield* w.compareExchange(w.memory, ITEMS, there, there - 1)) === there) return true;
  }
}

/** Sleeps until it gets an item. */
const taker: Body = function* (w, p) {
  yield* w.code.conditionVariablePrepareToSleep(p, w.memory, PLACE);
  while ((yield* take(w)) !== true) {
    yield* w.code.conditionVariableTimedSleep(p, w.memory, PLACE, Infinity);
    w.mark(p, 1);
  }
  yield* w.code.conditionVariableCancelSleep(p);
  w.mark(p, 2);
};

/** As `taker`, but it gives up when its time is over, or without a sleep; what it could not use, it passes on. */
function hastyTaker(ms: number): Body {
  return function* (w, p) {
    yield* w.code.conditionVariablePrepareToSleep(p, w.memory, PLACE);
    let got = yield* take(w);
    while (got !== true) {
      const over = yield* w.code.conditionVariableTimedSleep(p, w.memory, PLACE, ms);
      if (over === CV_TIMED_OUT) break;
      got = yield* take(w);
    }
    const signalled = yield* w.code.conditionVariableCancelSleep(p);
    w.mark(p, got === true ? 3 : signalled === true ? 4 : 5);
    if (got === true) yield* w.add(w.memory, ITEMS, 1);
    if (got === true || signalled === true) yield* w.code.conditionVariableSignal(w.memory, PLACE);
  };
}

/** Puts items, each with a signal. */
function putter(times: number): Body {
  return function* (w, p) {
    for (let n = 0; n < times; n++) {
      yield* w.add(w.memory, ITEMS, 1);
      yield* w.code.conditionVariableSignal(w.memory, PLACE);
      w.mark(p, 10 + n);
    }
  };
}

/** Sleeps until there is an item, leaves it there and tells the next one. */
const follower: Body = function* (w, p) {
  yield* w.code.conditionVariablePrepareToSleep(p, w.memory, PLACE);
  while ((yield* w.load(w.memory, ITEMS)) === 0) {
    yield* w.code.conditionVariableTimedSleep(p, w.memory, PLACE, Infinity);
    w.mark(p, 1);
  }
  yield* w.code.conditionVariableCancelSleep(p);
  w.mark(p, 2);
  yield* w.code.conditionVariableSignal(w.memory, PLACE);
};

const crier: Body = function* (w) {
  yield* w.store(w.memory, ITEMS, 2);
  yield* w.code.conditionVariableBroadcast(w.memory, PLACE);
};

function nothingLeft(w: World): void {
  if (w.memory[ITEMS] !== 0) throw new Error(`${w.memory[ITEMS]} items are left`);
  const settled = (w.memory[PLACE + CV_ARRIVALS]! - w.memory[PLACE + CV_SETTLED]!) | 0;
  if (settled < 0) throw new Error('more settled than have arrived');
}

export const sleepers: Record<string, Scenario> = {
  'a sleeper and a signal': { threads: [putter(1), taker], atEnd: nothingLeft },
  'a sleeper that sleeps twice': {
    threads: [
      putter(2),
      function* (w, p) {
        yield* taker(w, p);
        w.mark(p, 5);
        yield* taker(w, p);
      },
    ],
    atEnd: nothingLeft,
  },
  'two sleepers and two signals': { threads: [putter(2), taker, taker], atEnd: nothingLeft },
  'two signallers': { threads: [putter(1), putter(1), taker, taker], atEnd: nothingLeft, maxStates: 2_000_000 },
  'two sleepers and a broadcast': { threads: [crier, taker, taker], atEnd: nothingLeft },
  'a sleeper that follows another': { threads: [putter(1), follower, follower] },
  'a sleeper that gives up at once': { threads: [putter(1), taker, hastyTaker(0)], atEnd: nothingLeft },
  'a sleeper that gives up after a sleep': {
    threads: [putter(1), taker, hastyTaker(50)],
    timeouts: [0, 0, 2],
    atEnd: nothingLeft,
  },
};

/** A sleeper dies at any step: the other one, looking for itself now and then, is not left behind. */
export const deadSleepers: Record<string, Scenario> = {
  'a sleeper': { threads: [putter(1), follower, follower], mortal: [1], timeouts: [0, 0, 3], clockStands: true },
  'a sleeper in its sleep, the clock standing still': {
    threads: [putter(1), follower, follower],
    mortal: [1],
    onlyAsleep: true,
  },
  'the later sleeper': {
    threads: [putter(1), follower, follower],
    mortal: [2],
    timeouts: [0, 3, 0],
    clockStands: true,
  },
};

/** Arrives `phases` times and counts who was elected. */
function party(phases: number, ms = Infinity): Body {
  return function* (w, p) {
    let limit = ms;
    for (let phase = 0; phase < phases; phase++) {
      const result = yield* w.code.barrierArriveAndWait(p, w.memory, PLACE, limit);
      w.mark(p, 100 * Number(result) + 20 + 2 * phase + (limit === Infinity ? 1 : 0));
      if (result === BARRIER_TIMED_OUT) {
        phase--;
        limit = Infinity;
        continue;
      }
      if (result !== BARRIER_PASSED && result !== BARRIER_CHOSEN) throw new Error(`result ${String(result)}`);
      const now = yield* w.code.barrierPhase(w.memory, PLACE);
      if (now !== phase + 1) throw new Error(`phase ${String(now)} after phase ${phase}`);
      if (result === BARRIER_CHOSEN) yield* w.add(w.memory, CHOSEN + phase, 1);
      yield* w.add(w.memory, PASSED, 1);
    }
  };
}

function leaver(how: 'barrierDetach' | 'barrierArriveAndDetach' | 'barrierArriveAndDetachExceptLast'): Body {
  return function* (w) {
    yield* w.code[how](w.memory, PLACE);
  };
}

function withBarrier(parties: number, attached = 0): (w: World) => void {
  return (w) => {
    barrierInit(w.memory, PLACE, parties);
    w.memory[PLACE + BARRIER_STATE]! += attached * (1 << 14);
  };
}

/** So many phases are over, each elected one, and nobody who has arrived is left. */
function after(phases: number, passed: number): (w: World) => void {
  return (w) => {
    const state = w.memory[PLACE + BARRIER_STATE]!;
    if ((state & 0x3fff) !== 0) throw new Error('an arrival is left');
    if (w.memory[PLACE + BARRIER_PHASE] !== phases) throw new Error(`phase ${w.memory[PLACE + BARRIER_PHASE]}`);
    for (let phase = 0; phase < phases; phase++) {
      const chosen = w.memory[CHOSEN + phase];
      if (chosen !== 1) throw new Error(`${chosen} elected in phase ${phase}`);
    }
    if (w.memory[PASSED] !== passed) throw new Error(`${w.memory[PASSED]} passed`);
  };
}

export const parties: Record<string, Scenario> = {
  'two parties, two phases': { threads: [party(2), party(2)], setup: withBarrier(2), atEnd: after(2, 4) },
  'three parties': { threads: [party(1), party(1), party(1)], setup: withBarrier(3), atEnd: after(1, 3) },
  'one that gives up and comes again': {
    threads: [party(1, 0), party(1)],
    setup: withBarrier(2),
    atEnd: after(1, 2),
  },
  'one that gives up after a sleep and comes again': {
    threads: [party(1, 50), party(1)],
    setup: withBarrier(2),
    timeouts: [2, 0],
    atEnd: after(1, 2),
  },
  'one that detaches': {
    threads: [party(1), party(1), leaver('barrierDetach')],
    setup: withBarrier(0, 3),
    atEnd: after(1, 2),
  },
  'one that detaches, and another phase without it': {
    threads: [party(2), party(2), leaver('barrierDetach')],
    setup: withBarrier(0, 3),
    atEnd: after(2, 4),
  },
  'one that arrives and detaches': {
    threads: [party(1), party(1), leaver('barrierArriveAndDetach')],
    setup: withBarrier(0, 3),
    atEnd: after(1, 2),
  },
  'one that leaves, for it is not the last': {
    threads: [party(1), party(1), leaver('barrierArriveAndDetachExceptLast')],
    setup: withBarrier(0, 3),
    atEnd: after(1, 2),
  },
  'two that leave one after the other': {
    threads: [party(1), leaver('barrierDetach'), leaver('barrierArriveAndDetach')],
    setup: withBarrier(0, 3),
    atEnd: after(1, 1),
  },
  'one that attaches meanwhile': {
    threads: [
      party(1),
      party(1),
      function* (w) {
        yield* w.code.barrierAttach(w.memory, PLACE);
        yield* w.code.barrierPhase(w.memory, PLACE);
        yield* w.code.barrierDetach(w.memory, PLACE);
      },
    ],
    setup: withBarrier(0, 2),
    atEnd: after(1, 2),
  },
};

/** A party dies: either it has arrived, then the phase ends for the others, or they take their arrivals back. */
function survivorTold(w: World): void {
  const state = w.memory[PLACE + BARRIER_STATE]!;
  const phase = w.memory[PLACE + BARRIER_PHASE]!;
  const odd = (state >>> 30) & 1;
  if ((phase & 1) !== odd && phase + 1 !== odd) throw new Error(`phase ${phase}, lowest bit ${odd}`);
}

const patient: Body = function* (w, p) {
  const result = yield* w.code.barrierArriveAndWait(p, w.memory, PLACE, 250);
  w.mark(p, 30 + Number(result));
  const dead = w.threads.some((t) => t.dead);
  if (result === BARRIER_TIMED_OUT && !dead) throw new Error('not all came in time');
  const over = (w.memory[PLACE + BARRIER_STATE]! >>> 30) & 1;
  if ((result === BARRIER_TIMED_OUT) === (over === 1)) throw new Error(`result ${String(result)}, over ${over}`);
};

export const deadParties: Record<string, Scenario> = {
  'a party': {
    threads: [party(1), patient],
    setup: withBarrier(2),
    mortal: [0],
    clockStands: true,
    timeouts: [0, 3],
    atEnd: survivorTold,
  },
};
