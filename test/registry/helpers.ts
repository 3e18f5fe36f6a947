/** What the tests of the registry share: registries that end with the test, and threads told what to do. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, onTestFinished } from 'vitest';
import { Dsm, type DsmOptions, verifyCluster } from '../../dist/dsm/dsm.js';
import { Registry } from '../../dist/registry/registry.js';

export { codeOf, errorOf, MiB, STORES } from '../dsm/helpers.js';

/** A participant with its registry. */
export interface Member {
  dsm: Dsm;
  registry: Registry;
}

/** A participant that leaves when the test ends. */
export function newDsm(store: 'region' | 'buffers', options: DsmOptions = {}): Dsm {
  const dsm = Dsm.create({ store, regionSize: 64 * 2 ** 20, ...options });
  onTestFinished(() => dsm.leave());
  return dsm;
}

/** The first participant of a cluster, with a registry. */
export function newRegistry(store: 'region' | 'buffers', options: DsmOptions = {}): Member {
  const dsm = newDsm(store, options);
  return { dsm, registry: Registry.open(dsm) };
}

/** A further participant, in this thread. */
export function join(dsm: Dsm, options: { lockTimeout?: number } = {}): Member {
  const other = Dsm.join(dsm.handle, options);
  onTestFinished(() => other.leave());
  return { dsm: other, registry: Registry.open(other) };
}

/** Fails unless the registry and the cluster are in order; notes count too. */
export function expectSound({ dsm, registry }: Member): void {
  expect(verifyCluster(dsm).findings).toEqual([]);
  expect(registry.verify().findings).toEqual([]);
}

/** Live objects of the registry's own area: what a failure must leave as they were. */
export function liveObjects(registry: Registry): number {
  return registry.root.area.stats().liveObjects;
}

const SCRIPT = new URL('../workers/registry-worker.mjs', import.meta.url);

/** A thread of its own that is a participant; see test/workers/registry-worker.mjs. */
export class Thread {
  readonly worker: Worker;

  constructor(dsm: Dsm, data: Record<string, unknown> = {}) {
    this.worker = new Worker(SCRIPT, { workerData: { cluster: dsm.handle, ...data } });
    onTestFinished(() => this.end());
  }

  /** Has it do something; the answer is what the operation returned, or the code of its error. */
  async call(op: string, ...args: unknown[]): Promise<any> {
    this.worker.postMessage({ op, args });
    return this.next();
  }

  /** Its next message. */
  async next(): Promise<any> {
    const [message] = await once(this.worker, 'message');
    return message;
  }

  /** Ends the thread where it stands. */
  async end(): Promise<void> {
    if (this.worker.threadId < 0) return;
    const exit = once(this.worker, 'exit');
    await this.worker.terminate();
    await exit;
  }
}
