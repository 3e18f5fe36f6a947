/**
 * Making a cluster and finding one's way into an existing one: the parts that every participant needs.
 *
 * `buildCluster` runs before anybody else can see the memory, so it takes no lock. `joinCluster` only reads frozen
 * geometry, after checking it.
 */

import { SharedHeapError, show } from '../errors/errors.js';
import { FreePageManager } from '../freepage/freepage.js';
import { ld64, st64 } from '../layout/layout.js';
import { BufferExchange, buffersSupported, DEFAULT_REGION_BYTES, reserveRegion } from '../platform/platform.js';
import {
  lwlockInitialize,
  ParticipantTable,
  TRANCHE_DSM_CONTROL,
  TRANCHE_DSM_REGISTRY,
  TrancheTable,
} from '../sync/sync.js';
import { SlotArray } from './control.js';
import {
  ClusterControl,
  CONTROL_MAGIC,
  CONTROL_VERSION,
  controlLayoutHash,
  DEFAULT_PARTICIPANTS,
  FIXED_SLOTS,
  MAX_CLUSTER_PARTICIPANTS,
  MAX_SLOTS,
  REGION_FPM_AT,
  SLOTS_PER_PARTICIPANT,
  TRANCHES_AT,
} from './control-layout.js';
import { alignPage, controlGeometry } from './geometry.js';
import { type DsmImpl, PAGE_SIZE, PAGE_WORDS } from './impl.js';
import { BuffersImpl } from './impl-buffers.js';
import { RegionImpl } from './impl-region.js';
import {
  type DsmClusterHandle,
  MAX_TIMEOUT,
  requireClusterHandle,
  requireInteger,
  requireObject,
  requireSaneControl,
} from './validate.js';

/** Options of a new cluster. All have defaults. */
export interface DsmOptions {
  /** Where segments come from: one reservation, or a buffer each. Default `region`. */
  store?: 'region' | 'buffers' | undefined;
  /** Bytes to reserve on `region`, 4 MiB .. 2^50; less is taken when the engine refuses. Default 16 GiB, not resident until touched. */
  regionSize?: number | undefined;
  /** Participant slots, 1 .. 800. Default 64. */
  participants?: number | undefined;
  /** Segment slots, 1 .. 4096. Default 64 + 5 per participant. */
  segments?: number | undefined;
  /** Milliseconds to wait for a buffer of another thread (`buffers`). Default 5000. */
  attachTimeout?: number | undefined;
  /** Milliseconds to wait for a lock before ERR_HEAP_LOCK_STALLED. Default 60000. */
  lockTimeout?: number | undefined;
  /** Source of 32-bit random numbers for segment handles. Default `crypto`. */
  random?: (() => number) | undefined;
}

/** What a participant holds of its cluster. */
export interface ClusterParts {
  readonly memory: SharedArrayBuffer;
  readonly control: Int32Array;
  readonly slots: SlotArray;
  readonly table: ParticipantTable;
  readonly tranches: TrancheTable;
  readonly impl: DsmImpl;
  /** The page manager of the region; null on `buffers`. */
  readonly fpm: FreePageManager | null;
  readonly random: () => number;
  readonly attachTimeout: number;
  readonly lockTimeout: number;
  readonly totalBytes: number;
}

/** The smallest region: the control segment and something to cut segments from. */
const MIN_REGION_BYTES = 4 * 1024 * 1024;
/** Most that may be asked for: 1024 segments of the largest size, which is all that an area can address. */
const MAX_REGION_BYTES = 2 ** 50;
/** Most that is reserved, whatever was asked for: page numbers have 28 bits. */
const MOST_PAGED_BYTES = 2 ** 40;
/** A lock held this long means that its owner is lost or the machine is; design decision D5. */
const DEFAULT_LOCK_TIMEOUT = 60_000;
/** Lower: a busy main thread makes attaching fail. Higher: a lost buffer is reported later. */
const DEFAULT_ATTACH_TIMEOUT = 5_000;

function secureRandom(): number {
  return globalThis.crypto.getRandomValues(new Uint32Array(1))[0]!;
}

function requireBuffersSupport(): void {
  const support = buffersSupported();
  if (support !== true) {
    throw new SharedHeapError('ERR_HEAP_UNSUPPORTED', 'the `buffers` store does not work in this runtime', {
      detail: support,
      hint: 'Use `store: "region"`.',
    });
  }
}

function checkedOptions(options: DsmOptions) {
  const bad = 'ERR_HEAP_BAD_OPTION';
  requireObject(options);
  const store = options.store ?? 'region';
  if (store !== 'region' && store !== 'buffers') {
    throw new SharedHeapError(bad, 'unknown store', {
      detail: `got ${show(store)}`,
      hint: "Use 'region' or 'buffers'.",
    });
  }
  const participants = requireInteger(
    options.participants ?? DEFAULT_PARTICIPANTS,
    1,
    MAX_CLUSTER_PARTICIPANTS,
    'participants',
    bad,
  );
  const defaultSlots = Math.min(MAX_SLOTS, FIXED_SLOTS + SLOTS_PER_PARTICIPANT * participants);
  if (options.random !== undefined && typeof options.random !== 'function') {
    throw new SharedHeapError(bad, 'random is not a function', { detail: `got ${typeof options.random}` });
  }
  return {
    store,
    participants,
    segments: requireInteger(options.segments ?? defaultSlots, 1, MAX_SLOTS, 'segments', bad),
    regionSize: requireInteger(
      options.regionSize ?? DEFAULT_REGION_BYTES,
      MIN_REGION_BYTES,
      MAX_REGION_BYTES,
      'regionSize',
      bad,
    ),
    attachTimeout: requireInteger(
      options.attachTimeout ?? DEFAULT_ATTACH_TIMEOUT,
      0,
      MAX_TIMEOUT,
      'attachTimeout',
      bad,
    ),
    lockTimeout: requireInteger(options.lockTimeout ?? DEFAULT_LOCK_TIMEOUT, 0, MAX_TIMEOUT, 'lockTimeout', bad),
    random: options.random ?? secureRandom,
  };
}

/** Reserves and lays out the memory of a new cluster. */
export function buildCluster(options: DsmOptions): ClusterParts {
  const checked = checkedOptions(options);
  const { store, participants, segments } = checked;
  if (store === 'buffers') requireBuffersSupport();
  const { participantsAt, dsmAt, controlBytes } = controlGeometry(participants, segments);
  const wanted = store === 'region' ? Math.max(alignPage(checked.regionSize), 2 * controlBytes) : controlBytes;
  const reserved = Math.min(wanted, MOST_PAGED_BYTES);
  // Also on `buffers`: where the engine refuses, the error says so.
  const memory = reserveRegion(reserved).buffer;

  const control = new Int32Array(memory, 0, controlBytes / 4);
  control[ClusterControl.version / 4] = CONTROL_VERSION;
  control[ClusterControl.layout_hash / 4] = controlLayoutHash();
  control[ClusterControl.store / 4] = store === 'region' ? 0 : 1;
  control[ClusterControl.cluster_id / 4] = secureRandom();
  control[ClusterControl.cluster_id / 4 + 1] = secureRandom();
  st64(control, ClusterControl.control_bytes / 4, controlBytes);
  st64(control, ClusterControl.total_bytes / 4, memory.byteLength);
  st64(control, ClusterControl.wanted_bytes / 4, wanted);
  control[ClusterControl.participants / 4] = participants;
  control[ClusterControl.tranches_at / 4] = TRANCHES_AT;
  control[ClusterControl.participants_at / 4] = participantsAt;
  control[ClusterControl.dsm_at / 4] = dsmAt;
  control[ClusterControl.fresh_page / 4] = controlBytes / PAGE_SIZE;
  lwlockInitialize(control, ClusterControl.control_lock / 4, TRANCHE_DSM_CONTROL);
  lwlockInitialize(control, ClusterControl.registry_lock / 4, TRANCHE_DSM_REGISTRY);
  const parts = assemble(memory, store, [], checked.random, checked.attachTimeout, checked.lockTimeout);
  parts.tranches.initialize();
  parts.table.initialize();
  parts.slots.initialize(segments);
  if (parts.fpm !== null) {
    parts.fpm.initialize();
    const first = controlBytes / PAGE_SIZE;
    parts.fpm.put(first, Math.floor(memory.byteLength / PAGE_SIZE) - first);
  }
  control[0] = CONTROL_MAGIC;
  return parts;
}

/**
 * Finds the parts of an existing cluster.
 *
 * @param wait milliseconds to wait for a buffer, by default those of the creator
 * @throws ERR_HEAP_BAD_HANDLE, ERR_HEAP_VERSION, ERR_HEAP_UNSUPPORTED
 */
export function joinCluster(value: unknown, wait?: number): ClusterParts {
  const handle: DsmClusterHandle = requireClusterHandle(value);
  const { control: memory, store, segments, attachTimeout, lockTimeout } = handle;
  requireSaneControl(memory, store);
  if (store === 'buffers') requireBuffersSupport();
  return assemble(memory, store, segments, secureRandom, wait ?? attachTimeout, lockTimeout);
}

function assemble(
  memory: SharedArrayBuffer,
  store: 'region' | 'buffers',
  known: DsmClusterHandle['segments'],
  random: () => number,
  attachTimeout: number,
  lockTimeout: number,
): ClusterParts {
  const head = new Int32Array(memory, 0, PAGE_WORDS);
  const control = new Int32Array(memory, 0, ld64(head, ClusterControl.control_bytes / 4) / 4);
  const word = (field: number): number => head[field / 4]! >>> 0;
  const table = new ParticipantTable(control, word(ClusterControl.participants_at), word(ClusterControl.participants));
  const slots = new SlotArray(control, word(ClusterControl.dsm_at));
  let impl: DsmImpl;
  let fpm: FreePageManager | null = null;
  if (store === 'region') {
    fpm = new FreePageManager(new Int32Array(memory), 0, REGION_FPM_AT);
    impl = new RegionImpl(memory, control, fpm);
  } else {
    const id = word(ClusterControl.cluster_id).toString(16) + word(ClusterControl.cluster_id + 4).toString(16);
    impl = new BuffersImpl(
      new BufferExchange({
        name: `sharedheap:${id}`,
        attention: control,
        attentionIndex: ClusterControl.attention / 4,
        known: known as Iterable<[number, SharedArrayBuffer]>,
        attachTimeout,
        wakeAll: () => table.wakeAll(),
        isLive: (handle) => slots.find(handle) >= 0,
      }),
    );
  }
  const tranches = new TrancheTable(control, word(ClusterControl.tranches_at), table);
  const totalBytes = ld64(head, ClusterControl.total_bytes / 4);
  return { memory, control, slots, table, tranches, impl, fpm, random, attachTimeout, lockTimeout, totalBytes };
}
