/** What the engine gives: threads, parking, reservations, buffers. Entry of the folder; atomics come from `#atomic`. */

export * from './host.js';
export * from './park.js';
export * from './park-abort.js';
export * from './buffers.js';
export * from './region.js';
