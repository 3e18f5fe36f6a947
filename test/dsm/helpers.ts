/** What the tests of the dsm layer share: clusters, error codes, and an exact account of where every page is. */

import { Dsm, type DsmSegment, verifyCluster } from '../../dist/dsm/dsm.js';
import type { DsmOptions } from '../../dist/dsm/bootstrap.js';
import { CONTROL_LOCK, CONTROL_NS } from '../../dist/dsm/failures.js';
import { PAGE_SIZE } from '../../dist/dsm/impl.js';
import { type ErrorCode, isSharedHeapError } from '../../dist/errors/errors.js';
import { type FreePageManager, verifyFreePages } from '../../dist/freepage/freepage.js';
import { LEAF_MAGIC } from '../../dist/freepage/structs.js';
import { lwlockAcquire, lwlockRelease, LW_EXCLUSIVE } from '../../dist/sync/sync.js';

export const STORES = ['region', 'buffers'] as const;
export type Store = (typeof STORES)[number];
export const MiB = 2 ** 20;
export const GiB = 2 ** 30;

/** A cluster whose region is small enough to count every page of it. */
export function makeCluster(store: Store, options: DsmOptions = {}): Dsm {
  return Dsm.create({ store, regionSize: 16 * MiB, ...options });
}

/** A segment that is certainly there. */
export function make(dsm: Dsm, size: number | bigint): DsmSegment {
  return dsm.create(size)!;
}

/** Code of the error that `action` throws; 'nothing' when it returns. Anything else but our own error is passed on. */
export function codeOf(action: () => unknown): ErrorCode | 'nothing' {
  try {
    action();
  } catch (error) {
    if (isSharedHeapError(error)) return error.code;
    throw error;
  }
  return 'nothing';
}

/** Error that `action` throws. */
export function errorOf(action: () => unknown): any {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

/** Index of the first word that is not zero in [`byteOffset`, `byteOffset` + `bytes`), or -1. */
export function firstNonZero(buffer: SharedArrayBuffer, byteOffset: number, bytes: number): number {
  return new Int32Array(buffer, byteOffset, bytes / 4).findIndex((word) => word !== 0);
}

/** Page manager of a cluster on `region`. */
export function pageManager(dsm: Dsm): FreePageManager {
  return (dsm.impl as unknown as { fpm: FreePageManager }).fpm;
}

/**
 * Accounts for every page of a region: it is free, part of the tree, recycled, or in a live segment; what remains must
 * be a root that the page manager has lost (trap P7), and begins like one. Returns the number of these.
 */
export function lostPages(dsm: Dsm): number {
  const manager = pageManager(dsm);
  const { slots } = dsm;
  const taken: { first: number; npages: number }[] = [];
  for (let slot = 0; slot < slots.nitems; slot++) {
    if (slots.refcnt(slot) !== 0) taken.push({ first: slots.firstPage(slot), npages: slots.npages(slot) });
  }
  const findings = verifyFreePages(manager, { taken });
  if (findings.length > 0) throw new Error(`the page manager is damaged: ${JSON.stringify(findings)}`);
  const control = dsm.control.byteLength / PAGE_SIZE;
  const pages = manager.handle.a.length / (PAGE_SIZE / 4);
  const seen = new Uint8Array(pages);
  seen.fill(1, 0, control);
  for (const { first, npages } of [...manager.runs(), ...taken]) seen.fill(1, first, first + npages);
  for (const page of [...manager.treePages(), ...manager.recyclePages()]) seen[page] = 1;
  let lost = 0;
  for (let page = control; page < pages; page++) {
    if (seen[page] === 1) continue;
    const first = manager.handle.a[page * (PAGE_SIZE / 4)];
    if (first !== LEAF_MAGIC) throw new Error(`page ${page} is nowhere`);
    lost++;
  }
  return lost;
}

/** Requires that the control segment is in order; nobody else may be at work. */
export function requireSound(dsm: Dsm): void {
  const { ok, findings } = verifyCluster(dsm);
  if (!ok) throw new Error(`the cluster is damaged: ${JSON.stringify(findings)}`);
}

/** Requires that nothing is left of all segments: no slot, no page, no buffer. */
export function requireEmpty(dsm: Dsm): void {
  requireSound(dsm);
  const { segments } = dsm.stats();
  if (segments.length > 0) throw new Error(`left: ${JSON.stringify(segments)}`);
  if (dsm.storeKind === 'region') lostPages(dsm);
  else if (dsm.impl.known().length > 0) throw new Error(`left: ${dsm.impl.known().length} buffers`);
}

/** Takes the DSM control lock as `dsm`, which others then wait for. */
export function holdControlLock(dsm: Dsm): void {
  if (lwlockAcquire(dsm.participant, dsm.control, CONTROL_LOCK, CONTROL_NS, LW_EXCLUSIVE) === 0) {
    throw new Error('the control lock is taken');
  }
}

/** Gives it back. */
export function freeControlLock(dsm: Dsm): void {
  lwlockRelease(dsm.participant, dsm.control, CONTROL_LOCK, CONTROL_NS);
}

/** Numbers like those of `Math.random`, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
