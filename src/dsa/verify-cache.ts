/**
 * Checks of the participant caches, part of `verifyArea`: K23 to K26. At rest, after all pools were checked.
 *
 * The marks in the state table were counted on the way, by participant slot and size class; here they are compared with
 * what the table says, and this participant's own stacks with the objects that they name.
 */

import { cacheBound, cacheSlots, grantedRoom } from './cache-budget.js';
import {
  CACHE_OBJECTS,
  cacheSlotWord,
  CS_BOTTOMS,
  CS_GENERATION,
  CS_GRANTED,
  CS_LARGE_COUNT,
  CS_LARGE_PAGES,
  CS_TOPS,
} from './cache-layout.js';
import { cachedCounts } from './cache-report.js';
import { cachedCount, cachedPointer, cacheLimit } from './cache.js';
import { objectClass, objectStateIndex } from './object-state.js';
import { formatPointer, hiWord, loWord } from './pointer.js';
import { CLASS_LARGE, CLASS_SIZE, NUM_SIZE_CLASSES } from './size-classes.js';
import type { AreaCensus } from './verify-census.js';

const UNIT = 8;

/** K23 to K26. At rest. */
export function checkCaches(c: AreaCensus): void {
  const { s } = c;
  if (s.cacheTable.length === 0) return;
  for (let slot = 0; slot < s.attachments.length; slot++) {
    if (slot < cacheSlots(s)) checkSlot(c, slot);
    else checkUnused(c, slot);
  }
  const granted = grantedRoom(s);
  c.f.checks++;
  if (granted > cacheBound(s)) {
    c.f.note(
      'K24',
      `the caches have ${granted} units of room, ${cacheBound(s)} are allowed since the limit was lowered`,
    );
  }
  if (s.caching) for (let k = CLASS_LARGE + 1; k < NUM_SIZE_CLASSES; k++) checkStack(c, k);
}

/** K25. */
function checkUnused({ s, f }: AreaCensus, slot: number): void {
  const room = s.cacheTable[cacheSlotWord(slot) + CS_GRANTED]!;
  f.check('K25', room === 0, () => `the cache of participant slot ${slot} is nobody's and has ${room} units of room`);
}

/** K23: marks of a participant are as many as its slot says; K24: it keeps no more than it has room for; K25: see there. */
function checkSlot(c: AreaCensus, slot: number): void {
  const { s, f } = c;
  const word = cacheSlotWord(slot);
  const noted = c.marks.get(slot);
  const used = s.cacheTable[word + CS_GENERATION] !== 0;
  const name = `the cache of participant slot ${slot}`;
  f.check('K25', used || noted === undefined, () => `${name} is nobody's, and there are marks of it`);
  if (!used) return checkUnused(c, slot);
  const { objects, largePages, bytes } = cachedCounts(s, slot);
  // Without checks cached objects have no marks: the pools then count them as live, and the table has to be believed.
  if (s.checks) {
    // Who dies between a mark and the count of it leaves them different; the marks hold.
    const gone = !s.dsm.table.isCurrent(slot, s.cacheTable[word + CS_GENERATION]!);
    const same = (told: number, marks: number, what: string): void => {
      const text = (): string => `${name} says ${told} ${what}, ${marks} have its mark`;
      if (gone && told !== marks) f.note('K23', text());
      else f.check('K23', told === marks, text);
    };
    for (let k = CLASS_LARGE; k < NUM_SIZE_CLASSES; k++) {
      same(objects[k]!, noted?.objects[k] ?? 0, `objects of class ${k}`);
    }
    same(largePages, noted?.largePages ?? 0, 'pages of large objects');
  }
  const room = s.cacheTable[word + CS_GRANTED]! * UNIT;
  f.check('K24', bytes <= room, () => `${name} holds ${bytes} bytes and has room for ${room}`);
  const bare = s.cacheTable[word + CS_LARGE_COUNT]! < 0 || s.cacheTable[word + CS_LARGE_PAGES]! < 0;
  f.check('K24', !bare, () => `${name} counts less than nothing`);
  for (let k = CLASS_LARGE + 1; k < NUM_SIZE_CLASSES; k++) {
    const bottom = s.cacheTable[word + CS_BOTTOMS + k]!;
    const top = s.cacheTable[word + CS_TOPS + k]!;
    f.check('K24', bottom === 0 || (top >= bottom && top - bottom <= CACHE_OBJECTS[k]!), () => {
      return `${name}: its stack of class ${k} goes from ${bottom} to ${top}`;
    });
  }
}

/** K26: each object on a stack of this participant is one of that class, has its mark, and is there once. */
function checkStack(c: AreaCensus, sizeClass: number): void {
  const { s, f } = c;
  const count = cachedCount(s.block, sizeClass);
  const limit = cacheLimit(s.block, sizeClass);
  f.check('K26', count >= 0 && count <= limit && limit <= CACHE_OBJECTS[sizeClass]!, () => {
    return `the stack of class ${sizeClass} has ${count} of ${limit} objects`;
  });
  const seen = new Set<number>();
  for (let n = 1; n <= count; n++) {
    const pointer = cachedPointer(s.block, sizeClass, n);
    const lo = loWord(pointer);
    const hi = hiWord(pointer);
    const at = objectStateIndex(s, lo, hi);
    const ours = at >= 0 && objectClass(s, lo, hi) === sizeClass && s.maps[hi >>> 8]!.state[at] === s.mark;
    f.check('K26', ours && !seen.has(pointer), () => {
      return `the stack of class ${sizeClass} (${CLASS_SIZE[sizeClass]} bytes) has ${formatPointer(pointer)}`;
    });
    seen.add(pointer);
  }
}
