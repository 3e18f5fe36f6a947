/** Threads that end without a word: their slots, mappings and references are taken back. */
import { execFile } from 'node:child_process';
import { BroadcastChannel } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Piscina } from 'piscina';
import { describe, expect, it } from 'vitest';
import { Dsm } from '../../dist/dsm/dsm.js';
import { CONFIRM_AFTER_MS } from '../../dist/platform/buffers.js';
import { lwlockInitialize } from '../../dist/sync/sync.js';
import {
  codeOf,
  errorOf,
  freeControlLock,
  holdControlLock,
  make,
  makeCluster,
  MiB,
  requireEmpty,
  requireSound,
  type Store,
} from './helpers.js';
import { Pool } from './pool.js';

const TASK = fileURLToPath(new URL('../workers/dsm-task.mjs', import.meta.url));

function makePool(cluster: object, shared: number): Piscina {
  return new Piscina({
    filename: TASK,
    workerData: { cluster, shared },
    minThreads: 0,
    maxThreads: 3,
    idleTimeout: 1,
    atomics: 'async',
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe.runIf(process.platform === 'linux')('a pool that recycles idle workers', () => {
  it.each<[Store, number]>([
    ['region', 200],
    ['buffers', 24],
  ])(
    'goes on for ever on %s with 8 slots (%i workers that never leave)',
    async (store, workers) => {
      const dsm = makeCluster(store, { participants: 8, regionSize: 64 * MiB });
      const shared = make(dsm, 4096);
      const pool = makePool(dsm.handle, shared.handle);
      const threads = new Set<number>();
      while (threads.size < workers) {
        for (const id of await Promise.all([pool.run({}), pool.run({}), pool.run({})])) threads.add(id);
        await until(() => pool.threads.length === 0);
        // What is left is only ever that of the last few: those who joined have taken back the rest.
        const { segments } = dsm.stats();
        expect(segments.length).toBeLessThanOrEqual(8);
        expect(segments[0]!.references).toBeLessThanOrEqual(8);
      }
      await pool.destroy();
      expect(shared.i32[100]).toBe(threads.size);
      await until(() => dsm.stats().participants === 1);
      Dsm.join(dsm.handle).leave();
      expect(dsm.stats()).toMatchObject({ participants: 1, segments: [{ handle: shared.handle, references: 1 }] });
      requireSound(dsm);
      shared.detach();
      requireEmpty(dsm);
      dsm.leave();
      // Starting a thread takes long on a busy machine.
    },
    240_000,
  );
});

describe.runIf(process.platform === 'linux')('a thread that has ended', () => {
  it('is told from its successor by its native number, and its references are taken back at the next join', async () => {
    const dsm = makeCluster('region');
    const threads = new Pool();
    const mine = make(dsm, 100);
    const member = threads.start(dsm.handle);
    member.call('read', mine.handle);
    const own = member.call('create', 30_000, 3);
    const pinned = member.call('create', 100, 4);
    member.call('pin', pinned);
    expect(dsm.stats()).toMatchObject({ participants: 2, segments: { length: 3 } });
    await member.end();
    // Known to be gone, but nobody has taken anything back.
    await until(() => dsm.stats().participants === 1);
    expect(dsm.stats().segments.map((s) => s.references)).toEqual([2, 1, 2]);
    const late = Dsm.join(dsm.handle);
    expect(late.stats().segments.map((s) => [s.handle, s.references])).toEqual([
      [mine.handle, 1],
      [pinned, 1],
    ]);
    // A pin is nobody's: it outlives its maker.
    expect(late.attach(own)).toBe(null);
    expect(late.attach(pinned)!.i32[0]).toBe(4);
    late.unpinSegment(pinned);
    late.leave();
    dsm.leave();
  });

  it('is taken back by markDead too, without anybody joining', async () => {
    const dsm = makeCluster('buffers', { participants: 2 });
    const threads = new Pool();
    const mine = make(dsm, 100);
    const member = threads.start(dsm.handle);
    member.call('read', mine.handle);
    member.call('create', 30_000, 3);
    expect(dsm.markDead(member.threadId)).toBe(0);
    expect(dsm.stats().segments).toHaveLength(2);
    await member.end();
    await until(() => dsm.stats().participants === 1);
    dsm.markDead(member.threadId);
    expect(dsm.stats()).toMatchObject({ participants: 1, segments: [{ references: 1 }] });
    requireSound(dsm);
    mine.detach();
    requireEmpty(dsm);
    dsm.leave();
  });

  it('keeps its slot when it may have held a lock: what that protects must be repaired first', async () => {
    const dsm = makeCluster('region', { participants: 4 });
    const shared = make(dsm, 4096);
    lwlockInitialize(shared.i32, 0, 1000);
    const pool = makePool(dsm.handle, shared.handle);
    await pool.run({ lock: true });
    await until(() => pool.threads.length === 0);
    await pool.destroy();
    await until(() => dsm.stats().participants === 1);
    const guests = [Dsm.join(dsm.handle), Dsm.join(dsm.handle)];
    expect(dsm.stats().participants).toBe(3);
    expect(dsm.stats().segments.map((s) => [s.size, s.references])).toEqual([
      [4096, 2],
      [5000, 1],
      [100, 1],
    ]);
    const error = errorOf(() => Dsm.join(dsm.handle));
    expect(error.code).toBe('ERR_HEAP_PARTICIPANT_SLOTS');
    expect(error.detail).toBe(
      '4 slots, 1 of them of threads that ended while they may have held a lock, 0 of threads that cannot be asked',
    );
    expect(codeOf(() => guests[0]!.markDead(2 ** 20))).toBe('nothing');
    for (const guest of guests) guest.leave();
    dsm.leave();
  });

  it('in whose slot a lock stalls is handed back, and taken by the next who joins', async () => {
    const dsm = makeCluster('region', { lockTimeout: 20 });
    const threads = new Pool();
    const mine = make(dsm, 100);
    const member = threads.start(dsm.handle);
    member.call('read', mine.handle);
    const holder = Dsm.join(dsm.handle);
    await member.end();
    await until(() => dsm.stats().participants === 2);
    holdControlLock(holder);
    expect(codeOf(() => Dsm.join(dsm.handle))).toBe('ERR_HEAP_LOCK_STALLED');
    freeControlLock(holder);
    expect(dsm.stats().segments).toMatchObject([{ references: 2 }]);
    Dsm.join(dsm.handle).leave();
    expect(dsm.stats()).toMatchObject({ participants: 2, segments: [{ references: 1 }] });
    requireSound(dsm);
    holder.leave();
    dsm.leave();
  });
});

describe('buffers of segments whose end was not heard of', () => {
  it('are dropped everywhere when a participant is found gone', async () => {
    const dsm = makeCluster('buffers', { participants: 4 });
    const threads = new Pool();
    const other = Dsm.join(dsm.handle);
    const kept = make(other, 100);
    const lost = make(other, 100);
    const member = threads.start(dsm.handle);
    // Only what has been seen to be live once is not looked at again by itself.
    await new Promise((resolve) => setTimeout(resolve, CONFIRM_AFTER_MS + 20));
    dsm.attend();
    const { postMessage } = BroadcastChannel.prototype;
    BroadcastChannel.prototype.postMessage = function (this: BroadcastChannel, message: { t: string }) {
      if (message.t !== 'gone') postMessage.call(this, message);
    };
    lost.detach();
    BroadcastChannel.prototype.postMessage = postMessage;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(dsm.impl.known().map(([handle]) => handle)).toEqual([kept.handle, lost.handle]);
    await member.end();
    other.markDead(member.threadId);
    expect(dsm.impl.known().map(([handle]) => handle)).toEqual([kept.handle]);
    kept.detach();
    requireEmpty(dsm);
    other.leave();
    dsm.leave();
  });
});

describe('where nobody can tell which threads live', () => {
  it('markDead takes back what a thread left, and nothing else', async () => {
    const script = fileURLToPath(new URL('../workers/dsm-unknown.mjs', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [script]);
    const expected = {
      alive: [3, 3, 1, 1],
      ended: [3, 3, 1, 1],
      full:
        'ERR_HEAP_PARTICIPANT_SLOTS: 3 slots, 0 of them of threads that ended while they may have held a lock, ' +
        '2 of threads that cannot be asked',
      strangers: [0, 0],
      first: [1, 2, 2, 1],
      again: 0,
      joined: 'nothing',
      second: [1, 1, 1],
      empty: [1],
    };
    expect(JSON.parse(stdout)).toEqual({ region: expected, buffers: expected });
  });
});
