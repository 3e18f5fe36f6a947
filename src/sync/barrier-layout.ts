/**
 * The barrier in shared memory: 36 bytes, with phase and condition variable where PostgreSQL's has them.
 *
 * Stands on the layout declarations. PostgreSQL guards its counters with a spinlock; here all that must change together is
 * one word, so no thread can die with a barrier half changed.
 *
 *     state   31  30      29       28      27 ........ 14   13 ....... 0
 *             ·   ODD     ELECTED  STATIC  participants     arrived
 */

import { i32, nested, struct } from '../layout/layout.js';
import { ConditionVariableStruct } from './condition-variable-layout.js';

/** A barrier. */
export const BarrierStruct = struct(
  'Barrier',
  'barrier.h',
  {
    state: i32('atomic: see the picture above; changed by compare-and-exchange'),
    phase: i32('atomic: phases completed, wraps; lags one behind BARRIER_ODD until somebody has counted it'),
    reserved0: i32('zero'),
    reserved1: i32('zero'),
    reserved2: i32('zero'),
    reserved3: i32('zero'),
    condition_variable: nested(
      ConditionVariableStruct,
      4,
      'atomic: who waits for the next phase; broadcast after state',
    ),
  },
  36,
);

/** Word offsets from the start of a barrier. */
export const BARRIER_STATE = BarrierStruct.state / 4;
export const BARRIER_PHASE = BarrierStruct.phase / 4;
export const BARRIER_CV = BarrierStruct.condition_variable / 4;

/** Most parties of a barrier: their number has 14 bits. Far more than threads; asynchronous tasks may be parties too. */
export const BARRIER_MAX_PARTIES = 0x3fff;
/** `state`: how many have arrived in this phase. Always fewer than participants, or both are 0. */
export const BARRIER_ARRIVED = 0x3fff;
/** `state`: one participant. */
export const BARRIER_ONE = BARRIER_MAX_PARTIES + 1;
/** `state`: shift of the number of participants. */
export const BARRIER_PARTIES_SHIFT = 14;
/** `state`: the parties were fixed at the start; nobody attaches. */
export const BARRIER_STATIC = 1 << 28;
/** `state`: one of those who completed the last phase was elected. */
export const BARRIER_ELECTED = 1 << 29;
/** `state`: lowest bit of the number of the phase; decides, before `phase` does, that a phase is over. */
export const BARRIER_ODD = 1 << 30;

/** Result: not done; `participant.failure` says why. */
export const BARRIER_FAILED = 0;
/** Result: the phase is over. */
export const BARRIER_PASSED = 1;
/** Result: the phase is over, and of all who passed, this is the one that is elected. */
export const BARRIER_CHOSEN = 2;
/** Result: the time was over; the arrival was taken back. */
export const BARRIER_TIMED_OUT = 3;
/** Result: the barrier is static, or full, or nobody is attached: nothing was changed. */
export const BARRIER_REFUSED = 4;
