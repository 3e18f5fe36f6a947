/**
 * How segments, areas, tables and blocks are made for a name; see obtain.ts for when. No lock is held in any of it.
 *
 * What is made is pinned last, and by its maker: until then it goes away with the maker's own reference, so that a
 * failure, or a segment's maker dying, needs no clean-up by others.
 */

import { DSA_ALLOC_ZERO, type DsaArea, offsetOf, segmentOf } from '../dsa/dsa.js';
import type { Dsm, DsmSegment } from '../dsm/dsm.js';
import { type DshashParameters, DshashTable } from '../dshash/dshash.js';
import { isSharedHeapError } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import {
  FIRST_USER_TRANCHE,
  MAX_TRANCHE_NAME_BYTES,
  MAX_USER_TRANCHES,
  TRANCHE_DSM_REGISTRY_DSA,
} from '../sync/sync.js';
import type { NamedKind } from './layout.js';
import type { Recipe } from './obtain.js';
import { createForGood, discardArea, discardOwnArea } from './root.js';

/**
 * Blocks are rounded up to this many bytes, two cache lines, as PostgreSQL pads its locks. Lower: locks of different names
 * slow each other down; higher: more memory for each name.
 */
const BLOCK_GRAIN = 128;

/** A block in the registry's own area, as this participant sees it. */
export interface NamedBlock {
  readonly name: string;
  readonly kind: NamedKind;
  /** Where it lies in the registry's area: the same number in every thread. */
  readonly pointer: DsaPointer;
  /** Words of the segment that holds it; valid as long as the registry is attached here. */
  readonly i32: Int32Array;
  /** Word index of its first byte in {@link i32}: a multiple of 2. */
  readonly word: number;
  /** Number of that memory for LWLocks in the block: the handle of its segment, 2 .. 2^32 - 2. */
  readonly ns: number;
  /** Bytes that were asked for. */
  readonly size: number;
  /** False in the thread that has made it, and there only the first time. */
  readonly found: boolean;
}

/** A block at a pointer of the registry's area. @throws when its segment cannot be mapped here */
export function blockAt(
  area: DsaArea,
  name: string,
  kind: NamedKind,
  size: number,
  pointer: DsaPointer,
  found: boolean,
): NamedBlock {
  const index = segmentOf(pointer);
  const i32 = area.resolve(index);
  if (i32.length === 0) throw area.resolveError(`${kind} ${JSON.stringify(name)}`, pointer);
  const ns = area.lockSpace(index) >>> 0;
  return { name, kind, pointer, i32, word: offsetOf(pointer) / 4, ns, size, found };
}

/** Zeroed bytes in the registry's area. */
export function blockRecipe(
  area: DsaArea,
  name: string,
  kind: NamedKind,
  size: number,
  init: (block: NamedBlock) => void,
): Recipe {
  return {
    kind,
    size,
    make: () => {
      const bytes = Math.ceil(size / BLOCK_GRAIN) * BLOCK_GRAIN;
      return { handle: 0, pointer: area.allocate(bytes, DSA_ALLOC_ZERO) };
    },
    complete: (made) => {
      init(blockAt(area, name, kind, size, made.pointer as DsaPointer, false));
      return made;
    },
    discard: ({ pointer }) => quietly(() => area.free(pointer as DsaPointer)),
  };
}

/** A segment of its own, pinned. */
export function segmentRecipe<A>(dsm: Dsm, size: number, init: (segment: DsmSegment, arg: A) => void, arg: A): Recipe {
  return {
    kind: 'segment',
    size,
    make: () => {
      const segment = dsm.create(size)!;
      segment.pinMapping();
      return { handle: segment.handle, pointer: 0 };
    },
    complete: (made) => {
      const segment = dsm.findMapping(made.handle)!;
      init(segment, arg);
      segment.pinSegment();
      return made;
    },
    discard: ({ handle }) => {
      // Pinned by somebody who died before publishing it. Otherwise it goes with the mapping of its maker.
      quietly(() => dsm.unpinSegment(handle));
      quietly(() => dsm.findMapping(handle)?.detach());
    },
  };
}

/** What is made for a name and stays with its maker: the area, and the table in it. */
export interface Workshop<K, A> {
  area: DsaArea | null;
  table: DshashTable<K, A> | null;
}

/**
 * An area of its own, pinned; with parameters, and a table in it.
 *
 * @param into receives what was made
 */
export function areaRecipe<K, A>(
  dsm: Dsm,
  name: string,
  into: Workshop<K, A>,
  params: DshashParameters<K, A> | null,
  arg: A,
): Recipe {
  let trancheId = 0;
  return {
    kind: params === null ? 'area' : 'hash',
    size: 0,
    make: () => {
      trancheId = trancheFor(dsm, name);
      into.area = createForGood(dsm, trancheId);
      return { handle: into.area.handle, pointer: 0 };
    },
    complete: ({ handle }) => {
      const area = into.area!;
      if (params !== null) into.table = DshashTable.create(area, { ...params, trancheId }, arg);
      area.pin();
      return { handle, pointer: into.table?.handle ?? 0 };
    },
    discard: ({ handle }) => {
      if (into.area === null) discardArea(dsm, handle);
      else discardOwnArea(into.area);
      into.area = null;
    },
  };
}

/**
 * A tranche of the thing's own name for its locks, so that reports say which lock they mean. The one there is, when an
 * earlier attempt has made it; when all are given out, the registry's, since a missing name is no reason to refuse.
 */
function trancheFor(dsm: Dsm, name: string): number {
  const short = shorten(name);
  for (let id = FIRST_USER_TRANCHE; id < FIRST_USER_TRANCHE + MAX_USER_TRANCHES; id++) {
    if (dsm.tranches.findTrancheName(id) === short) return id;
  }
  try {
    return dsm.tranches.newTrancheId(short);
  } catch (error) {
    if (isSharedHeapError(error) && error.code === 'ERR_HEAP_TRANCHE') return TRANCHE_DSM_REGISTRY_DSA;
    throw error;
  }
}

/** The beginning of a name that a tranche can have. */
function shorten(name: string): string {
  const bytes = new Uint8Array(MAX_TRANCHE_NAME_BYTES);
  return name.slice(0, new TextEncoder().encodeInto(name, bytes).read);
}

/** Undoes something on the way of another error, or after a thread that is gone: what fails here was not there. */
function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // See above.
  }
}
