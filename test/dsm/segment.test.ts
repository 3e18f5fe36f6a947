import { describe, expect, it } from 'vitest';
import { Dsm, DSM_CREATE_NULL_IF_MAXSEGMENTS, type DsmSegment } from '../../dist/dsm/dsm.js';
import { codeOf, errorOf, firstNonZero, make, makeCluster, MiB, requireEmpty, STORES } from './helpers.js';

describe.each(STORES)('segments on %s', (store) => {
  it('are made with their exact length, an even handle, and zeroes up to the end of the last page', () => {
    const dsm = makeCluster(store);
    for (const size of [1, 4095, 4096, 4097, 100_000, 12345n]) {
      const segment = make(dsm, size);
      expect(segment.mapLength).toBe(Number(size));
      expect([segment.handle % 2, segment.handle > 0, segment.handle <= 0xffffffff]).toEqual([0, true, true]);
      expect(segment.i32.length * 4).toBe(Math.ceil(Number(size) / 4096) * 4096);
      expect(segment.i32.buffer).toBe(segment.buffer);
      expect(segment.i32.byteOffset).toBe(segment.byteOffset);
      expect(segment.byteOffset % 8).toBe(0);
      expect(firstNonZero(segment.buffer, segment.byteOffset, segment.i32.byteLength)).toBe(-1);
      expect([segment.mapped, segment.tailLength]).toEqual([true, 0]);
      expect(dsm.findMapping(segment.handle)).toBe(segment);
    }
    dsm.leave();
  });

  it('are one memory for all who attach, and live until the last one detaches', () => {
    const a = makeCluster(store);
    const b = Dsm.join(a.handle);
    const mine = make(a, 10_000);
    mine.i32[3] = 77;
    expect(b.findMapping(mine.handle)).toBe(null);
    const theirs = b.attach(mine.handle)!;
    expect([theirs.mapLength, theirs.i32[3]]).toEqual([10_000, 77]);
    theirs.i32[4] = 78;
    expect(mine.i32[4]).toBe(78);
    expect(a.stats().segments).toMatchObject([{ handle: mine.handle, size: 10_000, references: 2, pinned: false }]);
    mine.detach();
    expect(a.stats().segments).toMatchObject([{ references: 1 }]);
    expect(theirs.i32[3]).toBe(77);
    theirs.detach();
    requireEmpty(a);
    expect([a.attach(mine.handle), b.attach(mine.handle)]).toEqual([null, null]);
    b.leave();
    a.leave();
  });

  it('show nothing once they are detached', () => {
    const dsm = makeCluster(store);
    const segment = make(dsm, 5000);
    const { handle } = segment;
    segment.detach();
    expect([segment.mapped, segment.handle, segment.mapLength]).toEqual([false, handle, 5000]);
    expect([segment.i32.length, segment.buffer.byteLength]).toEqual([0, 0]);
    expect(dsm.findMapping(handle)).toBe(null);
    const calls = [
      () => segment.detach(),
      () => segment.pinMapping(),
      () => segment.unpinMapping(),
      () => segment.pinSegment(),
      () => segment.onDetach(() => {}, 1),
      () => segment.cancelOnDetach(() => {}, 1),
    ];
    expect(calls.map(codeOf)).toEqual(calls.map(() => 'ERR_HEAP_CLOSED'));
    requireEmpty(dsm);
    dsm.leave();
  });

  it('cannot be attached twice by one participant, and again after a detach', () => {
    const a = makeCluster(store);
    const b = Dsm.join(a.handle);
    const mine = make(a, 100);
    const { handle } = mine;
    const before = a.stats();
    expect(codeOf(() => a.attach(handle))).toBe('ERR_HEAP_ALREADY_ATTACHED');
    const first = b.attach(handle)!;
    expect(codeOf(() => b.attach(handle))).toBe('ERR_HEAP_ALREADY_ATTACHED');
    first.detach();
    expect(a.stats()).toEqual(before);
    expect(b.attach(handle)!.mapped).toBe(true);
    expect(a.stats().segments).toMatchObject([{ references: 2 }]);
    b.leave();
    expect(a.stats().segments).toMatchObject([{ references: 1 }]);
    a.leave();
  });

  it('take the lowest free slot', () => {
    const dsm = makeCluster(store);
    const segments = [1, 2, 3, 4].map(() => make(dsm, 100));
    const slots = () => dsm.stats().segments.map((s) => s.slot);
    expect(slots()).toEqual([0, 1, 2, 3]);
    segments[2]!.detach();
    segments[0]!.detach();
    expect(slots()).toEqual([1, 3]);
    make(dsm, 100);
    expect(slots()).toEqual([0, 1, 3]);
    make(dsm, 100);
    make(dsm, 100);
    expect(slots()).toEqual([0, 1, 2, 3, 4]);
    dsm.leave();
  });

  it('are refused when all slots are in use: null with the flag, else an error, and nothing has changed', () => {
    const dsm = makeCluster(store, { segments: 3 });
    const segments = [1, 2, 3].map(() => make(dsm, 5000));
    const before = dsm.stats();
    expect(before.slotsMax).toBe(3);
    expect(dsm.create(5000, DSM_CREATE_NULL_IF_MAXSEGMENTS)).toBe(null);
    const error = errorOf(() => dsm.create(5000));
    expect(error).toMatchObject({ code: 'ERR_HEAP_SEGMENT_SLOTS', sqlState: '53000' });
    expect(error.detail).toContain('all 3 slots');
    expect(dsm.stats()).toEqual(before);
    segments[1]!.detach();
    expect(dsm.create(1, DSM_CREATE_NULL_IF_MAXSEGMENTS)!.slot).toBe(1);
    dsm.leave();
  });

  it('are refused when the store has no room, with the flag too, and nothing has changed', () => {
    const dsm = makeCluster(store);
    make(dsm, 100);
    const before = dsm.stats();
    // The largest size that is acceptable; more than this machine and this region have.
    for (const flags of [0, DSM_CREATE_NULL_IF_MAXSEGMENTS]) {
      expect(errorOf(() => dsm.create(2 ** 40, flags))).toMatchObject({
        code: 'ERR_HEAP_OUT_OF_MEMORY',
        sqlState: '53200',
      });
    }
    expect(dsm.stats()).toEqual(before);
    expect(make(dsm, MiB).mapLength).toBe(MiB);
    dsm.leave();
  });
});

describe.each(STORES)('pins on %s', (store) => {
  it('keep a segment without mappings, for any participant to attach', () => {
    const a = makeCluster(store);
    const b = Dsm.join(a.handle);
    const segment = make(a, 100);
    const { handle } = segment;
    segment.i32[0] = 5;
    segment.pinSegment();
    expect(a.stats().segments).toMatchObject([{ references: 2, pinned: true }]);
    segment.detach();
    expect(a.stats().segments).toMatchObject([{ references: 1, pinned: true }]);
    const theirs = b.attach(handle)!;
    expect(theirs.i32[0]).toBe(5);
    theirs.detach();
    expect(a.stats().segments).toMatchObject([{ references: 1, pinned: true }]);
    // By somebody who does not map it.
    a.unpinSegment(handle);
    requireEmpty(a);
    expect(b.attach(handle)).toBe(null);
    b.leave();
    a.leave();
  });

  it('leave the mappings alone when they are taken off', () => {
    const dsm = makeCluster(store);
    const segment = make(dsm, 100);
    segment.pinSegment();
    dsm.unpinSegment(segment.handle);
    expect(dsm.stats().segments).toMatchObject([{ references: 1, pinned: false }]);
    expect(segment.mapped).toBe(true);
    segment.pinSegment();
    dsm.leave();
  });

  it('are one for a segment: twice is an error, as is taking off what is not there', () => {
    const a = makeCluster(store);
    const b = Dsm.join(a.handle);
    const segment = make(a, 100);
    const { handle } = segment;
    const theirs = b.attach(handle)!;
    expect(codeOf(() => a.unpinSegment(handle))).toBe('ERR_HEAP_NOT_PINNED');
    segment.pinSegment();
    const before = a.stats();
    expect(codeOf(() => segment.pinSegment())).toBe('ERR_HEAP_ALREADY_PINNED');
    expect(codeOf(() => theirs.pinSegment())).toBe('ERR_HEAP_ALREADY_PINNED');
    expect(a.stats()).toEqual(before);
    b.unpinSegment(handle);
    expect(codeOf(() => a.unpinSegment(handle))).toBe('ERR_HEAP_NOT_PINNED');
    b.leave();
    segment.detach();
    expect(codeOf(() => a.unpinSegment(handle))).toBe('ERR_HEAP_SEGMENT_GONE');
    a.leave();
  });
});

describe.each(STORES)('detach callbacks on %s', (store) => {
  const recorder = () => {
    const log: unknown[] = [];
    const note = (_: DsmSegment, arg: unknown) => void log.push(arg);
    return { log, note };
  };

  it('run newest first, before the memory goes, with mapping and argument', () => {
    const dsm = makeCluster(store);
    const segment = make(dsm, 100);
    const { log, note } = recorder();
    segment.i32[0] = 42;
    segment.onDetach(note, 1);
    segment.onDetach(note, 2);
    segment.onDetach((s, arg) => {
      log.push([s === segment, s.mapped, s.i32[0], arg]);
      expect(dsm.findMapping(s.handle)).toBe(segment);
      expect(dsm.stats().segments).toHaveLength(1);
    }, 'three');
    segment.detach();
    expect(log).toEqual([[true, true, 42, 'three'], 2, 1]);
    dsm.leave();
  });

  it('are cancelled by function and argument, the newest of equal ones', () => {
    const dsm = makeCluster(store);
    const segment = make(dsm, 100);
    const { log, note } = recorder();
    const other = (_: DsmSegment, arg: unknown) => void log.push(`other ${String(arg)}`);
    for (const arg of [1, 2, 1, Number.NaN]) segment.onDetach<unknown>(note, arg);
    segment.onDetach(other, 1);
    segment.cancelOnDetach(note, 1);
    segment.cancelOnDetach(note, Number.NaN);
    segment.cancelOnDetach(note, 3);
    segment.cancelOnDetach(other, 2);
    segment.detach();
    expect(log).toEqual(['other 1', 2, 1]);
    dsm.leave();
  });

  it('may run twice when registered twice', () => {
    const dsm = makeCluster(store);
    const segment = make(dsm, 100);
    const { log, note } = recorder();
    segment.onDetach(note, 'same');
    segment.onDetach(note, 'same');
    segment.detach();
    expect(log).toEqual(['same', 'same']);
    dsm.leave();
  });

  it('all run when some throw, once each; the first error comes out after all is done', () => {
    const dsm = makeCluster(store);
    const segment = make(dsm, 100);
    const { log, note } = recorder();
    const fail = (_: DsmSegment, arg: string) => {
      log.push(arg);
      throw new Error(arg);
    };
    segment.onDetach(note, 'last');
    segment.onDetach(fail, 'second error');
    segment.onDetach(note, 'middle');
    segment.onDetach(fail, 'first error');
    expect(errorOf(() => segment.detach()).message).toBe('first error');
    expect(log).toEqual(['first error', 'middle', 'second error', 'last']);
    expect(segment.mapped).toBe(false);
    requireEmpty(dsm);
    dsm.leave();
  });

  it('may throw anything, even nothing', () => {
    const dsm = makeCluster(store);
    const segment = make(dsm, 100);
    segment.onDetach(() => {
      throw undefined;
    }, 0);
    let caught: unknown = 'nothing';
    try {
      segment.detach();
    } catch (error) {
      caught = error;
    }
    expect(caught).toBe(undefined);
    requireEmpty(dsm);
    dsm.leave();
  });

  it('may detach their own mapping again, others, and register more', () => {
    const dsm = makeCluster(store);
    const [segment, other] = [make(dsm, 100), make(dsm, 100)];
    const { log, note } = recorder();
    segment.onDetach(note, 'oldest');
    segment.onDetach((s) => {
      s.onDetach(note, 'registered meanwhile');
      other.detach();
      s.detach();
      log.push('after the inner detach');
    }, 0);
    other.onDetach(note, 'other');
    segment.detach();
    expect(log).toEqual(['other', 'registered meanwhile', 'oldest', 'after the inner detach']);
    requireEmpty(dsm);
    dsm.leave();
  });

  it.each(['throws on', 'swallows the error'])('that register themselves for ever come to an end: %s', (manner) => {
    const dsm = makeCluster(store);
    const segment = make(dsm, 100);
    const oldest: number[] = [];
    segment.onDetach((_, arg) => void oldest.push(arg), 7);
    let runs = 0;
    const again = (s: DsmSegment) => {
      // So that a version without the bound fails instead of hanging.
      if (++runs > 5000) return;
      if (manner === 'throws on') s.onDetach(again, 0);
      else codeOf(() => s.onDetach(again, 0));
    };
    segment.onDetach(again, 0);
    const code = codeOf(() => segment.detach());
    expect(code).toBe(manner === 'throws on' ? 'ERR_HEAP_CLOSED' : 'nothing');
    expect(runs).toBe(1001);
    expect(oldest).toEqual([7]);
    expect(segment.mapped).toBe(false);
    requireEmpty(dsm);
    dsm.leave();
  });

  it('may create, attach and unpin segments', () => {
    const a = makeCluster(store);
    const b = Dsm.join(a.handle);
    const pinned = make(b, 100);
    pinned.pinSegment();
    const { handle } = pinned;
    pinned.detach();
    const segment = make(a, 100);
    let made: DsmSegment | null = null;
    segment.onDetach(() => {
      made = a.attach(handle);
      a.unpinSegment(handle);
    }, 0);
    segment.detach();
    expect(made!.mapped).toBe(true);
    made!.detach();
    requireEmpty(a);
    b.leave();
    a.leave();
  });
});
