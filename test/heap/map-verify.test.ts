/** Each rule of a map, broken once, is found under its number. */

import { describe, expect, it } from 'vitest';
import { MapPartition, PART_WORDS } from '../../dist/heap/map-layout.js';
import { readEntry } from '../../dist/heap/map-nodes.js';
import { attachMap, checkMapOptions } from '../../dist/heap/map-open.js';
import { packKey } from '../../dist/heap/map-state.js';
import { codeOf } from './helpers.js';
import { World } from './map-helpers.js';

const OPTIONS = { key: 'string', value: 'string' } as const;
const TABLE = MapPartition.table / 4;
const SIZE_LOG2 = MapPartition.size_log2 / 4;
const COUNT = MapPartition.count / 4;
const CHUNKS = MapPartition.chunks / 4;
const FREE = MapPartition.free / 4;

/** A map of 300 entries, some deleted; where the node, cell and partition of a key and a free slot lie, as words. */
function broken() {
  const world = new World();
  const map = world.map('m', OPTIONS);
  for (let n = 0; n < 300; n++) map.set(`key ${n}`, 'v'.repeat(n % 70));
  map.set('large', 'x'.repeat(5000));
  for (let n = 0; n < 300; n += 3) map.delete(`key ${n}`);
  const place = { i32: world.area.segmentI32(0), word: world.blocks.get('m')! / 4 };
  const m = attachMap(world.area, place, 'm', checkMapOptions(OPTIONS));
  const find = (key: string) => {
    packKey(m, key);
    const node = readEntry(m);
    return { node, cell: m.cellAt, part: m.part, base: m.cellBase, size: 2 ** m.log2 };
  };
  const words = world.area.segmentI32(0);
  // Some partition has a free slot on some list.
  let free = 0;
  for (let part = m.partsAt; part < m.partsAt + 128 * PART_WORDS; part += PART_WORDS) {
    for (let w = part + FREE; w < part + FREE + 38 && free === 0; w += 2) if (words[w] !== 0) free = w;
  }
  return { world, map, words, find, ...find('key 100'), large: find('large').node, lane: m.lane, free };
}
type Broken = ReturnType<typeof broken>;

const BREAKS: [string, string, (b: Broken) => number, (old: number) => number][] = [
  ['N1', 'a chunk that is no object', ({ part }) => part + CHUNKS, (x) => x + 8],
  ['N2', 'a large node that says it is a slot', ({ large }) => large + 2, (x) => x & 0xff],
  ['N3', 'a bump pointer behind what was handed out', ({ part, lane }) => part + lane, (x) => x - 48],
  ['N4', 'a free list to nowhere', ({ free }) => free + 1, () => 1023 << 8],
  ['N5', 'a byte of a key', ({ node }) => node + 3, (x) => x ^ 1],
  ['N5', 'a byte behind a key', ({ node }) => node + 4, (x) => x | (1 << 31)],
  ['N5', 'the tag of a cell', ({ cell }) => cell, (x) => x ^ 2],
  ['N7', 'the kind of a key', ({ node }) => node, (x) => x | 3],
  ['N7', 'the length of a key', ({ node }) => node, (x) => x + (400 << 2)],
  ['N7', 'the length of a value', ({ node }) => node + 1, () => 400],
  ['N7', 'the kind of a value', ({ node }) => node + 2, (x) => x | 3],
  ['N7', 'the slot class', ({ node }) => node + 2, (x) => x + (40 << 8)],
  ['N2', 'the length of a large value', ({ large }) => large + 1, () => 2 ** 20],
  ['N8', 'a table that is no object', ({ part }) => part + TABLE, (x) => x + 8],
  ['N8', 'a table that is larger than its memory', ({ part }) => part + SIZE_LOG2, (x) => x + 4],
  ['N8', 'an exchange of tables that was not finished', ({ part }) => part + SIZE_LOG2, (x) => x | 256],
  ['N9', 'a cell that leads nowhere', ({ cell }) => cell + 2, () => 1023 << 8],
  ['N9', 'a cell that leads between words', ({ cell }) => cell + 1, (x) => x + 2],
  ['N9', 'a cell that is half moved', ({ cell }) => cell, () => 2],
  ['N9', 'a cell that is cut off from its home', ({ cell }) => cell, (x) => x ^ (1 << 31)],
  ['N10', 'a count that is too high', ({ part }) => part + COUNT, (x) => x + 1],
  ['N10', 'an entry that is gone', ({ cell }) => cell, () => 0],
];

describe('verify of a map', () => {
  it.each(BREAKS)('finds %s: %s', (id, _what, where, change) => {
    const b = broken();
    const report = b.map.verify();
    expect(report).toMatchObject({ ok: true, entries: 201 });
    expect(report.bytes.nodes).toBeGreaterThan(5000);
    expect(report.bytes.free).toBeGreaterThan(0);
    const word = where(b);
    const old = b.words[word]!;
    b.words[word] = change(old);
    for (const quiescent of [true, false]) {
      const { ok, findings } = b.map.verify({ quiescent });
      expect(ok).toBe(false);
      expect(findings.map((finding) => finding.id)).toContain(id);
    }
    b.words[word] = old;
    expect(b.map.verify().ok).toBe(true);
  });

  it('finds a lock that is held', () => {
    const { map, words, part } = broken();
    words[part + 1] = words[part + 1]! + 1;
    expect(map.verify().findings.map(({ id }) => id)).toEqual(['N11']);
  });

  it('finds a key that is there twice', () => {
    const { map, words, node, part, find } = broken();
    let n = 101;
    while (n % 3 === 0 || find(`key ${n}`).part !== part) n++;
    // Another node of the same partition takes the key of this one.
    const other = find(`key ${n}`).node;
    words[other] = words[node]!;
    words.copyWithin(other + 3, node + 3, node + 5);
    expect(map.verify().findings.map(({ id }) => id)).toContain('N6');
  });

  it('ends, and so do all calls, where a table has no free cell', () => {
    const { world, map, words, cell, base, size } = broken();
    // Whole entries in every cell, so that only their number is wrong.
    for (let c = base; c < base + 3 * size; c += 3) words.copyWithin(c, cell, cell + 3);
    const ids = map.verify().findings.map(({ id }) => id);
    expect(ids).toContain('N10');
    expect(map.get('key 100')).toBe('v'.repeat(30));
    const calls = Array.from({ length: 400 }, (_, n) => codeOf(() => map.set(`other ${n}`, '')));
    expect(new Set(calls)).toEqual(new Set(['nothing', 'ERR_HEAP_CORRUPT']));
    expect(codeOf(() => [...map])).toBe('nothing');
    expect(map.delete('key 100')).toBe(true);
    expect(world.dsm.participant.nheld).toBe(0);
  });

  it('does not follow a table or node to nowhere, and neither do calls', () => {
    for (const where of [({ part }: Broken) => part + TABLE + 1, ({ cell }: Broken) => cell + 2]) {
      const b = broken();
      b.words[where(b)] = 5000 << 8;
      for (const call of [
        () => b.map.get('key 100'),
        () => b.map.set('key 100', ''),
        () => b.map.delete('key 100'),
        () => [...b.map],
        () => b.map.clear(),
      ]) {
        expect(codeOf(call)).toBe('ERR_HEAP_CORRUPT');
        expect(b.world.dsm.participant.nheld).toBe(0);
      }
    }
  });
});
