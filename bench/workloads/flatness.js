/**
 * Does the cost grow? Pairs and random replacement with ever more live objects of 64 bytes, and with ever more segments.
 *
 * Live objects outgrow the caches of the processor, which any program would feel; "plain memory" shows how much: it
 * picks a random entry of a table of the same length and changes a word of the 64 bytes that the entry names.
 * The number of segments changes alone: the live objects stay about 600,000, only their segments get smaller.
 *
 * Replacing is shown twice. In `live-replace` the superblocks are full: whenever the active one is, the list of those
 * with a hole or two is walked for one that has emptied, here as in C, and the list is as long as there are objects.
 * In `live-loose` a fifth of the objects was freed first, so that there is room everywhere.
 */

import { below, next, SEED } from '../random.js';
import { AreaSubject } from '../subjects.js';

const SIZE = 64;
const LIVE = [1000, 10_000, 100_000, 1_000_000];
const PAGE_SIZE = 4096;
const SUPERBLOCK_PAGES = 16;
const OBJECTS_PER_SUPERBLOCK = (SUPERBLOCK_PAGES * PAGE_SIZE) / SIZE;
/** Segments, and superblocks in each. */
const SEGMENTS = /** @type {const} */ ([
  [1, 600],
  [16, 38],
  [64, 9],
  [200, 3],
]);

/**
 * An area of so many segments that are full of objects of 64 bytes.
 *
 * @param {number} segments
 * @param {number} superblocks in each segment
 */
function areaOfSegments(segments, superblocks) {
  const data = superblocks * SUPERBLOCK_PAGES;
  // The segment's own pages (page map included) and those for spans need the rest, which is too small for another block.
  const pages = data + 15 + Math.ceil((data * 8) / PAGE_SIZE) + Math.floor(superblocks / 72);
  const bytes = Math.max(pages * PAGE_SIZE, 64 * PAGE_SIZE);
  const subject = AreaSubject.create({ initSegmentSize: bytes, maxSegmentSize: bytes });
  subject.fill(segments * superblocks * OBJECTS_PER_SUPERBLOCK, SIZE, SIZE);
  const made = subject.area.segments().length;
  if (made !== segments) throw new Error(`${made} segments instead of ${segments}`);
  return subject;
}

/** @param {number} live */
function areaOfObjects(live) {
  const subject = AreaSubject.create();
  subject.fill(live, SIZE, SIZE);
  return subject;
}

/** The same with holes: a quarter more was allocated, and then freed at random. @param {number} live */
function looseAreaOfObjects(live) {
  const subject = areaOfObjects(live * 1.25);
  const { area, pointers } = subject;
  let x = SEED;
  for (let left = pointers.length; left > live; left--) {
    x = next(x);
    const k = below(x, left);
    area.free(/** @type {import('sharedheap').Pointer} */ (pointers[k]));
    pointers[k] = pointers[left - 1] ?? 0;
  }
  subject.pointers = pointers.slice(0, live);
  return subject;
}

/** @param {() => AreaSubject} open */
function prepares(open) {
  return {
    pair() {
      const subject = open();
      return { run: (/** @type {number} */ count) => subject.pairs(SIZE, count), close: () => subject.close() };
    },
    replace() {
      const subject = open();
      return { run: (/** @type {number} */ count) => subject.replace(count), close: () => subject.close() };
    },
  };
}

/** @param {number} live */
function preparePlainMemory(live) {
  // Filled, because the first touch of a page is dear.
  const words = new Int32Array(new SharedArrayBuffer(live * SIZE)).fill(1);
  const places = Float64Array.from({ length: live }, (_, i) => i * SIZE);
  let x = SEED;
  return {
    run(/** @type {number} */ count) {
      let y = x;
      for (let i = 0; i < count; i++) {
        y = next(y);
        const word = (places[below(y, live)] ?? 0) / 4;
        words[word] = (words[word] ?? 0) + 1;
      }
      x = y;
      return words[0] ?? 0;
    },
  };
}

const ours = { group: 'flatness', id: 'area', subject: 'DsaArea' };

/** @type {Record<string, (live: number) => () => import('../cases.js').Prepared>} */
const BY_OBJECTS = {
  'live-pair': (live) => prepares(() => areaOfObjects(live)).pair,
  'live-replace': (live) => prepares(() => areaOfObjects(live)).replace,
  'live-loose': (live) => prepares(() => looseAreaOfObjects(live)).replace,
};

const byObjects = Object.entries(BY_OBJECTS).flatMap(([series, prepare]) =>
  LIVE.map((live) => ({ ...ours, workload: `${series}-${live}`, series, prepare: prepare(live) })),
);

const bySegments = (/** @type {'pair' | 'replace'} */ kind) =>
  SEGMENTS.map(([segments, superblocks]) => ({
    ...ours,
    workload: `segments-${kind}-${segments}`,
    series: `segments-${kind}`,
    prepare: prepares(() => areaOfSegments(segments, superblocks))[kind],
  }));

const plainMemory = LIVE.map((live) => ({
  group: 'flatness',
  id: 'memory',
  subject: 'plain memory',
  workload: `live-memory-${live}`,
  series: 'live-memory',
  prepare: () => preparePlainMemory(live),
}));

/** @type {import('../cases.js').Case[]} */
export const FLATNESS_CASES = [...byObjects, ...plainMemory, ...bySegments('pair'), ...bySegments('replace')];
