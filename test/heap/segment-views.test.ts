import { describe, expect, it } from 'vitest';
import { SegmentViews, widthOf, WINDOW } from '../../dist/heap/segment-views.js';

const KINDS = ['i8', 'u8', 'i16', 'u16', 'i32', 'u32', 'f32', 'f64', 'i64', 'u64'] as const;

describe('SegmentViews', () => {
  it('makes a view of each kind over the mapping, once', () => {
    const buffer = new SharedArrayBuffer(16384);
    const views = new SegmentViews(new Int32Array(buffer, 4096, 2048), 4096);
    for (const kind of KINDS) {
      expect(views[kind].length).toBe(0);
      const view = views.reach(kind, 8);
      expect([view.byteOffset, view.byteLength, view.buffer === buffer]).toEqual([4096, 8192, true]);
      expect(view.BYTES_PER_ELEMENT).toBe(widthOf(kind));
      expect(views.reach(kind, 8184)).toBe(view);
      expect(views[kind]).toBe(view);
      expect(views.baseOf(kind, 8184)).toBe(0);
    }
  });

  it('reaches every byte of a segment beyond 4 GiB with every kind', () => {
    const views = new SegmentViews(new Int32Array(new SharedArrayBuffer(9 * WINDOW + 4096)), 0);
    for (const kind of KINDS) {
      const width = widthOf(kind);
      for (const at of [
        0,
        WINDOW - width,
        WINDOW,
        4 * WINDOW - width,
        4 * WINDOW,
        9 * WINDOW,
        9 * WINDOW + 4096 - width,
      ]) {
        const view = views.reach(kind, at);
        const index = (at - views.baseOf(kind, at)) / width;
        expect(view.byteOffset + index * width).toBe(at);
        expect(index).toBeLessThan(view.length);
        view[index] = kind === 'i64' || kind === 'u64' ? 7n : 7;
      }
    }
    const words = views.mapping;
    expect([words[0], words[WINDOW], words[(9 * WINDOW) / 4]]).not.toContain(0);
  });
});
