/**
 * Measures the three ways to reserve one region of shared memory: a fixed SharedArrayBuffer, a growable one, and a
 * shared WebAssembly.Memory; `tracking` is the growable one through a view without a length, which follows its buffer.
 * Usage: `node --expose-gc bench/platform/region-candidates.js [--json]`.
 *
 * Each figure is the median of several rounds in a fresh process, so that no candidate inherits the heap or the
 * optimised code of another. What is measured, and how:
 *
 *   largest   the most GiB that is granted, by doubling up to 2048, together with an Int32Array over the whole
 *   reserve   milliseconds to make the largest (at most 16 GiB) with its view
 *   resident  MiB that this adds to the resident memory
 *   near      nanoseconds of one random read and write of a 4-byte word, within 1 MiB at the start
 *   far       the same within 1 MiB that begins 12 GiB in (at three quarters of the largest where that is less),
 *             through the view of the whole: there the index is above 2^31
 *   own view  the same place through a view that begins there, as a segment has it
 *   grow      milliseconds to grow by 64 MiB and make the view again, in steps from 64 MiB
 *   peer      microseconds until another thread sees a growth that was published by an atomic store
 *   refusal   milliseconds that a refused reservation of 1 PiB (wasm: 1 page too many) takes
 */
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

/** Every runtime has it, but the types of Node alone do not. */
const { WebAssembly } = /** @type {any} */ (globalThis);

const GiB = 2 ** 30;
const MiB = 2 ** 20;
const WASM_PAGE = 65536;
const WINDOW_WORDS = MiB / 4;
const TOUCHES = 2_000_000;

const fixed = {
  make: (bytes) => ({ buffer: new SharedArrayBuffer(bytes) }),
  bufferOf: (memory) => memory.buffer,
  refuse: () => new SharedArrayBuffer(2 ** 50),
};

const growable = {
  make: (bytes, start = bytes) => ({ buffer: new SharedArrayBuffer(start, { maxByteLength: bytes }) }),
  bufferOf: (memory) => memory.buffer,
  grow: (memory, bytes) => memory.buffer.grow(bytes),
  refuse: () => new SharedArrayBuffer(0, { maxByteLength: 2 ** 52 }),
};

const wasm = {
  make(bytes, start = bytes) {
    const memory = new WebAssembly.Memory({ initial: start / WASM_PAGE, maximum: bytes / WASM_PAGE, shared: true });
    return { memory, buffer: memory.buffer };
  },
  bufferOf: ({ memory }) => memory.buffer,
  grow: ({ memory }, bytes) => memory.grow((bytes - memory.buffer.byteLength) / WASM_PAGE),
  refuse: () => new WebAssembly.Memory({ initial: 65537, maximum: 65537, shared: true }),
};

const candidates = { fixed, growable, wasm };

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

function timed(action) {
  const start = performance.now();
  const result = action();
  return [performance.now() - start, result];
}

/** Always with a length: a view of a growable buffer that has none follows the buffer, and is many times slower. */
function view(buffer, bytes, from = 0) {
  return new Int32Array(buffer, from, bytes / 4);
}

function granted(candidate, bytes) {
  try {
    view(candidate.make(bytes).buffer, bytes);
    return true;
  } catch {
    return false;
  }
}

function largest(candidate) {
  let bytes = GiB;
  while (bytes <= 1024 * GiB && granted(candidate, 2 * bytes)) bytes *= 2;
  return bytes;
}

/** Nanoseconds a touch: pseudo-random words of a window that begins at word `from`. */
function touch(words, from) {
  let x = 12345;
  for (let n = 0; n < TOUCHES; n++) {
    x = (Math.imul(x, 1103515245) + 12345) | 0;
    const i = from + ((x >>> 8) & (WINDOW_WORDS - 1));
    words[i] = words[i] + 1;
  }
}

/** The first rounds optimise the loop and make the window resident. */
function touchTime(words, from) {
  const rounds = Array.from({ length: 25 }, () => (timed(() => touch(words, from))[0] * 1e6) / TOUCHES);
  return median(rounds.slice(10));
}

function growTime(candidate, most) {
  const memory = candidate.make(Math.min(most, 4 * GiB), 64 * MiB);
  const times = [];
  let views = 0;
  for (let bytes = 128 * MiB; bytes <= 2 * GiB; bytes += 64 * MiB) {
    const [time, words] = timed(() => {
      candidate.grow(memory, bytes);
      return view(candidate.bufferOf(memory), bytes);
    });
    times.push(time);
    views += words.length;
  }
  if (views === 0) throw new Error('no view was made');
  return median(times);
}

/** Microseconds from the moment that a peer hears of a growth until its buffer has the new length. */
async function peerTime(candidate, name) {
  const memory = candidate.make(4 * GiB, 64 * MiB);
  const words = new Int32Array(new SharedArrayBuffer(1024));
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { name, memory, words } });
  const failed = new Promise((_, reject) => worker.on('error', reject));
  const done = new Promise((resolve) => worker.on('message', resolve));
  while (Atomics.load(words, 0) !== -1) await new Promise((resolve) => setTimeout(resolve, 1));
  for (let round = 1; round <= 15; round++) {
    candidate.grow(memory, (round + 1) * 64 * MiB);
    Atomics.store(words, 0, round);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const times = await Promise.race([done, failed]);
  await worker.terminate();
  return median(times);
}

/** In the peer: waits for each growth, and notes how long its buffer takes to show it. */
async function watchGrowth({ name, memory, words }) {
  const { parentPort } = await import('node:worker_threads');
  const times = [];
  Atomics.store(words, 0, -1);
  for (let round = 1; round <= 15; round++) {
    while (Atomics.load(words, 0) < round);
    const [time] = timed(() => {
      while (candidates[name].bufferOf(memory).byteLength < (round + 1) * 64 * MiB);
    });
    times.push(time * 1000);
  }
  parentPort.postMessage(times);
}

function refusalTime(candidate) {
  return median(
    Array.from({ length: 5 }, () => {
      const [time, was] = timed(() => {
        try {
          candidate.refuse();
          return 'granted';
        } catch {
          return 'refused';
        }
      });
      return was === 'refused' ? time : Number.NaN;
    }),
  );
}

async function measure(name) {
  const candidate = candidates[name];
  const most = largest(candidate);
  globalThis.gc?.();
  const size = Math.min(most, 16 * GiB);
  const before = process.memoryUsage.rss();
  const reserve = [];
  let words = new Int32Array(0);
  for (let round = 0; round < 9; round++) {
    const [time, whole] = timed(() => view(candidate.make(size).buffer, size));
    reserve.push(time);
    words = whole;
  }
  const resident = (process.memoryUsage.rss() - before) / MiB;
  const near = touchTime(words, 0);
  const place = Math.min(12 * GiB, (size / 4) * 3);
  const far = touchTime(words, place / 4);
  const ownView = touchTime(view(words.buffer, 64 * MiB, place), 0);
  const refusal = refusalTime(candidate);
  const result = { largest: most / GiB, reserve: median(reserve), resident, near, far, 'own view': ownView, refusal };
  if (candidate.grow === undefined) return result;
  return { ...result, grow: growTime(candidate, most), peer: await peerTime(candidate, name) };
}

/** Measured apart, as it would spoil the optimised loop of the others. */
function measureTracking() {
  const memory = growable.make(4 * GiB, GiB);
  return { near: touchTime(new Int32Array(memory.buffer), 0) };
}

function inFreshProcess(what) {
  const printed = execFileSync(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), '--measure', what]);
  return JSON.parse(printed.toString());
}

function round(value) {
  return Number.isInteger(value) ? value : Number(value.toPrecision(3));
}

function main() {
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', node: process.versions.node };
  const rows = [...Object.keys(candidates), 'tracking'].map((candidate) => {
    const measured = inFreshProcess(candidate);
    return { candidate, ...Object.fromEntries(Object.entries(measured).map(([key, value]) => [key, round(value)])) };
  });
  if (process.argv.includes('--json')) for (const row of rows) console.log(JSON.stringify({ ...machine, ...row }));
  else {
    console.log(`${machine.cpu}, Node ${machine.node}`);
    console.table(rows);
  }
}

const at = process.argv.indexOf('--measure');
if (!isMainThread) await watchGrowth(workerData);
else if (at < 0) main();
else {
  const what = process.argv[at + 1];
  console.log(JSON.stringify(what === 'tracking' ? measureTracking() : await measure(what)));
}
