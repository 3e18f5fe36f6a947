/**
 * PostgreSQL's test module test_dsm_registry, rebuilt with the same steps: a value under a lock in a named segment, strings in
 * a named area by way of a named table, all of it seen by sessions that come later, and the view of allocations.
 */

import { describe, expect, it } from 'vitest';
import { type DsaArea, offsetOf, segmentOf } from '../../dist/dsa/dsa.js';
import type { Dsm, DsmSegment } from '../../dist/dsm/dsm.js';
import { type DshashTable, stringKeys } from '../../dist/dshash/dshash.js';
import { ld64, st64 } from '../../dist/layout/layout.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import type { Registry } from '../../dist/registry/registry.js';
import { LWLock, LW_SHARED } from '../../dist/sync/sync.js';
import { expectSound, join, newRegistry, STORES, Thread } from './helpers.js';

/** TestDSMRegistryStruct: the value, then its lock. */
const STRUCT_BYTES = 20;
const LOCK_AT = 4;
/** TestDSMRegistryHashEntry: a key of 64 bytes, a dsa_pointer. */
const PARAMS = { ...stringKeys(64), entrySize: 72 };

/** One backend: what tdr_attach_shmem leaves in its static variables. */
class Session {
  readonly dsm: Dsm;
  readonly registry: Registry;
  readonly segment: DsmSegment;
  readonly area: DsaArea;
  readonly table: DshashTable<string>;
  readonly found: boolean[];
  readonly lock: LWLock;

  constructor(dsm: Dsm, registry: Registry) {
    this.dsm = dsm;
    this.registry = registry;
    const segment = registry.getNamedSegment('test_dsm_registry_segment', STRUCT_BYTES, initSegment, {
      dsm,
      arg: 5432,
    });
    const area = registry.getNamedArea('test_dsm_registry_dsa');
    const table = registry.getNamedHash('test_dsm_registry_hash', PARAMS);
    this.segment = segment.segment;
    this.area = area.area;
    this.table = table.table as DshashTable<string>;
    this.found = [segment.found, area.found, table.found];
    this.lock = new LWLock(dsm.participant, { i32: this.segment.i32, ns: this.segment.handle }, LOCK_AT, dsm.tranches);
  }

  setValInShmem(value: number): void {
    this.lock.acquire();
    this.segment.i32[0] = value;
    this.lock.release();
  }

  getValInShmem(): number {
    this.lock.acquire(LW_SHARED);
    const value = this.segment.i32[0]!;
    this.lock.release();
    return value;
  }

  setValInHash(key: string, text: string): void {
    const bytes = new TextEncoder().encode(`${text}\0`);
    const entry = this.table.findOrInsert(key) as DsaPointer;
    const at = this.table.entryWord + 16;
    const { words, found } = this.table;
    if (found) this.area.free(ld64(words, at) as DsaPointer);
    const pointer = this.area.allocate(bytes.length);
    const { buffer, byteOffset } = this.area.getAddress(pointer)!;
    new Uint8Array(buffer, byteOffset, bytes.length).set(bytes);
    st64(words, at, pointer);
    this.table.releaseLock(entry);
  }

  getValInHash(key: string): string | null {
    const entry = this.table.find(key, false);
    if (entry === 0) return null;
    const pointer = ld64(this.table.words, this.table.entryWord + 16) as DsaPointer;
    this.table.releaseLock(entry);
    const bytes = new Uint8Array(this.area.segmentI32(segmentOf(pointer)).slice(offsetOf(pointer) / 4).buffer);
    return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  }

  view(): unknown[] {
    return this.registry
      .allocations()
      .map(({ name, type, size }) => ({ name, type, size: size! > 0 }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

function initSegment(segment: DsmSegment, { dsm, arg }: { dsm: Dsm; arg: number }): void {
  expect(arg).toBe(5432);
  const tranche = dsm.tranches.newTrancheId('test_dsm_registry');
  LWLock.initialize({ i32: segment.i32, ns: segment.handle }, LOCK_AT, tranche, dsm.tranches);
  segment.i32[0] = 0;
}

describe.each(STORES)('test_dsm_registry on %s', (store) => {
  it('keeps value and strings for sessions that come later', () => {
    const postmaster = newRegistry(store);
    expect(postmaster.registry.allocations()).toEqual([]);
    const first = new Session(postmaster.dsm, postmaster.registry);
    expect(first.found).toEqual([false, false, false]);
    first.setValInShmem(1236);
    first.setValInHash('test', '1414');
    expect(first.lock.tranche).toBe('test_dsm_registry');
    // \c: another session, and the first one disconnects.
    const second = join(postmaster.dsm);
    first.area.detach();
    first.table.area.detach();
    first.segment.detach();
    postmaster.registry.close();
    const session = new Session(second.dsm, second.registry);
    expect(session.found).toEqual([true, true, true]);
    expect(session.getValInShmem()).toBe(1236);
    expect(session.getValInHash('test')).toBe('1414');
    expect(session.getValInHash('other')).toBe(null);
    session.setValInHash('test', 'x'.repeat(3000));
    // And a third, for the view.
    const third = join(postmaster.dsm);
    const last = new Session(third.dsm, third.registry);
    expect(last.getValInHash('test')).toBe('x'.repeat(3000));
    expect(last.view()).toEqual([
      { name: 'test_dsm_registry_dsa', type: 'area', size: true },
      { name: 'test_dsm_registry_hash', type: 'hash', size: true },
      { name: 'test_dsm_registry_segment', type: 'segment', size: true },
    ]);
    expectSound(third);
  });

  it('keeps the value of a thread that has ended', async () => {
    const main = newRegistry(store);
    const thread = new Thread(main.dsm);
    expect(await thread.call('segment', 'test', 20)).toEqual({ found: false, value: 0 });
    await thread.call('set', 1236);
    await thread.call('leave');
    await thread.end();
    const again = new Thread(main.dsm);
    expect(await again.call('segment', 'test', 20)).toEqual({ found: true, value: 1236 });
    expect(main.registry.getNamedSegment('test', 20).segment.i32[0]).toBe(1236);
  });
});
