/**
 * Checks of a page manager at rest: numbered invariants, findings instead of errors.
 *
 * | id | holds when no call is under way |
 * |---|---|
 * | Q1 | depth = 0 exactly without a root; every way from the root to a leaf has `depth` pages |
 * | Q2 | depth 0: the lists hold the only run, or nothing |
 * | Q3 | depth >= 1: no singleton; each parent link is right, and the parent's item has the child's first key |
 * | Q4 | over all leaves: first[i] + npages[i] < first[i + 1], npages >= 1, inside the memory |
 * | Q5 | runs of the leaves = leaders on the lists, each on list min(npages, 129) - 1, links both ways |
 * | Q6 | 1 <= nused <= 254 |
 * | Q7 | length of the recycle list = recycle_count, one page each |
 * | Q8 | not dirty, and contiguous_pages = length of the longest run (but dirty and 0 straight after init) |
 * | Q9 | pages of runs + tree + recycle list = pages put - pages got - roots lost (trap P7) |
 * | Q10 | free runs, tree pages, recycled pages, the header and the pages handed out do not overlap |
 * | Q11 | ours: bit g of list_groups = one of lists 4g .. 4g + 3 is not empty |
 *
 * O(runs log runs). Ends on any memory contents: every page is visited at most once per list and per tree. Reads only.
 * The caller holds the owner's lock, or nobody uses the manager.
 */

import { relptrOffset } from '../layout/layout.js';
import { NO_PAGE } from './handle.js';
import type { FreePageManager } from './manager.js';
import { FreePageCensus, type FreePageFinding } from './verify-census.js';
import { checkLists, checkRecycled } from './verify-lists.js';
import { checkTree } from './verify-tree.js';
import {
  FPM_PAGE_SIZE,
  FREE_PAGE_MANAGER,
  H_CONTIGUOUS,
  H_DEPTH,
  H_DIRTY,
  H_ROOT,
  H_SINGLETON_FIRST,
  H_SINGLETON_NPAGES,
  MAX_DEPTH,
} from './structs.js';
import type { FreeRun } from './walk.js';

/** What the owner of a manager knows from elsewhere; what is left out is not checked. */
export interface FreePageExpectation {
  /** Pages put minus pages got (Q9). */
  readonly freePages?: number;
  /** Roots lost to trap P7 (Q9); default 0. */
  readonly lostRoots?: number;
  /** Runs that were got and not put (Q10). */
  readonly taken?: Iterable<FreeRun>;
}

/**
 * Checks a manager at rest.
 *
 * @param manager any manager, also a damaged one; nothing is written
 * @param expected what the caller knows from elsewhere
 * @returns what is wrong, at most 100 findings; empty when all is well. Never throws for damage, never hangs
 */
export function verifyFreePages(manager: FreePageManager, expected: FreePageExpectation = {}): FreePageFinding[] {
  const census = new FreePageCensus(manager.handle);
  const m = manager.handle;
  const at = (m.header - m.base) * 4;
  if (m.header < m.base || m.header + FREE_PAGE_MANAGER.SIZEOF / 4 > m.a.length) {
    census.report('Q10', `the header at byte ${at} does not lie in the memory of ${census.limit} pages`);
    return census.findings;
  }
  if (relptrOffset(m.a, m.header) !== at) {
    census.report('Q1', `the header at byte ${at} says that it lies at byte ${relptrOffset(m.a, m.header)}`);
  }
  collectRuns(census);
  checkHighWords(census);
  checkLists(census);
  checkRecycled(census);
  checkLargest(census);
  checkOverlaps(census, expected.taken ?? []);
  checkTotal(census, expected);
  return census.findings;
}

/** Q1 to Q4 and Q6, and the table of runs that the other checks compare with. */
function collectRuns(c: FreePageCensus): void {
  const { a, header } = c.m;
  const depth = a[header + H_DEPTH]! >>> 0;
  const root = c.headerLink(H_ROOT);
  const npages = a[header + H_SINGLETON_NPAGES]!;
  const first = a[header + H_SINGLETON_FIRST]!;
  if ((depth === 0) !== (root === NO_PAGE)) c.report('Q1', `depth is ${depth}, root is ${root}`);
  if (root === NO_PAGE) {
    if (npages < 0 || (npages > 0 && !(c.has(first) && c.has(first + npages - 1)))) {
      c.report('Q4', `the only run ${first}(${npages}) does not lie in the memory of ${c.limit} pages`);
    }
    if (npages > 0) c.runs.set(first, npages);
    return;
  }
  if (npages !== 0 || first !== 0) c.report('Q3', `there is a tree, and a singleton ${first}(${npages})`);
  if (depth > MAX_DEPTH) c.report('Q1', `depth is ${depth}`);
  checkTree(c, root, Math.min(depth, MAX_DEPTH));
}

/** Upper halves of counts in the header: no segment has 2^32 pages. */
function checkHighWords(c: FreePageCensus): void {
  const { a, header } = c.m;
  if (a[header + H_SINGLETON_FIRST + 1] !== 0 || a[header + H_SINGLETON_NPAGES + 1] !== 0) {
    c.report('Q3', 'the only run has numbers beyond 2^32');
  }
  if (a[header + H_CONTIGUOUS + 1] !== 0) c.report('Q8', 'contiguous_pages is beyond 2^32');
}

function checkLargest(c: FreePageCensus): void {
  const { a, header } = c.m;
  let longest = 0;
  for (const npages of c.runs.values()) longest = Math.max(longest, npages);
  const contiguous = a[header + H_CONTIGUOUS]!;
  const dirty = a[header + H_DIRTY]!;
  if (dirty !== 0 && !(dirty === 1 && longest === 0 && contiguous === 0))
    c.report('Q8', 'contiguous_pages is marked dirty');
  if (contiguous !== longest) c.report('Q8', `contiguous_pages is ${contiguous}, the longest run has ${longest} pages`);
}

function checkOverlaps(c: FreePageCensus, taken: Iterable<FreeRun>): void {
  const spans: { first: number; npages: number; what: string }[] = [];
  const headerAt = (c.m.header - c.m.base) * 4;
  const headerFirst = Math.floor(headerAt / FPM_PAGE_SIZE);
  const headerLast = Math.floor((headerAt + FREE_PAGE_MANAGER.SIZEOF - 1) / FPM_PAGE_SIZE);
  spans.push({ first: headerFirst, npages: headerLast - headerFirst + 1, what: 'the header' });
  for (const [first, npages] of c.runs) spans.push({ first, npages, what: 'a free run' });
  for (const first of c.treePages) spans.push({ first, npages: 1, what: 'a page of the tree' });
  for (const first of c.recycledPages) spans.push({ first, npages: 1, what: 'a recycled page' });
  for (const { first, npages } of taken) spans.push({ first, npages, what: 'pages handed out' });
  spans.sort((x, y) => x.first - y.first);
  let before = spans[0]!;
  for (const span of spans.slice(1)) {
    if (span.first < before.first + before.npages) {
      c.report(
        'Q10',
        `${span.what} ${span.first}(${span.npages}) overlaps ${before.what} ${before.first}(${before.npages})`,
      );
    }
    if (span.first + span.npages > before.first + before.npages) before = span;
  }
}

function checkTotal(c: FreePageCensus, expected: FreePageExpectation): void {
  if (expected.freePages === undefined) return;
  let runs = 0;
  for (const npages of c.runs.values()) runs += npages;
  const lost = expected.lostRoots ?? 0;
  const total = runs + c.treePages.size + c.recycledPages.size;
  if (total !== expected.freePages - lost) {
    c.report(
      'Q9',
      `${runs} pages in runs + ${c.treePages.size} in the tree + ${c.recycledPages.size} recycled are not ` +
        `the ${expected.freePages} put and not got, less ${lost} lost roots`,
    );
  }
}
