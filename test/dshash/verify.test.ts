/** Each invariant of a table, broken once, is found under its number; and what is damaged never hangs a call. */

import { describe, expect, it } from 'vitest';
import { DshashTable } from '../../dist/dshash/dshash.js';
import { DshashControl } from '../../dist/dshash/layout.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { another, codeOf, newArea } from '../dsa/helpers.js';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { COUNTERS, put } from './helpers.js';

/** Keys that are not in the table. */
const KEYS = Array.from({ length: 5000 }, (_, n) => `no such key ${n}`);

function walk(table: DshashTable<string>): void {
  const scan = table.scan(false);
  while (scan.next() !== 0);
}

/** A table of 200 entries, the words of its segment, and where things lie in them. */
function world() {
  const { dsm, area } = newArea();
  const table = DshashTable.create(area, COUNTERS);
  for (let n = 0; n < 200; n++) put(table, `${n}`, n);
  const words = area.segmentI32(0);
  const at = table.handle / 4;
  const entry = table.find('7', false) as DsaPointer;
  table.releaseLock(entry);
  const item = (entry - 16) / 4;
  const buckets = words[at + DshashControl.buckets / 4]! / 4;
  const log2 = words[at + DshashControl.size_log2 / 4]!;
  const bucket = buckets + 2 * ((words[item + 2]! >>> 0) >>> (32 - log2));
  const partition = at + (DshashControl.partitions + 24 * (words[item + 2]! >>> 25)) / 4;
  return { dsm, area, table, words, at, item, buckets, bucket, partition };
}
type World = ReturnType<typeof world>;

const BREAKS: [string, string, (w: World) => number, (old: number) => number][] = [
  ['H1', 'the magic', ({ at }) => at + DshashControl.magic / 4, (x) => x ^ 1],
  ['H1', 'the handle', ({ at }) => at, (x) => x + 8],
  ['H1', 'a size below 128', ({ at }) => at + DshashControl.size_log2 / 4, () => 6],
  ['H1', 'a size that no hash reaches', ({ at }) => at + DshashControl.size_log2 / 4, () => 32],
  ['H2', 'the bucket array', ({ at }) => at + DshashControl.buckets / 4, (x) => x + 8],
  ['H2', 'a size above the array', ({ at }) => at + DshashControl.size_log2 / 4, (x) => x + 3],
  ['H3', 'a link to itself', ({ item }) => item, (x) => x],
  ['H3', 'a link to nowhere', ({ bucket }) => bucket + 1, () => 1023 << 8],
  ['H3', 'a link between words', ({ bucket }) => bucket, (x) => x + 4],
  ['H4', 'a hash', ({ item }) => item + 2, (x) => x ^ (1 << 25)],
  ['H5', 'a count', ({ partition }) => partition + 4, (x) => x + 1],
  ['H6', 'a lock that is held', ({ partition }) => partition + 1, () => 1],
  ['H6', 'a poisoned lock', ({ partition }) => partition + 1, () => 1 << 29],
  ['H6', 'a lock of another tranche', ({ partition }) => partition, (x) => x + 1],
  ['H7', 'an item that is no object', ({ bucket }) => bucket, (x) => x + 8],
];

describe('verify', () => {
  it.each(BREAKS)('finds %s: %s', (id, what, where, change) => {
    const w = world();
    expect(w.table.verify()).toMatchObject({ ok: true, items: 200 });
    const word = where(w);
    const old = w.words[word]!;
    w.words[word] = what === 'a link to itself' ? w.item * 4 : change(old);
    if (id === 'H1' && what === 'the magic') {
      // Calls on a table whose magic is gone are refused before that.
      expect(codeOf(() => w.table.verify())).toBe('ERR_HEAP_BAD_HANDLE');
    } else {
      const { ok, findings } = w.table.verify();
      expect(ok).toBe(false);
      expect(findings.map((finding) => finding.id)).toContain(id);
    }
    w.words[word] = old;
    expect(w.table.verify().ok).toBe(true);
  });

  it('works under locks beside others that hold entries', () => {
    const { dsm, area, table } = world();
    const other = DshashTable.attach(DsaArea.attach(another(dsm), area.handle), COUNTERS, table.handle);
    const entry = other.find('7', false) as DsaPointer;
    expect(table.verify({ quiescent: false })).toMatchObject({ ok: true, items: 200 });
    expect(table.verify().findings.map(({ id }) => id)).toEqual(['H6']);
    other.releaseLock(entry);
    expect(dsm.participant.nheld).toBe(0);
  });
});

describe('a chain without end', () => {
  it.each([
    ['find', 'ERR_HEAP_CORRUPT', (t: World['table']) => KEYS.map((key) => t.find(key, false))],
    ['scan', 'ERR_HEAP_CORRUPT', (t: World['table']) => walk(t)],
    ['dump', 'ERR_HEAP_CORRUPT', (t: World['table']) => t.dump()],
    ['destroy', 'ERR_HEAP_DOUBLE_FREE', (t: World['table']) => t.destroy()],
    ['growth', 'ERR_HEAP_CORRUPT', (t: World['table']) => KEYS.map((key) => put(t, key, 0))],
  ])('ends %s with an error and without locks', (_what, code, action) => {
    const { dsm, table, words, buckets } = world();
    // Every chain leads back to its head.
    const end = buckets + 2 * Number(/size = (\d+)/.exec(table.dump())![1]);
    for (let b = buckets; b < end; b += 2) if (words[b] !== 0) words[words[b]! / 4] = words[b]!;
    expect(codeOf(() => action(table))).toBe(code);
    expect(dsm.participant.nheld).toBe(0);
  });
});
