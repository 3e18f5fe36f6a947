/** The table of one partition: keys that all want the same few cells, through growth, removal and loops. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HALF_MOVED, P_SIZE_LOG2, PART_WORDS, PARTITIONS } from '../../dist/heap/map-layout.js';
import type { MapReport } from '../../dist/heap/map-verify.js';
import { readEntry } from '../../dist/heap/map-nodes.js';
import { attachMap, checkMapOptions } from '../../dist/heap/map-open.js';
import { packKey } from '../../dist/heap/map-state.js';
import { codeOf } from './helpers.js';
import { exhaust, SMALL, World } from './map-helpers.js';

const OPTIONS = { key: 'number', value: 'number' } as const;

/** The state of the map, as another one who opens it has it. */
function open(world: World) {
  const place = { i32: world.area.segmentI32(0), word: world.blocks.get('m')! / 4 };
  return attachMap(world.area, place, 'm', checkMapOptions(OPTIONS));
}

/** Sizes of the tables of all partitions, as powers of two; 0 where there is none. */
function sizesOf(world: World): Set<number> {
  const { parts, partsAt } = open(world);
  const at = (partition: number): number => partsAt + partition * PART_WORDS + P_SIZE_LOG2;
  return new Set(Array.from({ length: PARTITIONS }, (_, partition) => parts[at(partition)]!));
}

/** Keys of one partition: those whose home is among the last eighth of all cells come first, others follow. */
function keysOfOnePartition(world: World, crowded: number, others: number): number[] {
  const m = open(world);
  const found: [number[], number[]] = [[], []];
  for (let n = 0; found[0].length < crowded || found[1].length < others; n++) {
    packKey(m, n);
    if (m.hash >>> 25 === 77) found[(m.hash << 7) >>> 29 === 7 ? 0 : 1].push(n);
  }
  return [...found[0].slice(0, crowded), ...found[1].slice(0, others)];
}

function newMap() {
  const world = new World();
  const map = world.map('m', OPTIONS);
  return { world, map };
}

const sound = ({ findings }: MapReport): void => expect(findings).toEqual([]);

describe('a table of a map', () => {
  it('keeps every entry within reach, whatever comes and goes', () => {
    const { world, map } = newMap();
    const keys = keysOfOnePartition(world, 24, 16);
    fc.assert(
      fc.property(fc.array(fc.nat(3 * keys.length - 1), { maxLength: 120 }), (ops) => {
        map.clear();
        const model = new Map<number, number>();
        for (const [n, op] of ops.entries()) {
          const key = keys[op % keys.length]!;
          // Two of three insert, so that tables fill to their bound.
          if (op >= 2 * keys.length) expect(map.delete(key)).toBe(model.delete(key));
          else {
            map.set(key, n);
            model.set(key, n);
          }
          for (const k of keys) expect(map.get(k)).toBe(model.get(k));
        }
        sound(map.verify());
        expect(new Map(map)).toEqual(model);
        expect([...map.keys()]).toHaveLength(model.size);
      }),
      { numRuns: 60 },
    );
  });

  it('shifts back what went round the end, from every cell', () => {
    const { world, map } = newMap();
    // All have their home in the last of 8 cells: five of six go round.
    const keys = keysOfOnePartition(world, 6, 0);
    for (const gone of keys) {
      map.clear();
      for (const key of keys) map.set(key, key);
      sound(map.verify());
      expect(map.delete(gone)).toBe(true);
      sound(map.verify());
      for (const key of keys) expect(map.get(key)).toBe(key === gone ? undefined : key);
      expect([...map.keys()].sort((a, b) => a - b)).toEqual(keys.filter((key) => key !== gone).sort((a, b) => a - b));
    }
  });

  it('is there from the first entry on, doubles at 13/16, and goes with clear', () => {
    const { world, map } = newMap();
    const empty = world.area.stats().liveObjects;
    const keys = keysOfOnePartition(world, 0, 100);
    expect(map.get(keys[0]!)).toBeUndefined();
    expect(map.delete(keys[0]!)).toBe(false);
    expect(sizesOf(world)).toEqual(new Set([0]));
    expect(world.area.stats().liveObjects).toBe(empty);
    for (const [n, key] of keys.entries()) {
      map.set(key, n);
      let log2 = 2;
      while ((2 ** log2 * 13) / 16 < n + 1) log2++;
      expect(sizesOf(world)).toEqual(new Set([0, log2]));
    }
    for (const key of keys) map.delete(key);
    expect(sizesOf(world)).toEqual(new Set([0, 7]));
    map.clear();
    expect(sizesOf(world)).toEqual(new Set([0]));
    expect(world.area.stats().liveObjects).toBe(empty);
  });

  it('begins with the size that the capacity asks for, and does not grow up to there', () => {
    const world = new World();
    const map = world.map('m', { ...OPTIONS, capacity: 15_000 });
    expect(sizesOf(world)).toEqual(new Set([0]));
    for (let n = 0; n < 15_000; n++) {
      map.set(n, n);
      if (n % 1000 === 0) for (const log2 of sizesOf(world)) expect([0, 8]).toContain(log2);
    }
    expect(sizesOf(world)).toEqual(new Set([8]));
  });

  it('takes entries up to 7/8 where there is no memory to grow, and grows when there is some again', () => {
    const world = new World({}, SMALL);
    const map = world.map('m', OPTIONS);
    const keys = keysOfOnePartition(world, 8, 32);
    // 26 of 32 cells; the chunk under way has room for more nodes than the table for entries.
    for (const key of keys.slice(0, 26)) map.set(key, key);
    const taken = exhaust(world);
    map.set(keys[26]!, 26).set(keys[27]!, 27);
    const before = JSON.stringify([[...map], map.verify()]);
    for (const call of [
      () => map.set(keys[28]!, 28),
      () => map.update(keys[28]!, () => 28),
      () => map.getOrInsert(keys[28]!, 28),
    ]) {
      expect(codeOf(call)).toBe('ERR_HEAP_OUT_OF_MEMORY');
      expect(JSON.stringify([[...map], map.verify()])).toBe(before);
    }
    // What is there can be changed and deleted; a place that is left is taken.
    map.set(keys[27]!, -27);
    expect(map.delete(keys[0]!)).toBe(true);
    map.set(keys[28]!, 28);
    for (const p of taken) world.area.free(p);
    world.area.setSizeLimit(Number.POSITIVE_INFINITY);
    for (const key of keys) map.set(key, 2 * key);
    expect(sizesOf(world)).toEqual(new Set([0, 6]));
    for (const key of keys) expect(map.get(key)).toBe(2 * key);
    sound(map.verify());
  });

  it('hides no entry behind a cell that a thread left half moved, nor shows it twice', () => {
    const { world, map } = newMap();
    const keys = keysOfOnePartition(world, 6, 0);
    for (const key of keys) map.set(key, key);
    const m = open(world);
    packKey(m, keys[0]!);
    expect(readEntry(m)).toBeGreaterThan(0);
    m.cells[m.cellAt] = HALF_MOVED;
    for (const key of keys.slice(1)) expect(map.get(key)).toBe(key);
    expect(map.has(keys[0]!)).toBe(false);
    expect([...map.keys()].sort((a, b) => a - b)).toEqual(keys.slice(1).sort((a, b) => a - b));
    expect(map.verify().findings.map(({ id }) => id)).toEqual(['N9']);
  });

  it('shows a loop each key that stays once, while it grows and what went round goes and comes', () => {
    const { world, map } = newMap();
    const keys = keysOfOnePartition(world, 300, 900);
    const stay = keys.filter((_, n) => n % 3 === 0);
    for (const key of keys.slice(0, 600)) map.set(key, key);
    for (const key of stay) map.set(key, key);
    const seen = new Set<number>();
    let n = 0;
    for (const [key] of map) {
      expect(seen.has(key)).toBe(false);
      seen.add(key);
      // One that does not stay goes, another one comes; the table doubles under way.
      const other = keys[(3 * n + 1) % keys.length]!;
      if (!map.delete(other)) map.set(other, 0);
      for (let k = 0; k < 3; k++) map.set(keys[(9 * n + 3 * k + 2) % keys.length]!, 0);
      n++;
    }
    for (const key of stay) expect(seen.has(key)).toBe(true);
    sound(map.verify());
  });
});
