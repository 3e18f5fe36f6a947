/**
 * Looking at segments without mapping them as C would: for reports and checks, which must not change what
 * `mappedSegments()` says. Attaching takes the DSM control lock, the innermost one.
 */

import { FreePageManager } from '../freepage/freepage.js';
import { FPM_AT_FIRST, FPM_AT_OTHER } from './area-layout.js';
import { segmentState } from './mapping.js';
import { type AreaState, UNMAPPED } from './state.js';

/** Words of segment `index`, attached quietly if need be; empty with `failure` set when that fails. */
export function peekSegment(s: AreaState, index: number): Int32Array {
  if (index === 0) return s.ctl;
  return segmentState(s, index).length === 0 ? UNMAPPED : s.segments[index]!.i32;
}

/** The page manager of segment `index`, whose words were peeked at. */
export function peekManager(words: Int32Array, index: number): FreePageManager {
  return new FreePageManager(words, 0, index === 0 ? FPM_AT_FIRST : FPM_AT_OTHER);
}
