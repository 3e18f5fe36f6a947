/**
 * Registry: one participant's door to what a cluster knows by name (PostgreSQL, storage/ipc/dsm_registry.c).
 *
 * Whoever asks for a name first makes what it stands for, all others get the same: a segment, an area, a hash table,
 * or a *block*, some bytes in the registry's own area, which is what locks, queues and maps of the front keep their
 * shared part in. Nothing is ever removed; names live as long as the cluster.
 *
 * | call | dsm_registry.c |
 * |---|---|
 * | `Registry.open(dsm)` | init_dsm_registry |
 * | `getNamedSegment(name, size, init?, arg?)` | GetNamedDSMSegment |
 * | `getNamedArea(name)` | GetNamedDSA |
 * | `getNamedHash(name, params, arg?)` | GetNamedDSHash |
 * | `block(name, kind, size, init)` | |
 * | `allocations()` | pg_dsm_registry_allocations |
 *
 * The object checks what it is given; obtain.ts does the work. All methods are for the thread of the participant and may
 * block: on the lock of the name, and while another participant makes what is asked for, together at most for
 * `lockTimeout`. Init callbacks run without any lock held, so they may use heap and registry, other names included.
 */

import { DsaArea } from '../dsa/dsa.js';
import { Dsm, type DsmSegment, requireInteger, type VerifyOptions } from '../dsm/dsm.js';
import { type DshashParameters, DshashTable } from '../dshash/dshash.js';
import { SharedHeapError } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import type { NamedKind, RegistryKind } from './layout.js';
import { kindMismatch, requireBlock, requireInit, requireName, sizeMismatch } from './names.js';
import { obtain, readEntry, type RegistryRow } from './obtain.js';
import { areaRecipe, blockAt, blockRecipe, type NamedBlock, segmentRecipe, type Workshop } from './recipes.js';
import { attachForGood, hasRegistry, type NameTable, openRoot, type Root } from './root.js';
import { type RegistryReport, verifyRegistry } from './verify.js';

const MAX_SEGMENT_BYTES = 2 ** 40;
const nothing = (): void => undefined;

/** A row of {@link Registry.allocations}. */
export interface RegistryAllocation {
  readonly name: string;
  readonly type: RegistryKind;
  /** Bytes: of a segment or block as asked for, of an area or table all its segments; null while it is being made. */
  readonly size: number | null;
}

/** One participant's attachment to the registry of its cluster. */
export class Registry {
  readonly #dsm: Dsm;
  #root: Root | null;
  readonly #blocks = new Map<string, NamedBlock>();

  private constructor(dsm: Dsm, root: Root) {
    this.#dsm = dsm;
    this.#root = root;
  }

  /**
   * Attaches to the registry of a cluster, after making it when there is none: an area with a table, pinned for the life
   * of the cluster. One Registry per participant. Follows init_dsm_registry.
   *
   * @param dsm the participant
   * @throws ERR_HEAP_ALREADY_ATTACHED when this participant has it open, ERR_HEAP_OUT_OF_MEMORY, ERR_HEAP_SEGMENT_SLOTS
   *   (then the cluster is as before), ERR_HEAP_LOCK_STALLED, ERR_HEAP_SEGMENT_UNREACHABLE (`buffers`), ERR_HEAP_VERSION,
   *   ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_CLOSED
   */
  static open(dsm: Dsm): Registry {
    if (!(dsm instanceof Dsm)) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a registry needs a participant', {
        detail: `got ${dsm === null ? 'null' : typeof dsm}`,
        hint: 'Pass what Dsm.create or Dsm.join has returned.',
      });
    }
    dsm.requireOpen();
    return new Registry(dsm, openRoot(dsm));
  }

  /** As {@link open}, but null when the cluster has no registry yet: for reports, which must not make one. */
  static openExisting(dsm: Dsm): Registry | null {
    dsm.requireOpen();
    return hasRegistry(dsm) ? Registry.open(dsm) : null;
  }

  /**
   * The segment of this name, mapped here for the rest of the session. Follows GetNamedDSMSegment.
   *
   * @param name 1 to 127 bytes of UTF-8
   * @param size bytes, 1 .. 2^40; the same in every call
   * @param init run by one participant with the zeroed segment before any other sees it; when it throws, the error is
   *   passed on, the segment goes, and the next one who asks starts anew
   * @param arg handed to `init`
   * @returns the mapping, and whether the segment was there already
   * @throws ERR_HEAP_BAD_NAME, ERR_HEAP_BAD_SIZE, ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_TYPE_MISMATCH, ERR_HEAP_SIZE_MISMATCH,
   *   ERR_HEAP_LOCK_SELF (asked for by its own `init`), ERR_HEAP_SEGMENT_GONE (somebody unpinned it), and as {@link open}
   */
  getNamedSegment<A = undefined>(
    name: string,
    size: number,
    init: (segment: DsmSegment, arg: A) => void = nothing,
    arg?: A,
  ): { segment: DsmSegment; found: boolean } {
    const { table } = this.#open();
    requireName(name);
    requireInteger(size, 1, MAX_SEGMENT_BYTES, 'size of a named segment', 'ERR_HEAP_BAD_SIZE');
    requireInit(init);
    const dsm = this.#dsm;
    const { handle, found } = obtain(dsm, table, name, segmentRecipe(dsm, size, init, arg as A));
    const known = dsm.findMapping(handle);
    if (known !== null) return { segment: known, found };
    const segment = dsm.attach(handle);
    if (segment === null) throw unpinned(name, `segment ${handle}`);
    segment.pinMapping();
    return { segment, found };
  }

  /**
   * The area of this name. Once per participant: keep the result. Follows GetNamedDSA.
   *
   * @param name 1 to 127 bytes of UTF-8
   * @returns an attachment to the area, and whether the area was there already
   * @throws ERR_HEAP_ALREADY_ATTACHED, ERR_HEAP_AREA_GONE, and as {@link getNamedSegment}
   */
  getNamedArea(name: string): { area: DsaArea; found: boolean } {
    requireName(name);
    const { area, found } = this.#named(name, null, undefined);
    return { area, found };
  }

  /**
   * The hash table of this name, in an area of its own. Once per participant: keep the result. Follows GetNamedDSHash.
   *
   * @param name 1 to 127 bytes of UTF-8
   * @param params the same in every call, which is not checked, as in C; the tranche is chosen here
   * @param arg handed to the key functions
   * @returns an attachment to the table, and whether the table was there already
   * @throws ERR_HEAP_BAD_OPTION (parameters), and as {@link getNamedArea}
   */
  getNamedHash<K, A = undefined>(
    name: string,
    params: Omit<DshashParameters<K, A>, 'trancheId'>,
    arg?: A,
  ): { table: DshashTable<K, A>; found: boolean } {
    requireName(name);
    const { area, pointer, table, found } = this.#named(name, { ...params, trancheId: 0 }, arg as A);
    if (table !== null) return { table, found };
    try {
      const attached = DshashTable.attach(area, { ...params, trancheId: 0 }, pointer as DsaPointer, arg as A);
      return { table: attached, found };
    } catch (error) {
      area.detach();
      throw error;
    }
  }

  #named<K, A>(name: string, params: DshashParameters<K, A> | null, arg: A) {
    const { table } = this.#open();
    const dsm = this.#dsm;
    const made: Workshop<K, A> = { area: null, table: null };
    const { handle, pointer, found } = obtain(dsm, table, name, areaRecipe(dsm, name, made, params, arg));
    return { area: made.area ?? attachForGood(dsm, handle), pointer, table: made.table, found };
  }

  /**
   * The block of this name: zeroed bytes in the registry's area, which stay where they are for the life of the cluster.
   * Known blocks are served from this object, without any lock.
   *
   * @param name 1 to 127 bytes of UTF-8
   * @param kind what it holds; the same in every call
   * @param size bytes, 1 .. 2^30 - 1; the same in every call
   * @param init run by one participant before any other sees the block; when it throws, the error is passed on, the
   *   block goes, and the next one who asks starts anew
   * @throws as {@link getNamedSegment}
   */
  block(name: string, kind: NamedKind, size: number, init: (block: NamedBlock) => void): NamedBlock {
    const { area, table } = this.#open();
    requireName(name);
    requireBlock(kind, size);
    requireInit(init);
    const known = this.#blocks.get(name);
    if (known !== undefined) {
      if (known.kind !== kind) throw kindMismatch(name, kind, known.kind);
      if (known.size !== size) throw sizeMismatch(name, kind, size, known.size);
      return known;
    }
    const { pointer, found } = obtain(this.#dsm, table, name, blockRecipe(area, name, kind, size, init));
    const block = blockAt(area, name, kind, size, pointer as DsaPointer, found);
    this.#blocks.set(name, { ...block, found: true });
    return block;
  }

  /**
   * One row per name, in no particular order. While others make new names they may be missing. Follows
   * pg_dsm_registry_allocations.
   *
   * @throws ERR_HEAP_CLOSED, ERR_HEAP_LOCK_STALLED, ERR_HEAP_CORRUPT
   */
  allocations(): RegistryAllocation[] {
    return this.rows().map(({ name, kind, size, handle, ready }) => ({
      name,
      type: kind,
      size: !ready ? null : kind === 'area' || kind === 'hash' ? this.#totalSize(handle) : size,
    }));
  }

  #totalSize(handle: number): number | null {
    try {
      return DsaArea.getTotalSizeFromHandle(this.#dsm, handle);
    } catch (error) {
      if (error instanceof SharedHeapError && error.code === 'ERR_HEAP_AREA_GONE') return null;
      throw error;
    }
  }

  /** What the entries say, one partition after the other under its lock, shared. @internal */
  rows(): RegistryRow[] {
    const { table } = this.#open();
    const rows: RegistryRow[] = [];
    const scan = table.scan(false);
    try {
      while (scan.next() !== 0) {
        const row = readEntry(this.#dsm, scan.words, scan.entryWord);
        if (row !== null) rows.push(row);
      }
    } finally {
      scan.term();
    }
    return rows;
  }

  /** The registry's own area and table, for reports. @internal */
  get root(): { area: DsaArea; table: NameTable } {
    return this.#open();
  }

  /**
   * Checks the registry: its root, its area, its table, and that every name leads to something that is there.
   *
   * @param options `quiescent: false` while other threads use the cluster
   * @throws ERR_HEAP_CLOSED, ERR_HEAP_BAD_OPTION; nothing for damage
   */
  verify(options: VerifyOptions = {}): RegistryReport {
    this.#open();
    return verifyRegistry(this.#dsm, this, options);
  }

  /**
   * Ends this attachment; what was made by name stays. Blocks of this object are void from now on; segments, areas and
   * tables that it gave out stay attached. Idempotent.
   *
   * @throws ERR_HEAP_LOCK_STALLED
   */
  close(): void {
    const root = this.#root;
    if (root === null) return;
    this.#root = null;
    this.#blocks.clear();
    if (!root.area.state.attached) return;
    root.table.detach();
    root.area.detach();
  }

  #open(): Root {
    if (this.#root !== null && this.#root.area.state.attached) return this.#root;
    throw new SharedHeapError('ERR_HEAP_CLOSED', 'the registry was closed here', { hint: 'Open it again.' });
  }
}

function unpinned(name: string, what: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_SEGMENT_GONE', 'what the name stands for no longer exists', {
    detail: `${JSON.stringify(name)}: ${what}`,
    hint: 'Somebody unpinned it; the registry keeps everything until then.',
  });
}
