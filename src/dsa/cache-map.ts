/**
 * Which segments the hot path of the cache reaches: those whose page map and states lie in the views that it has.
 *
 * Called by the participant whenever a segment is mapped or unmapped here, and when it has written the header of one that it makes. No lock.
 */

import { H_USABLE, PAGEMAP_WORD_FIRST, PAGEMAP_WORD_OTHER } from './area-layout.js';
import { type NearSegment, NO_BLOCK, noteSegment } from './cache.js';
import { ld64 } from '../layout/layout.js';
import { type AreaState, STATE_PER_PAGE } from './state.js';

const NOT_NEAR: NearSegment = { mapWord: 0, pages: 0, firstState: 0, firstWord: 0, metaPages: 0 };

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
  const firstWord = i32.byteOffset / 4;
  const metaPages = pages - (i32.length > 0 ? ld64(i32, H_USABLE) : 0);
  const near = pages > 0 && i32.length > 0 && reachable;
  noteSegment(s.block, index, near ? { mapWord, pages, firstState, firstWord, metaPages } : NOT_NEAR);
}
