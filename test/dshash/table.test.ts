import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DsaArea, usableSize } from '../../dist/dsa/dsa.js';
import { DshashTable, memoryKeys } from '../../dist/dshash/dshash.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { TRANCHE_PGSTATS_HASH } from '../../dist/sync/sync.js';
import { another, codeOf, newArea, newCluster, STORES } from '../dsa/helpers.js';
import { contents, COUNTERS, expectTableSound, NUMBER, put, read } from './helpers.js';

const sizeOf = (table: DshashTable<string>): number => Number(/size = (\d+)/.exec(table.dump())![1]);

describe('placement', () => {
  it('puts control and buckets of the first table of an area where C does', () => {
    const { area } = newArea();
    const table = DshashTable.create(area, COUNTERS);
    expect(table.handle).toBe(0x4000);
    const first = area.allocate(1024);
    expect(first).toBe(0x14000 + usableSize(1024));
    expect(area.sizeOf(table.handle)).toBe(3120);
  });

  it('takes 16 bytes beside the entry for an item', () => {
    const { area } = newArea();
    const table = DshashTable.create(area, COUNTERS);
    const entry = table.findOrInsert('a') as DsaPointer;
    expect(area.sizeOf((entry - 16) as DsaPointer)).toBe(usableSize(48));
    expect(area.getAddress(entry)!.byteOffset % 8).toBe(0);
    table.releaseLock(entry);
  });

  it('grows first when a second key comes into a partition', () => {
    const { area } = newArea();
    const table = DshashTable.create(area, COUNTERS);
    const partitions = new Set<number>();
    const partition = (key: string): number => COUNTERS.hash(key, undefined) >>> 25;
    for (let n = 0; !partitions.has(partition(`${n}`)); n++) {
      expect(sizeOf(table)).toBe(128);
      put(table, `${n}`, n);
      partitions.add(partition(`${n}`));
    }
    put(table, `${partitions.size}`, 0);
    expect(sizeOf(table)).toBe(256);
  });
});

describe.each(STORES)('a table on %s', (store) => {
  it('does what a Map does, through two participants, through growth', () => {
    const dsm = newCluster({ store });
    const area = DsaArea.create(dsm);
    const empty = area.stats().liveObjects;
    const key = fc.integer({ min: 0, max: 400 }).map((n) => `key ${n} ${'ä'.repeat(n % 8)}`);
    const op = fc.record({ who: fc.nat(1), what: fc.nat(9), key, value: fc.integer({ min: -5, max: 5 }) });
    const other = DsaArea.attach(another(dsm), area.handle);
    fc.assert(
      fc.property(fc.array(op, { maxLength: 600 }), (ops) => {
        const table = DshashTable.create(area, COUNTERS);
        const both = [table, DshashTable.attach(other, COUNTERS, table.handle)];
        const model = new Map<string, number>();
        for (const { who, what, key, value } of ops) {
          const t = both[who]!;
          if (what < 6) {
            expect(put(t, key, value)).toBe(true);
            expect(t.found).toBe(model.has(key));
            model.set(key, value);
          } else if (what < 8) expect(read(t, key)).toBe(model.get(key));
          else expect(t.deleteKey(key)).toBe(model.delete(key));
        }
        expect(table.size).toBe(model.size);
        expect(contents(both[1]!)).toEqual(model);
        expectTableSound(table, area);
        expect(area.stats().liveObjects).toBe(empty + 2 + model.size);
        table.destroy();
        expect(area.stats().liveObjects).toBe(empty);
      }),
      { numRuns: 30 },
    );
  });

  it('keeps 20,000 entries in chains of about one through eight doublings', () => {
    const dsm = newCluster({ store });
    const area = DsaArea.create(dsm);
    const table = DshashTable.create(area, COUNTERS);
    for (let n = 0; n < 20_000; n++) put(table, `entry ${n}`, n);
    for (let n = 0; n < 20_000; n++) expect(read(table, `entry ${n}`)).toBe(n);
    expect(sizeOf(table)).toBe(32_768);
    const lengths = [...table.dump().matchAll(/bucket \d+ \(key count = (\d+)\)/g)].map(([, n]) => Number(n));
    expect(lengths).toHaveLength(32_768);
    expect(lengths.reduce((sum, n) => sum + n, 0)).toBe(20_000);
    // Random keys leave 54 % empty and none above 9 but once in a million tables.
    expect(Math.max(...lengths)).toBeLessThan(10);
    expectTableSound(table, area);
    table.destroy();
    expect(area.stats().liveObjects).toBe(0);
  });

  it('deletes entries by themselves, and while scanning', () => {
    const area = DsaArea.create(newCluster({ store }));
    const table = DshashTable.create(area, COUNTERS);
    for (let n = 0; n < 1000; n++) put(table, `${n}`, n);
    const scan = table.scan(true);
    for (let entry = scan.next(); entry !== 0; entry = scan.next()) {
      if (scan.words[scan.entryWord + NUMBER]! % 3 === 0) scan.deleteCurrent();
    }
    scan.term();
    const entry = table.find('1', true) as DsaPointer;
    table.deleteEntry(entry);
    const fresh = table.findOrInsert('new') as DsaPointer;
    table.deleteEntry(fresh);
    expect(table.size).toBe(665);
    const left = [...contents(table).values()].sort((a, b) => a - b);
    expect(left).toEqual(Array.from({ length: 1000 }, (_, n) => n).filter((n) => n % 3 !== 0 && n !== 1));
    expectTableSound(table, area);
  });
});

describe('the locks', () => {
  it('let readers read beside each other and keep writers out', () => {
    const dsm = newCluster({ lockTimeout: 30 });
    const area = DsaArea.create(dsm);
    const table = DshashTable.create(area, COUNTERS);
    const other = DshashTable.attach(DsaArea.attach(another(dsm), area.handle), COUNTERS, table.handle);
    put(table, 'a', 1);
    const mine = table.find('a', false) as DsaPointer;
    expect(read(other, 'a')).toBe(1);
    expect(codeOf(() => other.find('a', true))).toBe('ERR_HEAP_LOCK_STALLED');
    table.releaseLock(mine);
    const theirs = other.find('a', true) as DsaPointer;
    expect(codeOf(() => read(table, 'a'))).toBe('ERR_HEAP_LOCK_STALLED');
    expect(codeOf(() => table.dump())).toBe('ERR_HEAP_LOCK_STALLED');
    other.releaseLock(theirs);
    expect(read(table, 'a')).toBe(1);
    expect(dsm.participant.nheld).toBe(0);
  });

  it('refuse a second entry of the same participant, through whatever object', () => {
    const { area } = newArea();
    const table = DshashTable.create(area, COUNTERS);
    const twin = DshashTable.attach(area, COUNTERS, table.handle);
    const entry = table.findOrInsert('a') as DsaPointer;
    for (const t of [table, twin]) {
      for (const action of [
        () => t.find('b', false),
        () => t.findOrInsert('b'),
        () => t.deleteKey('b'),
        () => t.scan(false),
        () => t.dump(),
        () => t.destroy(),
      ]) {
        expect(codeOf(action)).toBe('ERR_HEAP_LOCK_SELF');
      }
    }
    expect(codeOf(() => table.detach())).toBe('ERR_HEAP_LOCK_SELF');
    table.releaseLock(entry);
    expect(twin.deleteKey('a')).toBe(true);
  });

  it('are held by a scan from its first step to its end', () => {
    const { dsm, area } = newArea();
    const table = DshashTable.create(area, COUNTERS);
    put(table, 'a', 1);
    const scan = table.scan(false);
    expect(dsm.participant.nheld).toBe(0);
    expect(scan.next()).not.toBe(0);
    expect(codeOf(() => table.find('a', false))).toBe('ERR_HEAP_LOCK_SELF');
    expect(codeOf(() => scan.deleteCurrent())).toBe('ERR_HEAP_LOCK_NOT_HELD');
    expect(scan.next()).toBe(0);
    expect(dsm.participant.nheld).toBe(1);
    scan.term();
    scan.term();
    expect(dsm.participant.nheld).toBe(0);
    expect(codeOf(() => scan.next())).toBe('ERR_HEAP_CLOSED');
    expect(read(table, 'a')).toBe(1);
  });

  it('are given back when a key function throws, and nothing has changed', () => {
    const { dsm, area } = newArea();
    let failing = '';
    const oops = (which: string): void => {
      if (which === failing) throw new Error(which);
    };
    const keys = memoryKeys(8);
    const table = DshashTable.create(area, {
      entrySize: 8,
      keySize: 8,
      trancheId: TRANCHE_PGSTATS_HASH,
      hash: (key: Uint8Array) => (oops('hash'), keys.hash(key, undefined)),
      equals: (words, at, key) => (oops('equals'), keys.equals(words, at, key, undefined)),
      copy: (words, at, key) => (oops('copy'), keys.copy(words, at, key, undefined)),
    });
    const key = new Uint8Array(8);
    table.releaseLock(table.findOrInsert(key) as DsaPointer);
    const before = area.stats().liveObjects;
    for (failing of ['hash', 'equals', 'copy']) {
      const wanted = failing === 'copy' ? new Uint8Array(8).fill(1) : key;
      expect(() => table.findOrInsert(wanted)).toThrow(failing);
      expect(dsm.participant.nheld).toBe(0);
      expect(area.stats().liveObjects).toBe(before);
    }
    failing = '';
    expect(table.size).toBe(1);
    expectTableSound(table, area);
  });
});
