/**
 * The registry's own area and table: made once per cluster by the first who needs them, found by everybody else.
 *
 * Follows init_dsm_registry of dsm_registry.c. Where they are says the root in the cluster control, under the registry
 * lock. Until somebody opens a registry, nothing of it exists but the words of the root, so a cluster that does not use
 * names is laid out as if there were no registry.
 *
 * A thread that dies while it makes them leaves its claim, and perhaps the handle of its area; the next one who comes
 * gives that area back and begins anew. One that dies in the moments between makes the area and notes its handle leaves
 * an area that nobody knows, which `heap.allocations()` counts as anonymous.
 */

import { DsaArea } from '../dsa/dsa.js';
import { type Dsm, REGISTRY_ROOT } from '../dsm/dsm.js';
import { SharedHeapError } from '../errors/errors.js';
import { ld64, st64 } from '../layout/layout.js';
import type { DsaPointer } from '../layout/layout.js';
import { DshashTable, stringKeys } from '../dshash/dshash.js';
import {
  lwlockAcquireExclusive,
  lwlockFailure,
  lwlockReleaseNewest,
  TRANCHE_DSM_REGISTRY_DSA,
  TRANCHE_DSM_REGISTRY_HASH,
} from '../sync/sync.js';
import { announce, Wait } from './changes.js';
import { claim, CLAIM_NONE, CLAIM_READY, isMine, isReady, settle, type Standing, standingOf } from './claim.js';
import { NAME_BYTES, RegistryEntry, registryLayoutHash } from './layout.js';
import { ownClaim } from './names.js';

/** Number of the control memory in lists of held locks. */
const CONTROL_NS = 0;
const WHAT = 'the registry of names';

/** Table of names; every participant brings the same parameters. */
const PARAMS = {
  ...stringKeys(NAME_BYTES),
  entrySize: RegistryEntry.SIZEOF,
  trancheId: TRANCHE_DSM_REGISTRY_HASH,
};

/** Table of the registry as one participant is attached to it. */
export type NameTable = DshashTable<string, unknown>;

/** What a participant needs of the registry. */
export interface Root {
  readonly area: DsaArea;
  readonly table: NameTable;
}

function lockRoot(dsm: Dsm): void {
  if (lwlockAcquireExclusive(dsm.participant, dsm.control, REGISTRY_ROOT.lock, CONTROL_NS) !== 0) return;
  throw lwlockFailure(dsm.participant, dsm.control, REGISTRY_ROOT.lock, CONTROL_NS, dsm.tranches);
}

function unlockRoot(dsm: Dsm): void {
  lwlockReleaseNewest(dsm.participant, dsm.control, REGISTRY_ROOT.lock, CONTROL_NS);
}

/** Tells whether the cluster has a registry. Takes no lock. */
export function hasRegistry(dsm: Dsm): boolean {
  return isReady(dsm.control, REGISTRY_ROOT.state);
}

/** Attaches to the registry of the cluster, after making it when there is none. */
export function openRoot(dsm: Dsm): Root {
  const wait = new Wait(dsm, WHAT);
  for (;;) {
    wait.look();
    if (hasRegistry(dsm)) return attachRoot(dsm);
    const { standing, left } = claimRoot(dsm);
    if (standing === 'free') return makeRoot(dsm, left);
    if (standing === 'own') throw ownClaim(WHAT);
    if (standing === 'busy') wait.sleep(dsm.control[REGISTRY_ROOT.state + 1]!);
  }
}

/** Claims the root if that is possible; `left` is the area that a claimant who is gone has left, or 0. */
function claimRoot(dsm: Dsm): { standing: Standing; left: number } {
  const { control } = dsm;
  lockRoot(dsm);
  const standing = standingOf(dsm, control, REGISTRY_ROOT.state);
  const left = control[REGISTRY_ROOT.area]! >>> 0;
  if (standing === 'free') {
    control[REGISTRY_ROOT.area] = 0;
    claim(dsm, control, REGISTRY_ROOT.state);
  }
  unlockRoot(dsm);
  return { standing, left };
}

/** Attaches to an area for good, whatever resource owner is current. */
export function attachForGood(dsm: Dsm, handle: number): DsaArea {
  const area = DsaArea.attach(dsm, handle, { fallback: true });
  area.pinMapping();
  return area;
}

/** Makes an area that lives as long as this participant is attached, whatever resource owner is current. */
export function createForGood(dsm: Dsm, trancheId: number): DsaArea {
  const area = DsaArea.create(dsm, { trancheId, fallback: true });
  area.pinMapping();
  return area;
}

function attachRoot(dsm: Dsm): Root {
  const { control } = dsm;
  const theirs = control[REGISTRY_ROOT.layout]! >>> 0;
  if (theirs !== registryLayoutHash()) {
    throw new SharedHeapError('ERR_HEAP_VERSION', 'the registry was laid out by another version of this library', {
      detail: `layout ${theirs.toString(16)}, here ${registryLayoutHash().toString(16)}`,
      hint: 'Let all threads load the same copy of sharedheap.',
    });
  }
  const area = attachForGood(dsm, control[REGISTRY_ROOT.area]! >>> 0);
  try {
    return { area, table: DshashTable.attach(area, PARAMS, ld64(control, REGISTRY_ROOT.table) as DsaPointer) };
  } catch (error) {
    area.detach();
    throw error;
  }
}

/** Makes area and table; the root is claimed. */
function makeRoot(dsm: Dsm, left: number): Root {
  let area: DsaArea | null = null;
  try {
    if (left !== 0) discardArea(dsm, left);
    area = createForGood(dsm, TRANCHE_DSM_REGISTRY_DSA);
    noteRoot(dsm, area.handle, 0);
    const table = DshashTable.create(area, PARAMS);
    area.pin();
    noteRoot(dsm, area.handle, table.handle);
    return { area, table };
  } catch (error) {
    giveUpRoot(dsm);
    if (area !== null) discardOwnArea(area);
    throw error;
  } finally {
    announce(dsm);
  }
}

/** Notes how far the making has come; with a table, the registry is ready. */
function noteRoot(dsm: Dsm, area: number, table: number): void {
  const { control } = dsm;
  lockRoot(dsm);
  const mine = isMine(dsm, control, REGISTRY_ROOT.state);
  if (mine) {
    control[REGISTRY_ROOT.area] = area;
    control[REGISTRY_ROOT.layout] = registryLayoutHash();
    st64(control, REGISTRY_ROOT.table, table);
    if (table !== 0) settle(control, REGISTRY_ROOT.state, CLAIM_READY);
  }
  unlockRoot(dsm);
  if (!mine) throw heldForDead(WHAT);
}

/** The root as it was before. Where the lock cannot be had the claim stays until this participant is gone. */
function giveUpRoot(dsm: Dsm): void {
  const { control, participant } = dsm;
  if (lwlockAcquireExclusive(participant, control, REGISTRY_ROOT.lock, CONTROL_NS) === 0) return;
  if (isMine(dsm, control, REGISTRY_ROOT.state)) {
    control[REGISTRY_ROOT.area] = 0;
    settle(control, REGISTRY_ROOT.state, CLAIM_NONE);
  }
  unlockRoot(dsm);
}

/** The error of a claimant that others believed to be gone: somebody reported the exit of a thread that lives. */
export function heldForDead(what: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_LOCK_STALLED', `${what} was taken over by another participant`, {
    hint: 'This thread was reported to have ended (heap.watch, markDead) while it was at work.',
  });
}

/** Gives an area back that was made here and that nobody knows. Never throws: an error is on its way already. */
export function discardOwnArea(area: DsaArea): void {
  try {
    unpin(area);
    area.detach();
  } catch {
    // A lock stalls or the cluster is damaged; whoever looks next is told the same.
  }
}

function unpin(area: DsaArea): void {
  try {
    area.unpin();
  } catch (error) {
    if (!(error instanceof SharedHeapError && error.code === 'ERR_HEAP_NOT_PINNED')) throw error;
  }
}

/** Gives an area back that a participant who is gone had made and published to nobody. Never throws. */
export function discardArea(dsm: Dsm, handle: number): void {
  try {
    discardOwnArea(DsaArea.attach(dsm, handle));
  } catch {
    // It is gone already, or its buffer went with the thread that made it.
  }
}
