/**
 * What a table knows of its keys: how to hash, compare and copy them; and the two stock kinds, as in PostgreSQL.
 *
 * Functions cannot lie in shared memory: every participant brings the same ones. They run under a partition lock
 * (`hash` does not), so they must be quick, must not use the table, and take no locks. Should one throw all the same, the
 * lock is released and nothing has changed, except that `copy` may have been interrupted in an item that is dropped then.
 *
 * A key in the program is whatever `K` is; in shared memory it is the first `keySize` bytes of the entry, seen as words.
 */

import { SharedHeapError } from '../errors/errors.js';
import { hashWords } from './hash.js';

/**
 * Parameters of a table; the same for all its participants. PostgreSQL's dshash_parameters.
 */
export interface DshashParameters<K, A = unknown> {
  /** Bytes of a key, at the beginning of the entry. */
  readonly keySize: number;
  /** Bytes of an entry, key included. */
  readonly entrySize: number;
  /** Tells whether the entry at word `at` of `words` has this key. */
  readonly equals: (words: Int32Array, at: number, key: K, arg: A) => boolean;
  /** Hash of a key; its low 32 bits are used, and of these the top ones first. */
  readonly hash: (key: K, arg: A) => number;
  /** Writes the key into the entry at word `at` of `words`. */
  readonly copy: (words: Int32Array, at: number, key: K, arg: A) => void;
  /** Tranche of the partition locks, for reports; only the creator's counts. */
  readonly trancheId: number;
}

/** The part of {@link DshashParameters} that depends on the kind of key alone. */
export type DshashKeyFunctions<K> = Pick<DshashParameters<K>, 'keySize' | 'equals' | 'hash' | 'copy'>;

/** Largest key in bytes. Higher would serve nobody: a key is copied and compared under a lock. */
const MAX_KEY_SIZE = 2 ** 20;

/** @throws ERR_HEAP_BAD_OPTION */
export function checkKeySize(keySize: unknown): number {
  if (typeof keySize === 'number' && Number.isInteger(keySize) && keySize >= 1 && keySize <= MAX_KEY_SIZE) {
    return keySize;
  }
  throw new SharedHeapError('ERR_HEAP_BAD_OPTION', 'keySize is not acceptable', {
    detail: `got ${typeof keySize === 'number' ? keySize : typeof keySize}, want whole bytes from 1 to ${MAX_KEY_SIZE}`,
  });
}

/** Private words that a key is packed into, zeroes behind. */
class Packed {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;

  constructor(keySize: number) {
    this.words = new Int32Array(Math.ceil(keySize / 4));
    this.bytes = new Uint8Array(this.words.buffer);
  }

  equals(words: Int32Array, at: number, count: number): boolean {
    const mine = this.words;
    for (let i = 0; i < count; i++) if (words[at + i] !== mine[i]) return false;
    return true;
  }
}

/**
 * Keys of a fixed number of bytes, compared as bytes. PostgreSQL's dshash_memcmp, dshash_memhash, dshash_memcpy.
 *
 * The bytes up to the next multiple of 4 are the key's too and are kept zero: an entry's own fields begin behind them.
 *
 * @param keySize bytes of every key
 * @throws ERR_HEAP_BAD_OPTION; the functions throw ERR_HEAP_BAD_ARGUMENT for a key of another length
 */
export function memoryKeys(keySize: number): DshashKeyFunctions<Uint8Array> {
  const packed = new Packed(checkKeySize(keySize));
  const count = packed.words.length;
  const pack = (key: Uint8Array): void => {
    if (!(key instanceof Uint8Array) || key.length !== keySize) {
      throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `a key of this table is a Uint8Array of ${keySize} bytes`, {
        detail: `got ${key instanceof Uint8Array ? `${key.length} bytes` : typeof key}`,
      });
    }
    packed.bytes.set(key);
  };
  return {
    keySize,
    hash: (key) => {
      pack(key);
      return hashWords(packed.words, 0, keySize);
    },
    equals: (words, at, key) => {
      pack(key);
      return packed.equals(words, at, count);
    },
    copy: (words, at, key) => {
      pack(key);
      words.set(packed.words, at);
    },
  };
}

/**
 * Keys that are text, in UTF-8 with a zero byte behind it as in C. PostgreSQL's dshash_strcmp, dshash_strhash,
 * dshash_strcpy.
 *
 * What follows the text up to keySize is kept zero.
 *
 * @param keySize bytes that a key takes in the entry; the text has at most keySize - 1
 * @throws ERR_HEAP_BAD_OPTION; the functions throw ERR_HEAP_BAD_ARGUMENT for text that is too long, has a zero
 *   character, or has no form in UTF-8 (a lone surrogate)
 */
export function stringKeys(keySize: number): DshashKeyFunctions<string> {
  const packed = new Packed(checkKeySize(keySize));
  const encoder = new TextEncoder();
  let current: string | null = null;
  let length = 0;
  const pack = (key: string): void => {
    if (current !== null && key === current) return;
    current = null;
    packed.words.fill(0);
    length = encodeKey(encoder, key, packed.bytes, keySize);
    current = key;
  };
  return {
    keySize,
    hash: (key) => {
      pack(key);
      return hashWords(packed.words, 0, length);
    },
    equals: (words, at, key) => {
      pack(key);
      // One word more than the text has when that ends with a word: there is the zero byte.
      return packed.equals(words, at, (length >>> 2) + 1);
    },
    copy: (words, at, key) => {
      pack(key);
      words.set(packed.words, at);
    },
  };
}

function encodeKey(encoder: InstanceType<typeof TextEncoder>, key: unknown, into: Uint8Array, keySize: number): number {
  const what = 'a key of this table is text';
  if (typeof key !== 'string') {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', what, { detail: `got ${key === null ? 'null' : typeof key}` });
  }
  const { read, written } = encoder.encodeInto(key, into.subarray(0, keySize - 1));
  if (read < key.length) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `${what} of at most ${keySize - 1} bytes in UTF-8`, {
      detail: `got ${key.length} UTF-16 units`,
    });
  }
  if (key.includes('\0') || !key.isWellFormed()) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `${what} without zero characters and lone surrogates`);
  }
  return written;
}
