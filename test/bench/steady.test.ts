import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { afterMark } from '../../bench/workloads/steady.js';

/** Code that has functions optimised, deoptimises `before`, leaves the mark, and deoptimises `after`. */
const PROGRAM = `
  const marked = (name) => {
    const f = new Function('return function ' + name + '(x) { return x + 1; }')();
    %PrepareFunctionForOptimization(f);
    f(1);
    %OptimizeFunctionOnNextCall(f);
    f(1);
    f('text');
  };
  marked('before');
  marked('warmUpEnds');
  marked('after');
`;

function trace(program: string): string {
  const flags = ['--trace-opt', '--trace-deopt', '--allow-natives-syntax'];
  return execFileSync(process.execPath, [...flags, '-e', program], { encoding: 'utf8', timeout: 50_000 });
}

describe('counting deoptimisations', () => {
  test('sees those of this engine that come after the mark, and no others', () => {
    const { warm, deoptimised, optimised } = afterMark(trace(PROGRAM));
    expect(warm).toBe(true);
    expect(deoptimised).toEqual([expect.stringMatching(/^after: .+/)]);
    expect(optimised).toContain('after');
    expect(optimised).not.toContain('before');
  });

  test('says when there is no mark', () => {
    expect(afterMark(trace(PROGRAM.replace("marked('warmUpEnds')", ''))).warm).toBe(false);
  });
});
