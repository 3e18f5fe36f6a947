/**
 * Recognising a page that the manager has lost (PostgreSQL's root leak, trap P7): emptying a tree whose root has one key
 * loses the root page for good. Nobody writes it any more, so it still looks as it did then. Reads only.
 */

import type { FreePageManager } from './manager.js';
import { B_NUSED, B_PARENT, INTERNAL_MAGIC, LEAF_MAGIC, PAGE_WORDS } from './structs.js';

/**
 * Tells whether `page`, which belongs to nothing that the manager knows nor to anybody it was given to, is a lost root:
 * a page of the tree with one item and without parent. Any page number; the owner's lock is held, or nobody uses the
 * manager.
 */
export function isLostRoot(manager: FreePageManager, page: number): boolean {
  const { a, base } = manager.handle;
  const w = base + page * PAGE_WORDS;
  const magic = a[w];
  return (
    (magic === LEAF_MAGIC || magic === INTERNAL_MAGIC) &&
    a[w + B_NUSED] === 1 &&
    a[w + B_NUSED + 1] === 0 &&
    a[w + B_PARENT] === 0 &&
    a[w + B_PARENT + 1] === 0
  );
}
