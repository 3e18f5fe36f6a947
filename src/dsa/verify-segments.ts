/**
 * Checks of the segments and their bins, part of `verifyArea`: K1, K2, K4, K6, and M7 for their slots in the cluster.
 *
 * At rest, or under the area lock.
 */

import { type DsmSegment, mappingMatches, slotFacts, underControlLock } from '../dsm/dsm.js';
import { ld64 } from '../layout/layout.js';
import {
  C_BINS,
  C_HIGH,
  C_SEGMENT_HANDLES,
  FIXED_BYTES_FIRST,
  FIXED_BYTES_OTHER,
  H_BIN,
  H_FREED,
  H_MAGIC,
  H_NEXT,
  H_PREV,
  H_SIZE,
  H_USABLE,
  MAX_SEGMENTS,
  NUM_BINS,
} from './area-layout.js';
import { segmentMagic } from './mapping.js';
import { NO_SEGMENT, tailPages } from './segments.js';
import { PAGE_SIZE } from './size-classes.js';
import type { AreaCensus, SegmentCensus } from './verify-census.js';

/** A link that is neither a segment index nor "none". */
const BAD_LINK = -2;

/** Reads a link between segments. */
function link(a: Int32Array, at: number): number {
  const lo = a[at]!;
  const hi = a[at + 1]!;
  if (lo === -1 && hi === -1) return NO_SEGMENT;
  return hi === 0 && lo >= 0 && lo < MAX_SEGMENTS ? lo : BAD_LINK;
}

/** K1, K2, K6, M7 of every segment. */
export function checkSegments(c: AreaCensus): void {
  const { s, f } = c;
  const high = ld64(s.ctl, C_HIGH);
  f.check('K2', high < MAX_SEGMENTS, () => `high_segment_index is ${high}`);
  for (let index = 0; index < MAX_SEGMENTS; index++) {
    const handle = s.ctl[C_SEGMENT_HANDLES + index]! >>> 0;
    if (index > 0 && handle === 0) continue;
    f.check('K2', index <= high, () => `segment ${index} is live, and high_segment_index is ${high}`);
    const segment = c.segment(index);
    if (segment === null) {
      const id = s.failure === 'corrupt' ? 'K1' : 'K2';
      f.error(id, `segment ${index} (handle ${handle}) is live and cannot be attached: ${s.failure}`);
    } else {
      checkHeader(c, segment);
    }
    if (handle !== 0) checkSlot(c, `segment ${index}`, handle, segment?.segment ?? null, tailPages(segment?.size ?? 0));
  }
  if (s.side !== null) checkSlot(c, 'the state segment', s.side.handle, s.side, 0);
}

function checkHeader(c: AreaCensus, { index, words, size, pages, metaPages, geometrySound }: SegmentCensus): void {
  const { s, f } = c;
  const magic = segmentMagic(s, index);
  const fixed = index === 0 ? FIXED_BYTES_FIRST : FIXED_BYTES_OTHER;
  f.check('K1', words[H_MAGIC] === magic, () => `segment ${index} has the magic ${words[H_MAGIC]}, not ${magic}`);
  f.check('K2', words[H_FREED] === 0, () => `segment ${index} is live and marked as freed`);
  f.check(
    'K6',
    ld64(words, H_SIZE) === size,
    () => `segment ${index} says ${ld64(words, H_SIZE)} bytes and has ${size}`,
  );
  f.check('K6', geometrySound, () => {
    return `segment ${index} of ${pages} pages says that ${ld64(words, H_USABLE)} are usable`;
  });
  f.check('K6', fixed + 8 * pages <= metaPages * PAGE_SIZE, () => {
    return `the page map of segment ${index} has no room for ${pages} pages`;
  });
}

/** M7: the slot of a segment in the cluster. */
function checkSlot(c: AreaCensus, name: string, handle: number, mapping: DsmSegment | null, tail: number): void {
  const { s, f } = c;
  const looked = underControlLock(s.dsm, c.atRest, () => ({ facts: slotFacts(s.dsm, handle) }));
  if (looked === null) {
    f.error('M8', 'the DSM control lock cannot be had');
    return;
  }
  const { facts } = looked;
  if (!f.check('M7', facts !== null, () => `${name} (handle ${handle}) is not live in the cluster`) || facts === null)
    return;
  f.check('M7', facts.pinned, () => `${name} (handle ${handle}) is not pinned`);
  if (mapping === null) return;
  f.check('M7', mappingMatches(mapping, facts) && facts.tailPages >= tail, () => {
    return `${name} (handle ${handle}) has ${facts.size} bytes in slot ${facts.slot}, is mapped with ${mapping.mapLength}`;
  });
}

/** K4. */
export function checkBins(c: AreaCensus): void {
  const { f } = c;
  const filed = new Uint8Array(MAX_SEGMENTS);
  for (let bin = 0; bin < NUM_BINS; bin++) walkBin(c, bin, filed);
  for (const { index } of c.segments()) f.check('K4', filed[index] === 1, () => `segment ${index} is in no bin`);
}

function walkBin(c: AreaCensus, bin: number, filed: Uint8Array): void {
  const { f, s } = c;
  let before = NO_SEGMENT;
  for (let index = link(s.ctl, C_BINS + 2 * bin); index !== NO_SEGMENT; ) {
    const segment = index === BAD_LINK ? null : c.segment(index);
    const sound =
      f.check(
        'K4',
        segment !== null,
        () => `bin ${bin} leads from segment ${before} to ${index}, which is no live segment`,
      ) && f.check('K4', filed[index] === 0, () => `segment ${index} is in a bin twice, now in bin ${bin}`);
    if (!sound || segment === null) return;
    const { words } = segment;
    filed[index] = 1;
    f.check('K4', ld64(words, H_BIN) === bin, () => `segment ${index} of bin ${bin} says bin ${ld64(words, H_BIN)}`);
    const prev = link(words, H_PREV);
    f.check('K4', prev === before, () => `segment ${index} of bin ${bin} follows ${before} and links back to ${prev}`);
    before = index;
    index = link(words, H_NEXT);
  }
}
