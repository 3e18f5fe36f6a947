/** Threads that join, work at random, leave, and are ended while they rest; then an exact account. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Dsm, type DsmClusterHandle } from '../../dist/dsm/dsm.js';
import { BOARD } from '../workers/dsm-board.mjs';
import { makeCluster, MiB, requireEmpty, requireSound, seeded, STORES } from './helpers.js';

const THREADS = 4;
const STEPS = 3000;
const SCRIPT = new URL('../workers/dsm-churn.mjs', import.meta.url);

interface Churner {
  readonly worker: Worker;
  readonly exit: Promise<unknown>;
}

function start(cluster: DsmClusterHandle, board: Int32Array, me: number, seed: number): Churner {
  Atomics.store(board, BOARD.states + me, BOARD.BUSY);
  const worker = new Worker(SCRIPT, { workerData: { cluster, board, me, seed, steps: STEPS } });
  // Rejects with what the thread has thrown; the handler keeps that from being unhandled until it is awaited.
  const exit = once(worker, 'exit');
  exit.catch(() => Atomics.store(board, BOARD.states + me, BOARD.FAILED));
  return { worker, exit };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.runIf(process.platform === 'linux').each(STORES)('a cluster on %s', (store) => {
  it('is exact to the page after threads have come, worked at random and gone in every way', async () => {
    const dsm = makeCluster(store, { participants: 24, segments: 60, regionSize: 16 * MiB });
    const { touchedBytes: _, ...empty } = dsm.stats();
    const board = new Int32Array(new SharedArrayBuffer(BOARD.words * 4));
    const random = seeded(7);
    Atomics.store(board, BOARD.gate, 1);
    let ended = 0;
    const churners = Array.from({ length: THREADS }, (_, me) => start(dsm.handle, board, me, me + 1));
    const states = () => churners.map((_, me) => Atomics.load(board, BOARD.states + me));
    for (let round = 0; round < 8; round++) {
      await pause(20 + random() * 40);
      // All rest, the cluster is at rest too: a moment to look at it, and to end one of them where it stands.
      Atomics.store(board, BOARD.gate, 0);
      // A real pause each time: on buffers a thread at work may be waiting for an answer of this one's event loop.
      while (states().includes(BOARD.BUSY)) await pause(1);
      await Promise.all(churners.filter((_, me) => states()[me] === BOARD.FAILED).map((c) => c.exit));
      requireSound(dsm);
      const victim = Math.floor(random() * THREADS);
      if (states()[victim] === BOARD.IDLE) {
        const { worker, exit } = churners[victim]!;
        await worker.terminate();
        await exit;
        ended++;
        churners[victim] = start(dsm.handle, board, victim, 100 + round);
      }
      Atomics.store(board, BOARD.gate, 1);
      Atomics.notify(board, BOARD.gate);
    }
    await Promise.all(churners.map((c) => c.exit));
    expect(states()).toEqual(churners.map(() => BOARD.DONE));
    expect(ended).toBeGreaterThan(2);
    expect(Atomics.load(board, BOARD.steps)).toBeGreaterThanOrEqual(THREADS * STEPS);

    // What the last ones have left is taken back by whoever joins next.
    while (dsm.stats().participants > 1) await pause(1);
    Dsm.join(dsm.handle).leave();
    requireSound(dsm);
    const { segments } = dsm.stats();
    expect(segments.filter((s) => !(s.pinned && s.references === 1))).toEqual([]);
    for (const { handle } of segments) dsm.unpinSegment(handle);
    requireEmpty(dsm);
    if (store === 'buffers') expect(dsm.stats()).toMatchObject(empty);
    else expect(dsm.stats()).toMatchObject({ ...empty, largestFreeBytes: expect.any(Number) });
    dsm.leave();
  });
});
