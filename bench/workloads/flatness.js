/**
 * Does the cost grow? Pairs and random replacement with ever more live objects of 64 bytes, with ever more segments, and
 * with ever more attached participants.
 *
 * Live objects outgrow the caches of the processor, which any program would feel; "plain memory" shows how much: it
 * picks a random entry of a table of the same length and changes a word of the 64 bytes that the entry names. mimalloc
 * is there for comparison, too. The number of segments changes alone: the live objects stay about 600,000, only their
 * segments get smaller. The further participants are attached by the same thread and do nothing.
 *
 * Replacing is shown twice. In `live-replace` the superblocks are full: whenever the active one is, the list of those
 * with a hole or two is walked for one that has emptied, here as in C, and the list is as long as there are objects.
 * In `live-loose` a fifth of the objects was freed first, so that there is room everywhere.
 */

import { SharedHeap } from 'sharedheap';
import { Loops } from '../loops.js';
import { below, next, SEED } from '../random.js';
import { AREA, AreaAllocator, HEAP, HeapAllocator } from '../subjects/ours.js';
import { whoOf } from '../subjects/subject.js';
import { MIMALLOC } from '../subjects/wasm.js';

/** @typedef {import('../subjects/subject.js').Subject} Subject */
/** @typedef {import('../cases.js').Case} Case */

const SIZE = 64;
const LIVE = [1000, 10_000, 100_000, 1_000_000, 10_000_000];
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
/** Attached participants, the one that works among them. */
const PARTICIPANTS = [1, 8, 64];
const PARTICIPANTS_LIVE = 10_000;

const OURS = [HEAP, AREA];

/** How many segments a subject of ours has. @param {any} allocator */
function segmentsOf(allocator) {
  return allocator instanceof AreaAllocator ? allocator.area.segments().length : allocator.heap.stats().segments;
}

/**
 * A subject of ours with segments of one size.
 *
 * @param {Subject} subject
 * @param {number} bytes
 */
function openWithSegments(subject, bytes) {
  const options = { initSegmentSize: bytes, maxSegmentSize: bytes };
  return subject === AREA ? AreaAllocator.create(options) : new HeapAllocator(SharedHeap.create(options));
}

/**
 * So many segments that are full of objects of 64 bytes.
 *
 * @param {Subject} subject
 * @param {number} segments
 * @param {number} superblocks in each segment
 */
function loopsOfSegments(subject, segments, superblocks) {
  const data = superblocks * SUPERBLOCK_PAGES;
  // The segment's own pages (page map included) and those for spans need the rest, which is too small for another block.
  const pages = data + 15 + Math.ceil((data * 8) / PAGE_SIZE) + Math.floor(superblocks / 72);
  const bytes = Math.max(pages * PAGE_SIZE, 64 * PAGE_SIZE);
  const loops = new Loops(openWithSegments(subject, bytes));
  loops.fill(segments * superblocks * OBJECTS_PER_SUPERBLOCK, SIZE, SIZE);
  const made = segmentsOf(loops.allocator);
  if (made !== segments) throw new Error(`${made} segments instead of ${segments}`);
  return loops;
}

/**
 * @param {Subject} subject
 * @param {number} live
 */
function loopsOfObjects(subject, live) {
  const loops = new Loops(subject.open());
  loops.fill(live, SIZE, SIZE);
  return loops;
}

/**
 * The same with holes: a quarter more was allocated, and then freed at random.
 *
 * @param {Subject} subject
 * @param {number} live
 */
function looseLoopsOfObjects(subject, live) {
  const loops = loopsOfObjects(subject, live * 1.25);
  const { allocator, blocks } = loops;
  let x = SEED;
  for (let left = blocks.length; left > live; left--) {
    x = next(x);
    const k = below(x, left);
    allocator.free(blocks[k]);
    blocks[k] = blocks[left - 1];
  }
  loops.blocks = blocks.slice(0, live);
  return loops;
}

/**
 * @param {Subject} subject
 * @param {number} participants
 */
function loopsAmongParticipants(subject, participants) {
  const loops = loopsOfObjects(subject, PARTICIPANTS_LIVE);
  for (let other = 1; other < participants; other++) {
    const shared = loops.allocator.share?.();
    subject.attach?.(shared).alloc(SIZE);
  }
  return loops;
}

/** @param {() => Loops} open */
function prepares(open) {
  return {
    pair() {
      const loops = open();
      return { run: (/** @type {number} */ count) => loops.pairs(SIZE, count) };
    },
    replace() {
      const loops = open();
      return { run: (/** @type {number} */ count) => loops.replace(count) };
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

/**
 * @param {Subject} subject
 * @param {string} series
 * @param {number} step what grows in the series
 * @param {() => import('../cases.js').Prepared} prepare
 * @returns {Case}
 */
function flatCase(subject, series, step, prepare) {
  const name = `${series}-${step}`;
  return { ...whoOf(subject), group: 'flatness', workload: name, series: `${series}/${subject.id}`, prepare };
}

/** @type {Record<string, (subject: Subject, live: number) => () => import('../cases.js').Prepared>} */
const BY_OBJECTS = {
  'live-pair': (subject, live) => prepares(() => loopsOfObjects(subject, live)).pair,
  'live-replace': (subject, live) => prepares(() => loopsOfObjects(subject, live)).replace,
  'live-loose': (subject, live) => prepares(() => looseLoopsOfObjects(subject, live)).replace,
};

const byObjects = Object.entries(BY_OBJECTS).flatMap(([series, prepare]) =>
  [...OURS, MIMALLOC].flatMap((subject) => LIVE.map((live) => flatCase(subject, series, live, prepare(subject, live)))),
);

const bySegments = (/** @type {'pair' | 'replace'} */ kind) =>
  OURS.flatMap((subject) =>
    SEGMENTS.map(([segments, superblocks]) => {
      const prepare = prepares(() => loopsOfSegments(subject, segments, superblocks))[kind];
      return flatCase(subject, `segments-${kind}`, segments, prepare);
    }),
  );

const byParticipants = (/** @type {'pair' | 'replace'} */ kind) =>
  OURS.flatMap((subject) =>
    PARTICIPANTS.map((participants) => {
      const prepare = prepares(() => loopsAmongParticipants(subject, participants))[kind];
      return flatCase(subject, `participants-${kind}`, participants, prepare);
    }),
  );

const PLAIN_MEMORY = { ...AREA, id: 'memory', subject: 'plain memory' };
const plainMemory = LIVE.map((live) => flatCase(PLAIN_MEMORY, 'live-memory', live, () => preparePlainMemory(live)));

/** @type {Case[]} */
export const FLATNESS_CASES = [
  ...byObjects,
  ...plainMemory,
  ...bySegments('pair'),
  ...bySegments('replace'),
  ...byParticipants('pair'),
  ...byParticipants('replace'),
];
