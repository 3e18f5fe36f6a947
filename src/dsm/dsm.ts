/** Dynamic shared memory: clusters, segments, mappings, resource owners. Entry of the folder; see its parts. */

export type { DsmOptions } from './bootstrap.js';
export { Dsm, DSM_CREATE_NULL_IF_MAXSEGMENTS } from './cluster.js';
export { DEFAULT_PARTICIPANTS, MAX_CLUSTER_PARTICIPANTS, MAX_SLOTS } from './control-layout.js';
export type { DsmFailure } from './failures.js';
export { PAGE_SIZE } from './impl.js';
export { type ReleaseOrder, ResourceOwner } from './resource-owner.js';
export { type DetachCallback, DsmSegment } from './segment.js';
export { ATTENTION_WORD } from './session.js';
export type { ClusterStats, SegmentStats } from './stats.js';
export { type DsmClusterHandle, requireInteger } from './validate.js';
