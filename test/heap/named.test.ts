/** Names of a heap: one object per name and thread, opened when first needed, part of stats, verify and allocations. */

import { describe, expect, it, onTestFinished } from 'vitest';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm, REGISTRY_ROOT } from '../../dist/dsm/dsm.js';
import { SharedHeap } from '../../dist/heap/heap.js';
import { NamedObjects, type NamedSeam } from '../../dist/heap/named.js';
import { Registry } from '../../dist/registry/registry.js';
import { codeOf, STORES } from './helpers.js';

/** A named thing as the front makes them: its shared part is a block. */
class Counter {
  closed = 0;
  readonly word: Int32Array;

  constructor({ registry }: NamedSeam, name: string, start = 0) {
    const { i32, word } = registry.block(name, 'block', 16, (block) => {
      block.i32[block.word] = start;
    });
    this.word = i32.subarray(word, word + 1);
  }

  heapClosed(): void {
    this.closed++;
  }
}

function newHeap(store: 'region' | 'buffers'): { heap: SharedHeap; side: Dsm } {
  const heap = SharedHeap.create({ store, regionSize: '64MiB' });
  const side = Dsm.join(heap.handle.dsm);
  onTestFinished(() => {
    side.leave();
    heap.close();
  });
  return { heap, side };
}

function total(heap: SharedHeap): number {
  return heap.allocations().reduce((sum, row) => sum + row.allocatedSize, 0);
}

describe.each(STORES)('on %s', (store) => {
  describe('named objects', () => {
    function world(): { dsm: Dsm; named: NamedObjects } {
      const dsm = Dsm.create({ store, regionSize: 64 * 2 ** 20 });
      onTestFinished(() => dsm.leave());
      return { dsm, named: new NamedObjects(dsm, DsaArea.create(dsm)) };
    }

    it('open the registry at the first name, and are made once each', () => {
      const { dsm, named } = world();
      expect([named.existing(), dsm.stats().segments.length]).toEqual([null, 1]);
      const one = named.object('block', 'one', (seam) => new Counter(seam, 'one', 5));
      const again = named.object('block', 'one', () => expect.fail('made twice'));
      const two = named.object('block', 'two', (seam) => new Counter(seam, 'two'));
      expect(again).toBe(one);
      expect([one.word[0], two.word[0]]).toEqual([5, 0]);
      expect(named.existing()!.allocations()).toHaveLength(2);
      // Another thread's objects are others over the same block.
      const other = Dsm.join(dsm.handle);
      const theirs = new NamedObjects(other, DsaArea.attach(other, areaOf(dsm)));
      const same = theirs.object('block', 'one', (seam) => new Counter(seam, 'one', 9));
      expect(Atomics.add(same.word, 0, 1)).toBe(5);
      expect(one.word[0]).toBe(6);
      theirs.close();
      other.leave();
    });

    it('ask whether options agree, and keep nothing that could not be made', () => {
      const { named } = world();
      const fail = () => {
        throw new TypeError('no');
      };
      expect(() => named.object('block', 'one', fail)).toThrow('no');
      const one = named.object('block', 'one', (seam) => new Counter(seam, 'one'));
      const seen: unknown[] = [];
      named.object('block', 'one', fail as never, (known) => seen.push(known));
      expect(seen).toEqual([one]);
      expect(() => named.object('block', 'one', fail as never, fail)).toThrow('no');
      expect(codeOf(() => named.object('block', '', fail))).toBe('ERR_HEAP_BAD_NAME');
      expect(
        codeOf(() =>
          named.object('lock', 'one', ({ registry }) => registry.block('one', 'lock', 16, () => {}) as object),
        ),
      ).toBe('ERR_HEAP_TYPE_MISMATCH');
    });

    it('are told once that the heap was closed', () => {
      const { dsm, named } = world();
      const one = named.object('block', 'one', (seam) => new Counter(seam, 'one'));
      const references = () => dsm.stats().segments.at(-1)!.references;
      expect(references()).toBe(2);
      named.close();
      named.close();
      // The pin is left.
      expect([one.closed, references()]).toEqual([1, 1]);
    });
  });

  it('a heap without names says so, and makes no registry by being asked', () => {
    const { heap } = newHeap(store);
    const segments = heap.allocations().length;
    expect(heap.stats()).toMatchObject({ names: 0, registryBytes: 0 });
    expect(heap.verify()).toMatchObject({ ok: true, findings: [] });
    expect(heap.allocations()).toHaveLength(segments);
    expect(heap.allocations().filter(({ kind }) => kind === 'registry')).toEqual([]);
    expect(total(heap)).toBe(heap.stats().reservedBytes);
  });

  it('names count in stats, verify and allocations, whoever has made them', () => {
    const { heap, side } = newHeap(store);
    const registry = Registry.open(side);
    registry.block('a lock', 'lock', 16, () => {});
    registry.getNamedSegment('a segment', 5000);
    expect(heap.stats()).toMatchObject({ names: 2, registryBytes: 2 ** 20, liveObjects: 0 });
    const rows = heap.allocations();
    expect(rows.filter(({ name }) => name?.startsWith('a '))).toMatchObject([
      { name: 'a lock', kind: 'lock', size: 16, allocatedSize: 128 },
      { name: 'a segment', kind: 'segment', size: 5000, allocatedSize: 8192 },
    ]);
    expect(rows.filter(({ kind }) => kind === 'heap' || kind === 'registry')).toHaveLength(2);
    const before = heap.stats().reservedBytes;
    expect(total(heap)).toBe(before);
    heap.alloc('5MiB');
    expect(total(heap)).toBe(heap.stats().reservedBytes);
    const checks = heap.verify().checks;
    expect(heap.verify({ quiescent: false })).toMatchObject({ ok: true, findings: [] });
    registry.block('another', 'condition', 500, () => {});
    expect(heap.verify()).toMatchObject({ ok: true, findings: [] });
    expect(heap.verify().checks).toBeGreaterThan(checks);
  });

  it('whatever the front makes by name has a row, and all add up', () => {
    const { heap, side } = newHeap(store);
    heap.lock('a lock');
    heap.condition('a condition');
    heap.barrier('a barrier', 2);
    heap.queue('a queue').trySend({ text: 'x'.repeat(1000) });
    heap.map('a map', { value: 'string' }).set('key', 'x'.repeat(1000));
    const named = heap.allocations().filter(({ name }) => name?.startsWith('a '));
    expect(new Map(named.map(({ name, kind }) => [name, kind]))).toEqual(
      new Map(['lock', 'condition', 'barrier', 'queue', 'map'].map((kind) => [`a ${kind}`, kind])),
    );
    expect(total(heap)).toBe(heap.stats().reservedBytes);
    expect(heap.stats()).toMatchObject({ names: 5, registryBytes: 2 ** 20 });
    expect(heap.verify()).toMatchObject({ ok: true, findings: [] });
    // All share one space of names, in every thread.
    const other = SharedHeap.attach(heap.handle);
    for (const one of [heap, other]) expect(codeOf(() => one.map('a lock'))).toBe('ERR_HEAP_TYPE_MISMATCH');
    expect(other.allocations()).toEqual(heap.allocations());
    other.close();
    expect(Registry.open(side).allocations()).toHaveLength(5);
  });

  it('damage to names is found by verify, also when the registry cannot be had at all', () => {
    const { heap, side } = newHeap(store);
    Registry.open(side).block('a lock', 'lock', 16, () => {});
    const { control } = side;
    const word = REGISTRY_ROOT.layout;
    control[word] = control[word]! + 1;
    expect(heap.verify()).toMatchObject({ ok: false, findings: [{ id: 'R1' }] });
    control[word] = control[word]! - 1;
    expect(heap.verify().findings).toEqual([]);
    control[word] = control[word]! + 1;
    expect(heap.verify()).toMatchObject({ ok: false, findings: [{ id: 'R1' }] });
    control[word] = control[word]! - 1;
  });

  it('closing the heap gives the registry back, and another thread keeps it', () => {
    const { heap, side } = newHeap(store);
    Registry.open(side).block('a lock', 'lock', 16, () => {});
    const second = SharedHeap.attach(heap.handle);
    expect(second.stats().names).toBe(1);
    const references = () => side.stats().segments.map((segment) => segment.references);
    const open = references();
    second.close();
    expect(references()).toEqual(open.map((n) => n - 1));
    expect(heap.stats().names).toBe(1);
  });
});

/** Handle of the heap's area: the segment that was made first. */
function areaOf(dsm: Dsm): number {
  return dsm.stats().segments[0]!.handle;
}
