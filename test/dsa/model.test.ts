/**
 * Random commands by up to three participants in one thread, beside a model.
 *
 * After every command all invariants hold for each participant, and every live object has its size and holds what was
 * written into it last. A failing run prints its seed and the shortest list of commands that fails.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectEmpty, losses } from './helpers.js';
import { commands, setups, World } from './model.js';

/** Runs lists of commands of about this length, on areas whose participants have caches or not. */
function play(cache: boolean, numRuns: number, maxCommands: number): void {
  fc.assert(
    fc.property(setups(cache), fc.commands(commands, { maxCommands, size: '+1' }), (setup, list) => {
      const world = new World(setup);
      try {
        fc.modelRun(() => ({ model: world, real: world }), list);
        finish(world);
      } finally {
        world.close();
      }
    }),
    { numRuns },
  );
}

/** Frees what is left, by turns, and accounts for every page. */
function finish(world: World): void {
  const area = world.area(0);
  area.setSizeLimit(Number.POSITIVE_INFINITY);
  for (let k = 0; world.live.length > 0; k++) world.free(k, k * 7);
  if (world.setup.cache) world.emptyCaches();
  const left = expectEmpty(area);
  const { rootPages, spanObjects } = losses(area);
  if (rootPages === 0 && spanObjects === 0 && !world.setup.fallback) {
    expect(
      left.filter((index) => index !== 0 && area.segments().find((s) => s.index === index)!.usablePages >= 17),
    ).toEqual([]);
  }
}

describe.each([
  ['without caches', false],
  ['with caches', true],
])('commands %s', (_name, cache) => {
  it('short lists', () => play(cache, 200, 20));
  it('long lists', () => play(cache, 60, 100));
});
