import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import * as explore from '../../dist/platform/atomic.explore.js';
import * as plain from '../../dist/platform/atomic.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

const words = () => new Int32Array(new SharedArrayBuffer(16));
const bigWords = () => new BigInt64Array(new SharedArrayBuffer(16));

afterEach(() => {
  explore.setHook(null);
});

describe.each([
  ['atomic', plain],
  ['atomic.explore', explore],
])('%s', (_name, atomic) => {
  test('does what it says on 32 bits', () => {
    const a = words();
    expect(atomic.store(a, 1, 6)).toBe(6);
    expect(atomic.add(a, 1, 4)).toBe(6);
    expect(atomic.sub(a, 1, 3)).toBe(10);
    expect(atomic.and(a, 1, 5)).toBe(7);
    expect(atomic.or(a, 1, 8)).toBe(5);
    expect(atomic.exchange(a, 1, 20)).toBe(13);
    expect(atomic.compareExchange(a, 1, 21, 1)).toBe(20);
    expect(atomic.compareExchange(a, 1, 20, -1)).toBe(20);
    expect(atomic.load(a, 1)).toBe(-1);
    expect([...a]).toEqual([0, -1, 0, 0]);
  });

  test('does what it says on 64 bits', () => {
    const a = bigWords();
    expect(atomic.store(a, 1, 2n ** 40n)).toBe(2n ** 40n);
    expect(atomic.add(a, 1, 1n)).toBe(2n ** 40n);
    expect(atomic.compareExchange(a, 1, 2n ** 40n + 1n, 7n)).toBe(2n ** 40n + 1n);
    expect(atomic.exchange(a, 1, -1n)).toBe(7n);
    expect(atomic.load(a, 1)).toBe(-1n);
    expect(a[0]).toBe(0n);
  });

  test('waits, times out and notifies', async () => {
    const a = words();
    expect(atomic.wait(a, 0, 1)).toBe('not-equal');
    expect(atomic.wait(a, 0, 0, 1)).toBe('timed-out');
    expect(atomic.notify(a, 0)).toBe(0);
    expect(atomic.waitAsync?.(a, 0, 1)).toEqual({ async: false, value: 'not-equal' });
    const waiting = atomic.waitAsync?.(a, 0, 0);
    expect(atomic.notify(a, 0, 1)).toBe(1);
    expect(await waiting?.value).toBe('ok');
    expect(atomic.isLockFree(4)).toBe(true);
  });
});

describe('the hook', () => {
  test('sees every operation before it happens, with its array and index', () => {
    const a = words();
    const seen: unknown[] = [];
    expect(explore.setHook((op, array, index) => seen.push([op, array === a, index, a[index]]))).toBeNull();
    explore.store(a, 0, 1);
    explore.add(a, 0, 1);
    explore.sub(a, 0, 1);
    explore.and(a, 0, 1);
    explore.or(a, 0, 2);
    explore.exchange(a, 0, 4);
    explore.compareExchange(a, 0, 4, 5);
    explore.load(a, 0);
    explore.wait(a, 0, 0);
    explore.waitAsync?.(a, 3, 1);
    explore.notify(a, 3);
    expect(seen).toEqual([
      ['store', true, 0, 0],
      ['add', true, 0, 1],
      ['sub', true, 0, 2],
      ['and', true, 0, 1],
      ['or', true, 0, 1],
      ['exchange', true, 0, 3],
      ['compareExchange', true, 0, 4],
      ['load', true, 0, 5],
      ['wait', true, 0, 5],
      ['waitAsync', true, 3, 0],
      ['notify', true, 3, 0],
    ]);
  });

  test('that throws keeps the operation from happening', () => {
    const a = words();
    const hook = () => {
      throw new Error('death');
    };
    explore.setHook(hook);
    expect(() => explore.store(a, 0, 1)).toThrow('death');
    expect(explore.setHook(null)).toBe(hook);
    expect(explore.load(a, 0)).toBe(0);
  });

  test('may let another participant run in between', () => {
    const a = words();
    let left = 3;
    explore.setHook((op) => {
      if (op === 'compareExchange' && left-- > 0) explore.add(a, 0, 1);
    });
    let tries = 0;
    for (let old = -1; old !== explore.load(a, 0); tries++) {
      old = explore.load(a, 0);
      if (explore.compareExchange(a, 0, old, old + 100) === old) break;
    }
    expect([a[0], tries]).toEqual([103, 3]);
  });
});

test('both variants offer the same operations, and #atomic means the stepped one under --conditions explore', () => {
  const names = Object.keys(plain).sort();
  expect(
    Object.keys(explore)
      .filter((name) => name !== 'setHook')
      .sort(),
  ).toEqual(names);
  const script = "import * as atomic from '#atomic'; console.log(Object.keys(atomic).join())";
  const run = (...flags: string[]) =>
    spawnSync(process.execPath, [...flags, '--input-type=module', '-e', script], { cwd: root, encoding: 'utf8' })
      .stdout.trim()
      .split(',')
      .sort();
  expect(run()).toEqual(names);
  expect(run('--conditions', 'explore')).toEqual([...names, 'setHook'].sort());
});
