/**
 * A participant with a registry in a thread of its own, which does what it is told by message.
 *
 * `flags` is shared with the test, see registry-flags.mjs.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Dsm, Registry, stringKeys } from '../../dist/core.js';
import { FLAG } from './registry-flags.mjs';

const { cluster, flags = new Int32Array(new SharedArrayBuffer(64)), seed = 1, lockTimeout } = workerData;
const dsm = Dsm.join(cluster, lockTimeout === undefined ? {} : { lockTimeout });
let registry = null;
const opened = () => (registry ??= Registry.open(dsm));
const PARAMS = { ...stringKeys(64), entrySize: 72 };

let state = seed;
const random = () => {
  state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
  return state / 0x80000000;
};

function shuffled(n) {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Makes or finds one of the names of a race; returns [found, what it is in all threads]. */
function take(i, kind, failures) {
  const tally = () => Atomics.add(flags, FLAG.counts + i, 1);
  const count = () => {
    if (random() < failures) throw new Error('on purpose');
    tally();
  };
  switch (kind) {
    case 'segment': {
      const { segment, found } = opened().getNamedSegment(`name ${i}`, 100 + i, (made) => {
        made.i32[0] = i + 1;
        count();
      });
      if (segment.i32[0] !== i + 1) throw new Error(`segment ${i} was seen before it was initialised`);
      return [found, segment.handle];
    }
    case 'area': {
      const { area, found } = opened().getNamedArea(`name ${i}`);
      if (!found) tally();
      return [found, area.handle];
    }
    case 'hash': {
      const { table, found } = opened().getNamedHash(`name ${i}`, PARAMS);
      if (!found) tally();
      const entry = table.findOrInsert(`from ${dsm.participant.slot}`);
      table.releaseLock(entry);
      return [found, table.area.handle + table.handle * 2 ** -20];
    }
    default: {
      const block = opened().block(`name ${i}`, kind, 8 * (1 + (i % 40)), (made) => {
        made.i32[made.word] = i + 1;
        count();
      });
      if (block.i32[block.word] !== i + 1) throw new Error(`block ${i} was seen before it was initialised`);
      return [block.found, block.pointer];
    }
  }
}

const operations = {
  /**
   * Takes all names in an order of its own.
   * @returns who made how many, where each is, and how many initialisations were made to fail
   */
  race(kinds, failures) {
    Atomics.wait(flags, FLAG.go, 0, 20_000);
    let made = 0;
    let failed = 0;
    const where = [];
    for (const i of shuffled(kinds.length)) {
      for (;;) {
        try {
          const [found, place] = take(i, kinds[i], failures);
          if (!found) made++;
          where[i] = place;
          break;
        } catch (error) {
          if (!(error instanceof Error) || error.message !== 'on purpose') throw error;
          failed++;
        }
      }
    }
    return { made, failed, where };
  },
  open: () => void opened(),
  block(name, kind, size) {
    const block = opened().block(name, kind, size, (made) => {
      made.i32[made.word] = 7;
    });
    return { found: block.found, value: block.i32[block.word] };
  },
  segment(name, size) {
    const { segment, found } = opened().getNamedSegment(name, size);
    return { found, value: segment.i32[0] };
  },
  /** Goes into the initialisation of a name, tells so, and stays there until it is told to go on. */
  stay(what, name, size) {
    const hang = (made) => {
      (made.i32 ?? made).fill(1, made.word ?? 0, (made.word ?? 0) + 1);
      Atomics.store(flags, FLAG.inside, 1);
      Atomics.notify(flags, FLAG.inside);
      Atomics.wait(flags, FLAG.resume, 0, 60_000);
    };
    if (what === 'segment') return opened().getNamedSegment(name, size, hang).found;
    return opened().block(name, what, size, hang).found;
  },
  /** Lets one who stays go on after a while. */
  release(ms) {
    Atomics.wait(flags, FLAG.go, 0, ms);
    Atomics.store(flags, FLAG.resume, 1);
    Atomics.notify(flags, FLAG.resume);
  },
  /** An area that nobody else knows, and who this participant is. */
  secretArea(pin) {
    const { area } = opened().getNamedArea('to make sure that the registry is open');
    const secret = area.constructor.create(dsm);
    if (pin) secret.pin();
    return { handle: secret.handle, slot: dsm.participant.slot, generation: dsm.participant.generation };
  },
  set(value) {
    const { segment } = opened().getNamedSegment('test', 20);
    segment.i32[0] = value;
  },
  leave() {
    registry?.close();
    dsm.leave();
  },
};

parentPort.on('message', ({ op, args }) => {
  try {
    parentPort.postMessage(operations[op](...args));
  } catch (caught) {
    const error = /** @type {{ code?: string }} */ (caught);
    parentPort.postMessage({ code: error.code ?? 'none', text: String(error) });
  }
});
