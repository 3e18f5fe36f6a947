import { describe, expect, it } from 'vitest';
import { checkAllocOptions, checkAttachOptions, checkHeapOptions } from '../../dist/heap/options.js';
import { codeOf, textOf } from './helpers.js';

describe('options of create', () => {
  it('leaves to the core what is not given', () => {
    expect(checkHeapOptions(undefined)).toEqual({
      dsm: {},
      area: { fallback: true, cache: true, checks: true },
      limit: undefined,
    });
    expect(checkHeapOptions({})).toEqual(checkHeapOptions(undefined));
    expect(checkHeapOptions({ limit: undefined, store: undefined })).toEqual(checkHeapOptions(undefined));
  });

  it('turns sizes into bytes and sorts options by layer', () => {
    const checked = checkHeapOptions({
      store: 'buffers',
      regionSize: '1GiB',
      limit: '64MiB',
      initSegmentSize: '256KiB',
      maxSegmentSize: 2 ** 30,
      participants: 8,
      segments: 100,
      attachTimeout: 0,
      lockTimeout: 1000,
      cache: false,
      checks: false,
    });
    expect(checked).toEqual({
      dsm: {
        store: 'buffers',
        regionSize: 2 ** 30,
        participants: 8,
        segments: 100,
        attachTimeout: 0,
        lockTimeout: 1000,
      },
      area: { initSegmentSize: 2 ** 18, maxSegmentSize: 2 ** 30, fallback: true, cache: false, checks: false },
      limit: 2 ** 26,
    });
  });

  it('lowers the first segment to a small largest one', () => {
    expect(checkHeapOptions({ maxSegmentSize: '512KiB' }).area.initSegmentSize).toBe(2 ** 19);
    expect(checkHeapOptions({ maxSegmentSize: '2MiB' }).area.initSegmentSize).toBeUndefined();
  });

  it.each([
    ['limt', 'limit'],
    ['regionsize', 'regionSize'],
    ['maxSegmentSzie', 'maxSegmentSize'],
    ['Store', 'store'],
    ['workers', 'store'],
  ])('names the nearest option for %j', (name, expected) => {
    expect(codeOf(() => checkHeapOptions({ [name]: 1 }))).toBe('ERR_HEAP_BAD_OPTION');
    expect(textOf(() => checkHeapOptions({ [name]: 1 }))).toContain(`Did you mean '${expected}'?`);
  });

  it('finds inherited unknown options and the name __proto__ too', () => {
    expect(codeOf(() => checkHeapOptions(Object.create({ limt: 1 })))).toBe('ERR_HEAP_BAD_OPTION');
    expect(codeOf(() => checkHeapOptions(JSON.parse('{"__proto__": 1}')))).toBe('ERR_HEAP_BAD_OPTION');
  });

  it.each([null, 1, 'region', true, [], () => ({}), Symbol('x'), 10n])('refuses %s in place of options', (options) => {
    expect(codeOf(() => checkHeapOptions(options))).toBe('ERR_HEAP_BAD_OPTION');
  });

  const bad: readonly [string, readonly unknown[]][] = [
    ['store', ['Region', 'shm', '', 1, null, {}]],
    ['regionSize', [0, 4194303, -1, Number.NaN, 1.5, '64', '1MiB', null, 2 ** 53, {}, 8n]],
    ['limit', [-1, Number.NaN, 0.5, 'lots', null, Number.POSITIVE_INFINITY, []]],
    ['initSegmentSize', [0, 262143, 2 ** 40 + 1, '255KiB', Number.NaN, null, true]],
    ['maxSegmentSize', [0, 262143, 2 ** 40 + 1, '2TiB', 1e300, null, '']],
    ['participants', [0, -1, 1.5, 801, Number.NaN, '8', null]],
    ['segments', [0, -1, 1.5, 4097, Number.NaN, '8', null]],
    ['attachTimeout', [-1, 0.5, 2 ** 31, Number.NaN, Number.POSITIVE_INFINITY, '5', null]],
    ['lockTimeout', [-1, 0.5, 2 ** 31, Number.NaN, Number.POSITIVE_INFINITY, '5', null]],
  ];
  for (const [name, values] of bad) {
    it(`refuses bad values of ${name} and names it`, () => {
      for (const value of values) {
        expect([value, codeOf(() => checkHeapOptions({ [name]: value }))]).toEqual([value, 'ERR_HEAP_BAD_OPTION']);
        expect(textOf(() => checkHeapOptions({ [name]: value }))).toContain(name);
      }
    });
  }

  it('refuses a first segment larger than the largest', () => {
    expect(codeOf(() => checkHeapOptions({ initSegmentSize: '2MiB', maxSegmentSize: '1MiB' }))).toBe(
      'ERR_HEAP_BAD_OPTION',
    );
  });
});

describe('options of attach and alloc', () => {
  it('takes timeouts only', () => {
    expect(checkAttachOptions({ lockTimeout: 5 })).toEqual({ lockTimeout: 5 });
    expect(checkAttachOptions(undefined)).toEqual({});
    expect(codeOf(() => checkAttachOptions({ store: 'region' }))).toBe('ERR_HEAP_BAD_OPTION');
    expect(codeOf(() => checkAttachOptions({ lockTimeout: -5 }))).toBe('ERR_HEAP_BAD_OPTION');
  });

  it('takes two flags', () => {
    expect(checkAllocOptions({ zero: true })).toEqual({ zero: true });
    expect(textOf(() => checkAllocOptions({ zeor: true }))).toContain("Did you mean 'zero'?");
    for (const value of [1, 'true', null, {}]) {
      expect(codeOf(() => checkAllocOptions({ orNull: value }))).toBe('ERR_HEAP_BAD_OPTION');
    }
  });
});
