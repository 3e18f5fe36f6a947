/**
 * Facts about the runtime: which thread this is, whether another one still lives, what may be done here.
 *
 * Stands on `process.getBuiltinModule`, so that no `node:` module is imported statically and a browser can
 * load this file; what a runtime lacks is answered by a fallback or by `undefined`, never by an exception. Nothing is
 * shared and nothing is locked. What is cached here are facts about the calling thread: a module has one instance a
 * thread, so the cache is right by construction.
 *
 * The identity of a thread is one 64-bit number, because it is claimed and taken over by one compare-and-exchange.
 * On Linux it is the native thread id (low half) and the start time of the thread (high half): ids are reused, but
 * not within one tick (10 ms) of the clock that the start time is told in. `/proc` then answers for any thread of this
 * process whether it lives, without its help and without an event loop. Elsewhere the low half is the number that
 * JavaScript gave to the thread, the high half is a marker, and only the thread itself knows that it is alive.
 */

import { wait } from '#atomic';

interface FileSystem {
  readFileSync(path: string, encoding: 'utf8'): string;
}

interface WorkerThreads {
  readonly threadId: number;
}

interface Process {
  readonly platform?: string;
  readonly versions?: Readonly<Record<string, string | undefined>>;
  readonly memoryUsage?: { rss?(): number };
  getBuiltinModule?(name: string): unknown;
}

/** High half of an identity that is not a native one; no start time is given this value. */
const FOREIGN_MARKER = 0xffffffffn;
const LOW_HALF = 0xffffffffn;
/** Position of the start time among the fields that follow the name of the thread: field 22, and the name is field 2. */
const START_TIME_FIELD = 19;

const host = globalThis as {
  process?: Process;
  navigator?: { readonly userAgent?: string };
  crypto?: { getRandomValues(a: Uint32Array<ArrayBuffer>): Uint32Array };
};

let cachedIdentity = 0n;
let cachedCanBlock: boolean | undefined;
let cachedThreadId = -1;

/**
 * A module that is built into the runtime. Any thread; does not block.
 *
 * @param name with its prefix, `node:fs`
 * @returns the module, or undefined where there is none (browsers, runtimes without `process.getBuiltinModule`)
 */
export function builtin(name: string): unknown {
  try {
    return host.process?.getBuiltinModule?.(name) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Kind of operating system as Node names it (`linux`, `darwin`, `win32`), `unknown` in browsers. Any thread; does not block. */
export function platformName(): string {
  return host.process?.platform ?? 'unknown';
}

/**
 * Name and version of the runtime: `node 20.20.2`, `bun 1.4.5`, `deno 2.9.6`; in browsers `browser` and the user agent.
 * Any thread; does not block.
 */
export function runtimeName(): string {
  const versions = host.process?.versions;
  for (const name of ['bun', 'deno', 'node']) {
    const version = versions?.[name];
    if (version !== undefined) return `${name} ${version}`;
  }
  return `browser ${host.navigator?.userAgent ?? ''}`.trimEnd();
}

/** Milliseconds since some moment, monotonic, with fractions. The moment is this thread's own: never compare between threads. */
export function now(): number {
  return performance.now();
}

/**
 * Memory of the process that is backed by physical pages. Any thread; does not block.
 *
 * @returns bytes, or undefined where the runtime does not tell
 */
export function residentBytes(): number | undefined {
  return host.process?.memoryUsage?.rss?.();
}

/**
 * Number of this thread: what `Worker.threadId` shows to others; 0 is the main thread. Where threads have no number
 * (browsers) a random one is drawn once, so that two threads differ. Any thread; does not block.
 *
 * @returns 0 .. 2^31 - 1
 */
export function jsThreadId(): number {
  if (cachedThreadId < 0) {
    const threads = builtin('node:worker_threads') as WorkerThreads | undefined;
    cachedThreadId = (threads?.threadId ?? randomWord()) & 0x7fffffff;
  }
  return cachedThreadId;
}

function randomWord(): number {
  return host.crypto?.getRandomValues(new Uint32Array(1))[0] ?? Math.random() * 2 ** 31;
}

/**
 * Tells whether this thread may be parked. False on the main thread of a browser and in service workers. The engine is
 * asked once: it refuses before it looks at the value. Any thread; does not block.
 */
export function canBlock(): boolean {
  if (cachedCanBlock === undefined) {
    try {
      wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
      cachedCanBlock = true;
    } catch {
      cachedCanBlock = false;
    }
  }
  return cachedCanBlock;
}

/**
 * Identity of the calling thread, the same for its whole life and of no other thread of the process.
 * Any thread; does not block (the first call reads a small file of `/proc` on Linux).
 *
 * @returns a signed 64-bit number as a BigInt64Array gives it back, never 0n
 */
export function threadIdentity(): bigint {
  if (cachedIdentity === 0n) {
    cachedIdentity = nativeIdentity() ?? BigInt.asIntN(64, (FOREIGN_MARKER << 32n) | BigInt(jsThreadId()));
  }
  return cachedIdentity;
}

function nativeIdentity(): bigint | undefined {
  if (platformName() !== 'linux') return undefined;
  try {
    const stat = readStat('thread-self');
    const tid = Number(stat.slice(0, stat.indexOf(' ')));
    if (!Number.isSafeInteger(tid) || tid <= 0) return undefined;
    const start = startTime(stat);
    return start === undefined ? undefined : BigInt.asIntN(64, (start << 32n) | BigInt(tid));
  } catch {
    return undefined;
  }
}

/** What `/proc` says of a thread of this process: its id, its name in brackets, then other fields. Throws when there is none. */
function readStat(thread: string): string {
  return (builtin('node:fs') as FileSystem).readFileSync(`/proc/${thread}/stat`, 'utf8');
}

/** Low 32 bits of the start time in what {@link readStat} gave; undefined when that thread is over. */
function startTime(stat: string): bigint | undefined {
  // The name of the thread stands in brackets and may itself hold brackets and blanks.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // Z and X: it has ended, only the entry is left (the first thread of a process stays until the last one ends).
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  const start = BigInt(fields[START_TIME_FIELD]!) & LOW_HALF;
  return start === FOREIGN_MARKER ? FOREIGN_MARKER - 1n : start;
}

/**
 * Tells whether the thread of this identity still lives. Any thread may ask for any thread of the process; does not
 * block; costs about 10 µs on Linux (a small file is read). A thread that is ending counts as alive until the
 * operating system has let go of it, which is after its last access to shared memory.
 *
 * @param identity what {@link threadIdentity} returned there, signed or unsigned
 * @returns undefined when it cannot be known: not Linux, no `/proc`, or no file descriptor left to read it
 */
export function threadAlive(identity: bigint): boolean | undefined {
  const unsigned = BigInt.asUintN(64, identity);
  if (unsigned === BigInt.asUintN(64, threadIdentity())) return true;
  const high = unsigned >> 32n;
  if (high === FOREIGN_MARKER || BigInt.asUintN(64, threadIdentity()) >> 32n === FOREIGN_MARKER) return undefined;
  try {
    return startTime(readStat(`self/task/${unsigned & LOW_HALF}`)) === high;
  } catch (error) {
    const { code } = error as { code?: unknown };
    return code === 'ENOENT' || code === 'ESRCH' ? false : undefined;
  }
}
