/**
 * `sharedheap/core`: the layers under `SharedHeap`, with PostgreSQL's names.
 */

export * from './dsa/dsa.js';
export * from './dsm/dsm.js';
export {
  DSHASH_INSERT_NO_OOM,
  type DshashKeyFunctions,
  type DshashParameters,
  DshashScan,
  DshashTable,
  memoryKeys,
  stringKeys,
  type TableReport,
  type TableVerifyOptions,
} from './dshash/dshash.js';
export * from './errors/errors.js';
export * from './freepage/freepage.js';
export * from './inspect/inspect.js';
export * from './layout/layout.js';
export * from './mq/mq.js';
export * from './registry/registry.js';
export * from './sync/sync.js';
export * from './toc/toc.js';
