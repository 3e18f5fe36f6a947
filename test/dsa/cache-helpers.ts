/**
 * What the tests of participant caches share: areas that have caches, what lies in them as the shared table says, what
 * their invariants are, and participants of this thread that count as gone.
 */

import { expect, onTestFinished } from 'vitest';
import { cacheBound, grantedRoom } from '../../dist/dsa/cache-budget.js';
import {
  CACHE_OBJECTS,
  cacheSlotWord,
  CS_BOTTOMS,
  CS_GENERATION,
  CS_GRANTED,
  CS_LARGE_COUNT,
  CS_LARGE_PAGES,
  CS_TOPS,
} from '../../dist/dsa/cache-layout.js';
import { abandonCache } from '../../dist/dsa/cache-life.js';
import { bottomOf, cachedCount, cachedPointer, cacheLimit, cacheRoom } from '../../dist/dsa/cache.js';
import { DsaArea, type DsaOptions } from '../../dist/dsa/dsa.js';
import { objectStateIndex } from '../../dist/dsa/object-state.js';
import { hiWord, loWord } from '../../dist/dsa/pointer.js';
import { CLASS_CAPACITY, CLASS_SIZE, NUM_SIZE_CLASSES } from '../../dist/dsa/size-classes.js';
import { Dsm, type DsmOptions } from '../../dist/dsm/dsm.js';
import type { DsaPointer } from '../../dist/layout/layout.js';
import { ParticipantSlot } from '../../dist/sync/participant-layout.js';
import { another, expectSound, MIB, newCluster, PAGE } from './helpers.js';

/** A participant's attachment. */
export interface Member {
  readonly dsm: Dsm;
  readonly area: DsaArea;
}

/** An area with caches, in a cluster of its own whose region is so small that a bound of an eighth can be reached. */
export function newCached(options: DsaOptions = {}, cluster: DsmOptions = {}): Member {
  const dsm = newCluster({ regionSize: 64 * MIB, ...cluster });
  return { dsm, area: DsaArea.create(dsm, { cache: true, ...options }) };
}

/** One more participant of this thread. */
export function join({ dsm, area }: Member): Member {
  const joined = another(dsm);
  return { dsm: joined, area: DsaArea.attach(joined, area.handle) };
}

/** Size class by the bytes of its objects. */
export function classOf(bytes: number): number {
  return CLASS_SIZE.indexOf(bytes);
}

/** What the shared table says of one participant's cache. */
export interface SlotView {
  readonly generation: number;
  /** Bytes of room. */
  readonly granted: number;
  readonly largeCount: number;
  readonly largePages: number;
  /** Objects by size class. */
  readonly objects: readonly number[];
}

/** The slot of a participant in the table of caches. */
export function slotOf(area: DsaArea, slot: number = area.state.p.slot): SlotView {
  const { cacheTable } = area.state;
  const word = cacheSlotWord(slot);
  const objects = Array.from({ length: NUM_SIZE_CLASSES }, (_, c) => {
    const bottom = cacheTable[word + CS_BOTTOMS + c]!;
    return bottom === 0 ? 0 : cacheTable[word + CS_TOPS + c]! - bottom;
  });
  return {
    generation: cacheTable[word + CS_GENERATION]!,
    granted: cacheTable[word + CS_GRANTED]! * 8,
    largeCount: cacheTable[word + CS_LARGE_COUNT]!,
    largePages: cacheTable[word + CS_LARGE_PAGES]!,
    objects,
  };
}

/** Bytes of room that all caches have been granted together. */
export function grantedBytes(area: DsaArea): number {
  return grantedRoom(area.state) * 8;
}

/** Bytes of room that they may have together. */
export function boundBytes(area: DsaArea): number {
  return cacheBound(area.state) * 8;
}

/** Pointers on a stack of this participant, the oldest first. */
export function stackOf({ state: s }: DsaArea, sizeClass: number): DsaPointer[] {
  return Array.from({ length: cachedCount(s.block, sizeClass) }, (_, n) => {
    return cachedPointer(s.block, sizeClass, n + 1) as DsaPointer;
  });
}

/** State of the slot that an object lies in. */
export function stateAt({ state: s }: DsaArea, pointer: number): number {
  const [lo, hi] = [loWord(pointer), hiWord(pointer)];
  return s.maps[hi >>> 8]!.state[objectStateIndex(s, lo, hi)]!;
}

/** Fails unless the invariants that cache.ts lists hold for one attachment, as its private tables have them. */
export function expectInvariants(area: DsaArea): void {
  const { state: s } = area;
  if (!s.caching) return;
  const slot = slotOf(area);
  const all: number[] = [];
  for (let c = 2; c < NUM_SIZE_CLASSES; c++) {
    const bottom = bottomOf(s.block, c);
    const count = cachedCount(s.block, c);
    // 1: what lies below the oldest one is the 0.
    expect([c, bottom, cachedPointer(s.block, c, 0)]).toEqual([c, bottom, 0]);
    // 3: no stack is higher than it may be, and none may be higher than there is place.
    expect([c, count >= 0 && cacheRoom(s.block, c) >= 0, cacheLimit(s.block, c) <= CACHE_OBJECTS[c]!]).toEqual([
      c,
      true,
      true,
    ]);
    expect([c, slot.objects[c]]).toEqual([c, count]);
    const stack = stackOf(area, c);
    // 2 and 4: objects of the class, marked, in segments that are mapped here.
    if (s.checks) expect(stack.filter((pointer) => stateAt(area, pointer) !== s.mark)).toEqual([]);
    all.push(...stack);
  }
  expect(new Set(all).size).toBe(all.length);
}

/**
 * The account of an area: its numbers against the pages that the checker has counted, and all caches within what they
 * were granted. At rest.
 *
 * @returns its statistics
 */
export function expectAccount(area: DsaArea) {
  expectSound(area);
  const stats = area.stats();
  const { accounting } = area.verify();
  const pages = (key: 'free' | 'large'): number => accounting.reduce((sum, segment) => sum + segment[key], 0);
  const slabs = stats.perClass.reduce((sum, c) => sum + c.superblocks * CLASS_CAPACITY[c.sizeClass]! * c.objectSize, 0);
  expect(stats.liveBytes + stats.freeBytes).toBe((pages('free') + pages('large')) * PAGE + slabs);
  expect(stats.liveBytes + stats.freeBytes + stats.metadataBytes).toBe(stats.totalSegmentSize);
  expect(stats.cachedBytes).toBeLessThanOrEqual(stats.freeBytes);
  expect(stats.cachedBytes).toBeLessThanOrEqual(grantedBytes(area));
  for (const { cached, free } of stats.perClass) expect(cached).toBeLessThanOrEqual(free);
  return stats;
}

/** Fails unless no cache of the area holds anything or has room for anything. */
export function expectNoCache(area: DsaArea): void {
  expect([area.stats().cachedBytes, grantedBytes(area)]).toEqual([0, 0]);
  for (let slot = 0; slot < area.state.attachments.length; slot++) {
    const { granted, largeCount, largePages, objects } = slotOf(area, slot);
    expect([slot, granted, largeCount, largePages, objects.filter((n) => n !== 0)]).toEqual([slot, 0, 0, 0, []]);
  }
}

/** An identity that no thread has. */
const NOBODY = 0x7fff_ffff;
let buried = 0;

/**
 * Lets a participant of this thread count as one whose thread is gone: its slot names a thread that is known to be dead.
 * What it has in shared memory stays as it is; here its cache is forgotten.
 */
export function bury({ dsm, area }: Member): void {
  const slot = dsm.table.slotBase(dsm.participant.slot);
  buried++;
  for (const field of [ParticipantSlot.identity, ParticipantSlot.dead]) {
    dsm.control[slot + field / 4] = NOBODY;
    dsm.control[slot + field / 4 + 1] = NOBODY - buried;
  }
  abandonCache(area.state);
  dsm.participant.closed = true;
}

/** A participant that can be buried: the test's end does not touch it. */
export function mortal({ dsm, area }: Member): Member {
  const joined = Dsm.join(dsm.handle);
  onTestFinished(() => {
    if (!joined.participant.closed) joined.leave();
  });
  return { dsm: joined, area: DsaArea.attach(joined, area.handle) };
}
