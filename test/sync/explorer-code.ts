/**
 * The built code of locks, condition variables and barriers, turned into generators that stop before each atomic operation.
 *
 * Each function that leads to an operation becomes a generator, each call of one a `yield*`. What is not touched: the
 * held list and the layouts, which have no atomic operations. It is text work on what the compiler writes, which is
 * regular; an unknown name or an unbalanced bracket ends in an error, not in a wrong result.
 *
 * Two functions count as one step each unless a scenario wants them in full (`fine`): publishing a wait, and reading
 * another's slot. That `wait_seq` makes them so is a claim of its own, with scenarios of its own.
 */

import { readFileSync } from 'node:fs';
import * as barrierLayout from '../../dist/sync/barrier-layout.js';
import * as cvLayout from '../../dist/sync/condition-variable-layout.js';
import * as held from '../../dist/sync/lwlock-held.js';
import * as lockLayout from '../../dist/sync/lwlock-layout.js';
import * as slotLayout from '../../dist/sync/participant-layout.js';

const FILES = [
  'lwlock-queue',
  'lwlock-stall',
  'lwlock-wait',
  'lwlock',
  'lwlock-exclusive',
  'lwlock-var',
  'condition-variable',
  'barrier',
];
/** The operations in front of which the code stops. */
export const ATOMIC = ['load', 'store', 'add', 'sub', 'and', 'or', 'exchange', 'compareExchange'] as const;
const PARKING = ['park', 'unpark'];
const ONE_STEP = ['publish', 'waiterMode'];

/** A run of one participant: stops before each operation. */
export type Run = Generator<undefined, unknown, undefined>;
/** A function that stops before each operation. */
export type Steps = (...args: unknown[]) => Run;
/** The functions that scenarios call, as generators. */
export interface LockCode {
  readonly lwlockAcquire: Steps;
  readonly lwlockConditionalAcquire: Steps;
  readonly lwlockAcquireOrWait: Steps;
  readonly lwlockRelease: Steps;
  readonly lwlockAcquireExclusive: Steps;
  readonly lwlockReleaseNewest: Steps;
  readonly lwlockPoison: Steps;
  readonly lwlockWaitForVar: Steps;
  readonly lwlockUpdateVar: Steps;
  readonly enqueue: Steps;
  readonly leaveQueue: Steps;
  readonly nudge: Steps;
  readonly conditionVariablePrepareToSleep: Steps;
  readonly conditionVariableTimedSleep: Steps;
  readonly conditionVariableCancelSleep: Steps;
  readonly conditionVariableSignal: Steps;
  readonly conditionVariableBroadcast: Steps;
  readonly barrierArriveAndWait: Steps;
  readonly barrierDetach: Steps;
  readonly barrierArriveAndDetach: Steps;
  readonly barrierArriveAndDetachExceptLast: Steps;
  readonly barrierAttach: Steps;
  readonly barrierPhase: Steps;
}

/** A way to break the code: in `find`, which must be there, put `replace`. */
export interface Ablation {
  readonly find: string;
  readonly replace: string;
}

/** Text of a built file without comments, imports and exports, and with other names for imports resolved. */
function sourceOf(file: string): string {
  const text = readFileSync(new URL(`../../dist/sync/${file}.js`, import.meta.url), 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/^\s*\/\/.*$/gm, '')
    .replaceAll(/^import [\s\S]*?;$/gm, '')
    .replaceAll(/^export /gm, '');
  const aliases = [...text.matchAll(/^const (\w+) = ([A-Za-z]\w*);$/gm)];
  return aliases.reduce(
    (resolved, [line, name, original]) =>
      resolved.replace(line, '').replaceAll(new RegExp(`\\b${name}\\b`, 'g'), original!),
    text,
  );
}

const SOURCE: string = FILES.map(sourceOf).join('\n');

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

/** Makes the lock's functions over the given operations. */
export type Factory = (bindings: Record<string, unknown>) => LockCode;

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
export function compile(fine: boolean, ablation: Ablation | undefined): Factory {
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
  const bindings = { ...lockLayout, ...slotLayout, ...held, ...cvLayout, ...barrierLayout };
  const parameters = [...ATOMIC, ...PARKING, 'now', 'call', 'entryMark', 'turn', 'noteStep', ...Object.keys(bindings)];
  const exported = [...functions.keys()];
  const factory = new Function('$', `'use strict'; const {${parameters}} = $;\n${body}\nreturn {${exported}};`);
  return (given) => factory({ ...bindings, ...given }) as unknown as LockCode;
}
