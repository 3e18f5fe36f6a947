/** The checker of clusters: silent on sound ones, and each broken invariant is found by its number. */

import { describe, expect, it, onTestFinished } from 'vitest';
import { ClusterControl, DsmControlHeader, DsmControlItem } from '../../dist/dsm/control-layout.js';
import { type ClusterReport, Dsm, verifyCluster } from '../../dist/dsm/dsm.js';
import { CONTROL_LOCK, CONTROL_NS } from '../../dist/dsm/failures.js';
import {
  HAS_WAITERS,
  LOCK_STATE,
  lwlockAcquireExclusive,
  lwlockRelease,
  ParticipantSlot,
  POISONED,
  SLOT_FREE,
  STATE,
  WAIT_NS,
  WAIT_SEQ,
  WAIT_WORD_LO,
} from '../../dist/sync/sync.js';
import { codeOf, make, makeCluster, MiB, pageManager, type Store, STORES } from './helpers.js';

/** Ids of the errors of a report, each once, in order. */
function ids(report: ClusterReport, severity = 'error'): string[] {
  return [...new Set(report.findings.filter((f) => f.severity === severity).map(({ id }) => id))].sort();
}

/** A cluster of two participants with a few segments: mapped by both, pinned, given back. */
function busy(store: Store): { dsm: Dsm; other: Dsm } {
  const dsm = makeCluster(store);
  const other = Dsm.join(dsm.handle);
  const first = make(dsm, 10_000);
  other.attach(first.handle);
  make(dsm, 3 * MiB).pinSegment();
  const gone = make(dsm, 70_000);
  make(dsm, 1).pinSegment();
  make(other, 4096);
  gone.detach();
  onTestFinished(() => {
    other.leave();
    dsm.leave();
  });
  return { dsm, other };
}

/** Word of the item of a slot in the control memory. */
function item(dsm: Dsm, slot: number, field: number): number {
  const at = dsm.control[ClusterControl.dsm_at / 4]! + DsmControlHeader.SIZEOF + slot * DsmControlItem.SIZEOF;
  return (at + field) / 4;
}

/** Changes words, takes a report, and changes them back. */
function doctored(dsm: Dsm, words: readonly (readonly [at: number, value: number])[]): ClusterReport {
  const { control } = dsm;
  const right = words.map(([at]) => control[at]!);
  for (const [at, value] of words) control[at] = value;
  const report = verifyCluster(dsm);
  for (const [i, [at]] of words.entries()) control[at] = right[i]!;
  return report;
}

describe.each(STORES)('on %s', (store) => {
  it('says nothing about sound clusters', () => {
    const fresh = makeCluster(store);
    expect(verifyCluster(fresh)).toMatchObject({ ok: true, findings: [], unlisted: 0, losses: { rootPages: 0 } });
    fresh.leave();
    const { dsm, other } = busy(store);
    for (const participant of [dsm, other]) {
      for (const quiescent of [true, false]) {
        const report = verifyCluster(participant, { quiescent });
        expect(report).toMatchObject({ ok: true, findings: [] });
        expect(report.checks).toBeGreaterThan(20);
      }
    }
    expect(JSON.parse(JSON.stringify(verifyCluster(dsm)))).toEqual(verifyCluster(dsm));
  });

  it('accounts for every page of the region', () => {
    const { dsm } = busy(store);
    const { accounting } = verifyCluster(dsm);
    if (store === 'buffers') {
      expect(accounting).toBeNull();
      return;
    }
    const { pages, control, segments, tree, recycle, free, lost } = accounting!;
    expect([pages, control]).toEqual([4096, dsm.control.byteLength / 4096]);
    expect(segments).toBe(3 + 768 + 1 + 1);
    expect(control + segments + tree + recycle + free + lost).toBe(pages);
    expect([...pageManager(dsm).runs()].reduce((sum, { npages }) => sum + npages, 0)).toBe(free);
  });

  it.each([
    [
      'M1',
      'more slots than there are',
      (d: Dsm) => [item(d, 0, -DsmControlHeader.SIZEOF + DsmControlHeader.nitems), 9999],
    ],
    ['M2', 'a segment that is being destroyed', (d: Dsm) => [item(d, 1, DsmControlItem.refcnt), 1]],
    ['M3', 'a reference too many', (d: Dsm) => [item(d, 0, DsmControlItem.refcnt), 5]],
    ['M3', 'a pin that is not counted', (d: Dsm) => [item(d, 0, DsmControlItem.pinned), 1]],
    ['M4', 'an odd handle', (d: Dsm) => [item(d, 0, DsmControlItem.handle), 77]],
    ['M4', 'one handle twice', (d: Dsm) => [item(d, 0, DsmControlItem.handle), d.control[item(d, 1, 0)]!]],
    ['M6', 'a size that is not that of the pages', (d: Dsm) => [item(d, 0, DsmControlItem.size), 99_999]],
    ['M8', 'a control lock that is held', (d: Dsm) => [CONTROL_LOCK + LOCK_STATE, d.participant.exclusiveWord]],
    ['M8', 'a poisoned control lock', () => [CONTROL_LOCK + LOCK_STATE, POISONED]],
    ['M8', 'a lock of another tranche', () => [CONTROL_LOCK, 1]],
    ['M9', 'another number of participants', () => [ClusterControl.participants / 4, 65]],
    ['M9', 'another magic', () => [0, 1]],
    [
      'M10',
      'more participants than slots',
      (d: Dsm) => [(d.control[ClusterControl.participants_at / 4]! + 4) / 4, 1000],
    ],
    ['M10', 'a reference without a slot', (d: Dsm) => [d.participant.base + ParticipantSlot.mappings / 4 + 9, 4]],
    ['M10', 'a free participant slot that refers', (d: Dsm) => [d.participant.base + STATE, SLOT_FREE]],
  ] as [string, string, (dsm: Dsm) => [number, number]][])('%s: %s', (id, _, word) => {
    const { dsm } = busy(store);
    const report = doctored(dsm, [word(dsm)]);
    expect(report.ok).toBe(false);
    expect(ids(report)).toContain(id);
    expect(verifyCluster(dsm)).toMatchObject({ ok: true, findings: [] });
  });

  it('M3: a reference that is not counted, one that nobody has', () => {
    const { dsm } = busy(store);
    const mappings = dsm.participant.base + ParticipantSlot.mappings / 4;
    expect(ids(doctored(dsm, [[mappings, 0]]))).toEqual(['M3']);
    // Slot 2 was given back.
    expect(ids(doctored(dsm, [[mappings, dsm.control[mappings]! | 4]]))).toEqual(['M3']);
  });

  it('M8: somebody waits for a lock that is free; a flag without waiters is a note', () => {
    const { dsm, other } = busy(store);
    const b = other.participant.base;
    const waiting: [number, number][] = [
      [b + WAIT_SEQ, dsm.control[b + WAIT_SEQ]! | 1],
      [b + WAIT_NS, CONTROL_NS],
      [b + WAIT_WORD_LO, CONTROL_LOCK],
    ];
    expect(ids(doctored(dsm, waiting))).toEqual(['M8']);
    const report = doctored(dsm, [[CONTROL_LOCK + LOCK_STATE, HAS_WAITERS]]);
    expect([report.ok, ids(report), ids(report, 'note')]).toEqual([true, [], ['M8']]);
  });

  it('with others at work it takes the lock, and says when that cannot be had', () => {
    const { dsm, other } = busy(store);
    const { participant, control } = other;
    dsm.participant.lockTimeout = 1;
    expect(lwlockAcquireExclusive(participant, control, CONTROL_LOCK, CONTROL_NS)).not.toBe(0);
    const report = verifyCluster(dsm, { quiescent: false });
    expect(report).toMatchObject({ ok: false, accounting: null });
    expect(ids(report)).toEqual(['M8']);
    expect(ids(verifyCluster(dsm))).toEqual(['M8']);
    lwlockRelease(participant, control, CONTROL_LOCK, CONTROL_NS);
    expect(verifyCluster(dsm, { quiescent: false }).ok).toBe(true);
    expect(dsm.participant.nheld).toBe(0);
  });

  it('wrong use', () => {
    const dsm = makeCluster(store);
    expect(codeOf(() => verifyCluster(dsm, { quiescent: 1 as never }))).toBe('ERR_HEAP_BAD_OPTION');
    expect(codeOf(() => verifyCluster(dsm, null as never))).toBe('ERR_HEAP_BAD_OPTION');
    dsm.leave();
    expect(codeOf(() => verifyCluster(dsm))).toBe('ERR_HEAP_CLOSED');
  });
});

describe('pages of the region', () => {
  it('M5: a segment outside, one that overlaps another, pages that nobody has', () => {
    const { dsm } = busy('region');
    const first = item(dsm, 1, DsmControlItem.first_page);
    expect(ids(doctored(dsm, [[first, 3]]))).toContain('M5');
    expect(ids(doctored(dsm, [[first, 1_000_000]]))).toContain('M5');
    expect(ids(doctored(dsm, [[first, dsm.control[first]! - 1]]))).toEqual(['M5', 'Q10']);
    const refcnt = item(dsm, 1, DsmControlItem.refcnt);
    const forgotten = doctored(dsm, [[refcnt, 0]]);
    expect(ids(forgotten)).toEqual(['M3', 'M5', 'Q9']);
    expect(forgotten.losses.rootPages).toBe(768);
    expect(forgotten.accounting!.lost).toBe(768);
  });

  it('M11: pages beyond those that were ever handed out', () => {
    const { dsm } = busy('region');
    const fresh = ClusterControl.fresh_page / 4;
    expect(ids(doctored(dsm, [[fresh, dsm.control[fresh]! - 1]]))).toEqual(['M11']);
    expect(ids(doctored(dsm, [[fresh, 10_000]]))).toEqual(['M11', 'M9']);
  });

  it('Q: the page manager of the region', () => {
    const { dsm } = busy('region');
    const { a, header } = pageManager(dsm).handle;
    a[header + 12]!++;
    const report = verifyCluster(dsm);
    a[header + 12]!--;
    expect(ids(report)).toEqual(['Q8']);
    expect(report.findings[0]!.message).toMatch(/^region: /);
  });

  it('counts roots that its page manager loses (P7)', () => {
    const dsm = makeCluster('region', { regionSize: 4 * MiB });
    const pages = pageManager(dsm);
    // All but two single pages, which do not touch, and a run of three: the first page of what is free last is the root.
    const all = [];
    for (let page = pages.get(1); page >= 0; page = pages.get(1)) all.push(page);
    const [a] = all;
    pages.put(a!, 1);
    pages.put(a! + 10, 5);
    expect(pages.get(5)).toBe(a! + 10);
    expect(pages.get(1)).toBe(-1);
    for (const page of all) if (page !== a) pages.put(page, 1);
    expect(verifyCluster(dsm)).toMatchObject({ ok: true, losses: { rootPages: 1 }, accounting: { lost: 1 } });
    // Nothing else that is missing looks like a lost root.
    pages.get(1);
    expect(ids(verifyCluster(dsm))).toEqual(['M5', 'Q9']);
    dsm.leave();
  });
});

describe('damage', () => {
  it.each(STORES)('any changed word on %s: an answer, and no other error', (store) => {
    const { dsm } = busy(store);
    const { control } = dsm;
    const end = item(dsm, 6, 0);
    const words = [...Array(128).keys()];
    if (store === 'region') for (let k = 256; k < 256 + 274; k++) words.push(k);
    for (let k = item(dsm, 0, -DsmControlHeader.SIZEOF); k < end; k++) words.push(k);
    for (let k = 0; k < 1024; k++) words.push(dsm.participant.base + k);
    for (const at of words) {
      const right = control[at]!;
      for (const wrong of [0, -1, right ^ 1, right ^ 0x40000000, 0x7fffffff, at]) {
        control[at] = wrong;
        expect(verifyCluster(dsm).checks).toBeLessThan(10_000);
      }
      control[at] = right;
    }
    expect(verifyCluster(dsm)).toMatchObject({ ok: true, findings: [] });
  });
});
