/**
 * Checks of a cluster: its control segment, its segments, who refers to them, and the pages of the reservation.
 *
 * | id | holds when no call is under way |
 * |---|---|
 * | M1 | header of the slots: magic, nitems <= maxitems, both inside the control segment |
 * | M2 | refcnt is never 1 (a segment being destroyed) nor negative |
 * | M3 | refcnt = 1 + mappings (bits in the participants' slots) + pinned; a free slot has neither |
 * | M4 | handles of live slots: distinct, even, not 0 |
 * | M5 | page runs of segments: inside the region, disjoint, and exactly what its page manager considers taken (trap P7 aside) |
 * | M6 | npages = pages of size + tail, size > 0 |
 * | M7 | checked by the area: each of its segments is live and pinned while the area's refcnt > 0 |
 * | M8 | the control lock is free, nobody waits for it |
 * | M9 | ours: the frozen geometry of the control segment is what its creator must have written |
 * | M10 | ours: participant slots: high water within the table; a free slot refers to nothing; no bit without a slot |
 * | M11 | ours: no segment reaches beyond the first page that was never handed out |
 *
 * Numbers of the region's page manager (Q1 ...) are those of `freepage`. Reads only, never throws for damage, ends on any
 * contents: no walk is longer than the control memory, which this participant knows from joining.
 */

import { SharedHeapError } from '../errors/errors.js';
import { load } from '#atomic';
import {
  lwlockAcquireExclusive,
  lwlockReleaseNewest,
  ParticipantSlot,
  SLOT_FREE,
  STATE,
  TRANCHE_DSM_CONTROL,
} from '../sync/sync.js';
import type { Dsm } from './cluster.js';
import { DsmControlHeader, DsmControlItem, MAX_SLOTS } from './control-layout.js';
import { CONTROL_LOCK, CONTROL_NS, controlLockFailure } from './failures.js';
import { type Finding, Findings } from './findings.js';
import { controlGeometry } from './geometry.js';
import { holdsReference } from './references.js';
import type { DsmSegment } from './segment.js';
import { requireObject, requireSaneControl } from './validate.js';
import { checkRestingLock, lockIsFree, slotsUsed } from './verify-locks.js';
import { checkRegion, type RegionAccount } from './verify-region.js';

/** Options of a check. */
export interface VerifyOptions {
  /**
   * True (default): nobody else uses the memory, so everything is checked, without locks. False: others may be at work;
   * locks are taken one after the other, and what holds only at rest is left out.
   */
  readonly quiescent?: boolean | undefined;
}

/** Result of {@link verifyCluster}. */
export interface ClusterReport {
  /** True when no error was found; notes do not count. */
  readonly ok: boolean;
  /** Single checks made. */
  readonly checks: number;
  readonly findings: readonly Finding[];
  /** Findings that are not listed, since there are enough of their id. */
  readonly unlisted: number;
  /** What the C original loses as well. */
  readonly losses: {
    /** Pages of the reservation that its page manager has lost (trap P7). */
    readonly rootPages: number;
  };
  /** Where the pages of the reservation are; null on `buffers`, and while others are at work and hold the lock. */
  readonly accounting: RegionAccount | null;
}

const MAPPINGS = ParticipantSlot.mappings / 4;
const MAPPING_WORDS = MAX_SLOTS / 32;

/**
 * Reads `quiescent` of options. @internal
 *
 * @throws ERR_HEAP_BAD_OPTION
 */
export function quiescentOption(options: VerifyOptions): boolean {
  requireObject(options);
  const { quiescent = true } = options;
  if (typeof quiescent === 'boolean') return quiescent;
  throw new SharedHeapError('ERR_HEAP_BAD_OPTION', 'quiescent must be true or false', {
    detail: `got ${typeof quiescent}`,
  });
}

/** Runs `look` under the DSM control lock, or without it at rest; null when the lock cannot be had. @internal */
export function underControlLock<T extends object>(dsm: Dsm, quiescent: boolean, look: () => T): T | null {
  if (quiescent) return look();
  const { participant, control } = dsm;
  if (lwlockAcquireExclusive(participant, control, CONTROL_LOCK, CONTROL_NS) === 0) return null;
  // Checks do not throw for damage; should one throw for lack of memory, the lock must not stay behind.
  try {
    return look();
  } finally {
    lwlockReleaseNewest(participant, control, CONTROL_LOCK, CONTROL_NS);
  }
}

/** Tells whether the DSM control lock can be taken without waiting. @internal */
export function controlLockIsFree(dsm: Dsm): boolean {
  return lockIsFree(dsm.control, CONTROL_LOCK);
}

/**
 * Checks the cluster of a participant. Any participant, its own thread; blocks on the DSM control lock only when
 * `quiescent` is false. Takes time in proportion to participants, segments and free runs.
 *
 * @param options see {@link VerifyOptions}
 * @throws ERR_HEAP_CLOSED, ERR_HEAP_BAD_OPTION; nothing for damage
 */
export function verifyCluster(dsm: Dsm, options: VerifyOptions = {}): ClusterReport {
  const quiescent = quiescentOption(options);
  dsm.requireOpen();
  const f = new Findings();
  if (quiescent) {
    checkRestingLock(f, 'M8', dsm, 'the DSM control lock', dsm.control, CONTROL_LOCK, CONTROL_NS, TRANCHE_DSM_CONTROL);
  }
  const all = underControlLock(dsm, quiescent, () => ({ accounting: checkAll(f, dsm) }));
  if (all === null)
    f.error('M8', `the DSM control lock cannot be had: ${controlLockFailure(dsm.participant).toString()}`);
  const accounting = all?.accounting ?? null;
  return {
    ok: f.errors === 0,
    checks: f.checks,
    findings: f.list,
    unlisted: f.unlisted,
    losses: { rootPages: accounting?.lost ?? 0 },
    accounting,
  };
}

function checkAll(f: Findings, dsm: Dsm): RegionAccount | null {
  checkGeometry(f, dsm);
  const nitems = checkHeader(f, dsm);
  checkSlots(f, dsm, nitems, countMappings(f, dsm, nitems));
  return dsm.storeKind === 'region' ? checkRegion(f, dsm, nitems) : null;
}

/** M9. */
function checkGeometry(f: Findings, dsm: Dsm): void {
  f.checks++;
  try {
    requireSaneControl(dsm.control.buffer as SharedArrayBuffer, dsm.storeKind);
  } catch (error) {
    f.error('M9', error instanceof SharedHeapError ? `${error.message}: ${error.detail}` : String(error));
  }
}

/** M1. Returns the number of slots to look at: never more than there is room for. */
function checkHeader(f: Findings, dsm: Dsm): number {
  const { slots, control } = dsm;
  const room = control.byteLength - controlGeometry(dsm.table.count, 1).dsmAt;
  const { nitems, maxitems } = slots;
  f.check('M1', slots.sane(room), () => `${nitems} of ${maxitems} segment slots in ${room} bytes`);
  return Math.min(nitems, maxitems, MAX_SLOTS, Math.floor((room - DsmControlHeader.SIZEOF) / DsmControlItem.SIZEOF));
}

/** M10. Returns, per segment slot, how many participants refer to it. */
function countMappings(f: Findings, dsm: Dsm, nitems: number): Int32Array {
  const { control, table } = dsm;
  const high = table.highWater();
  f.check('M10', high >= 0 && high <= table.count, () => `${high} of ${table.count} participant slots were used`);
  const counts = new Int32Array(MAX_SLOTS);
  for (let slot = 0; slot < slotsUsed(dsm); slot++) {
    const base = table.slotBase(slot);
    let bits = 0;
    for (let i = 0; i < MAPPING_WORDS; i++) {
      for (let word = control[base + MAPPINGS + i]!; word !== 0; word &= word - 1) {
        const item = 32 * i + 31 - Math.clz32(word & -word);
        counts[item]!++;
        bits++;
        f.check('M10', item < nitems, () => `participant slot ${slot} refers to segment slot ${item} of ${nitems}`);
      }
    }
    f.check('M10', bits === 0 || load(control, base + STATE) !== SLOT_FREE, () => {
      return `participant slot ${slot} is free and refers to ${bits} segments`;
    });
  }
  return counts;
}

/** M2, M3, M4, M6. */
function checkSlots(f: Findings, dsm: Dsm, nitems: number, mappings: Int32Array): void {
  const { slots } = dsm;
  const byHandle = new Map<number, number>();
  for (let slot = 0; slot < nitems; slot++) {
    const refcnt = slots.refcnt(slot);
    const mapped = mappings[slot]!;
    if (refcnt === 0) {
      f.check('M3', mapped === 0, () => `segment slot ${slot} is free, and ${mapped} participants refer to it`);
      continue;
    }
    const handle = slots.handle(slot);
    const what = `segment slot ${slot} (handle ${handle})`;
    f.check('M2', refcnt > 1, () => `${what} has refcnt ${refcnt}`);
    const pinned = slots.pinned(slot) ? 1 : 0;
    f.check('M3', refcnt === 1 + mapped + pinned, () => {
      return `${what} has refcnt ${refcnt}, with ${mapped} mappings and ${pinned === 1 ? 'a' : 'no'} pin`;
    });
    f.check('M4', handle !== 0 && handle % 2 === 0, () => `${what} has no even handle`);
    const other = byHandle.get(handle);
    f.check('M4', other === undefined, () => `${what} has the handle of slot ${other}`);
    byHandle.set(handle, slot);
    f.check('M6', slots.consistent(slot), () => {
      return `${what} has ${slots.npages(slot)} pages for ${slots.size(slot)} bytes and a tail of ${slots.tailPages(slot)}`;
    });
  }
}

/** A live segment as its slot describes it. */
export interface SlotFacts {
  readonly slot: number;
  readonly pinned: boolean;
  readonly size: number;
  readonly tailPages: number;
  /** True when this participant refers to it. */
  readonly mine: boolean;
}

/**
 * What the slots say of the segment with this handle; null when it is not live. Under the DSM control lock or at rest:
 * see {@link underControlLock}. @internal
 */
export function slotFacts(dsm: Dsm, handle: number): SlotFacts | null {
  const { slots, participant } = dsm;
  const slot = slots.find(handle);
  if (slot < 0 || slot >= MAX_SLOTS) return null;
  return {
    slot,
    pinned: slots.pinned(slot),
    size: slots.size(slot),
    tailPages: slots.tailPages(slot),
    mine: holdsReference(participant, slot),
  };
}

/** Tells whether a mapping is that of the live segment which the slots describe. @internal */
export function mappingMatches({ slot, mapLength }: DsmSegment, facts: SlotFacts): boolean {
  return slot === facts.slot && mapLength === facts.size && facts.mine;
}
