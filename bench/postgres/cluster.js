/**
 * A PostgreSQL cluster for one run of the benchmark: made in a temporary folder, reached through a unix socket in it
 * only, and run by an unprivileged user, which the server insists on.
 *
 * A shell keeps it. When the pipe to that shell breaks, because we are done or because we died in whatever way, it stops
 * the server and removes the folder: nothing of it outlives the run.
 */

import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, copyFileSync, existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SOURCES = fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '');
const BUILD = fileURLToPath(new URL('../../.cache/postgres', import.meta.url));
const MODULE = 'sharedheap_bench';

/** Milliseconds for a new server to answer. */
const PATIENCE = 30_000;

/** Where a measuring process finds the cluster: set by the process that started it. */
export const SOCKET_VARIABLE = 'BENCH_PGHOST';

const SETTINGS = {
  listen_addresses: '',
  fsync: 'off',
  autovacuum: 'off',
  jit: 'off',
  max_connections: '10',
  shared_buffers: '16MB',
  dynamic_shared_memory_type: 'posix',
  min_dynamic_shared_memory: '0',
};

/**
 * $1: the folder of PostgreSQL's programs, $2: ours; the rest are options of the server. When the pipe breaks, the server
 * is asked to stop; one that hangs gets 20 seconds, then the axe.
 */
const KEEPER = `
programs=$1 folder=$2; shift 2
if "$programs/initdb" -D "$folder/data" -U bench --auth=trust --locale=C --encoding=UTF8 --no-sync >"$folder/initdb.log" 2>&1
then
  "$programs/postgres" -D "$folder/data" "$@" >"$folder/server.log" 2>&1 & server=$!
  cat >/dev/null
  kill -INT $server
  (sleep 20; kill -QUIT $server 2>/dev/null) & axe=$!
  wait $server
  kill $axe
fi
cd /; rm -rf "$folder"
`;

/** @param {string} program @param {string[]} args */
function ask(program, ...args) {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}

/**
 * Where PostgreSQL is installed.
 *
 * @returns {{ pgConfig: string, programs: string, version: string } | { missing: string }}
 */
function findPostgres() {
  const pgConfig = process.env['PG_CONFIG'] ?? 'pg_config';
  const advice = 'Debian: apt-get install postgresql-15 postgresql-server-dev-15';
  try {
    const programs = ask(pgConfig, '--bindir');
    const headers = ask(pgConfig, '--includedir-server');
    const absent = [join(programs, 'initdb'), join(headers, 'utils/dsa.h')].find((file) => !existsSync(file));
    if (absent !== undefined) return { missing: `there is no ${absent}; ${advice}` };
    return { pgConfig, programs, version: ask(pgConfig, '--version').replace('PostgreSQL ', '') };
  } catch {
    return { missing: `there is no ${pgConfig}; ${advice}` };
  }
}

/** Why the C original cannot be measured, if so. */
export function postgresMissing() {
  const found = findPostgres();
  return 'missing' in found ? found.missing : undefined;
}

/**
 * Builds the module, unless it is newer than its sources.
 *
 * @param {string} pgConfig
 * @param {string} version each has a module of its own
 */
async function buildModule(pgConfig, version) {
  const folder = join(BUILD, version.split(' ')[0] ?? '');
  mkdirSync(folder, { recursive: true });
  const args = ['-s', '-C', folder, '-f', join(SOURCES, 'Makefile'), `VPATH=${SOURCES}`, `PG_CONFIG=${pgConfig}`];
  await promisify(execFile)('make', args);
  return join(folder, `${MODULE}.so`);
}

/** Whom the server runs as: us, unless we are root. @returns {{ uid?: number, gid?: number }} */
function serverUser() {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    try {
      return { uid: Number(ask('id', '-u', name)), gid: Number(ask('id', '-g', name)) };
    } catch {
      // Not a user of this system.
    }
  }
  throw new Error('no unprivileged user to run the server as');
}

/**
 * Waits until the server answers, and declares the module's functions.
 *
 * @param {string} programs
 * @param {string} folder
 * @param {import('node:child_process').ChildProcess} keeper
 */
async function declareFunctions(programs, folder, keeper) {
  const args = ['-XAqt', '-h', folder, '-U', 'bench', '-d', 'postgres', '-v', 'ON_ERROR_STOP=1'];
  args.push('-v', `lib=${join(folder, MODULE)}`, '-f', join(SOURCES, 'functions.sql'));
  for (const start = performance.now(); ; await sleep(50)) {
    try {
      await promisify(execFile)(join(programs, 'psql'), args);
      return;
    } catch (error) {
      if (keeper.exitCode !== null) throw new Error('initdb failed', { cause: error });
      if (performance.now() - start > PATIENCE) throw error;
    }
  }
}

/**
 * Starts a cluster; measuring processes started from now on find it.
 *
 * @returns {Promise<{ version: string, stop: () => Promise<void> }>} stop waits until nothing of it is left
 */
export async function startCluster() {
  const found = findPostgres();
  if ('missing' in found) throw new Error(found.missing);
  const { pgConfig, programs, version } = found;
  const module = await buildModule(pgConfig, version);
  const user = serverUser();
  const folder = mkdtempSync(join(tmpdir(), 'sharedheap-pg-'));
  copyFileSync(module, join(folder, `${MODULE}.so`));
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
  const options = Object.entries({ ...SETTINGS, unix_socket_directories: folder });
  const flags = options.flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  // From here on the keeper removes the folder.
  const keeper = spawn('sh', ['-c', KEEPER, 'keeper', programs, folder, ...flags], {
    ...user,
    cwd: folder,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const ended = once(keeper, 'exit');
  const stop = async () => {
    keeper.stdin?.end();
    await ended;
  };
  // A keeper that ended has broken the pipe; what matters is that it ended.
  keeper.stdin?.on('error', () => {});
  try {
    await declareFunctions(programs, folder, keeper);
  } catch (error) {
    await stop();
    throw error;
  }
  process.env[SOCKET_VARIABLE] = folder;
  process.env['PSQL'] = join(programs, 'psql');
  return { version, stop };
}
