/**
 * The lock's protocol under every interleaving.
 *
 * Without EXPLORE=full in the environment, scenarios with three participants allow three interruptions of one that could
 * go on; with it, any number where that is feasible (minutes, and the reason why the essay may say that it holds).
 */

import { describe, expect, test } from 'vitest';
import { explore } from './explorer.js';
import { deaths, fineSteps, inEveryOrder, tornSlot, withThree } from './scenarios.js';

const full = process.env['EXPLORE'] === 'full';
const SOME = full ? Infinity : 3;

describe('no interleaving breaks the lock', () => {
  test.each(Object.entries(inEveryOrder))('in every order: %s', (_name, scenario) => {
    expect(explore(scenario, Infinity)).toMatchObject({ fault: null });
  });
  test.each(Object.entries(withThree))('%s', (_name, scenario) => {
    const { fault, ends } = explore(scenario, Math.min(SOME, scenario.interruptions ?? Infinity));
    expect(fault).toBeNull();
    expect(ends).toBeGreaterThan(2);
  });
  test.each(Object.entries(deaths))('death of %s', (_name, scenario) => {
    expect(explore(scenario, full ? 3 : 2)).toMatchObject({ fault: null });
  });
  test('step by step', () => {
    expect(explore(fineSteps, 2)).toMatchObject({ fault: null });
    expect(explore(tornSlot, 2)).toMatchObject({ fault: null });
  });
});
