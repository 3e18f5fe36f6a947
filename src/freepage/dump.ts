/**
 * The manager as text, word for word as FreePageManagerDump prints it.
 *
 * For people who look for damage, so it never throws: where the memory makes no sense it says so in square brackets
 * and goes on elsewhere. The owner's lock is held, or the manager is at rest.
 */

import { relptrOffset, relptrPage } from '../layout/layout.js';
import { NO_PAGE, parentOf, rootOf, type FreePageHandle } from './handle.js';
import {
  B_CHILD,
  B_KEY,
  B_NUSED,
  B_VALUE,
  FPM_NUM_FREELISTS,
  H_CONTIGUOUS,
  H_DEPTH,
  H_RECYCLE,
  H_SINGLETON_FIRST,
  H_SINGLETON_NPAGES,
  INTERNAL_MAGIC,
  ITEMS_PER_PAGE,
  LEADER_MAGIC,
  LEAF_MAGIC,
  L_NEXT,
  L_NPAGES,
  MAX_DEPTH,
  PAGE_WORDS,
} from './structs.js';

/** Text of a whole manager. Source: FreePageManagerDump. */
export function dumpFreePages(m: FreePageHandle): string {
  const a = m.a;
  const h = m.header;
  const out = [`metadata: self ${relptrOffset(a, h)} max contiguous pages = ${a[h + H_CONTIGUOUS]}\n`];
  if (a[h + H_DEPTH] !== 0) {
    out.push(`btree depth ${a[h + H_DEPTH]! >>> 0}:\n`);
    dumpNode(m, rootOf(m), NO_PAGE, 0, new Set(), out);
  } else if (a[h + H_SINGLETON_NPAGES] !== 0) {
    out.push(`singleton: ${a[h + H_SINGLETON_FIRST]}(${a[h + H_SINGLETON_NPAGES]})\n`);
  }
  if (relptrPage(a, h + H_RECYCLE) !== NO_PAGE) out.push(`btree recycle:${spanList(m, h + H_RECYCLE, 1)}\n`);
  let heading = 'freelists:\n';
  for (let f = 0; f < FPM_NUM_FREELISTS; f++) {
    const list = m.lists + 2 * f;
    if (relptrPage(a, list) === NO_PAGE) continue;
    out.push(`${heading}  ${f + 1}:${spanList(m, list, f + 1)}\n`);
    heading = '';
  }
  return out.join('');
}

/** Lines of a page of the tree and of all below it. Source: FreePageManagerDumpBtree. */
function dumpNode(
  m: FreePageHandle,
  page: number,
  parent: number,
  level: number,
  seen: Set<number>,
  out: string[],
): void {
  const a = m.a;
  const w = m.base + page * PAGE_WORDS;
  const magic = a[w];
  const nused = a[w + B_NUSED]!;
  const internal = magic === INTERNAL_MAGIC;
  if (
    (!internal && magic !== LEAF_MAGIC) ||
    seen.has(page) ||
    level > MAX_DEPTH ||
    nused < 0 ||
    nused > ITEMS_PER_PAGE
  ) {
    out.push(`  ${page}@${level} [${seen.has(page) ? 'met before' : 'not a page of a tree'}]\n`);
    return;
  }
  seen.add(page);
  const actual = parentOf(m, page);
  const note = actual === parent ? '' : ` [actual parent ${name(actual)}, expected ${name(parent)}]`;
  let line = `  ${page}@${level} ${internal ? 'i' : 'l'}${note}:`;
  for (let i = 0; i < nused; i++) {
    const key = a[w + B_KEY + 4 * i];
    const value = w + (internal ? B_CHILD : B_VALUE) + 4 * i;
    line += internal ? ` ${key}->${relptrPage(a, value)}` : ` ${key}(${a[value]})`;
  }
  out.push(`${line}\n`);
  if (!internal) return;
  for (let i = 0; i < nused; i++) dumpNode(m, relptrPage(a, w + B_CHILD + 4 * i), page, level + 1, seen, out);
}

function name(page: number): string {
  return page === NO_PAGE ? 'none' : String(page);
}

/** Runs of a list. Source: FreePageManagerDumpSpans. */
function spanList(m: FreePageHandle, list: number, expected: number): string {
  const a = m.a;
  const seen = new Set<number>();
  let text = '';
  for (let page = relptrPage(a, list); page !== NO_PAGE; ) {
    const w = m.base + page * PAGE_WORDS;
    if (a[w] !== LEADER_MAGIC || seen.has(page)) {
      return `${text} ${page} [${seen.has(page) ? 'met before' : 'not the start of a free run'}]`;
    }
    seen.add(page);
    const npages = a[w + L_NPAGES];
    text += npages === expected ? ` ${page}` : ` ${page}(${npages})`;
    page = relptrPage(a, w + L_NEXT);
  }
  return text;
}
