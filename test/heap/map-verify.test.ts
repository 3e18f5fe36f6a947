/** Each rule of a map, broken once, is found under its number. */

import { describe, expect, it } from 'vitest';
import { readEntry } from '../../dist/heap/map-nodes.js';
import { attachMap, checkMapOptions } from '../../dist/heap/map-open.js';
import { packKey } from '../../dist/heap/map-state.js';
import { codeOf } from './helpers.js';
import { World } from './map-helpers.js';

const OPTIONS = { key: 'string', value: 'string' } as const;

/** A map of 300 entries, some deleted; where the node of a key, its store and a free slot lie, as words. */
function broken() {
  const world = new World();
  const map = world.map('m', OPTIONS);
  for (let n = 0; n < 300; n++) map.set(`key ${n}`, 'v'.repeat(n % 70));
  map.set('large', 'x'.repeat(5000));
  for (let n = 0; n < 300; n += 3) map.delete(`key ${n}`);
  const place = { i32: world.area.segmentI32(0), word: world.blocks.get('m')! / 4 };
  const m = attachMap(world.area, place, 'm', checkMapOptions(OPTIONS));
  const find = (key: string): { at: number; partition: number } => {
    packKey(m, key);
    return { at: readEntry(m), partition: m.hash >>> 25 };
  };
  const words = world.area.segmentI32(0);
  const node = find('key 100');
  const store = m.storeAt + node.partition * 48;
  // Some partition has a free slot on some list.
  let free = 0;
  for (let w = m.storeAt; w < m.storeAt + 128 * 48 && free === 0; w++) {
    if ((w - m.storeAt) % 48 >= 6 && (w - m.storeAt) % 2 === 0 && words[w] !== 0) free = w;
  }
  return { world, map, words, find, node: node.at, large: find('large').at, store, free };
}
type Broken = ReturnType<typeof broken>;

const BREAKS: [string, string, (b: Broken) => number, (old: number) => number][] = [
  ['N1', 'a chunk that is no object', ({ store }) => store + 4, (x) => x + 8],
  ['N2', 'a large node that says it is a slot', ({ large }) => large + 5, (x) => x & 0xff],
  ['N3', 'a bump pointer behind what was handed out', ({ store }) => store, (x) => x - 48],
  ['N4', 'a free list to nowhere', ({ free }) => free + 1, () => 1023 << 8],
  ['N5', 'a byte of a key', ({ node }) => node + 6, (x) => x ^ 1],
  ['N5', 'a byte behind a key', ({ node }) => node + 7, (x) => x | (1 << 31)],
  ['N7', 'the kind of a key', ({ node }) => node + 3, (x) => x | 3],
  ['N7', 'the length of a key', ({ node }) => node + 3, (x) => x + (400 << 2)],
  ['N7', 'the length of a value', ({ node }) => node + 4, () => 400],
  ['N7', 'the kind of a value', ({ node }) => node + 5, (x) => x | 3],
  ['N7', 'the slot class', ({ node }) => node + 5, (x) => x + (40 << 8)],
  ['N2', 'the length of a large value', ({ large }) => large + 4, () => 2 ** 20],
  ['H4', 'a hash', ({ node }) => node + 2, (x) => x ^ (1 << 30)],
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

  it('finds a key that is there twice', () => {
    const { map, words, node, find } = broken();
    const { partition } = find('key 100');
    let n = 101;
    while (n % 3 === 0 || find(`key ${n}`).partition !== partition) n++;
    // Another node of the same partition takes hash and key of this one.
    const other = find(`key ${n}`).at;
    words.copyWithin(other + 2, node + 2, node + 4);
    words.copyWithin(other + 6, node + 6, node + 8);
    expect(map.verify().findings.map(({ id }) => id)).toContain('N6');
  });

  it('does not see a damaged chain as endless, and calls end, too', () => {
    const { map, words, node } = broken();
    words[node] = node * 4;
    words[node + 1] = 0;
    expect(map.verify().findings.map(({ id }) => id)).toContain('H3');
    expect(codeOf(() => [...map])).toBe('ERR_HEAP_CORRUPT');
    expect(codeOf(() => map.clear())).toBe('ERR_HEAP_CORRUPT');
  });
});
