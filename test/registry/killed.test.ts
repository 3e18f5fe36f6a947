/** Threads that end, or hang, while they make something: the others neither hang nor see it half made. */

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Dsm, REGISTRY_ROOT } from '../../dist/dsm/dsm.js';
import { E_HANDLE, E_STATE } from '../../dist/registry/layout.js';
import { Registry } from '../../dist/registry/registry.js';
import { CLAIM_TAKEN } from '../../dist/registry/claim.js';
import { FLAG } from '../workers/registry-flags.mjs';
import { codeOf, errorOf, expectSound, join, liveObjects, newDsm, newRegistry, STORES, Thread } from './helpers.js';

const SIZES = { queue: 200, segment: 50_000 } as const;
const linux = process.platform === 'linux';

function newFlags(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * FLAG.counts));
}

/** Resolves once a worker is inside of its initialisation. */
async function untilInside(flags: Int32Array): Promise<void> {
  while (Atomics.load(flags, FLAG.inside) === 0) await sleep(1);
}

/** Waits until the participants that ended are known to be gone. */
async function untilAlone(dsm: Dsm): Promise<void> {
  while (dsm.stats().participants > 1) await sleep(1);
}

describe.each(STORES)('on %s', (store) => {
  describe.each(['queue', 'segment'] as const)('a %s', (kind) => {
    const size = SIZES[kind];

    it.runIf(linux)('whose maker is killed in init is made by one of those who wait', async () => {
      const main = newRegistry(store);
      main.registry.block('warm', 'block', 10, () => {});
      const objects = liveObjects(main.registry);
      const flags = newFlags();
      const victim = new Thread(main.dsm, { flags });
      const others = [new Thread(main.dsm), new Thread(main.dsm), new Thread(main.dsm)];
      await Promise.all([victim, ...others].map((thread) => thread.call('open')));
      void victim.call('stay', kind, 'name', size).catch(() => {});
      await untilInside(flags);
      const answers = others.map((thread) => thread.call(kind === 'segment' ? 'segment' : 'block', 'name', ...args()));
      await sleep(60);
      expect(main.registry.allocations()).toContainEqual({ name: 'name', type: kind, size: null });
      await victim.end();
      const got = await Promise.all(answers);
      expect(got.map(({ found }) => found).sort()).toEqual([false, true, true]);
      // The half-made contents of the victim are not seen.
      expect(new Set(got.map(({ value }) => value))).toEqual(new Set([kind === 'segment' ? 0 : 7]));
      for (const thread of others) await thread.call('leave');
      Dsm.join(main.dsm.handle).leave();
      expect(liveObjects(main.registry)).toBe(objects + (kind === 'segment' ? 1 : 2));
      expect(main.dsm.stats().segments).toHaveLength(kind === 'segment' ? 2 : 1);
      expectSound(main);
    });

    it('whose maker takes too long is waited for no longer than lockTimeout', async () => {
      const main = newRegistry(store);
      const hasty = join(main.dsm, { lockTimeout: 50 });
      const flags = newFlags();
      const slow = new Thread(main.dsm, { flags });
      const answer = slow.call('stay', kind, 'name', size);
      await untilInside(flags);
      const error = errorOf(() => ask(hasty.registry));
      expect(error).toMatchObject({ code: 'ERR_HEAP_LOCK_STALLED', detail: expect.stringContaining('waited 50 ms') });
      // Another kind or size need not wait.
      expect(codeOf(() => hasty.registry.block('name', 'map', size, () => {}))).toBe('ERR_HEAP_TYPE_MISMATCH');
      Atomics.store(flags, FLAG.resume, 1);
      Atomics.notify(flags, FLAG.resume);
      expect(await answer).toBe(false);
      expect(ask(hasty.registry).found).toBe(true);
      await slow.call('leave');
      expectSound(main);
    });

    it('that was taken over from its maker stays with the one who has made it instead', async () => {
      const main = newRegistry(store);
      const flags = newFlags();
      const slow = new Thread(main.dsm, { flags });
      const other = new Thread(main.dsm);
      await other.call('open');
      // As if somebody had reported, by mistake, that its thread has ended.
      const answer = slow.call('stay', kind, 'name', size);
      await untilInside(flags);
      const entry = main.registry.root.table.find('name', true) as never;
      const { words, entryWord } = main.registry.root.table;
      words[entryWord + E_STATE + 2] = 0;
      main.registry.root.table.releaseLock(entry);
      const got = await other.call(kind === 'segment' ? 'segment' : 'block', 'name', ...args());
      expect(got.found).toBe(false);
      Atomics.store(flags, FLAG.resume, 1);
      Atomics.notify(flags, FLAG.resume);
      expect(await answer).toMatchObject({ code: 'ERR_HEAP_LOCK_STALLED' });
      expect(ask(main.registry).found).toBe(true);
    });

    function args(): unknown[] {
      return kind === 'segment' ? [size] : [kind, size];
    }

    function ask(registry: Registry): { found: boolean } {
      if (kind === 'segment') return registry.getNamedSegment('name', size);
      return registry.block('name', kind, size, () => {});
    }
  });

  it('threads that wait in a thread whose event loop is blocked get what another makes', async () => {
    const main = newRegistry(store);
    const flags = newFlags();
    const slow = new Thread(main.dsm, { flags });
    const answer = slow.call('stay', 'queue', 'name', 100);
    await untilInside(flags);
    // A third thread lets the maker go on while this one waits.
    const helper = new Thread(main.dsm, { flags });
    await helper.call('open');
    helper.worker.postMessage({ op: 'release', args: [30] });
    expect(main.registry.block('name', 'queue', 100, () => {}).found).toBe(true);
    expect(await answer).toBe(false);
  });

  it.runIf(linux).each([
    ['before it had an area', false, false],
    ['after it had made the area', true, false],
    ['after it had pinned the area', true, true],
  ])('a registry whose maker is gone %s is made by the next', async (_what, withArea, pinned) => {
    const dsm = newDsm(store);
    const thread = new Thread(dsm);
    const { handle, slot, generation } = await thread.call('secretArea', pinned);
    // As if all of this were the registry's beginning.
    const { control } = dsm;
    control[REGISTRY_ROOT.state + 1] = slot;
    control[REGISTRY_ROOT.state + 2] = generation;
    const area = control[REGISTRY_ROOT.area]!;
    control[REGISTRY_ROOT.area] = withArea ? handle : 0;
    Atomics.store(control, REGISTRY_ROOT.state, CLAIM_TAKEN);
    const hasty = Dsm.join(dsm.handle, { lockTimeout: 30 });
    expect(codeOf(() => Registry.open(hasty))).toBe('ERR_HEAP_LOCK_STALLED');
    hasty.leave();
    const before = dsm.stats().segments.map((segment) => segment.handle);
    await thread.end();
    await untilAlone(dsm);
    const registry = Registry.open(dsm);
    expect(control[REGISTRY_ROOT.area]).not.toBe(area);
    // The mappings of the dead are taken back when somebody joins; then only an area that was pinned unnoted is left.
    Dsm.join(dsm.handle).leave();
    expect(before).toContain(handle);
    const after = dsm.stats().segments.map((segment) => segment.handle);
    expect(after.includes(handle)).toBe(!withArea);
    expect(registry.block('name', 'lock', 16, () => {}).found).toBe(false);
    expect(registry.verify().findings).toEqual([]);
  });

  it.runIf(linux)('an area whose maker is gone is given back, and made anew', async () => {
    const main = newRegistry(store);
    const thread = new Thread(main.dsm);
    const { handle, slot, generation } = await thread.call('secretArea', true);
    const { table } = main.registry.root;
    const entry = table.find('to make sure that the registry is open', true) as never;
    const at = table.entryWord;
    const right = table.words[at + E_HANDLE]!;
    Atomics.store(table.words, at + E_STATE, CLAIM_TAKEN);
    table.words[at + E_STATE + 1] = slot;
    table.words[at + E_STATE + 2] = generation;
    table.words[at + E_HANDLE] = handle;
    table.releaseLock(entry);
    await thread.end();
    await untilAlone(main.dsm);
    expect(main.registry.verify().findings).toMatchObject([{ id: 'R3', severity: 'note' }]);
    const { area, found } = main.registry.getNamedArea('to make sure that the registry is open');
    expect(found).toBe(false);
    expect([handle, right >>> 0]).not.toContain(area.handle);
    Dsm.join(main.dsm.handle).leave();
    expect(main.dsm.stats().segments.map((segment) => segment.handle)).not.toContain(handle);
    expect(main.registry.verify().findings).toEqual([]);
  });

  it('a root that nobody claims any more is claimed', () => {
    const dsm = newDsm(store);
    dsm.control[REGISTRY_ROOT.state + 1] = 1_000_000;
    Atomics.store(dsm.control, REGISTRY_ROOT.state, CLAIM_TAKEN);
    expectSound({ dsm, registry: Registry.open(dsm) });
  });
});
