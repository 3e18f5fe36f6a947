/**
 * Kills a participant at each atomic operation of what caches do, and looks at what the others find. To be run with
 * `--conditions explore`; prints one line of JSON.
 *
 * All participants live in one thread. A death is an exception out of the hook that runs before each operation, and out
 * of every later one, so that nothing the victim still runs reaches shared memory by one; then its slot is made to name
 * a thread that is known to be gone.
 */

import { sweepGone } from '../../dist/dsa/cache-sweep.js';
import { grantedRoom } from '../../dist/dsa/cache-budget.js';
import { abandonCache } from '../../dist/dsa/cache-life.js';
import { cacheSlotWord, CS_GENERATION, CS_GRANTED } from '../../dist/dsa/cache-layout.js';
import { DsaArea } from '../../dist/dsa/dsa.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { setHook } from '../../dist/platform/atomic.explore.js';
import { ParticipantSlot } from '../../dist/sync/participant-layout.js';

const KIB = 1024;
const NOBODY = 0x7fff_ffff;
const store = process.argv[2] === 'buffers' ? 'buffers' : 'region';
const death = new Error('this participant dies here');

/** A member of the cluster of `first`, or of a new one. */
function member(first) {
  /** @type {import('../../dist/dsm/dsm.js').DsmOptions} */
  const options = { store, regionSize: 16 * KIB * KIB, lockTimeout: 5, attachTimeout: 1000 };
  const dsm = first === undefined ? Dsm.create(options) : Dsm.join(first.dsm.handle, { lockTimeout: 5 });
  const small = { cache: true, initSegmentSize: 256 * KIB, maxSegmentSize: 256 * KIB };
  return { dsm, area: first === undefined ? DsaArea.create(dsm, small) : DsaArea.attach(dsm, first.area.handle) };
}

/** Lets the participant count as one whose thread is gone. */
function bury({ dsm, area }, number) {
  const slot = dsm.table.slotBase(dsm.participant.slot);
  for (const field of [ParticipantSlot.identity, ParticipantSlot.dead]) {
    dsm.control[slot + field / 4] = NOBODY;
    dsm.control[slot + field / 4 + 1] = NOBODY - number;
  }
  abandonCache(area.state);
}

function make(area, count, size) {
  return Array.from({ length: count }, () => area.allocate(size));
}

function fill(area) {
  const live = [40, 40, 40, 1000, 8192, 8192, 12_000, 12_000, 30_000].map((size) => area.allocate(size));
  for (const pointer of live) area.free(pointer);
}

/**
 * What the victim does, and before that what it has done. Each says how many objects are live when all is over, at
 * least and at most: one that was on its way may be either.
 */
const SCENES = {
  refill: {
    before: ({ area }) => make(area, 8, 8192),
    act: ({ area }) => make(area, 1, 8192),
    live: [8, 9],
  },
  'refill that makes a segment': {
    before: ({ area }) => make(area, 21, 8192),
    act: ({ area }) => make(area, 8, 8192),
    live: [21, 29],
  },
  flush: {
    before: ({ area }) => {
      const all = make(area, 40, 8192);
      for (const pointer of all.splice(0, 16)) area.free(pointer);
      return all;
    },
    act: ({ area }, all) => area.free(all.pop()),
    live: [23, 24],
  },
  'a first free of each class': {
    before: (_victim, { area: other }) => [40, 1000, 8192, 12_000].map((size) => other.allocate(size)),
    act: ({ area }, all) => {
      for (const pointer of all) area.free(pointer);
    },
    live: [0, 4],
  },
  'large objects that push others out': {
    before: ({ area }) => {
      const all = make(area, 20, 12_000);
      for (const pointer of all.splice(0, 16)) area.free(pointer);
      return all;
    },
    act: ({ area }, all) => {
      for (const pointer of all) area.free(pointer);
    },
    live: [0, 4],
  },
  trim: { before: ({ area }) => fill(area), act: ({ area }) => area.trim(), live: [0, 0] },
  detach: { before: ({ area }) => fill(area), act: ({ area }) => area.detach(), live: [0, 0] },
  'taking back what a gone one had': {
    before: (_victim, first) => {
      const gone = member(first);
      fill(gone.area);
      bury(gone, 1);
    },
    act: ({ area }) => sweepGone(area.state),
    live: [0, 0],
  },
  'running out of memory': {
    before: ({ area }, { area: other }) => {
      fill(area);
      other.setSizeLimit(other.getTotalSize());
    },
    act: ({ area }) => area.allocate(400_000, 2),
    live: [0, 0],
  },
};

/** Kills the victim at its n-th operation. Null when it has not got so many. */
function kill({ before, act }, n) {
  const first = member();
  const victim = member(first);
  const had = before(victim, first);
  let count = 0;
  let dead = false;
  setHook(() => {
    if (!dead && ++count < n) return;
    dead = true;
    throw death;
  });
  try {
    act(victim, had);
  } catch (error) {
    if (!dead) throw error;
  }
  setHook(null);
  const { slot } = victim.dsm.participant;
  if (!dead) return null;
  bury(victim, 2);
  // It may have noted a lock that it did not get any more: then the others can go on.
  const held = first.area.verify().findings.some(({ id }) => id === 'K18' || id === 'M8');
  return { first, slot, held };
}

/** Ids of what is wrong with an area after somebody has come and taken back. */
function inspect({ first, slot, held }, live) {
  const [least, most] = live;
  const wrong = [];
  const attempt = (action) => {
    try {
      return action();
    } catch (caught) {
      const error = /** @type {{ code: string, message: string }} */ (caught);
      if (error.code !== 'ERR_HEAP_LOCK_STALLED') throw error;
      if (!held) wrong.push(error.message);
      return null;
    }
  };
  const next = attempt(() => member(first));
  attempt(() => first.area.trim());
  const { findings } = first.area.verify();
  for (const { id, severity, message } of findings) {
    if (severity === 'error' && !held) wrong.push(`${id}: ${message}`);
  }
  const { cacheTable } = first.area.state;
  const room = grantedRoom(first.area.state);
  if (!held) {
    const { liveObjects } = first.area.stats();
    if (liveObjects < least || liveObjects > most)
      wrong.push(`${liveObjects} objects are live, not ${least} to ${most}`);
    if (room !== 0) wrong.push(`${room} units of room are left`);
    const word = cacheSlotWord(slot);
    const reused = next !== null && next.dsm.participant.slot === slot;
    if (!reused && cacheTable[word + CS_GENERATION] !== 0) wrong.push('the slot still has an owner');
    if (cacheTable[word + CS_GRANTED] !== 0) wrong.push('the slot still has room');
  }
  setHook(null);
  if (next !== null) abandonCache(next.area.state);
  abandonCache(first.area.state);
  return wrong;
}

const report = {};
for (const [name, scene] of Object.entries(SCENES)) {
  const result = { deaths: 0, clean: 0, wrong: [] };
  for (let n = 1; ; n++) {
    const found = kill(scene, n);
    if (found === null) break;
    result.deaths++;
    if (!found.held) result.clean++;
    for (const message of inspect(found, scene.live)) result.wrong.push(`at ${n}: ${message}`);
  }
  report[name] = result;
}
console.log(JSON.stringify(report));
