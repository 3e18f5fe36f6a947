/** Participants whose layouts of areas or hash tables differ refuse each other, before anything is touched. */

import { describe, expect, it } from 'vitest';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { DshashTable, stringKeys } from '../../dist/dshash/dshash.js';
import { type Dsm, LAYER_DSA, LAYER_DSHASH } from '../../dist/dsm/dsm.js';
import { ClusterControl } from '../../dist/dsm/control-layout.js';
import { SharedHeap } from '../../dist/heap/heap.js';
import { TRANCHE_DSA } from '../../dist/sync/sync.js';
import { another, codeOf, expectSound, newArea, newCluster, STORES } from './helpers.js';

const word = (layer: number) => ClusterControl.layers / 4 + layer;
const PARAMETERS = { ...stringKeys(24), entrySize: 32, trancheId: TRANCHE_DSA };

/** Runs `action` as if other participants had another layout of the layer. */
function amongOthers<T>(dsm: Dsm, layer: number, action: () => T): T {
  const mine = dsm.control[word(layer)]!;
  dsm.control[word(layer)] = mine ^ 1;
  const result = action();
  expect(dsm.control[word(layer)]).toBe(mine ^ 1);
  dsm.control[word(layer)] = mine;
  return result;
}

describe.each(STORES)('another layout on %s', (store) => {
  it('of areas: none is made or attached', () => {
    const { dsm, area } = newArea({}, { store });
    const other = another(dsm);
    const buffer = new SharedArrayBuffer(65536);
    const before = [dsm.stats(), area.dump()];
    const calls = [
      () => DsaArea.create(other),
      () => DsaArea.attach(other, area.handle),
      () => DsaArea.createInPlace(other, { buffer }, 65536),
      () => DsaArea.attachInPlace(other, { buffer }),
      () => DsaArea.getTotalSizeFromHandle(other, area.handle),
    ];
    expect(amongOthers(dsm, LAYER_DSA, () => calls.map(codeOf))).toEqual(calls.map(() => 'ERR_HEAP_VERSION'));
    expect([dsm.stats(), area.dump()]).toEqual(before);
    DsaArea.attach(other, area.handle).detach();
    expectSound(area);
  });

  it('of areas: a heap cannot be attached, and its participants are as before', () => {
    const heap = SharedHeap.create({ store });
    const { dsm } = (heap as unknown as { area: DsaArea }).area.state;
    expect(amongOthers(dsm, LAYER_DSA, () => codeOf(() => SharedHeap.attach(heap.handle)))).toBe('ERR_HEAP_VERSION');
    expect(dsm.stats().participants).toBe(1);
    SharedHeap.attach(heap.handle).close();
    heap.close();
  });

  it('of hash tables: none is made or attached', () => {
    const { dsm, area } = newArea({}, { store });
    const table = DshashTable.create(area, PARAMETERS);
    const before = area.dump();
    const calls = [
      () => DshashTable.create(area, PARAMETERS),
      () => DshashTable.attach(area, PARAMETERS, table.handle),
    ];
    expect(amongOthers(dsm, LAYER_DSHASH, () => calls.map(codeOf))).toEqual(calls.map(() => 'ERR_HEAP_VERSION'));
    expect(area.dump()).toBe(before);
    table.detach();
  });

  it('is noted by the first who uses the layer only', () => {
    const dsm = newCluster({ store });
    expect([dsm.control[word(LAYER_DSA)], dsm.control[word(LAYER_DSHASH)]]).toEqual([0, 0]);
    DsaArea.create(dsm);
    expect(dsm.control[word(LAYER_DSA)]).not.toBe(0);
    expect(dsm.control[word(LAYER_DSHASH)]).toBe(0);
  });
});
