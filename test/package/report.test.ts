import { describe, expect, test } from 'vitest';
import { countResults, countsLine, failures, isGood, readReport } from '../../scripts/report.mjs';

const file = (status: string, ...statuses: string[]) => ({
  name: 'a.test.ts',
  status,
  message: 'cannot be loaded',
  assertionResults: statuses.map((s) => ({ status: s, fullName: `is ${s}` })),
});

describe('counting a run', () => {
  test('adds up all files', () => {
    const testResults = [file('passed', 'passed', 'skipped', 'todo'), file('failed', 'passed', 'failed', 'failed')];
    const counts = countResults({ testResults }, 1);
    expect(countsLine(counts)).toBe('2 passed, 2 failed, 2 skipped');
    expect(isGood(counts)).toBe(false);
    expect(failures({ testResults })).toEqual(['a.test.ts > is failed', 'a.test.ts > is failed']);
  });

  test('takes a file that could not be loaded for a failure', () => {
    const testResults = [file('passed', 'passed'), file('failed')];
    expect(countResults({ testResults }, 1)).toEqual({ passed: 1, failed: 1, skipped: 0 });
    expect(failures({ testResults })).toEqual(['a.test.ts: cannot be loaded']);
  });

  test('takes an error outside every test for a failure', () => {
    expect(countResults({ testResults: [file('passed', 'passed')] }, 1)).toEqual({ passed: 1, failed: 1, skipped: 0 });
  });

  test('finds a clean run good, an empty one not, and one without a report not', () => {
    expect(isGood(countResults({ testResults: [file('passed', 'passed', 'skipped')] }, 0))).toBe(true);
    expect(isGood(countResults({ testResults: [] }, 0))).toBe(false);
    expect(readReport('no/such/report.json', 0).counts.failed).toBe(1);
  });
});
