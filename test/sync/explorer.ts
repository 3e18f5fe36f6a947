/**
 * Walks through every interleaving of the lock's real code.
 *
 * All accesses that the protocol relies on are Atomics operations, which have one total order, so this covers all that
 * threads can do. The search is exhaustive: each choice of each state is tried, and a state that was seen before is not
 * expanded again. Parking ends only by a wake-up, unless a scenario allows time-outs; so a lost wake-up shows as a state
 * in which nobody can move and somebody sleeps.
 */

import type { Ablation } from './explorer-code.js';
import { isKill, KILL, Machine, type Scenario, type World } from './explorer-machine.js';

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
