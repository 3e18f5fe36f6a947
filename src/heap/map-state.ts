/**
 * What one `HeapMap` object knows: where the map lies, and the key and value of the call under way.
 *
 * Private to its participant. A call packs its key and value here before it takes a lock, works on the node under the
 * lock without making objects, and reads what came out after the lock is gone.
 */

import type { DsaArea } from '../dsa/dsa.js';
import { hashWords } from '../dshash/dshash.js';
import { SharedHeapError } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import type { Participant } from '../sync/sync.js';
import {
  KEY_BYTES,
  KEY_NUMBER,
  KEY_STRING,
  LANE_WORDS,
  LANES,
  MAX_KEY_BYTES,
  MAX_VALUE_BYTES,
  N_KEY_AFTER_META,
  N_VALUE,
  P_LANES,
  PART_WORDS,
  PARTITIONS,
  VALUE_BYTES,
  VALUE_JSON,
  VALUE_NUMBER,
  VALUE_STRING,
  VALUE_STRUCT,
} from './map-layout.js';
import type { MapFailure } from './map-memory.js';
import type { MapStruct } from './map-struct.js';
import { BYTES, packBytes, packText, Scratch, unpackBytes, unpackText } from './map-text.js';
import { show } from './sizes.js';

/* Constants of this module fold into the code; imported ones are read from memory at every use (see dsa/allocate.ts). */
const STRING = KEY_STRING;
const NUMBER = KEY_NUMBER;
const V_NUMBER = VALUE_NUMBER;
const V_STRUCT = VALUE_STRUCT;

/** Highest word index that the short form of the exclusive lock takes. */
const NEAR_WORDS = 2 ** 31 - 1;

/** What `heap.map` found out about keys and values. */
export interface MapKinds {
  readonly key: number;
  readonly value: number;
  /** The declaration, for struct values. */
  readonly struct: MapStruct | null;
}

/** Where a map lies. */
export interface MapMemory {
  readonly area: DsaArea;
  /** Pointer to the partitions; words of their segment, word index there, number that locks there know it by. */
  readonly handle: DsaPointer;
  readonly parts: Int32Array;
  readonly partsAt: number;
  readonly ns: number;
  readonly firstLog2: number;
}

/** See the head of the file. */
export class MapState {
  readonly area: DsaArea;
  readonly p: Participant;
  readonly name: string;
  readonly keyKind: number;
  readonly valueKind: number;
  readonly struct: MapStruct | null;
  /** Words of the value in front of the key; 0 for values of any length. */
  readonly fixedWords: number;
  /** Those words, as private memory: the number or the struct of the call. */
  readonly fixed: Int32Array;
  /** What they were before a function of the program changed them. */
  readonly before: Int32Array;
  /** The same as a number. */
  readonly float: Float64Array = new Float64Array(1);
  /** Word of the key in a node. */
  readonly keyAt: number;
  /** The partitions: see {@link MapMemory}. */
  readonly handle: DsaPointer;
  readonly parts: Int32Array;
  readonly partsAt: number;
  readonly ns: number;
  /** Size of the first table of a partition, as a power of two. */
  readonly firstLog2: number;
  /** Whether all locks are near enough for the short forms of acquire. */
  readonly near: boolean;
  /** Word of the lane of this participant in a partition. */
  readonly lane: number;

  /** What is mapped here, by segment index; the area's own list. */
  readonly maps: DsaArea['state']['maps'];

  /** The key of the call. */
  readonly key: Scratch = new Scratch();
  keyMeta = 0;
  keyWords = 0;
  /** Its hash, signed. */
  hash = 0;
  /** The value of the call, unless it is fixed. */
  readonly value: Scratch = new Scratch();

  /** The partition of the key, as a word of `parts`. */
  part = 0;
  /** Table and size of each partition as this participant saw them last: pointer in two words, size_log2, unused. */
  readonly known: Int32Array = new Int32Array(4 * PARTITIONS);
  /** Its table, once a step has opened it: words of its segment, word index there, size as a power of two. */
  cells: Int32Array;
  cellBase = 0;
  log2 = 0;
  /** The cell that a search ended at: of the key, or a free one. A word of `cells`. */
  cellAt = 0;
  /** The node or slot that a step ended at: words of its segment, its two words as a pointer. */
  words: Int32Array;
  lo = 0;
  hi = 0;
  /** An object that the map has given up under a lock: to be freed after unlocking; else 0, 0. One call leaves one at most. */
  ownLo = 0;
  ownHi = 0;
  /** True while a function of the program runs under a lock of this map. */
  busy = false;

  /** Why the last step failed; lock word of 'lock', bytes of 'memory', what was thrown or is wrong for the others. */
  failure: MapFailure = 'none';
  failedLock = 0;
  wanted = 0;
  thrown: unknown = null;

  constructor(memory: MapMemory, name: string, kinds: MapKinds) {
    const { area, handle, parts, partsAt, ns, firstLog2 } = memory;
    this.area = area;
    this.p = area.state.p;
    this.name = name;
    this.keyKind = kinds.key;
    this.valueKind = kinds.value;
    this.struct = kinds.struct;
    const number = new Int32Array(this.float.buffer);
    this.fixed = kinds.struct === null ? number : kinds.struct.words;
    this.before = new Int32Array(this.fixed.length);
    this.fixedWords = kinds.value === V_NUMBER || kinds.value === V_STRUCT ? this.fixed.length : 0;
    this.keyAt = this.fixedWords === 0 ? N_KEY_AFTER_META : N_VALUE + this.fixedWords;
    this.handle = handle;
    this.parts = parts;
    this.partsAt = partsAt;
    this.ns = ns;
    this.firstLog2 = firstLog2;
    this.near = partsAt + PARTITIONS * PART_WORDS < NEAR_WORDS;
    this.lane = P_LANES + (this.p.slot % LANES) * LANE_WORDS;
    this.maps = area.state.maps;
    this.cells = parts;
    this.words = parts;
  }
}

/** What a call begins with. @throws ERR_HEAP_CLOSED, ERR_HEAP_LOCK_SELF */
export function enter(m: MapState): void {
  if (m.busy || !m.area.state.attached) refuseEntry(m);
}

function refuseEntry(m: MapState): never {
  if (!m.area.state.attached) {
    throw new SharedHeapError('ERR_HEAP_CLOSED', 'the heap of this map was closed here', {
      hint: 'Attach again with a handle from a participant that is still open.',
    });
  }
  throw new SharedHeapError('ERR_HEAP_LOCK_SELF', 'a function that runs under a lock of this map uses the map', {
    detail: `map ${show(m.name)}`,
    hint: 'Read or write other entries before or after update and getOrInsert.',
  });
}

function badKey(m: MapState, key: unknown): SharedHeapError {
  const wanted = { [KEY_STRING]: 'a string', [KEY_NUMBER]: 'a number', [KEY_BYTES]: 'a Uint8Array' }[m.keyKind];
  return new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `a key of this map is ${wanted}`, { detail: `got ${show(key)}` });
}

/**
 * Packs and hashes the key of a call. -0 is 0, and all NaN are one key, as in a JS Map.
 *
 * @throws ERR_HEAP_BAD_ARGUMENT for a key of another kind, or one that is too long
 */
export function packKey(m: MapState, key: unknown): void {
  const s = m.key;
  if (m.keyKind === STRING) {
    if (typeof key !== 'string') throw badKey(m, key);
    if (key.length > s.room) requireShort(key.length);
    packText(s, key);
  } else if (m.keyKind === NUMBER) {
    if (typeof key !== 'number') throw badKey(m, key);
    packNumber(s, key);
  } else {
    if (!(key instanceof Uint8Array)) throw badKey(m, key);
    if (key.length > s.room) requireShort(key.length);
    packBytes(s, key);
  }
  const { length } = s;
  m.keyMeta = (length << 2) | s.kind;
  m.keyWords = (length + 3) >>> 2;
  m.hash = hashWords(s.words, 0, length);
}

const float = new Float64Array(1);
const floatWords = new Int32Array(float.buffer);

function packNumber(s: Scratch, key: number): void {
  // Adding 0 turns -0 into 0; the constant has the same bits in every thread.
  float[0] = Number.isNaN(key) ? Number.NaN : key + 0;
  s.words[0] = floatWords[0]!;
  s.words[1] = floatWords[1]!;
  s.length = 8;
  s.kind = BYTES;
}

function requireShort(units: number): void {
  // Of text, every unit counts as two bytes, so that what is accepted does not depend on what is in it.
  if (units * 2 <= MAX_KEY_BYTES) return;
  throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a key is too long', {
    detail: `${units} units or bytes, at most ${MAX_KEY_BYTES / 2}`,
  });
}

/** The key in `m.key`. */
export function unpackKey(m: MapState): unknown {
  const s = m.key;
  if (m.keyKind === KEY_STRING) return unpackText(s);
  if (m.keyKind === KEY_BYTES) return unpackBytes(s);
  floatWords[0] = s.words[0]!;
  floatWords[1] = s.words[1]!;
  return float[0];
}

/** Packs the value of a call. @throws ERR_HEAP_BAD_ARGUMENT, and what `toJSON` of the value throws */
export function packValue(m: MapState, value: unknown): void {
  if (m.valueKind === V_NUMBER) {
    if (typeof value !== 'number') throw badValue('a number', value);
    m.float[0] = value;
  } else if (m.struct !== null) m.struct.write(value);
  else packLong(m, value);
}

function badValue(wanted: string, value: unknown): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `a value of this map is ${wanted}`, {
    detail: `got ${show(value)}`,
  });
}

function packLong(m: MapState, value: unknown): void {
  if (m.valueKind === VALUE_BYTES) {
    if (!(value instanceof Uint8Array)) throw badValue('a Uint8Array', value);
    requireValueLength(value.length);
    packBytes(m.value, value);
    return;
  }
  let text = value;
  if (m.valueKind === VALUE_JSON) text = toJson(value);
  else if (typeof value !== 'string') throw badValue('a string', value);
  requireValueLength((text as string).length * 2);
  packText(m.value, text as string);
}

function toJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a value of this map can be written as JSON', {
      detail: cause.message,
      cause,
    });
  }
  if (text === undefined) throw badValue('something that JSON knows', value);
  return text;
}

function requireValueLength(bytes: number): void {
  if (bytes <= MAX_VALUE_BYTES) return;
  throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a value is too long', {
    detail: `${bytes} bytes, at most ${MAX_VALUE_BYTES}`,
  });
}

/** The value that was copied out of a node last. */
export function unpackValue(m: MapState): unknown {
  if (m.valueKind === V_NUMBER) return m.float[0];
  if (m.struct !== null) return m.struct.read();
  if (m.valueKind === VALUE_BYTES) return unpackBytes(m.value);
  const text = unpackText(m.value);
  return m.valueKind === VALUE_STRING ? text : JSON.parse(text);
}
