/**
 * Creating, attaching to and destroying a table: dshash_create, dshash_attach, dshash_destroy.
 *
 * The control object and the first bucket array come from the area, in this order, as in C. No locks: nobody knows a
 * new table yet, and whoever destroys one says that nobody uses it any more.
 */

import { DSA_ALLOC_HUGE, DSA_ALLOC_NO_OOM, DSA_ALLOC_ZERO, DsaArea } from '../dsa/dsa.js';
import { LAYER_DSHASH, requireInteger } from '../dsm/dsm.js';
import { SharedHeapError } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import { lwlockInitialize } from '../sync/sync.js';
import { bucketBytes } from './grow.js';
import { checkKeySize, type DshashParameters } from './keys.js';
import {
  C_BUCKETS,
  C_MAGIC,
  C_PARTITIONS,
  C_SIZE_LOG2,
  C_TRANCHE,
  DSHASH_LAYOUT_HASH,
  DSHASH_MAGIC,
  DshashControl,
  ITEM_HEADER,
  NUM_PARTITIONS,
  NUM_PARTITIONS_LOG2,
  P_COUNT,
  PARTITION_WORDS,
} from './layout.js';
import {
  corrupt,
  countOf,
  hiOf,
  loOf,
  pointerOf,
  refresh,
  tableError,
  tableOutOfMemory,
  TableState,
  wordIndex,
  wordsOf,
} from './state.js';

/** Largest entry in bytes: an item is one ordinary allocation. */
const MAX_ENTRY_SIZE = 0x3fffffff - ITEM_HEADER;

/** @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_CLOSED */
function checkArea(area: unknown): asserts area is DsaArea {
  if (!(area instanceof DsaArea)) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a hash table needs an area', {
      detail: `got ${area === null ? 'null' : typeof area}`,
      hint: 'Pass what DsaArea.create or DsaArea.attach has returned.',
    });
  }
  if (!area.state.attached) throw new SharedHeapError('ERR_HEAP_CLOSED', 'the area was detached here');
}

/** @throws ERR_HEAP_BAD_OPTION */
export function checkParameters(params: unknown): void {
  const bad = 'ERR_HEAP_BAD_OPTION';
  if (typeof params !== 'object' || params === null) {
    throw new SharedHeapError(bad, 'the parameters of a hash table are an object', {
      detail: `got ${params === null ? 'null' : typeof params}`,
    });
  }
  const { keySize, entrySize, trancheId, equals, hash, copy } = params as Partial<DshashParameters<never>>;
  const least = Math.ceil(checkKeySize(keySize) / 4) * 4;
  requireInteger(entrySize, least, MAX_ENTRY_SIZE, 'entrySize', bad);
  requireInteger(trancheId, 0, 0xffff, 'trancheId', bad);
  for (const [name, value] of Object.entries({ equals, hash, copy })) {
    if (typeof value === 'function') continue;
    throw new SharedHeapError(bad, `${name} of a hash table is a function`, { detail: `got ${typeof value}` });
  }
}

/**
 * Makes control object and bucket array.
 *
 * @throws ERR_HEAP_BAD_OPTION, ERR_HEAP_TRANCHE, ERR_HEAP_OUT_OF_MEMORY and what the area throws; nothing is kept then
 */
export function createTable(area: DsaArea, params: DshashParameters<never>): TableState {
  checkArea(area);
  checkParameters(params);
  const { trancheId } = params;
  const sizeLog2 = NUM_PARTITIONS_LOG2;
  area.state.dsm.requireLayer(LAYER_DSHASH, DSHASH_LAYOUT_HASH);
  area.state.dsm.tranches.trancheName(trancheId);
  const control = area.allocate(DshashControl.SIZEOF);
  let buckets: DsaPointer = 0 as DsaPointer;
  try {
    buckets = area.allocate(bucketBytes(sizeLog2), DSA_ALLOC_HUGE | DSA_ALLOC_NO_OOM | DSA_ALLOC_ZERO);
  } finally {
    if (buckets === 0) area.free(control);
  }
  const t = openState(area, control);
  if (buckets === 0) throw tableOutOfMemory(t, bucketBytes(sizeLog2));
  const { control: a, at } = t;
  a[at] = loOf(control);
  a[at + 1] = hiOf(control);
  for (let i = 0; i < NUM_PARTITIONS; i++) {
    const w = at + C_PARTITIONS + i * PARTITION_WORDS;
    lwlockInitialize(a, w, trancheId);
    a[w + P_COUNT] = 0;
    a[w + P_COUNT + 1] = 0;
  }
  a[at + C_TRANCHE] = trancheId;
  a[at + C_SIZE_LOG2] = sizeLog2;
  a[at + C_SIZE_LOG2 + 1] = 0;
  a[at + C_BUCKETS] = loOf(buckets);
  a[at + C_BUCKETS + 1] = hiOf(buckets);
  a[at + C_MAGIC] = DSHASH_MAGIC;
  return t;
}

/** The private state over a control object. */
function openState(area: DsaArea, handle: DsaPointer): TableState {
  const hi = hiOf(handle);
  const words = area.resolve(hi >>> 8);
  if (words.length === 0) throw area.resolveError('hash table', handle);
  return new TableState(area, handle, words, wordIndex(loOf(handle), hi), area.lockSpace(hi >>> 8));
}

/** @throws ERR_HEAP_BAD_HANDLE when no table lies there, ERR_HEAP_VERSION when tables have another layout there */
export function attachTable(area: DsaArea, handle: unknown): TableState {
  checkArea(area);
  area.state.dsm.requireLayer(LAYER_DSHASH, DSHASH_LAYOUT_HASH);
  const live = typeof handle === 'number' && handle > 0 && area.isLive(handle as DsaPointer);
  const t =
    live && area.sizeOf(handle as DsaPointer) >= DshashControl.SIZEOF ? openState(area, handle as DsaPointer) : null;
  const is = (word: number, value: number): boolean => t !== null && t.control[t.at + word] === value;
  if (t !== null && is(C_MAGIC, DSHASH_MAGIC) && is(0, loOf(t.handle)) && is(1, hiOf(t.handle))) return t;
  throw new SharedHeapError('ERR_HEAP_BAD_HANDLE', 'not the handle of a hash table', {
    detail: `got ${typeof handle === 'number' ? handle : typeof handle}`,
    hint: 'Pass what getHandle() returned, for a table of this area that was not destroyed.',
  });
}

/**
 * Frees all items, the bucket array and the control object. The caller has made sure that nobody uses the table.
 */
export function destroyTable(t: TableState): void {
  if (!refresh(t)) throw tableError(t, 'destroy');
  const { buckets, bucketWord, control, at } = t;
  let left = 0;
  for (let i = 0; i < NUM_PARTITIONS; i++) left += countOf(t, i);
  for (let b = bucketWord; b < bucketWord + 2 * 2 ** t.sizeLog2; b += 2) {
    while ((buckets[b]! | buckets[b + 1]!) !== 0) {
      const lo = buckets[b]!;
      const hi = buckets[b + 1]!;
      const words = wordsOf(t, hi);
      if (words.length === 0 || (left-- === 0 && !corrupt(t, 'a chain does not end'))) throw tableError(t, 'destroy');
      const w = wordIndex(lo, hi);
      buckets[b] = words[w]!;
      buckets[b + 1] = words[w + 1]!;
      t.area.free(pointerOf(lo, hi));
    }
  }
  // Whoever still has the handle finds out.
  control[at + C_MAGIC] = 0;
  const array = pointerOf(control[at + C_BUCKETS]!, control[at + C_BUCKETS + 1]!);
  t.open = false;
  t.area.free(array);
  t.area.free(t.handle);
}
