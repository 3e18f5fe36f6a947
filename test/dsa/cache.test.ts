/**
 * The caches of participants: what goes in, what comes out, that pointers stay right among several participants, and the
 * invariants that cache.ts lists.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { C_POOLS, POOL_WORDS } from '../../dist/dsa/area-layout.js';
import { CACHE_OBJECTS } from '../../dist/dsa/cache-layout.js';
import { NO_BLOCK, openBlock, closeBlock } from '../../dist/dsa/cache.js';
import { DsaArea, segmentOf } from '../../dist/dsa/dsa.js';
import { CLASS_SIZE, NUM_SIZE_CLASSES } from '../../dist/dsa/size-classes.js';
import { poolWord } from '../../dist/dsa/spans.js';
import { STATE_LIVE } from '../../dist/dsa/state.js';
import { ATTENTION_WORD } from '../../dist/dsm/dsm.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { LOCK_STATE, lwlockAcquireExclusive, lwlockReleaseNewest } from '../../dist/sync/sync.js';
import {
  classOf,
  expectAccount,
  expectInvariants,
  expectNoCache,
  join,
  type Member,
  newCached,
  slotOf,
  stackOf,
  stateAt,
} from './cache-helpers.js';
import { bytesOf, codeOf, expectEmpty, freeAll, holds, MIB, newArea, STORES } from './helpers.js';

/** Runs `action` while another participant holds every lock of the pools: it must not need one. */
function withoutLocks(member: Member, action: () => void): void {
  const { p, ctl, ns } = join(member).area.state;
  for (let c = 2; c < 10; c++) expect(lwlockAcquireExclusive(p, ctl, poolWord(c), ns)).not.toBe(0);
  action();
  for (let c = 9; c >= 2; c--) lwlockReleaseNewest(p, ctl, poolWord(c), ns);
}

describe.each(STORES)('on %s', (store) => {
  it('what was freed last is handed out first, without a lock', () => {
    const member = newCached({}, { store });
    const { area } = member;
    const pointers = Array.from({ length: 8 }, () => area.allocate(40));
    for (const pointer of pointers) area.free(pointer);
    withoutLocks(member, () => {
      const again = pointers.map(() => area.allocate(33));
      expect(again).toEqual([...pointers].reverse());
      for (const pointer of again) area.free(pointer);
    });
    expect(area.stats()).toMatchObject({ liveObjects: 0 });
    expectAccount(area);
  });

  it('a cached object is dead for everybody, and marked for its owner', () => {
    const first = newCached({}, { store });
    const second = join(first);
    const pointer = first.area.allocate(100);
    expect(stateAt(first.area, pointer)).toBe(STATE_LIVE);
    second.area.free(pointer);
    expect(stateAt(first.area, pointer)).toBe(second.area.state.mark);
    expect(second.area.state.mark).not.toBe(first.area.state.mark);
    for (const { area } of [first, second]) {
      expect(area.isLive(pointer)).toBe(false);
      expect(codeOf(() => area.sizeOf(pointer))).toBe('ERR_HEAP_DOUBLE_FREE');
    }
    // It goes to who has freed it, whoever had allocated it.
    expect(stackOf(second.area, classOf(112)).at(-1)).toBe(pointer);
    expect(stackOf(first.area, classOf(112))).not.toContain(pointer);
    expect(second.area.allocate(112)).toBe(pointer);
    expect(stateAt(first.area, pointer)).toBe(STATE_LIVE);
  });

  it('each size class has a stack of its own', () => {
    const { area } = newCached({}, { store });
    const pointers = Array.from({ length: NUM_SIZE_CLASSES - 2 }, (_, k) => area.allocate(CLASS_SIZE[k + 2]!));
    for (const pointer of pointers) area.free(pointer);
    for (const [k, pointer] of pointers.entries()) expect(stackOf(area, k + 2).at(-1)).toBe(pointer);
    for (const [k, pointer] of pointers.entries()) expect(area.allocate(CLASS_SIZE[k + 1]! + 1)).toBe(pointer);
    expectInvariants(area);
  });

  it('zeroes what comes from a cache, where that is asked for', () => {
    const { area } = newCached({}, { store });
    for (const size of [24, 1000, 8192, 20_000]) {
      const pointer = area.allocate(size);
      bytesOf(area, pointer, size).fill(255);
      area.free(pointer);
      expect(area.allocate(size, 4)).toBe(pointer);
      expect(holds(area, pointer, size, 0)).toBe(true);
    }
  });

  it('areas of one thread do not share a stack, also of the same cluster', () => {
    const first = newCached({}, { store });
    const second = DsaArea.create(first.dsm, { cache: true });
    const [a, b] = [first.area.allocate(64), second.allocate(64)];
    first.area.free(a);
    second.free(b);
    const [had, others] = [slotOf(first.area), slotOf(second)];
    expect(stackOf(first.area, classOf(64)).length).toBe(had.objects[classOf(64)]);
    for (let k = 0; k < 100; k++) second.allocate(64);
    expect(slotOf(first.area)).toEqual(had);
    expect(slotOf(second)).not.toEqual(others);
    for (const area of [first.area, second]) expectInvariants(area);
  });

  it('is not used by areas that have none', () => {
    const { area } = newArea({}, { store });
    const pointers = Array.from({ length: 500 }, (_, k) => area.allocate(1 + 37 * k));
    for (const pointer of pointers) area.free(pointer);
    expect([area.state.caching, area.state.block, area.state.cacheTable.length]).toEqual([false, NO_BLOCK, 0]);
    expect(area.stats().cachedBytes).toBe(0);
    // Everybody can have every free object: the lock of its pool is taken each time.
    const { p, ctl, ns } = area.state;
    const pool = poolWord(classOf(40));
    expect(ctl[C_POOLS + classOf(40) * POOL_WORDS + LOCK_STATE]).toBe(ctl[pool + LOCK_STATE]);
    lwlockAcquireExclusive(p, ctl, pool, ns);
    expect(codeOf(() => area.allocate(40))).toBe('ERR_HEAP_LOCK_SELF');
    lwlockReleaseNewest(p, ctl, pool, ns);
  });

  it('nothing is left after trim by everybody', () => {
    const first = newCached({}, { store, regionSize: 256 * MIB });
    const members = [first, join(first), join(first)];
    const pointers = Array.from({ length: 3000 }, (_, k) => members[k % 3]!.area.allocate(1 + ((k * 7919) % 30_000)));
    for (const [k, pointer] of pointers.entries()) members[(k + 1) % 3]!.area.free(pointer);
    expect(expectAccount(first.area).liveObjects).toBe(0);
    expect(first.area.stats().cachedBytes).toBeGreaterThan(0);
    for (const { area } of members) area.trim();
    expectNoCache(first.area);
    expect(expectAccount(first.area)).toMatchObject({ liveObjects: 0, liveBytes: 0 });
    expect(expectEmpty(first.area)).toEqual([0]);
    expect(first.area.getTotalSize()).toBe(MIB);
  });
});

/** A step of one of three participants: allocate so many bytes, or free one of the live objects. */
interface Step {
  readonly who: number;
  readonly size: number;
  readonly which: number;
  readonly times: number;
}

const steps = fc.array(
  fc.record({
    who: fc.nat(2),
    size: fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 1, max: 300 }) },
      { weight: 3, arbitrary: fc.integer({ min: 1, max: 8192 }) },
      { weight: 2, arbitrary: fc.integer({ min: 8193, max: 2 * MIB }) },
      { weight: 8, arbitrary: fc.constant(0) },
    ),
    which: fc.nat(100_000),
    times: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 200 })),
  }),
  { minLength: 1, maxLength: 30, size: 'max' },
);

/** Objects by their start, with what was written into them. */
type Live = Map<DsaPointer, { readonly bytes: number; readonly mark: number }>;

function play(members: readonly Member[], live: Live, { who, size, which, times }: Step): void {
  const { area } = members[who % members.length]!;
  const count = size > 8192 ? Math.min(times, 3) : times;
  for (let k = 0; k < count; k++) {
    if (size > 0) {
      const pointer = area.allocate(size);
      expect(live.has(pointer)).toBe(false);
      const bytes = area.sizeOf(pointer);
      expect(bytes).toBeGreaterThanOrEqual(size);
      const mark = (which + k) & 255;
      bytesOf(area, pointer, bytes).fill(mark);
      live.set(pointer, { bytes, mark });
    } else if (live.size > 0) {
      const keys = [...live.keys()];
      const pointer = keys[(which + 13 * k) % keys.length]!;
      const { bytes, mark } = live.get(pointer)!;
      expect(holds(area, pointer, bytes, mark)).toBe(true);
      area.free(pointer);
      live.delete(pointer);
    }
  }
}

function expectApart(live: Live): void {
  let end = 0;
  for (const pointer of [...live.keys()].sort((a, b) => a - b)) {
    expect(pointer).toBeGreaterThanOrEqual(end);
    end = pointer + live.get(pointer)!.bytes;
  }
}

describe.each(STORES)('any program on %s', (store) => {
  it.each([
    ['one participant', 1, true],
    ['three participants', 3, true],
    ['one participant, no checks', 1, false],
    ['three participants, no checks', 3, false],
  ])('%s: objects are apart, keep their bytes, and all is accounted for', (_name, count, checks) => {
    fc.assert(
      fc.property(steps, fc.constantFrom(256 * 1024, MIB), (program, initSegmentSize) => {
        const dsmOptions = { store, regionSize: 2048 * MIB };
        const first = newCached({ checks, initSegmentSize }, dsmOptions);
        const members = [first, ...Array.from({ length: count - 1 }, () => join(first))];
        const live: Live = new Map();
        for (const step of program) {
          play(members, live, step);
          for (const { area } of members) expectInvariants(area);
        }
        expectApart(live);
        const { area } = first;
        for (const [pointer, { bytes, mark }] of live) expect(holds(area, pointer, bytes, mark)).toBe(true);
        const stats = expectAccount(area);
        expect(stats.liveObjects).toBe(live.size);
        expect(stats.liveBytes).toBe([...live.values()].reduce((sum, { bytes }) => sum + bytes, 0));
        freeAll(members.at(-1)!.area, live.keys());
        for (const one of members) one.area.trim();
        expectNoCache(area);
        expect(expectAccount(area).liveObjects).toBe(0);
        for (const { dsm } of [...members].reverse()) dsm.leave();
      }),
      { numRuns: 25 },
    );
  });
});

it('each call on buffers looks whether somebody wants a buffer', () => {
  const { dsm, area } = newCached({}, { store: 'buffers' });
  const attend = dsm.attend.bind(dsm);
  let answers = 0;
  dsm.attend = () => {
    answers++;
    attend();
  };
  const pointer = area.allocate(64);
  for (const call of [() => area.free(pointer), () => area.allocate(64), () => area.free(pointer)]) {
    answers = 0;
    Atomics.add(dsm.control, ATTENTION_WORD, 1);
    call();
    expect(answers).toBe(1);
  }
});

it('a segment that was given back is not looked at any more, though its index is in use again', () => {
  const options = { initSegmentSize: 256 * 1024, maxSegmentSize: 256 * 1024 };
  const first = newCached(options, { store: 'region' });
  const second = join(first);
  const { area } = first;
  const rest = area.allocate(56 * 4096);
  const old = Array.from({ length: 8 }, () => area.allocate(8192));
  expect(old.map(segmentOf)).toEqual(old.map(() => 1));
  freeAll(second.area, old);
  for (const one of [second, first]) one.area.trim();
  expect(area.segments().map(({ index }) => index)).toEqual([0]);
  // The second one maps the segment still; the new one lies elsewhere, since that mapping keeps its pages.
  const again = Array.from({ length: 8 }, () => area.allocate(8192));
  expect(again).toEqual(old);
  for (const pointer of again) {
    second.area.free(pointer);
    expect([area.isLive(pointer), second.area.isLive(pointer)]).toEqual([false, false]);
    expect(stateAt(area, pointer)).not.toBe(STATE_LIVE);
  }
  expect(area.isLive(rest)).toBe(true);
  expectInvariants(second.area);
  expect(expectAccount(area).liveObjects).toBe(1);
});

it('has as many blocks as a thread can have, each given back once', () => {
  const blocks: number[] = [];
  for (let block = openBlock(); block !== NO_BLOCK; block = openBlock()) blocks.push(block);
  expect(new Set(blocks).size).toBe(blocks.length);
  expect(blocks.length).toBeGreaterThanOrEqual(8);
  closeBlock(NO_BLOCK);
  expect(openBlock()).toBe(NO_BLOCK);
  closeBlock(blocks[3]!);
  expect(openBlock()).toBe(blocks[3]);
  for (const block of blocks) closeBlock(block);
  expect(CACHE_OBJECTS[0]! + CACHE_OBJECTS[1]!).toBe(0);
});
