/** Giving back empty superblocks that allocation keeps at hand; dsa_trim of dsa.c, for one pool. */

import { S_NALLOC_FIRST, S_NEXT, S_NMAX_FCLASS } from './area-layout.js';
import { checkForFreedSegments, segmentWords } from './mapping.js';
import { wordOf } from './pointer.js';
import { listWord } from './spans.js';
import type { AreaState } from './state.js';
import { destroySuperblock } from './superblocks.js';

/** Spans that a walk may meet before the list must be a circle. */
const MAX_SPANS = 2 ** 28;

/**
 * Destroys every span of fullness class 1 that holds no object. Under the lock of the pool.
 *
 * Only class 1 is looked at, as in C: in the other classes an empty superblock is destroyed when its last object goes.
 *
 * @returns false with `failure` set
 */
export function trimPool(s: AreaState, sizeClass: number): boolean {
  const head = listWord(sizeClass, 1);
  let lo = s.ctl[head]!;
  let hi = s.ctl[head + 1]!;
  for (let steps = 0; (lo | hi) !== 0 && steps < MAX_SPANS; steps++) {
    if (!checkForFreedSegments(s)) return false;
    const a = segmentWords(s, hi >>> 8);
    if (a.length === 0) return false;
    const w = wordOf(lo, hi);
    const nextLo = a[w + S_NEXT]!;
    const nextHi = a[w + S_NEXT + 1]!;
    const empty = (a[w + S_NALLOC_FIRST]! & 0xffff) === (a[w + S_NMAX_FCLASS]! & 0xffff);
    if (empty && !destroySuperblock(s, sizeClass, a, w, lo, hi)) return false;
    lo = nextLo;
    hi = nextHi;
  }
  return true;
}
