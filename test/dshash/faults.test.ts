/** Out of memory, wherever it comes, leaves a table as it was; and what is wrong with the arguments is said. */

import { describe, expect, it } from 'vitest';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { DSHASH_INSERT_NO_OOM, DshashTable, memoryKeys, stringKeys } from '../../dist/dshash/dshash.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { codeOf, KIB, newArea, newCluster, STORES } from '../dsa/helpers.js';
import { contents, COUNTERS, expectTableSound, put, read } from './helpers.js';

const SMALL = { initSegmentSize: 256 * KIB, maxSegmentSize: 256 * KIB };

/** Takes all memory of an area but what `free` gives back. */
function exhaust(area: DsaArea): DsaPointer[] {
  area.setSizeLimit(area.getTotalSize());
  const taken: DsaPointer[] = [];
  for (const size of [8192, 1024, 64, 8, 3120]) {
    for (let p = area.allocate(size, 2); p !== 0; p = area.allocate(size, 2)) taken.push(p);
  }
  return taken;
}

describe.each(STORES)('without memory, on %s', (store) => {
  it('creates nothing', () => {
    const area = DsaArea.create(newCluster({ store }), SMALL);
    area.allocate(3112);
    const taken = exhaust(area);
    // At the control object, then, with room for that alone, at the buckets.
    for (let round = 0; round < 2; round++) {
      const live = area.stats().liveObjects;
      const dump = area.dump();
      expect(codeOf(() => DshashTable.create(area, COUNTERS))).toBe('ERR_HEAP_OUT_OF_MEMORY');
      expect(area.stats().liveObjects).toBe(live);
      expect(area.dump().split('\n').length).toBe(dump.split('\n').length);
      const last = taken.pop()!;
      expect(area.sizeOf(last)).toBe(3120);
      area.free(last);
    }
    expect(area.verify().ok).toBe(true);
  });

  it('refuses growth and items, and keeps everything else', () => {
    const area = DsaArea.create(newCluster({ store }), SMALL);
    const table = DshashTable.create(area, COUNTERS);
    const model = new Map<string, number>();
    for (let n = 0; n < 300; n++) {
      put(table, `${n}`, n);
      model.set(`${n}`, n);
    }
    const taken = exhaust(area);
    let refused = 0;
    // One object after the other is given back, the largest first, until all insertions go through.
    for (let n = 300; n < 2000; n++) {
      const before = table.dump();
      if (put(table, `${n}`, n)) {
        model.set(`${n}`, n);
        continue;
      }
      refused++;
      expect(table.dump()).toBe(before);
      expect(codeOf(() => table.findOrInsert(`${n}`))).toBe('ERR_HEAP_OUT_OF_MEMORY');
      expect(table.dump()).toBe(before);
      for (const p of taken.splice(0, 1 + (n % 7))) area.free(p);
    }
    expect(refused).toBeGreaterThan(5);
    expect(contents(table)).toEqual(model);
    for (const p of taken) area.free(p);
    area.setSizeLimit(Number.POSITIVE_INFINITY);
    for (let n = 2000; n < 4000; n++) put(table, `${n}`, n);
    for (const [key, value] of model) expect(read(table, key)).toBe(value);
    expectTableSound(table, area);
    table.destroy();
    expect(area.stats().liveObjects).toBe(0);
  });
});

describe('bad input', () => {
  it.each([
    ['no object', undefined, 'ERR_HEAP_BAD_OPTION'],
    ['a key of no bytes', { ...COUNTERS, keySize: 0 }, 'ERR_HEAP_BAD_OPTION'],
    ['half a byte', { ...COUNTERS, keySize: 1.5 }, 'ERR_HEAP_BAD_OPTION'],
    ['an entry smaller than its key', { ...COUNTERS, entrySize: 23 }, 'ERR_HEAP_BAD_OPTION'],
    [
      'an entry that cuts the last word of its key',
      { ...memoryKeys(5), entrySize: 7, trancheId: 61 },
      'ERR_HEAP_BAD_OPTION',
    ],
    ['a huge entry', { ...COUNTERS, entrySize: 2 ** 30 }, 'ERR_HEAP_BAD_OPTION'],
    ['no hash', { ...COUNTERS, hash: undefined }, 'ERR_HEAP_BAD_OPTION'],
    ['no equals', { ...COUNTERS, equals: 5 }, 'ERR_HEAP_BAD_OPTION'],
    ['no copy', { ...COUNTERS, copy: null }, 'ERR_HEAP_BAD_OPTION'],
    ['an unknown tranche', { ...COUNTERS, trancheId: 300 }, 'ERR_HEAP_TRANCHE'],
    ['no tranche', { ...COUNTERS, trancheId: -1 }, 'ERR_HEAP_BAD_OPTION'],
  ])('parameters with %s', (_what, params, code) => {
    const { area } = newArea();
    const live = area.stats().liveObjects;
    expect(codeOf(() => DshashTable.create(area, params as never))).toBe(code);
    expect(area.stats().liveObjects).toBe(live);
  });

  it('sizes of stock keys', () => {
    for (const size of [0, -1, 1.5, Number.NaN, '8', undefined, 2 ** 21]) {
      expect(codeOf(() => memoryKeys(size as never))).toBe('ERR_HEAP_BAD_OPTION');
      expect(codeOf(() => stringKeys(size as never))).toBe('ERR_HEAP_BAD_OPTION');
    }
  });

  it('areas and handles', () => {
    const { area } = newArea();
    const table = DshashTable.create(area, COUNTERS);
    const object = area.allocate(3120);
    for (const wrong of [0, -1, 1.5, Number.NaN, 'x', null, undefined, object, table.handle + 8, 2 ** 51]) {
      expect(codeOf(() => DshashTable.attach(area, COUNTERS, wrong as never))).toBe('ERR_HEAP_BAD_HANDLE');
    }
    for (const wrong of [null, undefined, {}, 5]) {
      expect(codeOf(() => DshashTable.create(wrong as never, COUNTERS))).toBe('ERR_HEAP_BAD_ARGUMENT');
    }
    expect(codeOf(() => DshashTable.attach(area, {} as never, table.handle))).toBe('ERR_HEAP_BAD_OPTION');
  });

  it('entries, flags and options of calls', () => {
    const { area } = newArea();
    const table = DshashTable.create(area, COUNTERS);
    const entry = table.findOrInsert('a') as DsaPointer;
    for (const wrong of [0, entry - 16, entry + 8, undefined, 'a']) {
      expect(codeOf(() => table.releaseLock(wrong as never))).toBe('ERR_HEAP_LOCK_NOT_HELD');
      expect(codeOf(() => table.deleteEntry(wrong as never))).toBe('ERR_HEAP_LOCK_NOT_HELD');
    }
    table.releaseLock(entry);
    expect(codeOf(() => table.releaseLock(entry))).toBe('ERR_HEAP_LOCK_NOT_HELD');
    const shared = table.find('a', false) as DsaPointer;
    expect(codeOf(() => table.deleteEntry(shared))).toBe('ERR_HEAP_LOCK_NOT_HELD');
    table.releaseLock(shared);
    expect(codeOf(() => table.findOrInsert('b', DSHASH_INSERT_NO_OOM + 1))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(codeOf(() => table.verify({ quiescent: 1 as never }))).toBe('ERR_HEAP_BAD_OPTION');
    expect(codeOf(() => table.find(7 as never, false))).toBe('ERR_HEAP_BAD_ARGUMENT');
    expect(table.size).toBe(1);
  });

  it('tables that are gone', () => {
    const { area } = newArea();
    const table = DshashTable.create(area, COUNTERS);
    const twin = DshashTable.attach(area, COUNTERS, table.handle);
    const gone = DshashTable.attach(area, COUNTERS, table.handle);
    gone.detach();
    gone.detach();
    table.destroy();
    const calls = (t: DshashTable<string>): (() => unknown)[] => [
      () => t.find('a', false),
      () => t.findOrInsert('a'),
      () => t.deleteKey('a'),
      () => t.releaseLock(8 as DsaPointer),
      () => t.scan(true),
      () => t.dump(),
      () => t.verify(),
      () => t.handle,
      () => t.size,
      () => t.destroy(),
    ];
    for (const call of [...calls(table), ...calls(gone)]) expect(codeOf(call)).toBe('ERR_HEAP_CLOSED');
    for (const call of calls(twin)) expect(codeOf(call)).toBe('ERR_HEAP_BAD_HANDLE');
    const last = DshashTable.create(area, COUNTERS);
    area.detach();
    for (const call of calls(last)) expect(codeOf(call)).toBe('ERR_HEAP_CLOSED');
  });
});
