/** What the tests of hash tables share: a table of text keys with one number, and its whole contents. */

import { expect } from 'vitest';
import type { DsaArea } from '../../dist/dsa/dsa.js';
import { DSHASH_INSERT_NO_OOM, type DshashParameters, type DshashTable, stringKeys } from '../../dist/dshash/dshash.js';
import { TRANCHE_PGSTATS_HASH } from '../../dist/sync/sync.js';

/** Keys of up to 23 bytes, then one number in a word. */
export const COUNTERS: DshashParameters<string, undefined> = {
  ...stringKeys(24),
  entrySize: 32,
  trancheId: TRANCHE_PGSTATS_HASH,
};
/** Word of the number in an entry of {@link COUNTERS}. */
export const NUMBER = 6;

export type Counters = DshashTable<string>;

/** Sets the number of a key, new or old. False when there was no memory. */
export function put(table: Counters, key: string, value: number): boolean {
  const entry = table.findOrInsert(key, DSHASH_INSERT_NO_OOM);
  if (entry === 0) return false;
  table.words[table.entryWord + NUMBER] = value;
  table.releaseLock(entry);
  return true;
}

/** The number of a key, or undefined. */
export function read(table: Counters, key: string): number | undefined {
  const entry = table.find(key, false);
  if (entry === 0) return undefined;
  const value = table.words[table.entryWord + NUMBER]!;
  table.releaseLock(entry);
  return value;
}

/** Text of the key of an entry: up to the zero byte. */
function keyAt(words: Int32Array, at: number): string {
  const bytes = Buffer.from(words.slice(at, at + NUMBER).buffer);
  return bytes.subarray(0, bytes.indexOf(0)).toString('utf8');
}

/** All keys with their numbers, by a scan. Fails when a key comes twice. */
export function contents(table: Counters): Map<string, number> {
  const all = new Map<string, number>();
  const scan = table.scan(false);
  while (scan.next() !== 0) {
    const key = keyAt(scan.words, scan.entryWord);
    expect(all.has(key)).toBe(false);
    all.set(key, scan.words[scan.entryWord + NUMBER]!);
  }
  scan.term();
  return all;
}

/** Fails unless all invariants of the table and of its area hold. */
export function expectTableSound(table: { verify(): { findings: unknown } }, area: DsaArea): void {
  expect(table.verify().findings).toEqual([]);
  expect(area.verify().findings.filter(({ severity }) => severity === 'error')).toEqual([]);
}
