/**
 * A participant in a thread of its own. In the role `loop` it does what it is told by message and answers in its
 * mailbox. `busy` never returns to its event loop but makes calls all the time; `deaf` sleeps and makes none;
 * `waiting` sleeps for a lock that somebody else holds.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { answer, BOX } from './dsm-mailbox.mjs';

const { cluster, role = 'loop', known = [], lockIn = 0, leaveAtExit = false } = workerData;
/** @type {Int32Array} */
const box = workerData.box;
let Dsm, LWLock, dsm;
try {
  ({ Dsm } = await import('../../dist/dsm/dsm.js'));
  ({ LWLock } = await import('../../dist/sync/sync.js'));
  dsm = Dsm.join(cluster);
} catch (error) {
  // Main may be blocked, so that it would not hear of an uncaught error.
  answer(box, String(error));
  throw error;
}
const held = new Map();

const mapping = (handle) => dsm.findMapping(handle) ?? dsm.attach(handle);

/** Tells whether every word has this value; a loop, as array methods take seconds for large segments. */
function holds({ i32 }, value) {
  for (let i = 0; i < i32.length; i++) if (i32[i] !== value) return false;
  return true;
}

const operations = {
  /** @returns its handle */
  create(size, value) {
    const segment = dsm.create(size);
    if (!holds(segment, 0)) throw new Error('not zero');
    segment.i32.fill(value);
    return segment.handle;
  },
  /** @returns the value of all words, or null when the segment is gone */
  read(handle) {
    const segment = mapping(handle);
    if (segment === null) return null;
    const [value] = segment.i32;
    return holds(segment, value) ? value : 'mixed';
  },
  write(handle, value) {
    mapping(handle).i32.fill(value);
  },
  detach(handle) {
    dsm.findMapping(handle).detach();
  },
  pin(handle) {
    mapping(handle).pinSegment();
  },
  unpin(handle) {
    dsm.unpinSegment(handle);
  },
  /** Goes on to hold it. */
  lock(handle) {
    const segment = mapping(handle);
    const lock = new LWLock(dsm.participant, { i32: segment.i32, ns: handle }, 0);
    lock.acquire();
    held.set(handle, lock);
  },
  unlock(handle) {
    held.get(handle).release();
  },
  stats: () => dsm.stats(),
  buffers: () => dsm.impl.known().length,
  identity: () => String(new BigInt64Array(dsm.control.buffer, dsm.participant.base * 4, 1)[0]),
  /** A participant more in this thread. @returns the code with which it was refused, or null */
  join() {
    Dsm.join(cluster);
  },
  leave() {
    dsm.leave();
  },
  /** Ends this thread by itself, a moment later. */
  exit() {
    setImmediate(() => process.exit(0));
  },
  collect() {
    globalThis.gc?.();
  },
};

function perform(op, args) {
  try {
    return operations[op](...args);
  } catch (caught) {
    const error = /** @type {import('../../dist/errors/errors.js').SharedHeapError} */ (caught);
    return { code: error.code, message: String(error) };
  }
}

parentPort?.on('message', ({ op, args }) => answer(box, perform(op, args)));
if (leaveAtExit) {
  process.on('exit', () => {
    dsm.leave();
    answer(box, 'left');
  });
}
for (const handle of known) mapping(handle);
answer(box, 'joined');

if (role === 'busy') {
  while (Atomics.load(box, BOX.stop) === 0) dsm.stats();
} else if (role === 'deaf') {
  Atomics.wait(box, BOX.stop, 0);
} else if (role === 'waiting') {
  const lock = new LWLock(dsm.participant, { i32: mapping(lockIn).i32, ns: lockIn }, 0);
  lock.acquire();
  lock.release();
  answer(box, 'had it');
}
