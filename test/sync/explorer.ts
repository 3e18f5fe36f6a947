/**
 * Walks through every interleaving of the lock's real code.
 *
 * The built files of the lock are read as text and every function in them becomes a generator that stops before each
 * atomic operation; so a scheduler decides, step by step, whose operation comes next. All accesses that the
 * protocol relies on are Atomics operations, which have one total order, so this covers all that threads can do.
 *
 * The search is exhaustive: a state is the shared words plus, for each participant, a hash of the values that its
 * operations returned (its private state is a function of them). When a function returns, what it saw is forgotten but
 * for its result, and what it leaves in the participant: that is all that the rest can depend on. So it is at the start
 * of each turn of a waiting loop. A state that was seen before is not expanded again.
 * Parking ends only by a wake-up, unless a scenario allows time-outs; so a lost wake-up shows as a state in which nobody
 * can move and somebody sleeps.
 *
 * Two functions count as one step each unless a scenario wants them in full (`fine`): publishing a wait, and reading
 * another's slot. That `wait_seq` makes them so is a claim of its own, with scenarios of its own.
 */

import { readFileSync } from 'node:fs';
import * as held from '../../dist/sync/lwlock-held.js';
import * as lockLayout from '../../dist/sync/lwlock-layout.js';
import { Participant, type Peers } from '../../dist/sync/participant.js';
import * as slotLayout from '../../dist/sync/participant-layout.js';

const FILES = ['lwlock-queue', 'lwlock-stall', 'lwlock-wait', 'lwlock', 'lwlock-var'];
const ATOMIC = ['load', 'store', 'add', 'sub', 'and', 'or', 'exchange', 'compareExchange'] as const;
const PARKING = ['park', 'unpark'];
const ONE_STEP = ['publish', 'waiterMode'];

/** A run of one participant: stops before each operation. */
export type Run = Generator<undefined, unknown, undefined>;
type Steps = (...args: unknown[]) => Run;
/** The lock's functions that scenarios call, as generators. */
export interface LockCode {
  readonly lwlockAcquire: Steps;
  readonly lwlockConditionalAcquire: Steps;
  readonly lwlockAcquireOrWait: Steps;
  readonly lwlockRelease: Steps;
  readonly lwlockPoison: Steps;
  readonly lwlockWaitForVar: Steps;
  readonly lwlockUpdateVar: Steps;
  readonly enqueue: Steps;
  readonly leaveQueue: Steps;
  readonly nudge: Steps;
}

/** Words of the memory of a scenario. */
export const LOCK = 4;
export const OTHER_LOCK = 12;
/** Words from slot to slot, and of a memory: as few as the code touches here. */
const SLOT_WORDS = 64;
/** Memory 1: a lock at the same word as LOCK, and variables. */
const MEMORY_WORDS = 64;

/** A way to break the code: in `find`, which must be there, put `replace`. */
export interface Ablation {
  readonly find: string;
  readonly replace: string;
}

/** Text of the built files without comments, imports and exports. */
const SOURCE: string = FILES.map((file) =>
  readFileSync(new URL(`../../dist/sync/${file}.js`, import.meta.url), 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/^\s*\/\/.*$/gm, '')
    .replaceAll(/^import [\s\S]*?;$/gm, '')
    .replaceAll(/^export /gm, ''),
).join('\n');

function ablated(ablation: Ablation | undefined): string {
  if (ablation === undefined) return SOURCE;
  if (SOURCE.split(ablation.find).length !== 2) throw new Error(`ablation does not fit: ${ablation.find}`);
  return SOURCE.replace(ablation.find, () => ablation.replace);
}

/** Index just after the bracket that closes the one at `open`. */
function closing(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    if (text[at] === '(') depth++;
    else if (text[at] === ')' && --depth === 0) return at + 1;
  }
  throw new Error('unbalanced brackets');
}

/** Rewrites calls of `names` in `text` from `f(x)` to `(yield* call(f(x)))`. */
function yieldCalls(text: string, names: ReadonlySet<string>): string {
  let out = '';
  let at = 0;
  const word = /(?<![\w$.])([A-Za-z_$][\w$]*)\(/g;
  for (;;) {
    word.lastIndex = at;
    const match = word.exec(text);
    if (match === null) return out + text.slice(at);
    const open = match.index + match[0].length - 1;
    const isDeclaration = text.slice(0, match.index).endsWith('function ');
    if (isDeclaration || !names.has(match[1]!)) {
      out += text.slice(at, open + 1);
      at = open + 1;
      continue;
    }
    const end = closing(text, open);
    const inner = yieldCalls(text.slice(open + 1, end - 1), names);
    out += `${text.slice(at, match.index)}(yield* call(${match[1]}(${inner})))`;
    at = end;
  }
}

type Factory = (bindings: Record<string, unknown>) => LockCode;

/** Text of each top-level function by name. */
function splitFunctions(text: string): Map<string, string> {
  const functions = new Map<string, string>();
  for (const match of text.matchAll(/^function (\w+)\([\s\S]*?^\}$/gm)) functions.set(match[1]!, match[0]);
  return functions;
}

/** Names of the operations and of all functions that lead to one. */
function steppingNames(functions: ReadonlyMap<string, string>): Set<string> {
  const names = new Set<string>([...ATOMIC, ...PARKING]);
  for (let size = 0; size !== names.size; ) {
    size = names.size;
    const leadsToStep = new RegExp(`(?<!function )\\b(${[...names].join('|')})\\(`);
    for (const [name, text] of functions) if (leadsToStep.test(text)) names.add(name);
  }
  return names;
}

/** In a function that waits in a loop: at the start of each turn, `woken` is all that it knows. */
function markTurns(text: string): string {
  if (!text.includes('let woken')) return text;
  return text
    .replace(') {\n', ') {\n    const entry = entryMark();\n')
    .replace(/^ {4}(for \(;;\)|do) \{$/m, '    $1 { turn(entry, woken);');
}

/** A function as one step: its plain text over plain operations, and a generator around it. */
function oneStep(text: string, name: string): string {
  const plain = text.replace(`function ${name}`, `function $${name}`).replaceAll(/\b(load|store)\(/g, 'Atomics.$1(');
  return `${plain}
function* ${name}(p, ...rest) { yield; const v = $${name}(p, ...rest); noteStep(v, p.seenTicket); return v; }`;
}

/** Makes a factory of the lock's functions as generators over the given operations. */
function compile(fine: boolean, ablation: Ablation | undefined): Factory {
  const text = ablated(ablation);
  const functions = splitFunctions(text);
  const names = steppingNames(functions);
  let body = text.slice(0, text.search(/^function /m));
  for (const [name, plain] of functions) {
    if (!fine && ONE_STEP.includes(name)) body += oneStep(plain, name);
    else if (names.has(name)) body += markTurns(yieldCalls(plain, names).replace('function ', 'function* '));
    else body += plain;
    body += '\n';
  }
  for (const line of text.matchAll(/^const .*$/gm)) if (!body.includes(line[0])) body += `${line[0]}\n`;
  const bindings = { ...lockLayout, ...slotLayout, ...held };
  const parameters = [...ATOMIC, ...PARKING, 'now', 'call', 'entryMark', 'turn', 'noteStep', ...Object.keys(bindings)];
  const exported = [...functions.keys()];
  const factory = new Function('$', `'use strict'; const {${parameters}} = $;\n${body}\nreturn {${exported}};`);
  return (given) => factory({ ...bindings, ...given }) as unknown as LockCode;
}

/** One participant under the scheduler. */
interface Thread {
  readonly p: Participant;
  run: Run;
  done: boolean;
  dead: boolean;
  parked: boolean;
  parkedOn: number;
  timedOut: boolean;
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
  readonly lockTimeout?: readonly number[];
  readonly atEnd?: (w: World) => void;
  /** Every atomic operation is a step, also those of publishing and of reading a slot. */
  readonly fine?: boolean;
  /** More states than this are an error: the search would not be exhaustive. */
  readonly maxStates?: number;
}

/** Choices: participant n moves (n), is killed (KILL + n), its sleep ends by the clock (TIMEOUT + n). */
const KILL = 100;
const TIMEOUT = 200;

function isKill(choice: number): boolean {
  return choice >= KILL && choice < TIMEOUT;
}

function mix(t: Thread, value: number): void {
  t.h1 = Math.imul(t.h1 ^ value, 0x01000193) ^ (t.h1 >>> 15);
  t.h2 = (Math.imul(t.h2, 31) + Math.imul(value, 0x9e3779b1) + 7) | 0;
}

/** The machine of one search: participants, memory, and the choices so far. */
class Machine {
  readonly world: World;
  readonly #scenario: Scenario;
  #current: Thread | null = null;
  #killed = false;

  constructor(scenario: Scenario, ablation: Ablation | undefined) {
    this.#scenario = scenario;
    const words = SLOT_WORDS * (scenario.threads.length + 1);
    const memory = new Int32Array(new SharedArrayBuffer(words * 4));
    const memory1 = new Int32Array(new SharedArrayBuffer(SLOT_WORDS * 4));
    const operations: Record<string, unknown> = { ...this.#parking(), now: () => this.#current?.clock ?? 0 };
    for (const name of ATOMIC) operations[name] = this.#step(Atomics[name] as (...args: unknown[]) => unknown);
    Object.assign(operations, this.#forgetting());
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
      threads: [],
      park: (word) => (operations['park'] as Steps)(memory, word, 0),
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
      const state = { done: false, dead: false, parked: false, parkedOn: -1, timedOut: false, clock: 0 };
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
    if (this.#current !== null) mix(this.#current, value);
  }

  #peers(slots: number): Peers {
    return {
      highWater: () => slots,
      slotBase: (slot) => SLOT_WORDS * (slot + 1),
      isAlive: (slot) => {
        const alive = this.world.threads[slot]?.dead !== true;
        this.#note(alive ? 1 : 2);
        return alive;
      },
      // The real table knows after isAlive() has found out. Asked within a step, so the answer is noted.
      knownDead: (slot) => {
        const dead = this.world.threads[slot]?.dead === true;
        this.#note(dead ? 2 : 1);
        return dead;
      },
      isOwnThread: () => false,
      vacate: () => {},
    };
  }

  #step(operation: (...args: unknown[]) => unknown): (...args: unknown[]) => Run {
    const machine = this;
    return function* (...args: unknown[]): Run {
      yield;
      const value = operation(...args);
      machine.#note(Number(value));
      return value;
    };
  }

  #forgetting(): Record<string, unknown> {
    const machine = this;
    const rewind = (h1: number, h2: number, value: unknown): void => {
      const t = machine.#current;
      if (t === null) return;
      t.h1 = h1;
      t.h2 = h2;
      mix(t, Number(value ?? 3));
      mix(t, t.p.seenTicket * 8 + t.p.seenMode);
      mix(t, t.p.suspectedLock);
    };
    return {
      *call(run: Run): Run {
        const h1 = machine.#current?.h1 ?? 0;
        const h2 = machine.#current?.h2 ?? 0;
        const value = yield* run;
        rewind(h1, h2, value);
        return value;
      },
      entryMark: () => [machine.#current?.h1 ?? 0, machine.#current?.h2 ?? 0],
      turn: ([h1, h2]: [number, number], woken: number) => rewind(h1, h2, woken),
    };
  }

  #parking(): Record<string, unknown> {
    const machine = this;
    return {
      *park(c: Int32Array, w: number, expected: number): Run {
        yield;
        const t = machine.#current!;
        if (c[w] === expected) {
          t.parked = true;
          t.parkedOn = w;
          yield;
        }
        t.timedOut = false;
      },
      *unpark(_c: Int32Array, w: number): Run {
        yield;
        let woken = 0;
        for (const t of machine.world.threads) {
          // A thread that died while parked is no waiter any more.
          if (!t.parked || t.dead || t.parkedOn !== w) continue;
          t.parked = false;
          woken++;
        }
        machine.#note(woken);
        return woken;
      },
    };
  }

  #resume(t: Thread): void {
    this.#current = t;
    mix(t, 1);
    if (t.run.next().done === true) t.done = true;
    this.#current = null;
  }

  /** Choices at this point: participant numbers, plus KILL or TIMEOUT. */
  choices(): number[] {
    const out: number[] = [];
    this.world.threads.forEach((t, n) => {
      if (t.done || t.dead) return;
      if (!t.parked) out.push(n);
      else if (t.timeouts > 0) out.push(TIMEOUT + n);
      if (!this.#killed && this.#scenario.mortal?.includes(n) === true) out.push(KILL + n);
    });
    return out;
  }

  take(choice: number): void {
    const t = this.world.threads[choice % 100]!;
    if (choice >= TIMEOUT) {
      t.parked = false;
      t.timedOut = true;
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
      put((t.done ? 1 : 0) + (t.dead ? 2 : 0) + (t.parked ? 4 : 0) + t.timeouts * 8);
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

/** A choice, those before it, and how many interruptions may still follow. */
interface Path {
  readonly before: Path | null;
  readonly choice: number;
  readonly left: number;
}

function toList(path: Path | null): number[] {
  const list: number[] = [];
  for (let at = path; at !== null; at = at.before) list.push(at.choice);
  return list.reverse();
}

/** The participant whose step the last choice was, or -1. */
function lastRunner(path: Path | null): number {
  return path === null || isKill(path.choice) ? -1 : path.choice % KILL;
}

/** Nobody can move: everybody must have come to an end, and left nothing behind. */
function checkEnd(w: World): void {
  for (const [n, t] of w.threads.entries()) {
    if (!t.done && !t.dead) throw new Error(`participant ${n} sleeps and nobody will wake it`);
    if (t.done && t.p.nheld !== 0) throw new Error(`participant ${n} still holds ${t.p.nheld} locks`);
  }
}

/** What a search has found. */
export interface Outcome {
  readonly states: number;
  readonly ends: number;
  /** The first fault: what, and the choices that led there. */
  readonly fault: string | null;
}

/**
 * Walks through the interleavings of a scenario: all of them, or those in which a participant that could go on is
 * interrupted at most `interruptions` times (deaths and time-outs count as interruptions too).
 *
 * @returns the number of states and of ways to end, or the first fault
 */
export function explore(scenario: Scenario, interruptions: number, ablation?: Ablation): Outcome {
  const machine = new Machine(scenario, ablation);
  const maxStates = scenario.maxStates ?? 1_000_000;
  // State, with the participant that ran last when interruptions are counted -> most interruptions left on arrival.
  const seen = new Map<number, number>();
  const todo: (Path | null)[] = [null];
  let ends = 0;
  let path: Path | null = null;
  try {
    while (todo.length > 0) {
      path = todo.pop()!;
      machine.reset();
      for (const choice of toList(path)) machine.take(choice);
      for (;;) {
        const last: number = lastRunner(path);
        const left: number = path?.left ?? interruptions;
        const key = machine.key(interruptions === Infinity ? 0 : last + 1);
        if ((seen.get(key) ?? -1) >= left) break;
        if (seen.size >= maxStates) throw new Error(`more than ${maxStates} states`);
        seen.set(key, left);
        const choices = machine.choices();
        if (choices.every((choice) => isKill(choice))) {
          ends++;
          checkEnd(machine.world);
          scenario.atEnd?.(machine.world);
          break;
        }
        const someStep = choices.some((choice) => choice < KILL);
        const next: Path[] = [];
        for (const choice of choices) {
          const interrupts = choice < KILL ? choice !== last && choices.includes(last) : someStep || isKill(choice);
          const rest = interrupts ? left - 1 : left;
          if (rest >= 0) next.push({ before: path, choice, left: rest });
        }
        todo.push(...next.slice(1));
        path = next[0]!;
        machine.take(path.choice);
      }
    }
  } catch (error) {
    return { states: seen.size, ends, fault: `${(error as Error).message} after ${toList(path).join(' ')}` };
  }
  return { states: seen.size, ends, fault: null };
}

/** Runs a generator to its end without interleaving: for setups. */
export function finish(run: Run): unknown {
  for (;;) {
    const { done, value } = run.next();
    if (done === true) return value;
  }
}
