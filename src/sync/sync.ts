/** Participants and lightweight locks. Entry of the folder; see its parts. */

export * from './lwlock.js';
export { lwlockAcquireExclusive, lwlockReleaseNewest } from './lwlock-exclusive.js';
export * from './lwlock-failure.js';
export * from './lwlock-layout.js';
export * from './lwlock-object.js';
export * from './lwlock-var.js';
export * from './participant.js';
export * from './participant-layout.js';
export * from './participants.js';
export * from './tranches.js';
