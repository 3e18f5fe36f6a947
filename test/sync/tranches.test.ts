/** Tranches; the last group follows PostgreSQL's test module test_lwlock_tranches. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BUILTIN_TRANCHES,
  FIRST_USER_TRANCHE,
  LWLock,
  LWLOCK_PADDED_BYTES,
  lwlockTranche,
  MAX_USER_TRANCHES,
  TRANCHE_DSA,
  TRANCHE_DSM_CONTROL,
  TrancheTable,
} from '../../dist/sync/sync.js';
import { makeWorld, type TestWorld } from './world.js';

const failure = (message: string) => expect.objectContaining({ code: 'ERR_HEAP_TRANCHE', message });
const lockMemory = (ns = 6) => ({ i32: new Int32Array(new SharedArrayBuffer(8192)), ns });

/** Another thread's handle of the same table. */
const other = (world: TestWorld) => new TrancheTable(new Int32Array(world.shared.buffer), 4096, world.table);

describe('ids and names', () => {
  test('built-in tranches have names below the first user id', () => {
    const { tranches } = makeWorld();
    for (const [id, name] of BUILTIN_TRANCHES) {
      expect(id).toBeLessThan(FIRST_USER_TRANCHE);
      expect(tranches.trancheName(id)).toBe(name);
    }
    expect(tranches.trancheName(TRANCHE_DSM_CONTROL)).toBe('DynamicSharedMemoryControl');
    expect(tranches.trancheName(TRANCHE_DSA)).toBe('SharedHeapDSA');
    expect(new Set(BUILTIN_TRANCHES.values()).size).toBe(BUILTIN_TRANCHES.size);
  });

  test('any name of up to 63 bytes comes back in every thread, a longer one is refused', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 70 }), { maxLength: 10 }), (names) => {
        const world = makeWorld();
        const known: [number, string][] = [];
        for (const name of names) {
          // Lone surrogates have no UTF-8 form; this is what is kept of them.
          const kept = new TextDecoder().decode(new TextEncoder().encode(name));
          if (new TextEncoder().encode(name).length <= 63) known.push([world.tranches.newTrancheId(name), kept]);
          else expect(() => world.tranches.newTrancheId(name)).toThrow(failure('tranche name too long'));
        }
        expect(known.map(([id]) => id)).toEqual(known.map((_k, n) => FIRST_USER_TRANCHE + n));
        for (const [id, name] of known) expect(other(world).trancheName(id)).toBe(name);
      }),
      { numRuns: 50 },
    );
  });

  test.each<[shown: string, id: unknown]>([
    ...[-1, 0, FIRST_USER_TRANCHE - 1, FIRST_USER_TRANCHE, 65535, 1.5, Number.NaN].map((id): [string, number] => [
      String(id),
      id,
    ]),
    ["'95'", '95'],
    ['95n', 95n],
    ['a symbol', Symbol('95')],
    ['an object', Object.create(null)],
    ['null', null],
  ])('id %s is unknown', (shown, id) => {
    const { tranches } = makeWorld();
    expect(() => tranches.trancheName(id as number)).toThrow(failure(`tranche ${shown} is not registered`));
    expect(tranches.findTrancheName(id as number)).toBeUndefined();
  });

  test('an id whose claimant died before it had written the name is unknown', () => {
    const world = makeWorld();
    world.i32[4096 / 4] = 1;
    expect(world.tranches.findTrancheName(FIRST_USER_TRANCHE)).toBeUndefined();
    expect(world.tranches.newTrancheId('next')).toBe(FIRST_USER_TRANCHE + 1);
  });
});

describe('requested tranches', () => {
  test('the locks are initialised where they were asked for, and are found there', () => {
    const world = makeWorld();
    const memory = lockMemory();
    memory.i32.fill(-1);
    const id = world.tranches.requestNamedLWLockTranche('ten', 10, memory, 512);
    const found = other(world).getNamedLWLockTranche('ten');
    expect(found).toEqual({ id, ns: 6, byteOffset: 512, count: 10 });
    const p = world.join();
    for (let n = 0; n < 10; n++) {
      const at = found.byteOffset + n * LWLOCK_PADDED_BYTES;
      expect(lwlockTranche(memory.i32, at / 4)).toBe(id);
      const lock = new LWLock(p, memory, at, world.tranches);
      expect(lock.acquire()).toBe(true);
      expect(lock.tranche).toBe('ten');
      lock.release();
    }
  });

  test('a place beyond 4 GiB is kept exactly', () => {
    const world = makeWorld();
    // The table notes the place; a view that large need not exist for that.
    const i32 = new Int32Array(new SharedArrayBuffer(256));
    const far = {
      i32: new Proxy(i32, { get: (t, k) => (k === 'byteLength' ? 2 ** 40 : Reflect.get(t, k, t)) }),
      ns: 2,
    };
    world.tranches.requestNamedLWLockTranche('far', 1, far, 2 ** 39 + 4);
    expect(world.tranches.getNamedLWLockTranche('far').byteOffset).toBe(2 ** 39 + 4);
  });

  test('only before the first participant has joined', () => {
    const world = makeWorld();
    world.tranches.requestNamedLWLockTranche('early', 1, lockMemory(), 0);
    const p = world.join();
    const late = failure('locks can be requested only before the first participant joins');
    expect(() => world.tranches.requestNamedLWLockTranche('late', 1, lockMemory(), 0)).toThrow(late);
    p.leave();
    expect(() => world.tranches.requestNamedLWLockTranche('late', 1, lockMemory(), 0)).toThrow(late);
    expect(world.tranches.getNamedLWLockTranche('early').count).toBe(1);
  });

  test('and before the sealing', () => {
    const world = makeWorld();
    other(world).seal();
    expect(() => world.tranches.requestNamedLWLockTranche('late', 1, lockMemory(), 0)).toThrow(
      failure('locks can be requested only before the first participant joins'),
    );
    expect(world.tranches.newTrancheId('still')).toBe(FIRST_USER_TRANCHE);
  });

  test('a name once', () => {
    const world = makeWorld();
    world.tranches.newTrancheId('twice');
    world.tranches.requestNamedLWLockTranche('twice', 1, lockMemory(), 0);
    expect(() => world.tranches.requestNamedLWLockTranche('twice', 1, lockMemory(), 0)).toThrow(
      failure('the tranche was requested before'),
    );
    expect(world.tranches.getNamedLWLockTranche('twice').id).toBe(FIRST_USER_TRANCHE + 1);
  });

  test.each([
    [0, 0],
    [-1, 0],
    [1.5, 0],
    [Number.NaN, 0],
    [65, 0],
    [64, 4],
    [1, -4],
    [1, 2],
    [1, 8192],
    [1, Number.NaN],
  ])('%d locks at byte %d do not lie in 8192 bytes', (count, byteOffset) => {
    const world = makeWorld();
    const memory = lockMemory();
    expect(() => world.tranches.requestNamedLWLockTranche('bad', count, memory, byteOffset)).toThrow(
      expect.objectContaining({ code: 'ERR_HEAP_BAD_ARGUMENT' }),
    );
    expect(memory.i32.every((word) => word === 0)).toBe(true);
    expect(world.tranches.newTrancheId('next')).toBe(FIRST_USER_TRANCHE);
  });
});

describe('the places of the table', () => {
  test.each([-8, 4, 1e9, Number.NaN])('%d is refused', (byteOffset) => {
    const { i32 } = makeWorld();
    expect(() => new TrancheTable(i32, byteOffset)).toThrow(expect.objectContaining({ code: 'ERR_HEAP_BAD_ARGUMENT' }));
  });
});

describe('test_lwlock_tranches', () => {
  /** As the module does at the start: tranches with 1 and with 10 locks. */
  function started() {
    const world = makeWorld();
    const memory = lockMemory();
    world.tranches.requestNamedLWLockTranche('test_lwlock_tranches_startup', 1, memory, 0);
    world.tranches.requestNamedLWLockTranche('test_lwlock_tranches_startup10', 10, memory, 1024);
    return { ...world, memory, p: world.join() };
  }

  test('start-up tranches are usable and named', () => {
    const { tranches, memory, p } = started();
    for (const [name, count] of [
      ['test_lwlock_tranches_startup', 1],
      ['test_lwlock_tranches_startup10', 10],
    ] as const) {
      const tranche = tranches.getNamedLWLockTranche(name);
      expect(tranche.count).toBe(count);
      expect(tranches.trancheName(tranche.id)).toBe(name);
      for (let n = 0; n < count; n++) {
        const lock = new LWLock(p, memory, tranche.byteOffset + n * LWLOCK_PADDED_BYTES, tranches);
        lock.acquire();
        expect(lock.tranche).toBe(name);
        lock.release();
      }
    }
  });

  test('new ids are distinct, also with equal names, and usable', () => {
    const { tranches, memory, p } = started();
    const ids = ['test_lwlock_tranches_dynamic', 'test_lwlock_tranches_dynamic', 'other'].map((n) =>
      tranches.newTrancheId(n),
    );
    expect(new Set(ids).size).toBe(3);
    expect(ids.map((id) => tranches.trancheName(id))).toEqual([
      'test_lwlock_tranches_dynamic',
      'test_lwlock_tranches_dynamic',
      'other',
    ]);
    LWLock.initialize(memory, 4096, ids[1]!, tranches);
    const lock = new LWLock(p, memory, 4096, tranches);
    lock.acquire();
    lock.release();
    expect(lock.tranche).toBe('test_lwlock_tranches_dynamic');
  });

  test('errors', () => {
    const { tranches, memory } = started();
    expect(() => tranches.newTrancheId(null as unknown as string)).toThrow(failure('tranche name cannot be NULL'));
    expect(() => tranches.newTrancheId('x'.repeat(64))).toThrow(failure('tranche name too long'));
    expect(tranches.trancheName(tranches.newTrancheId('x'.repeat(63)))).toBe('x'.repeat(63));
    expect(() => tranches.getNamedLWLockTranche('bogus')).toThrow(failure('requested tranche is not registered'));
    tranches.newTrancheId('dynamic');
    expect(() => tranches.getNamedLWLockTranche('dynamic')).toThrow(
      failure('requested tranche was not registered with RequestNamedLWLockTranche()'),
    );
    expect(() => LWLock.initialize(memory, 4096, 65535, tranches)).toThrow(failure('tranche 65535 is not registered'));
    expect(() => tranches.trancheName(65535)).toThrow(failure('tranche 65535 is not registered'));
  });

  test('the 257th tranche', () => {
    const { tranches } = started();
    // Two went to the start-up requests.
    for (let n = 2; n < MAX_USER_TRANCHES; n++) {
      expect(tranches.newTrancheId(`tranche ${n}`)).toBe(FIRST_USER_TRANCHE + n);
    }
    expect(() => tranches.newTrancheId('one too many')).toThrow(
      expect.objectContaining({
        message: 'maximum number of tranches already registered',
        pgDetail: 'No more than 256 tranches may be registered.',
      }),
    );
    expect(tranches.trancheName(FIRST_USER_TRANCHE + 255)).toBe('tranche 255');
    expect(() => tranches.newTrancheId('again')).toThrow(failure('maximum number of tranches already registered'));
  });
});
