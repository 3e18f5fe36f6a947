/**
 * Barriers: parties that wait for each other, phase after phase. PostgreSQL's Barrier in one word and a condition variable.
 * The functions; class Barrier checks arguments and throws.
 *
 * Stands on condition-variable.ts. No lock: participants, arrivals, election and the lowest bit of the phase change
 * together by one compare-and-exchange. Who completes a phase flips that bit, then counts `phase`, then broadcasts. A
 * thread may die between any two of these:
 *
 * - after the flip: the others look at the bit after each slice of their sleep, and whoever needs the number counts it;
 * - while waiting, having arrived: its arrival stays, so the phase is completed without it; the next phases miss it;
 * - before arriving: the others wait until their time is over, and take their arrivals back. Nobody knows which thread
 *   is a party (a party can be a task), so nobody can detach the dead but one who knows better: `barrierDetach`.
 *
 * Why reading works without a lock. A participant that is attached and has not arrived in this phase holds the phase
 * where it is. One that has arrived can see it move one step, never two. So for the attached the lowest bit tells all.
 *
 * At most one party a phase is elected: the last to arrive; or, where somebody's leaving completed the phase, the first of
 * the others to notice, who sets BARRIER_ELECTED. As in PostgreSQL, a dead or aborted one may have been it.
 */

import { compareExchange, load } from '#atomic';
import { now } from '../platform/platform.js';
import { sleepAsync } from './async-sleep.js';
import {
  BARRIER_ARRIVED,
  BARRIER_CHOSEN,
  BARRIER_CV,
  BARRIER_ELECTED,
  BARRIER_FAILED,
  BARRIER_MAX_PARTIES,
  BARRIER_ODD,
  BARRIER_ONE,
  BARRIER_PARTIES_SHIFT,
  BARRIER_PASSED,
  BARRIER_PHASE,
  BARRIER_REFUSED,
  BARRIER_STATE,
  BARRIER_STATIC,
  BARRIER_TIMED_OUT,
} from './barrier-layout.js';
import {
  conditionVariableArrive,
  conditionVariableBroadcast,
  conditionVariableCancelSleep,
  conditionVariableInit,
  conditionVariablePrepareToSleep,
  conditionVariableTimedSleep,
} from './condition-variable.js';
import { CV_SEQUENCE } from './condition-variable-layout.js';
import { FAIL_CLOSED } from './lwlock-layout.js';
import type { Participant } from './participant.js';

/**
 * Milliseconds after which an asynchronous party looks for itself. Lower: idle event loops wake more often; higher: it
 * learns later of a phase whose completer died before telling.
 */
const BARRIER_ASYNC_SLICE_MS = 1000;

/** Answers of `barrierArrive` for a party that must wait: the phase in which it arrived is even, or odd. */
const ARRIVED_EVEN = -1;
const ARRIVED_ODD = -2;

/**
 * Makes a fresh barrier in phase 0. Before others can see it; does not block. Follows BarrierInit.
 *
 * @param parties 1 or more: so many, for good; 0: parties attach and detach
 */
export function barrierInit(a: Int32Array, i: number, parties: number): void {
  a[i + BARRIER_STATE] = parties === 0 ? 0 : BARRIER_STATIC | (parties << BARRIER_PARTIES_SHIFT);
  for (let w = i + BARRIER_PHASE; w < i + BARRIER_CV; w++) a[w] = 0;
  conditionVariableInit(a, i + BARRIER_CV);
}

function partiesOf(s: number): number {
  return (s >>> BARRIER_PARTIES_SHIFT) & BARRIER_MAX_PARTIES;
}

/**
 * Number of the phase. The caller is attached: otherwise the answer may be old. Any thread; does not block. Follows
 * BarrierPhase.
 */
export function barrierPhase(a: Int32Array, i: number): number {
  // In this order: a state that is newer than the number can be told by its lowest bit, the opposite cannot.
  const phase = load(a, i + BARRIER_PHASE);
  const odd = (load(a, i + BARRIER_STATE) & BARRIER_ODD) !== 0;
  if (odd === ((phase & 1) !== 0)) return phase;
  compareExchange(a, i + BARRIER_PHASE, phase, (phase + 1) | 0);
  return (phase + 1) | 0;
}

/** Number of participants at this moment. Any thread; does not block. Follows BarrierParticipants. */
export function barrierParticipants(a: Int32Array, i: number): number {
  return partiesOf(load(a, i + BARRIER_STATE));
}

/** Tells whether the parties are fixed. Any thread; does not block. */
export function barrierIsStatic(a: Int32Array, i: number): boolean {
  return (load(a, i + BARRIER_STATE) & BARRIER_STATIC) !== 0;
}

/** Ends the phase: `s` becomes `next` with the phase's lowest bit flipped. False when `s` has changed meanwhile. */
function endPhase(a: Int32Array, i: number, s: number, next: number): boolean {
  // Read before the flip: afterwards the others may be phases ahead.
  const phase = barrierPhase(a, i);
  if (compareExchange(a, i + BARRIER_STATE, s, next ^ BARRIER_ODD) !== s) return false;
  compareExchange(a, i + BARRIER_PHASE, phase, (phase + 1) | 0);
  conditionVariableBroadcast(a, i + BARRIER_CV);
  return true;
}

/** Arrives. BARRIER_CHOSEN: that completed the phase; BARRIER_REFUSED; else ARRIVED_EVEN or ARRIVED_ODD: wait. */
function barrierArrive(a: Int32Array, i: number): number {
  for (;;) {
    const s = load(a, i + BARRIER_STATE);
    const parties = partiesOf(s);
    if (parties === 0) return BARRIER_REFUSED;
    if ((s & BARRIER_ARRIVED) + 1 < parties) {
      if (compareExchange(a, i + BARRIER_STATE, s, s + 1) !== s) continue;
      return (s & BARRIER_ODD) === 0 ? ARRIVED_EVEN : ARRIVED_ODD;
    }
    if (endPhase(a, i, s, (s & ~BARRIER_ARRIVED) | BARRIER_ELECTED)) return BARRIER_CHOSEN;
  }
}

/** For one that has arrived: BARRIER_FAILED while the phase goes on, else BARRIER_PASSED or BARRIER_CHOSEN. */
function barrierOver(a: Int32Array, i: number, arrivedIn: number): number {
  for (;;) {
    const s = load(a, i + BARRIER_STATE);
    if (((s & BARRIER_ODD) === 0) === (arrivedIn === ARRIVED_EVEN)) return BARRIER_FAILED;
    if ((s & BARRIER_ELECTED) !== 0) return BARRIER_PASSED;
    if (compareExchange(a, i + BARRIER_STATE, s, s | BARRIER_ELECTED) === s) return BARRIER_CHOSEN;
  }
}

/** Takes an arrival back: BARRIER_TIMED_OUT. Too late for that: BARRIER_PASSED or BARRIER_CHOSEN. */
function barrierTakeBack(a: Int32Array, i: number, arrivedIn: number): number {
  for (;;) {
    const s = load(a, i + BARRIER_STATE);
    const over = barrierOver(a, i, arrivedIn);
    if (over !== BARRIER_FAILED) return over;
    if (compareExchange(a, i + BARRIER_STATE, s, s - 1) === s) return BARRIER_TIMED_OUT;
  }
}

/**
 * Arrives and waits for the others. Blocks, at most `ms` milliseconds; polls where the thread must not be parked. The
 * caller is a party: one of the static ones, or attached. Cancels a prepared sleep of `p`. Follows BarrierArriveAndWait.
 *
 * @returns BARRIER_PASSED; BARRIER_CHOSEN: elected; BARRIER_TIMED_OUT: everything as before the call, still a party;
 *   BARRIER_REFUSED: nobody is attached; BARRIER_FAILED: `p` has left
 */
export function barrierArriveAndWait(p: Participant, a: Int32Array, i: number, ms: number): number {
  if (p.closed) {
    p.failure = FAIL_CLOSED;
    return BARRIER_FAILED;
  }
  const arrivedIn = barrierArrive(a, i);
  if (arrivedIn > 0) return arrivedIn;
  const cv = i + BARRIER_CV;
  const end = now() + ms;
  conditionVariablePrepareToSleep(p, a, cv);
  let over = barrierOver(a, i, arrivedIn);
  while (over === BARRIER_FAILED) {
    const left = end - now();
    if (left <= 0) over = barrierTakeBack(a, i, arrivedIn);
    else {
      conditionVariableTimedSleep(p, a, cv, Math.min(left, p.sliceMs));
      over = barrierOver(a, i, arrivedIn);
    }
  }
  conditionVariableCancelSleep(p);
  return over;
}

/** Sleeps until the phase is over: BARRIER_PASSED or BARRIER_CHOSEN; BARRIER_FAILED when the time was over before. */
async function barrierSleepAsync(
  p: Participant,
  a: Int32Array,
  i: number,
  arrivedIn: number,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const cv = i + BARRIER_CV;
  const end = now() + ms;
  for (;;) {
    const seen = conditionVariableArrive(a, cv);
    const over = barrierOver(a, i, arrivedIn);
    const left = end - now();
    if (over !== BARRIER_FAILED || left <= 0) return over;
    await sleepAsync(p, a, cv + CV_SEQUENCE, seen, Math.min(left, BARRIER_ASYNC_SLICE_MS), signal);
  }
}

/**
 * {@link barrierArriveAndWait} without blocking. One thread may have many parties that wait so.
 *
 * @returns a promise of BARRIER_PASSED, BARRIER_CHOSEN, BARRIER_TIMED_OUT or BARRIER_REFUSED
 * @throws (as a rejection; everything is then as before the call) ERR_HEAP_ABORTED, ERR_HEAP_CLOSED, ERR_HEAP_UNSUPPORTED
 */
export async function barrierArriveAndWaitAsync(
  p: Participant,
  a: Int32Array,
  i: number,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const arrivedIn = barrierArrive(a, i);
  if (arrivedIn > 0) return arrivedIn;
  let failure: unknown;
  try {
    const over = await barrierSleepAsync(p, a, i, arrivedIn, ms, signal);
    if (over !== BARRIER_FAILED) return over;
  } catch (error) {
    failure = error;
  }
  const over = barrierTakeBack(a, i, arrivedIn);
  if (over === BARRIER_TIMED_OUT && failure !== undefined) throw failure;
  return over;
}

/**
 * Becomes a party of a dynamic barrier: from now on the phase waits for the caller. Any thread; does not block. Follows
 * BarrierAttach, whose result is {@link barrierPhase}.
 *
 * @returns false for a static barrier, and when BARRIER_MAX_PARTIES are attached
 */
export function barrierAttach(a: Int32Array, i: number): boolean {
  for (;;) {
    const s = load(a, i + BARRIER_STATE);
    if ((s & BARRIER_STATIC) !== 0 || partiesOf(s) === BARRIER_MAX_PARTIES) return false;
    if (compareExchange(a, i + BARRIER_STATE, s, s + BARRIER_ONE) === s) return true;
  }
}

/** Leaves, if the state still is `s`; BARRIER_FAILED when it is not. What all forms share. Follows BarrierDetachImpl. */
function tryLeave(a: Int32Array, i: number, s: number, arrive: boolean): number {
  const left = partiesOf(s) - 1;
  if ((s & BARRIER_STATIC) !== 0 || left < 0) return BARRIER_REFUSED;
  const result = left === 0 ? BARRIER_CHOSEN : BARRIER_PASSED;
  const next = s - BARRIER_ONE;
  if ((arrive || left > 0) && (s & BARRIER_ARRIVED) === left) {
    return endPhase(a, i, s, next & ~(BARRIER_ARRIVED | BARRIER_ELECTED)) ? result : BARRIER_FAILED;
  }
  return compareExchange(a, i + BARRIER_STATE, s, next) === s ? result : BARRIER_FAILED;
}

function barrierLeave(a: Int32Array, i: number, arrive: boolean): number {
  for (;;) {
    const s = load(a, i + BARRIER_STATE);
    const result = tryLeave(a, i, s, arrive);
    if (result !== BARRIER_FAILED) return result;
  }
}

/**
 * Is no party any more; the others do not wait for the caller. The last one to leave does not end the phase. A party that
 * has not arrived; any thread; does not block. Follows BarrierDetach.
 *
 * @returns BARRIER_CHOSEN when nobody is left, else BARRIER_PASSED; BARRIER_REFUSED: static, or nobody is attached
 */
export function barrierDetach(a: Int32Array, i: number): number {
  return barrierLeave(a, i, false);
}

/** Arrives and is no party any more; the last one to leave ends the phase. Else as {@link barrierDetach}. Follows BarrierArriveAndDetach. */
export function barrierArriveAndDetach(a: Int32Array, i: number): number {
  return barrierLeave(a, i, true);
}

/**
 * Arrives and leaves, unless the caller is the only party: then it ends the phase and stays. For work that the last one
 * finishes alone. Does not block. Follows BarrierArriveAndDetachExceptLast; PostgreSQL does not end the phase when all
 * others have arrived already, and leaves them waiting: here they go on.
 *
 * @returns BARRIER_CHOSEN when the caller is the last one and still a party, else BARRIER_PASSED; BARRIER_REFUSED
 */
export function barrierArriveAndDetachExceptLast(a: Int32Array, i: number): number {
  for (;;) {
    const s = load(a, i + BARRIER_STATE);
    if ((s & BARRIER_STATIC) === 0 && partiesOf(s) === 1) {
      if (endPhase(a, i, s, s & ~(BARRIER_ARRIVED | BARRIER_ELECTED))) return BARRIER_CHOSEN;
      continue;
    }
    const result = tryLeave(a, i, s, true);
    if (result !== BARRIER_FAILED) return result;
  }
}
