/**
 * Opening a map by its name: options, the block in the registry, the table and stores in the heap's main area.
 *
 * The first one to ask for a name makes the map, in the registry's `init`, which one thread runs while the others wait;
 * when it fails nothing is kept and the next one tries again. Everybody else checks that the declarations agree.
 */

import { DSA_ALLOC_ZERO, type DsaArea } from '../dsa/dsa.js';
import {
  attachTable,
  hashWords,
  hiOf,
  makeTable,
  NUM_PARTITIONS,
  NUM_PARTITIONS_LOG2,
  wordIndex,
  loOf,
} from '../dshash/dshash.js';
import { SharedHeapError } from '../errors/errors.js';
import { type DsaPointer, ld64, st64 } from '../layout/layout.js';
import { TRANCHE_HEAP_MAP } from '../sync/sync.js';
import {
  KEY_BYTES,
  KEY_NUMBER,
  KEY_STRING,
  MapBlock,
  MapStore,
  VALUE_BYTES,
  VALUE_JSON,
  VALUE_NUMBER,
  VALUE_STRING,
  VALUE_STRUCT,
} from './map-layout.js';
import { type MapKinds, MapState } from './map-state.js';
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
   * Entries to expect; the map then begins with enough buckets. Only a hint: it can hold more, and others may give
   * another number or none.
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
/** Buckets for each expected entry: partitions fill unevenly, and the fullest must stay below three quarters. */
const BUCKETS_PER_ENTRY = 1.6;

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

/**
 * Fills the block of a new map. Runs under the registry's lock of the name, so it must not use the registry.
 *
 * @throws ERR_HEAP_OUT_OF_MEMORY and what the area throws; nothing is kept then
 */
export function createMap(area: DsaArea, { i32, word }: MapPlace, kinds: CheckedMapOptions): void {
  const buckets = Math.ceil(Math.log2(Math.max(1, kinds.capacity * BUCKETS_PER_ENTRY)));
  const stores = area.allocate(NUM_PARTITIONS * MapStore.SIZEOF, DSA_ALLOC_ZERO);
  let table: DsaPointer;
  try {
    table = makeTable(area, TRANCHE_HEAP_MAP, Math.max(NUM_PARTITIONS_LOG2, buckets)).handle;
  } catch (error) {
    area.free(stores);
    throw error;
  }
  st64(i32, word + MapBlock.table / 4, table);
  st64(i32, word + MapBlock.stores / 4, stores);
  i32[word + MapBlock.key_kind / 4] = kinds.key;
  i32[word + MapBlock.value_kind / 4] = kinds.value;
  i32[word + MapBlock.value_bytes / 4] = kinds.struct?.bytes ?? 0;
  i32[word + MapBlock.schema / 4] = schemaOf(kinds.struct);
}

/**
 * Attaches to the map of a block.
 *
 * @throws ERR_HEAP_BAD_OPTION when it was made with other keys or values, ERR_HEAP_BAD_HANDLE when the block is damaged
 */
export function attachMap(area: DsaArea, { i32, word }: MapPlace, name: string, kinds: MapKinds): MapState {
  const at = (field: number): number => i32[word + field / 4]!;
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
  const numbers = Array.from({ length: at(MapBlock.value_bytes) / 8 }, (_, i) => [`f${i}`, 'f64']);
  const struct = at(MapBlock.value_kind) === VALUE_STRUCT ? new MapStruct(Object.fromEntries(numbers)) : null;
  return attach(area, block, name, { key: at(MapBlock.key_kind), value: at(MapBlock.value_kind), struct });
}

function attach(area: DsaArea, { i32, word }: MapPlace, name: string, kinds: MapKinds): MapState {
  const t = attachTable(area, ld64(i32, word + MapBlock.table / 4));
  const stores = ld64(i32, word + MapBlock.stores / 4) as DsaPointer;
  const hi = hiOf(stores);
  const words = area.resolve(hi >>> 8);
  if (words.length === 0) throw area.resolveError('map', stores);
  return new MapState(t, name, kinds, words, wordIndex(loOf(stores), hi));
}

function requireSame(what: string, name: string, same: boolean): void {
  if (same) return;
  throw new SharedHeapError('ERR_HEAP_BAD_OPTION', `the map exists with other ${what}`, {
    detail: `map ${show(name)}`,
    hint: 'Everybody opens a map with the same key and value; the fields of a struct in the same order.',
  });
}
