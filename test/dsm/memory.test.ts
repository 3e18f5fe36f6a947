import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

describe('memory of segments on buffers', () => {
  it('is given back when the segment is released and all who had it have collected garbage', async () => {
    const script = fileURLToPath(new URL('../workers/dsm-memory.mjs', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, '128']);
    const report = JSON.parse(stdout);
    expect(report.both).toBeGreaterThan(96);
    // As long as one thread maps it, it stays.
    expect(report.workerHasIt).toBeGreaterThan(96);
    expect(report.released).toBeLessThan(48);
    expect(report.buffers).toEqual([0, 0]);
    for (const rest of report.kept) expect(rest).toBeLessThan(48);
    expect([report.readable, report.mapped > 96]).toEqual([true, true]);
    expect(report.alone).toBeLessThan(48);
  });
});
