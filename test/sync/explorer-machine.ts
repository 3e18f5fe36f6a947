/**
 * The machine that an exploration drives: participants that run the lock's real code (explorer-code.ts) in one thread,
 * their shared memory, and a choice at each step of whose atomic operation comes next.
 *
 * A state is the shared words plus, for each participant, a hash of the values that its operations returned (its private
 * state is a function of them). When a function returns, what it saw is forgotten but for its result, and what it leaves
 * in the participant: that is all that the rest can depend on. So it is at the start of each turn of a waiting loop.
 */

import * as held from '../../dist/sync/lwlock-held.js';
import { Participant, type Peers } from '../../dist/sync/participant.js';
import * as slotLayout from '../../dist/sync/participant-layout.js';
import { type Ablation, ATOMIC, compile, type LockCode, type Run, type Steps } from './explorer-code.js';

/** Words of the memory of a scenario. */
export const LOCK = 4;
export const OTHER_LOCK = 12;
/** Words from slot to slot, and of a memory: as few as the code touches here. */
const SLOT_WORDS = 64;

/** One participant under the scheduler. */
interface Thread {
  readonly p: Participant;
  run: Run;
  done: boolean;
  dead: boolean;
  /** Somebody has asked whether it is alive since it died. */
  knownDead: boolean;
  parked: boolean;
  parkedOn: number;
  /** Number of its parking: who parked first on a word is woken first. */
  parkedAt: number;
  /** Time-outs of its parking that the scheduler may still fire. */
  timeouts: number;
  clock: number;
  h1: number;
  h2: number;
}

/** What a scenario's participants work with. */
export interface World {
  readonly code: LockCode;
  readonly memory: Int32Array;
  readonly memory1: Int32Array;
  readonly vars: BigInt64Array;
  readonly threads: Thread[];
  readonly unknowable: boolean;
  /** Operations on words of the scenario itself: steps like those of the code. */
  readonly load: Steps;
  readonly add: Steps;
  readonly store: Steps;
  readonly compareExchange: Steps;
  /** Parks a participant on a word of its own. */
  park(word: number): Run;
  /**
   * Says that the private state of `p` is now a function of `where` alone, so that states that differ only in how it
   * got here count as one.
   */
  mark(p: Participant, where: number): void;
}

/** Participants and what they do. */
export interface Scenario {
  readonly threads: readonly ((w: World, p: Participant) => Run)[];
  /** Done before the start, without interleaving. */
  readonly setup?: (w: World, p: readonly Participant[]) => void;
  /** Time-outs that each participant's parking may have; default 0. */
  readonly timeouts?: readonly number[];
  /** Participants that may die, one of them, at any step. */
  readonly mortal?: readonly number[];
  /** They die only while they are parked. */
  readonly onlyAsleep?: boolean;
  /** Time passes only when somebody is dead: without a death nobody may need the clock. */
  readonly clockStands?: boolean;
  /** The host cannot tell who lives, as outside Linux. */
  readonly unknowable?: boolean;
  readonly lockTimeout?: readonly number[];
  readonly atEnd?: (w: World) => void;
  /** Every atomic operation is a step, also those of publishing and of reading a slot. */
  readonly fine?: boolean;
  /** More states than this are an error: the search would not be exhaustive. */
  readonly maxStates?: number;
}

/** Choices: participant n moves (n), is killed (KILL + n), its sleep ends by the clock (TIMEOUT + n). */
export const KILL = 100;
const TIMEOUT = 200;

/** Tells a death from the other choices. */
export function isKill(choice: number): boolean {
  return choice >= KILL && choice < TIMEOUT;
}

function mix(t: Thread, value: number): void {
  t.h1 = Math.imul(t.h1 ^ value, 0x01000193) ^ (t.h1 >>> 15);
  t.h2 = (Math.imul(t.h2, 31) + Math.imul(value, 0x9e3779b1) + 7) | 0;
}

/** What entering a function puts into the hash. */
const INSIDE = 0x2f6b;

/** Whose step it is: null while a scenario is set up. */
interface Turn {
  thread: Thread | null;
}

/** An operation with a stop in front of it, whose result goes into the hash of whoever does it. */
function stepping(turn: Turn, operation: (...args: unknown[]) => unknown): Steps {
  return function* (...args) {
    yield;
    const value = operation(...args);
    if (turn.thread !== null) mix(turn.thread, Number(value));
    return value;
  };
}

/** Calls and turns of loops after which the hash knows only what the code still knows. */
function forgetting(turn: Turn): Record<string, unknown> {
  const rewind = (h1: number, h2: number, value: unknown): void => {
    const t = turn.thread;
    if (t === null) return;
    t.h1 = h1;
    t.h2 = h2;
    mix(t, Number(value ?? 3));
    mix(t, t.p.seenTicket * 8 + t.p.seenMode);
    mix(t, t.p.suspectedLock);
    mix(t, t.p.cvView === null ? -1 : t.p.cvSeen);
  };
  return {
    *call(run: Run): Run {
      const h1 = turn.thread?.h1 ?? 0;
      const h2 = turn.thread?.h2 ?? 0;
      // Being inside, having seen a value, is another state than being outside with that value as the result.
      if (turn.thread !== null) mix(turn.thread, INSIDE);
      const value = yield* run;
      rewind(h1, h2, value);
      return value;
    },
    entryMark: () => [turn.thread?.h1 ?? 0, turn.thread?.h2 ?? 0],
    turn: ([h1, h2]: [number, number], woken: number) => rewind(h1, h2, woken),
  };
}

/** Parking on words, under the scheduler. */
function parking(turn: Turn, threads: readonly Thread[]): { park: Steps; unpark: Steps } {
  let parkings = 0;
  return {
    *park(c, w, expected) {
      yield;
      const t = turn.thread!;
      if ((c as Int32Array)[w as number] === expected) {
        t.parked = true;
        t.parkedOn = w as number;
        t.parkedAt = parkings++;
        yield;
      }
      return undefined;
    },
    *unpark(_c, w, count = Infinity) {
      yield;
      let woken = 0;
      // A thread that died while parked is no waiter any more.
      const waiters = threads.filter((t) => t.parked && !t.dead && t.parkedOn === w);
      waiters.sort((s, t) => s.parkedAt - t.parkedAt);
      for (const t of waiters.slice(0, count as number)) {
        t.parked = false;
        woken++;
      }
      mix(turn.thread!, woken);
      return woken;
    },
  };
}

/** The machine of one search: participants, memory, and the choices so far. */
export class Machine {
  readonly world: World;
  readonly #scenario: Scenario;
  readonly #turn: Turn = { thread: null };
  #killed = false;

  constructor(scenario: Scenario, ablation: Ablation | undefined) {
    this.#scenario = scenario;
    const words = SLOT_WORDS * (scenario.threads.length + 1);
    const memory = new Int32Array(new SharedArrayBuffer(words * 4));
    const memory1 = new Int32Array(new SharedArrayBuffer(SLOT_WORDS * 4));
    const threads: Thread[] = [];
    const parkingSteps = parking(this.#turn, threads);
    const operations: Record<string, unknown> = {
      ...parkingSteps,
      ...forgetting(this.#turn),
      now: () => this.#turn.thread?.clock ?? 0,
    };
    for (const name of ATOMIC)
      operations[name] = stepping(this.#turn, Atomics[name] as (...args: unknown[]) => unknown);
    operations['noteStep'] = (v: number | undefined, ticket: number) => this.#note((v ?? 7) * 64 + ticket);
    operations['listsShared'] = (c: Int32Array, heldWord: number, n: number, ns: number, word: number) => {
      const lists = held.listsShared(c, heldWord, n, ns, word);
      this.#note(heldWord * 2 + (lists ? 1 : 0));
      return lists;
    };
    this.world = {
      code: compile(scenario.fine === true, ablation)(operations),
      memory,
      memory1,
      vars: new BigInt64Array(memory1.buffer),
      threads,
      unknowable: scenario.unknowable === true,
      load: operations['load'] as Steps,
      add: operations['add'] as Steps,
      store: operations['store'] as Steps,
      compareExchange: operations['compareExchange'] as Steps,
      park: (word) => parkingSteps.park(memory, word, 0),
      mark: (p, where) => {
        const t = this.world.threads[p.slot];
        if (t === undefined) return;
        t.h1 = 0;
        t.h2 = 0;
        mix(t, where);
      },
    };
  }

  /** Back to the start of the scenario. */
  reset(): void {
    const { memory, memory1, threads } = this.world;
    memory.fill(0);
    memory1.fill(0);
    threads.length = 0;
    this.#killed = false;
    const made: Thread[] = [];
    const peers = this.#peers(this.#scenario.threads.length);
    this.#scenario.threads.forEach((body, slot) => {
      const p = new Participant(peers, memory, slot, 1, this.#scenario.lockTimeout?.[slot] ?? 1000, true);
      p.spin = 0;
      const timeouts = this.#scenario.timeouts?.[slot] ?? 0;
      const state = {
        done: false,
        dead: false,
        knownDead: false,
        parked: false,
        parkedOn: -1,
        parkedAt: 0,
        timedOut: false,
        clock: 0,
      };
      made.push({ p, run: body(this.world, p), timeouts, h1: 0, h2: 0, ...state });
    });
    this.#scenario.setup?.(
      this.world,
      made.map((t) => t.p),
    );
    threads.push(...made);
    // Up to the first operation of each: nothing shared happens before it.
    for (const t of threads) this.#resume(t);
  }

  #note(value: number): void {
    if (this.#turn.thread !== null) mix(this.#turn.thread, value);
  }

  #peers(slots: number): Peers {
    return {
      highWater: () => slots,
      slotBase: (slot) => SLOT_WORDS * (slot + 1),
      isAlive: (slot) => {
        const t = this.world.threads[slot];
        if (t?.dead === true && this.#scenario.unknowable !== true) t.knownDead = true;
        if (this.#scenario.unknowable === true) return undefined;
        this.#note(t?.dead === true ? 2 : 1);
        return t?.dead !== true;
      },
      knownDead: (slot) => {
        const dead = this.world.threads[slot]?.knownDead === true;
        this.#note(dead ? 2 : 1);
        return dead;
      },
      isOwnThread: () => false,
      vacate: () => {},
    };
  }

  #resume(t: Thread): void {
    this.#turn.thread = t;
    mix(t, 1);
    if (t.run.next().done === true) t.done = true;
    this.#turn.thread = null;
  }

  /** Choices at this point: participant numbers, plus KILL or TIMEOUT. */
  choices(): number[] {
    const out: number[] = [];
    const { mortal, onlyAsleep, clockStands } = this.#scenario;
    this.world.threads.forEach((t, n) => {
      if (t.done || t.dead) return;
      if (!t.parked) out.push(n);
      else if (t.timeouts > 0 && (this.#killed || clockStands !== true)) out.push(TIMEOUT + n);
      if (!this.#killed && mortal?.includes(n) === true && (t.parked || onlyAsleep !== true)) out.push(KILL + n);
    });
    return out;
  }

  take(choice: number): void {
    const t = this.world.threads[choice % 100]!;
    if (choice >= TIMEOUT) {
      t.parked = false;
      t.timeouts--;
      t.clock += 100;
      this.#resume(t);
    } else if (choice >= KILL) {
      t.dead = true;
      this.#killed = true;
    } else {
      this.#resume(t);
    }
  }

  /**
   * A hash of all that decides how it goes on: 53 bits, so that among a million states a collision is unlikely.
   *
   * @param last participant that ran last, when that matters
   */
  key(last: number): number {
    const { memory, memory1, threads } = this.world;
    let a = 0x811c9dc5;
    let b = 0x2545f491;
    const put = (value: number): void => {
      a = Math.imul(a ^ value, 0x01000193);
      a ^= a >>> 15;
      b = Math.imul(b ^ value, 0x9e3779b1);
      b = (b << 13) | (b >>> 19);
    };
    put(last);
    for (let w = 0; w < OTHER_LOCK + 4; w++) put(memory[w]!);
    for (let w = 0; w < 16; w++) put(memory1[w]!);
    for (const t of threads) {
      put((t.done ? 1 : 0) + (t.dead ? 2 : 0) + (t.parked ? 4 : 0) + (t.knownDead ? 8 : 0) + t.timeouts * 16);
      put(threads.filter((s) => t.parked && s.parked && s.parkedOn === t.parkedOn && s.parkedAt < t.parkedAt).length);
      put(t.h1);
      put(t.h2);
      put(t.clock);
      const base = SLOT_WORDS * (t.p.slot + 1);
      // What a slot says about a wait that is over matters only to a reader in mid-read.
      const waits = (memory[base + slotLayout.WAIT_SEQ]! & 1) !== 0 || this.#scenario.fine === true;
      if (waits) for (let w = slotLayout.WAKE; w <= slotLayout.WAIT_TICKET; w++) put(memory[base + w]!);
      put(memory[base + slotLayout.NHELD]!);
    }
    return (a >>> 0) * 2 ** 21 + ((b >>> 0) & 0x1fffff);
  }
}

/** Runs a generator to its end without interleaving: for setups. */
export function finish(run: Run): unknown {
  for (;;) {
    const { done, value } = run.next();
    if (done === true) return value;
  }
}
