/**
 * Takes something away from the runtime, loads the platform layer afresh (a module has one instance a thread) and
 * reports what it says then.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { exchangeOptions } from './platform-shared.mjs';

const realWait = Atomics.wait;
const realWaitAsync = Atomics.waitAsync;

const scenarios = {
  none() {},
  /** A browser: no process object, no Node modules. */
  browser() {
    Reflect.deleteProperty(globalThis, 'process');
  },
  /** The main thread of a browser. */
  'no blocking'() {
    Atomics.wait = () => {
      throw new TypeError('Atomics.wait cannot be called in this context');
    };
  },
  'no waitAsync'() {
    Object.defineProperty(Atomics, 'waitAsync', { value: undefined });
  },
  /** An engine that never ends a wait by itself. */
  'endless waitAsync'() {
    const value = (array, index, expected) => realWaitAsync.call(Atomics, array, index, expected);
    Object.defineProperty(Atomics, 'waitAsync', { value });
  },
  /** A system without /proc, or one that denies it. */
  'no proc'() {
    const { getBuiltinModule } = process;
    process.getBuiltinModule = (name) => (name === 'node:fs' ? undefined : getBuiltinModule(name));
  },
  'no file descriptors'() {
    const fs = process.getBuiltinModule('node:fs');
    const { getBuiltinModule } = process;
    const readFileSync = (path, ...rest) => {
      if (path.includes(String(workerData.refused))) throw Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
      return fs.readFileSync(path, ...rest);
    };
    process.getBuiltinModule = (name) => (name === 'node:fs' ? { ...fs, readFileSync } : getBuiltinModule(name));
  },
  bun() {
    Object.defineProperty(process, 'versions', { value: { ...process.versions, bun: '1.4.5' } });
  },
  /** An engine that grants little, and one that grants what it cannot show. */
  'small buffers'() {
    const Real = SharedArrayBuffer;
    globalThis.SharedArrayBuffer = class extends Real {
      constructor(length) {
        if (length > workerData.most) throw new RangeError('Array buffer allocation failed');
        super(length);
      }
    };
  },
  'small views'() {
    const Real = Int32Array;
    globalThis.Int32Array = class extends Real {
      constructor(buffer) {
        if (buffer.byteLength > workerData.most) throw new RangeError('Invalid typed array length');
        super(buffer);
      }
    };
  },
};

scenarios[workerData.scenario]();
const platform = await import('../../dist/platform/platform.js');
const word = () => new Int32Array(new SharedArrayBuffer(4));

async function outcome(action) {
  try {
    return await action();
  } catch (caught) {
    const error = /** @type {import('../../dist/errors/errors.js').SharedHeapError} */ (caught);
    return { code: error.code, detail: error.detail, hint: error.hint };
  }
}

/** The wait that overslept is still in the engine's list: a wake-up that it swallows must reach the next one. */
async function passedOn() {
  const a = word();
  await platform.parkAsync(a, 0, 0, 1);
  const second = platform.parkAsync(a, 0, 0, 60_000);
  const woken = platform.unpark(a, 0, 1);
  return [woken, await second];
}

const reports = {
  facts: () => ({
    runtime: platform.runtimeName(),
    operatingSystem: platform.platformName(),
    threadId: platform.jsThreadId(),
    identity: platform.threadIdentity(),
    identityAgain: platform.threadIdentity(),
    aliveSelf: platform.threadAlive(platform.threadIdentity()),
    aliveOther: platform.threadAlive(workerData.other ?? 1n),
    canBlock: platform.canBlock(),
    resident: platform.residentBytes(),
    buffers: platform.buffersSupported(),
    later: platform.now() <= platform.now(),
  }),
  park: () => outcome(() => platform.park(word(), 0, 0, 1)),
  parkAsync: () => outcome(() => platform.parkAsync(word(), 0, 0, 1)),
  passedOn,
  exchange: () => outcome(() => new platform.BufferExchange(exchangeOptions('lesser', new SharedArrayBuffer(4096)))),
  region: () =>
    outcome(() => {
      const { buffer, byteLength, wanted } = platform.reserveRegion(workerData.wanted);
      return { length: buffer.byteLength, byteLength, wanted };
    }),
};

const report = await reports[workerData.report]();
Atomics.wait = realWait;
parentPort?.postMessage(report);
