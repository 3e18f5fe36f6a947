/**
 * The page manager: FreePageManagerGet, then put of the same run.
 *
 * Beside one range of 4096 pages there are so many holes, isolated free pages, that keep its tree busy.
 */

import { FPM_PAGE_SIZE, FreePageManager } from 'sharedheap/core';
import { caseOfC } from './c.js';

/** Pages of a request, and holes. */
const SHAPES = /** @type {const} */ ([
  [1, 0],
  [16, 0],
  [200, 0],
  [1, 200],
  [16, 200],
  [16, 5000],
  [16, 40_000],
]);

const RANGE = 4096;
/** Byte of the header in page 0, as in the C figures; any multiple of 8 would do. */
const HEADER_AT = 56;

/** @param {number} holes */
function pagesWithHoles(holes) {
  const first = 1 + 2 * holes;
  const memory = new SharedArrayBuffer((first + RANGE) * FPM_PAGE_SIZE);
  const manager = new FreePageManager(new Int32Array(memory), 0, HEADER_AT);
  manager.initialize();
  manager.put(first, RANGE);
  for (let i = 0; i < holes; i++) manager.put(1 + 2 * i, 1);
  return manager;
}

/** @type {import('../cases.js').Case[]} */
export const PAGE_CASES = SHAPES.flatMap(([pages, holes]) => [
  {
    group: 'pages',
    workload: `pages-${pages}-holes-${holes}`,
    id: 'manager',
    subject: 'FreePageManager',
    prepare() {
      const manager = pagesWithHoles(holes);
      return {
        run(/** @type {number} */ count) {
          for (let i = 0; i < count; i++) {
            const first = manager.get(pages);
            if (first < 0) throw new Error(`no run of ${pages} pages`);
            manager.put(first, pages);
          }
        },
      };
    },
  },
  caseOfC('pages', `pages-${pages}-holes-${holes}`, 'pages', pages, holes),
]);
