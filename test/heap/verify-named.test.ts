/** `heap.verify()` looks into what has a name, also where this thread never opened it. */
import { describe, expect, it } from 'vitest';
import { HEADER_MARK } from '../../dist/heap/queue-layout.js';
import { type HeapReport, SharedHeap } from '../../dist/index.js';
import { STORES } from './helpers.js';

const POINT = { x: 'f64', list: 'pointer', n: 'u32' } as const;
/** A key of a map, and its first four bytes as a word. */
const KEY = 'needle in the hay';
const KEY_WORD = 0x64_65_65_6e;
/** `{"i":0}` with its header, rounded up. */
const MESSAGE_BYTES = 16;

/** A heap with names that another participant, which is gone, has made and filled. */
function filled(store: (typeof STORES)[number]): SharedHeap {
  const heap = SharedHeap.create({ store });
  const other = SharedHeap.attach(heap.handle);
  const points = other.map('points', { key: 'number', value: POINT });
  for (let i = 0; i < 500; i++) points.set(i, { x: i / 2, list: 0, n: i });
  other.map('texts').set(KEY, ['b', 'c']);
  const queue = other.queue('jobs');
  for (let i = 0; i < 10; i++) queue.send({ i });
  other.lock('l').acquire().release();
  other.close();
  return heap;
}

/** Adds 1 to the word of the heap's main area that has this value, and lets `verify` say what it finds; then undoes it. */
function damaged(heap: SharedHeap, value: number): HeapReport {
  const area = heap['open']();
  for (const { index } of area.segments()) {
    const words = area.resolve(index);
    const at = words.indexOf(value);
    if (at < 0) continue;
    words[at]!++;
    const report = heap.verify();
    words[at]!--;
    return report;
  }
  throw new Error(`${value} is nowhere in the heap`);
}

describe.each(STORES)('names of a heap on %s', (store) => {
  it('are checked, and nothing is found in what is right', () => {
    const heap = filled(store);
    const bare = SharedHeap.create({ store });
    for (const options of [{}, { quiescent: false }]) {
      const { ok, checks, findings } = heap.verify(options);
      expect([ok, findings]).toEqual([true, []]);
      expect(checks).toBeGreaterThan(bare.verify(options).checks + 500);
    }
    bare.close();
    heap.close();
  });

  it('a key that was overwritten in a map is found', () => {
    const heap = filled(store);
    const { ok, findings } = damaged(heap, KEY_WORD);
    expect([ok, findings.map(({ id }) => id)]).toEqual([false, ['N5']]);
    expect(findings[0]!.message).toContain("map 'texts': ");
    expect(heap.verify().ok).toBe(true);
    heap.close();
  });

  it('a header that was overwritten in a queue is found', () => {
    const heap = filled(store);
    const { ok, findings } = damaged(heap, (3 * MESSAGE_BYTES) ^ HEADER_MARK);
    expect([ok, findings.map(({ id }) => id)]).toEqual([false, ['U1']]);
    expect(findings[0]!.message).toContain("queue 'jobs': ");
    expect(heap.verify().ok).toBe(true);
    heap.close();
  });
});
