/**
 * Checks of the control block and of what this participant keeps for itself, part of `verifyArea`: K1, K3, K17, K18, K19.
 *
 * At rest, or under the area lock (K18: at rest only).
 */

import { checkRestingLock, controlLockIsFree } from '../dsm/dsm.js';
import { isAllOnes64, ld64 } from '../layout/layout.js';
import {
  C_HANDLE,
  C_LIMIT,
  C_LOCK,
  C_PINNED,
  C_REFCNT,
  C_SEGMENT_HANDLES,
  C_SIDE_HANDLE,
  C_TOTAL,
  C_TRANCHE,
  H_FREED,
  MAX_SEGMENT_SIZE,
  MIN_SEGMENT_SIZE,
} from './area-layout.js';
import { countAttached, isNoted } from './attachments.js';
import { checkForFreedSegmentsLocked } from './mapping.js';
import { initSegmentSize, maxSegmentSize } from './segments.js';
import { NUM_SIZE_CLASSES } from './size-classes.js';
import { poolWord } from './spans.js';
import { UNMAPPED } from './state.js';
import type { AreaCensus } from './verify-census.js';

/** K1: fields of the control block that were written at creation. The magic is checked with the segments. */
export function checkFrozen(c: AreaCensus): void {
  const { s, f } = c;
  const { ctl } = s;
  const handle = s.inPlace ? 0 : s.segments[0]!.handle;
  const side = s.side?.handle ?? 0;
  f.check('K1', ctl[C_HANDLE]! >>> 0 === handle, () => `the handle is ${ctl[C_HANDLE]! >>> 0}, not ${handle}`);
  f.check(
    'K1',
    ctl[C_SIDE_HANDLE]! >>> 0 === side,
    () => `the state segment is ${ctl[C_SIDE_HANDLE]! >>> 0}, not ${side}`,
  );
  f.check(
    'K1',
    ctl[C_SEGMENT_HANDLES] === ctl[C_HANDLE],
    () => `segment 0 has the handle ${ctl[C_SEGMENT_HANDLES]! >>> 0}`,
  );
  const init = initSegmentSize(s);
  const max = maxSegmentSize(s);
  const sizes = init >= MIN_SEGMENT_SIZE && max >= init && max <= MAX_SEGMENT_SIZE;
  f.check(
    'K1',
    sizes && (s.inPlace || init === s.segments[0]!.mapLength),
    () => `segment sizes are ${init} to ${max} bytes`,
  );
}

/** K3. */
export function checkTotal(c: AreaCensus): void {
  const { f } = c;
  const { ctl } = c.s;
  const total = ld64(ctl, C_TOTAL);
  const sum = c.segments().reduce((bytes, { size }) => bytes + size, 0);
  f.check('K3', total === sum, () => `total_segment_size is ${total}, the segments have ${sum} bytes`);
  f.checks++;
  if (!isAllOnes64(ctl, C_LIMIT) && ld64(ctl, C_LIMIT) < total) {
    f.note('K3', `total_segment_size ${total} is above the limit ${ld64(ctl, C_LIMIT)}, which was lowered`);
  }
}

/** K17. */
export function checkReferences(c: AreaCensus): void {
  const { s, f } = c;
  const refcnt = s.ctl[C_REFCNT]!;
  const pinned = s.ctl[C_PINNED]!;
  const counted = countAttached(s);
  f.check('K17', pinned === 0 || pinned === 1, () => `pinned is ${pinned}`);
  f.check('K17', refcnt === counted, () => `refcnt is ${refcnt}, attachments and pin make ${counted}`);
  f.check('K17', refcnt >= 1, () => `refcnt is ${refcnt} while participant slot ${s.p.slot} is attached`);
  f.check('K17', isNoted(s), () => `participant slot ${s.p.slot} is attached and not in the table of attachments`);
}

/** K18. At rest. */
export function checkLocks(c: AreaCensus): void {
  const { s, f } = c;
  const { ctl, ns, dsm } = s;
  const tranche = ctl[C_TRANCHE]!;
  f.check('K18', tranche >= 0 && tranche <= 0xffff, () => `the tranche of the locks is ${tranche}`);
  checkRestingLock(f, 'K18', dsm, 'the area lock', ctl, C_LOCK, ns, tranche);
  for (let k = 0; k < NUM_SIZE_CLASSES; k++) {
    checkRestingLock(f, 'K18', dsm, `the lock of pool ${k}`, ctl, poolWord(k), ns, tranche, true);
  }
}

/** K19. Does what every call does first: notices segments that others gave back. */
export function checkLocalMaps(c: AreaCensus): void {
  const { s, f } = c;
  const { ctl } = s;
  f.check('K19', c.freedAhead <= 0, () => `this participant has seen ${c.freedAhead} more segments freed than were`);
  // Giving mappings back takes the DSM control lock: at rest nobody may wait for one that was left behind.
  if (!c.atRest || controlLockIsFree(s.dsm)) checkForFreedSegmentsLocked(s);
  for (let index = 1; index < s.segments.length; index++) {
    const segment = s.segments[index] ?? null;
    const words = s.maps[index]!.i32;
    if (segment === null) {
      f.check(
        'K19',
        words === UNMAPPED && s.maps[index]!.pages === 0,
        () => `segment ${index} has words here and no mapping`,
      );
      continue;
    }
    const handle = ctl[C_SEGMENT_HANDLES + index]! >>> 0;
    f.check('K19', segment.handle === handle && segment.i32[H_FREED] === 0, () => {
      return `segment ${index} is mapped here as ${segment.handle}, the area has ${handle === 0 ? 'none' : handle} there`;
    });
    f.check('K19', words === UNMAPPED || (words === segment.i32 && index <= s.high), () => {
      return `segment ${index} has the words of another mapping here`;
    });
  }
}
