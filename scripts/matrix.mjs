/**
 * Runs the test suite on every supported line of Node: `npm run test:matrix`, or `npm run test:matrix -- 24` for one.
 *
 * The exact versions stand in node-versions.json. Each binary is an npm package, fetched on first use into
 * .cache/node/ and kept there; it is not a dependency. vitest starts its processes with the binary it runs on, and
 * threads belong to their process, so everything of a run happens on one version. One line a version goes to
 * standard output, progress and the names of failed tests to standard error; exits 1 when any version failed.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { countsLine, isGood, readReport } from './report.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
/** @type {{ package: string, versions: string[] }} */
const pinned = JSON.parse(readFileSync(join(root, 'scripts/node-versions.json'), 'utf8'));

/**
 * The binary of a version, fetched if it is not there.
 *
 * @param {string} version
 * @returns {string} its path
 * @throws Error when it cannot be fetched or is another version
 */
function fetchNode(version) {
  const folder = join(root, '.cache/node', version);
  const binary = join(folder, 'node_modules', pinned.package, 'bin/node');
  if (!existsSync(binary)) {
    mkdirSync(folder, { recursive: true });
    const wanted = `${pinned.package}@${version}`;
    const args = ['install', '--prefix', folder, '--no-save', '--no-package-lock', '--ignore-scripts', wanted];
    const { status } = spawnSync('npm', args, { stdio: ['ignore', 2, 2] });
    if (status !== 0) throw new Error(`npm could not fetch ${wanted}`);
  }
  const { stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' });
  if (stdout?.trim() !== `v${version}`) throw new Error(`${binary} is not Node ${version} or does not run here`);
  return binary;
}

/**
 * Runs the suite on one version.
 *
 * @param {string} version
 */
function runSuite(version) {
  const binary = fetchNode(version);
  console.error(`running the suite on Node ${version} …`);
  const file = join(root, '.cache/matrix', `${version}.json`);
  rmSync(file, { force: true });
  const args = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--reporter=json', `--outputFile=${file}`];
  // Tests that start `node` or `npm` by name get this version too.
  const env = { ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env['PATH'] ?? ''}` };
  const { status } = spawnSync(binary, args, { cwd: root, env, stdio: ['ignore', 2, 2] });
  return readReport(file, status ?? 1);
}

const wanted = process.argv.slice(2);
const versions = pinned.versions.filter((v) => wanted.length === 0 || wanted.includes(v.split('.')[0] ?? v));
let good = versions.length > 0;
if (!good) console.error(`no such version; pinned are ${pinned.versions.join(', ')}`);
if (process.platform !== 'linux' || process.arch !== 'x64') {
  console.error(`the binaries of ${pinned.package} do not run on ${process.platform} ${process.arch}`);
  process.exit(1);
}
for (const version of versions) {
  const { counts, failures } = runSuite(version);
  for (const failure of failures) console.error(`  failed on ${version}: ${failure}`);
  console.log(`node ${version.split('.')[0]}: ${countsLine(counts)}`);
  good &&= isGood(counts);
}
process.exitCode = good ? 0 : 1;
