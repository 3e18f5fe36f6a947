/**
 * What the memory of a cluster is used for, one row per thing: PostgreSQL's pg_shmem_allocations, with the dynamic memory
 * that PostgreSQL leaves out, and pg_dsm_registry_allocations in one.
 *
 * The rows are disjoint, and their `allocatedSize` adds up exactly to what the cluster has reserved (`reservedBytes` of
 * its statistics), on both stores:
 *
 *     parts of the control segment                               kind 'control'
 *   + the heap: all segments of its area                         'heap'
 *   + names: each block; segments, areas, tables with all theirs 'lock', 'queue', 'segment', 'area', ...
 *   + the registry's own area without these blocks               'registry'
 *   + <anonymous>: segments without a name, and the pages that the page manager of the region keeps or has lost
 *   + free: what new segments can be cut from (`region`)
 *
 * Sizes of segments, and what is free, are read under the DSM control lock at one moment, so the sum is exact also while
 * others are at work; which segment belongs to whom is asked a moment before, and what came in between is anonymous. What a
 * map or a queue has in the heap counts as the heap's.
 */

import { areaSegments, type DsaArea } from '../dsa/dsa.js';
import { type ControlPart, type Dsm, type MemoryMap, memoryMap, type SegmentPlace } from '../dsm/dsm.js';
import { isSharedHeapError } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import type { Registry, RegistryKind, RegistryRow } from '../registry/registry.js';

/** What a row stands for. */
export type AllocationKind = 'control' | 'heap' | 'registry' | RegistryKind | 'anonymous' | 'free';

/** One row; sizes and offsets in bytes. */
export interface AllocationRow {
  /** `<anonymous>` for what has no name; null for what is free. */
  readonly name: string | null;
  /**
   * Where it begins in the reservation; null where it has no place there (`buffers`, anonymous). The free row has the first
   * byte that was never used.
   */
  readonly offset: number | null;
  /** What was asked for. */
  readonly size: number;
  /** What it takes: with padding, rounding and the state that the library keeps beside it. */
  readonly allocatedSize: number;
  readonly kind: AllocationKind;
}

/** Something that whole segments belong to. */
interface Owner {
  readonly name: string;
  readonly kind: AllocationKind;
  readonly size: number;
  readonly handles: readonly number[];
}

/**
 * Collects the rows. The participant's thread; may block on the locks of the areas and of the cluster, one after the other.
 *
 * @param heap the area of the heap, if there is one
 * @param registry this participant's, if the cluster has one
 * @throws ERR_HEAP_CLOSED, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT. Follows pg_get_shmem_allocations.
 */
export function allocations(dsm: Dsm, heap: DsaArea | null, registry: Registry | null): AllocationRow[] {
  // Names first: a block is in a segment that the registry's area has by then, and keeps.
  const named = registry === null ? [] : registry.rows().filter(({ ready }) => ready);
  const owners = named.flatMap((row) => ownerOf(dsm, row));
  const main = heap === null ? [] : [areaOwner(dsm, 'heap', 'heap', heap.handle)];
  const own = registry === null ? null : areaOwner(dsm, 'registry', 'registry', registry.root.area.handle);
  const map = memoryMap(dsm);
  const places = new Map(map.segments.map((place) => [place.handle, place]));
  const rows = [
    ...controlRows(map),
    ...main.flatMap((owner) => ownerRow(owner, places)),
    ...(own === null ? [] : registryRows(own, registry!.root.area, named, places)),
    ...owners.flatMap((owner) => ownerRow(owner, places)),
  ];
  const known = rows.reduce((sum, row) => sum + row.allocatedSize, 0);
  const anonymous = map.reservedBytes - known - map.freeBytes;
  rows.push({ name: '<anonymous>', offset: null, size: anonymous, allocatedSize: anonymous, kind: 'anonymous' });
  const { neverUsedAt: offset, freeBytes } = map;
  rows.push({ name: null, offset, size: freeBytes, allocatedSize: freeBytes, kind: 'free' });
  return rows;
}

/** Each part with the padding up to the next one. */
function controlRows({ control, controlBytes }: MemoryMap): AllocationRow[] {
  return control.map(({ name, offset, size }: ControlPart, i) => {
    const end = control[i + 1]?.offset ?? controlBytes;
    return { name, offset, size, allocatedSize: end - offset, kind: 'control' };
  });
}

function areaOwner(dsm: Dsm, name: string, kind: AllocationKind, handle: number): Owner {
  const { handles, totalSize } = areaSegments(dsm, handle);
  return { name, kind, size: totalSize, handles };
}

/** The segments behind a name; none for blocks, and for what is gone or out of reach. */
function ownerOf(dsm: Dsm, { name, kind, size, handle }: RegistryRow): Owner[] {
  if (kind === 'segment') return [{ name, kind, size, handles: [handle] }];
  if (kind !== 'area' && kind !== 'hash') return [];
  try {
    return [areaOwner(dsm, name, kind, handle)];
  } catch (error) {
    if (!isSharedHeapError(error)) throw error;
    if (error.code === 'ERR_HEAP_AREA_GONE') return [];
    // Nobody could hand its first segment over in time: that one is known all the same.
    if (error.code === 'ERR_HEAP_SEGMENT_UNREACHABLE') return [{ name, kind, size: 0, handles: [handle] }];
    throw error;
  }
}

/** Takes the segments of an owner from the map, so that none is counted twice. */
function taken(owner: Owner, places: Map<number, SegmentPlace>): { offset: number | null; reserved: number } | null {
  let reserved = 0;
  let first: SegmentPlace | undefined;
  for (const handle of owner.handles) {
    const place = places.get(handle);
    if (place === undefined) continue;
    places.delete(handle);
    first ??= place;
    reserved += place.reserved;
  }
  return first === undefined ? null : { offset: first.offset, reserved };
}

function ownerRow(owner: Owner, places: Map<number, SegmentPlace>): AllocationRow[] {
  const { name, kind, size } = owner;
  const got = taken(owner, places);
  return got === null ? [] : [{ name, offset: got.offset, size, allocatedSize: got.reserved, kind }];
}

/** The registry's area without the named blocks in it, then these. */
function registryRows(
  own: Owner,
  area: DsaArea,
  named: readonly RegistryRow[],
  places: Map<number, SegmentPlace>,
): AllocationRow[] {
  const inRegion = places.get(own.handles[0]!)?.offset !== null;
  const blocks: AllocationRow[] = [];
  let inBlocks = 0;
  for (const { name, kind, size, pointer } of named) {
    if (pointer === 0 || kind === 'hash') continue;
    const offset = inRegion ? area.getAddress(pointer as DsaPointer)!.byteOffset : null;
    const allocatedSize = area.sizeOf(pointer as DsaPointer);
    inBlocks += allocatedSize;
    blocks.push({ name, offset, size, allocatedSize, kind });
  }
  return ownerRow(own, places).flatMap((row) => [
    { ...row, size: row.size - inBlocks, allocatedSize: row.allocatedSize - inBlocks },
    ...blocks,
  ]);
}
