/**
 * Counts the results of a vitest run from its JSON report, and says them in one line.
 *
 * A file that fails before its tests run, and an error outside every test, leave no failed test behind; each counts
 * as one failure here, so that the line never looks better than the run was. Run as a program (`.ci/run` does) it
 * takes the report and the exit code of the run, prints the line, and exits 1 unless all went well.
 */

import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/**
 * The parts of vitest's JSON report that matter here.
 *
 * @typedef {{ status: string, fullName: string }} TestResult
 * @typedef {{ name: string, status: string, message: string, assertionResults: TestResult[] }} FileResult
 * @typedef {{ testResults: FileResult[] }} Report
 */

/**
 * Counts a report.
 *
 * @param {Report} report
 * @param {number} exitCode of the run; a run that failed without a failed test or file counts as one failure
 * @returns {Counts}
 */
export function countResults(report, exitCode) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const { status, assertionResults } of report.testResults) {
    const failed = assertionResults.filter((test) => test.status === 'failed').length;
    const passed = assertionResults.filter((test) => test.status === 'passed').length;
    counts.passed += passed;
    counts.skipped += assertionResults.length - passed - failed;
    counts.failed += status === 'failed' ? Math.max(failed, 1) : failed;
  }
  if (exitCode !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

/**
 * Names what failed: files, and tests as `file > test`.
 *
 * @param {Report} report
 * @returns {string[]}
 */
export function failures(report) {
  return report.testResults
    .filter(({ status }) => status === 'failed')
    .flatMap(({ name, message, assertionResults }) => {
      const failed = assertionResults.filter((test) => test.status === 'failed');
      return failed.length === 0 ? [`${name}: ${message}`] : failed.map((test) => `${name} > ${test.fullName}`);
    });
}

/**
 * Reads and counts a report; a run that left none counts as one failure.
 *
 * @param {string} file the JSON report
 * @param {number} exitCode of the run
 * @returns {{ counts: Counts, failures: string[] }}
 */
export function readReport(file, exitCode) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    return { counts: countResults(report, exitCode), failures: failures(report) };
  } catch (error) {
    return { counts: { passed: 0, failed: 1, skipped: 0 }, failures: [`no report of the run: ${String(error)}`] };
  }
}

/** @param {Counts} counts */
export function countsLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/**
 * Tells whether a run may count as good: nothing failed, and something ran.
 *
 * @param {Counts} counts
 */
export function isGood({ passed, failed }) {
  return failed === 0 && passed > 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [file = '', exitCode = '1'] = process.argv.slice(2);
  const { counts } = readReport(file, Number(exitCode));
  console.log(countsLine(counts));
  process.exitCode = isGood(counts) ? 0 : 1;
}
