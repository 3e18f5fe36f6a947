/**
 * Typed arrays as `heap.view` takes and returns them. Types mostly; the one function tells typed arrays from everything
 * else.
 */

/** The typed arrays that a view can be made of. */
export type ViewType =
  | Int8ArrayConstructor
  | Uint8ArrayConstructor
  | Uint8ClampedArrayConstructor
  | Int16ArrayConstructor
  | Uint16ArrayConstructor
  | Int32ArrayConstructor
  | Uint32ArrayConstructor
  | Float32ArrayConstructor
  | Float64ArrayConstructor
  | BigInt64ArrayConstructor
  | BigUint64ArrayConstructor;

/** What `heap.view(ptr, T)` returns: an array of that type over shared memory. */
export type ViewOf<T extends ViewType> = T extends Int8ArrayConstructor
  ? Int8Array<SharedArrayBuffer>
  : T extends Uint8ArrayConstructor
    ? Uint8Array<SharedArrayBuffer>
    : T extends Uint8ClampedArrayConstructor
      ? Uint8ClampedArray<SharedArrayBuffer>
      : T extends Int16ArrayConstructor
        ? Int16Array<SharedArrayBuffer>
        : T extends Uint16ArrayConstructor
          ? Uint16Array<SharedArrayBuffer>
          : T extends Int32ArrayConstructor
            ? Int32Array<SharedArrayBuffer>
            : T extends Uint32ArrayConstructor
              ? Uint32Array<SharedArrayBuffer>
              : T extends Float32ArrayConstructor
                ? Float32Array<SharedArrayBuffer>
                : T extends Float64ArrayConstructor
                  ? Float64Array<SharedArrayBuffer>
                  : T extends BigInt64ArrayConstructor
                    ? BigInt64Array<SharedArrayBuffer>
                    : BigUint64Array<SharedArrayBuffer>;

/** A constructor of typed arrays, as code that does not know which one sees it. */
export interface AnyViewType {
  readonly BYTES_PER_ELEMENT: number;
  readonly name: string;
  new (buffer: SharedArrayBuffer, byteOffset: number, length: number): ArrayBufferView<SharedArrayBuffer>;
}

const TYPED_ARRAY: unknown = Object.getPrototypeOf(Int8Array);

/**
 * Tells whether a value is the constructor of one of the language's typed arrays (Float16Array included where there is
 * one).
 */
export function isViewType(value: unknown): value is AnyViewType {
  return typeof value === 'function' && Object.getPrototypeOf(value) === TYPED_ARRAY;
}
