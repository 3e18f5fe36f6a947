/**
 * Checks of the pages of a segment, part of `verifyArea`: its page manager (Q1 ...), K5, and at rest K14 and K20: each
 * page has exactly one use. What is left over was lost (trap P7), and must look like it.
 *
 * At rest after all pools were checked, or under the area lock.
 */

import {
  type FreePageExpectation,
  type FreePageManager,
  type FreeRun,
  isLostRoot,
  verifyFreePages,
} from '../freepage/freepage.js';
import { ld64 } from '../layout/layout.js';
import { H_BIN } from './area-layout.js';
import { peekManager } from './peek.js';
import { binOf } from './segments.js';
import { PAGE_SIZE } from './size-classes.js';
import {
  type AreaCensus,
  PAGE_FREE,
  PAGE_LARGE,
  PAGE_META,
  PAGE_RECYCLED,
  PAGE_SPANS,
  PAGE_SUPERBLOCK,
  PAGE_TREE,
  PAGE_UNCLAIMED,
  PAGE_USES,
  type SegmentCensus,
  show,
} from './verify-census.js';

/** Where the pages of a segment are; the parts add up to `pages`. */
export interface SegmentAccount {
  readonly index: number;
  /** Whole pages of the segment. */
  readonly pages: number;
  /** Control block or header, page manager and page map. */
  readonly meta: number;
  /** Pages of superblocks, 16 each. */
  readonly superblock: number;
  /** Blocks of spans, one page each. */
  readonly spanBlock: number;
  /** Pages of large objects. */
  readonly large: number;
  /** Pages that the page manager's tree lies in. */
  readonly tree: number;
  /** Pages that the page manager keeps back for its tree. */
  readonly recycle: number;
  readonly free: number;
  /** Pages that nothing accounts for. */
  readonly lost: number;
  /** Bytes behind the last whole page. */
  readonly tailBytes: number;
}

/** Checks the page manager of a segment by itself: what needs no other lock than that of the area. */
export function checkManager(c: AreaCensus, segment: SegmentCensus, expected: FreePageExpectation = {}): void {
  const { f } = c;
  const { index, words } = segment;
  const manager = peekManager(words, index);
  f.checks++;
  for (const { id, message } of verifyFreePages(manager, expected)) f.error(id, `segment ${index}: ${message}`);
  const bin = ld64(words, H_BIN);
  const wanted = binOf(manager.contiguousPages);
  f.checks++;
  if (bin < wanted) f.note('K5', `segment ${index} is in bin ${bin}, its longest free run belongs into bin ${wanted}`);
}

/** Checks that each page of a segment has one use; returns how many have which. At rest. */
export function checkPagesOf(c: AreaCensus, segment: SegmentCensus): SegmentAccount {
  const { index, words, taken, pages, metaPages } = segment;
  const manager = peekManager(words, index);
  const walked = claimManaged(c, segment, manager);
  const lostRoots = walked ? checkUnclaimed(c, segment, manager) : 0;
  const freePages = pages - metaPages - taken.reduce((sum, { npages }) => sum + npages, 0);
  checkManager(c, segment, walked ? { taken, freePages, lostRoots } : { taken });
  checkEntries(c, segment);
  return account(c, segment);
}

/** Claims the pages of the page manager. False when it is too damaged to be walked, which its own check reports. */
function claimManaged(c: AreaCensus, segment: SegmentCensus, manager: FreePageManager): boolean {
  const { index } = segment;
  const claim = (run: FreeRun, use: number): void => {
    const inside = segment.holds(run.first, run.npages);
    c.f.check('K14', inside, () => {
      return `segment ${index}: ${PAGE_USES[use]} ${run.first}(${run.npages}) does not lie in its usable pages`;
    });
    if (inside) c.claim(segment, run.first, run.npages, use);
  };
  try {
    for (const run of manager.runs()) claim(run, PAGE_FREE);
    for (const first of manager.treePages()) claim({ first, npages: 1 }, PAGE_TREE);
    for (const first of manager.recyclePages()) claim({ first, npages: 1 }, PAGE_RECYCLED);
    return true;
  } catch {
    return false;
  }
}

/** K14: pages that nobody has claimed were lost by the page manager. Returns how many of them look like that. */
function checkUnclaimed(c: AreaCensus, { index, uses, pages }: SegmentCensus, manager: FreePageManager): number {
  let roots = 0;
  for (
    let page = uses.indexOf(PAGE_UNCLAIMED);
    page >= 0 && page < pages;
    page = uses.indexOf(PAGE_UNCLAIMED, page + 1)
  ) {
    c.lostPages++;
    if (c.f.check('K14', isLostRoot(manager, page), () => `segment ${index}: page ${page} belongs to nothing`)) roots++;
  }
  return roots;
}

/** K20: the page map has no entry for pages that no span describes. */
function checkEntries(c: AreaCensus, { index, uses, words, map, pages }: SegmentCensus): void {
  c.f.checks += pages;
  for (let page = 0; page < pages; page++) {
    const use = uses[page]!;
    if (use === PAGE_SUPERBLOCK || use === PAGE_SPANS || use === PAGE_LARGE) continue;
    const lo = words[map + 2 * page]!;
    const hi = words[map + 2 * page + 1]!;
    if ((lo | hi) !== 0) {
      c.f.error(
        'K20',
        `segment ${index}: the page map has the entry ${show(lo, hi)} for page ${page}, used for ${PAGE_USES[use]}`,
      );
    }
  }
}

function account(c: AreaCensus, { index, uses, pages, size }: SegmentCensus): SegmentAccount {
  const counts = new Array<number>(PAGE_USES.length).fill(0);
  for (const use of uses) counts[use]!++;
  const row = {
    index,
    pages,
    meta: counts[PAGE_META]!,
    superblock: counts[PAGE_SUPERBLOCK]!,
    spanBlock: counts[PAGE_SPANS]!,
    large: counts[PAGE_LARGE]!,
    tree: counts[PAGE_TREE]!,
    recycle: counts[PAGE_RECYCLED]!,
    free: counts[PAGE_FREE]!,
    lost: counts[PAGE_UNCLAIMED]!,
    tailBytes: size - pages * PAGE_SIZE,
  };
  const taken = row.superblock + row.spanBlock + row.large + row.tree + row.recycle + row.free + row.lost;
  c.f.check(
    'K14',
    row.meta + taken === pages,
    () => `segment ${index}: ${row.meta + taken} of ${pages} pages are accounted for`,
  );
  return row;
}
