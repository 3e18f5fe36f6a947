/**
 * Locks that stall while something is being given back: the call says so, nothing is lost, and what is left is given
 * back at the next call, at the latest when the participant leaves.
 */

import { describe, expect, it } from 'vitest';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { C_LOCK, C_REFCNT } from '../../dist/dsa/area-layout.js';
import { type Dsm, ResourceOwner } from '../../dist/dsm/dsm.js';
import { CONTROL_LOCK, CONTROL_NS } from '../../dist/dsm/failures.js';
import { LW_EXCLUSIVE, lwlockAcquire, lwlockRelease } from '../../dist/sync/sync.js';
import { another, codeOf, expectSound, MIB, newCluster, STORES } from './helpers.js';

const references = (area: DsaArea) => area.state.ctl[C_REFCNT];

/** The error that `action` throws, as text. */
function textOf(action: () => unknown): string {
  try {
    return `nothing, but ${String(action())}`;
  } catch (error) {
    return String(error);
  }
}

/** Runs `action` while `holder` has the area lock. */
function underAreaLock<T>(holder: DsaArea, action: () => T): T {
  const { p, ctl, ns } = holder.state;
  expect(lwlockAcquire(p, ctl, C_LOCK, ns, LW_EXCLUSIVE)).not.toBe(0);
  const result = action();
  lwlockRelease(p, ctl, C_LOCK, ns);
  return result;
}

/** Runs `action` while `holder` has the DSM control lock. */
function underControlLock<T>(holder: Dsm, action: () => T): T {
  expect(lwlockAcquire(holder.participant, holder.control, CONTROL_LOCK, CONTROL_NS, LW_EXCLUSIVE)).not.toBe(0);
  const result = action();
  lwlockRelease(holder.participant, holder.control, CONTROL_LOCK, CONTROL_NS);
  return result;
}

describe.each(STORES)('an area lock that stalls at detach on %s', (store) => {
  const setting = () => {
    const dsm = newCluster({ store, lockTimeout: 20 });
    const area = DsaArea.create(dsm, { initSegmentSize: MIB });
    const far = area.allocate(3 * MIB);
    const other = another(dsm);
    const there = DsaArea.attach(other, area.handle);
    there.sizeOf(far);
    return { dsm, area, other, there };
  };

  it('is reported, and a second detach gives the reference back', () => {
    const { dsm, area, other, there } = setting();
    expect(underAreaLock(area, () => codeOf(() => there.detach()))).toBe('ERR_HEAP_LOCK_STALLED');
    expect([references(area), codeOf(() => there.allocate(8))]).toEqual([2, 'ERR_HEAP_CLOSED']);
    expect(dsm.stats().segments.map((s) => s.references)).toEqual([2, 2]);
    there.detach();
    expect(references(area)).toBe(1);
    there.detach();
    expect(references(area)).toBe(1);
    expectSound(area);
    expect(other.stats().segments.map((s) => s.references)).toEqual([2, 2]);
    area.detach();
    expect(dsm.stats().segments).toEqual([]);
  });

  it('is reported again when it stalls again', () => {
    const { area, there } = setting();
    expect(underAreaLock(area, () => [0, 1].map(() => codeOf(() => there.detach())))).toEqual([
      'ERR_HEAP_LOCK_STALLED',
      'ERR_HEAP_LOCK_STALLED',
    ]);
    there.detach();
    expect(references(area)).toBe(1);
  });

  it('leaves the reference to the next attachment of the same participant', () => {
    const { area, other, there } = setting();
    underAreaLock(area, () => codeOf(() => there.detach()));
    const again = DsaArea.attach(other, area.handle);
    expect(references(area)).toBe(2);
    // It belongs to the new one, so this takes nothing away.
    there.detach();
    expect(references(area)).toBe(2);
    again.detach();
    expect(references(area)).toBe(1);
    expectSound(area);
  });

  it('is tried again when the participant leaves the cluster', () => {
    const { area, other, there } = setting();
    underAreaLock(area, () => codeOf(() => there.detach()));
    other.leave();
    expect(references(area)).toBe(1);
    expectSound(area);
  });

  it('does not keep a participant in the cluster: the next who attaches voids its reference', () => {
    const { dsm, area, other } = setting();
    expect(underAreaLock(area, () => codeOf(() => other.leave()))).toBe('ERR_HEAP_LOCK_STALLED');
    expect([dsm.stats().participants, references(area)]).toEqual([1, 2]);
    other.leave();
    const third = another(dsm);
    const again = DsaArea.attach(third, area.handle);
    expect(references(area)).toBe(2);
    again.detach();
    area.detach();
    expect(dsm.stats().segments).toEqual([]);
  });

  it('after which the one who is left is the last, and its detach destroys the area', () => {
    const { dsm, area, other, there } = setting();
    underAreaLock(area, () => codeOf(() => there.detach()));
    area.detach();
    expect(dsm.stats().segments).toHaveLength(2);
    there.detach();
    expect(dsm.stats().segments).toEqual([]);
    // The pages can be had again, and are nobody else's.
    const next = other.create(4 * MIB)!;
    next.i32.fill(7);
    other.leave();
    expect(dsm.stats().segments).toEqual([]);
  });

  it('is reported by a resource owner', () => {
    const { area, other, there } = setting();
    there.detach();
    const owner = new ResourceOwner(other, 'scope');
    other.currentOwner = owner;
    DsaArea.attach(other, area.handle);
    other.currentOwner = null;
    expect(underAreaLock(area, () => codeOf(() => owner.release()))).toBe('ERR_HEAP_LOCK_STALLED');
    expect(references(area)).toBe(2);
    other.leave();
    expect(references(area)).toBe(1);
  });
});

describe('the error of a lock that stalls', () => {
  it('names a registered tranche', () => {
    const dsm = newCluster({ lockTimeout: 20 });
    const area = DsaArea.create(dsm, { trancheId: dsm.tranches.newTrancheId('my own locks') });
    const other = another(dsm);
    const there = DsaArea.attach(other, area.handle);
    const calls = [
      () => there.setSizeLimit(10),
      () => there.getTotalSize(),
      () => DsaArea.getTotalSizeFromHandle(other, area.handle),
      () => there.allocate(100_000),
      () => there.detach(),
    ];
    const texts = underAreaLock(area, () => calls.map((call) => textOf(call)));
    for (const text of texts) expect(text).toContain('ERR_HEAP_LOCK_STALLED');
    for (const text of texts) expect(text).toContain('lock "my own locks"');
    there.detach();
  });
});

describe.each(STORES)('a control lock that stalls on %s', (store) => {
  it('while a segment is given back: it goes at the next call', () => {
    const dsm = newCluster({ store, lockTimeout: 20 });
    const holder = another(dsm);
    const area = DsaArea.create(dsm, { initSegmentSize: MIB });
    // Superblocks of 64 KiB: more than the first segment holds.
    const objects = Array.from({ length: 200 }, () => area.allocate(8192));
    expect(dsm.stats().segments).toHaveLength(2);
    for (const object of objects) {
      expect(underControlLock(holder, () => codeOf(() => area.free(object)))).toBe('nothing');
    }
    expect(underControlLock(holder, () => codeOf(() => area.trim()))).toBe('nothing');
    expect(holder.stats().segments).toHaveLength(2);
    expect(dsm.stats().segments).toHaveLength(1);
    expectSound(area);
    area.detach();
    expect(dsm.stats().segments).toEqual([]);
  });

  it('while the last one leaves an area: all its segments go at the next call', () => {
    const dsm = newCluster({ store, lockTimeout: 20 });
    const holder = another(dsm);
    const area = DsaArea.create(dsm, { initSegmentSize: MIB });
    for (let k = 0; k < 5; k++) area.allocate(3 * MIB);
    const { parks } = dsm.participant;
    expect(underControlLock(holder, () => codeOf(() => area.detach()))).toBe('ERR_HEAP_LOCK_STALLED');
    // It does not wait once for each segment.
    expect(dsm.participant.parks - parks).toBeLessThanOrEqual(6);
    expect(holder.stats().segments.length).toBeGreaterThan(3);
    expect(dsm.stats().segments).toEqual([]);
  });

  it('while the last one leaves an in-place area: the same', () => {
    const dsm = newCluster({ store, lockTimeout: 20 });
    const holder = another(dsm);
    const area = DsaArea.createInPlace(dsm, { buffer: new SharedArrayBuffer(65536) }, 65536);
    area.allocate(3 * MIB);
    expect(underControlLock(holder, () => codeOf(() => area.releaseInPlace()))).toBe('nothing');
    expect(holder.stats().segments).toHaveLength(2);
    area.detach();
    expect(dsm.stats().segments).toEqual([]);
  });
});
