/**
 * Which segments the hot path of the cache reaches: those whose page map and states lie in the views that it has.
 *
 * Called by the participant whenever a segment is mapped or unmapped here. No lock.
 */

import { PAGEMAP_WORD_FIRST, PAGEMAP_WORD_OTHER } from './area-layout.js';
import { NO_BLOCK, noteSegment } from './cache.js';
import { type AreaState, STATE_PER_PAGE } from './state.js';

/** Tells the hot path where segment `index` is now, or that it is not to look there. */
export function noteMapping(s: AreaState, index: number): void {
  if (s.block === NO_BLOCK) return;
  const { i32, state, pages } = s.maps[index]!;
  const toClassBits = (index === 0 ? PAGEMAP_WORD_FIRST : PAGEMAP_WORD_OTHER) + 1;
  const mapWord = i32.byteOffset / 4 + toClassBits;
  const firstState = state.byteOffset / 2;
  const reachable =
    // On `buffers` each call has to look whether somebody wants a buffer.
    !s.listens &&
    i32.buffer === s.words.buffer &&
    mapWord + 2 * pages <= s.words.length &&
    firstState + pages * STATE_PER_PAGE <= s.states.length;
  if (pages > 0 && i32.length > 0 && reachable) noteSegment(s.block, index, mapWord, pages, firstState);
  else noteSegment(s.block, index, 0, 0, 0);
}
