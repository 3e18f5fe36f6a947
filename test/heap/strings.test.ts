import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextCodec } from '../../dist/heap/strings.js';

const wellFormed = (text: string) =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(text));

function roundTrip(codec: TextCodec, text: string, at = 3): { bytes: Uint8Array; text: string } {
  const length = codec.encode(text);
  const memory = new Uint8Array(new SharedArrayBuffer(length + at + 5)).fill(0x2a);
  codec.copyTo(memory, at);
  const around = [...memory.subarray(0, at), ...memory.subarray(at + length)];
  expect(around.every((b) => b === 0x2a)).toBe(true);
  return { bytes: memory.slice(at, at + length), text: codec.decode(memory, at, length) };
}

describe('TextCodec', () => {
  const codec = new TextCodec();

  it('writes what TextEncoder writes and reads it back', () => {
    const unit = fc.oneof(
      fc.constantFrom('a', 'é', '€', '😀', '\ud800', '\udc00', '\ufeff', '\0'),
      fc.string({ unit: 'binary', maxLength: 1 }),
    );
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 60 }), (text) => {
        const { bytes, text: back } = roundTrip(codec, text);
        expect([...bytes]).toEqual([...new TextEncoder().encode(text)]);
        expect(back).toBe(wellFormed(text));
      }),
    );
  });

  it.each([0, 1, 27, 28, 29, 39, 40, 41, 16383, 16384, 16385, 100_000])('handles text of %d letters', (n) => {
    for (const letter of ['x', 'é', '€']) expect(roundTrip(codec, letter.repeat(n)).text).toBe(letter.repeat(n));
  });

  it('tells ASCII from the rest at the last unit', () => {
    for (const unit of ['\x7f', '\x80', '\xff', '\u0100', '\u07ff', '\u0800', '\uffff']) {
      expect(roundTrip(codec, `abc${unit}`).text).toBe(`abc${unit}`);
      expect(roundTrip(codec, unit).bytes).toEqual(new TextEncoder().encode(unit));
    }
  });

  it('keeps a byte order mark and turns lone surrogates into U+FFFD', () => {
    expect(roundTrip(codec, '\ufeffabc').text).toBe('\ufeffabc');
    expect(roundTrip(codec, 'a\ud83d').text).toBe('a\ufffd');
    expect(roundTrip(codec, '\udc00b').text).toBe('\ufffdb');
  });

  it('reads bytes that are not UTF-8 as U+FFFD', () => {
    const memory = new Uint8Array(new SharedArrayBuffer(8));
    memory.set([0x61, 0xff, 0x62]);
    expect(codec.decode(memory, 0, 3)).toBe('a\ufffdb');
  });
});
