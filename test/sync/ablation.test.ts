/** Each part of the lock's protocol is needed: without it, an exploration finds the fault. */

import { expect, test } from 'vitest';
import { explore } from './explorer.js';
import type { Ablation } from './explorer-code.js';
import type { Scenario } from './explorer-machine.js';
import { deaths, inEveryOrder, tornSlot, withThree } from './scenarios.js';

const NEEDED: Record<string, { scenario: Scenario; ablation: Ablation; fault: RegExp }> = {
  'phase 3, the second try': {
    scenario: withThree['two exclusive waiters']!,
    ablation: {
      find: 'if (attemptNoted(p, a, i, ns, mode, woken === WAKE_NONE ? OVERDUE : QUEUED)) {',
      replace: 'if (p.parks > 0 && attemptNoted(p, a, i, ns, mode, QUEUED)) {',
    },
    fault: /sleeps/,
  },
  'publishing before setting the flag': {
    scenario: withThree['two exclusive waiters']!,
    ablation: {
      find: `    publish(p, i, ns, mode, mode === LW_WAIT_UNTIL_FREE ? 0 : add(a, i + LOCK_TICKET, 1));
    or(a, i + LOCK_STATE, HAS_WAITERS);`,
      replace: `    or(a, i + LOCK_STATE, HAS_WAITERS);
    publish(p, i, ns, mode, mode === LW_WAIT_UNTIL_FREE ? 0 : add(a, i + LOCK_TICKET, 1));`,
    },
    fault: /sleeps/,
  },
  'the second walk, after clearing the flag': {
    scenario: withThree['two exclusive waiters']!,
    ablation: { find: 'if (walk(p, i, ns) === NOBODY)', replace: 'if (true)' },
    fault: /sleeps/,
  },
  'keeping the flag in a release': {
    scenario: withThree['two exclusive waiters']!,
    ablation: {
      find: 'return and(a, i + LOCK_STATE, keep) & keep;',
      replace: 'return and(a, i + LOCK_STATE, keep & ~HAS_WAITERS) & keep;',
    },
    fault: /sleeps/,
  },
  'passing a wake-up on when leaving': {
    scenario: withThree['a waiter gives up after a sleep']!,
    ablation: {
      find: 'if ((load(a, i + LOCK_STATE) & (HAS_WAITERS | EXCLUSIVE_BIT)) === HAS_WAITERS)',
      replace: 'if (false)',
    },
    fault: /sleeps/,
  },
  'taking a wake-up back before the try': {
    scenario: withThree['two exclusive waiters']!,
    ablation: {
      find: 'if (attemptNoted(p, a, i, ns, mode, woken === WAKE_NONE ? OVERDUE : QUEUED)) {',
      replace: 'if (attemptNoted(p, a, i, ns, mode, QUEUED) || (store(p.control, p.wakeWord, WAKE_NONE), false)) {',
    },
    fault: /sleeps/,
  },
  'parking only if not chosen': {
    scenario: withThree['two exclusive waiters']!,
    ablation: {
      find: 'if (compareExchange(c, w, WAKE_NONE, WAKE_PARKED) === WAKE_NONE) {',
      replace: 'if (store(c, w, WAKE_PARKED) === WAKE_PARKED) {',
    },
    fault: /sleeps/,
  },
  'waking the oldest': {
    scenario: withThree['two exclusive waiters, bar down']!,
    ablation: { find: '((p.seenTicket - oldestTicket) | 0) < 0', replace: '((p.seenTicket - oldestTicket) | 0) > 0' },
    fault: /sleeps/,
  },
  'letting the oldest through the bar': {
    scenario: withThree['two exclusive waiters, bar down']!,
    ablation: { find: '!queued || ((p.seenTicket - ticket) | 0) < 0', replace: 'true' },
    fault: /sleeps/,
  },
  'reading the flag after writing the variable': {
    scenario: withThree['waiting for a variable']!,
    ablation: {
      find: `    store(vars, v, value);
    if ((load(a, i + LOCK_STATE) & HAS_WAITERS) !== 0)
        wakeUntilFree(p, i, ns);`,
      replace: `    const flag = load(a, i + LOCK_STATE) & HAS_WAITERS;
    store(vars, v, value);
    if (flag !== 0) wakeUntilFree(p, i, ns);`,
    },
    fault: /sleeps/,
  },
  'nudging one that is about to park': {
    scenario: withThree['a nudge makes a waiter look up']!,
    ablation: {
      find: 'if (compareExchange(c, base + WAKE, WAKE_NONE, WAKE_ATTEND) !== WAKE_PARKED)',
      replace: 'if (load(c, base + WAKE) !== WAKE_PARKED)',
    },
    fault: /sleeps/,
  },
  'noting a hold before the exchange': {
    scenario: deaths['an exclusive waiter']!,
    ablation: {
      find: `    noteHold(p, ns, i, mode);
    if (attempt(p, a, i, ns, mode, by))
        return true;
    dropNewestHold(p);
    return false;`,
      replace: `    if (!attempt(p, a, i, ns, mode, by))
        return false;
    noteHold(p, ns, i, mode);
    return true;`,
    },
    fault: /lists nothing/,
  },
  'looking whether a waiter that does not wake is gone': {
    scenario: deaths['an exclusive waiter in its sleep']!,
    ablation: { find: 'return p.peers.isAlive(slot) !== false;', replace: 'return true;' },
    fault: /sleeps/,
  },
  'not minding the bar after a slice in which nobody took the lock': {
    scenario: deaths['an exclusive waiter, bar down, unseen']!,
    ablation: { find: 'return !(by === OVERDUE && s === HAS_WAITERS) &&', replace: 'return ' },
    fault: /without need/,
  },
  'the second look at wait_seq': {
    scenario: tornSlot,
    ablation: { find: 'if (load(c, b + WAIT_SEQ) !== seq)', replace: 'if (false)' },
    fault: /sleeps/,
  },
  'the exclusion itself': {
    scenario: inEveryOrder['two newcomers']!,
    ablation: { find: 'if (!isFree(s, mode))', replace: 'if (false)' },
    fault: /two in the critical section/,
  },
};

test.each(Object.entries(NEEDED))('%s', (_name, { scenario, ablation, fault }) => {
  // The bounds with which explorer.test.ts finds no fault in the whole protocol.
  const bound = scenario.mortal === undefined && scenario.fine !== true ? 3 : 2;
  expect(explore(scenario, bound, ablation).fault).toMatch(fault);
});
