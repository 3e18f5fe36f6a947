/**
 * Random work of one participant in the middle of a call of another one, in one thread and so repeatable.
 *
 * The first holds the lock that the call of the second takes first. The second waits, and calls `attend` before it
 * parks: there the first lets go and does its work, by which segments come, go and are replaced. What the second had
 * looked up before is then out of date; it must notice. Invariants and contents are checked after every call.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { C_LOCK } from '../../dist/dsa/area-layout.js';
import type { DsaArea } from '../../dist/dsa/dsa.js';
import { CLASS_OF_EIGHTHS } from '../../dist/dsa/size-classes.js';
import { poolWord } from '../../dist/dsa/spans.js';
import { LOCK_PASSES, lwlockAcquireExclusive, lwlockReleaseNewest } from '../../dist/sync/sync.js';
import { KIB } from './helpers.js';
import { World } from './model.js';

/** Work of the first participant. */
type Work = { allocate: number; times: number } | { free: number; times: number } | { trim: true };

/** A call of the second one, and what happens in its middle. */
interface Call {
  readonly what: 'allocate' | 'free' | 'trim' | 'getTotalSize' | 'dump';
  readonly which: number;
  readonly size: number;
  readonly meanwhile: readonly Work[];
}

/** Often objects that have a span each: blocks of spans, too, must come and go with their segments. */
const sizes = fc.oneof(fc.constantFrom(40, 4096, 8192, 8193, 8193, 8193), fc.integer({ min: 1, max: 60_000 }));
const work: fc.Arbitrary<Work> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ allocate: sizes, times: fc.integer({ min: 1, max: 90 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({ free: fc.constantFrom(0, 0, 1, 7, 50), times: fc.integer({ min: 1, max: 200 }) }),
  },
  { weight: 1, arbitrary: fc.constant<Work>({ trim: true }) },
);
const call: fc.Arbitrary<Call> = fc.record({
  what: fc.constantFrom('free', 'free', 'free', 'allocate', 'allocate', 'trim', 'getTotalSize', 'dump'),
  which: fc.nat(1000),
  size: sizes,
  meanwhile: fc.array(work, { minLength: 1, maxLength: 8 }),
});

/** Does the work; `step` runs after each call. */
function doWork(world: World, item: Work, step: () => void = () => {}): void {
  for (let k = 0; k < ('trim' in item ? 1 : item.times); k++) {
    if ('trim' in item) world.area(0).trim();
    else if ('allocate' in item) world.allocate(0, item.allocate, 0);
    else world.free(0, item.free);
    step();
  }
}

/**
 * Runs `action` of `waiter`, which takes the lock at `word` first; `meanwhile` runs once it waits for that, and calls
 * what it is given now and then: the lock is fair to whoever waits, but here it can only go on when all is done.
 */
function inTheMiddle(
  holder: DsaArea,
  waiter: DsaArea,
  word: number,
  action: () => void,
  meanwhile: (again: () => void) => void,
): void {
  const { p, ctl, ns } = holder.state;
  const other = waiter.state.p;
  const attend = other.attend;
  let waits = 0;
  other.attend = () => {
    if (waits++ > 0) return;
    lwlockReleaseNewest(p, ctl, word, ns);
    meanwhile(() => Atomics.store(ctl, word + LOCK_PASSES, 0));
  };
  expect(lwlockAcquireExclusive(p, ctl, word, ns)).not.toBe(0);
  action();
  other.attend = attend;
  expect(waits).toBeGreaterThan(0);
}

function perform(world: World, { what, which, size, meanwhile }: Call): void {
  const a = world.area(0);
  const b = world.area(1);
  const between = (again: () => void): void => meanwhile.forEach((item) => doWork(world, item, again));
  const poolOf = (bytes: number): number => poolWord(CLASS_OF_EIGHTHS[(bytes + 7) >>> 3]!);
  if (what === 'free' && world.live.length > 0) {
    const [object] = world.live.splice(which % world.live.length, 1);
    const { pointer, usable } = object!;
    inTheMiddle(a, b, usable > 8192 ? C_LOCK : poolOf(usable), () => b.free(pointer), between);
    expect(b.isLive(pointer) && !world.live.some((other) => other.pointer === pointer)).toBe(false);
  } else if (what === 'allocate') {
    inTheMiddle(a, b, size > 8192 ? poolWord(0) : poolOf(size), () => world.allocate(1, size, 0), between);
  } else if (what === 'trim') {
    inTheMiddle(a, b, poolWord(37), () => b.trim(), between);
  } else {
    inTheMiddle(a, b, C_LOCK, () => (what === 'dump' ? b.dump() : b.getTotalSize()), between);
  }
  world.check();
  world.check();
}

it('whatever happens while a call waits for its first lock', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('region', 'buffers'),
      fc.array(work, { minLength: 2, maxLength: 10 }),
      fc.array(call, { minLength: 1, maxLength: 12 }),
      (store, before, calls) => {
        const world = new World({ store, initSegmentSize: 256 * KIB, maxFactor: 1, fallback: false, cache: false });
        world.attach();
        try {
          for (const item of before) doWork(world, item);
          world.check();
          for (const one of calls) perform(world, one);
        } finally {
          world.close();
        }
      },
    ),
    { numRuns: 150 },
  );
});
