/**
 * Taking pages: the shortest run that is long enough, the one pushed last among equals, cut from its low end.
 *
 * Under the owner's lock. Raises `contiguous_pages_dirty` when the longest run may have been touched.
 */

import { fixAncestors, search } from './btree.js';
import { corrupt, loadPage, NO_PAGE, type FreePageHandle } from './handle.js';
import { removeKey } from './shrink.js';
import { bestLongRun, firstListFrom, moveSpan, popSpan } from './spans.js';
import * as structs from './structs.js';

// Copied because an imported constant is loaded anew at each use, while one of this module is folded into the code.
const {
  B_KEY,
  B_NUSED,
  B_VALUE,
  H_CONTIGUOUS,
  H_DIRTY,
  H_ROOT,
  H_SINGLETON_FIRST,
  H_SINGLETON_NPAGES,
  L_NPAGES,
  PAGE_WORDS,
  LONG_LIST,
} = structs;

/**
 * Takes `npages` pages (at least 1). Source: FreePageManagerGetInternal.
 *
 * @returns the first of them, or NO_PAGE
 * @throws ERR_HEAP_CORRUPT
 */
export function takeRun(m: FreePageHandle, npages: number): number {
  const a = m.a;
  let f = npages > LONG_LIST ? LONG_LIST : (npages - 1) | 0;
  if (a[m.lists + (f << 1)] === 0) f = firstListFrom(m, f);
  if (f < 0) return NO_PAGE;
  const list = m.lists + (f << 1);
  const victim = f === LONG_LIST ? bestLongRun(m, npages) : loadPage(a, list);
  if (victim < 0) return NO_PAGE;
  const length = a[m.base + victim * PAGE_WORDS + L_NPAGES]!;
  if (f < LONG_LIST && length !== f + 1) wrongList(m, victim, length, f);
  const rest = (length - npages) | 0;
  if (rest === 0) popSpan(m, victim);
  else moveSpan(m, victim, (victim + npages) | 0, rest);
  const contiguous = a[m.header + H_CONTIGUOUS];
  if (f === LONG_LIST ? length === contiguous : f + 1 === contiguous && a[list] === 0) a[m.header + H_DIRTY] = 1;
  if (a[m.header + H_ROOT] !== 0) cutKey(m, victim, length, rest);
  else cutSingleton(m, victim, length, rest);
  return victim;
}

function cutSingleton(m: FreePageHandle, victim: number, length: number, rest: number): void {
  const a = m.a;
  const h = m.header;
  if (a[h + H_SINGLETON_FIRST] !== victim || a[h + H_SINGLETON_NPAGES] !== length) notSingleton(m, victim, length);
  a[h + H_SINGLETON_FIRST] = (victim + length - rest) | 0;
  a[h + H_SINGLETON_NPAGES] = rest;
}

function cutKey(m: FreePageHandle, victim: number, length: number, rest: number): void {
  const a = m.a;
  search(m, victim);
  const node = m.foundNode;
  const i = m.foundIndex;
  const w = m.base + node * PAGE_WORDS;
  const item = w + (i << 2);
  if (i >= a[w + B_NUSED]! || a[item + B_KEY] !== victim || a[item + B_VALUE] !== length) notInTree(m, victim, length);
  if (rest === 0) {
    removeKey(m, node, i);
    return;
  }
  a[item + B_KEY] = (victim + length - rest) | 0;
  a[item + B_VALUE] = rest;
  if (i === 0) fixAncestors(m, node);
}

function wrongList(m: FreePageHandle, page: number, length: number, f: number): never {
  return corrupt(m, 'a run is on the wrong list', `page ${page}, ${length} pages, list of ${f + 1} pages`);
}

function notSingleton(m: FreePageHandle, page: number, length: number): never {
  const h = m.header;
  return corrupt(
    m,
    'a run on a list is not the only run',
    `page ${page}, ${length} pages; the only run is said to be ` +
      `page ${m.a[h + H_SINGLETON_FIRST]}, ${m.a[h + H_SINGLETON_NPAGES]} pages`,
  );
}

function notInTree(m: FreePageHandle, page: number, length: number): never {
  return corrupt(m, 'a run on a list is not in the tree with that length', `page ${page}, ${length} pages`);
}
