/** What happens when the control lock cannot be had, or when what it protects was overwritten. */
import { BroadcastChannel } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { DsmControlItem } from '../../dist/dsm/control-layout.js';
import { Dsm, ResourceOwner } from '../../dist/dsm/dsm.js';
import { LWLock, lwlockInitialize } from '../../dist/sync/sync.js';
import {
  codeOf,
  errorOf,
  freeControlLock,
  holdControlLock,
  make,
  makeCluster,
  pageManager,
  requireEmpty,
  STORES,
} from './helpers.js';

describe.each(STORES)('a control lock that stalls on %s', (store) => {
  const setting = () => {
    const dsm = makeCluster(store, { lockTimeout: 10 });
    const holder = Dsm.join(dsm.handle);
    return { dsm, holder };
  };

  it('makes every call fail with its code, and nothing is changed', () => {
    const { dsm, holder } = setting();
    const segment = make(dsm, 100);
    const foreign = make(holder, 100);
    segment.pinSegment();
    const before = dsm.stats();
    holdControlLock(holder);
    const calls = [
      () => dsm.create(100),
      () => dsm.attach(foreign.handle),
      () => dsm.unpinSegment(segment.handle),
      () => segment.pinSegment(),
      () => dsm.stats(),
    ];
    expect(calls.map(codeOf)).toEqual(calls.map(() => 'ERR_HEAP_LOCK_STALLED'));
    expect([dsm.tryCreate(100, 0, true, false, null), dsm.failure]).toEqual([null, 'lock']);
    expect([dsm.tryAttach(foreign.handle, null), dsm.failure]).toEqual([null, 'lock']);
    expect([dsm.tryUnpin(segment.handle), dsm.failure]).toEqual(['lock', 'lock']);
    expect(dsm.largestRun()).toBe(0);
    freeControlLock(holder);
    expect(dsm.stats()).toEqual(before);
    holder.leave();
    dsm.leave();
  });

  it('lets a mapping go all the same, and its reference at the next call', () => {
    const { dsm, holder } = setting();
    const segment = make(dsm, 100);
    const log: string[] = [];
    segment.onDetach(() => void log.push('ran'), 0);
    holdControlLock(holder);
    const error = errorOf(() => segment.detach());
    expect(error.code).toBe('ERR_HEAP_LOCK_STALLED');
    expect(error.detail).toContain('held by participant 1');
    expect([log, segment.mapped, dsm.findMapping(segment.handle)]).toEqual([['ran'], false, null]);
    freeControlLock(holder);
    expect(holder.stats().segments).toMatchObject([{ references: 1 }]);
    expect(dsm.stats().segments).toEqual([]);
    requireEmpty(holder);
    dsm.leave();
    expect(holder.stats().participants).toBe(1);
    holder.leave();
  });

  it('lets a reference go when the participant leaves, at the latest', () => {
    const { dsm, holder } = setting();
    const segment = make(dsm, 100);
    holdControlLock(holder);
    expect(codeOf(() => segment.detach())).toBe('ERR_HEAP_LOCK_STALLED');
    freeControlLock(holder);
    dsm.leave();
    requireEmpty(holder);
    expect(holder.stats().participants).toBe(1);
    holder.leave();
  });

  it('takes a pin off later, for callers who cannot come back', () => {
    const { dsm, holder } = setting();
    const handles = [make(dsm, 100), make(dsm, 200), make(dsm, 300)].map((segment) => {
      segment.pinSegment();
      segment.detach();
      return segment.handle;
    });
    holdControlLock(holder);
    const { parks } = dsm.participant;
    dsm.unpinOrOwe(handles.slice(0, 2));
    // One wait for all of them.
    expect(dsm.participant.parks - parks).toBeLessThanOrEqual(3);
    freeControlLock(holder);
    expect(holder.stats().segments).toHaveLength(3);
    expect(dsm.stats().segments.map((s) => s.handle)).toEqual(handles.slice(2));
    holdControlLock(holder);
    dsm.unpinOrOwe(handles.slice(2));
    expect(codeOf(() => dsm.leave())).toBe('ERR_HEAP_LOCK_STALLED');
    freeControlLock(holder);
    dsm.leave();
    requireEmpty(holder);
    holder.leave();
  });

  it('does not make a second reference of one that is still owed', () => {
    const { dsm, holder } = setting();
    const segment = make(dsm, 100);
    segment.i32[0] = 9;
    const theirs = holder.attach(segment.handle)!;
    holdControlLock(holder);
    expect(codeOf(() => segment.detach())).toBe('ERR_HEAP_LOCK_STALLED');
    freeControlLock(holder);
    const again = dsm.attach(segment.handle)!;
    expect(again.i32[0]).toBe(9);
    expect(dsm.stats().segments).toMatchObject([{ references: 2 }]);
    again.detach();
    expect(dsm.stats().segments).toMatchObject([{ references: 1 }]);
    theirs.detach();
    requireEmpty(dsm);
    dsm.leave();
    holder.leave();
  });

  it('keeps the participant until a second leave gives everything back', () => {
    const { dsm, holder } = setting();
    const log: number[] = [];
    for (let i = 0; i < 5; i++) make(dsm, 100).onDetach((_, n) => void log.push(n), i);
    holdControlLock(holder);
    const { parks } = dsm.participant;
    expect(codeOf(() => dsm.leave())).toBe('ERR_HEAP_LOCK_STALLED');
    // It does not wait once for each mapping.
    expect(dsm.participant.parks - parks).toBeLessThanOrEqual(3);
    expect(log).toEqual([4, 3, 2, 1, 0]);
    freeControlLock(holder);
    expect(holder.stats()).toMatchObject({ participants: 2, segments: { length: 5 } });
    expect(codeOf(() => dsm.create(100))).toBe('ERR_HEAP_CLOSED');
    dsm.leave();
    expect(holder.stats()).toMatchObject({ participants: 1, segments: { length: 0 } });
    dsm.leave();
    expect(log).toHaveLength(5);
    holder.leave();
  });

  it('lets a resource owner end, and says so', () => {
    const { dsm, holder } = setting();
    const owner = new ResourceOwner(dsm, 'scope');
    dsm.currentOwner = owner;
    const segments = [make(dsm, 100), make(dsm, 100)];
    dsm.currentOwner = null;
    holdControlLock(holder);
    expect(codeOf(() => owner.release())).toBe('ERR_HEAP_LOCK_STALLED');
    freeControlLock(holder);
    expect(segments.map((s) => s.mapped)).toEqual([false, false]);
    dsm.leave();
    requireEmpty(holder);
    holder.leave();
  });
});

describe.each(STORES)('leaving on %s', (store) => {
  it('is refused while locks are held, and changes nothing then', () => {
    const dsm = makeCluster(store);
    const segment = make(dsm, 4096);
    const tranche = dsm.tranches.newTrancheId('mine');
    const locks = [0, 1, 2, 3, 4, 5].map((n) => {
      lwlockInitialize(segment.i32, 4 * n, tranche);
      return new LWLock(dsm.participant, { i32: segment.i32, ns: segment.handle }, 16 * n);
    });
    locks[1]!.acquire();
    const before = dsm.stats();
    const error = errorOf(() => dsm.leave());
    expect([error.code, error.detail]).toEqual([
      'ERR_HEAP_LOCK_HELD',
      `participant 0 holds lock "mine" at byte 16 of memory ${segment.handle}`,
    ]);
    expect([dsm.stats(), segment.mapped]).toEqual([before, true]);
    for (const n of [0, 2, 3, 4, 5]) locks[n]!.acquire();
    expect(errorOf(() => dsm.leave()).detail).toMatch(
      /^participant 0 holds( lock "mine" at byte \d+ of memory \d+,?){4} and 2 more$/,
    );
    for (const lock of locks) lock.release();
    dsm.leave();
  });

  it('forgets all memory, also that of segments that others keep', () => {
    const a = makeCluster(store);
    const b = Dsm.join(a.handle);
    const segment = make(a, 100);
    const theirs = b.attach(segment.handle)!;
    b.leave();
    expect([theirs.mapped, theirs.i32.length, b.impl.known()]).toEqual([false, 0, []]);
    expect(segment.mapped).toBe(true);
    a.leave();
  });

  it('detaches newest first and throws the first error after all is done', () => {
    const a = makeCluster(store);
    const b = Dsm.join(a.handle);
    const log: number[] = [];
    for (let i = 0; i < 4; i++) {
      make(b, 100).onDetach((_, n) => {
        log.push(n);
        if (n > 1) throw new Error(`error ${n}`);
      }, i);
    }
    expect(errorOf(() => b.leave()).message).toBe('error 3');
    expect(log).toEqual([3, 2, 1, 0]);
    requireEmpty(a);
    expect(a.stats().participants).toBe(1);
    b.leave();
    a.leave();
  });

  it('comes to an end although callbacks make new mappings, leave again or detach others', () => {
    const a = makeCluster(store);
    const b = Dsm.join(a.handle);
    const codes: string[] = [];
    const older = make(b, 100);
    make(b, 100).onDetach(() => {
      codes.push(
        codeOf(() => b.create(100)),
        codeOf(() => b.attach(older.handle)),
      );
      older.detach();
      b.leave();
    }, 0);
    b.leave();
    expect(codes).toEqual(['ERR_HEAP_CLOSED', 'ERR_HEAP_CLOSED']);
    requireEmpty(a);
    expect(a.stats().participants).toBe(1);
    a.leave();
  });
});

describe('a join that is refused on buffers', () => {
  it('closes the channel that it had opened', () => {
    const dsm = makeCluster('buffers', { participants: 1 });
    const real = BroadcastChannel.prototype.close;
    let closed = 0;
    BroadcastChannel.prototype.close = function (this: BroadcastChannel) {
      closed++;
      real.call(this);
    };
    expect(codeOf(() => Dsm.join(dsm.handle))).toBe('ERR_HEAP_PARTICIPANT_SLOTS');
    BroadcastChannel.prototype.close = real;
    expect(closed).toBe(1);
    dsm.leave();
  });
});

describe.each(STORES)('damage on %s', (store) => {
  it('in a slot is told at attach, and the memory is not looked at', () => {
    const a = makeCluster(store);
    const b = Dsm.join(a.handle);
    const segment = make(a, 10_000);
    const { handle, slot } = segment;
    const item = (a.control.length * 4 - controlTail(a)) / 4 + (slot * DsmControlItem.SIZEOF) / 4;
    const fields = [DsmControlItem.size, DsmControlItem.size + 4, DsmControlItem.npages, DsmControlItem.tail_pages];
    if (store === 'region') fields.push(DsmControlItem.first_page);
    for (const field of fields) {
      const at = item + field / 4;
      const old = a.control[at]!;
      for (const nonsense of [
        -1,
        0x40000000,
        old + 0x10000000,
        ...(field === DsmControlItem.first_page ? [0, 1] : []),
      ]) {
        a.control[at] = nonsense;
        expect([field, nonsense, codeOf(() => b.attach(handle))]).toEqual([field, nonsense, 'ERR_HEAP_CORRUPT']);
        a.control[at] = old;
      }
    }
    expect(a.stats().segments).toMatchObject([{ references: 1 }]);
    expect(b.attach(handle)!.mapLength).toBe(10_000);
    b.leave();
    a.leave();
  });
});

/** Bytes from the first slot to the end of the control memory. */
function controlTail(dsm: Dsm): number {
  const { words } = dsm.slots;
  const header = (dsm.slots as unknown as { at: number }).at + 4;
  return (words.length - header) * 4;
}

describe('damage to the page manager of a region', () => {
  /** A cluster whose free runs have been written over. */
  const damaged = () => {
    const dsm = makeCluster('region');
    const other = Dsm.join(dsm.handle);
    const segments = [1, 2, 3, 4, 5].map(() => make(dsm, 4096));
    segments[1]!.detach();
    segments[3]!.detach();
    const manager = pageManager(dsm);
    // All are found before the first is damaged.
    const runs = Array.from(manager.runs());
    for (const { first } of runs) manager.handle.a.fill(0x5a5a5a5a, first * 1024, first * 1024 + 1024);
    return { dsm, other, segments };
  };

  it('is told at the next create, and ends all use of the cluster; leaving still works', () => {
    const { dsm, other, segments } = damaged();
    const error = errorOf(() => dsm.create(4096));
    expect(error.code).toBe('ERR_HEAP_CORRUPT');
    expect(error.cause.code).toBe('ERR_HEAP_CORRUPT');
    for (const one of [dsm, other]) {
      expect(codeOf(() => one.create(4096))).toBe('ERR_HEAP_POISONED');
      expect(codeOf(() => one.attach(segments[0]!.handle + 2))).toBe('ERR_HEAP_POISONED');
      expect(codeOf(() => one.stats())).toBe('ERR_HEAP_POISONED');
    }
    expect(codeOf(() => segments[0]!.detach())).toBe('ERR_HEAP_POISONED');
    expect(segments[0]!.mapped).toBe(false);
    const log: number[] = [];
    segments[2]!.onDetach(() => void log.push(1), 0);
    dsm.leave();
    other.leave();
    expect(log).toEqual([1]);
    // Whoever joins, to look at it, finds the participants gone.
    const late = Dsm.join({ ...handleOfLeft(dsm) });
    expect(codeOf(() => late.create(1))).toBe('ERR_HEAP_POISONED');
    late.leave();
  });

  it('is told when pages are given back, which stay out of reach', () => {
    const { dsm, other, segments } = damaged();
    // Its neighbours are the damaged runs.
    const error = errorOf(() => segments[2]!.detach());
    expect(error.code).toBe('ERR_HEAP_CORRUPT');
    expect(codeOf(() => other.stats())).toBe('ERR_HEAP_POISONED');
    expect(dsm.slots.refcnt(2)).toBe(1);
    other.leave();
    dsm.leave();
  });

  it('is told when the last pin goes', () => {
    const { dsm, other, segments } = damaged();
    const { handle } = segments[2]!;
    segments[2]!.pinSegment();
    segments[2]!.detach();
    expect(codeOf(() => other.unpinSegment(handle))).toBe('ERR_HEAP_CORRUPT');
    expect(codeOf(() => dsm.stats())).toBe('ERR_HEAP_POISONED');
    other.leave();
    dsm.leave();
  });
});

/** A handle of a cluster that this participant has left. */
function handleOfLeft(dsm: Dsm) {
  const { memory: control } = (dsm as unknown as { parts: { memory: SharedArrayBuffer } }).parts;
  return {
    v: 1,
    kind: 'sharedheap.dsm',
    store: 'region',
    control,
    segments: [],
    attachTimeout: 10,
    lockTimeout: 10,
  } as const;
}
