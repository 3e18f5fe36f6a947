/**
 * `sharedheap/core`: the layers under `SharedHeap`, with PostgreSQL's names.
 */

export * from './dsa/dsa.js';
export * from './dsm/dsm.js';
export * from './dshash/dshash.js';
export * from './errors/errors.js';
export * from './freepage/freepage.js';
export * from './layout/layout.js';
export * from './mq/mq.js';
export * from './sync/sync.js';
export * from './toc/toc.js';
