import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  LOCK_STATE,
  LW_EXCLUSIVE,
  LW_SHARED,
  lwlockAcquire,
  lwlockInitialize,
  lwlockRelease,
  Participant,
  ParticipantSlot,
  ParticipantTable,
  SLOT_ADOPTED,
  SLOT_FREE,
  SLOT_LIVE,
} from '../../dist/sync/sync.js';
import { counterWord, lockWord, makeWorld, startJob, untilWord } from './world.js';

const LOCK = lockWord(1);
const READY = counterWord(8);
const MAPPINGS = ParticipantSlot.mappings / 4;
const linux = process.platform === 'linux';

function code(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'no error';
}

describe('a joiner who finds no free slot', () => {
  const STRANGER = 12345n;

  /** A table of two slots, the second in the hands of another thread; `looked` is told how often it was looked at. */
  function setting(state: number, looked: (times: number, free: () => void) => void) {
    const world = makeWorld(2);
    const { table, i32 } = world;
    world.join();
    const base = table.slotBase(1);
    const ids = new BigInt64Array(i32.buffer, base * 4, 1);
    ids[0] = STRANGER;
    i32[base + ParticipantSlot.state / 4] = state;
    let times = 0;
    const real = table.isAlive.bind(table);
    table.isAlive = (slot) => {
      if (slot !== 1) return real(slot);
      looked(++times, () => {
        i32[base + ParticipantSlot.state / 4] = SLOT_FREE;
        ids[0] = 0n;
      });
      return true;
    };
    return { world, times: () => times };
  }

  test.each([
    ['is adopted', SLOT_ADOPTED],
    ['is being taken or given back', SLOT_FREE],
  ])('waits for one that %s', (_name, state) => {
    const { world, times } = setting(state, (n, free) => {
      if (n === 8) free();
    });
    expect(world.join(10_000).slot).toBe(1);
    expect(times()).toBe(8);
  });

  test('waits no longer than its locks', () => {
    const { world, times } = setting(SLOT_ADOPTED, () => {});
    expect(code(() => world.join(30))).toBe('ERR_HEAP_PARTICIPANT_SLOTS');
    expect(times()).toBeGreaterThan(4);
  });

  test('looks once more when all are in use, and that is all', () => {
    const { world, times } = setting(SLOT_LIVE, () => {});
    expect(code(() => world.join(10_000))).toBe('ERR_HEAP_PARTICIPANT_SLOTS');
    // Two looks at who is gone, and the count in the error.
    expect(times()).toBe(3);
  });
});

describe('joining and leaving', () => {
  test('slots are given out from the first, and again with a new generation', () => {
    const { table, join } = makeWorld(4);
    const a = join();
    const b = join();
    expect([a.slot, a.id, a.generation, b.slot]).toEqual([0, 1, 1, 1]);
    a.leave();
    const c = join();
    expect([c.slot, c.generation]).toEqual([0, 2]);
    expect(table.highWater()).toBe(2);
    expect(table.liveCount()).toBe(2);
    expect([table.isCurrent(0, 1), table.isCurrent(0, 2), table.isCurrent(1, 1)]).toEqual([false, true, true]);
    expect([table.seemsCurrent(0, 1), table.seemsCurrent(0, 2), table.seemsCurrent(1, 1)]).toEqual([false, true, true]);
    b.leave();
    expect([table.isCurrent(1, 1), table.seemsCurrent(1, 1)]).toEqual([false, false]);
  });

  test('the table is full at its number of slots, says so, and is usable after a leave', () => {
    const { join } = makeWorld(3);
    const all = [join(), join(), join()];
    expect(() => join()).toThrow(
      expect.objectContaining({ code: 'ERR_HEAP_PARTICIPANT_SLOTS', detail: expect.stringContaining('3 slots') }),
    );
    all[1]!.leave();
    expect(join().slot).toBe(1);
  });

  test('leaving twice is leaving once', () => {
    const { join, table } = makeWorld(2);
    const a = join();
    a.leave();
    const b = join();
    a.leave();
    expect(b.slot).toBe(a.slot);
    expect(table.isAlive(b.slot)).toBe(true);
    expect(a.closed).toBe(true);
  });

  test('a participant that holds a lock cannot leave', () => {
    const { i32, join, table } = makeWorld(2);
    lwlockInitialize(i32, LOCK, 34);
    const a = join();
    lwlockAcquire(a, i32, LOCK, 0, LW_EXCLUSIVE);
    expect(() => a.leave()).toThrow(expect.objectContaining({ code: 'ERR_HEAP_LOCK_HELD' }));
    expect([a.closed, table.isAlive(0), a.nheld]).toEqual([false, true, 1]);
    lwlockRelease(a, i32, LOCK, 0);
    a.leave();
    expect(table.isAlive(0)).toBe(false);
  });

  test('a table is initialised whatever lay there', () => {
    const { i32, table, join } = makeWorld(2);
    i32.fill(-1);
    table.initialize();
    expect(table.highWater()).toBe(0);
    expect([join().generation, join().slot]).toEqual([1, 1]);
  });
});

describe('who is alive', () => {
  test('own slots live, free ones do not', () => {
    const { table, join } = makeWorld(2);
    join();
    expect([table.isAlive(0), table.isAlive(1), table.isOwnThread(0), table.isOwnThread(1)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });

  test.runIf(linux)('another thread lives until it has ended', async () => {
    const world = makeWorld(2);
    const { worker } = startJob(world, 'idle', { ready: READY });
    await untilWord(world, READY);
    expect([world.table.isAlive(0), world.table.isOwnThread(0), world.table.knownDead(0)]).toEqual([
      true,
      false,
      false,
    ]);
    await worker.terminate();
    // Nobody has looked yet.
    expect(world.table.seemsCurrent(0, 1)).toBe(true);
    expect(world.table.isAlive(0)).toBe(false);
    expect(world.table.knownDead(0)).toBe(true);
    expect(world.table.seemsCurrent(0, 1)).toBe(false);
    expect(world.table.liveCount()).toBe(0);
  });

  test('a thread that cannot be asked is gone when its exit was reported, and no other', () => {
    const world = makeWorld(3);
    const p = world.join();
    // What a thread writes on a system that does not tell which threads live.
    const ids = new BigInt64Array(world.shared.buffer);
    const at = (slot: number) => (world.table.slotBase(slot) * 4 + ParticipantSlot.identity) / 8;
    ids[at(1)] = BigInt.asIntN(64, (0xffffffffn << 32n) | 77n);
    ids[at(2)] = BigInt.asIntN(64, (0xffffffffn << 32n) | 78n);
    expect([world.table.isAlive(1), world.table.isAlive(2)]).toEqual([undefined, undefined]);
    expect(world.table.markDead(76)).toBe(0);
    expect(world.table.markDead(77)).toBe(1);
    expect(world.table.markDead(77)).toBe(0);
    expect([world.table.isAlive(0), world.table.isAlive(1), world.table.isAlive(2)]).toEqual([true, false, undefined]);
    const next = world.join();
    expect(next.slot).toBe(1);
    // The new owner is not held for the one whose death was noted there.
    expect(world.table.isAlive(1)).toBe(true);
    expect(world.table.knownDead(1)).toBe(false);
    expect(() => world.join()).toThrow(
      expect.objectContaining({ detail: expect.stringContaining('1 of threads that cannot be asked') }),
    );
    p.leave();
  });

  test('reporting an exit does not touch threads that live', async () => {
    const world = makeWorld(2);
    const job = startJob(world, 'idleLoop', { ready: READY });
    await untilWord(world, READY);
    if (linux) {
      expect(world.table.markDead(job.worker.threadId)).toBe(0);
      expect(world.table.isAlive(0)).toBe(true);
    }
    const { threadId } = job.worker;
    await job.worker.terminate();
    world.table.markDead(threadId);
    expect(world.table.isAlive(0)).toBe(false);
  });
});

describe('adoption', () => {
  test('slots of 200 terminated workers, one after another, in a table of 8', async () => {
    const world = makeWorld(8);
    const released: number[] = [];
    for (let n = 0; n < 200; n++) {
      Atomics.store(world.i32, READY, 0);
      const { worker } = startJob(world, 'idle', { ready: READY });
      await untilWord(world, READY);
      const { threadId } = worker;
      await worker.terminate();
      world.table.markDead(threadId);
      if (n % 3 !== 2) continue;
      const p = world.table.join({
        lockTimeout: 1000,
        release: (gone) => {
          released.push(world.i32[gone.base + MAPPINGS]!);
          world.i32[gone.base + MAPPINGS] = 0;
        },
      });
      p.leave();
    }
    // The workers, too, adopt those before them, with a release that does nothing.
    expect(world.table.highWater()).toBeLessThanOrEqual(8);
    expect(released.length).toBeGreaterThanOrEqual(66);
    expect(new Set(released)).toEqual(new Set([5]));
  }, 300_000);

  test('the adopter acts as the one that is gone, and may take locks', async () => {
    const world = makeWorld(4);
    lwlockInitialize(world.i32, LOCK, 34);
    const { worker } = startJob(world, 'idle', { ready: READY });
    await untilWord(world, READY);
    const { threadId } = worker;
    await worker.terminate();
    world.table.markDead(threadId);
    const seen: unknown[] = [];
    const p = world.table.join({
      lockTimeout: 1000,
      release: (gone) => {
        seen.push(gone.slot, gone.generation, gone instanceof Participant);
        seen.push(lwlockAcquire(gone, world.i32, LOCK, 0, LW_EXCLUSIVE), world.i32[LOCK + LOCK_STATE]! & 0xff);
        lwlockRelease(gone, world.i32, LOCK, 0);
      },
    });
    expect(seen).toEqual([0, 2, true, 1, 1]);
    expect([p.slot, p.generation]).toEqual([0, 3]);
  });

  test('when the release fails the slot stays with the dead, for the next joiner', async () => {
    const world = makeWorld(4);
    const { worker } = startJob(world, 'idle', { ready: READY });
    await untilWord(world, READY);
    const { threadId } = worker;
    await worker.terminate();
    world.table.markDead(threadId);
    const failing = () => {
      throw new Error('no');
    };
    expect(() => world.table.join({ lockTimeout: 1000, release: failing })).toThrow('no');
    expect(world.table.isAlive(0)).toBe(false);
    let calls = 0;
    const p = world.table.join({ lockTimeout: 1000, release: () => calls++ });
    expect([calls, p.slot]).toEqual([1, 0]);
  });

  test('who may have died in a critical section is left alone', async () => {
    const world = makeWorld(2);
    lwlockInitialize(world.i32, LOCK, 34);
    const { worker } = startJob(world, 'holdForEver', { lock: LOCK, mode: LW_SHARED, ready: READY });
    await untilWord(world, READY);
    const { threadId } = worker;
    await worker.terminate();
    world.table.markDead(threadId);
    expect(world.join().slot).toBe(1);
    expect(() => world.join()).toThrow(
      expect.objectContaining({
        code: 'ERR_HEAP_PARTICIPANT_SLOTS',
        detail: expect.stringContaining('1 of them of threads that ended while they may have held a lock'),
      }),
    );
    expect(world.i32[LOCK + LOCK_STATE]).toBe(1);
  });
});

test('any order of joining and leaving keeps slots distinct and within the table', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 9 }), { maxLength: 60 }), (moves) => {
      const world = makeWorld(5);
      const present: Participant[] = [];
      for (const move of moves) {
        if (move < 5 && present[move] !== undefined) present.splice(move, 1)[0]!.leave();
        else if (present.length < 5) present.push(world.join());
        else expect(code(() => world.join())).toBe('ERR_HEAP_PARTICIPANT_SLOTS');
        expect(new Set(present.map((p) => p.slot)).size).toBe(present.length);
        expect(world.table.liveCount()).toBe(present.length);
        for (const p of present) expect(world.table.isCurrent(p.slot, p.generation)).toBe(true);
      }
    }),
    { numRuns: 60 },
  );
});

describe('bad input', () => {
  const memory = () => new Int32Array(new SharedArrayBuffer(65536));
  test.each([
    ['no shared memory', () => new ParticipantTable(new Int32Array(65536), 0, 4)],
    ['no Int32Array', () => new ParticipantTable(new Uint8Array(new SharedArrayBuffer(65536)) as never, 0, 4)],
    ['no slots', () => new ParticipantTable(memory(), 0, 0)],
    ['a fraction of a slot', () => new ParticipantTable(memory(), 0, 1.5)],
    ['too many slots', () => new ParticipantTable(memory(), 0, 65537)],
    ['NaN slots', () => new ParticipantTable(memory(), 0, Number.NaN)],
    ['a misaligned place', () => new ParticipantTable(memory(), 4, 4)],
    ['a negative place', () => new ParticipantTable(memory(), -8, 4)],
    ['a place outside', () => new ParticipantTable(memory(), 65528, 1)],
    ['more slots than fit', () => new ParticipantTable(memory(), 0, 16)],
  ])('%s', (_name, action) => {
    expect(code(action)).toBe('ERR_HEAP_BAD_ARGUMENT');
  });

  test.each([Number.NaN, -1, '5', null, undefined])('lockTimeout %s', (lockTimeout) => {
    const { table } = makeWorld(2);
    expect(code(() => table.join({ lockTimeout: lockTimeout as number, release: () => {} }))).toBe(
      'ERR_HEAP_BAD_OPTION',
    );
    expect(table.highWater()).toBe(0);
  });

  test('a place without a table', () => {
    const table = new ParticipantTable(memory(), 0, 4);
    expect(code(() => table.join({ lockTimeout: 1, release: () => {} }))).toBe('ERR_HEAP_CORRUPT');
  });
});
