/** The rows of the allocations view: disjoint, and adding up to what is reserved, whatever happened before. */

import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm, type DsmSegment, verifyCluster } from '../../dist/dsm/dsm.js';
import { stringKeys } from '../../dist/dshash/dshash.js';
import { type AllocationRow, allocations } from '../../dist/inspect/inspect.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { type NamedKind, Registry } from '../../dist/registry/registry.js';
import { MiB, newDsm, STORES } from '../registry/helpers.js';

const PAGE = 4096;
const BLOCK_KINDS: NamedKind[] = ['block', 'lock', 'condition', 'barrier', 'queue', 'map'];
const nothing = () => {};

function sum(rows: readonly AllocationRow[]): number {
  return rows.reduce((total, row) => total + row.allocatedSize, 0);
}

function byKind(rows: readonly AllocationRow[], kind: AllocationRow['kind']): AllocationRow[] {
  return rows.filter((row) => row.kind === kind);
}

/** Whatever must hold for every result. */
function expectSound(dsm: Dsm, rows: readonly AllocationRow[]): void {
  const { reservedBytes, segments } = dsm.stats();
  expect(sum(rows)).toBe(reservedBytes);
  for (const { name, size, allocatedSize, offset } of rows) {
    if (!(size >= 0 && size <= allocatedSize)) expect.fail(`${name}: ${size} of ${allocatedSize} bytes`);
    if (offset !== null && !(Number.isInteger(offset) && offset >= 0)) expect.fail(`${name} at ${offset}`);
  }
  const [free] = byKind(rows, 'free');
  const [anonymous] = byKind(rows, 'anonymous');
  expect([rows.at(-1), rows.at(-2)]).toEqual([free, anonymous]);
  const { accounting: pages } = verifyCluster(dsm);
  const inSegments = segments.reduce((total, { reserved }) => total + reserved, 0);
  const named = sum(rows.filter(({ kind }) => kind !== 'control' && kind !== 'free' && kind !== 'anonymous'));
  // What is anonymous is known: segments without a name, and what the page manager keeps or has lost.
  const managed = pages === null ? 0 : (pages.tree + pages.recycle + pages.lost) * PAGE;
  expect(anonymous!.allocatedSize).toBe(inSegments - named + managed);
  expect(free!.allocatedSize).toBe(pages === null ? 0 : pages.free * PAGE);
  expectDisjoint(rows);
}

/** Rows that lie in one piece: parts of the control segment, blocks, named segments. */
function expectDisjoint(rows: readonly AllocationRow[]): void {
  const whole = rows.filter(
    ({ kind, offset }) => offset !== null && !['heap', 'registry', 'area', 'hash', 'free', 'anonymous'].includes(kind),
  );
  whole.sort((a, b) => a.offset! - b.offset!);
  for (const [i, row] of whole.entries()) {
    const before = whole[i - 1];
    const end = before === undefined ? 0 : before.offset! + before.allocatedSize;
    if (before !== undefined && before.kind !== 'control' && end > row.offset!) {
      expect.fail(`${row.name} at ${row.offset} overlaps ${before.name}, which ends at ${end}`);
    }
  }
}

/** What a program does with a cluster, and what it knows of it. */
class World {
  readonly dsm: Dsm;
  readonly heap: DsaArea;
  readonly peer: Dsm;
  registry: Registry | null = null;
  readonly names = new Map<string, { kind: string; size: number }>();
  readonly pointers: DsaPointer[] = [];
  readonly segments: DsmSegment[] = [];

  constructor(store: 'region' | 'buffers') {
    this.dsm = Dsm.create({ store, regionSize: 48 * MiB });
    this.heap = DsaArea.create(this.dsm);
    this.peer = Dsm.join(this.dsm.handle);
  }

  get open(): Registry {
    this.registry ??= Registry.open(this.dsm);
    return this.registry;
  }

  end(): void {
    this.peer.leave();
    this.dsm.leave();
  }
}

/** Runs an action that may find no memory or no slot; true when it went well. */
function attempt(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    expect(['ERR_HEAP_OUT_OF_MEMORY', 'ERR_HEAP_SEGMENT_SLOTS']).toContain((error as { code?: string }).code);
    return false;
  }
}

type Step = (world: World) => void;

function naming(kind: string, size: number, make: (world: World, name: string) => void): Step {
  return (world) => {
    const name = `${kind} ${world.names.size}`;
    if (attempt(() => make(world, name))) world.names.set(name, { kind, size });
  };
}

const step: fc.Arbitrary<Step> = fc.oneof(
  fc
    .tuple(fc.constantFrom(...BLOCK_KINDS), fc.integer({ min: 1, max: 20_000 }))
    .map(([kind, size]) => naming(kind, size, ({ open }, name) => open.block(name, kind, size, nothing))),
  fc
    .integer({ min: 1, max: 3 * MiB })
    .map((size) => naming('segment', size, ({ open }, name) => open.getNamedSegment(name, size))),
  fc.integer({ min: 1, max: 600_000 }).map((size) =>
    naming('area', 0, ({ open }, name) => {
      const { area } = open.getNamedArea(name);
      attempt(() => area.allocate(size));
      // Half of them by areas that this participant is not attached to any more.
      if (size % 2 === 0) area.detach();
    }),
  ),
  fc.constant(naming('hash', 0, ({ open }, name) => open.getNamedHash(name, { ...stringKeys(8), entrySize: 8 }))),
  fc.integer({ min: 1, max: 2 * MiB }).map(
    (size): Step =>
      (world) => {
        attempt(() => world.pointers.push(world.heap.allocate(size)));
      },
  ),
  fc.nat().map(
    (n): Step =>
      ({ pointers, heap }) => {
        if (pointers.length > 0) heap.free(pointers.splice(n % pointers.length, 1)[0]!);
      },
  ),
  fc.integer({ min: 1, max: MiB }).map(
    (size): Step =>
      (world) => {
        attempt(() => world.segments.push(world.peer.create(size)!));
      },
  ),
  fc.nat().map(
    (n): Step =>
      ({ segments }) => {
        if (segments.length > 0) segments.splice(n % segments.length, 1)[0]!.detach();
      },
  ),
  fc.constant<Step>((world) => {
    world.registry?.close();
    world.registry = null;
  }),
);

describe.each(STORES)('on %s', (store) => {
  it('rows add up to the reservation and are disjoint, after any history', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) => {
        const world = new World(store);
        try {
          for (const one of steps) {
            one(world);
            world.registry ??= Registry.openExisting(world.dsm);
            const rows = allocations(world.dsm, world.heap, world.registry);
            expectSound(world.dsm, rows);
            const named = rows.filter(({ name }) => world.names.has(name ?? ''));
            expect(new Map(named.map(({ name, kind }) => [name, kind]))).toEqual(
              new Map([...world.names].map(([name, { kind }]) => [name, kind])),
            );
            for (const { name, size } of named) {
              const wanted = world.names.get(name!)!.size;
              if (wanted === 0 ? size < MiB : size !== wanted) expect.fail(`${name} has ${size}, not ${wanted} bytes`);
            }
          }
        } finally {
          world.end();
        }
      }),
      { numRuns: 40 },
    );
  });

  it('a cluster without heap and names has its control segment, nothing anonymous, and the rest free', () => {
    const dsm = newDsm(store);
    const rows = allocations(dsm, null, null);
    const { controlBytes, reservedBytes } = dsm.stats();
    expect(sum(byKind(rows, 'control'))).toBe(controlBytes);
    expect(rows.slice(-2)).toEqual([
      { name: '<anonymous>', offset: null, size: 0, allocatedSize: 0, kind: 'anonymous' },
      {
        name: null,
        offset: store === 'region' ? controlBytes : null,
        size: reservedBytes - controlBytes,
        allocatedSize: reservedBytes - controlBytes,
        kind: 'free',
      },
    ]);
    expectSound(dsm, rows);
    expect(JSON.parse(JSON.stringify(rows))).toEqual(rows);
  });

  it('says where things are: bytes written there are those of the block', () => {
    const dsm = newDsm(store);
    const registry = Registry.open(dsm);
    const block = registry.block('a lock', 'lock', 20, ({ i32, word }) => i32.fill(0x01020304, word, word + 5));
    const { segment } = registry.getNamedSegment('a segment', 100, ({ i32 }) => i32.fill(7, 0, 25));
    const rows = allocations(dsm, null, registry);
    const [lock] = byKind(rows, 'lock');
    const [piece] = byKind(rows, 'segment');
    expect(lock).toMatchObject({ name: 'a lock', size: 20, allocatedSize: 128 });
    expect(piece).toMatchObject({ name: 'a segment', size: 100, allocatedSize: PAGE });
    if (store === 'region') {
      expect([...new Int32Array(block.i32.buffer, lock!.offset!, 6)]).toEqual([...Array(5).fill(0x01020304), 0]);
      expect([...new Int32Array(segment.buffer, piece!.offset!, 25)]).toEqual(Array(25).fill(7));
    } else {
      expect([lock!.offset, piece!.offset]).toEqual([null, null]);
    }
  });

  it('tells a participant that came later the same', () => {
    const dsm = newDsm(store);
    const heap = DsaArea.create(dsm);
    const registry = Registry.open(dsm);
    for (const kind of BLOCK_KINDS) registry.block(`one ${kind}`, kind, 40, nothing);
    registry.getNamedArea('an area').area.allocate(2 * MiB);
    registry.getNamedHash('a table', { ...stringKeys(8), entrySize: 8 });
    registry.getNamedSegment('a segment', 10);
    dsm.create(100_000);
    const late = Dsm.join(dsm.handle);
    onTestFinished(() => late.leave());
    const rows = allocations(late, DsaArea.attach(late, heap.handle), Registry.open(late));
    expect(rows).toEqual(allocations(dsm, heap, registry));
    expect(byKind(rows, 'anonymous')[0]!.size).toBeGreaterThanOrEqual(100_000);
    // Looking at an area does not keep it attached.
    expect(late.stats().segments.map(({ references }) => references)).toEqual(
      dsm.stats().segments.map(({ references }) => references),
    );
    expectSound(late, rows);
  });

  it('leaves out what is being made, and what is gone', () => {
    const dsm = newDsm(store);
    const registry = Registry.open(dsm);
    registry.block('outer', 'queue', 5000, () => {
      const rows = allocations(dsm, null, registry);
      expect(rows.filter(({ name }) => name === 'outer')).toEqual([]);
      expectSound(dsm, rows);
    });
    const { segment } = registry.getNamedSegment('gone', 10);
    dsm.unpinSegment(segment.handle);
    segment.detach();
    const rows = allocations(dsm, null, registry);
    expect(rows.filter(({ name }) => name === 'gone')).toEqual([]);
    expect(rows.filter(({ name }) => name === 'outer')).toHaveLength(1);
    expectSound(dsm, rows);
  });
});
