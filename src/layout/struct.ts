/**
 * Struct layouts, declared once: a C struct as a frozen object of byte offsets.
 *
 * Stands on nothing but the error class. `struct()` runs at module load, so a layout costs nothing in hot code: a
 * field is a constant number. Each field names its guard, i.e. who writes it, who reads it and under which lock or
 * ordering; the guards are printed by `npm run layouts` and are part of the contract. The hash of all layouts
 * goes into the control segment, and a participant with another hash is refused.
 */

import { SharedHeapError } from '../errors/errors.js';

/** Width of a field in bytes and its natural alignment. */
export interface FieldType {
  readonly type: string;
  readonly size: number;
  readonly align: number;
}

/** A field with its guard sentence. */
export interface FieldSpec extends FieldType {
  /** Who writes the field, who reads it, and under which lock or ordering. */
  readonly guard: string;
}

/** One row of a layout as reports print it. */
export interface LayoutRow extends FieldSpec {
  readonly name: string;
  readonly offset: number;
}

/** A layout with its rows; see {@link allStructs}. */
export interface StructInfo {
  readonly name: string;
  readonly size: number;
  readonly source: string;
  readonly rows: readonly LayoutRow[];
}

const registry: StructInfo[] = [];
/** By name. Made with the layout: a thread that attaches compares them, and hashing takes a new thread 0.1 ms. */
const hashes = new Map<string, number>();

function fieldType(type: string, size: number, align: number) {
  return (guard: string): FieldSpec => ({ type, size, align, guard });
}

/** Unsigned 16 bits; lies in the low or high half of a word. */
export const u16 = fieldType('uint16', 2, 2);
/** One byte used as a flag; C's `bool`. */
export const bool = fieldType('bool', 1, 1);
/** Unsigned 32 bits. */
export const u32 = fieldType('uint32', 4, 4);
/** Signed 32 bits. */
export const i32 = fieldType('int32', 4, 4);
/** `size_t`: two words, low first. */
export const size = fieldType('size', 8, 8);
/** `dsa_pointer`: two words, low first. */
export const dp = fieldType('dsa_pointer', 8, 8);
/** Relative pointer: two words, offset + 1, 0 is null. */
export const relptr = fieldType('relptr', 8, 8);

/**
 * An LWLock inside a struct: 16 bytes, aligned to 4 as in C.
 *
 * @param guard what the lock protects
 */
export const lock = fieldType('LWLock', 16, 4);

/**
 * A run of equal fields.
 *
 * @param count number of elements
 * @param element type of one element
 */
export function array(count: number, element: FieldSpec): FieldSpec {
  return {
    type: `${element.type}[${count}]`,
    size: element.size * count,
    align: element.align,
    guard: element.guard,
  };
}

/**
 * A struct as a field of another.
 *
 * @param of a layout made by {@link struct}
 * @param align its alignment in bytes
 * @param guard who may touch it
 */
export function nested(
  of: { readonly SIZEOF: number; readonly NAME: string },
  align: number,
  guard: string,
): FieldSpec {
  return { type: of.NAME, size: of.SIZEOF, align, guard };
}

/** A layout: the byte offset of every field by name, and the size of the whole. */
export type Layout<F> = { readonly [K in keyof F]: number } & { readonly SIZEOF: number; readonly NAME: string };

function alignUp(n: number, to: number): number {
  return Math.ceil(n / to) * to;
}

/**
 * Lays fields out one after the other with C's alignment rules and registers the result for reports and the hash.
 *
 * @param name PostgreSQL's name of the struct, for cross-reading
 * @param source the PostgreSQL file it follows, or `sharedheap` when it is ours
 * @param fields name → type with guard, in order
 * @param expected the size in bytes that the struct must have; a guard against slips
 * @returns byte offsets by field name, `SIZEOF` in bytes and `NAME`; frozen
 * @throws ERR_HEAP_CORRUPT when the size is not the expected one
 */
export function struct<F extends Record<string, FieldSpec>>(
  name: string,
  source: string,
  fields: F,
  expected: number,
): Layout<F> {
  const offsets: Record<string, number | string> = {};
  const rows: LayoutRow[] = [];
  let at = 0;
  let align = 1;
  for (const [field, spec] of Object.entries(fields)) {
    at = alignUp(at, spec.align);
    offsets[field] = at;
    rows.push({ name: field, offset: at, ...spec });
    at += spec.size;
    align = Math.max(align, spec.align);
  }
  const total = alignUp(at, align);
  if (total !== expected) {
    throw new SharedHeapError('ERR_HEAP_CORRUPT', `layout of ${name} is wrong`, {
      detail: `it takes ${total} bytes, declared were ${expected}`,
    });
  }
  offsets['SIZEOF'] = total;
  offsets['NAME'] = name;
  registry.push({ name, size: total, source, rows });
  hashes.set(name, layoutHash(name, total, rows));
  return Object.freeze(offsets) as unknown as Layout<F>;
}

/** Every layout declared so far, in order of declaration. Import the whole library first to see all of them. */
export function allStructs(): readonly StructInfo[] {
  return registry;
}

/**
 * Hash over layouts that participants must agree on, one after the other: layouts are declared in the order in which
 * modules happen to be loaded, and that may be another one in another thread.
 *
 * @param version of what no layout says: the meaning of values, tables without a layout
 * @param structs names of the layouts; all must be declared by now
 * @throws ERR_HEAP_CORRUPT when one is not: without it two versions could seem to agree
 */
export function agreementHash(version: number, structs: readonly string[]): number {
  let hash = version;
  for (const name of structs) {
    const its = hashes.get(name);
    if (its === undefined) throw new SharedHeapError('ERR_HEAP_CORRUPT', `layout ${name} is not declared yet`);
    hash = (Math.imul(hash, 31) + its) | 0;
  }
  return hash >>> 0;
}

/** FNV-1a hash (32 bits) over name, offsets and sizes of a layout: changes whenever the layout does. */
function layoutHash(name: string, size: number, rows: readonly LayoutRow[]): number {
  let hash = 0x811c9dc5;
  const text = `${name}:${size};${rows.map((r) => `${r.name}@${r.offset}+${r.size}`).join(',')};`;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
