/**
 * free, sizeOf and isLive of whatever is not the start of a live object: each has its code, and not a byte changes.
 *
 * Each case is tried by the participant that made everything and by one that has just attached and maps nothing yet.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AreaControl, Pool } from '../../dist/dsa/area-layout.js';
import { DsaArea, makePointer } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import type { ErrorCode } from '../../dist/errors/errors.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { another, as, codeOf, expectSound, expectUnchanged, KIB, PAGE, STORES } from './helpers.js';
import { expectMarked, mark, objectsWorld, staleWorld } from './wrong-world.js';

type Objects = ReturnType<typeof objectsWorld>;
type Stale = ReturnType<typeof staleWorld>;
type Case<W> = [name: string, code: ErrorCode, value: (w: W) => unknown];

const MISALIGNED = 'ERR_HEAP_MISALIGNED_POINTER';
const FOREIGN = 'ERR_HEAP_FOREIGN_POINTER';
const DOUBLE = 'ERR_HEAP_DOUBLE_FREE';
const INTERIOR = 'ERR_HEAP_INTERIOR_POINTER';
const STALE = 'ERR_HEAP_STALE_SEGMENT';

/** Span object of the first superblock: the first block of spans begins on the first usable page, 2. */
const FIRST_SPAN = 2 * PAGE + 56;

const OBJECTS: Case<Objects>[] = [
  // What is no pointer at all.
  ['NaN', MISALIGNED, () => NaN],
  ['Infinity', MISALIGNED, () => Infinity],
  ['-Infinity', MISALIGNED, () => -Infinity],
  ['-1', MISALIGNED, () => -1],
  ['-8', MISALIGNED, () => -8],
  ['-(2^40)', MISALIGNED, () => -(2 ** 40)],
  ['a live pointer, negated', MISALIGNED, (w) => -w.small[0]!],
  ['a half', MISALIGNED, () => 0.5],
  ['a live pointer and a half', MISALIGNED, (w) => w.small[0]! + 0.5],
  ['the smallest number', MISALIGNED, () => Number.MIN_VALUE],
  ['the largest number', MISALIGNED, () => Number.MAX_VALUE],
  ['2^53', MISALIGNED, () => 2 ** 53],
  ['2^53 + 2^52', MISALIGNED, () => 2 ** 53 + 2 ** 52],
  ['1e300', MISALIGNED, () => 1e300],
  ['a string', MISALIGNED, () => 'pointer'],
  ['a live pointer as text', MISALIGNED, (w) => String(w.small[0])],
  ['the empty string', MISALIGNED, () => ''],
  ['null', MISALIGNED, () => null],
  ['undefined', MISALIGNED, () => undefined],
  ['true', MISALIGNED, () => true],
  ['an object', MISALIGNED, () => ({})],
  ['an object that becomes a live pointer', MISALIGNED, (w) => ({ valueOf: () => w.small[0] })],
  ['a boxed live pointer', MISALIGNED, (w) => Object(w.small[0])],
  ['an array with a live pointer', MISALIGNED, (w) => [w.small[0]]],
  ['a live pointer as bigint', MISALIGNED, (w) => BigInt(w.small[0]!)],
  ['0n', MISALIGNED, () => 0n],
  ['a symbol', MISALIGNED, () => Symbol('pointer')],
  ['a function', MISALIGNED, (w) => () => w.small[0]],
  ['a live pointer + 1', MISALIGNED, (w) => w.small[0]! + 1],
  ['a live pointer + 4', MISALIGNED, (w) => w.small[0]! + 4],
  ['a live pointer - 1', MISALIGNED, (w) => w.small[0]! - 1],
  ['a large pointer + 2', MISALIGNED, (w) => w.large + 2],
  // What was an object.
  ['an object freed last of its class', DOUBLE, (w) => w.small[1]],
  ['an object freed before another one', DOUBLE, (w) => w.small[3]],
  ['the newest object, freed', DOUBLE, (w) => w.small[19]],
  ['the only object of its class, freed', DOUBLE, (w) => w.lonely],
  ['the first object of a superblock that was destroyed', FOREIGN, (w) => w.destroyed[0]],
  ['another object of a superblock that was destroyed', FOREIGN, (w) => w.destroyed[1]],
  ['the last object of a superblock that was destroyed', FOREIGN, (w) => w.destroyed[20]],
  ['a large object, freed', DOUBLE, (w) => w.largeFreed],
  ['a large object, freed, a larger one has its pages', INTERIOR, (w) => w.covered],
  // What lies inside an object.
  ['8 bytes into a small object', INTERIOR, (w) => w.small[0]! + 8],
  ['the end of a small object', INTERIOR, (w) => w.small[4]! + 104],
  ['8 bytes into a freed small object', INTERIOR, (w) => w.small[1]! + 8],
  ['the second page of an object of 8192 bytes', INTERIOR, (w) => w.full[3]! + PAGE],
  ['8 bytes into an object of 8192 bytes', INTERIOR, (w) => w.full[0]! + 8],
  ['8 bytes into a large object', INTERIOR, (w) => w.large + 8],
  ['the end of the first page of a large object', INTERIOR, (w) => w.large + PAGE - 8],
  ['the second page of a large object', INTERIOR, (w) => w.large + PAGE],
  ['8 bytes into its third page', INTERIOR, (w) => w.large + 2 * PAGE + 8],
  ['the last page of a large object', INTERIOR, (w) => w.large + 4 * PAGE],
  ['the last 8 bytes of a large object, beyond the request', INTERIOR, (w) => w.large + 5 * PAGE - 8],
  ['the last page of a large object that covers freed ones', INTERIOR, (w) => w.cover + 8 * PAGE],
  // What never was an object.
  ['0', FOREIGN, () => 0],
  ['-0', FOREIGN, () => -0],
  ['8: the control block', FOREIGN, () => 8],
  ['the handle of the area', FOREIGN, () => AreaControl.handle],
  ['the pool of class 2', FOREIGN, () => AreaControl.pools + 2 * Pool.SIZEOF],
  ['the area lock', FOREIGN, () => Math.ceil(AreaControl.lock / 8) * 8],
  ['the page manager', FOREIGN, () => 6176],
  ['the page map', FOREIGN, () => 7272],
  ['the padding behind the page map', FOREIGN, () => 2 * PAGE - 8],
  ['a block of spans', FOREIGN, () => 2 * PAGE],
  ['a span object', FOREIGN, () => FIRST_SPAN],
  ['inside a span object', FOREIGN, () => FIRST_SPAN + 8],
  ['a span object that nobody has yet', FOREIGN, () => 2 * PAGE + 56 * 70],
  ['the rest behind the last span object of a block', FOREIGN, () => 3 * PAGE - 8],
  ['a slot that was never handed out', FOREIGN, (w) => w.small[0]! + 20 * 112],
  ['inside a slot that was never handed out', INTERIOR, (w) => w.small[0]! + 20 * 112 + 8],
  ['the last slot of a superblock, never handed out', FOREIGN, (w) => w.waste + 11 * 5456],
  ['a slot on a page of a superblock that nobody has touched', FOREIGN, (w) => w.tiny[0]! + 9 * PAGE],
  ['the rest of a superblock behind its last slot', FOREIGN, (w) => w.waste + 12 * 5456],
  ['inside that rest', FOREIGN, (w) => w.waste + 12 * 5456 + 8],
  ['the end of that rest', FOREIGN, (w) => w.waste + 65536 - 8],
  ['the end of segment 0', FOREIGN, () => 256 * KIB],
  ['a page behind segment 0', FOREIGN, () => 256 * KIB + PAGE],
  ['4 GiB into segment 0', FOREIGN, () => 2 ** 32 + 4 * PAGE],
  ['the last word that a pointer into segment 0 can name', FOREIGN, () => 2 ** 40 - 8],
  ['the header of segment 1', FOREIGN, () => makePointer(1, 0)],
  ['the page map of segment 1', FOREIGN, () => makePointer(1, 1152)],
  ['the last page of segment 2, free', FOREIGN, () => makePointer(2, 63 * PAGE)],
  ['the end of segment 1', FOREIGN, () => makePointer(1, 256 * KIB)],
  ['2^50: a segment index too large', FOREIGN, () => 2 ** 50],
  ['2^50 + 16384', FOREIGN, () => 2 ** 50 + 16384],
  ['2^53 - 8', FOREIGN, () => 2 ** 53 - 8],
  // Segments that do not exist.
  ['segment 3, which never was', STALE, () => makePointer(3, PAGE)],
  ['segment 1023, which never was', STALE, () => makePointer(1023, PAGE)],
  ['an object of another area, in a segment that this one lacks', STALE, (w) => w.stranger],
];

const STALES: Case<Stale>[] = [
  ['an object of a segment that was given back', STALE, (w) => w.stale],
  ['inside an object of a segment that was given back', STALE, (w) => w.stale + 8],
  ['the header of a segment that was given back', STALE, () => makePointer(2, 0)],
  ['behind the end of a segment that was given back', STALE, () => makePointer(2, 2 ** 39)],
  ['an object of a replaced segment, inside a large one now', INTERIOR, (w) => w.replaced],
  ['a free page of the replacing segment', FOREIGN, () => makePointer(1, 62 * PAGE)],
  ['the header of the replacing segment', FOREIGN, () => makePointer(1, 0)],
];

function tryAll(area: DsaArea, value: unknown, code: ErrorCode): void {
  expect(codeOf(() => area.free(as(value)))).toBe(code);
  expect(codeOf(() => area.sizeOf(as(value)))).toBe(code);
  expect(area.isLive(as(value))).toBe(false);
}

interface World {
  readonly area: DsaArea;
  readonly live: Map<DsaPointer, number>;
}

/** Runs the cases on one world, built once: none of them changes anything. */
function suite<W extends World>(store: 'region' | 'buffers', build: (dsm: Dsm) => W, cases: Case<W>[]): void {
  let dsm: Dsm;
  let world: W;
  beforeAll(() => {
    dsm = Dsm.create({ store });
    world = build(dsm);
    mark(world.area, world.live);
  });
  afterAll(() => dsm.leave());

  it.each(cases)('%s: %s', (_name, code, value) => {
    const { area, live } = world;
    const wrong = value(world);
    expectUnchanged(area, () => tryAll(area, wrong, code));
    const there = DsaArea.attach(another(dsm), area.handle);
    expectUnchanged(area, () => tryAll(there, wrong, code));
    expectMarked(area, live);
    expectSound(there);
  });

  it('live pointers are still told apart, and freed, afterwards', () => {
    const { area, live } = world;
    expectMarked(area, live);
    for (const pointer of live.keys()) {
      expect(area.isLive(pointer)).toBe(true);
      area.free(pointer);
      expect(area.isLive(pointer)).toBe(false);
    }
    expectSound(area);
  });
}

it('at least 60 of them, all different', () => {
  const names = [...OBJECTS, ...STALES].map(([name]) => name);
  expect(names.length).toBeGreaterThanOrEqual(60);
  expect(new Set(names).size).toBe(names.length);
});

describe.each(STORES)('on %s', (store) => {
  describe('where objects come and go', () => {
    suite(store, objectsWorld, OBJECTS);
  });
  describe('where segments were given back', () => {
    suite(store, staleWorld, STALES);
  });
});
