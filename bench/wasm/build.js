/**
 * Compiles the allocators that the benchmark compares with to WebAssembly, into `.cache/wasm/`:
 *
 *     npm run bench:wasm                  # what is not there yet
 *     npm run bench:wasm -- --force       # everything anew
 *
 * AssemblyScript's TLSF needs nothing but the project's own tools. dlmalloc and emmalloc need emscripten, mimalloc also
 * its sources (bench/wasm/mimalloc.sh, or MIMALLOC=folder). What cannot be built is named in a line. The exit code is 1
 * when a compiler failed, but 0 with `--lenient`, as `npm run bench` calls it: the benchmark does without.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WASM_FOLDER, WASM_PAGES } from '../subjects/wasm.js';

/** @param {string} path in the project */
const inProject = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const THREAD_SOURCE = inProject('bench/wasm/thread.c');
const MIMALLOC = process.env['MIMALLOC'] ?? join(homedir(), '.cache/sharedheap/mimalloc');

const COMPILE = ['-O3', '-pthread', '-c'];
/**
 * The linker's own work at its least: what it does to the JavaScript that we throw away needs tools that not every
 * installation has. wasm-opt does afterwards to the module what `-O3` would have done.
 */
const LINK = ['-O1', '--minify', '0', '-pthread', '--no-entry', '-sIMPORTED_MEMORY'];
const MEMORY = `-sINITIAL_MEMORY=${WASM_PAGES * 65536}`;
const FEATURES = ['threads', 'bulk-memory', 'mutable-globals', 'sign-ext'].map((name) => `--enable-${name}`);
const ENTRIES = ['_emscripten_tls_init', '_bench_prepare_thread', 'stackRestore'];

/** @typedef {{ id: string, system: string, sources: string[], flags: string[], entries: string[] }} Recipe */

/** `system` is the toolchain's allocator that is linked in; mimalloc stands on it. @type {Recipe[]} */
const RECIPES = [
  { id: 'dlmalloc', system: 'dlmalloc', sources: [], flags: [], entries: ['_malloc', '_free'] },
  { id: 'emmalloc', system: 'emmalloc', sources: [], flags: [], entries: ['_malloc', '_free'] },
  {
    id: 'mimalloc',
    system: 'emmalloc',
    sources: [join(MIMALLOC, 'src/static.c')],
    flags: ['-DNDEBUG', '-DMI_DEBUG=0', '-Wno-deprecated-pragma', `-I${join(MIMALLOC, 'include')}`],
    entries: ['_mi_malloc', '_mi_free'],
  },
];

/**
 * Runs a program to its end; throws what it had to say when it fails.
 *
 * @param {string} program
 * @param {string[]} args
 */
function run(program, ...args) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}\n${error?.message ?? ''}${stdout}${stderr}`);
}

/** @param {string} program */
function has(program) {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

/** @param {Recipe} recipe */
function whyNot({ sources }) {
  const absent = ['emcc', 'wasm-opt'].find((program) => !has(program));
  if (absent !== undefined) return `there is no ${absent}; Debian: apt-get install emscripten`;
  const source = sources.find((file) => !existsSync(file));
  return source === undefined ? undefined : `there is no ${source}; Debian: bash bench/wasm/mimalloc.sh`;
}

/**
 * @param {Recipe} recipe
 * @param {string} to
 * @param {string} folder for what lies between
 */
function compile({ id, system, sources, flags, entries }, to, folder) {
  const units = [THREAD_SOURCE, ...sources].map((source, i) => {
    const object = join(folder, `${id}-${i}.o`);
    run('emcc', ...COMPILE, ...(source === THREAD_SOURCE ? [] : flags), source, '-o', object);
    return object;
  });
  const exported = `-sEXPORTED_FUNCTIONS=${[...entries, ...ENTRIES].join(',')}`;
  run('emcc', ...LINK, MEMORY, ...units, `-sMALLOC=${system}`, exported, '-o', join(folder, `${id}.js`));
  run('wasm-opt', '-O3', ...FEATURES, join(folder, `${id}.wasm`), '-o', to);
}

/** @param {string} to */
function compileTlsf(to) {
  // As a program: an import would bring the compiler's types, which declare globals of their own.
  const compiler = inProject('node_modules/assemblyscript/bin/asc.js');
  const options = ['--runtime', 'minimal', '-O3', '--noAssert', '--importMemory', '--initialMemory', `${WASM_PAGES}`];
  run(process.execPath, compiler, inProject('bench/wasm/tlsf.ts'), ...options, '-o', to);
}

/**
 * @param {string} id
 * @param {string | undefined} obstacle
 * @param {(to: string) => void} make
 */
function provide(id, obstacle, make) {
  const to = join(WASM_FOLDER, `${id}.wasm`);
  if (existsSync(to) && !process.argv.includes('--force')) return;
  try {
    if (obstacle === undefined) make(to);
    console.error(`${id}: ${obstacle ?? 'built'}`);
  } catch (error) {
    console.error(`${id}: not built: ${/** @type {Error} */ (error).message}`);
    if (!process.argv.includes('--lenient')) process.exitCode = 1;
  }
}

mkdirSync(WASM_FOLDER, { recursive: true });
const folder = mkdtempSync(join(tmpdir(), 'sharedheap-wasm-'));
try {
  provide('tlsf', undefined, compileTlsf);
  for (const recipe of RECIPES) provide(recipe.id, whyNot(recipe), (to) => compile(recipe, to, folder));
} finally {
  rmSync(folder, { recursive: true });
}
