/** Maps for tests: a cluster, its area, and a registry of one thread that hands out blocks from the same area. */

import { expect } from 'vitest';
import { DsaArea } from '../../dist/dsa/dsa.js';
import type { Dsm, DsmOptions } from '../../dist/dsm/dsm.js';
import type { HeapMap } from '../../dist/heap/map.js';
import type { MapKeyOf, MapOptions, MapPlace, MapValueOf } from '../../dist/heap/map-open.js';
import { HeapMaps } from '../../dist/heap/maps.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { newCluster } from '../dsa/helpers.js';

export class World {
  readonly dsm: Dsm;
  readonly area: DsaArea;
  /** Where the blocks are, by name; what a worker needs. */
  readonly blocks = new Map<string, DsaPointer>();
  readonly #maps = new HeapMaps();

  constructor(options: DsmOptions = {}, area: { initSegmentSize?: number; maxSegmentSize?: number } = {}) {
    this.dsm = newCluster(options);
    this.area = DsaArea.create(this.dsm, area);
  }

  /** The stand-in for the registry. */
  block(name: string, init: (place: MapPlace) => void, size = 32): MapPlace {
    const known = this.blocks.get(name);
    const pointer = known ?? this.area.allocate(size, 4);
    const place = { i32: this.area.segmentI32(0), word: pointer / 4 };
    if (known === undefined) {
      try {
        init(place);
      } catch (error) {
        this.area.free(pointer);
        throw error;
      }
    }
    this.blocks.set(name, pointer);
    return place;
  }

  map<const O extends MapOptions>(name: string, options: O, maps = this.#maps): HeapMap<MapKeyOf<O>, MapValueOf<O>> {
    const registry = {
      block: (n: string, _kind: 'map', size: number, init: (p: MapPlace) => void) => this.block(n, init, size),
    };
    return maps.open(this.area, () => registry, name, options);
  }
}

/** Fails unless all invariants of the map, its table and the area hold. */
export function expectMapSound(map: HeapMap<never, never>, area: DsaArea): void {
  expect(map.verify().findings).toEqual([]);
  expect(area.verify().findings.filter(({ severity }) => severity === 'error')).toEqual([]);
}

/** An area of small segments. */
export const SMALL = { initSegmentSize: 2 ** 18, maxSegmentSize: 2 ** 18 };
/** Sizes of objects that leave nothing when they are taken until there is no more. */
const ALL_SIZES = [65_536, 8192, 4096, 2048, 1024, 512, 256, 128, 32, 8];

/** Takes all memory that the area has, and forbids more. */
export function exhaust({ area }: World): DsaPointer[] {
  area.setSizeLimit(area.getTotalSize());
  const taken: DsaPointer[] = [];
  for (const size of ALL_SIZES) for (let p = area.allocate(size, 2); p !== 0; p = area.allocate(size, 2)) taken.push(p);
  return taken;
}
