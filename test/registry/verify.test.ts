/** The checker of the registry: each broken rule is found under its number. */

import { describe, expect, it } from 'vitest';
import { REGISTRY_ROOT } from '../../dist/dsm/dsm.js';
import { stringKeys } from '../../dist/dshash/dshash.js';
import { RegistryEntry } from '../../dist/registry/registry.js';
import { lwlockAcquireExclusive, lwlockReleaseNewest } from '../../dist/sync/sync.js';
import { join, type Member, newRegistry, STORES } from './helpers.js';

const nothing = () => {};

function furnished(store: 'region' | 'buffers'): Member {
  const member = newRegistry(store);
  const { registry } = member;
  registry.getNamedSegment('segment', 5000);
  registry.getNamedArea('area');
  registry.getNamedHash('hash', { ...stringKeys(8), entrySize: 8 });
  registry.block('lock', 'lock', 16, nothing);
  registry.block('map', 'map', 1000, nothing);
  return member;
}

/** Ids of the findings, each once. */
function ids({ registry }: Member, quiescent = true): string[] {
  return [...new Set(registry.verify({ quiescent }).findings.map(({ id, severity }) => `${id} ${severity}`))].sort();
}

/** Ids found while a field of the entry of a name holds something else. */
function withEntry(member: Member, name: string, field: number, change: (old: number) => number): string[] {
  const { table } = member.registry.root;
  const entry = table.find(name, true) as never;
  const { words, entryWord } = table;
  const at = entryWord + field / 4;
  const old = words[at]!;
  words[at] = change(old);
  table.releaseLock(entry);
  const found = ids(member);
  words[at] = old;
  expect(ids(member)).toEqual([]);
  return found;
}

/** The same for a word of the root. */
function withRoot(member: Member, word: number, change: (old: number) => number): string[] {
  const { control } = member.dsm;
  const old = control[word]!;
  control[word] = change(old);
  const found = ids(member);
  control[word] = old;
  return found;
}

describe.each(STORES)('on %s', (store) => {
  it('says nothing about a sound registry, from every participant, at rest and not', () => {
    const member = furnished(store);
    const other = join(member.dsm);
    for (const one of [member, other]) {
      for (const quiescent of [true, false]) {
        const report = one.registry.verify({ quiescent });
        expect(report).toMatchObject({ ok: true, findings: [], unlisted: 0, names: 5 });
        expect(report.checks).toBeGreaterThan(500);
        expect(JSON.parse(JSON.stringify(report))).toEqual(report);
      }
    }
  });

  it('finds a root that names something else (R1)', () => {
    const member = furnished(store);
    expect(withRoot(member, REGISTRY_ROOT.state, () => 0)).toEqual(['R1 error']);
    expect(withRoot(member, REGISTRY_ROOT.area, (old) => old + 2)).toEqual(['R1 error']);
    expect(withRoot(member, REGISTRY_ROOT.table, (old) => old + 8)).toEqual(['R1 error']);
    expect(withRoot(member, REGISTRY_ROOT.layout, (old) => old + 1)).toEqual(['R1 error']);
    expect(ids(member)).toEqual([]);
  });

  it('finds the registry lock held (R2)', () => {
    const member = furnished(store);
    const { participant, control } = member.dsm;
    lwlockAcquireExclusive(participant, control, REGISTRY_ROOT.lock, 0);
    expect(ids(member)).toEqual(['R2 error']);
    lwlockReleaseNewest(participant, control, REGISTRY_ROOT.lock, 0);
    expect(ids(member)).toEqual([]);
  });

  it('finds entries that say what no entry can say (R3)', () => {
    const member = furnished(store);
    expect(withEntry(member, 'lock', RegistryEntry.kind, () => 99)).toEqual(['R3 error']);
    expect(withEntry(member, 'lock', RegistryEntry.name, () => 0)).toEqual(['R3 error']);
    expect(withEntry(member, 'lock', RegistryEntry.name, (old) => old ^ 1)).toEqual(['R3 error']);
    // Being made, by nobody.
    expect(withEntry(member, 'lock', RegistryEntry.state, () => 0)).toEqual(['R3 note']);
    // By this participant.
    expect(withEntry(member, 'lock', RegistryEntry.state, () => 1)).toEqual([]);
  });

  it('finds segments that are not as named (R4, R5)', () => {
    const member = furnished(store);
    expect(withEntry(member, 'segment', RegistryEntry.size, () => 4999)).toEqual(['R4 error']);
    expect(withEntry(member, 'segment', RegistryEntry.handle, (old) => old + 2)).toEqual(['R4 error']);
    for (const name of ['area', 'hash']) {
      expect(withEntry(member, name, RegistryEntry.handle, (old) => old + 2)).toEqual(['R5 error']);
    }
    const { segment } = member.registry.getNamedSegment('segment', 5000);
    member.dsm.unpinSegment(segment.handle);
    expect(ids(member)).toEqual(['R4 error']);
  });

  it('finds pointers where none belong, and none where one does (R6)', () => {
    const member = furnished(store);
    expect(withEntry(member, 'hash', RegistryEntry.pointer, () => 0)).toEqual(['R6 error']);
    for (const name of ['segment', 'area']) {
      expect(withEntry(member, name, RegistryEntry.pointer, () => 8)).toEqual(['R6 error']);
    }
  });

  it('finds blocks that lead elsewhere (R7) and objects without a name (R8)', () => {
    const member = furnished(store);
    const { area } = member.registry.root;
    const other = member.registry.block('lock', 'lock', 16, nothing).pointer;
    expect(withEntry(member, 'map', RegistryEntry.pointer, (old) => old + 8)).toEqual(['R7 error']);
    expect(withEntry(member, 'map', RegistryEntry.pointer, () => other)).toEqual(['R7 error']);
    expect(withEntry(member, 'map', RegistryEntry.size, () => 2000)).toEqual(['R7 error']);
    expect(withEntry(member, 'map', RegistryEntry.handle, () => 2)).toEqual(['R7 error']);
    const lost = area.allocate(100);
    expect(ids(member)).toEqual(['R8 note']);
    expect(ids(member, false)).toEqual([]);
    area.free(lost);
    expect(ids(member)).toEqual([]);
  });

  it('finds damage of the table and of the area under their own numbers', () => {
    const member = furnished(store);
    const { table, area } = member.registry.root;
    const { control, at } = table.state;
    // The count of the first partition, behind handle, magic and lock.
    const word = at + 4 + 4;
    control[word] = control[word]! + 1;
    expect(ids(member)).toEqual(['H5 error']);
    control[word] = control[word]! - 1;
    const pages = area.state.ctl;
    const old = pages[0]!;
    pages[0] = old + 1;
    expect(ids(member)[0]).toBe('K1 error');
    pages[0] = old;
    expect(ids(member)).toEqual([]);
  });
});
