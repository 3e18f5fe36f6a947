/** PostgreSQL's own test module test_dsa, rebuilt with its sizes and counts. */

import { describe, expect, it } from 'vitest';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { ResourceOwner } from '../../dist/dsm/dsm.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { bytesOf, expectSound, freeAll, holds, newArea, newCluster, PAGE, shake, STORES } from './helpers.js';

describe.each(STORES)('test_dsa on %s', (store) => {
  it('test_dsa_basic: 100 objects of 1000 bytes, written, read back, freed', () => {
    const { dsm, area } = newArea({}, { store });
    const pointers: DsaPointer[] = [];
    for (let k = 0; k < 100; k++) {
      const pointer = area.allocate(1000);
      bytesOf(area, pointer, 1000).set(new TextEncoder().encode(`foobar${k}`.padEnd(1000, '\0')));
      pointers.push(pointer);
    }
    for (const [k, pointer] of pointers.entries()) {
      const text = new TextDecoder().decode(bytesOf(area, pointer, 1000).slice());
      expect(text.replace(/\0+$/, '')).toBe(`foobar${k}`);
    }
    expectSound(area);
    freeAll(area, pointers);
    expectSound(area);
    area.detach();
    expect(dsm.stats().segments).toEqual([]);
  });

  it('test_dsa_resowners: 10000 allocations under a child owner outlive it', () => {
    const dsm = newCluster({ store });
    const owner = new ResourceOwner(dsm, 'area');
    dsm.currentOwner = owner;
    const area = DsaArea.create(dsm);
    const child = new ResourceOwner(dsm, 'child', owner);
    dsm.currentOwner = child;
    const pointers = Array.from({ length: 10000 }, () => area.allocate(1000));
    for (const [k, pointer] of pointers.entries()) bytesOf(area, pointer, 1000).fill(k & 255);
    expect(area.segments().length).toBeGreaterThan(4);
    freeAll(area, pointers.splice(0, 500));
    expectSound(area);
    dsm.currentOwner = owner;
    expect(child.release()).toBe(0);
    // Every segment that came under the child is still mapped and used.
    expect(area.mappedSegments()).toEqual(area.segments().map(({ index }) => index));
    for (const [k, pointer] of pointers.entries()) {
      expect(holds(area, pointer, 1000, (k + 500) & 255)).toBe(true);
    }
    const more = Array.from({ length: 3000 }, () => area.allocate(2000));
    expectSound(area);
    freeAll(area, more);
    freeAll(area, pointers);
    area.trim();
    expect(area.segments().map(({ index }) => index)).toEqual([0]);
    expectSound(area);
    area.detach();
    expect(dsm.stats().segments).toEqual([]);
    dsm.currentOwner = null;
    expect(owner.release()).toBe(0);
  });

  it.each([
    [1001, 2000, 100],
    [6501, 6600, 100],
  ])('test_dsa_allocate(%i, %i, %i): one object of n pages in a fresh area', (from, to, step) => {
    const dsm = newCluster({ store });
    for (let pages = from; pages <= to; pages += step) {
      const area = DsaArea.create(dsm);
      const pointer = area.allocate(pages * PAGE);
      const bytes = bytesOf(area, pointer, pages * PAGE);
      bytes[0] = 1;
      bytes[bytes.length - 1] = 2;
      expect([area.sizeOf(pointer), bytes[0], bytes.at(-1)]).toEqual([pages * PAGE, 1, 2]);
      expectSound(area);
      area.free(pointer);
      expectSound(area);
      shake(area);
      expect(area.getTotalSize()).toBe(1048576);
      area.detach();
    }
    expect(dsm.stats().segments).toEqual([]);
  });
});
