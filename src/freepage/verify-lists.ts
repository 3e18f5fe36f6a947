/**
 * Checks of the lists, part of `verifyFreePages`: free lists (Q2, Q5), recycle list (Q7), groups of lists (Q11).
 *
 * Every list walk ends at the first page that was met before.
 */

import { NO_PAGE } from './handle.js';
import { listOf } from './spans.js';
import {
  FPM_NUM_FREELISTS,
  H_FREELIST,
  H_GROUPS,
  H_RECYCLE,
  H_RECYCLE_COUNT,
  LEADER_MAGIC,
  L_NEXT,
  L_NPAGES,
  L_PREV,
} from './structs.js';
import type { FreePageCensus } from './verify-census.js';

/** Checks the free lists against the runs collected from the tree (Q5), or against the singleton (Q2); and Q11. */
export function checkLists(c: FreePageCensus): void {
  const id = c.treePages.size === 0 ? 'Q2' : 'Q5';
  const listed = new Set<number>();
  let groups = 0;
  for (let f = 0; f < FPM_NUM_FREELISTS; f++) {
    const head = c.headerLink(H_FREELIST + 2 * f);
    if (head !== NO_PAGE && f < 128) groups |= 1 << (f >> 2);
    walk(c, head, id, `list ${f}`, listed, (page, npages) => {
      if (npages < 1 || listOf(npages) !== f) c.report(id, `run ${page}(${npages}) is on list ${f}`);
      const expected = c.runs.get(page);
      if (expected !== npages)
        c.report(id, `run ${page}(${npages}) of list ${f} is ${expected ?? 'no'} pages by its key`);
    });
  }
  for (const [first, npages] of c.runs) {
    if (!listed.has(first)) c.report(id, `run ${first}(${npages}) is on no list`);
  }
  const marked = c.m.a[c.m.header + H_GROUPS]!;
  if (marked !== groups) c.report('Q11', `list groups are marked ${bits(marked)}, in use are ${bits(groups)}`);
}

/** Checks the recycle list (Q7). */
export function checkRecycled(c: FreePageCensus): void {
  walk(c, c.headerLink(H_RECYCLE), 'Q7', 'the recycle list', c.recycledPages, (page, npages) => {
    if (npages !== 1) c.report('Q7', `page ${page} of the recycle list says ${npages} pages`);
  });
  const count = c.m.a[c.m.header + H_RECYCLE_COUNT]! >>> 0;
  if (count !== c.recycledPages.size) {
    c.report('Q7', `the recycle list has ${c.recycledPages.size} pages, counted were ${count}`);
  }
}

function walk(
  c: FreePageCensus,
  head: number,
  id: string,
  name: string,
  seen: Set<number>,
  each: (page: number, n: number) => void,
): void {
  let before = NO_PAGE;
  for (let page = head; page !== NO_PAGE; ) {
    if (!c.has(page)) return c.report(id, `${name} leads to page ${page} of ${c.limit}`);
    if (seen.has(page)) return c.report(id, `page ${page} is on a list twice, now on ${name}`);
    if (c.word(page, 0) !== LEADER_MAGIC) return c.report(id, `page ${page} of ${name} has no leader`);
    seen.add(page);
    if (c.link(page, L_PREV) !== before) {
      c.report(id, `page ${page} of ${name} follows ${before} and links back to ${c.link(page, L_PREV)}`);
    }
    if (c.word(page, L_NPAGES + 1) !== 0) c.report(id, `page ${page} of ${name} has a length beyond 2^32`);
    each(page, c.word(page, L_NPAGES));
    before = page;
    page = c.link(page, L_NEXT);
  }
}

function bits(word: number): string {
  return `0x${(word >>> 0).toString(16)}`;
}
