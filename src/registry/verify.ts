/**
 * Checks of the registry.
 *
 * | id | holds when no call is under way |
 * |---|---|
 * | R1 | the root is ready and names the area and the table that this participant has, in a layout known here |
 * | R2 | the registry lock is free, nobody waits for it |
 * | R3 | each entry has a name, under which it is found, and a kind; what is not ready is claimed (note: by nobody left) |
 * | R4 | a named segment is live, pinned, and as large as the entry says |
 * | R5 | the first segment of a named area, or of a table's area, is live and pinned |
 * | R6 | a named table has a pointer, other areas and segments have none |
 * | R7 | a named block is a live object of the registry's area, large enough, and no other block's |
 * | R8 | note: objects of the registry's area that no name leads to, which a thread that died while it made one leaves |
 *
 * K and Q are those of the registry's area (dsa/verify.ts), H those of its table (dshash/verify.ts). The cluster (M) is
 * not checked again here. At rest no lock is waited for: the entries are only walked once the table was found sound,
 * its locks included.
 */

import { verifyArea } from '../dsa/dsa.js';
import {
  checkRestingLock,
  type Dsm,
  type Finding,
  Findings,
  quiescentOption,
  REGISTRY_ROOT,
  slotFacts,
  underControlLock,
  type VerifyOptions,
} from '../dsm/dsm.js';
import { ld64 } from '../layout/layout.js';
import type { DsaPointer } from '../layout/layout.js';
import { TRANCHE_DSM_REGISTRY } from '../sync/sync.js';
import { isReady } from './claim.js';
import { registryLayoutHash } from './layout.js';
import type { RegistryRow } from './obtain.js';
import type { Root } from './root.js';

/** Result of a check. Plain data. */
export interface RegistryReport {
  /** True when no error was found; notes do not count. */
  readonly ok: boolean;
  readonly checks: number;
  readonly findings: readonly Finding[];
  /** Findings that are not listed, since there are enough of their id. */
  readonly unlisted: number;
  /** Names looked at. */
  readonly names: number;
  /** What C loses as well, in the registry's area; see `VerifyReport`. */
  readonly losses: { readonly rootPages: number; readonly spanObjects: number };
}

/** What a check needs of a registry. */
interface Checked {
  readonly root: Root;
  rows(): RegistryRow[];
}

/** @throws ERR_HEAP_BAD_OPTION; nothing for damage */
export function verifyRegistry(dsm: Dsm, registry: Checked, options: VerifyOptions): RegistryReport {
  const atRest = quiescentOption(options);
  const f = new Findings();
  const { root } = registry;
  checkRoot(f, dsm, root);
  if (atRest) {
    const name = 'the registry lock';
    checkRestingLock(f, 'R2', dsm, name, dsm.control, REGISTRY_ROOT.lock, 0, TRANCHE_DSM_REGISTRY);
  }
  const area = verifyArea(root.area, options, false);
  const table = root.table.verify({ quiescent: atRest });
  f.merge(area);
  f.merge(table);
  const rows = area.ok && table.ok ? readRows(f, registry, atRest) : [];
  const blocks = checkRows(f, dsm, root, rows, atRest);
  if (atRest && f.errors === 0) checkAccount(f, root, rows.length, blocks);
  const { rootPages, spanObjects } = area.losses;
  return {
    ok: f.errors === 0,
    checks: f.checks,
    findings: f.list,
    unlisted: f.unlisted,
    names: rows.length,
    losses: { rootPages, spanObjects },
  };
}

/** R1. */
function checkRoot(f: Findings, { control }: Dsm, { area, table }: Root): void {
  f.check('R1', isReady(control, REGISTRY_ROOT.state), () => `the root has state ${control[REGISTRY_ROOT.state]}`);
  const handle = control[REGISTRY_ROOT.area]! >>> 0;
  f.check('R1', handle === area.handle, () => `the root names area ${handle}, attached here is ${area.handle}`);
  const pointer = ld64(control, REGISTRY_ROOT.table);
  f.check('R1', pointer === table.handle, () => `the root names table ${pointer}, attached here is ${table.handle}`);
  const layout = control[REGISTRY_ROOT.layout]! >>> 0;
  f.check('R1', layout === registryLayoutHash(), () => `the root has layout ${layout.toString(16)}`);
}

function readRows(f: Findings, registry: Checked, atRest: boolean): RegistryRow[] {
  try {
    const rows = registry.rows();
    const { size } = registry.root.table;
    // Entries of unknown kind are left out of the rows. Others may come and go meanwhile.
    f.check('R3', !atRest || rows.length === size, () => `${size - rows.length} entries are of no known kind`);
    return rows;
  } catch (error) {
    f.error('R3', `the names cannot be read: ${String(error)}`);
    return [];
  }
}

/** R3 to R7. Returns the number of blocks. */
function checkRows(f: Findings, dsm: Dsm, root: Root, rows: readonly RegistryRow[], atRest: boolean): number {
  const pointers = new Set<number>();
  for (const row of rows) {
    const what = `${row.kind} ${JSON.stringify(row.name)}`;
    f.check('R3', !row.ready || isFound(root, row.name), () => `${what} is not found under its name`);
    if (!row.ready && !row.claimed) f.note('R3', `${what} was being made by a participant who is gone`);
    const live = row.ready || row.pointer !== 0;
    if (row.kind === 'segment' || row.kind === 'area' || row.kind === 'hash') {
      if (row.ready) checkSegment(f, dsm, row, what, atRest);
    } else if (live) {
      checkBlock(f, root, row, what);
      f.check('R7', !pointers.has(row.pointer), () => `${what} shares its bytes with another name`);
      pointers.add(row.pointer);
    }
  }
  return pointers.size;
}

/** Tells whether a name leads to an entry. What is ready is never deleted, so it must, also while others are at work. */
function isFound({ table }: Root, name: string): boolean {
  try {
    const entry = table.find(name, false);
    if (entry !== 0) table.releaseLock(entry);
    return entry !== 0;
  } catch {
    return false;
  }
}

/** R4, R5, R6. */
function checkSegment(f: Findings, dsm: Dsm, row: RegistryRow, what: string, atRest: boolean): void {
  const id = row.kind === 'segment' ? 'R4' : 'R5';
  const facts = underControlLock(dsm, atRest, () => ({ slot: slotFacts(dsm, row.handle) }))?.slot;
  if (f.check(id, facts !== undefined && facts !== null, () => `${what}: segment ${row.handle} is not live`)) {
    f.check(id, facts!.pinned, () => `${what}: segment ${row.handle} is not pinned`);
    const fits = row.kind !== 'segment' || facts!.size === row.size;
    f.check(id, fits, () => `${what} has ${facts!.size} bytes, its entry says ${row.size}`);
  }
  const pointer = row.kind === 'hash';
  f.check('R6', pointer === (row.pointer !== 0), () => `${what} has pointer ${row.pointer}`);
}

/** R7. */
function checkBlock(f: Findings, { area }: Root, row: RegistryRow, what: string): void {
  const room = area.isLive(row.pointer as DsaPointer) ? area.sizeOf(row.pointer as DsaPointer) : 0;
  f.check('R7', room >= row.size && row.handle === 0, () => {
    return `${what} of ${row.size} bytes: at ${row.pointer} is an object of ${room}`;
  });
}

/** R8: control object and bucket array of the table, an object per entry and per block, and nothing else. */
function checkAccount(f: Findings, { area }: Root, entries: number, blocks: number): void {
  const known = 2 + entries + blocks;
  const { liveObjects } = area.stats();
  f.checks++;
  if (liveObjects !== known) {
    f.note('R8', `the registry's area has ${liveObjects} objects, ${known} of them known`);
  }
}
