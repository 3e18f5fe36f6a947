/**
 * Codecs: how the values of a queue become bytes and come back.
 *
 * | name | values | made with |
 * |---|---|---|
 * | `bytes` | Uint8Array | a copy |
 * | `string` | string | UTF-8; a lone surrogate becomes U+FFFD |
 * | `json` (default) | what JSON can hold | JSON.stringify, JSON.parse |
 * | `clone` | what structured clone can hold, without transfer | `node:v8` serialize, deserialize: Node.js and what has its modules |
 * | any other | a {@link QueueCodec} of the program | its encode and decode |
 *
 * Encoding is done before the queue's lock is taken, decoding after it was released: no code of the program runs under a
 * lock, and what it throws leaves the queue as it was, or one message shorter. Private to one queue object; its buffers
 * are reused, so a codec's results are copied or used up before the next call.
 */

import { SharedHeapError } from '../errors/errors.js';
import { builtin, runtimeName } from '../platform/platform.js';
import { SMALL } from './queue-ring.js';
import { show } from './sizes.js';

/** Values to bytes and back; the same code, under the same name, in every thread that uses the queue. */
export interface QueueCodec<T> {
  /** 1 to 47 bytes of UTF-8, not the name of a built-in codec. Stored with the queue: threads must agree on it. */
  readonly name: string;
  /** The bytes of a value. They are copied before anything else is called. */
  encode(value: T): Uint8Array;
  /** The value of bytes, which are this thread's own. */
  decode(bytes: Uint8Array): T;
}

/** Names of the codecs that are built in. */
export const CODECS = ['bytes', 'string', 'json', 'clone'] as const;
/** A codec that is built in. */
export type CodecName = (typeof CODECS)[number];

/** A codec as the queue uses it. */
export interface Packer {
  readonly name: string;
  /** Encodes a value: into `small` when it takes at most SMALL bytes, else into {@link packed}. Returns its length. */
  pack(value: unknown): number;
  /** A longer value's bytes, exactly. */
  readonly packed: Uint8Array;
  /** Decodes `bytes`, which will be overwritten. */
  unpack(bytes: Uint8Array): unknown;
}

interface Serializer {
  serialize(value: unknown): Uint8Array;
  deserialize(bytes: Uint8Array): unknown;
}

/** Longest text written, and read, by hand. Higher: the loop loses against the engine; lower: calls for single words. */
const WRITE_BY_HAND = 40;
const READ_BY_HAND = 28;
/** UTF-8 bytes that a UTF-16 unit can need at most. */
const MOST_BYTES_PER_UNIT = 3;
const NOTHING = new Uint8Array(0);

function wrongValue(what: string, value: unknown, hint: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `the value is not ${what}`, {
    detail: `got ${show(value)}`,
    hint,
  });
}

/** Copies of bytes. */
class BytesPacker implements Packer {
  readonly name: string = 'bytes';
  packed: Uint8Array = NOTHING;
  readonly #small: Uint8Array;
  /** A buffer whose length is known not to change. */
  #fixed: ArrayBufferLike | null = null;

  constructor(small: Uint8Array) {
    this.#small = small;
  }

  pack(value: unknown): number {
    if (!(value instanceof Uint8Array)) {
      throw wrongValue('a Uint8Array', value, "Choose another codec for other values: { codec: 'json' }.");
    }
    return this.keep(value);
  }

  /** Makes bytes ready to be put in. */
  protected keep(bytes: Uint8Array): number {
    const n = bytes.length;
    if (n <= SMALL) {
      // Throws when a buffer that others grow has grown past that: nothing has happened yet.
      this.#small.set(bytes);
      return n;
    }
    this.packed = bytes.buffer === this.#fixed ? bytes : this.#checked(bytes);
    return this.packed.length;
  }

  /** The same bytes, as a view whose length stays while they are copied. */
  #checked(bytes: Uint8Array): Uint8Array {
    const { buffer } = bytes as { buffer: { growable?: boolean; resizable?: boolean } };
    if (buffer.growable === true || buffer.resizable === true) return bytes.slice();
    this.#fixed = bytes.buffer;
    return bytes;
  }

  /**
   * A buffer for each message. Several messages in one would take a quarter of the time from 65 bytes on, where the engine
   * takes memory for each buffer; but who transfers `message.buffer` would take the other messages along.
   */
  unpack(bytes: Uint8Array): unknown {
    return bytes.slice();
  }
}

/** Codec of the program. */
class OwnPacker<T> extends BytesPacker {
  override readonly name: string;
  readonly #codec: QueueCodec<T>;

  constructor(small: Uint8Array, codec: QueueCodec<T>) {
    super(small);
    this.name = codec.name;
    this.#codec = codec;
  }

  override pack(value: unknown): number {
    const bytes: unknown = this.#codec.encode(value as T);
    if (!(bytes instanceof Uint8Array)) {
      throw wrongValue('encoded as a Uint8Array', bytes, `The encode of codec ${show(this.name)} must return one.`);
    }
    return this.keep(bytes);
  }

  override unpack(bytes: Uint8Array): unknown {
    return this.#codec.decode(bytes.slice());
  }
}

/** Text, and what is made of text. */
class TextPacker implements Packer {
  readonly name: string = 'string';
  packed: Uint8Array = NOTHING;
  readonly #small: Uint8Array;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #buffer: Uint8Array = NOTHING;

  constructor(small: Uint8Array) {
    this.#small = small;
  }

  pack(value: unknown): number {
    if (typeof value !== 'string') {
      throw wrongValue('a string', value, "Choose another codec for other values: { codec: 'json' }.");
    }
    return this.write(value);
  }

  protected write(text: string): number {
    const units = text.length;
    const small = this.#small;
    if (units <= WRITE_BY_HAND && writeAscii(text, small)) return units;
    const most = units * MOST_BYTES_PER_UNIT;
    if (this.#buffer.length < most) this.#buffer = reserve(most);
    const n = this.#encoder.encodeInto(text, this.#buffer).written;
    if (n <= SMALL) for (let i = 0; i < n; i++) small[i] = this.#buffer[i]!;
    else this.packed = this.#buffer.subarray(0, n);
    return n;
  }

  unpack(bytes: Uint8Array): unknown {
    return this.read(bytes);
  }

  protected read(bytes: Uint8Array): string {
    return (bytes.length <= READ_BY_HAND ? readAscii(bytes) : null) ?? this.#decoder.decode(bytes);
  }
}

class JsonPacker extends TextPacker {
  override readonly name = 'json';

  override pack(value: unknown): number {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined)
      throw wrongValue('one that JSON can hold', value, 'undefined also means the end of a queue.');
    return this.write(text);
  }

  override unpack(bytes: Uint8Array): unknown {
    return JSON.parse(this.read(bytes));
  }
}

class ClonePacker extends BytesPacker {
  override readonly name = 'clone';
  readonly #v8: Serializer;

  constructor(small: Uint8Array) {
    super(small);
    const v8 = builtin('node:v8') as Serializer | undefined;
    if (v8 === undefined) {
      throw new SharedHeapError('ERR_HEAP_UNSUPPORTED', "the codec 'clone' needs the module node:v8", {
        detail: runtimeName(),
        hint: "Use 'json', or a codec of your own.",
      });
    }
    this.#v8 = v8;
  }

  override pack(value: unknown): number {
    if (value === undefined)
      throw wrongValue('one that a queue can hold', value, 'undefined means the end of a queue.');
    return this.keep(this.#v8.serialize(value));
  }

  override unpack(bytes: Uint8Array): unknown {
    // A copy: typed arrays in the value are views of these bytes.
    return this.#v8.deserialize(bytes.slice());
  }
}

function writeAscii(text: string, into: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return false;
    into[i] = unit;
  }
  return true;
}

function readAscii(bytes: Uint8Array): string | null {
  const codes = new Array<number>(bytes.length);
  for (let i = 0; i < bytes.length; i++) {
    const code = bytes[i]!;
    if (code >= 0x80) return null;
    codes[i] = code;
  }
  return String.fromCharCode.apply(null, codes);
}

/** A private buffer of at least `n` bytes: powers of two, so that growing values do not make one each time. */
export function reserve(n: number): Uint8Array {
  let bytes = 1024;
  while (bytes < n) bytes *= 2;
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new SharedHeapError('ERR_HEAP_HOST_LIMIT', 'the engine refused a buffer for a message', {
      detail: `${bytes} bytes`,
      cause,
    });
  }
}

/**
 * The codec of an option, made for one queue object.
 *
 * @param codec a name of {@link CODECS} or a codec that was checked
 * @param small where short values go
 * @throws ERR_HEAP_UNSUPPORTED
 */
export function makePacker(codec: CodecName | QueueCodec<unknown>, small: Uint8Array): Packer {
  switch (codec) {
    case 'bytes':
      return new BytesPacker(small);
    case 'string':
      return new TextPacker(small);
    case 'json':
      return new JsonPacker(small);
    case 'clone':
      return new ClonePacker(small);
    default:
      return new OwnPacker(small, codec);
  }
}
