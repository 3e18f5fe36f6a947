/**
 * Opening a map by its name: options, the block in the registry, the partitions in the heap's main area.
 *
 * The first one to ask for a name makes the map, in the registry's `init`, which one thread runs while the others wait;
 * when it fails nothing is kept and the next one tries again. Everybody else checks that the declarations agree.
 */

import { DSA_ALLOC_ZERO, type DsaArea } from '../dsa/dsa.js';
import { hashWords, hiOf, loOf, wordIndex } from '../dshash/dshash.js';
import { SharedHeapError } from '../errors/errors.js';
import { type DsaPointer, ld64, st64 } from '../layout/layout.js';
import { lwlockInitialize, TRANCHE_HEAP_MAP } from '../sync/sync.js';
import {
  KEY_BYTES,
  KEY_NUMBER,
  KEY_STRING,
  LARGEST_LOG2,
  MAP_LAYOUT_HASH,
  MapBlock,
  MapPartition,
  PART_WORDS,
  PARTITIONS,
  SMALLEST_LOG2,
  VALUE_BYTES,
  VALUE_JSON,
  VALUE_NUMBER,
  VALUE_STRING,
  VALUE_STRUCT,
} from './map-layout.js';
import { type MapKinds, MapState } from './map-state.js';
import { growBound } from './map-table.js';
import { MapStruct, type StructFields, type StructOf } from './map-struct.js';
import { packText, Scratch } from './map-text.js';
import { show } from './sizes.js';

/** Kinds of keys. */
export type MapKeyKind = 'string' | 'number' | 'bytes';
/** Kinds of values: `json` takes what JSON.stringify takes; an object of field types declares a struct. */
export type MapValueKind = 'string' | 'number' | 'bytes' | 'json' | StructFields;

/** What `heap.map(name, options)` takes; the same for everybody who opens the map. */
export interface MapOptions {
  /** Kind of keys; default `'string'`. */
  readonly key?: MapKeyKind;
  /** Kind of values; default `'json'`. */
  readonly value?: MapValueKind;
  /**
   * Entries to expect; a partition then begins with a table for its share, and need not grow. Only a hint: the map can
   * hold more, and what others give later is not used.
   */
  readonly capacity?: number;
}

/** Type of the keys under these options. */
export type MapKeyOf<O extends MapOptions> = O['key'] extends 'number'
  ? number
  : O['key'] extends 'bytes'
    ? Uint8Array
    : string;

/** Type of the values under these options. */
export type MapValueOf<O extends MapOptions> = O['value'] extends 'number'
  ? number
  : O['value'] extends 'string'
    ? string
    : O['value'] extends 'bytes'
      ? Uint8Array
      : O['value'] extends StructFields
        ? StructOf<O['value']>
        : // oxlint-disable-next-line typescript/no-explicit-any -- what JSON.parse returns
          any;

/** A block of the registry, as far as a map needs it. */
export interface MapPlace {
  readonly i32: Int32Array;
  readonly word: number;
}

/** Bytes of the block. */
export const MAP_BLOCK_BYTES = MapBlock.SIZEOF;
/** Most entries that `capacity` can ask for. */
const MAX_CAPACITY = 2 ** 30;
/** Deviations above the mean that a partition's share is reckoned with. Fewer: some grow all the same; more: memory. */
const DEVIATIONS = 1;

const KEYS: Readonly<Record<string, number>> = { string: KEY_STRING, number: KEY_NUMBER, bytes: KEY_BYTES };
const VALUES: Readonly<Record<string, number>> = {
  number: VALUE_NUMBER,
  string: VALUE_STRING,
  bytes: VALUE_BYTES,
  json: VALUE_JSON,
};

/** Checked options. */
export interface CheckedMapOptions extends MapKinds {
  readonly capacity: number;
}

function refuse(what: string, got: unknown, hint: string): never {
  throw new SharedHeapError('ERR_HEAP_BAD_OPTION', what, { detail: `got ${show(got)}`, hint });
}

/** @throws ERR_HEAP_BAD_OPTION */
export function checkMapOptions(options: unknown): CheckedMapOptions {
  if (typeof options !== 'object' || options === null) refuse('the options of a map are an object', options, '');
  for (const name of Object.keys(options)) {
    if (!['key', 'value', 'capacity'].includes(name))
      refuse('an option of a map is unknown', name, 'There are key, value, capacity.');
  }
  const { key = 'string', value = 'json', capacity = 0 } = options as MapOptions;
  if (typeof key !== 'string' || !Object.hasOwn(KEYS, key)) {
    refuse('the kind of keys is unknown', key, "Keys are 'string', 'number' or 'bytes'.");
  }
  if (!Number.isInteger(capacity) || capacity < 0 || capacity > MAX_CAPACITY) {
    refuse('capacity is not a number of entries', capacity, `Give a whole number from 0 to ${MAX_CAPACITY}.`);
  }
  const struct = typeof value === 'object' && value !== null ? new MapStruct(value) : null;
  if (struct === null && (typeof value !== 'string' || !Object.hasOwn(VALUES, value))) {
    refuse(
      'the kind of values is unknown',
      value,
      "Values are 'string', 'number', 'bytes', 'json' or { field: 'f64', ... }.",
    );
  }
  return { key: KEYS[key]!, value: struct === null ? VALUES[value as string]! : VALUE_STRUCT, struct, capacity };
}

function schemaOf(struct: MapStruct | null): number {
  if (struct === null) return 0;
  const text = new Scratch();
  packText(text, struct.schema);
  return hashWords(text.words, 0, text.length);
}

/** Size of the first table of each partition, as a power of two. */
function firstLog2(capacity: number): number {
  const mean = capacity / PARTITIONS;
  const most = mean + DEVIATIONS * Math.sqrt(mean);
  let log2 = SMALLEST_LOG2;
  while (log2 < LARGEST_LOG2 && growBound(log2) < most) log2++;
  return log2;
}

/**
 * Fills the block of a new map. Runs under the registry's lock of the name, so it must not use the registry.
 *
 * @throws ERR_HEAP_OUT_OF_MEMORY and what the area throws; nothing is kept then
 */
export function createMap(area: DsaArea, { i32, word }: MapPlace, kinds: CheckedMapOptions): void {
  const partitions = area.allocate(PARTITIONS * MapPartition.SIZEOF, DSA_ALLOC_ZERO);
  const hi = hiOf(partitions);
  const words = area.resolve(hi >>> 8);
  const at = wordIndex(loOf(partitions), hi);
  for (let i = 0; i < PARTITIONS; i++) lwlockInitialize(words, at + i * PART_WORDS, TRANCHE_HEAP_MAP);
  st64(i32, word + MapBlock.partitions / 4, partitions);
  i32[word + MapBlock.layout / 4] = MAP_LAYOUT_HASH;
  i32[word + MapBlock.first_log2 / 4] = firstLog2(kinds.capacity);
  i32[word + MapBlock.key_kind / 4] = kinds.key;
  i32[word + MapBlock.value_kind / 4] = kinds.value;
  i32[word + MapBlock.value_bytes / 4] = kinds.struct?.bytes ?? 0;
  i32[word + MapBlock.schema / 4] = schemaOf(kinds.struct);
}

/**
 * Attaches to the map of a block.
 *
 * @throws ERR_HEAP_BAD_OPTION when it was made with other keys or values, ERR_HEAP_BAD_HANDLE when the block is damaged,
 *   ERR_HEAP_VERSION when another version of the library made it
 */
export function attachMap(area: DsaArea, { i32, word }: MapPlace, name: string, kinds: MapKinds): MapState {
  const at = (field: number): number => i32[word + field / 4]!;
  requireLayout(name, at(MapBlock.layout));
  requireSame('keys', name, at(MapBlock.key_kind) === kinds.key);
  const same = at(MapBlock.value_kind) === kinds.value && at(MapBlock.value_bytes) === (kinds.struct?.bytes ?? 0);
  requireSame('values', name, same && at(MapBlock.schema) === schemaOf(kinds.struct));
  return attach(area, { i32, word }, name, kinds);
}

/**
 * Attaches to a map whose declaration is not known, to check it: a struct is taken for numbers of the same size.
 *
 * @throws ERR_HEAP_BAD_HANDLE when the block is damaged
 */
export function attachMapToCheck(area: DsaArea, block: MapPlace, name: string): MapState {
  const at = (field: number): number => block.i32[block.word + field / 4]!;
  requireLayout(name, at(MapBlock.layout));
  const numbers = Array.from({ length: at(MapBlock.value_bytes) / 8 }, (_, i) => [`f${i}`, 'f64']);
  const struct = at(MapBlock.value_kind) === VALUE_STRUCT ? new MapStruct(Object.fromEntries(numbers)) : null;
  return attach(area, block, name, { key: at(MapBlock.key_kind), value: at(MapBlock.value_kind), struct });
}

function attach(area: DsaArea, { i32, word }: MapPlace, name: string, kinds: MapKinds): MapState {
  const handle = ld64(i32, word + MapBlock.partitions / 4) as DsaPointer;
  const first = i32[word + MapBlock.first_log2 / 4]!;
  const live = handle > 0 && area.isLive(handle) && area.sizeOf(handle) >= PARTITIONS * MapPartition.SIZEOF;
  if (!live || first < SMALLEST_LOG2 || first > LARGEST_LOG2) {
    throw new SharedHeapError('ERR_HEAP_BAD_HANDLE', 'the block of the map is damaged', {
      detail: `map ${show(name)}: partitions at ${handle}, tables from 2^${first} cells on`,
      hint: 'Somebody wrote outside of an object. Create a new heap.',
    });
  }
  const hi = hiOf(handle);
  const parts = area.resolve(hi >>> 8);
  const partsAt = wordIndex(loOf(handle), hi);
  return new MapState({ area, handle, parts, partsAt, ns: area.lockSpace(hi >>> 8), firstLog2: first }, name, kinds);
}

function requireLayout(name: string, layout: number): void {
  if (layout >>> 0 === MAP_LAYOUT_HASH) return;
  throw new SharedHeapError('ERR_HEAP_VERSION', 'the map was made by another version of this library', {
    detail: `map ${show(name)}: layout 0x${(layout >>> 0).toString(16)}, here 0x${MAP_LAYOUT_HASH.toString(16)}`,
    hint: 'All threads of a heap must load one version.',
  });
}

function requireSame(what: string, name: string, same: boolean): void {
  if (same) return;
  throw new SharedHeapError('ERR_HEAP_BAD_OPTION', `the map exists with other ${what}`, {
    detail: `map ${show(name)}`,
    hint: 'Everybody opens a map with the same key and value; the fields of a struct in the same order.',
  });
}
