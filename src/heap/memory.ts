/**
 * From a pointer to bytes: what all accessors of SharedHeap stand on.
 *
 * Private to one `SharedHeap` object; takes no lock itself (mapping a segment for the first time takes the area's). A
 * pointer is decoded by arithmetic, its segment's views are found by index, and one comparison tells whether they are
 * still the views of the mapping that the area has now: a segment may have been given back and its index used again.
 *
 * Checked here, on every access: the pointer leads into a segment that exists, behind the pages at its start that the
 * heap keeps for itself; the offset is a whole number and not negative; the number lies inside the segment and is
 * naturally aligned. Whether the object is live and large enough is not checked, since that costs a look-up in the page
 * map and a cache miss; `bytes` and `view` do it once for many accesses.
 */

import { type AreaState, type DsaArea, firstUsableByte } from '../dsa/dsa.js';
import { ATTENTION_WORD, type Dsm } from '../dsm/dsm.js';
import { SharedHeapError } from '../errors/errors.js';
import { type Kind, type NumberView, SegmentViews, widthOf } from './segment-views.js';
import { show } from './sizes.js';

/** Bytes that one segment index spans in a pointer. */
export const SPAN = 2 ** 40;
/** Highest segment index of an area; all ones in binary. */
export const LAST_SEGMENT = 1023;
/** No pointer reaches this value. */
export const POINTER_END = SPAN * (LAST_SEGMENT + 1);

const UNMAPPED = new SegmentViews(new Int32Array(0), 0);
/** What a heap object begins with; copied, since filling in a thousand entries takes a new thread 0.1 ms. */
const NO_VIEWS: readonly SegmentViews[] = Array.from({ length: LAST_SEGMENT + 1 }, () => UNMAPPED);

/** Checks what arithmetic can tell of a pointer. */
function requirePointer(ptr: unknown): asserts ptr is number {
  if (typeof ptr !== 'number' || !Number.isInteger(ptr) || ptr < 0) {
    throw new SharedHeapError('ERR_HEAP_MISALIGNED_POINTER', 'ptr is not a whole number, 0 or more', {
      detail: `got ${show(ptr)}`,
      hint: 'Use what alloc returned.',
    });
  }
  if (ptr === 0 || ptr >= POINTER_END) {
    throw new SharedHeapError('ERR_HEAP_FOREIGN_POINTER', 'ptr is no pointer of a heap', {
      detail: `got ${show(ptr)}; a pointer lies between 0 and 2^50`,
      hint: ptr === 0 ? 'This is the null pointer: test for it before use.' : 'Use what alloc returned.',
    });
  }
}

/** Checks a number of bytes or elements: whole, 0 or more. */
export function requireCount(value: unknown, name: string): asserts value is number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
    throw new SharedHeapError('ERR_HEAP_BAD_ARGUMENT', `${name} is not a whole number, 0 or more`, {
      detail: `got ${show(value)}`,
    });
  }
}

/** The error of every call on a closed heap. */
function closedError(): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_CLOSED', 'this heap object was closed', {
    hint: 'Attach again with a handle from a participant that is still open.',
  });
}

function outside(detail: string): SharedHeapError {
  return new SharedHeapError('ERR_HEAP_OUT_OF_BOUNDS', 'the number does not lie inside its segment', { detail });
}

/** Decodes and checks pointers for the accessors; see the head of this file. */
export abstract class HeapMemory {
  /** This participant's attachment, null once closed. @internal */
  protected area: DsaArea | null;
  /** What the shortest way of alloc and free works on, null once closed. @internal */
  protected fast: AreaState | null;
  /** Views by segment index; {@link UNMAPPED} where there are none yet. @internal */
  protected readonly views: SegmentViews[] = NO_VIEWS.slice();
  /** Index into the view that {@link far} returned last. @internal */
  protected farIndex = 0;
  /** Count of freed segments for which {@link views} has been looked over. */
  private freedSeen = 0;

  /** The participant, if others may ask it for buffers (`buffers` store), else null. @internal */
  protected readonly listener: Dsm | null;

  /** @internal */
  protected constructor(area: DsaArea, listener: Dsm | null) {
    this.area = area;
    this.fast = area.state;
    this.listener = listener;
  }

  /** Forgets area and views, so that every later call ends in {@link closedError}. @internal */
  protected forget(): void {
    this.area = null;
    this.fast = null;
    for (let segment = 0; segment <= LAST_SEGMENT; segment++) this.views[segment] = UNMAPPED;
  }

  /** The area, or ERR_HEAP_CLOSED. Does first what others wait for. @internal */
  protected open(): DsaArea {
    const { area } = this;
    if (area === null) throw closedError();
    this.attend(area);
    return area;
  }

  /**
   * On `buffers`: answers participants that wait for a buffer of this one, and lets go of views of segments that were
   * given back, so that their buffers can be collected. Two comparisons when there is nothing to do. @internal
   */
  protected attend(area: DsaArea): void {
    const dsm = this.listener;
    if (dsm === null) return;
    if (dsm.control[ATTENTION_WORD] !== dsm.attentionSeen) dsm.attend();
    if (area.state.freedSeen !== this.freedSeen) this.forgetFreed(area);
  }

  /**
   * To be called after something that may have given segments back: does not wait for the next call to notice.
   * @internal
   */
  protected afterFree(area: DsaArea): void {
    if (this.listener === null) return;
    area.resolve(0);
    this.attend(area);
  }

  private forgetFreed(area: DsaArea): void {
    this.freedSeen = area.state.freedSeen;
    for (let segment = 0; segment <= LAST_SEGMENT; segment++) {
      if (this.views[segment]!.mapping !== area.segmentI32(segment)) this.views[segment] = UNMAPPED;
    }
  }

  /**
   * Byte offset of `ptr + offset` in its segment when the views at hand can serve it, else NaN. Hot. @internal
   */
  protected locate(ptr: number, offset: number): number {
    const { area } = this;
    if (typeof ptr !== 'number' || typeof offset !== 'number' || area === null) return Number.NaN;
    this.attend(area);
    const segment = (ptr / SPAN) & LAST_SEGMENT;
    const start = ptr - segment * SPAN;
    const views = this.views[segment]!;
    // A whole offset, so that a fraction in `ptr` shows in the sum. Offsets from 4 GiB on take the long way.
    if (views.mapping !== area.resolve(segment) || !(start >= views.lowest && offset >>> 0 === offset))
      return Number.NaN;
    return start + offset;
  }

  /**
   * What {@link locate} could not serve: makes the missing view, or finds out what is wrong with the arguments.
   * Leaves the index in {@link farIndex}. @internal
   *
   * @throws ERR_HEAP_BAD_ARGUMENT, ERR_HEAP_MISALIGNED_POINTER, ERR_HEAP_FOREIGN_POINTER, ERR_HEAP_STALE_SEGMENT,
   *   ERR_HEAP_OUT_OF_BOUNDS, ERR_HEAP_HOST_LIMIT, ERR_HEAP_CLOSED
   */
  protected far(kind: Kind, ptr: number, offset: number): NumberView {
    const area = this.open();
    requirePointer(ptr);
    requireCount(offset, 'offset');
    const views = this.currentViews(area, ptr);
    const at = ptr - Math.floor(ptr / SPAN) * SPAN + offset;
    const width = widthOf(kind);
    if (at + width > views.byteLength) {
      throw outside(`${width} bytes at ${at} of a segment of ${views.byteLength} bytes`);
    }
    if (at % width !== 0) {
      throw new SharedHeapError(
        'ERR_HEAP_MISALIGNED_POINTER',
        `a number of ${width} bytes must be aligned to ${width}`,
        {
          detail: `ptr ${ptr} + offset ${offset} is ${at % width} bytes off`,
          hint: 'Objects start at multiples of 8: put wide numbers at multiples of their width.',
        },
      );
    }
    const view = views.reach(kind, at);
    this.farIndex = (at - views.baseOf(kind, at)) / width;
    return view;
  }

  /** Views of the segment that a checked pointer leads into. @internal */
  protected currentViews(area: DsaArea, ptr: number): SegmentViews {
    const segment = Math.floor(ptr / SPAN);
    const mapping = area.resolve(segment);
    if (mapping.length === 0) throw area.resolveError('access', ptr);
    let views = this.views[segment]!;
    if (views.mapping !== mapping) {
      views = new SegmentViews(mapping, firstUsableByte(mapping));
      this.views[segment] = views;
    }
    if (ptr - segment * SPAN < views.lowest) {
      throw new SharedHeapError('ERR_HEAP_FOREIGN_POINTER', 'ptr leads into pages that hold no objects', {
        detail: `ptr ${ptr}: objects of segment ${segment} begin at byte ${views.lowest}`,
        hint: 'Use what alloc returned.',
      });
    }
    return views;
  }
}
