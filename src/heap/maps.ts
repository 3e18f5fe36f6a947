/**
 * The maps that one `SharedHeap` object has open, by name.
 *
 * Private to its participant. The registry is asked once for each name; everything afterwards is between the table and
 * the map. A thread that dies while it makes a map leaves memory behind that nobody knows, and the name to the next one.
 */

import type { DsaArea } from '../dsa/dsa.js';
import { SharedHeapError } from '../errors/errors.js';
import { HeapMap } from './map.js';
import {
  attachMap,
  checkMapOptions,
  createMap,
  MAP_BLOCK_BYTES,
  type MapKeyOf,
  type MapOptions,
  type MapPlace,
  type MapValueOf,
} from './map-open.js';
import type { MapKinds } from './map-state.js';
import { show } from './sizes.js';

/** The registry, as far as maps need it. */
export interface MapRegistry {
  /** A block of this name, made and initialised once however many threads ask. */
  block(name: string, kind: 'map', size: number, init: (block: MapPlace) => void): MapPlace;
}

interface OpenMap {
  readonly map: HeapMap<unknown, unknown>;
  readonly kinds: MapKinds;
}

/** See the head of the file. */
export class HeapMaps {
  readonly #open = new Map<string, OpenMap>();

  /**
   * The map of a name; made if nobody has made it yet. May block on the registry's lock and the locks of the area.
   *
   * @param area the heap's main area
   * @param registry asked when this object has not opened the map yet
   * @throws ERR_HEAP_BAD_OPTION (also when the map exists with other keys or values), ERR_HEAP_OUT_OF_MEMORY, and what
   *   the registry throws for a name
   */
  open<O extends MapOptions>(
    area: DsaArea,
    registry: () => MapRegistry,
    name: string,
    options: O,
  ): HeapMap<MapKeyOf<O>, MapValueOf<O>> {
    const kinds = checkMapOptions(options);
    let known = this.#open.get(name);
    if (known === undefined) {
      const block = registry().block(name, 'map', MAP_BLOCK_BYTES, (place) => createMap(area, place, kinds));
      known = { map: new HeapMap(attachMap(area, block, name, kinds)), kinds };
      this.#open.set(name, known);
    } else if (!sameKinds(known.kinds, kinds)) {
      throw new SharedHeapError('ERR_HEAP_BAD_OPTION', 'the map is open with other keys or values', {
        detail: `map ${show(name)}`,
        hint: 'Give the options that it was opened with.',
      });
    }
    return known.map as HeapMap<MapKeyOf<O>, MapValueOf<O>>;
  }
}

function sameKinds(a: MapKinds, b: MapKinds): boolean {
  return a.key === b.key && a.value === b.value && a.struct?.schema === b.struct?.schema;
}
