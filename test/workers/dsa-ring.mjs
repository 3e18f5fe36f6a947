/**
 * Objects handed from thread to thread, and what they hold: shared by the threads tests of dsa and their workers.
 *
 * Between any two threads there is a ring with one writer and one reader. The tail is stored after the entry was
 * written, and loaded before it is read, which also orders what was written into the object.
 */

/** Entries of a ring, and words of an entry: pointer in two halves, size, seed. */
const ENTRIES = 64;
const ENTRY_WORDS = 4;
const RING_WORDS = 2 + ENTRIES * ENTRY_WORDS;
const TWO_32 = 2 ** 32;

/** Memory of the rings among `threads` threads, and of a barrier for them in the last word. */
export function ringMemory(threads) {
  return new SharedArrayBuffer((threads * threads * RING_WORDS + 1) * 4);
}

/** Waits until all threads have come here `turn` times. `attend` answers others meanwhile. */
export function meet(memory, threads, turn, attend) {
  const words = new Int32Array(memory);
  const at = words.length - 1;
  Atomics.add(words, at, 1);
  Atomics.notify(words, at);
  for (let seen = Atomics.load(words, at); seen < threads * turn; seen = Atomics.load(words, at)) {
    Atomics.wait(words, at, seen, 5);
    attend();
  }
}

/** The ring from one thread to another. */
export class Ring {
  constructor(memory, threads, from, to) {
    this.words = new Int32Array(memory, (from * threads + to) * RING_WORDS * 4, RING_WORDS);
  }

  /** @returns {boolean} false when the ring is full */
  push({ pointer, size, seed }) {
    const { words } = this;
    const tail = Atomics.load(words, 1);
    if (tail - Atomics.load(words, 0) === ENTRIES) return false;
    const at = 2 + (tail % ENTRIES) * ENTRY_WORDS;
    words[at] = pointer % TWO_32;
    words[at + 1] = Math.floor(pointer / TWO_32);
    words[at + 2] = size;
    words[at + 3] = seed;
    Atomics.store(words, 1, tail + 1);
    return true;
  }

  /** @returns the oldest object, or null */
  pop() {
    const { words } = this;
    const head = Atomics.load(words, 0);
    if (head === Atomics.load(words, 1)) return null;
    const at = 2 + (head % ENTRIES) * ENTRY_WORDS;
    const object = { pointer: words[at + 1] * TWO_32 + (words[at] >>> 0), size: words[at + 2], seed: words[at + 3] };
    Atomics.store(words, 0, head + 1);
    return object;
  }
}

/** The words of an object that are looked at: all of a small one, the ends of a larger one and a word of each page. */
function next(k, words) {
  return words <= 2048 || k < 255 || k >= words - 256 ? k + 1 : Math.min(k + 1024, words - 256);
}

function wordsOf(area, { pointer, size }) {
  const { buffer, byteOffset } = area.getAddress(pointer);
  return new Int32Array(buffer, byteOffset, Math.ceil(size / 4));
}

/** Writes what the object's seed says. */
export function fill(area, object) {
  const words = wordsOf(area, object);
  for (let k = 0; k < words.length; k = next(k, words.length)) words[k] = object.seed ^ (k * 0x9e37);
}

/** Throws unless the object is live, as large as it was, and holds what was written into it. */
export function verify(area, object) {
  const { pointer, size, seed } = object;
  if (area.sizeOf(pointer) < size) throw new Error(`${pointer.toString(16)} has shrunk`);
  const words = wordsOf(area, object);
  for (let k = 0; k < words.length; k = next(k, words.length)) {
    if (words[k] !== (seed ^ (k * 0x9e37))) {
      throw new Error(`word ${k} of ${pointer.toString(16)} (${size} bytes, seed ${seed}) is ${words[k]}`);
    }
  }
}

/** Random numbers below `n`, from a seed (mulberry32). */
export function randomFrom(seed) {
  let a = seed | 0;
  return (n) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

/** A size: mostly small, some large enough for pages of their own, a few for most of a segment. */
export function randomSize(random) {
  const kind = random(100);
  if (kind < 55) return 1 + random(200);
  if (kind < 80) return 1 + random(8192);
  if (kind < 97) return 8193 + random(60_000);
  return 60_000 + random(700_000);
}
