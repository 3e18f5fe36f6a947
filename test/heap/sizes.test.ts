import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSize, parseSizeText, show } from '../../dist/heap/sizes.js';
import { codeOf, textOf } from './helpers.js';

const parse = (value: unknown, minimum = 0) => parseSize(value, 'bytes', 'ERR_HEAP_BAD_SIZE', minimum);

describe('sizes', () => {
  it.each([
    ['0B', 0],
    ['512B', 512],
    ['1kB', 1000],
    ['1KiB', 1024],
    ['10MB', 10_000_000],
    ['64MiB', 67_108_864],
    ['1.5GiB', 1_610_612_736],
    ['2GB', 2_000_000_000],
    ['1TiB', 1_099_511_627_776],
    ['3TB', 3_000_000_000_000],
    [' 64 MiB ', 67_108_864],
    ['1.005kB', 1005],
    ['2.01kB', 2010],
    ['0.0000000000009094947017729282379150390625TiB', 1],
    [`${'0'.repeat(100)}1.50${'0'.repeat(100)}kB`, 1500],
    ['9007199254740991B', Number.MAX_SAFE_INTEGER],
    ['9007199254740.991kB', Number.MAX_SAFE_INTEGER],
  ])('reads %j as %d bytes', (text, bytes) => {
    expect(parse(text)).toBe(bytes);
  });

  it('takes whole numbers as they are', () => {
    fc.assert(fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (n) => void expect(parse(n)).toBe(n)));
  });

  it('reads a whole number of any unit exactly', () => {
    const units = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, kB: 1e3, MB: 1e6, GB: 1e9 };
    const unit = fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[]));
    fc.assert(fc.property(fc.nat({ max: 8191 }), unit, (n, u) => void expect(parse(`${n}${u}`)).toBe(n * units[u])));
  });

  it.each([
    '',
    '64',
    'MiB',
    '64mib',
    '64 mb',
    '64KB',
    '-1MiB',
    '1e3B',
    '0x10B',
    '1.5B',
    '9999999TiB',
    '9007199254740992B',
    '1.00000000000000000001kB',
    '1.0000000000000001KiB',
    '1 2B',
    '64MiBs',
    'NaNB',
    '64MiB;',
    '1.B',
    '.5KiB',
    '1__0B',
    '64toStringB',
    '1constructor',
  ])('refuses %j', (text) => {
    expect(codeOf(() => parse(text))).toBe('ERR_HEAP_BAD_SIZE');
  });

  it.each([
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
    1.5,
    2 ** 53,
    null,
    undefined,
    true,
    10n,
    {},
    [],
    () => 1,
    Symbol('x'),
  ])('refuses %s', (value) => {
    expect(codeOf(() => parse(value))).toBe('ERR_HEAP_BAD_SIZE');
  });

  it('refuses what is below the minimum and says so', () => {
    expect(parse(16, 16)).toBe(16);
    expect(textOf(() => parse('15B', 16))).toContain('at least 16');
  });

  it('names the unknown unit and the known ones', () => {
    const text = textOf(() => parseSizeText('64KB', 'limit', 'ERR_HEAP_BAD_OPTION'));
    expect(text).toContain("'KB'");
    expect(text).toContain('KiB');
    expect(text).toContain('limit');
  });

  it('shows any value in one short line', () => {
    const trap = {
      toString: () => {
        throw new Error('must not be called');
      },
    };
    expect([show('a'.repeat(100)).length, show(trap), show([]), show(null), show(-0), show(5n)]).toEqual([
      43,
      'an object',
      'an array',
      'null',
      '-0',
      '5n',
    ]);
  });
});
