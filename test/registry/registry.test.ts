/** The registry as one or two participants of a thread see it: making, finding, refusing, failing. */

import { describe, expect, it, onTestFinished } from 'vitest';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm, REGISTRY_ROOT, ResourceOwner } from '../../dist/dsm/dsm.js';
import { stringKeys } from '../../dist/dshash/dshash.js';
import { type NamedBlock, type NamedKind, Registry } from '../../dist/registry/registry.js';
import {
  LWLock,
  lwlockAcquire,
  lwlockInitialize,
  lwlockRelease,
  LW_EXCLUSIVE,
  TRANCHE_DSA,
} from '../../dist/sync/sync.js';
import { codeOf, errorOf, expectSound, join, liveObjects, MiB, newDsm, newRegistry, STORES } from './helpers.js';

const PARAMS = { ...stringKeys(64), entrySize: 72 };
const BLOCK_KINDS: NamedKind[] = ['block', 'lock', 'condition', 'barrier', 'queue', 'map'];
const nothing = () => {};

/** Bytes of a block. */
function bytesOf({ i32, word, size }: NamedBlock): Uint8Array {
  return new Uint8Array(i32.buffer, i32.byteOffset + 4 * word, size);
}

describe.each(STORES)('on %s', (store) => {
  describe('a cluster', () => {
    it('has nothing of a registry before somebody opens it', () => {
      const dsm = newDsm(store);
      const { segments, touchedBytes } = dsm.stats();
      expect(segments).toEqual([]);
      expect(Registry.openExisting(dsm)).toBe(null);
      expect(dsm.stats()).toMatchObject({ segments: [], touchedBytes });
      const registry = Registry.open(dsm);
      expect(dsm.stats().segments).toMatchObject([{ size: MiB, references: 2, pinned: true }]);
      expect(registry.allocations()).toEqual([]);
      expect(codeOf(() => Registry.open(dsm))).toBe('ERR_HEAP_ALREADY_ATTACHED');
      registry.close();
      registry.close();
      expect(codeOf(() => registry.block('a', 'lock', 16, nothing))).toBe('ERR_HEAP_CLOSED');
      // It outlives its users, and is found again.
      const again = Registry.openExisting(dsm)!;
      expect(dsm.stats().segments).toMatchObject([{ references: 2, pinned: true }]);
      expectSound({ dsm, registry: again });
    });

    it('keeps its registry beyond the resource owner under which it was opened', () => {
      const dsm = newDsm(store);
      const owner = new ResourceOwner(dsm, 'a query');
      dsm.currentOwner = owner;
      const registry = Registry.open(dsm);
      const { segment } = registry.getNamedSegment('segment', 100);
      const { area } = registry.getNamedArea('area');
      const block = registry.block('block', 'block', 8, nothing);
      owner.release();
      dsm.currentOwner = null;
      block.i32[block.word] = 1;
      expect(segment.mapped).toBe(true);
      expect(area.sizeOf(area.allocate(100))).toBe(112);
      expectSound({ dsm, registry });
    });

    it.each([
      ['handle of the area', 'area', 2, 'ERR_HEAP_AREA_GONE'],
      ['pointer of the table', 'table', 8, 'ERR_HEAP_BAD_HANDLE'],
      ['layout', 'layout', 1, 'ERR_HEAP_VERSION'],
    ] as const)('whose root has a wrong %s is refused', (_what, field, change, code) => {
      const { dsm } = newRegistry(store);
      const other = Dsm.join(dsm.handle);
      onTestFinished(() => other.leave());
      const word = REGISTRY_ROOT[field];
      dsm.control[word] = dsm.control[word]! + change;
      const before = dsm.stats().segments;
      expect(codeOf(() => Registry.open(other))).toBe(code);
      dsm.control[word] = dsm.control[word]! - change;
      expect(dsm.stats().segments).toEqual(before);
      Registry.open(other).close();
    });
  });

  describe('a named segment', () => {
    it('is made and initialised once, and found by everybody', () => {
      const first = newRegistry(store);
      const second = join(first.dsm);
      const calls: unknown[] = [];
      const init = (segment: { i32: Int32Array }, arg: number) => {
        calls.push(arg);
        expect(segment.i32.every((word) => word === 0)).toBe(true);
        segment.i32[5] = arg;
      };
      const made = first.registry.getNamedSegment('äöü/😀', 10_000, init, 5432);
      const found = second.registry.getNamedSegment('äöü/😀', 10_000, init, 1);
      expect([made.found, found.found, calls]).toEqual([false, true, [5432]]);
      expect(found.segment.handle).toBe(made.segment.handle);
      expect(found.segment.i32[5]).toBe(5432);
      // Asked again, it is the mapping there is.
      expect(first.registry.getNamedSegment('äöü/😀', 10_000)).toEqual({ segment: made.segment, found: true });
      found.segment.detach();
      expect(second.registry.getNamedSegment('äöü/😀', 10_000).segment.i32[5]).toBe(5432);
      expect(first.registry.allocations()).toEqual([{ name: 'äöü/😀', type: 'segment', size: 10_000 }]);
      // One mapping each, and the pin.
      expect(first.dsm.stats().segments).toMatchObject([{}, { size: 10_000, references: 3, pinned: true }]);
      expectSound(first);
    });

    it('that somebody unpinned is gone', () => {
      const { dsm, registry } = newRegistry(store);
      const { segment } = registry.getNamedSegment('s', 10);
      dsm.unpinSegment(segment.handle);
      segment.detach();
      expect(codeOf(() => registry.getNamedSegment('s', 10))).toBe('ERR_HEAP_SEGMENT_GONE');
      expect(registry.verify().findings).toMatchObject([{ id: 'R4', severity: 'error' }]);
    });
  });

  describe('a named area', () => {
    it('is made once, is found by others, and outlives all of them', () => {
      const first = newRegistry(store);
      const { area, found } = first.registry.getNamedArea('an area');
      expect(found).toBe(false);
      const pointer = area.allocate(100);
      expect(codeOf(() => first.registry.getNamedArea('an area'))).toBe('ERR_HEAP_ALREADY_ATTACHED');
      area.detach();
      const second = join(first.dsm);
      const other = second.registry.getNamedArea('an area');
      expect([other.found, other.area.isLive(pointer)]).toEqual([true, true]);
      expect(first.registry.allocations()).toEqual([{ name: 'an area', type: 'area', size: MiB }]);
      other.area.allocate(3 * MiB);
      expect(first.registry.allocations()[0]!.size).toBeGreaterThan(4 * MiB);
      // Its locks carry its name.
      expect(first.dsm.tranches.findTrancheName(95)).toBe('an area');
      expectSound(second);
    });

    it('has the beginning of a long name for its locks, and any other when all tranches are given out', () => {
      const { dsm, registry } = newRegistry(store);
      const long = 'ü'.repeat(60);
      registry.getNamedArea(long);
      expect(dsm.tranches.findTrancheName(95)).toBe('ü'.repeat(31));
      while (codeOf(() => dsm.tranches.newTrancheId('x')) === 'nothing');
      expect(registry.getNamedArea('another').area.allocate(8)).toBeGreaterThan(0);
      expectSound({ dsm, registry });
    });
  });

  it('a named hash table is made once, in an area of its own', () => {
    const first = newRegistry(store);
    const second = join(first.dsm);
    const made = first.registry.getNamedHash('a table', PARAMS);
    const entry = made.table.findOrInsert('key');
    made.table.words[made.table.entryWord + 16] = 42;
    made.table.releaseLock(entry as never);
    const { table, found } = second.registry.getNamedHash('a table', PARAMS);
    expect([made.found, found, table.size, table.handle]).toEqual([false, true, 1, made.table.handle]);
    const seen = table.find('key', false);
    expect(table.words[table.entryWord + 16]).toBe(42);
    table.releaseLock(seen as never);
    expect(codeOf(() => first.registry.getNamedHash('a table', PARAMS))).toBe('ERR_HEAP_ALREADY_ATTACHED');
    expect(first.registry.allocations()).toEqual([{ name: 'a table', type: 'hash', size: MiB }]);
    expectSound(first);
  });

  describe('a named block', () => {
    it.each(BLOCK_KINDS)('of kind %s is zeroed, initialised once, and the same for all', (kind) => {
      const first = newRegistry(store);
      const second = join(first.dsm);
      for (const size of [1, 16, 127, 128, 129, 1000, 70_000]) {
        const name = `${kind} of ${size}`;
        const made = first.registry.block(name, kind, size, (block) => {
          expect(bytesOf(block).every((byte) => byte === 0)).toBe(true);
          expect(block.found).toBe(false);
          bytesOf(block).fill(size);
        });
        const found = second.registry.block(name, kind, size, () => expect.fail('initialised twice'));
        expect([made.found, found.found, found.pointer]).toEqual([false, true, made.pointer]);
        expect(bytesOf(found).every((byte) => byte === size % 256)).toBe(true);
        const again = first.registry.block(name, kind, size, nothing);
        expect([again.found, again.i32 === made.i32, again.word]).toEqual([true, true, made.word]);
      }
      expect(first.registry.allocations().map(({ type, size }) => [type, size! > 0])).toEqual(
        Array.from({ length: 7 }, () => [kind, true]),
      );
      expectSound(first);
    });

    it('can hold a lock that excludes', () => {
      const first = newRegistry(store);
      const second = join(first.dsm, { lockTimeout: 0 });
      const init = ({ i32, word }: NamedBlock) => lwlockInitialize(i32, word, TRANCHE_DSA);
      const [a, b] = [first, second].map(({ registry }) => registry.block('a lock', 'lock', 16, init)) as [
        NamedBlock,
        NamedBlock,
      ];
      expect(a.ns).toBe(b.ns);
      expect(lwlockAcquire(first.dsm.participant, a.i32, a.word, a.ns, LW_EXCLUSIVE)).toBeGreaterThan(0);
      expect(lwlockAcquire(second.dsm.participant, b.i32, b.word, b.ns, LW_EXCLUSIVE)).toBe(0);
      expect(lwlockRelease(first.dsm.participant, a.i32, a.word, a.ns)).toBe(true);
    });

    it.each([1, 0x3fffffff, 0x40000000, 0x7fffffff])(
      'has the number that locks want, with random number %i',
      (number) => {
        const { dsm, registry } = newRegistry(store, { random: () => number });
        const { i32, ns, word } = registry.block('a lock', 'lock', 16, nothing);
        expect(ns).toBe(registry.root.area.handle);
        LWLock.initialize({ i32, ns }, 4 * word, TRANCHE_DSA, dsm.tranches);
        const lock = new LWLock(dsm.participant, { i32, ns }, 4 * word);
        lock.acquire();
        expect([lock.heldByMe(), codeOf(() => lock.acquire())]).toEqual([true, 'ERR_HEAP_LOCK_SELF']);
        lock.release();
      },
    );

    it('shares no cache line with another, and stays where it is while the registry grows', () => {
      const { dsm, registry } = newRegistry(store);
      const blocks = Array.from({ length: 3000 }, (_, i) =>
        registry.block(`block ${i}`, 'lock', 16, ({ i32, word }) => (i32[word] = i)),
      );
      expect(registry.root.area.segments().length).toBeGreaterThan(1);
      expect(new Set(blocks.map(({ pointer }) => Math.floor(pointer / 128))).size).toBe(3000);
      expect(blocks.findIndex(({ i32, word }, i) => i32[word] !== i)).toBe(-1);
      const other = join(dsm);
      for (const [i, { pointer }] of blocks.entries()) {
        const found = other.registry.block(`block ${i}`, 'lock', 16, nothing);
        if (found.pointer !== pointer || found.i32[found.word] !== i) expect.fail(`block ${i} is another`);
      }
      expectSound(other);
    });
  });

  describe('what is asked for wrongly', () => {
    const makers: [string, (registry: Registry, name: string) => unknown][] = [
      ['segment', (registry, name) => registry.getNamedSegment(name, 100)],
      ['area', (registry, name) => registry.getNamedArea(name)],
      ['hash', (registry, name) => registry.getNamedHash(name, PARAMS)],
      ...BLOCK_KINDS.map((kind): [string, (registry: Registry, name: string) => unknown] => [
        kind,
        (registry, name) => registry.block(name, kind, 100, nothing),
      ]),
    ];

    it('is refused when the name is something of another kind, by whoever asks', () => {
      const first = newRegistry(store);
      const second = join(first.dsm);
      for (const [kind, make] of makers) {
        make(first.registry, kind);
        const objects = liveObjects(first.registry);
        for (const [other, ask] of makers) {
          if (other === kind) continue;
          for (const { registry } of [first, second]) {
            expect([kind, other, codeOf(() => ask(registry, kind))]).toEqual([kind, other, 'ERR_HEAP_TYPE_MISMATCH']);
          }
        }
        expect(liveObjects(first.registry)).toBe(objects);
      }
      expect(first.registry.allocations()).toHaveLength(makers.length);
      expect(errorOf(() => first.registry.getNamedArea('segment'))).toMatchObject({
        detail: '"segment" is a segment, asked for was a area',
        pgMessage: 'requested DSA does not match type of existing entry',
      });
      expectSound(first);
    });

    it('is refused when its size is another', () => {
      const first = newRegistry(store);
      const second = join(first.dsm);
      first.registry.getNamedSegment('segment', 100);
      first.registry.block('block', 'queue', 100, nothing);
      for (const { registry } of [first, second]) {
        for (const size of [1, 99, 101, 4096]) {
          expect(codeOf(() => registry.getNamedSegment('segment', size))).toBe('ERR_HEAP_SIZE_MISMATCH');
          expect(codeOf(() => registry.block('block', 'queue', size, nothing))).toBe('ERR_HEAP_SIZE_MISMATCH');
        }
      }
      expectSound(first);
    });

    it.each([
      ['the empty string', ''],
      ['128 bytes', 'x'.repeat(128)],
      ['127 characters of more bytes', `${'x'.repeat(126)}ü`],
      ['a million characters', 'x'.repeat(1_000_000)],
      ['a lone high surrogate', 'a\ud800'],
      ['a lone low surrogate', '\udc00a'],
      ['a zero character', 'a\0b'],
      ['nothing', undefined],
      ['null', null],
      ['a number', 7],
      ['an object', { toString: () => 'name' }],
      ['a symbol', Symbol('name')],
    ])('is refused when the name is %s', (_what, name) => {
      const { dsm, registry } = newRegistry(store);
      for (const [, make] of makers) expect(codeOf(() => make(registry, name as string))).toBe('ERR_HEAP_BAD_NAME');
      expect(registry.allocations()).toEqual([]);
      expect(liveObjects(registry)).toBe(2);
      expectSound({ dsm, registry });
    });

    it('is not refused when the name is as long as it may be, or odd', () => {
      const { dsm, registry } = newRegistry(store);
      const names = [
        'x'.repeat(127),
        `${'x'.repeat(125)}ü`,
        '😀'.repeat(31),
        ' ',
        '__proto__',
        'constructor',
        '\ufeffa',
      ];
      for (const name of names) registry.block(name, 'block', 8, nothing);
      expect(
        registry
          .allocations()
          .map(({ name }) => name)
          .sort(),
      ).toEqual(names.sort());
      expectSound({ dsm, registry });
    });

    it.each([0, -1, 1.5, Number.NaN, 2 ** 40 + 1, Number.POSITIVE_INFINITY, '16', null, undefined])(
      'is refused when the size is %s',
      (size) => {
        const { dsm, registry } = newRegistry(store);
        expect(codeOf(() => registry.getNamedSegment('s', size as number))).toBe('ERR_HEAP_BAD_SIZE');
        expect(codeOf(() => registry.block('s', 'lock', size as number, nothing))).toBe('ERR_HEAP_BAD_SIZE');
        expect(registry.allocations()).toEqual([]);
        expectSound({ dsm, registry });
      },
    );

    it('is refused with a kind, a callback, parameters or a participant that are none', () => {
      const { dsm, registry } = newRegistry(store);
      for (const kind of ['segment', 'area', 'hash', 'mutex', '', null, 1]) {
        expect(codeOf(() => registry.block('n', kind as NamedKind, 8, nothing))).toBe('ERR_HEAP_BAD_ARGUMENT');
      }
      for (const init of [null, 1, 'init', {}]) {
        expect(codeOf(() => registry.getNamedSegment('n', 8, init as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
        expect(codeOf(() => registry.block('n', 'lock', 8, init as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
      }
      for (const params of [null, undefined, {}, { ...PARAMS, entrySize: 0 }]) {
        expect(codeOf(() => registry.getNamedHash('n', params as never))).toBe('ERR_HEAP_BAD_OPTION');
      }
      for (const other of [null, undefined, {}, registry]) {
        expect(codeOf(() => Registry.open(other as never))).toBe('ERR_HEAP_BAD_ARGUMENT');
      }
      expect(registry.allocations()).toEqual([]);
      expect(dsm.stats().segments).toHaveLength(1);
      expectSound({ dsm, registry });
    });
  });

  describe('an initialisation', () => {
    it('that fails leaves nothing, and the next one makes it, also as something else', () => {
      const first = newRegistry(store);
      const second = join(first.dsm);
      // The table and its first superblocks are there before.
      first.registry.block('warm', 'block', 100, nothing);
      const before = [liveObjects(first.registry), first.dsm.stats().segments];
      const fail = () => {
        throw new RangeError('no');
      };
      for (let n = 0; n < 50; n++) {
        expect(errorOf(() => first.registry.block('name', 'queue', 100, fail))).toBeInstanceOf(RangeError);
        expect(errorOf(() => second.registry.getNamedSegment('name', 50_000, fail))).toBeInstanceOf(RangeError);
      }
      expect([liveObjects(first.registry), first.dsm.stats().segments]).toEqual(before);
      expect(first.registry.allocations()).toHaveLength(1);
      expect(second.registry.getNamedSegment('name', 60_000).found).toBe(false);
      expect(first.registry.getNamedSegment('name', 60_000, fail).found).toBe(true);
      expectSound(first);
    });

    it('can use the registry for other names, but not for its own', () => {
      const first = newRegistry(store);
      const second = join(first.dsm);
      const nested = first.registry.block('outer', 'queue', 100, () => {
        for (let n = 0; n < 300; n++) {
          first.registry.block(`inner ${n}`, 'lock', 16, () => {
            if (n % 3 === 0) first.registry.getNamedSegment(`innermost ${n}`, 10);
          });
        }
      });
      expect(nested.found).toBe(false);
      for (const { registry } of [first, second]) {
        let inner = 'nothing';
        first.registry.block(`own ${inner.length} ${registry === first.registry}`, 'lock', 16, ({ name }) => {
          inner = codeOf(() => registry.block(name, 'lock', 16, nothing));
          expect(codeOf(() => registry.block(name, 'map', 16, nothing))).toBe('ERR_HEAP_TYPE_MISMATCH');
        });
        expect(inner).toBe('ERR_HEAP_LOCK_SELF');
      }
      expect(first.registry.allocations()).toHaveLength(403);
      expectSound(first);
    });

    it('that gives its own segment away ends in an error, and leaves nothing', () => {
      const { dsm, registry } = newRegistry(store);
      const before = dsm.stats().segments;
      expect(codeOf(() => registry.getNamedSegment('s', 10, (segment) => segment.detach()))).toBe('ERR_HEAP_CLOSED');
      expect(dsm.stats().segments).toEqual(before);
      expectSound({ dsm, registry });
    });
  });

  describe('without memory', () => {
    it('a registry cannot be opened, and nothing is left of it', () => {
      const dsm = newDsm(store, { segments: 1 });
      const hold = dsm.create(100)!;
      const { segments } = dsm.stats();
      for (let n = 0; n < 3; n++) expect(codeOf(() => Registry.open(dsm))).toBe('ERR_HEAP_SEGMENT_SLOTS');
      expect(Registry.openExisting(dsm)).toBe(null);
      expect(dsm.stats().segments).toEqual(segments);
      hold.detach();
      expectSound({ dsm, registry: Registry.open(dsm) });
    });

    it('a random source that throws ends the opening, and the next one opens', () => {
      let broken = true;
      const random = () => {
        if (broken) throw new Error('no entropy');
        return Math.floor(Math.random() * 2 ** 32);
      };
      const dsm = newDsm(store, { random });
      expect(codeOf(() => Registry.open(dsm))).toBe('ERR_HEAP_BAD_OPTION');
      broken = false;
      const registry = Registry.open(dsm);
      broken = true;
      expect(codeOf(() => registry.getNamedSegment('s', 10))).toBe('ERR_HEAP_BAD_OPTION');
      expect(codeOf(() => registry.getNamedArea('s'))).toBe('ERR_HEAP_BAD_OPTION');
      expect(registry.allocations()).toEqual([]);
      broken = false;
      expect(registry.getNamedSegment('s', 10).found).toBe(false);
      expectSound({ dsm, registry });
    });

    it('no slot is left behind by segments, areas and tables', () => {
      const { dsm, registry } = newRegistry(store, { segments: 2 });
      registry.block('warm', 'block', 100, nothing);
      dsm.create(100);
      const before = [liveObjects(registry), dsm.stats().segments];
      expect(codeOf(() => registry.getNamedSegment('a', 100))).toBe('ERR_HEAP_SEGMENT_SLOTS');
      expect(codeOf(() => registry.getNamedArea('a'))).toBe('ERR_HEAP_SEGMENT_SLOTS');
      expect(codeOf(() => registry.getNamedHash('a', PARAMS))).toBe('ERR_HEAP_SEGMENT_SLOTS');
      expect([liveObjects(registry), dsm.stats().segments]).toEqual(before);
      expect(registry.allocations()).toHaveLength(1);
      expectSound({ dsm, registry });
    });

    it('no byte is left behind by blocks, wherever memory ends', () => {
      const { dsm, registry } = newRegistry(store);
      const { area } = registry.root;
      area.setSizeLimit(area.getTotalSize());
      // Everything in one size class after the other, so that blocks of each size, items and arrays meet the end.
      const names = new Set<string>();
      let refused = 0;
      for (let n = 0; n < 4000; n++) {
        const size = [16, 300, 1000, 5000, 20_000][n % 5]!;
        const objects = liveObjects(registry);
        const code = codeOf(() => registry.block(`block ${n}`, 'block', size, nothing));
        if (code === 'nothing') names.add(`block ${n}`);
        else {
          refused++;
          expect([code, liveObjects(registry)]).toEqual(['ERR_HEAP_OUT_OF_MEMORY', objects]);
        }
        if (refused > 200) break;
      }
      expect(refused).toBeGreaterThan(200);
      expect(new Set(registry.allocations().map(({ name }) => name))).toEqual(names);
      // C loses the span of a superblock that cannot be had (trap P9).
      expect(registry.verify()).toMatchObject({ ok: true, findings: [], names: names.size });
      area.setSizeLimit(Number.POSITIVE_INFINITY);
      expect(registry.block('now', 'block', 16, nothing).found).toBe(false);
      expect(DsaArea.isAttached(dsm, area.handle)).toBe(true);
    });
  });
});

it('gives a block a number of its memory that locks take, also where the handle has its highest bit set', () => {
  let n = 0;
  // Handles are twice the number drawn: all of these are above 2^31.
  const { dsm, registry } = newRegistry('region', { random: () => 0x60000000 + n++ });
  const { i32, word, ns } = registry.block('a', 'lock', 16, nothing);
  expect(ns).toBeGreaterThan(2 ** 31);
  LWLock.initialize({ i32, ns }, word * 4, TRANCHE_DSA, dsm.tranches);
  const lock = new LWLock(dsm.participant, { i32, ns }, word * 4);
  lock.acquire();
  expect(lock.heldByMe()).toBe(true);
  lock.release();
});
