/** Closing a heap where a lock stands in the way: nothing is lost, and a second close goes on. */

import { describe, expect, it } from 'vitest';
import { C_LOCK, C_REFCNT } from '../../dist/dsa/area-layout.js';
import type { AreaState } from '../../dist/dsa/state.js';
import { CONTROL_LOCK, CONTROL_NS } from '../../dist/dsm/failures.js';
import { SharedHeap } from '../../dist/heap/heap.js';
import { LW_EXCLUSIVE, lwlockAcquire, lwlockRelease } from '../../dist/sync/sync.js';
import { closeSound, codeOf, STORES, textOf } from './helpers.js';

const stateOf = (heap: SharedHeap) => (heap as unknown as { area: { state: AreaState } }).area.state;

/** Runs `action` while the participant of `s` has a lock in this memory. */
function under<T>({ p }: AreaState, memory: Int32Array, word: number, ns: number, action: () => T): T {
  expect(lwlockAcquire(p, memory, word, ns, LW_EXCLUSIVE)).not.toBe(0);
  const result = action();
  lwlockRelease(p, memory, word, ns);
  return result;
}

describe.each(STORES)('closing on %s', (store) => {
  const setting = () => {
    const heap = SharedHeap.create({ store, initSegmentSize: '256KiB', lockTimeout: 20 });
    const other = SharedHeap.attach(heap.handle);
    const s = stateOf(heap);
    const participants = () => [s.dsm.stats().participants, s.ctl[C_REFCNT]];
    return { heap, other, s, participants };
  };

  it('is refused while locks are held, which are named, and changes nothing then', () => {
    const { heap, other, participants } = setting();
    const there = stateOf(other);
    const text = under(there, there.ctl, C_LOCK, there.ns, () => textOf(() => other.close()));
    expect(text).toContain('ERR_HEAP_LOCK_HELD');
    expect(text).toContain(`holds lock "SharedHeapDSA" at byte ${C_LOCK * 4} of memory ${there.ns >>> 0}`);
    expect([other.closed, participants()]).toEqual([false, [2, 2]]);
    other.free(other.alloc(100));
    other.close();
    expect(participants()).toEqual([1, 1]);
    closeSound(heap);
  });

  it('goes on at the second call when the control lock has stalled', () => {
    const { heap, other, s, participants } = setting();
    other.sizeOf(heap.alloc('1MiB'));
    const codes = under(s, s.dsm.control, CONTROL_LOCK, CONTROL_NS, () =>
      [0, 1].map(() => codeOf(() => other.close())),
    );
    expect(codes).toEqual(['ERR_HEAP_LOCK_STALLED', 'ERR_HEAP_LOCK_STALLED']);
    expect([other.closed, codeOf(() => other.alloc(8)), participants()]).toEqual([true, 'ERR_HEAP_CLOSED', [2, 1]]);
    other.close();
    expect(participants()).toEqual([1, 1]);
    other.close();
    expect(s.dsm.stats().segments.map(({ references }) => references)).toEqual([2, 2]);
    closeSound(heap);
  });

  it('ends the attachment all the same when the area lock has stalled', () => {
    const { heap, other, s, participants } = setting();
    expect(under(s, s.ctl, C_LOCK, s.ns, () => codeOf(() => other.close()))).toBe('ERR_HEAP_LOCK_STALLED');
    expect(participants()).toEqual([1, 2]);
    expect(codeOf(() => other.close())).toBe('nothing');
    // Whoever comes or goes next finds that nobody stands behind the reference.
    const third = SharedHeap.attach(heap.handle);
    expect(participants()).toEqual([2, 2]);
    third.close();
    expect(participants()).toEqual([1, 1]);
    closeSound(heap);
    expect(s.dsm.participant.closed).toBe(true);
  });
});
