/** Every layout in shared memory is part of a hash that participants compare, so that no two versions mix. */

import { describe, expect, it } from 'vitest';
import '../../dist/core.js';
import '../../dist/index.js';
import { AREA_AGREED } from '../../dist/dsa/area-layout.js';
import { DSHASH_AGREED } from '../../dist/dshash/layout.js';
import { CONTROL_AGREED } from '../../dist/dsm/control-layout.js';
import { MAP_AGREED } from '../../dist/heap/map-layout.js';
import { agreementHash, allStructs } from '../../dist/layout/layout.js';

/** Layouts that are compared in another way. */
const OTHERWISE: Readonly<Record<string, string>> = {
  registry_entry: 'in the hash of the registry, which lies beside its handle',
  heap_queue: 'by the magic number and the capacity in it, against the block',
  heap_queue_block: 'in a block of the registry, which compares kind and size',
  shm_toc: 'by the magic number that its users choose, as in C',
  shm_toc_entry: 'as shm_toc',
  shm_mq: 'named by those who make it, as in C',
};

describe('layouts', () => {
  const names = allStructs().map(({ name }) => name);

  it('are all compared', () => {
    const hashed = [...CONTROL_AGREED, ...AREA_AGREED, ...DSHASH_AGREED, ...MAP_AGREED];
    expect(hashed.filter((name) => !names.includes(name))).toEqual([]);
    expect(names.filter((name) => !hashed.includes(name) && !Object.hasOwn(OTHERWISE, name))).toEqual([]);
  });

  it('change the hash one by one', () => {
    const all = new Set(names.map((name) => agreementHash(0, [name])));
    expect(all.size).toBe(names.length);
    expect(agreementHash(0, names)).not.toBe(agreementHash(1, names));
    expect(agreementHash(0, names.slice(1))).not.toBe(agreementHash(0, names));
  });

  it('cannot be agreed on before they are declared', () => {
    expect(() => agreementHash(0, [names[0]!, 'dsa_tomorrow'])).toThrow(
      expect.objectContaining({ code: 'ERR_HEAP_CORRUPT', message: expect.stringContaining('dsa_tomorrow') }),
    );
  });
});
