/**
 * Checks of an area: every invariant as a numbered check, findings instead of errors.
 *
 * | id | holds when no call is under way |
 * |---|---|
 * | K1 | magic of each segment = constant XOR handle of the area XOR index; frozen fields of the control block |
 * | K2 | segment_handles[i] is not 0 exactly for live segments; live indexes <= high_segment_index; not marked as freed |
 * | K3 | total_segment_size = sizes of the live segments; above the limit only when that was lowered (note) |
 * | K4 | each live segment is in exactly one bin, says so, and links both ways |
 * | K5 | note: the bin is lower than the longest free run deserves (trap P11) |
 * | K6 | usable_pages and size follow the formulas; the page map has room for all pages |
 * | K7 | each span is on exactly one list, says which, names its pool, and links both ways |
 * | K8 | list 3 has exactly the full spans |
 * | K9 | free list + never used slots = nallocatable; members distinct, initialised, never slot 0 of a block of spans |
 * | K10 | nallocatable <= nmax = capacity of the class |
 * | K11 | an empty span is the head of list 1 |
 * | K12 | npages: 1 for a block of spans, 16 for a superblock, 3 or more for a large object |
 * | K13 | page map: each page of a superblock leads to its span, of a large object the first page only |
 * | K14 | each page has exactly one use; what has none is a root lost by the page manager (trap P7) |
 * | K15 | spans lie in allocated slots of blocks of spans; allocated slots without span are counted (trap P9) |
 * | K16 | large objects are on list 1 of pool 1 only |
 * | K17 | refcnt = attached participants + pinned, and at least 1; this participant is one of them |
 * | K18 | all locks are free, nobody waits for them, none is poisoned |
 * | K19 | what this participant has mapped are the live segments, once it has looked |
 * | K20 | ours: the page map has no entry for pages without span |
 * | K21 | ours: slot states agree with the spans: live when allocated, unused when never handed out; a large object is live |
 * | K22 | ours: a pool counts how many spans of list 2 belong into a lower list; too many is a note |
 * | K23 | ours: the slots with a participant's mark are as many as its cache says that it holds, in every class; else a note when it is gone |
 * | K24 | ours: no cache holds more than it has room for; more room than is allowed for all (the limit was lowered) is a note |
 * | K25 | ours: a cache slot that is nobody's has no marks and no room |
 * | K26 | ours: every object on a stack of this participant is of its class, has its mark, and is there once |
 *
 * Q1 ... are the page managers', see freepage; M1 ... the cluster's, see dsm. K0 would be a fault of the check itself.
 *
 * At rest no lock is taken and everything is checked. While others are at work, what belongs together is checked under
 * its lock, one lock after the other, and what joins pools and pages (K14, K20, K18, K23 to K26, parts of K15) is left out.
 *
 * Cost: O(pages + spans + object slots). Reads only; segments that were not met yet are attached. Ends on any contents:
 * all limits come from the lengths of mappings, which this participant knows for itself (see verify-census.ts).
 */

import { type Finding, type RegionAccount, quiescentOption, verifyCluster, type VerifyOptions } from '../dsm/dsm.js';
import { lwlockFailure } from '../sync/sync.js';
import { C_LOCK } from './area-layout.js';
import { requireAttached } from './area-open.js';
import { checkForFreedSegments } from './mapping.js';
import { CLASS_BLOCK_OF_SPANS, CLASS_LARGE, NUM_SIZE_CLASSES } from './size-classes.js';
import { lockPool, poolWord, unlockPool } from './spans.js';
import type { AreaState } from './state.js';
import { checkCaches } from './verify-cache.js';
import { AreaCensus, SLOT_TAKEN } from './verify-census.js';
import { checkFrozen, checkLocalMaps, checkLocks, checkReferences, checkTotal } from './verify-control.js';
import { checkManager, checkPagesOf, type SegmentAccount } from './verify-pages.js';
import { checkBins, checkSegments } from './verify-segments.js';
import { checkPool } from './verify-spans.js';

/** Result of a check. Plain data. */
export interface VerifyReport {
  /** True when no error was found; notes do not count. */
  readonly ok: boolean;
  /** Single checks made; grows with pages, spans and object slots. */
  readonly checks: number;
  readonly findings: readonly Finding[];
  /** Findings that are not listed, since there are enough of their id. */
  readonly unlisted: number;
  /** What the C original loses as well; 0 while others are at work. */
  readonly losses: {
    /** Pages of the area's segments that nothing accounts for (trap P7). */
    readonly rootPages: number;
    /** Span objects that were allocated for superblocks which could not be had (trap P9). */
    readonly spanObjects: number;
    /** Pages of the reservation that its page manager has lost (trap P7). */
    readonly regionPages: number;
  };
  /** Per segment, where its pages are; empty while others are at work. */
  readonly accounting: readonly SegmentAccount[];
  /** Where the pages of the reservation are; null on `buffers`. */
  readonly region: RegionAccount | null;
}

/**
 * Checks an area and the cluster that it lies in. The participant's thread; blocks on locks only when `quiescent` is
 * false.
 *
 * @param area the attachment to look through
 * @param options `quiescent: false` while other threads use the area; see above
 * @param withCluster false when the cluster is checked elsewhere, with another area of it
 * @throws ERR_HEAP_CLOSED, ERR_HEAP_BAD_OPTION; nothing for damage
 */
export function verifyArea(
  area: { readonly state: AreaState },
  options: VerifyOptions = {},
  withCluster = true,
): VerifyReport {
  const atRest = quiescentOption(options);
  const s = area.state;
  requireAttached(s);
  const c = new AreaCensus(s, atRest);
  const accounting: SegmentAccount[] = [];
  const cluster = withCluster ? verifyCluster(s.dsm, options) : null;
  if (cluster !== null) c.f.merge(cluster);
  if (atRest) guarded(c, 'the locks', () => checkLocks(c));
  // The area lock guards the list of pool 1, too.
  underLock(c, CLASS_LARGE, 'the area', () => checkAreaPart(c));
  for (let k = CLASS_BLOCK_OF_SPANS; k < NUM_SIZE_CLASSES; k++) underLock(c, k, `pool ${k}`, () => checkPool(c, k));
  if (atRest) {
    guarded(c, 'the caches', () => checkCaches(c));
    guarded(c, 'the pages', () => {
      for (const segment of c.segments()) accounting.push(checkPagesOf(c, segment));
    });
  }
  return {
    ok: c.f.errors === 0,
    checks: c.f.checks,
    findings: c.f.list,
    unlisted: c.f.unlisted,
    losses: {
      rootPages: c.lostPages,
      spanObjects: countLostSpans(c),
      regionPages: cluster?.losses.rootPages ?? 0,
    },
    accounting,
    region: cluster?.accounting ?? null,
  };
}

/** Everything that the area lock guards. */
function checkAreaPart(c: AreaCensus): void {
  checkLocalMaps(c);
  checkFrozen(c);
  checkReferences(c);
  checkSegments(c);
  checkTotal(c);
  checkBins(c);
  // At rest the page managers are checked later, together with what the spans say.
  if (!c.atRest) for (const segment of c.segments()) checkManager(c, segment);
}

/** Runs a part of the check; a fault of the check itself becomes a finding, since whoever asks wants an answer. */
function guarded(c: AreaCensus, what: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    c.f.error('K0', `the check of ${what} broke off: ${String(error)}`);
  }
}

/** Runs a part under the lock that guards the lists of a size class, or without it at rest. */
function underLock(c: AreaCensus, sizeClass: number, what: string, check: () => void): void {
  const { s, f, atRest } = c;
  const large = sizeClass === CLASS_LARGE;
  if (atRest) {
    guarded(c, what, check);
  } else if (!lockPool(s, sizeClass)) {
    const word = large ? C_LOCK : poolWord(sizeClass);
    f.error(
      'K18',
      `the lock of ${what} cannot be had: ${lwlockFailure(s.p, s.ctl, word, s.ns, s.dsm.tranches).toString()}`,
    );
  } else {
    if (large || checkForFreedSegments(s)) guarded(c, what, check);
    else f.error('K18', `the area lock cannot be had for ${what}`);
    unlockPool(s, sizeClass);
  }
}

/** K15: allocated slots of blocks of spans without a span. */
function countLostSpans(c: AreaCensus): number {
  let lost = 0;
  if (!c.atRest) return lost;
  for (const { blocks } of c.segments()) {
    for (const slots of blocks.values()) for (const slot of slots) if (slot === SLOT_TAKEN) lost++;
  }
  return lost;
}
