/**
 * Maps that several threads can read: ours and others'.
 *
 * A subject is made in the main thread and opened in workers from plain data. The peers cannot grow once they are
 * shared, or not so that others notice, and are made large enough; ours is told the same number. `sharedmap` keeps text
 * only, so its numbers go in and out as text, as it does it itself. A JS Map is copied, by structured clone: what it
 * costs to share is all that can be measured.
 *
 * @typedef {object} OpenMap
 * @property {(key: string, value: number) => unknown} set
 * @property {(key: string) => number | undefined} get
 * @property {() => void} [close]
 *
 * @typedef {object} MapSubject
 * @property {string} id
 * @property {string} subject as shown
 * @property {boolean} peer
 * @property {'many' | 'one' | 'none'} writers threads that may write at the same time
 * @property {(entries: number, beside?: MadeMap) => MadeMap} make another one, where that matters beside the first
 * @property {(shared: any) => void} [enter] what a worker does when it starts, not when it is sent a map
 * @property {(shared: any) => OpenMap} open
 * @property {() => void} [leave] what a worker does before it ends
 *
 * @typedef {object} MadeMap
 * @property {() => unknown} share
 * @property {OpenMap} map
 * @property {() => void} close closes also what was made beside it
 * @property {SharedHeap} [heap] it lies in
 */

import { createRequire } from 'node:module';
import { SharedHeap } from 'sharedheap';

const require = createRequire(import.meta.url);
/** @type {any} Its types name a module member that is not there. */
const SharedMap = require('sharedmap');
const { ShareableMap } = require('shared-memory-datastructures');

/** Characters of a key and of a number as text, for those who want to know. */
const KEY_SIZE = 16;
const VALUE_SIZE = 16;
/** Room beside the entries for maps of a fixed size. */
const SPARE = 1.3;
const NAMES = ['terms', 'other terms'];
const OPTIONS = /** @type {const} */ ({ key: 'string', value: 'number' });

/** Heaps that this thread is attached to, by their area. @type {Map<number, SharedHeap>} */
const attached = new Map();

/** @param {{ handle: import('sharedheap').HeapHandle }} shared */
function attach({ handle }) {
  const heap = attached.get(handle.area) ?? SharedHeap.attach(handle);
  attached.set(handle.area, heap);
  return heap;
}

/** @type {MapSubject} */
const OURS = {
  id: 'heap-map',
  subject: 'heap.map',
  peer: false,
  writers: 'many',
  make(entries, beside) {
    const heap = beside?.heap ?? SharedHeap.create();
    const name = /** @type {string} */ (NAMES[beside === undefined ? 0 : 1]);
    const map = heap.map(name, { ...OPTIONS, capacity: entries });
    return { share: () => ({ handle: heap.handle, name }), map, close: () => heap.close(), heap };
  },
  enter: attach,
  open(shared) {
    const heap = attach(shared);
    const map = heap.map(shared.name, OPTIONS);
    return {
      set: (key, value) => map.set(key, value),
      get: (key) => map.get(key),
      close() {
        attached.delete(shared.handle.area);
        heap.close();
      },
    };
  },
  leave() {
    for (const heap of attached.values()) heap.close();
  },
};

/** The same in a worker that has not attached to the heap yet. @type {MapSubject} */
const OURS_AND_HEAP = { ...OURS, id: 'heap-and-map', subject: 'heap and map', writers: 'none', enter: () => {} };

/** What sending two workers a message costs by itself. @type {MapSubject} */
const NOTHING = {
  id: 'nothing',
  subject: 'no map: a number',
  peer: false,
  writers: 'none',
  make: (entries) => ({ share: () => entries - 1, map: new Map(), close() {} }),
  open: (last) => ({ get: () => last, set() {} }),
};

/** @type {MapSubject} */
const SHARED_MAP = {
  id: 'sharedmap',
  subject: 'sharedmap',
  peer: true,
  writers: 'many',
  make(entries) {
    const map = new SharedMap(Math.ceil(entries * SPARE), KEY_SIZE, VALUE_SIZE);
    return { share: () => map, map, close() {} };
  },
  open(map) {
    Object.setPrototypeOf(map, SharedMap.prototype);
    return { set: (key, value) => map.set(key, value), get: (key) => Number(map.get(key)) };
  },
};

/** @type {MapSubject} */
const SHAREABLE_MAP = {
  id: 'shareable-map',
  subject: 'ShareableMap',
  peer: true,
  // With two it loses entries, throws, or does not come back.
  writers: 'one',
  make(entries) {
    const map = new ShareableMap({ expectedSize: Math.ceil(entries * SPARE), averageBytesPerValue: VALUE_SIZE });
    return { share: () => map.toTransferableState(), map, close() {} };
  },
  open(state) {
    return ShareableMap.fromTransferableState(state);
  },
};

/** @type {MapSubject} */
const CLONED_MAP = {
  id: 'structured-clone',
  subject: 'JS Map, cloned',
  peer: true,
  writers: 'none',
  make() {
    const map = new Map();
    return { share: () => map, map, close() {} };
  },
  open: (map) => map,
};

export const MAP_SUBJECTS = [OURS, OURS_AND_HEAP, NOTHING, SHARED_MAP, SHAREABLE_MAP, CLONED_MAP];
/** Those that sharing alone is measured with. */
export const SHARE_ONLY = [OURS_AND_HEAP.id, NOTHING.id];

/** @param {string} id @returns {MapSubject} */
export function subjectNamed(id) {
  const found = MAP_SUBJECTS.find((one) => one.id === id);
  if (found === undefined) throw new Error(`no map is called ${id}`);
  return found;
}

/** @param {number} n */
export const keyOf = (n) => `term ${n}`;
