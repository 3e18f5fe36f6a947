/** Worker threads that are participants, told what to do by the test. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { DsmClusterHandle } from '../../dist/dsm/dsm.js';
import { BOX, lastAnswer, newMailbox, waitForAnswer } from '../workers/dsm-mailbox.mjs';

const SCRIPT = new URL('../workers/dsm-worker.mjs', import.meta.url);

export interface WorkerOptions {
  role?: 'loop' | 'busy' | 'deaf' | 'waiting';
  /** Handles of segments to attach before anything else. */
  known?: number[];
  /** Segment whose lock a `waiting` worker wants. */
  lockIn?: number;
  leaveAtExit?: boolean;
  /** Options for the runtime of the thread. */
  execArgv?: string[];
}

/** One such thread. */
export class Member {
  readonly worker: Worker;
  readonly box = newMailbox();
  readonly threadId: number;

  constructor(cluster: DsmClusterHandle, { execArgv = [], ...options }: WorkerOptions = {}) {
    this.worker = new Worker(SCRIPT, { workerData: { cluster, box: this.box, ...options }, execArgv });
    this.threadId = this.worker.threadId;
  }

  /** Number of answers so far. */
  get answers(): number {
    return Atomics.load(this.box, BOX.answers);
  }

  /** Has it do something; does not wait. Returns what to pass to {@link wait} or {@link waitAsync}. */
  tell(op: string, ...args: unknown[]): number {
    const { answers } = this;
    this.worker.postMessage({ op, args });
    return answers;
  }

  /** Blocks this thread until an answer after the first `seen` is there. */
  wait(seen = 0): any {
    return waitForAnswer(this.box, seen);
  }

  /** The same from the event loop. */
  async waitAsync(seen = 0): Promise<any> {
    while (this.answers === seen) await new Promise((resolve) => setTimeout(resolve, 1));
    return lastAnswer(this.box);
  }

  /** Has it do something, and blocks this thread until it is done. */
  call(op: string, ...args: unknown[]): any {
    return this.wait(this.tell(op, ...args));
  }

  /** Ends the thread where it stands; resolves when it is gone. */
  async end(): Promise<void> {
    if (this.worker.threadId < 0) return;
    const exit = once(this.worker, 'exit');
    await this.worker.terminate();
    await exit;
  }
}

/** The members of a test. */
export class Pool {
  readonly members: Member[] = [];

  /** Starts a thread, and blocks this one until it has joined. */
  start(cluster: DsmClusterHandle, options: WorkerOptions = {}): Member {
    const member = new Member(cluster, options);
    this.members.push(member);
    const said = member.wait();
    if (said !== 'joined') throw new Error(`the thread did not join: ${said}`);
    return member;
  }

  /** Ends all of them. */
  async end(): Promise<void> {
    await Promise.all(
      this.members.splice(0).map((member) => {
        Atomics.store(member.box, BOX.stop, 1);
        Atomics.notify(member.box, BOX.stop);
        return member.end();
      }),
    );
  }
}
