/** Participants, lightweight locks, condition variables and barriers. Entry of the folder; see its parts. */

export { sleepAsync } from './async-sleep.js';
export * from './barrier.js';
export * from './barrier-layout.js';
export * from './barrier-object.js';
export * from './condition-variable.js';
export * from './condition-variable-layout.js';
export * from './condition-variable-object.js';
export * from './lwlock.js';
export { lwlockAcquireExclusive, lwlockReleaseNewest } from './lwlock-exclusive.js';
export { lwlockAcquireAsync, lwlockReleaseTask } from './lwlock-async.js';
export * from './lwlock-failure.js';
export * from './lwlock-layout.js';
export * from './lwlock-object.js';
export { lwlockAcquireShared, lwlockReleaseNewestShared } from './lwlock-shared.js';
export * from './lwlock-var.js';
export * from './participant.js';
export * from './participant-layout.js';
export * from './participants.js';
export type { LockMemory } from './place.js';
export * from './tranches.js';
export * from './wait-options.js';
