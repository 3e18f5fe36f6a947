/**
 * The state of one object, found from its pointer the long way: for objects that the hot path cannot reach.
 *
 * No lock: to be called by who owns the object, or has the lock that guards it. The segments concerned are mapped.
 */

import {
  ENTRY_CLASS_MASK,
  ENTRY_CLASS_SHIFT,
  ENTRY_PAGE_SHIFT,
  PAGEMAP_WORD_FIRST,
  PAGEMAP_WORD_OTHER,
} from './area-layout.js';
import { hiWord, loWord, pageOf } from './pointer.js';
import { CLASS_LARGE, CLASS_RECIPROCAL, CLASS_SIZE, SLOT_SHIFT } from './size-classes.js';
import { type AreaState, firstState } from './state.js';

/** Index of an object's state in the table of its segment; -1 when the pointer is not the start of one. */
export function objectStateIndex(s: AreaState, lo: number, hi: number): number {
  const index = hi >>> 8;
  const map = s.maps[index];
  const page = pageOf(lo, hi);
  if (map === undefined || page >= map.pages || map.i32.length === 0) return -1;
  const entry = map.i32[(index === 0 ? PAGEMAP_WORD_FIRST : PAGEMAP_WORD_OTHER) + 2 * page + 1]!;
  const sizeClass = (entry >>> ENTRY_CLASS_SHIFT) & ENTRY_CLASS_MASK;
  if (sizeClass === CLASS_LARGE) return (lo & 0xfff) === 0 ? firstState(CLASS_LARGE, map.pages, page) : -1;
  const inBlock = entry >>> ENTRY_PAGE_SHIFT;
  const distance = (inBlock << 12) | (lo & 0xfff);
  const k = Math.imul(distance >>> 3, CLASS_RECIPROCAL[sizeClass] ?? 0) >>> SLOT_SHIFT;
  const starts = sizeClass > CLASS_LARGE && Math.imul(k, CLASS_SIZE[sizeClass] ?? 0) === distance;
  return starts ? firstState(sizeClass, map.pages, page - inBlock) + k : -1;
}

/** Size class of the object at a pointer: 1 for a large one, 0 when the pointer leads to no object. */
export function objectClass(s: AreaState, lo: number, hi: number): number {
  const index = hi >>> 8;
  const map = s.maps[index];
  const page = pageOf(lo, hi);
  if (map === undefined || page >= map.pages || map.i32.length === 0) return 0;
  const entry = map.i32[(index === 0 ? PAGEMAP_WORD_FIRST : PAGEMAP_WORD_OTHER) + 2 * page + 1]!;
  return (entry >>> ENTRY_CLASS_SHIFT) & ENTRY_CLASS_MASK;
}

/** Sets the state of the object at a pointer. */
export function setObjectState(s: AreaState, pointer: number, state: number): void {
  const hi = hiWord(pointer);
  const at = objectStateIndex(s, loWord(pointer), hi);
  if (at >= 0) s.maps[hi >>> 8]!.state[at] = state;
}
