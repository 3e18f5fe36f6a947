/** Dynamic shared areas: heaps across segments. Entry of the folder; see its parts. */

export { DsaArea } from './area.js';
export { DSA_ALLOC_HUGE, DSA_ALLOC_NO_OOM, DSA_ALLOC_ZERO } from './area-objects.js';
export type { Pointers } from './cache-many.js';
export { takeCached, wordAt } from './cache.js';
export { areaSegments } from './area-handles.js';
export { DEFAULT_INIT_SEGMENT_SIZE, MAX_SEGMENT_SIZE, MAX_SEGMENTS, MIN_SEGMENT_SIZE } from './area-layout.js';
export type { AreaSegment } from './dump.js';
export { formatPointer, InvalidDsaPointer, makePointer, offsetOf, SEGMENT_SPAN, segmentOf } from './pointer.js';
export type { AreaState } from './state.js';
export type { AreaStats, ClassStats } from './stats.js';
export { firstUsableByte } from './segments.js';
export { usableSize } from './size-classes.js';
export type { DsaOptions, DsaPlace } from './validate.js';
export { verifyArea, type VerifyReport } from './verify.js';
export type { SegmentAccount } from './verify-pages.js';
