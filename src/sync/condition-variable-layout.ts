/**
 * The condition variable in shared memory: 12 bytes, as PostgreSQL's.
 *
 * Stands on the layout declarations. PostgreSQL keeps a spinlock and a list of sleepers there; here three counters, so
 * there is nothing that a dying thread can leave locked or half linked. All zero is a fresh one.
 */

import { i32, struct } from '../layout/layout.js';

/** A condition variable. All words are atomic. */
export const ConditionVariableStruct = struct(
  'ConditionVariable',
  'condition_variable.h',
  {
    sequence: i32('atomic, the futex word: counts signals and broadcasts; wraps'),
    arrivals: i32('atomic: counts preparations to sleep; wraps'),
    settled: i32('atomic: arrivals up to which nobody can be parked any more; written by signallers'),
  },
  12,
);

/** Word offsets from the start of a condition variable. */
export const CV_SEQUENCE = ConditionVariableStruct.sequence / 4;
export const CV_ARRIVALS = ConditionVariableStruct.arrivals / 4;
export const CV_SETTLED = ConditionVariableStruct.settled / 4;

/** Result: could not sleep; `participant.failure` says why. */
export const CV_FAILED = 0;
/** Result: there may be something new: test the condition again. */
export const CV_SIGNALLED = 1;
/** Result: the time was over; the participant is still prepared. */
export const CV_TIMED_OUT = 2;
