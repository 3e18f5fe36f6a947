import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { DEFAULT_REGION_BYTES, MIN_REGION_BYTES, reserveRegion, residentBytes } from '../../dist/platform/platform.js';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const platform = new URL('../../dist/platform/platform.js', import.meta.url).href;

/** What a thread is granted whose engine refuses more than `most` bytes. */
async function limited(scenario: 'small buffers' | 'small views', most: number, wanted: number): Promise<any> {
  const worker = new Worker(new URL('../workers/platform-lesser.mjs', import.meta.url), {
    workerData: { scenario, report: 'region', most, wanted },
  });
  const [answer] = await once(worker, 'message');
  await worker.terminate();
  return answer;
}

describe('granted', () => {
  test('whole pages, viewable, zero', () => {
    for (const [wanted, got] of [
      [1, 4096],
      [4096, 4096],
      [4097, 8192],
      [40 * MiB, 40 * MiB],
    ] as const) {
      const region = reserveRegion(wanted);
      expect(region).toMatchObject({ byteLength: got, wanted });
      expect(region.buffer.byteLength).toBe(got);
      expect(new Int32Array(region.buffer, got - 4096)).toEqual(new Int32Array(1024));
    }
  });

  test('the default is had in part at least, costs no memory, and its last page works', () => {
    expect(DEFAULT_REGION_BYTES).toBe(process.platform === 'win32' ? GiB : 16 * GiB);
    const before = residentBytes()!;
    const { buffer, byteLength } = reserveRegion(DEFAULT_REGION_BYTES);
    const words = new Int32Array(buffer);
    expect(words.length).toBe(byteLength / 4);
    expect(Atomics.add(words, words.length - 1, 5)).toBe(0);
    expect(Atomics.load(words, words.length - 1)).toBe(5);
    expect(residentBytes()! - before).toBeLessThan(64 * MiB);
  });
});

describe('refused', () => {
  test('half, and half again', async () => {
    expect(await limited('small buffers', 5 * GiB, 16 * GiB)).toEqual({
      length: 4 * GiB,
      byteLength: 4 * GiB,
      wanted: 16 * GiB,
    });
    expect(await limited('small buffers', 100 * MiB, 150 * MiB)).toMatchObject({ byteLength: 75 * MiB });
  });

  test('what cannot be viewed counts as refused', async () => {
    expect(await limited('small views', GiB, 6 * GiB)).toMatchObject({ length: 768 * MiB, byteLength: 768 * MiB });
  });

  test('the least is tried exactly, then the error tells the numbers', async () => {
    expect(await limited('small buffers', MIN_REGION_BYTES, 23 * MiB)).toMatchObject({ byteLength: MIN_REGION_BYTES });
    const error = await limited('small buffers', MIN_REGION_BYTES - 1, GiB);
    expect(error.code).toBe('ERR_HEAP_HOST_LIMIT');
    expect(error.detail).toBe(
      `wanted ${GiB} bytes, refused down to ${MIN_REGION_BYTES}, node ${process.versions.node} said: Array buffer allocation failed`,
    );
    expect(error.hint).toContain('ulimit');
  });

  test('a wish below the least is not halved', async () => {
    expect(await limited('small buffers', MiB, 2 * MiB)).toMatchObject({ code: 'ERR_HEAP_HOST_LIMIT' });
  });

  test.runIf(process.platform === 'linux')('a real limit on address space', () => {
    const program = `import('${platform}').then((p) => console.log(p.reserveRegion(2 ** 40).byteLength))`;
    // The limit is 40 GiB, of which the engine has some for itself already.
    const printed = execFileSync('sh', ['-c', 'ulimit -v 41943040; exec "$0" -e "$1"', process.execPath, program]);
    const granted = Number(printed.toString());
    expect([1, 2, 4, 8, 16, 32].map((n) => n * GiB)).toContain(granted);
  });
});

describe('bad input', () => {
  test.each([0, -1, 1.5, NaN, Infinity, -Infinity, 2 ** 53, '4096', null, undefined, 4096n, {}])('%s', (wanted) => {
    expect(() => reserveRegion(wanted as number)).toThrow(expect.objectContaining({ code: 'ERR_HEAP_BAD_SIZE' }));
  });

  test('more than any engine has is a refusal that ends in a grant', () => {
    expect(reserveRegion(Number.MAX_SAFE_INTEGER).byteLength).toBeGreaterThanOrEqual(MIN_REGION_BYTES);
  });
});
