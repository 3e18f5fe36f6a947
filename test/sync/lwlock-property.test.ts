/** Any sequence of calls, by several participants of one thread, against a model in plain objects. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  FAIL_NONE,
  FAIL_SELF,
  FAIL_STALLED,
  HAS_WAITERS,
  HOLDERS_MASK,
  LOCK_STATE,
  LW_ACQUIRED,
  LW_EXCLUSIVE,
  LW_FAILED,
  lwlockAcquire,
  lwlockAcquireOrWait,
  lwlockConditionalAcquire,
  lwlockHeldByMe,
  lwlockHeldByMeInMode,
  lwlockInitialize,
  lwlockRelease,
  lwlockReleaseAll,
  type Participant,
} from '../../dist/sync/sync.js';
import { makeWorld } from './world.js';

const PEOPLE = 3;
const LOCKS = 4;
type Mode = 0 | 1;

/** Who holds which lock how; the order of acquisition per participant is the order of the list. */
type Model = { who: number; lock: number; mode: Mode }[];

interface Real {
  readonly memories: readonly Int32Array[];
  readonly people: Participant[];
}

/** Two memories with two locks each, so that word and memory number both matter. */
const place = (lock: number): [memory: number, word: number] => [lock >> 1, (lock & 1) * 4 + 4];

class Acquire implements fc.Command<Model, Real> {
  readonly #form: 'acquire' | 'conditional' | 'orWait';
  readonly #who: number;
  readonly #lock: number;
  readonly #mode: Mode;
  constructor(form: 'acquire' | 'conditional' | 'orWait', who: number, lock: number, mode: Mode) {
    this.#form = form;
    this.#who = who;
    this.#lock = lock;
    this.#mode = mode;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, real: Real): void {
    const [who, lock, mode] = [this.#who, this.#lock, this.#mode];
    const [memory, word] = place(lock);
    const p = real.people[who]!;
    const form = { acquire: lwlockAcquire, conditional: lwlockConditionalAcquire, orWait: lwlockAcquireOrWait }[
      this.#form
    ];
    const holders = model.filter((hold) => hold.lock === lock);
    const got = form(p, real.memories[memory]!, word, memory, mode);
    if (holders.some((hold) => hold.who === who)) {
      expect([got, p.failure]).toEqual([LW_FAILED, FAIL_SELF]);
    } else if (holders.length > 0 && (mode === LW_EXCLUSIVE || holders[0]!.mode === LW_EXCLUSIVE)) {
      // The time to wait is 0: the waiting forms queue, look once more, and give up.
      expect([got, p.failure]).toEqual([LW_FAILED, this.#form === 'conditional' ? FAIL_NONE : FAIL_STALLED]);
    } else {
      expect(got).toBe(LW_ACQUIRED);
      model.push({ who, lock, mode });
    }
    compare(model, real);
  }
  toString(): string {
    return `${this.#form}(${this.#who}, lock ${this.#lock}, mode ${this.#mode})`;
  }
}

class Release implements fc.Command<Model, Real> {
  readonly #who: number;
  readonly #lock: number;
  constructor(who: number, lock: number) {
    this.#who = who;
    this.#lock = lock;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, real: Real): void {
    const [memory, word] = place(this.#lock);
    const at = model.findIndex((hold) => hold.who === this.#who && hold.lock === this.#lock);
    expect(lwlockRelease(real.people[this.#who]!, real.memories[memory]!, word, memory)).toBe(at >= 0);
    if (at >= 0) model.splice(at, 1);
    compare(model, real);
  }
  toString(): string {
    return `release(${this.#who}, lock ${this.#lock})`;
  }
}

class ReleaseAll implements fc.Command<Model, Real> {
  readonly #who: number;
  constructor(who: number) {
    this.#who = who;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, real: Real): void {
    const mine = model.filter((hold) => hold.who === this.#who);
    const order: number[] = [];
    const released = lwlockReleaseAll(real.people[this.#who]!, (ns) => {
      order.push(ns);
      return real.memories[ns]!;
    });
    expect(released).toBe(mine.length);
    expect(order).toEqual(mine.map((hold) => place(hold.lock)[0]).reverse());
    for (const hold of mine) model.splice(model.indexOf(hold), 1);
    compare(model, real);
  }
  toString(): string {
    return `releaseAll(${this.#who})`;
  }
}

function compare(model: Model, real: Real): void {
  for (let lock = 0; lock < LOCKS; lock++) {
    const [memory, word] = place(lock);
    const holders = model.filter((hold) => hold.lock === lock);
    const state = real.memories[memory]![word + LOCK_STATE]! & ~HAS_WAITERS;
    const exclusive = holders.find((hold) => hold.mode === LW_EXCLUSIVE);
    expect(state & HOLDERS_MASK).toBe(exclusive === undefined ? holders.length : real.people[exclusive.who]!.id);
    expect(state >>> 18).toBe(exclusive === undefined ? 0 : 1);
    real.people.forEach((p, who) => {
      const hold = holders.find((h) => h.who === who);
      expect(lwlockHeldByMe(p, word, memory)).toBe(hold !== undefined);
      expect(lwlockHeldByMeInMode(p, word, memory, 0)).toBe(hold?.mode === 0);
      expect(lwlockHeldByMeInMode(p, word, memory, 1)).toBe(hold?.mode === 1);
    });
  }
  real.people.forEach((p, who) => {
    expect(p.nheld).toBe(model.filter((hold) => hold.who === who).length);
    expect(p.lostWakeups).toBe(0);
  });
}

test('any sequence of calls leaves locks and lists as the model says', () => {
  const who = fc.nat({ max: PEOPLE - 1 });
  const lock = fc.nat({ max: LOCKS - 1 });
  const mode = fc.constantFrom<Mode>(0, 1);
  const form = fc.constantFrom('acquire' as const, 'conditional' as const, 'orWait' as const);
  const commands = fc.commands(
    [
      fc.tuple(form, who, lock, mode).map((args) => new Acquire(...args)),
      fc.tuple(who, lock).map((args) => new Release(...args)),
      who.map((n) => new ReleaseAll(n)),
    ],
    { maxCommands: 80 },
  );
  fc.assert(
    fc.property(commands, (sequence) => {
      fc.modelRun(() => {
        const world = makeWorld(PEOPLE);
        const memories = [world.i32, new Int32Array(new SharedArrayBuffer(256))];
        for (let n = 0; n < LOCKS; n++) lwlockInitialize(memories[place(n)[0]]!, place(n)[1], 34);
        const people = Array.from({ length: PEOPLE }, () => world.join(0));
        for (const p of people) p.spin = 2;
        return { model: [], real: { memories, people } };
      }, sequence);
    }),
    { numRuns: 300 },
  );
});
