import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import {
  builtin,
  canBlock,
  jsThreadId,
  now,
  platformName,
  residentBytes,
  runtimeName,
  threadAlive,
  threadIdentity,
} from '../../dist/platform/platform.js';

const onLinux = process.platform === 'linux';
const workers: Worker[] = [];

afterEach(async () => {
  await Promise.all(workers.splice(0).map((w) => w.terminate()));
});

interface Report {
  identity: bigint;
  id: number;
  other: boolean | undefined;
}

async function start(
  role: string,
  other?: bigint,
): Promise<{ worker: Worker; report: Report; exit: Promise<unknown> }> {
  const worker = new Worker(new URL('../workers/platform-thread.mjs', import.meta.url), {
    workerData: { role, other },
  });
  workers.push(worker);
  const exit = once(worker, 'exit');
  const [report] = (await once(worker, 'message')) as [Report];
  return { worker, report, exit };
}

/** Report of a thread whose runtime lacks something; see the worker. */
async function lesser(scenario: string, report: string, more: object = {}): Promise<any> {
  const worker = new Worker(new URL('../workers/platform-lesser.mjs', import.meta.url), {
    workerData: { scenario, report, ...more },
  });
  workers.push(worker);
  const [answer] = await once(worker, 'message');
  return answer;
}

describe('facts', () => {
  test('this runtime', () => {
    expect(runtimeName()).toBe(`node ${process.versions.node}`);
    expect(platformName()).toBe(process.platform);
    expect(canBlock()).toBe(true);
    expect(residentBytes()).toBeGreaterThan(2 ** 20);
    expect(builtin('node:fs')).toBe(process.getBuiltinModule('node:fs'));
    expect(builtin('node:no-such-module')).toBeUndefined();
  });

  test('now never goes back', () => {
    let last = now();
    for (let i = 0; i < 10_000; i++) {
      const t = now();
      expect(t).toBeGreaterThanOrEqual(last);
      last = t;
    }
  });

  test('the thread number is what Worker.threadId shows', async () => {
    const { worker, report } = await start('loop');
    expect(report.id).toBe(worker.threadId);
    expect(jsThreadId()).not.toBe(report.id);
  });

  test('in a browser', async () => {
    const facts = await lesser('browser', 'facts');
    expect(facts).toMatchObject({ operatingSystem: 'unknown', aliveSelf: true, aliveOther: undefined, canBlock: true });
    expect(facts.runtime).toMatch(/^browser/);
    expect(facts.resident).toBeUndefined();
    expect(facts.identity).toBe(BigInt.asIntN(64, (0xffffffffn << 32n) | BigInt(facts.threadId)));
    expect(facts.identityAgain).toBe(facts.identity);
    const second = await lesser('browser', 'facts');
    expect(second.identity).not.toBe(facts.identity);
  });

  test('where blocking is forbidden', async () => {
    expect((await lesser('no blocking', 'facts')).canBlock).toBe(false);
  });

  test('other runtimes by name', async () => {
    expect((await lesser('bun', 'facts')).runtime).toBe('bun 1.4.5');
  });
});

describe('identity', () => {
  test('fits a BigInt64Array, is never 0 and stays', () => {
    const identity = threadIdentity();
    expect(BigInt64Array.of(identity)[0]).toBe(identity);
    expect(identity).not.toBe(0n);
    expect(threadIdentity()).toBe(identity);
  });

  test('differs from thread to thread', async () => {
    const started = await Promise.all(Array.from({ length: 6 }, () => start('loop')));
    const all = [threadIdentity(), ...started.map(({ report }) => report.identity)];
    expect(new Set(all).size).toBe(7);
  });

  test('a thread knows itself, signed and unsigned', () => {
    expect(threadAlive(threadIdentity())).toBe(true);
    expect(threadAlive(BigInt.asUintN(64, threadIdentity()))).toBe(true);
  });

  test('without /proc it is the number of the thread, and others are unknown', async () => {
    const facts = await lesser('no proc', 'facts', { other: threadIdentity() });
    expect(facts.identity).toBe(BigInt.asIntN(64, (0xffffffffn << 32n) | BigInt(facts.threadId)));
    expect(facts).toMatchObject({ aliveSelf: true, aliveOther: undefined });
  });
});

describe.runIf(onLinux)('life and death on Linux', () => {
  test.each(['loop', 'spin', 'park'])('a thread in the state %s is alive until it was terminated', async (role) => {
    const { worker, report } = await start(role, threadIdentity());
    expect(report.other).toBe(true);
    expect(threadAlive(report.identity)).toBe(true);
    await worker.terminate();
    expect(threadAlive(report.identity)).toBe(false);
  });

  test('a thread that ended by itself is gone', async () => {
    const { report, exit } = await start('end');
    await exit;
    expect(threadAlive(report.identity)).toBe(false);
  });

  test('the same native id with another start time is another thread', () => {
    const other = BigInt.asIntN(64, threadIdentity() ^ (1n << 40n));
    expect(threadAlive(other)).toBe(false);
  });

  test('an id that no thread of this process has is gone', () => {
    expect(threadAlive((5n << 32n) | 0x7ffffffen)).toBe(false);
    // Process 1 lives, but is not a thread of this process.
    if (process.pid !== 1) expect(threadAlive((threadIdentity() & ~0xffffffffn) | 1n)).toBe(false);
  });

  test('an identity made elsewhere than from /proc is unknown', () => {
    expect(threadAlive(BigInt.asIntN(64, (0xffffffffn << 32n) | 3n))).toBeUndefined();
  });

  test('no file descriptor left is not a death', async () => {
    const identity = threadIdentity();
    const refused = BigInt.asUintN(32, identity);
    const facts = await lesser('no file descriptors', 'facts', { refused, other: identity });
    expect(facts).toMatchObject({ aliveSelf: true, aliveOther: undefined });
  });

  test('a thread whose name looks like the fields that follow it', async () => {
    const title = process.title;
    try {
      process.title = 'a) Z 1 (b) X';
      const { report } = await start('loop', threadIdentity());
      expect(report.other).toBe(true);
    } finally {
      process.title = title;
    }
  });
});
