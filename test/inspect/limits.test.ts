/** Each limit says which it is, its value, what was asked, and what to change. */

import { describe, expect, it, onTestFinished } from 'vitest';
import { DSA_ALLOC_HUGE, DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { DshashTable, stringKeys } from '../../dist/dshash/dshash.js';
import { SharedHeap } from '../../dist/heap/heap.js';
import { Registry } from '../../dist/registry/registry.js';
import { TRANCHE_DSA } from '../../dist/sync/sync.js';
import { errorOf, MiB, newDsm, STORES } from '../registry/helpers.js';

const nothing = () => {};

/** An error with its code, and with all of these in its detail and hint. */
function expectError(action: () => unknown, code: string, detail: (string | number)[], hint: RegExp): void {
  const error = errorOf(action);
  expect(error).toMatchObject({ code });
  for (const part of detail) expect(error.detail).toContain(String(part));
  expect(error.hint).toMatch(hint);
}

describe.each(STORES)('on %s', (store) => {
  it('the size limit of an area', () => {
    const area = DsaArea.create(newDsm(store));
    area.setSizeLimit(1_500_000);
    const size = 3 * MiB;
    const left = `size limit of 1500000 bytes leaves ${1_500_000 - MiB}`;
    const detail = [`request of ${size} bytes`, '1048576 bytes in segments 0 to 0', left];
    expectError(() => area.allocate(size), 'ERR_HEAP_OUT_OF_MEMORY', detail, /setLimit/);
    area.setSizeLimit(10);
    const table = () => DshashTable.create(area, { ...stringKeys(8), entrySize: 8, trancheId: TRANCHE_DSA });
    for (let n = 0; n < 1000; n++) {
      try {
        table();
      } catch {
        break;
      }
    }
    expectError(table, 'ERR_HEAP_OUT_OF_MEMORY', ['size limit of 10 bytes leaves 0'], /setSizeLimit/);
  });

  it('the limit of a heap', () => {
    const heap = SharedHeap.create({ store, limit: '2MiB' });
    onTestFinished(() => heap.close());
    const detail = ['request of 3145728 bytes', 'size limit of 2097152 bytes leaves 1048576'];
    expectError(() => heap.alloc('3MiB'), 'ERR_HEAP_OUT_OF_MEMORY', detail, /raise the size limit/);
  });

  it('the size of a request', () => {
    const area = DsaArea.create(newDsm(store));
    expectError(() => area.allocate(2 ** 30), 'ERR_HEAP_BAD_SIZE', ['1 to 1073741823'], /DSA_ALLOC_HUGE/);
    const most = 2 ** 40;
    const detail = [`request of ${most} bytes`, `at most ${most} bytes`];
    expectError(() => area.allocate(most, DSA_ALLOC_HUGE), 'ERR_HEAP_OUT_OF_MEMORY', detail, /Ask for less/);
  });

  it('the slots for segments', () => {
    const dsm = newDsm(store, { segments: 2 });
    dsm.create(1);
    const registry = Registry.open(dsm);
    const detail = ['all 2 slots'];
    expectError(() => dsm.create(5000), 'ERR_HEAP_SEGMENT_SLOTS', [...detail, 'segment of 5000 bytes'], /`segments`/);
    expectError(
      () => registry.getNamedArea('a'),
      'ERR_HEAP_SEGMENT_SLOTS',
      [...detail, 'area of 1048576'],
      /`segments`/,
    );
    expectError(() => registry.root.area.allocate(3 * MiB), 'ERR_HEAP_SEGMENT_SLOTS', detail, /`segments`/);
  });

  it('the slots for participants', () => {
    const dsm = newDsm(store, { participants: 2 });
    const second = Dsm.join(dsm.handle);
    expectError(() => Dsm.join(dsm.handle), 'ERR_HEAP_PARTICIPANT_SLOTS', ['2 slots'], /participants option/);
    second.leave();
  });

  it('the size of a segment', () => {
    const dsm = newDsm(store);
    const most = 2 ** 40;
    expectError(() => dsm.create(most + 1), 'ERR_HEAP_BAD_SIZE', [`got ${most + 1}`, `1 to ${most}`], /Ask for less/);
  });

  it('the tranches, and the length of their names', () => {
    const { tranches } = newDsm(store);
    expectError(() => tranches.newTrancheId('x'.repeat(64)), 'ERR_HEAP_TRANCHE', ['64 bytes, at most 63'], /shorter/);
    for (let n = 0; n < 256; n++) tranches.newTrancheId(`${n}`);
    expectError(() => tranches.newTrancheId('x'), 'ERR_HEAP_TRANCHE', ['one more', 'all 256 ids'], /share a tranche/);
  });

  it('the length of a name, the size of a block, the kind that a name has', () => {
    const registry = Registry.open(newDsm(store));
    const block = (name: string, size: number) => registry.block(name, 'lock', size, nothing);
    expectError(() => block('x'.repeat(200), 8), 'ERR_HEAP_BAD_NAME', [200, 'at most 127'], /1 to 127 bytes/);
    block('a', 8);
    expectError(
      () => block('a', 9),
      'ERR_HEAP_SIZE_MISMATCH',
      ['"a"', 'has 8 bytes', 'asked for were 9'],
      /another name/,
    );
    expectError(() => registry.getNamedArea('a'), 'ERR_HEAP_TYPE_MISMATCH', ['"a" is a lock'], /another name/);
  });
});

it.each(STORES)('what a map may grow to, on %s', (store) => {
  const heap = SharedHeap.create({ store, limit: '2MiB' });
  onTestFinished(() => heap.close());
  const map = heap.map('a map', { key: 'number', value: 'bytes' });
  let n = 0;
  const fill = () => {
    for (;;) map.set(n++, new Uint8Array(8000));
  };
  expectError(fill, 'ERR_HEAP_OUT_OF_MEMORY', ["map 'a map': request of", 'size limit of 2097152'], /setLimit/);
  expect(n).toBeGreaterThan(50);
});

it('the region', () => {
  const dsm = newDsm('region', { regionSize: 8 * MiB });
  const area = DsaArea.create(dsm);
  const left = () => dsm.stats().largestFreeBytes!;
  const wanted = 100 * MiB;
  const region = `region of ${8 * MiB} bytes has ${left()} left in one piece`;
  const detail = (what: string) => [`${what} of ${wanted} bytes`, region];
  expectError(() => area.allocate(wanted), 'ERR_HEAP_OUT_OF_MEMORY', detail('request'), /`regionSize`/);
  expectError(() => dsm.create(wanted), 'ERR_HEAP_OUT_OF_MEMORY', detail('segment'), /`regionSize`/);
});

it('the memory that the engine gives to a buffer', () => {
  const dsm = newDsm('buffers');
  const area = DsaArea.create(dsm);
  const wanted = 2 ** 39;
  const refused = 'engine refused a SharedArrayBuffer';
  const request = () => area.allocate(wanted, DSA_ALLOC_HUGE);
  expectError(
    request,
    'ERR_HEAP_OUT_OF_MEMORY',
    [`request of ${wanted} bytes`, refused],
    /memory limit of the process/,
  );
  expectError(
    () => dsm.create(wanted),
    'ERR_HEAP_OUT_OF_MEMORY',
    [`segment of ${wanted} bytes`, refused],
    /ask for less/,
  );
});

it('the segments of an area', () => {
  const dsm = newDsm('region', { segments: 2000, regionSize: 1024 * MiB });
  const area = DsaArea.create(dsm, { initSegmentSize: 256 * 1024, maxSegmentSize: 256 * 1024 });
  let made = 0;
  const fill = () => {
    for (;;) {
      area.allocate(128 * 1024);
      made++;
    }
  };
  expectError(fill, 'ERR_HEAP_OUT_OF_MEMORY', ['request of 131072 bytes', 'all 1024 segments'], /`maxSegmentSize`/);
  expect(made).toBe(1024);
});
