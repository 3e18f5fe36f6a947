/**
 * Condition variable and barrier under every interleaving, and each part of their protocol broken in turn.
 *
 * Without EXPLORE=full in the environment, scenarios with three or more participants allow a few interruptions of one
 * that could go on; with it, any number.
 */

import { describe, expect, test } from 'vitest';
import { explore } from './explorer.js';
import type { Ablation } from './explorer-code.js';
import type { Scenario } from './explorer-machine.js';
import { deadParties, deadSleepers, parties, sleepers } from './scenarios-waiting.js';

const full = process.env['EXPLORE'] === 'full';

function bound(scenario: Scenario): number {
  if (full || scenario.threads.length < 3) return Infinity;
  return scenario.threads.length === 3 ? 4 : 3;
}

describe('no interleaving breaks', () => {
  test.each(Object.entries({ ...sleepers, ...parties }))('%s', (_name, scenario) => {
    const { fault, ends } = explore(scenario, bound(scenario));
    expect(fault).toBeNull();
    expect(ends).toBeGreaterThan(2);
  });
  test.each(Object.entries({ ...deadSleepers, ...deadParties }))('death of %s', (_name, scenario) => {
    expect(explore(scenario, full ? Infinity : 4)).toMatchObject({ fault: null });
  });
});

const NEEDED: Record<string, { scenario: Scenario; ablation?: Ablation; fault: RegExp }> = {
  'reading the sequence before counting the arrival': {
    scenario: sleepers['two sleepers and two signals']!,
    ablation: {
      find: `    const seen = load(a, i + CV_SEQUENCE);
    add(a, i + CV_ARRIVALS, 1);`,
      replace: `    add(a, i + CV_ARRIVALS, 1);
    const seen = load(a, i + CV_SEQUENCE);`,
    },
    fault: /sleeps/,
  },
  'settling only who had arrived before the signal': {
    scenario: sleepers['two sleepers and two signals']!,
    ablation: {
      find: `    if (unpark(a, i + CV_SEQUENCE, 1) === 0)
        store(a, i + CV_SETTLED, arrivals);`,
      replace: `    if (unpark(a, i + CV_SEQUENCE, 1) === 0)
        store(a, i + CV_SETTLED, load(a, i + CV_ARRIVALS));`,
    },
    fault: /sleeps/,
  },
  'settling only when nobody was parked': {
    scenario: sleepers['two sleepers and two signals']!,
    ablation: { find: 'if (unpark(a, i + CV_SEQUENCE, 1) === 0)', replace: 'if (unpark(a, i + CV_SEQUENCE, 1) >= 0)' },
    fault: /sleeps/,
  },
  'arriving again after a wake-up': {
    scenario: sleepers['two sleepers and two signals']!,
    ablation: {
      find: `    conditionVariablePrepareToSleep(p, a, i);
    return CV_SIGNALLED;
}`,
      replace: `    p.cvSeen = load(a, i + CV_SEQUENCE);
    return CV_SIGNALLED;
}`,
    },
    fault: /sleeps/,
  },
  'parking only on the sequence that was seen': {
    scenario: sleepers['a sleeper and a signal']!,
    ablation: { find: 'park(a, w, p.cvSeen,', replace: 'park(a, w, load(a, w),' },
    fault: /sleeps/,
  },
  'a limit to each sleep': {
    // As if the clock never ended one.
    scenario: { ...deadSleepers['a sleeper']!, timeouts: [0, 0, 0] },
    fault: /sleeps/,
  },
  'looking again between preparing and sleeping': {
    scenario: parties['two parties, two phases']!,
    ablation: { find: 'let over = barrierOver(a, i, arrivedIn);', replace: 'let over = BARRIER_FAILED;' },
    fault: /sleeps/,
  },
  'reading the number of the phase before ending it': {
    scenario: parties['one that detaches, and another phase without it']!,
    ablation: {
      find: `    const phase = barrierPhase(a, i);
    if (compareExchange(a, i + BARRIER_STATE, s, next ^ BARRIER_ODD) !== s)
        return false;`,
      replace: `    if (compareExchange(a, i + BARRIER_STATE, s, next ^ BARRIER_ODD) !== s)
        return false;
    const phase = load(a, i + BARRIER_PHASE);`,
    },
    fault: /phase/,
  },
  'electing by exchange': {
    scenario: parties['one that detaches']!,
    ablation: {
      find: 'if (compareExchange(a, i + BARRIER_STATE, s, s | BARRIER_ELECTED) === s)',
      replace: 'if (store(a, i + BARRIER_STATE, s | BARRIER_ELECTED) !== 0)',
    },
    fault: /elected/,
  },
  'looking whether it is too late to take an arrival back': {
    scenario: parties['one that gives up and comes again']!,
    ablation: {
      find: `        const over = barrierOver(a, i, arrivedIn);
        if (over !== BARRIER_FAILED)
            return over;`,
      replace: '',
    },
    fault: /phase 2|sleeps/,
  },
  'looking for oneself when nobody tells that the phase is over': {
    scenario: deadParties['a party']!,
    ablation: {
      find: 'conditionVariableTimedSleep(p, a, cv, Math.min(left, p.sliceMs));',
      replace: 'conditionVariableTimedSleep(p, a, cv, Infinity);',
    },
    fault: /sleeps/,
  },
};

describe('needed:', () => {
  test.each(Object.entries(NEEDED))('%s', (_name, { scenario, ablation, fault }) => {
    expect(explore(scenario, bound(scenario), ablation).fault).toMatch(fault);
  });
});
