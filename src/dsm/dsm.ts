/** Dynamic shared memory: clusters, segments, mappings, resource owners. Entry of the folder; see its parts. */

export type { DsmOptions } from './bootstrap.js';
export { Dsm, DSM_CREATE_NULL_IF_MAXSEGMENTS } from './cluster.js';
export {
  DEFAULT_PARTICIPANTS,
  LAYER_DSA,
  LAYER_DSHASH,
  MAX_CLUSTER_PARTICIPANTS,
  MAX_SLOTS,
  REGISTRY_ROOT,
} from './control-layout.js';
export type { DsmFailure } from './failures.js';
export { type Finding, Findings, type Severity } from './findings.js';
export { PAGE_SIZE } from './impl.js';
export { type ControlPart, type MemoryMap, memoryMap, type SegmentPlace } from './memory-map.js';
export { type ReleaseOrder, ResourceOwner } from './resource-owner.js';
export { type DetachCallback, DsmSegment } from './segment.js';
export { ATTENTION_WORD } from './session.js';
export type { ClusterStats, SegmentStats } from './stats.js';
export { type DsmClusterHandle, requireInteger } from './validate.js';
export {
  type ClusterReport,
  controlLockIsFree,
  mappingMatches,
  quiescentOption,
  slotFacts,
  underControlLock,
  verifyCluster,
  type VerifyOptions,
} from './verify.js';
export { checkRestingLock } from './verify-locks.js';
export type { RegionAccount } from './verify-region.js';
