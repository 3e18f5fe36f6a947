/** The friendly front. Entry of the folder; see its parts. */

export type { AllocationKind, AllocationRow } from '../inspect/inspect.js';
export type { HeapHandle } from './handle.js';
export type { HeapMap } from './map.js';
export type { MapKeyKind, MapOptions, MapValueKind } from './map-open.js';
export type { FieldType, StructFields } from './map-struct.js';
export type { NamedBarrier } from './named-barrier.js';
export type { AsyncConditionWaitOptions, ConditionWaitOptions, NamedCondition } from './named-condition.js';
export type { LockGuard, NamedLock } from './named-lock.js';
export type { Pointer } from './numbers.js';
export type { AllocOptions, AttachOptions, HeapOptions } from './options.js';
export type { CodecName, QueueCodec } from './queue-codec.js';
export type { QueueAsyncOptions, QueueOptions, QueueWaitOptions } from './queue-options.js';
export type { SharedQueue } from './queue.js';
export { SharedHeap } from './shared-heap.js';
export type { Size } from './sizes.js';
export type { HeapFinding, HeapReport, HeapStats, VerifyOptions } from './stats.js';
export type { AsyncWaitOptions, PreparedWait, WaitOptions } from '../sync/sync.js';
export type { ViewOf, ViewType } from './typed-views.js';
export type { Watchable, WatchablePool, WatchableWorker } from './watch.js';
