/** Sizes, counts and page numbers that decide where things lie: constants, size classes, bins, segments, odd segments. */

import { describe, expect, it } from 'vitest';
import { AreaControl, Pool, SegmentHeader, Span } from '../../dist/dsa/area-layout.js';
import {
  DEFAULT_INIT_SEGMENT_SIZE,
  DSA_ALLOC_HUGE,
  DSA_ALLOC_NO_OOM,
  DSA_ALLOC_ZERO,
  DsaArea,
  formatPointer,
  InvalidDsaPointer,
  makePointer,
  MAX_SEGMENT_SIZE,
  MAX_SEGMENTS,
  MIN_SEGMENT_SIZE,
  offsetOf,
  SEGMENT_SPAN,
  segmentOf,
} from '../../dist/dsa/dsa.js';
import { binOf } from '../../dist/dsa/segments.js';
import { CLASS_RECIPROCAL, CLASS_SIZE, SLOT_SHIFT } from '../../dist/dsa/size-classes.js';
import { expectSound, freeAll, hex, KIB, MIB, newArea, newAreaInPlace, PAGE } from './helpers.js';

describe('constants', () => {
  it('of the interface', () => {
    expect([DSA_ALLOC_HUGE, DSA_ALLOC_NO_OOM, DSA_ALLOC_ZERO]).toEqual([1, 2, 4]);
    expect([DEFAULT_INIT_SEGMENT_SIZE, MIN_SEGMENT_SIZE, MAX_SEGMENT_SIZE]).toEqual([MIB, 256 * KIB, 2 ** 40]);
    expect([MAX_SEGMENTS, SEGMENT_SPAN, InvalidDsaPointer, DsaArea.minimumSize()]).toEqual([1024, 2 ** 40, 0, 8192]);
  });

  it('of the shared structs', () => {
    expect([AreaControl.SIZEOF, SegmentHeader.SIZEOF, Span.SIZEOF, Pool.SIZEOF]).toEqual([6176, 56, 56, 48]);
    const { segment_handles, segment_bins, pools } = AreaControl;
    expect([AreaControl.handle, segment_handles, segment_bins, pools]).toEqual([56, 60, 4160, 4288]);
    expect([AreaControl.total_segment_size, AreaControl.max_total_segment_size]).toEqual([6112, 6120]);
    expect([AreaControl.high_segment_index, AreaControl.refcnt, AreaControl.pinned]).toEqual([6128, 6136, 6140]);
    expect(AreaControl.freed_segment_counter).toBe(6144);
    expect([SegmentHeader.usable_pages, SegmentHeader.prev, SegmentHeader.freed]).toEqual([8, 24, 48]);
    expect([Span.start, Span.npages, Span.size_class, Span.firstfree, Span.fclass]).toEqual([24, 32, 40, 46, 50]);
  });
});

describe('pointers', () => {
  it.each([
    [0, 0],
    [0, 0x4000],
    [1, 0],
    [1023, 2 ** 40 - 8],
    [7, 5 * 2 ** 32 + 16],
  ])('segment %i, offset %i', (index, offset) => {
    const pointer = makePointer(index, offset);
    expect(pointer).toBe(index * 2 ** 40 + offset);
    expect([segmentOf(pointer), offsetOf(pointer)]).toEqual([index, offset]);
  });

  it('are printed as 16 digits', () => {
    expect(formatPointer(0)).toBe('0000000000000000');
    expect(formatPointer(makePointer(1023, 0xfffffffff8))).toBe('0003fffffffffff8');
  });
});

/** Size and objects in a superblock of classes 2 to 37, in order. */
// biome-ignore format: a table
const CLASSES = [
  [8, 8192], [16, 4096], [24, 2730], [32, 2048], [40, 1638], [48, 1365], [56, 1170], [64, 1024], [80, 819], [96, 682],
  [112, 585], [128, 512], [160, 409], [192, 341], [224, 292], [256, 256], [320, 204], [384, 170], [448, 146], [512, 128],
  [640, 102], [768, 85], [896, 73], [1024, 64], [1280, 51], [1560, 42], [1816, 36], [2048, 32], [2616, 25], [3120, 21],
  [3640, 18], [4096, 16], [5456, 12], [6552, 10], [7280, 9], [8192, 8],
] as const;

describe('size classes', () => {
  it('each request up to 8192 bytes gets the smallest that holds it', () => {
    const { area } = newArea();
    let at = 0;
    for (let size = 1; size <= 8192; size++) {
      if (size > CLASSES[at]![0]) at++;
      const pointer = area.allocate(size);
      expect([size, area.sizeOf(pointer)]).toEqual([size, CLASSES[at]![0]]);
      area.free(pointer);
    }
    expect(at).toBe(CLASSES.length - 1);
    expectSound(area);
  });

  it.each(CLASSES)('%i bytes: %i objects in a superblock, the next one elsewhere', (size, count) => {
    const { area } = newArea();
    const pointers = Array.from({ length: count + 1 }, () => area.allocate(size));
    const first = pointers[0]!;
    expect(pointers.slice(0, count)).toEqual(Array.from({ length: count }, (_, k) => first + k * size));
    expect(pointers[count]).toBe(first + 65536);
    expectSound(area);
    freeAll(area, pointers);
    expectSound(area);
  });

  it('a multiplication gives the slot that starts at an offset in a superblock', () => {
    for (let c = 2; c < CLASS_SIZE.length; c++) {
      const size = CLASS_SIZE[c]!;
      for (let offset = 0; offset < 65536; offset++) {
        const slot = Math.imul(offset >>> 3, CLASS_RECIPROCAL[c]!) >>> SLOT_SHIFT;
        const right = offset % size === 0 ? slot === offset / size : slot * size !== offset;
        if (!right) expect.fail(`${offset} of ${size}: ${slot}`);
      }
    }
  });

  it.each([
    [8193, 3],
    [12288, 3],
    [12289, 4],
    [65536, 16],
    [1000000, 245],
  ])('%i bytes have %i pages of their own', (size, pages) => {
    const { area } = newArea();
    const pointer = area.allocate(size);
    expect([pointer % PAGE, area.sizeOf(pointer)]).toEqual([0, pages * PAGE]);
    expectSound(area);
  });
});

describe('bins', () => {
  it('by the power of two, up to 15', () => {
    expect([0, 1, 2, 3, 4, 7, 8, 8191, 8192, 16383, 16384, 2 ** 28 - 1, 2 ** 40].map(binOf)).toEqual([
      0, 1, 2, 2, 3, 3, 4, 13, 14, 14, 15, 15, 15,
    ]);
  });

  it('allocation leaves a segment where its creation has filed it', () => {
    const { area } = newArea();
    area.allocate(252 * PAGE);
    for (const usable of [255, 510, 510, 1021, 1021, 2043]) {
      area.allocate((usable - 8) * PAGE);
      const newest = area.segments().at(-1)!;
      expect([newest.usablePages, newest.contiguousPages, newest.bin]).toEqual([usable, 8, binOf(usable)]);
    }
    expectSound(area);
  });

  it('freeing a large object files its segment at once', () => {
    const { area } = newArea();
    const large = area.allocate(200 * PAGE);
    area.allocate(40 * PAGE);
    area.free(large);
    const [first] = area.segments();
    expect([first!.contiguousPages, first!.bin]).toEqual([200, 8]);
  });
});

describe('segments', () => {
  it.each([
    [256 * KIB, 62, 63],
    [512 * KIB, 125, 127],
    [MIB, 253, 255],
  ])('of %i bytes at first: %i usable pages in segment 0, %i in segment 1', (size, first, second) => {
    const { area } = newArea({ initSegmentSize: size });
    area.allocate(first * PAGE - 8 * PAGE);
    area.allocate(second * PAGE);
    const shape = area.segments().map(({ size: bytes, usablePages }) => [bytes, usablePages]);
    expect(shape).toEqual([
      [size, first],
      [size, second],
    ]);
    expectSound(area);
  });

  it('grow twofold every second time', () => {
    const { area } = newArea();
    area.allocate(252 * PAGE);
    const usable = [255, 510, 510, 1021, 1021, 2043, 2043, 4087, 4087, 8175, 8175, 16351, 16351, 32703, 32703];
    for (const pages of usable) area.allocate(pages * PAGE);
    const shape = area
      .segments()
      .slice(1)
      .map(({ size, usablePages }) => [size, usablePages]);
    expect(shape).toEqual(usable.map((pages, k) => [MIB * 2 ** Math.floor((k + 1) / 2), pages]));
    expectSound(area);
  });

  it('the page map ends before the first usable page', () => {
    const { area } = newArea({ initSegmentSize: 64 * MIB });
    expect(area.segments()[0]!.usablePages).toBe(16384 - Math.ceil((7272 + 8 * 16384) / PAGE));
    // The block of spans comes first, then the large object.
    expect(area.allocate(PAGE * 100)).toBe((16384 - area.segments()[0]!.usablePages + 1) * PAGE);
  });

  it.each([
    [878, '10000002000'],
    [879, '10000003000'],
    [880, '10000003000'],
    [2000, '10000005000'],
    [6501, '1000000e000'],
    [100000, '100000c4000'],
  ])('of odd size, for %i pages, begin at %s', (pages, pointer) => {
    const { area } = newArea();
    expect(hex(area.allocate(pages * PAGE))).toBe(pointer);
    const [, odd] = area.segments();
    expect(odd).toMatchObject({ usablePages: pages, contiguousPages: 0 });
    expect(odd!.size).toBe((parseInt(pointer, 16) % 2 ** 40) + pages * PAGE);
    expectSound(area);
  });

  it('of odd size have a page map that covers their last page', () => {
    const { area } = newArea();
    for (const pages of [368, 879, 1390, 1902, 2414]) {
      const pointer = area.allocate(pages * PAGE);
      expect(area.sizeOf(pointer)).toBe(pages * PAGE);
      area.free(pointer);
      // Superblocks all the way to the last page use the last entries of the page map.
      area.setSizeLimit(area.getTotalSize());
      const blocks = [];
      for (let p = area.allocate(8192, DSA_ALLOC_NO_OOM); p !== 0; p = area.allocate(8192, DSA_ALLOC_NO_OOM))
        blocks.push(p);
      expect(blocks.map((p) => area.sizeOf(p)).every((size) => size === 8192)).toBe(true);
      expectSound(area);
      freeAll(area, blocks);
      area.trim();
      area.setSizeLimit(Number.POSITIVE_INFINITY);
      expect(area.segments().map(({ index }) => index)).toEqual([0]);
      expectSound(area);
    }
  });
});

describe('places', () => {
  it.each([
    [8192, 0, 0],
    [8200, 0, 0],
    [12288, 1, 1],
    [16384, 2, 2],
    [65536, 14, 4],
    [262144, 62, 6],
    [262143, 61, 6],
    [1048576, 253, 8],
  ])('of %i bytes have %i usable pages', (size, usable, bin) => {
    const { area } = newAreaInPlace(size);
    expect(area.segments()).toEqual([
      { index: 0, size, usablePages: usable, contiguousPages: usable, bin, prev: null, next: null },
    ]);
    expect(area.getTotalSize()).toBe(size);
    expectSound(area);
    area.releaseInPlace();
  });
});
