/**
 * Declared structs as values of a map: `{ count: 'u32', last: 'f64' }`.
 *
 * Fields lie one after the other with their natural alignment, like a C struct, in 8-byte units. A struct is read and
 * written in private memory, which the map copies from and to the node under its lock, so nobody sees half of one. The
 * accessor that `update` hands out has a property per field over that memory. One thread; no locks.
 */

import { SharedHeapError } from '../errors/errors.js';
import type { DsaPointer } from '../layout/layout.js';
import { show } from './sizes.js';

/** What a field can be. `pointer` is a number that `heap.alloc` returned, or 0. */
export type FieldType = keyof typeof WIDTHS;
/** A declaration: name → type, in order. */
export type StructFields = { readonly [name: string]: FieldType };
/** A value of a declared struct. */
export type StructOf<F extends StructFields> = {
  -readonly [N in keyof F]: F[N] extends 'i64' | 'u64'
    ? bigint
    : F[N] extends 'bool'
      ? boolean
      : F[N] extends 'pointer'
        ? DsaPointer | 0
        : number;
};

const WIDTHS = {
  i8: 1,
  u8: 1,
  bool: 1,
  i16: 2,
  u16: 2,
  i32: 4,
  u32: 4,
  f32: 4,
  f64: 8,
  i64: 8,
  u64: 8,
  pointer: 8,
} as const;

/** Most bytes of a struct. Higher: longer under the lock, and a node that does not fit a slot. */
const MAX_STRUCT_BYTES = 256;
const POINTER_END = 2 ** 50;

const RANGES: Readonly<Partial<Record<FieldType, readonly [number, number]>>> = {
  i8: [-128, 127],
  u8: [0, 255],
  i16: [-32_768, 32_767],
  u16: [0, 65_535],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  pointer: [0, POINTER_END - 1],
};

interface Field {
  readonly name: string;
  readonly type: FieldType;
  readonly offset: number;
}

function bad(message: string, detail: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_OPTION', message, { detail });
}

function layOut(declared: object): Field[] {
  const fields: Field[] = [];
  let at = 0;
  for (const [name, type] of Object.entries(declared) as [string, unknown][]) {
    if (typeof type !== 'string' || !Object.hasOwn(WIDTHS, type)) {
      throw bad(
        `the type of field ${show(name)} is unknown`,
        `got ${show(type)}; there are ${Object.keys(WIDTHS).join(', ')}`,
      );
    }
    const width = WIDTHS[type as FieldType];
    const offset = Math.ceil(at / width) * width;
    fields.push({ name, type: type as FieldType, offset });
    at = offset + width;
  }
  if (fields.length === 0 || at > MAX_STRUCT_BYTES) {
    throw bad('a struct has at least one field and is not too large', `${at} bytes, at most ${MAX_STRUCT_BYTES}`);
  }
  return fields;
}

/** A declared struct with its private memory. */
export class MapStruct {
  /** Bytes, a multiple of 8. */
  readonly bytes: number;
  /** The private memory. */
  readonly words: Int32Array;
  /** Names, types and offsets in one line; two declarations are the same when this is. */
  readonly schema: string;
  /** An object with a property per field over {@link words}. */
  readonly accessor: Record<string, unknown>;
  readonly #fields: readonly Field[];
  readonly #views: Readonly<
    Record<FieldType, { [index: number]: number | bigint; readonly BYTES_PER_ELEMENT: number }>
  >;

  /** @throws ERR_HEAP_BAD_OPTION */
  constructor(declared: object) {
    this.#fields = layOut(declared);
    const last = this.#fields.at(-1)!;
    this.bytes = Math.ceil((last.offset + WIDTHS[last.type]) / 8) * 8;
    this.schema = this.#fields.map(({ name, type, offset }) => `${JSON.stringify(name)}:${type}@${offset}`).join();
    const { buffer } = (this.words = new Int32Array(this.bytes / 4));
    const u8 = new Uint8Array(buffer);
    const f64 = new Float64Array(buffer);
    this.#views = {
      i8: new Int8Array(buffer),
      u8,
      bool: u8,
      i16: new Int16Array(buffer),
      u16: new Uint16Array(buffer),
      i32: this.words,
      u32: new Uint32Array(buffer),
      f32: new Float32Array(buffer),
      f64,
      i64: new BigInt64Array(buffer),
      u64: new BigUint64Array(buffer),
      pointer: f64,
    };
    this.accessor = this.#makeAccessor();
  }

  /** Fills the private memory from an object. @throws ERR_HEAP_BAD_ARGUMENT for a field that is missing or out of range */
  write(value: unknown): void {
    if (typeof value !== 'object' || value === null) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', 'a value of this map is an object with its fields', {
        detail: `got ${show(value)}`,
      });
    }
    if (value === this.accessor) return;
    // All are read before the first is stored: reading may run code of the program, which may use the map.
    const fields = this.#fields;
    const given = new Array<unknown>(fields.length);
    for (let i = 0; i < given.length; i++) given[i] = (value as Record<string, unknown>)[fields[i]!.name];
    for (let i = 0; i < given.length; i++) this.#set(fields[i]!, given[i]);
  }

  /** The private memory as a plain object. */
  read(): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    for (const field of this.#fields) value[field.name] = this.#get(field);
    return value;
  }

  /**
   * Functions that know the place of their field, because programs call them in loops under a lock. An ordinary object:
   * one without a prototype keeps its properties in a dictionary.
   */
  #makeAccessor(): Record<string, unknown> {
    const accessor: Record<string, unknown> = {};
    for (const field of this.#fields) {
      const view = this.#views[field.type];
      const at = field.offset / view.BYTES_PER_ELEMENT;
      const get = field.type === 'bool' ? () => view[at] !== 0 : () => view[at];
      const set = (value: unknown) => {
        if (!fits(field.type, value)) throw refused(field, value);
        view[at] = value === true ? 1 : value === false ? 0 : (value as number);
      };
      Object.defineProperty(accessor, field.name, { enumerable: true, get, set });
    }
    return Object.freeze(accessor);
  }

  #get({ type, offset }: Field): unknown {
    const view = this.#views[type];
    const value = view[offset / view.BYTES_PER_ELEMENT]!;
    return type === 'bool' ? value !== 0 : value;
  }

  #set(field: Field, value: unknown): void {
    if (!fits(field.type, value)) throw refused(field, value);
    const view = this.#views[field.type];
    view[field.offset / view.BYTES_PER_ELEMENT] = field.type === 'bool' ? Number(value) : (value as number);
  }
}

function refused({ name, type }: Field, value: unknown): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `field ${show(name)} does not take this value`, {
    detail: `got ${show(value)}, the field is ${type}`,
  });
}

function fits(type: FieldType, value: unknown): boolean {
  if (type === 'bool') return typeof value === 'boolean';
  if (type === 'i64') return typeof value === 'bigint' && BigInt.asIntN(64, value) === value;
  if (type === 'u64') return typeof value === 'bigint' && BigInt.asUintN(64, value) === value;
  if (typeof value !== 'number') return false;
  const range = RANGES[type];
  return range === undefined || (Number.isInteger(value) && value >= range[0] && value <= range[1]);
}
