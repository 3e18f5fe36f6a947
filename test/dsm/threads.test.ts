/** Segments among real threads, most of the time with the main thread blocked. */
import { once } from 'node:events';
import { BroadcastChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClusterControl } from '../../dist/dsm/control-layout.js';
import { Dsm } from '../../dist/dsm/dsm.js';
import { LWLock, lwlockInitialize, ParticipantTable } from '../../dist/sync/sync.js';
import { codeOf, make, makeCluster, MiB, requireEmpty, requireSound, seeded, STORES } from './helpers.js';
import { Pool } from './pool.js';

let pool: Pool;
beforeEach(() => {
  pool = new Pool();
});
afterEach(() => pool.end());

describe.each(STORES)('segments among threads on %s', (store) => {
  it('are usable at once by threads that started earlier, while main is blocked', () => {
    const dsm = makeCluster(store, { regionSize: 64 * MiB });
    const [a, b] = [pool.start(dsm.handle), pool.start(dsm.handle)];
    const random = seeded(3);
    for (let round = 1; round <= 60; round++) {
      const [from, to] = round % 2 === 0 ? [a, b] : [b, a];
      const size = 1 + Math.floor(random() * (round % 10 === 0 ? MiB : 20_000));
      const handle = from!.call('create', size, round);
      expect(to!.call('read', handle)).toBe(round);
      to!.call('write', handle, -round);
      const mine = dsm.attach(handle)!;
      expect([mine.mapLength, mine.i32.at(-1)]).toEqual([size, -round]);
      mine.i32.fill(7);
      from!.call('detach', handle);
      expect(to!.call('read', handle)).toBe(7);
      mine.detach();
      to!.call('detach', handle);
      expect(from!.call('read', handle)).toBe(null);
    }
    requireEmpty(dsm);
    dsm.leave();
  });

  it('are usable by threads that started later', () => {
    const dsm = makeCluster(store);
    const a = pool.start(dsm.handle);
    const handles = [1, 2, 3].map((value) => a.call('create', 5000 * value, value));
    // Main has not been in its event loop since, so it sees the announcements when the handle is read.
    const later = pool.start(dsm.handle);
    handles.forEach((handle, i) => expect(later.call('read', handle)).toBe(i + 1));
    handles.forEach((handle) => a.call('detach', handle));
    handles.forEach((handle, i) => expect(later.call('read', handle)).toBe(i + 1));
    expect(later.call('stats').segments).toHaveLength(3);
    dsm.leave();
  });

  it('are usable by a thread that starts while main is blocked, with a handle from before', () => {
    const dsm = makeCluster(store);
    const a = pool.start(dsm.handle);
    const { handle: cluster } = dsm;
    const handle = a.call('create', 5000, 5);
    const later = pool.start(cluster);
    expect(later.call('read', handle)).toBe(5);
    expect(dsm.stats().segments).toMatchObject([{ references: 2 }]);
    dsm.leave();
  });

  it('are handed around by all at once', async () => {
    const dsm = makeCluster(store, { regionSize: 64 * MiB });
    const members = [1, 2, 3].map(() => pool.start(dsm.handle));
    for (let round = 0; round < 10; round++) {
      // All create at the same time, then all read what the next one made, then the one after that detaches.
      const asked = members.map((m, i) => m.tell('create', 1000 + round, round * 10 + i));
      const handles = members.map((m, i) => m.wait(asked[i]));
      expect(new Set(handles).size).toBe(3);
      const read = members.map((m, i) => m.tell('read', handles[(i + 1) % 3]));
      expect(members.map((m, i) => m.wait(read[i]))).toEqual([1, 2, 0].map((i) => round * 10 + i));
      const detached = members.map((m, i) => m.tell('detach', handles[i]));
      members.forEach((m, i) => m.wait(detached[i]));
      const gone = members.map((m, i) => m.tell('detach', handles[(i + 1) % 3]));
      members.forEach((m, i) => m.wait(gone[i]));
    }
    requireEmpty(dsm);
    dsm.leave();
  });

  it('go with a thread that leaves at its exit', async () => {
    const dsm = makeCluster(store);
    const member = pool.start(dsm.handle, { leaveAtExit: true });
    const mine = make(dsm, 100);
    expect(member.call('read', mine.handle)).toBe(0);
    member.call('create', 100_000, 1);
    expect(dsm.stats().segments).toHaveLength(2);
    const exit = once(member.worker, 'exit');
    member.call('exit');
    await exit;
    expect(member.wait()).toBe('left');
    expect(dsm.stats()).toMatchObject({ participants: 1, segments: [{ references: 1 }] });
    mine.detach();
    requireEmpty(dsm);
    dsm.leave();
  });
});

describe('a buffer that is asked for', () => {
  /** A cluster whose creator alone has a segment, and a handle from before it was made. */
  const stale = (options = {}) => {
    const dsm = makeCluster('buffers', options);
    const { handle: cluster } = dsm;
    const segment = make(dsm, 5000);
    segment.i32.fill(9);
    return { dsm, cluster, segment };
  };

  it('comes from a thread that makes calls all the time', () => {
    const { dsm, cluster, segment } = stale();
    pool.start(dsm.handle, { role: 'busy' });
    const late = pool.start(cluster);
    expect(late.call('read', segment.handle)).toBe(9);
    dsm.leave();
  });

  it('comes from a thread that has attached it, and makes calls', () => {
    const { dsm, cluster, segment } = stale();
    pool.start(dsm.handle, { role: 'busy', known: [segment.handle] });
    const late = pool.start(cluster);
    expect(late.call('read', segment.handle)).toBe(9);
    expect(dsm.stats().segments).toMatchObject([{ references: 3 }]);
    dsm.leave();
  });

  it('comes from the event loop of main', async () => {
    const { dsm, cluster, segment } = stale();
    const late = pool.start(cluster);
    expect(await late.waitAsync(late.tell('read', segment.handle))).toBe(9);
    dsm.leave();
  });

  it('comes from the event loop of another worker, while main is blocked', () => {
    const { dsm, cluster, segment } = stale();
    pool.start(dsm.handle);
    const late = pool.start(cluster);
    expect(late.call('read', segment.handle)).toBe(9);
    dsm.leave();
  });

  it('comes from main, which makes calls and never returns to its event loop', () => {
    const { dsm, cluster, segment } = stale();
    const late = pool.start(cluster);
    const seen = late.tell('read', segment.handle);
    while (late.answers === seen) dsm.stats();
    expect(late.wait(seen)).toBe(9);
    dsm.leave();
  });

  it('comes from a thread that sleeps for a lock', async () => {
    const { dsm, cluster, segment } = stale();
    const locked = make(dsm, 4096);
    lwlockInitialize(locked.i32, 0, 1000);
    const lock = new LWLock(dsm.participant, { i32: locked.i32, ns: locked.handle }, 0);
    lock.acquire();
    const sleeper = pool.start(dsm.handle, { role: 'waiting', lockIn: locked.handle });
    const late = pool.start(cluster);
    expect(late.call('read', segment.handle)).toBe(9);
    lock.release();
    expect(sleeper.wait(1)).toBe('had it');
    dsm.leave();
  });

  it('comes from the creator, who is told at once by the one who joins and asks before it looks', () => {
    const { dsm, cluster, segment } = stale();
    // Both participants here; the new one has nothing but its own table and that of its neighbour.
    const late = Dsm.join(cluster);
    expect(late.attach(segment.handle)!.i32[0]).toBe(9);
    late.leave();
    dsm.leave();
  });

  it('comes from one who was just joining when it was asked for', () => {
    const { dsm, segment } = stale();
    const { handle: cluster } = dsm;
    const id = [0, 1].map((i) => (dsm.control[ClusterControl.cluster_id / 4 + i]! >>> 0).toString(16)).join('');
    const channel = new BroadcastChannel(`sharedheap:${id}`);
    const real = ParticipantTable.prototype.join;
    ParticipantTable.prototype.join = function (this: ParticipantTable, options) {
      // The channel of the one who joins is open, and it has not looked at anything.
      channel.postMessage({ t: 'want', handle: segment.handle });
      Atomics.add(dsm.control, ClusterControl.attention / 4, 1);
      return real.call(this, options);
    };
    const late = Dsm.join(cluster);
    ParticipantTable.prototype.join = real;
    expect(receiveMessageOnPort(channel as unknown as MessagePort)?.message).toMatchObject({
      t: 'answer',
      handle: segment.handle,
    });
    channel.close();
    late.leave();
    dsm.leave();
  });

  it('does not come when all who have it sleep: an error within attachTimeout, and nothing is lost', async () => {
    const { dsm, cluster, segment } = stale({ attachTimeout: 200 });
    const before = dsm.stats();
    pool.start(dsm.handle, { role: 'deaf' });
    const late = pool.start(cluster);
    const asked = performance.now();
    // Main is blocked, the other one is deaf.
    const refused = late.call('read', segment.handle);
    expect(refused.code).toBe('ERR_HEAP_SEGMENT_UNREACHABLE');
    expect(refused.message).toContain('waited 200 ms');
    expect(performance.now() - asked).toBeGreaterThan(190);
    expect(dsm.stats()).toEqual({ ...before, participants: 3 });
    // It has not given up for good.
    expect(await late.waitAsync(late.tell('read', segment.handle))).toBe(9);
    expect(dsm.stats().segments).toMatchObject([{ references: 2 }]);
    dsm.leave();
  });

  it('does not come for a segment that was destroyed: that is told at once', () => {
    const { dsm, cluster, segment } = stale({ attachTimeout: 20_000 });
    const late = pool.start(cluster);
    const { handle } = segment;
    segment.detach();
    expect(late.call('read', handle)).toBe(null);
    dsm.leave();
  });

  it('is not believed when its length is not that of the segment', () => {
    const { dsm, cluster, segment } = stale();
    const guest = Dsm.join(dsm.handle);
    const wrong = [4096, 12288, 0].map((bytes) => new SharedArrayBuffer(bytes));
    for (const buffer of wrong) {
      const late = Dsm.join({ ...cluster, segments: [[segment.handle, buffer]] });
      expect(late.attach(segment.handle)!.i32[0]).toBe(9);
      late.leave();
    }
    expect(dsm.stats().segments).toMatchObject([{ references: 1 }]);
    guest.leave();
    dsm.leave();
  });
});

describe('threads that come and go while others work', () => {
  it.each(STORES)('join on %s with every slot in turn', async (store) => {
    const dsm = makeCluster(store, { participants: 3 });
    const mine = make(dsm, 100);
    for (let round = 0; round < 6; round++) {
      const members = [pool.start(dsm.handle), pool.start(dsm.handle)];
      expect(codeOf(() => Dsm.join(dsm.handle))).toBe('ERR_HEAP_PARTICIPANT_SLOTS');
      for (const member of members) expect(member.call('read', mine.handle)).toBe(0);
      expect(dsm.stats()).toMatchObject({ participants: 3, segments: [{ references: 3 }] });
      // One leaves, the other is ended.
      members[0]!.call('leave');
      await Promise.all(members.map((member) => member.end()));
      pool.members.length = 0;
      requireSound(dsm);
    }
    Dsm.join(dsm.handle).leave();
    expect(dsm.stats()).toMatchObject({ participants: 1, segments: [{ references: 1 }] });
    dsm.leave();
  });
});
