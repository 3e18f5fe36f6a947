/** K23 to K26: silent on areas whose caches are in order, and each broken one is found by its number. */

import { describe, expect, it } from 'vitest';
import {
  CACHE_OBJECTS,
  cacheSlotWord,
  CS_BOTTOMS,
  CS_GENERATION,
  CS_GRANTED,
  CS_LARGE_COUNT,
  CS_LARGE_PAGES,
  CS_TOPS,
  STATE_CACHED,
} from '../../dist/dsa/cache-layout.js';
import { cachedCounts } from '../../dist/dsa/cache-report.js';
import { bottomOf, cacheLimit, dropOldest, push, setCacheLimit, nearState } from '../../dist/dsa/cache.js';
import type { DsaArea } from '../../dist/dsa/dsa.js';
import { objectStateIndex } from '../../dist/dsa/object-state.js';
import { hiWord, loWord } from '../../dist/dsa/pointer.js';
import { STATE_LIVE } from '../../dist/dsa/state.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { classOf, join, type Member, newCached, stackOf } from './cache-helpers.js';
import { expectSound, MIB, PAGE, STORES } from './helpers.js';

type Change = readonly [view: Int32Array | Uint16Array, at: number, value: number];

/** Class of the objects of 64 bytes, of which the scene has some in each cache. */
const C64 = classOf(64);

/** Two participants, each with small and large objects in its cache; more of them are live. */
function scene(store: 'region' | 'buffers', checks = true) {
  const first = newCached({ checks }, { store });
  const second = join(first);
  const live: DsaPointer[] = [];
  for (const { area } of [first, second]) {
    const mine = [64, 64, 64, 64, 1000, 8192, 3 * PAGE, 5 * PAGE].map((size) => area.allocate(size));
    for (const pointer of mine.filter((_, k) => k % 2 === 1)) area.free(pointer);
    live.push(...mine.filter((_, k) => k % 2 === 0));
  }
  expectSound(first.area);
  return { first, second, live };
}

/** Ids of the errors, each once, while some words are changed; afterwards all is well again. */
function found(area: DsaArea, changes: readonly Change[], severity = 'error'): string[] {
  const right = changes.map(([view, at]) => view[at]!);
  for (const [view, at, value] of changes) view[at] = value;
  const { findings } = area.verify();
  for (const [i, [view, at]] of changes.entries()) view[at] = right[i]!;
  expectSound(area);
  return [...new Set(findings.filter((f) => f.severity === severity).map(({ id }) => id))].sort();
}

/** A word of a participant's slot of the table. */
function word({ area }: Member, at: number): readonly [Int32Array, number] {
  return [area.state.cacheTable, cacheSlotWord(area.state.p.slot) + at];
}

/** The change of such a word by a number. */
function plus(member: Member, at: number, by: number): Change {
  const [view, index] = word(member, at);
  return [view, index, view[index]! + by];
}

/** The entry of an object in the state table. */
function state({ state: s }: DsaArea, pointer: number, value: number): Change {
  const hi = hiWord(pointer);
  return [s.maps[hi >>> 8]!.state, objectStateIndex(s, loWord(pointer), hi), value];
}

describe.each(STORES)('on %s', (store) => {
  it('says nothing about caches that are in order, whoever looks', () => {
    const { first, second, live } = scene(store);
    for (const { area } of [first, second]) {
      for (const quiescent of [true, false]) expect(area.verify({ quiescent }).findings).toEqual([]);
    }
    for (const pointer of live) second.area.free(pointer);
    expect(first.area.verify().findings).toEqual([]);
    for (const { area } of [first, second]) area.trim();
    expect(second.area.verify().findings).toEqual([]);
  });

  it('says nothing about caches without marks', () => {
    const { first, second } = scene(store, false);
    for (const { area } of [first, second]) expect(area.verify().findings).toEqual([]);
  });

  it('K23: marks and counts of each class, of large objects and of their pages', () => {
    const { first, second, live } = scene(store);
    const { area } = first;
    for (const member of [first, second]) {
      // The class has room, so that only the count is wrong.
      expect(found(area, [plus(member, CS_TOPS + C64, 1)])).toContain('K23');
      expect(found(area, [plus(member, CS_TOPS + C64, -1)])).toContain('K23');
      expect(found(area, [plus(member, CS_LARGE_COUNT, 1)])).toEqual(['K23']);
      expect(found(area, [plus(member, CS_LARGE_COUNT, -1)])).toEqual(['K23']);
      expect(found(area, [plus(member, CS_LARGE_PAGES, -1)])).toEqual(['K23']);
      const other = STATE_CACHED + member.area.state.p.slot;
      for (const pointer of live)
        expect([pointer, found(area, [state(area, pointer, other)])]).toEqual([pointer, ['K23']]);
    }
    const [oldest] = stackOf(second.area, C64);
    expect(found(area, [state(area, oldest!, STATE_LIVE)])).toEqual(['K23']);
    expect(found(area, [state(area, oldest!, area.state.mark)])).toEqual(['K23']);
  });

  it('K21: a mark of somebody who cannot be', () => {
    const { first, live } = scene(store);
    for (const mark of [STATE_CACHED + 2, STATE_CACHED + 63, STATE_CACHED - 1, 0xfffc, 7]) {
      expect(found(first.area, [state(first.area, live[0]!, mark)])).toEqual(['K21']);
      expect(found(first.area, [state(first.area, live.at(-1)!, mark)])).toEqual(['K21']);
    }
  });

  it('K24: room, and what it is used for', () => {
    const { first, second } = scene(store);
    const { area } = first;
    const table = area.state.cacheTable;
    for (const member of [first, second]) {
      const [, granted] = word(member, CS_GRANTED);
      // One byte less than it holds.
      const held = area.stats().cachedBytes;
      const others = [first, second].filter((one) => one !== member);
      const own = held - others.reduce((sum, one) => sum + cachedCounts(area.state, one.area.state.p.slot).bytes, 0);
      expect(found(area, [[table, granted, own / 8]])).toEqual([]);
      expect(found(area, [[table, granted, own / 8 - 1]])).toEqual(['K24']);
      expect(found(area, [[table, granted, -1]])).toEqual(['K24']);
      const [, bottom] = word(member, CS_BOTTOMS + C64);
      const [, top] = word(member, CS_TOPS + C64);
      expect(found(area, [[table, top, table[bottom]! - 1]])).toContain('K24');
      expect(found(area, [[table, top, table[bottom]! + CACHE_OBJECTS[C64]! + 1]])).toContain('K24');
      expect(found(area, [plus(member, CS_LARGE_COUNT, -9)])).toContain('K24');
      expect(found(area, [plus(member, CS_LARGE_PAGES, -99)])).toContain('K24');
    }
  });

  it('K24: more than a lowered limit allows is a note', () => {
    const { first } = scene(store);
    first.area.setSizeLimit(4096);
    const { ok, findings } = first.area.verify();
    expect(ok).toBe(true);
    expect(findings.filter(({ id }) => id === 'K24').map(({ severity }) => severity)).toEqual(['note']);
    first.area.setSizeLimit(64 * MIB);
    expect(first.area.verify().findings).toEqual([]);
  });

  it('K25: marks and room of a slot that is nobody’s', () => {
    const { first, second, live } = scene(store);
    const { area } = first;
    expect(found(area, [[...word(second, CS_GENERATION), 0]])).toEqual(['K25']);
    const { slot } = second.area.state.p;
    second.area.detach();
    expectSound(area);
    expect(found(area, [state(area, live[0]!, STATE_CACHED + slot)])).toEqual(['K25']);
    const { cacheTable } = area.state;
    // One that was in use, and one that nobody ever had.
    for (const nobodys of [slot, 40]) {
      expect(found(area, [[cacheTable, cacheSlotWord(nobodys) + CS_GRANTED, 1]])).toEqual(['K25']);
    }
  });

  it('K26: what lies on a stack', () => {
    const { first, second, live } = scene(store);
    const { area } = first;
    const s = area.state;
    const errors = (): string[] => [...new Set(area.verify().findings.map(({ id }) => id))].sort();
    const near = nearState(s, 0, 0);
    const stack = stackOf(area, C64);
    const theirs = stackOf(second.area, C64)[0]!;
    // The count is made right again, so that only the object is wrong: it takes the place of the oldest.
    const wrong = [live[0]!, live[2]!, theirs, stack.at(-1)!, stack.at(-1)! + 8, 8, 2 ** 50];
    for (const pointer of wrong) {
      dropOldest(s, C64, 1);
      push(s, C64, pointer, near);
      expect([pointer, errors()]).toEqual([pointer, ['K26']]);
      // Back to the order of before: the others go round until the right one is the newest, where nothing asks for order.
      for (let k = 1; k < stack.length; k++) dropOldest(s, C64, 1);
      dropOldest(s, C64, 1);
      for (const right of stack)
        push(s, C64, right, near < 0 ? near : near + objectStateIndex(s, loWord(right), hiWord(right)));
      expectSound(area);
    }
    const limit = cacheLimit(s.block, C64);
    for (const wrongLimit of [stack.length - 1, CACHE_OBJECTS[C64]! + 1]) {
      setCacheLimit(s.block, C64, wrongLimit);
      expect(errors()).toEqual(['K26']);
    }
    setCacheLimit(s.block, C64, limit);
    expectSound(area);
    expect(bottomOf(s.block, C64)).toBeGreaterThan(0);
  });
});
