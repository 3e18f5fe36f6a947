/**
 * What the store needs from the engine fails at its n-th use, n = 1, 2, ... until nothing fails any more. After each
 * failure everything is as it was, and the rest of the script goes on.
 */
import { BroadcastChannel } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { Dsm, type DsmSegment, ResourceOwner } from '../../dist/dsm/dsm.js';
import { FreePageManager } from '../../dist/freepage/freepage.js';
import { codeOf, lostPages, make, makeCluster, requireEmpty, type Store, STORES } from './helpers.js';

/** Makes the n-th use of something fail. */
interface Fault {
  /** Arms it: the `n`-th use from now on fails. */
  arm(n: number): void;
  /** Uses that have failed since. */
  readonly fired: number;
  restore(): void;
}

/** Puts `replacement`, which gets the counted original, in the place of `holder[name]`. */
function fault<T extends object>(
  holder: T,
  name: keyof T,
  wrap: (original: any, due: () => boolean) => unknown,
): Fault {
  const original = holder[name];
  let left = Infinity;
  const state = {
    fired: 0,
    arm(n: number) {
      left = n;
      state.fired = 0;
    },
    restore: () => void (holder[name] = original),
  };
  const due = () => {
    left--;
    if (left === 0) state.fired++;
    return left === 0;
  };
  holder[name] = wrap(original, due) as T[keyof T];
  return state;
}

const refusal = () => new RangeError('Array buffer allocation failed');

const faults: Record<string, { store: Store; make: () => Fault }> = {
  'a buffer': {
    store: 'buffers',
    make: () =>
      fault(globalThis, 'SharedArrayBuffer', (Real: SharedArrayBufferConstructor, due) => {
        return class extends Real {
          constructor(length: number) {
            if (due()) throw refusal();
            super(length);
          }
        };
      }),
  },
  'a view of a buffer': {
    store: 'buffers',
    make: () =>
      fault(globalThis, 'Int32Array', (Real: Int32ArrayConstructor, due) => {
        const Failing = class extends Real {
          constructor(...args: [any]) {
            // Only the check of a new buffer: one argument.
            if (args.length === 1 && args[0] instanceof SharedArrayBuffer && due()) throw refusal();
            super(...args);
          }
        };
        return Failing;
      }),
  },
  'a message': {
    store: 'buffers',
    make: () =>
      fault(BroadcastChannel.prototype, 'postMessage', (real: (message: unknown) => void, due) => {
        return function (this: BroadcastChannel, message: { t: string }) {
          if (message.t === 'segment' && due()) throw new Error('the channel is broken');
          real.call(this, message);
        };
      }),
  },
  'a run of pages': {
    store: 'region',
    make: () =>
      fault(FreePageManager.prototype, 'get', (real: (npages: number) => number, due) => {
        return function (this: FreePageManager, npages: number) {
          return due() ? -1 : real.call(this, npages);
        };
      }),
  },
};

let armed: Fault | null = null;
afterEach(() => armed?.restore());

/** A script that needs the store often; `attempt` is told each step, and gives its result or null when it failed. */
function script(a: Dsm, b: Dsm, attempt: <T>(step: () => T) => T | null): void {
  const scope = new ResourceOwner(a, 'scope');
  const held: DsmSegment[] = [];
  for (let round = 0; round < 4; round++) {
    a.currentOwner = round === 2 ? scope : null;
    const first = attempt(() => make(a, 100 + round));
    const second = attempt(() => make(b, 20_000 * (round + 1)));
    a.currentOwner = null;
    if (first !== null) {
      held.push(first);
      const theirs = attempt(() => b.attach(first.handle));
      if (theirs !== null && round % 2 === 0) theirs.pinSegment();
    }
    if (second !== null) {
      second.i32.fill(round);
      if (round % 2 === 1) second.detach();
    }
    attempt(() => a.create(5000, 1))?.detach();
  }
  scope.release();
  for (const segment of held) if (segment.mapped) segment.detach();
  for (const { handle, pinned } of a.stats().segments) if (pinned) a.unpinSegment(handle);
}

describe.each(Object.entries(faults))('when %s cannot be had at the n-th time', (_, { store, make: makeFault }) => {
  it('the call fails with its code, all is as it was, and everybody goes on', () => {
    let n = 0;
    let fired = 1;
    while (fired > 0) {
      n++;
      const a = makeCluster(store);
      const b = Dsm.join(a.handle);
      const start = a.stats();
      const current = (armed = makeFault());
      current.arm(n);
      let failures = 0;
      script(a, b, (step) => {
        const before = a.stats();
        const known = [a, b].map((d) => d.impl.known().length);
        const firedBefore = current.fired;
        let result = null;
        const code = codeOf(() => (result = step()));
        expect(code).toBe(current.fired > firedBefore ? 'ERR_HEAP_OUT_OF_MEMORY' : 'nothing');
        if (code === 'nothing') return result;
        failures++;
        expect(a.stats()).toEqual(before);
        expect([a, b].map((d) => d.impl.known().length)).toEqual(known);
        return null;
      });
      ({ fired } = current);
      current.restore();
      expect(failures).toBe(fired);
      b.leave();
      requireEmpty(a);
      // Pages that were touched stay so; everything else is as at the start.
      const { touchedBytes: _, participants, ...rest } = start;
      expect(a.stats()).toMatchObject({ ...rest, participants: participants - 1 });
      if (store === 'region') expect(lostPages(a)).toBe(0);
      a.leave();
    }
    expect(n).toBeGreaterThan(10);
  });
});

describe.each(STORES)('when the memory of a cluster cannot be had on %s', (store) => {
  it('a smaller region is taken, or the error says that the engine refused', () => {
    armed = faults['a buffer']!.make();
    armed.arm(1);
    const code = codeOf(() => {
      const dsm = makeCluster(store, { regionSize: 64 * 2 ** 20 });
      expect(dsm.stats()).toMatchObject({ reservedBytes: 32 * 2 ** 20, wantedBytes: 64 * 2 ** 20 });
      dsm.leave();
    });
    expect([code, armed.fired]).toEqual([store === 'region' ? 'nothing' : 'ERR_HEAP_HOST_LIMIT', 1]);
  });
});

describe('when messages cannot be sent any more', () => {
  const breakAll = () => {
    armed = fault(BroadcastChannel.prototype, 'postMessage', () => () => {
      throw new Error('the channel is broken');
    });
  };

  it('segments can still be given back, attached and left', () => {
    const a = makeCluster('buffers', { attachTimeout: 50 });
    const stale = a.handle;
    const b = Dsm.join(a.handle);
    const [kept, gone] = [make(a, 100), make(a, 100)];
    breakAll();
    gone.detach();
    expect(b.attach(kept.handle)!.mapLength).toBe(100);
    expect(codeOf(() => a.create(100))).toBe('ERR_HEAP_OUT_OF_MEMORY');
    // In the same thread it is found without a message.
    const late = Dsm.join(stale);
    expect(late.attach(kept.handle)!.mapLength).toBe(100);
    expect(a.stats().segments).toMatchObject([{ references: 3 }]);
    late.leave();
    b.leave();
    kept.detach();
    expect(a.stats().segments).toEqual([]);
    a.leave();
  });
});
