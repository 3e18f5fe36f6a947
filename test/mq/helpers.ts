/** Queues between participants of a small control memory, in this thread or with workers at the other ends. */

import { Worker } from 'node:worker_threads';
import { type ErrorCode, isSharedHeapError } from '../../dist/errors/errors.js';
import { MessageQueue, MqReceiver, MqSender } from '../../dist/mq/mq.js';
import { makeWorld, type TestWorld } from '../sync/world.js';

/** Code of the error that `action` throws; 'nothing' when it returns. */
export function codeOf(action: () => unknown): ErrorCode | 'nothing' {
  try {
    action();
  } catch (error) {
    if (isSharedHeapError(error)) return error.code;
    throw error;
  }
  return 'nothing';
}

/** Code of the error that a promise rejects with. */
export async function rejectionOf(promise: Promise<unknown>): Promise<ErrorCode | 'nothing'> {
  try {
    await promise;
  } catch (error) {
    if (isSharedHeapError(error)) return error.code;
    throw error;
  }
  return 'nothing';
}

/** Memory for one queue of `size` bytes, with 64 bytes of something else on each side. */
export function queueMemory(size: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(128 + Math.ceil(size / 8) * 8)).fill(0x5a5a5a5a);
}

/** Throws when bytes outside the queue were written. */
export function requireUntouched(a: Int32Array, size: number): void {
  const end = 16 + Math.floor(size / 8) * 2;
  const stray = a.findIndex((word, i) => (i < 16 || i >= end) && word !== 0x5a5a5a5a);
  if (stray >= 0) throw new Error(`word ${stray} outside the queue was written`);
}

export interface Pair {
  readonly world: TestWorld;
  readonly a: Int32Array;
  readonly queue: MessageQueue;
  readonly sender: MqSender;
  readonly receiver: MqReceiver;
}

/** A queue of `size` bytes with both ends in this thread. */
export function makePair(size: number, world = makeWorld(4)): Pair {
  const a = queueMemory(size);
  const queue = MessageQueue.create(a, 64, size);
  const [s, r] = [world.join(), world.join()];
  queue.setSender(s);
  queue.setReceiver(r);
  return { world, a, queue, sender: MqSender.attach(queue, s), receiver: MqReceiver.attach(queue, r) };
}

/** `length` bytes that depend on their place and on `seed`. */
export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (Math.imul(i + 1, 0x9e3779b1) + seed * 31) >>> 11;
  return bytes;
}

/** A worker of test/workers/mq-worker.mjs. */
export interface MqJob {
  readonly worker: Worker;
  /** What the job returned; rejects when it failed. */
  readonly result: Promise<any>;
}

export function startMq(world: TestWorld, job: string, options: object): MqJob {
  const worker = new Worker(new URL('../workers/mq-worker.mjs', import.meta.url), {
    workerData: { ...world.shared, job, ...options },
  });
  const result = new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the worker ended with ${code}`)));
  });
  result.catch(() => {});
  return { worker, result };
}
