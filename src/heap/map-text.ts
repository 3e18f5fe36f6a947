/**
 * Text and bytes on their way to and from the words of a map.
 *
 * Text is stored as the engine has it: one byte a unit where all units are below 256, else two. That is exact for every
 * string, lone surrogates included, needs no encoder, and equal strings have equal bytes, since the narrowest form is
 * the only one. ASCII is told apart because for long text the decoder is faster than anything else, and knows no
 * Latin-1.
 *
 * Everything passes through private words: they are filled before a lock is taken and read after it was given back.
 * One thread; no locks.
 */

import { SharedHeapError } from '../errors/errors.js';

/** Forms of what is stored: the low bits of a length-and-kind word. */
const ASCII = 0;
const LATIN1 = 1;
const UTF16 = 2;
export const BYTES = 3;

/** Text from this length on is packed by the engine's encoder. Lower: a call into it for words; higher: a slower loop. */
const ENCODE_FROM = 64;
/** Text up to this length is read unit by unit. The same trade, for the decoder. */
const READ_BY_HAND = 28;
/** Units given to String.fromCharCode at once: they pass over the stack. */
const UNITS_AT_ONCE = 4096;
/** Bytes copied by hand; setting a range costs a view. */
const COPY_BY_HAND = 64;
/** Bytes of a scratch to begin with, and to go back to after something longer. */
const USUAL_BYTES = 4096;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Private memory for one key or value. */
export class Scratch {
  words: Int32Array = new Int32Array(USUAL_BYTES / 4);
  bytes: Uint8Array = new Uint8Array(this.words.buffer);
  /** Text of so many units, or half as many words as bytes fit without looking further. */
  room = USUAL_BYTES / 2;
  /** Bytes in use. */
  length = 0;
  /** What they are: {@link ASCII} .. {@link BYTES}. */
  kind = ASCII;

  /** Makes room for so many bytes. @throws ERR_HEAP_HOST_LIMIT */
  ensure(bytes: number): void {
    if (bytes <= this.room * 2) return;
    this.#resize(Math.ceil(bytes / 8) * 8);
  }

  /** Lets go of memory that was taken for something long. */
  shrink(): void {
    if (this.room > USUAL_BYTES / 2) this.#resize(USUAL_BYTES);
  }

  #resize(bytes: number): void {
    try {
      this.words = new Int32Array(bytes / 4);
    } catch (cause) {
      throw new SharedHeapError('ERR_HEAP_HOST_LIMIT', 'the engine has no memory for a key or value of a map', {
        detail: `${bytes} bytes`,
        cause,
      });
    }
    this.bytes = new Uint8Array(this.words.buffer);
    this.room = bytes / 2;
  }
}

/** Packs text; length and kind are left in the scratch. @throws ERR_HEAP_HOST_LIMIT */
export function packText(s: Scratch, text: string): void {
  const n = text.length;
  if (n > s.room) s.ensure(n * 2);
  if (n >= ENCODE_FROM && packAscii(s, text)) return;
  const { words } = s;
  const whole = n & ~3;
  let seen = 0;
  let w = 0;
  let i = 0;
  while (i < whole) {
    const a = text.charCodeAt(i);
    const b = text.charCodeAt(i + 1);
    const c = text.charCodeAt(i + 2);
    const d = text.charCodeAt(i + 3);
    seen |= a | b | c | d;
    words[w++] = a | (b << 8) | (c << 16) | (d << 24);
    i += 4;
  }
  if (i < n) {
    let word = 0;
    for (let shift = 0; i < n; shift += 8) {
      const a = text.charCodeAt(i++);
      seen |= a;
      word |= a << shift;
    }
    words[w] = word;
  }
  s.length = n;
  s.kind = seen < 0x80 ? ASCII : LATIN1;
  if (seen > 0xff) packWide(s, text);
}

/** Long text, if it is ASCII: then, and only then, UTF-8 has as many bytes as there are units. */
function packAscii(s: Scratch, text: string): boolean {
  const n = text.length;
  s.words[n >>> 2] = 0;
  if (encoder.encodeInto(text, s.bytes.subarray(0, n)).read !== n) return false;
  s.length = n;
  s.kind = ASCII;
  return true;
}

function packWide(s: Scratch, text: string): void {
  const { words } = s;
  const n = text.length;
  for (let i = 0; i < n; i += 2) {
    words[i >>> 1] = text.charCodeAt(i) | (i + 1 < n ? text.charCodeAt(i + 1) << 16 : 0);
  }
  s.length = n * 2;
  s.kind = UTF16;
}

/** Packs bytes. @throws ERR_HEAP_HOST_LIMIT */
export function packBytes(s: Scratch, bytes: Uint8Array): void {
  const n = bytes.length;
  s.ensure(n + 3);
  s.words[n >>> 2] = 0;
  if (n <= COPY_BY_HAND) for (let i = 0; i < n; i++) s.bytes[i] = bytes[i]!;
  else s.bytes.set(bytes);
  s.length = n;
  s.kind = BYTES;
}

/** The text in a scratch. @throws ERR_HEAP_HOST_LIMIT when the engine makes no string of that length */
export function unpackText(s: Scratch): string {
  const { length, kind } = s;
  if (length <= READ_BY_HAND && kind !== UTF16) {
    const units = new Array<number>(length);
    for (let i = 0; i < length; i++) units[i] = s.bytes[i]!;
    return String.fromCharCode.apply(null, units);
  }
  try {
    if (kind === ASCII) return decoder.decode(s.bytes.subarray(0, length));
    return kind === UTF16 ? fromUnits(new Uint16Array(s.words.buffer, 0, length / 2)) : fromUnits(s.bytes, length);
  } catch (cause) {
    throw new SharedHeapError('ERR_HEAP_HOST_LIMIT', 'the engine refused a text', {
      detail: `${length} bytes`,
      hint: 'Store very long text as bytes, in pieces.',
      cause,
    });
  }
}

function fromUnits(units: Uint16Array | Uint8Array, length = units.length): string {
  let text = '';
  for (let at = 0; at < length; at += UNITS_AT_ONCE) {
    const piece = units.subarray(at, Math.min(length, at + UNITS_AT_ONCE));
    text += String.fromCharCode.apply(null, piece as unknown as number[]);
  }
  return text;
}

/** The bytes in a scratch, copied. */
export function unpackBytes(s: Scratch): Uint8Array<ArrayBuffer> {
  return s.bytes.slice(0, s.length);
}

/** Copies `n` words out of one array into another. */
export function copyWords(from: Int32Array, at: number, into: Int32Array, to: number, n: number): void {
  if (n <= COPY_BY_HAND) for (let i = 0; i < n; i++) into[to + i] = from[at + i]!;
  else into.set(from.subarray(at, at + n), to);
}
