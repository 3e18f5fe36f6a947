/**
 * Checks of the reservation, part of `verifyCluster`: every page of it belongs to exactly one of control segment,
 * segments, and the page manager (M5), or was lost by that one (trap P7). Under the DSM control lock, or at rest.
 */

import { type FreeRun, FreePageManager, isLostRoot, verifyFreePages } from '../freepage/freepage.js';
import type { Dsm } from './cluster.js';
import { ClusterControl, REGION_FPM_AT } from './control-layout.js';
import type { Findings } from './findings.js';
import { PAGE_SIZE } from './impl.js';

/** Where the pages of a reservation are; the parts add up to `pages`. */
export interface RegionAccount {
  readonly pages: number;
  readonly control: number;
  /** Pages of segments, tails included. */
  readonly segments: number;
  /** Pages that the page manager's tree lies in. */
  readonly tree: number;
  /** Pages that the page manager keeps back for its tree. */
  readonly recycle: number;
  readonly free: number;
  /** Pages that nobody knows of. */
  readonly lost: number;
}

interface Piece extends FreeRun {
  readonly what: string;
}

/** Page runs of live segments that lie where segments can lie. */
function segmentRuns(f: Findings, dsm: Dsm, nitems: number, first: number, end: number): Piece[] {
  const { slots, control } = dsm;
  const fresh = control[ClusterControl.fresh_page / 4]!;
  const runs: Piece[] = [];
  for (let slot = 0; slot < nitems; slot++) {
    if (slots.refcnt(slot) === 0) continue;
    const page = slots.firstPage(slot);
    const npages = slots.npages(slot);
    const sound = f.check('M5', page >= first && npages > 0 && page + npages <= end, () => {
      return `segment slot ${slot} has pages ${page}(${npages}), segments can have ${first} to ${end - 1}`;
    });
    if (!sound) continue;
    runs.push({ first: page, npages, what: `segment slot ${slot}` });
    f.check('M11', page + npages <= fresh, () => {
      return `pages from ${fresh} on were never handed out, segment slot ${slot} has ${page}(${npages})`;
    });
  }
  f.check(
    'M11',
    fresh >= first && fresh <= end,
    () => `the first page never handed out is ${fresh}, of ${first} to ${end}`,
  );
  return runs;
}

/** What the page manager holds; null when it is too damaged to be walked, which its own check reports. */
function managedPieces(fpm: FreePageManager): { runs: Piece[]; tree: Piece[]; recycle: Piece[] } | null {
  try {
    return {
      runs: [...fpm.runs()].map((run) => ({ ...run, what: 'a free run' })),
      tree: [...fpm.treePages()].map((first) => ({ first, npages: 1, what: 'a page of the tree' })),
      recycle: [...fpm.recyclePages()].map((first) => ({ first, npages: 1, what: 'a recycled page' })),
    };
  } catch {
    return null;
  }
}

/** Pages that no piece covers, and how many of them look like lost roots. */
interface Gaps {
  pages: number;
  roots: number;
}

/** Looks for overlaps and gaps. */
function checkCover(f: Findings, fpm: FreePageManager, pieces: Piece[], first: number, end: number): Gaps {
  pieces.sort((x, y) => x.first - y.first);
  const gaps = { pages: 0, roots: 0 };
  let at = first;
  for (const piece of [...pieces, { first: end, npages: 0, what: 'the end' }]) {
    f.check(
      'M5',
      piece.first >= at,
      () => `${piece.what} ${piece.first}(${piece.npages}) overlaps what lies before it`,
    );
    if (piece.first > at) {
      gaps.pages += piece.first - at;
      gaps.roots += checkGap(f, fpm, at, piece.first);
    }
    at = Math.max(at, piece.first + piece.npages);
  }
  return gaps;
}

/** Pages from the start of a gap that look like lost roots. */
function checkGap(f: Findings, fpm: FreePageManager, first: number, end: number): number {
  for (let page = first; page < end; page++) {
    const lost = f.check('M5', isLostRoot(fpm, page), () => `pages ${page} to ${end - 1} belong to nobody`);
    if (!lost) return page - first;
  }
  return end - first;
}

function total(pieces: readonly FreeRun[]): number {
  return pieces.reduce((sum, { npages }) => sum + npages, 0);
}

/**
 * Checks the reservation.
 *
 * @param nitems segment slots to look at, within the control memory
 */
export function checkRegion(f: Findings, dsm: Dsm, nitems: number): RegionAccount {
  const memory = dsm.control.buffer;
  const pages = Math.floor(memory.byteLength / PAGE_SIZE);
  const control = Math.floor(dsm.control.byteLength / PAGE_SIZE);
  const fpm = new FreePageManager(new Int32Array(memory), 0, REGION_FPM_AT);
  const segments = segmentRuns(f, dsm, nitems, control, pages);
  const managed = managedPieces(fpm);
  const found = managed ?? { runs: [], tree: [], recycle: [] };
  const { runs, tree, recycle } = found;
  const taken = total(segments);
  const account = { pages, control, segments: taken, tree: tree.length, recycle: recycle.length, free: total(runs) };
  const known = control + taken + account.tree + account.recycle + account.free;
  const rest = { pages: Math.max(0, pages - known), roots: 0 };
  const gaps =
    managed === null ? rest : checkCover(f, fpm, [...segments, ...runs, ...tree, ...recycle], control, pages);
  const expected = managed === null ? {} : { freePages: pages - control - taken, lostRoots: gaps.roots };
  f.checks++;
  for (const { id, message } of verifyFreePages(fpm, { taken: segments, ...expected }))
    f.error(id, `region: ${message}`);
  return { ...account, lost: gaps.pages };
}
