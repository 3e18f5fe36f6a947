/**
 * The views of one segment, as this participant has it mapped: one typed array per kind of number, made when needed.
 *
 * Private to one `SharedHeap` object; no locks. Making a view costs 60-150 ns and an object, reading through one 3 ns,
 * so views are kept by segment index, and thrown away when the mapping behind the index is another one.
 *
 * Engines limit the elements of a view: Node 20 makes no Uint8Array beyond 4 GiB, while a segment may have 1 TiB. A
 * view covers the whole segment where the engine allows it, else its first {@link WINDOW} bytes; what lies beyond is
 * reached through further views of one window each.
 */

import { SharedHeapError } from '../errors/errors.js';

/**
 * Bytes of a window. Every engine makes views of this size; a power of two, so that no number straddles two windows.
 */
export const WINDOW = 2 ** 30;

/** Any of the views. */
export type NumberView =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** Name of a kind of number; also the name of its view. */
export type Kind = 'i8' | 'u8' | 'i16' | 'u16' | 'i32' | 'u32' | 'f32' | 'f64' | 'i64' | 'u64';

type ViewMaker = new (buffer: SharedArrayBuffer, byteOffset: number, length: number) => NumberView;

const MAKERS: Readonly<Record<Kind, ViewMaker & { readonly BYTES_PER_ELEMENT: number }>> = {
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  f32: Float32Array,
  f64: Float64Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
};

/** Bytes that a number of this kind takes; also its alignment. */
export function widthOf(kind: Kind): number {
  return MAKERS[kind].BYTES_PER_ELEMENT;
}

function hostLimit(kind: Kind, cause: unknown): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_HOST_LIMIT', 'the engine refused a view of a segment', {
    detail: `${kind} view`,
    hint: 'The process is out of memory or of address space.',
    cause,
  });
}

/** Views of one mapping. The ten views start empty, so that hot code needs no test for a missing one. */
export class SegmentViews {
  /** The mapping's words as the area has them: another array means another mapping. */
  readonly mapping: Int32Array;
  /** Byte offset of the first page that can hold objects; what lies below is the heap's own. */
  readonly lowest: number;
  i8: Int8Array = new Int8Array(0);
  u8: Uint8Array = new Uint8Array(0);
  i16: Int16Array = new Int16Array(0);
  u16: Uint16Array = new Uint16Array(0);
  i32: Int32Array = new Int32Array(0);
  u32: Uint32Array = new Uint32Array(0);
  f32: Float32Array = new Float32Array(0);
  f64: Float64Array = new Float64Array(0);
  i64: BigInt64Array = new BigInt64Array(0);
  u64: BigUint64Array = new BigUint64Array(0);
  private readonly windows = new Map<string, NumberView>();

  /**
   * @param mapping all words of the segment
   * @param lowest see {@link lowest}
   */
  constructor(mapping: Int32Array, lowest: number) {
    this.mapping = mapping;
    this.lowest = lowest;
  }

  /** Bytes of the segment, its last page whole. */
  get byteLength(): number {
    return this.mapping.byteLength;
  }

  /**
   * The view that reaches byte `at`, made if need be. Byte 0 of the result is byte {@link baseOf}(kind, at) of the
   * segment.
   *
   * @param kind which numbers
   * @param at byte offset in the segment, inside it
   * @throws ERR_HEAP_HOST_LIMIT
   */
  reach(kind: Kind, at: number): NumberView {
    if (this[kind].length === 0) this.makeFirst(kind);
    if (at < this[kind].byteLength) return this[kind];
    const base = this.baseOf(kind, at);
    const key = `${kind} ${base}`;
    let view = this.windows.get(key);
    if (view === undefined) {
      view = this.make(kind, base, Math.min(WINDOW, this.byteLength - base));
      this.windows.set(key, view);
    }
    return view;
  }

  /** Byte offset in the segment of the view that {@link reach} returns. */
  baseOf(kind: Kind, at: number): number {
    return at < this[kind].byteLength ? 0 : Math.floor(at / WINDOW) * WINDOW;
  }

  private make(kind: Kind, base: number, bytes: number): NumberView {
    const { buffer, byteOffset } = this.mapping;
    const Maker = MAKERS[kind];
    try {
      return new Maker(buffer as SharedArrayBuffer, byteOffset + base, bytes / Maker.BYTES_PER_ELEMENT);
    } catch (cause) {
      throw hostLimit(kind, cause);
    }
  }

  private makeFirst(kind: Kind): void {
    const views = this as Record<Kind, NumberView>;
    try {
      views[kind] = this.make(kind, 0, this.byteLength);
    } catch (refused) {
      if (this.byteLength <= WINDOW) throw refused;
      views[kind] = this.make(kind, 0, WINDOW);
    }
  }
}
