/** A small control memory for tests of sync/: tranches, participants, a few locks and words to count in. */

import { Worker } from 'node:worker_threads';
import { type Participant, ParticipantTable, TrancheTable } from '../../dist/sync/sync.js';

/** Byte offsets in the memory. */
const TRANCHES_AT = 4096;
const PARTICIPANTS_AT = 32768;
/** Word index of lock `n`; locks lie a cache line apart, in memory number 0. */
export const lockWord = (n: number): number => n * 16;
/** Word index of counter `n`. */
export const counterWord = (n: number): number => 512 + n;
/** Byte offset of 64-bit variable `n`, and its index in a BigInt64Array. */
export const varOffset = (n: number): number => 3072 + n * 8;
export const varIndex = (n: number): number => varOffset(n) / 8;

/** What a worker needs to take part. */
export interface Shared {
  readonly buffer: SharedArrayBuffer;
  readonly participantsAt: number;
  readonly count: number;
}

export interface TestWorld {
  readonly shared: Shared;
  readonly i32: Int32Array;
  readonly vars: BigInt64Array;
  readonly table: ParticipantTable;
  readonly tranches: TrancheTable;
  /** What workers have thrown. */
  readonly failures: Error[];
  join(lockTimeout?: number): Participant;
}

export function makeWorld(count = 8): TestWorld {
  const buffer = new SharedArrayBuffer(PARTICIPANTS_AT + ParticipantTable.sizeof(count));
  const i32 = new Int32Array(buffer);
  const table = new ParticipantTable(i32, PARTICIPANTS_AT, count);
  table.initialize();
  const tranches = new TrancheTable(i32, TRANCHES_AT, table);
  tranches.initialize();
  return {
    shared: { buffer, participantsAt: PARTICIPANTS_AT, count },
    i32,
    vars: new BigInt64Array(buffer),
    table,
    tranches,
    failures: [],
    join: (lockTimeout = 30_000) => table.join({ lockTimeout, release: () => {} }),
  };
}

/** A worker of test/workers/sync-worker.mjs, and the result of its job. */
export interface Job<T> {
  readonly worker: Worker;
  /** Resolves with what the job returned; rejects when the worker failed. */
  readonly result: Promise<T>;
}

/** Starts a worker on a job of test/workers/sync-worker.mjs, or of another script there. */
export function startJob<T = Record<string, number>>(
  world: TestWorld,
  job: string,
  options: object = {},
  script = 'sync-worker.mjs',
): Job<T> {
  const worker = new Worker(new URL(`../workers/${script}`, import.meta.url), {
    workerData: { ...world.shared, job, ...options },
  });
  const result = new Promise<T>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', (error: Error) => {
      world.failures.push(error);
      reject(error);
    });
    worker.once('exit', (code) => reject(new Error(`the worker ended with ${code}`)));
  });
  // A job that is ended on purpose has nobody who waits for its result.
  result.catch(() => {});
  return { worker, result };
}

/** Waits until the word has the value. Throws the error of a worker that has failed meanwhile. */
export async function untilWord(world: TestWorld, word: number, value = 1): Promise<void> {
  while (Atomics.load(world.i32, word) !== value) {
    if (world.failures.length > 0) throw world.failures[0]!;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
