import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { controlBytesNeeded, SlotArray } from '../../dist/dsm/control.js';
import { controlLayoutHash, DsmControlHeader, DsmControlItem, MAX_SLOTS } from '../../dist/dsm/control-layout.js';
import { controlGeometry } from '../../dist/dsm/geometry.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { codeOf, make, makeCluster, requireEmpty, STORES } from './helpers.js';

/** Slots in memory that was full of something else. */
function slotArray(maxitems: number): SlotArray {
  const slots = new SlotArray(new Int32Array(new SharedArrayBuffer(64 + controlBytesNeeded(maxitems))).fill(-1), 64);
  slots.words.fill(0, 16 + DsmControlHeader.SIZEOF / 4);
  slots.initialize(maxitems);
  return slots;
}

describe('the slots', () => {
  it('take 16 bytes and 40 for each', () => {
    expect([DsmControlHeader.SIZEOF, DsmControlItem.SIZEOF]).toEqual([16, 40]);
    expect([0, 1, 674].map(controlBytesNeeded)).toEqual([16, 56, 26976]);
  });

  it('keep what they are given, also beyond 32 bits', () => {
    const slots = slotArray(3);
    slots.occupy(0, 0xfffffffe, 2 ** 27, 2 ** 28, 2 ** 40, 7);
    expect([slots.nitems, slots.maxitems, slots.handle(0), slots.refcnt(0), slots.pinned(0)]).toEqual([
      1,
      3,
      0xfffffffe,
      2,
      false,
    ]);
    expect([slots.firstPage(0), slots.npages(0), slots.size(0), slots.tailPages(0)]).toEqual([
      2 ** 27,
      2 ** 28,
      2 ** 40,
      7,
    ]);
    slots.setPinned(0, true);
    expect([slots.pinned(0), slots.size(0), slots.tailPages(0)]).toEqual([true, 2 ** 40, 7]);
  });

  it('are found free from the lowest on, and never more than there are', () => {
    const slots = slotArray(3);
    for (const slot of [0, 1, 2]) {
      expect(slots.findFree()).toBe(slot);
      slots.occupy(slot, 2 * slot + 2, 0, 1, 1, 0);
    }
    expect(slots.findFree()).toBe(-1);
    slots.setRefcnt(2, 0);
    slots.setRefcnt(1, 0);
    expect([slots.findFree(), slots.nitems]).toEqual([1, 3]);
    slots.setRefcnt(1, 1);
    expect(slots.findFree()).toBe(2);
  });

  it('are found by handle only while they can be attached', () => {
    const slots = slotArray(4);
    for (const slot of [0, 1, 2]) slots.occupy(slot, 8, 0, 1, 1, 0);
    expect([slots.find(8), slots.find(10), slots.find(0)]).toEqual([0, -1, -1]);
    slots.setRefcnt(0, 1);
    expect([slots.find(8), slots.inUse(8)]).toEqual([1, true]);
    slots.setRefcnt(1, 0);
    expect(slots.find(8)).toBe(2);
    slots.setRefcnt(2, 1);
    expect([slots.find(8), slots.inUse(8)]).toEqual([-1, true]);
    slots.setRefcnt(0, 0);
    slots.setRefcnt(2, 0);
    expect([slots.find(8), slots.inUse(8)]).toEqual([-1, false]);
  });

  it('are sane when magic and counts fit the room', () => {
    const slots = slotArray(3);
    const room = controlBytesNeeded(3);
    expect([room, room + 1, room - 1, 15, 0].map((bytes) => slots.sane(bytes))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
    slots.words[16 + DsmControlHeader.nitems / 4] = 4;
    expect(slots.sane(room)).toBe(false);
    slots.words[16 + DsmControlHeader.nitems / 4] = 3;
    expect(slots.sane(room)).toBe(true);
    slots.words[16]! ^= 1;
    expect(slots.sane(room)).toBe(false);
  });

  it('are walked no further than the longest array, whatever their number says', () => {
    const slots = slotArray(3);
    for (const nonsense of [-1, 0x7fffffff, MAX_SLOTS + 2]) {
      slots.words[16 + DsmControlHeader.nitems / 4] = nonsense;
      expect(slots.nitems).toBe(MAX_SLOTS + 1);
      expect([slots.find(8), slots.sane(2 ** 30)]).toEqual([-1, false]);
    }
  });
});

describe('the hash of the layouts', () => {
  it('is the same whatever was loaded first', () => {
    const dist = new URL('../../dist/', import.meta.url);
    const modules = [
      'dsm/control-layout.js',
      'dsm/dsm.js',
      'dsa/dsa.js',
      'sync/sync.js',
      'freepage/freepage.js',
      'index.js',
    ];
    const hashes = modules.map((first) => {
      const program = [first, 'dsm/dsm.js', 'dsm/control-layout.js']
        .map((name) => `const { controlLayoutHash } = await import('${new URL(name, dist).href}');`)
        .map((line, i) => (i === 2 ? line : `{ ${line} }`));
      const text = `${program.join('\n')}\nconsole.log(controlLayoutHash());`;
      return execFileSync(process.execPath, ['--input-type=module', '-e', text]).toString();
    });
    expect(new Set(hashes)).toEqual(new Set([`${controlLayoutHash()}\n`]));
  });
});

describe('the geometry', () => {
  it('leaves room for every part, in whole pages', () => {
    for (const [participants, segments] of [
      [1, 1],
      [64, 384],
      [800, 4096],
    ] as const) {
      const { participantsAt, dsmAt, controlBytes } = controlGeometry(participants, segments);
      expect([participantsAt % 4096, dsmAt % 4096, controlBytes % 4096]).toEqual([0, 0, 0]);
      expect(dsmAt - participantsAt).toBeGreaterThan(participants * 4096);
      expect(controlBytes - dsmAt).toBeGreaterThanOrEqual(controlBytesNeeded(segments));
      const dsm = makeCluster('buffers', { participants, segments });
      expect(dsm.stats()).toMatchObject({ controlBytes, participantsMax: participants, slotsMax: segments });
      dsm.leave();
    }
  });

  it('has 64 slots and 5 for each participant by default', () => {
    for (const [participants, slots] of [
      [1, 69],
      [64, 384],
      [800, 4064],
    ] as const) {
      const dsm = makeCluster('region', { participants });
      expect(dsm.stats().slotsMax).toBe(slots);
      dsm.leave();
    }
  });
});

describe.each(STORES)('a handle that is used again on %s', (store) => {
  it('leads to the living segment, past one that was being destroyed when its owner died', () => {
    const dsm = makeCluster(store, { random: () => 21 });
    const other = Dsm.join(dsm.handle);
    const first = make(dsm, 100);
    expect(first.handle).toBe(42);
    // As if its last owner had died between giving the reference back and freeing the slot.
    const moribund = first.slot;
    first.pinSegment();
    dsm.slots.setRefcnt(moribund, 1);
    dsm.slots.setPinned(moribund, false);
    expect(other.attach(42)).toBe(null);
    expect(codeOf(() => other.unpinSegment(42))).toBe('ERR_HEAP_SEGMENT_GONE');
    // A new segment takes another slot, and another handle as long as this one is in sight.
    const second = make(dsm, 200);
    expect([second.handle, second.slot]).toEqual([44, 1]);
    second.detach();
    // C does not look there: by chance the same handle can come up.
    dsm.slots.occupy(1, 42, dsm.slots.firstPage(0), 1, 200, 0);
    dsm.slots.setPinned(1, true);
    expect(dsm.slots.find(42)).toBe(1);
    other.unpinSegment(42);
    expect(dsm.slots.refcnt(moribund)).toBe(1);
    expect(dsm.slots.refcnt(1)).toBe(0);
    dsm.slots.setRefcnt(moribund, 2);
    other.leave();
  });

  it('is not given to two segments at once', () => {
    const dsm = makeCluster(store, { random: () => 2 ** 31 - 1 });
    const segments = [1, 2, 3].map(() => make(dsm, 100));
    // The neighbours of the last number, past 0.
    expect(segments.map((s) => s.handle)).toEqual([0xfffffffe, 2, 4]);
    segments[0]!.detach();
    expect(make(dsm, 100).handle).toBe(0xfffffffe);
    dsm.leave();
  });

  it('shows the new segment, not the old one, to whoever had the old one', () => {
    const a = makeCluster(store, { random: () => 8 });
    const b = Dsm.join(a.handle);
    for (let round = 1; round <= 5; round++) {
      const mine = make(a, 1000 * round);
      mine.i32[0] = round;
      const theirs = b.attach(16)!;
      expect([theirs.handle, theirs.mapLength, theirs.i32[0]]).toEqual([16, 1000 * round, round]);
      theirs.detach();
      mine.detach();
      requireEmpty(a);
    }
    b.leave();
    a.leave();
  });
});
