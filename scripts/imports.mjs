/**
 * Checks the imports of src/: layers import leftwards only, folders are entered through their entry file, browsers
 * meet no Node module, and `Atomics` is named in one place.
 *
 * Stands on `tokens.mjs`. {@link checkImports} is a pure function of file texts, so that tests can show it failing;
 * run as a program it checks the work tree, prints what is wrong and exits 1, or prints nothing and exits 0.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { tokenize } from './tokens.mjs';

/** @typedef {{ specifier: string, line: number, typeOnly: boolean, dynamic: boolean }} Import */

/**
 * The layers, left to right. A folder imports from layers further left only; folders of one layer do not know each
 * other. `index` is not a folder but the files src/index.ts and src/core.ts.
 */
export const LAYERS = [
  ['errors'],
  ['platform'],
  ['layout'],
  ['sync'],
  ['freepage'],
  ['dsm'],
  ['dsa'],
  ['toc', 'mq', 'dshash'],
  ['registry'],
  ['inspect'],
  ['heap'],
  ['index'],
  ['cli'],
];

/** What a package entry leads to; these two must exist. */
export const ENTRIES = ['src/index.ts', 'src/core.ts'];

const ATOMIC_FILES = /^src\/platform\/atomic(\.\w+)?\.ts$/;

/**
 * Finds every import and re-export of a module.
 *
 * @param {string} text source, JavaScript or TypeScript
 * @returns {Import[]} in order; a dynamic import whose module is computed has an empty specifier
 */
export function findImports(text) {
  const tokens = tokenize(text);
  /** @type {Import[]} */
  const found = [];
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (token?.kind !== 'word' || tokens[i - 1]?.text === '.') continue;
    const next = tokens[i + 1];
    if (token.text === 'import' && next?.text === '(' && next.kind === 'punctuation') {
      const argument = tokens[i + 2];
      const specifier = argument?.kind === 'string' ? argument.text : '';
      found.push({ specifier, line: token.line, typeOnly: false, dynamic: true });
    } else if (token.text === 'import' || token.text === 'export') {
      const from = findFrom(tokens, i + 1, token.text === 'export');
      if (from === undefined) continue;
      const typeOnly = next?.text === 'type' && tokens[i + 2]?.text !== 'from' && tokens[i + 2]?.text !== ',';
      found.push({ specifier: from.text, line: token.line, typeOnly, dynamic: false });
    }
  }
  return found;
}

/**
 * The module's name in the import or export declaration whose clause begins at `i`, if that is what it is.
 *
 * @param {import('./tokens.mjs').Token[]} tokens
 * @param {number} i
 * @param {boolean} isExport
 */
function findFrom(tokens, i, isExport) {
  if (!isExport && tokens[i]?.kind === 'string') return tokens[i];
  const start = tokens[i]?.text === 'type' ? i + 1 : i;
  if (isExport && tokens[start]?.text !== '*' && tokens[start]?.text !== '{') return undefined;
  for (let at = i; at < tokens.length; at++) {
    const token = tokens[at];
    if (token?.text === 'from' && tokens[at + 1]?.kind === 'string') return tokens[at + 1];
    // A clause holds names, braces, commas and a star; anything else is another statement.
    if (token?.kind === 'punctuation' && !'{},*'.includes(token.text)) return undefined;
    if (token?.text === '}' && tokens[at + 1]?.text !== 'from') return undefined;
  }
  return undefined;
}

/**
 * The layer a source file belongs to: its folder, or `index`.
 *
 * @param {string} path as in `src/dsm/dsm.ts`
 * @returns {string} empty when the file lies where none may lie
 */
function layerOf(path) {
  if (ENTRIES.includes(path)) return 'index';
  const parts = path.split('/');
  const folder = parts.length > 2 ? (parts[1] ?? '') : '';
  return folder !== 'index' && LAYERS.some((names) => names.includes(folder)) ? folder : '';
}

/** @param {string} layer */
const rankOf = (layer) => LAYERS.findIndex((names) => names.includes(layer));

/**
 * What is wrong with one relative import, or the empty string.
 *
 * @param {string} path the importing file
 * @param {string} target the imported file
 * @param {(path: string) => boolean} exists
 */
function checkEdge(path, target, exists) {
  if (!exists(target)) return `${target} does not exist`;
  const from = layerOf(path);
  const to = layerOf(target);
  if (from === to) return '';
  if (rankOf(to) >= rankOf(from)) return `${from} must not import from ${to}: imports go leftwards only`;
  if (to !== 'index' && target !== `src/${to}/${to}.ts`) return `enter the folder through src/${to}/${to}.ts`;
  return '';
}

/**
 * What is wrong with one import, or the empty string.
 *
 * @param {string} path the importing file
 * @param {Import} found
 * @param {(path: string) => boolean} exists
 */
function checkImport(path, { specifier, typeOnly, dynamic }, exists) {
  if (specifier === '') return 'the module of a dynamic import must be a string';
  if (specifier === '#atomic') return checkEdge(path, 'src/platform/platform.ts', () => true);
  if (isBuiltin(specifier)) {
    if (layerOf(path) === 'cli' || typeOnly || dynamic) return '';
    return 'no static import of a Node module outside src/cli: browsers load this file';
  }
  if (!specifier.startsWith('.')) return 'there are no runtime dependencies';
  if (!specifier.endsWith('.js')) return 'relative imports end in .js';
  const target = posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts');
  return checkEdge(path, target, exists);
}

/**
 * Checks a source tree.
 *
 * @param {ReadonlyMap<string, string>} files path as in `src/dsm/dsm.ts` → text
 * @returns {string[]} one sentence a problem, `file:line: specifier: what`; empty when all is well
 */
export function checkImports(files) {
  const problems = ENTRIES.filter((entry) => !files.has(entry)).map((entry) => `${entry} does not exist`);
  for (const [path, text] of files) {
    if (layerOf(path) === '') problems.push(`${path}:1: this place belongs to no layer of scripts/imports.mjs`);
    for (const found of findImports(text)) {
      const problem = checkImport(path, found, (target) => files.has(target));
      if (problem !== '') problems.push(`${path}:${found.line}: '${found.specifier}': ${problem}`);
    }
    if (ATOMIC_FILES.test(path)) continue;
    for (const token of tokenize(text)) {
      if (token.kind !== 'word' || token.text !== 'Atomics') continue;
      problems.push(`${path}:${token.line}: use '#atomic' instead of Atomics, so that tests can step it`);
    }
  }
  return problems;
}

/**
 * Follows the static imports of an entry file and names every module of Node's that is loaded with it.
 *
 * @param {ReadonlyMap<string, string>} files path → text, JavaScript or TypeScript
 * @param {string} entry path of the file to begin with
 * @param {(path: string, specifier: string) => string} resolve path of the file that a specifier of a file means
 * @returns {string[]} `file:line: specifier`
 * @throws Error when a file that is imported is missing
 */
export function findBuiltins(files, entry, resolve) {
  /** @type {string[]} */
  const problems = [];
  const queue = [entry];
  const seen = new Set(queue);
  for (const path of queue) {
    const text = files.get(path);
    if (text === undefined) throw new Error(`${path} does not exist`);
    for (const { specifier, line, typeOnly, dynamic } of findImports(text)) {
      if (typeOnly || dynamic) continue;
      if (isBuiltin(specifier)) {
        problems.push(`${path}:${line}: ${specifier}`);
        continue;
      }
      const target = resolve(path, specifier);
      if (!seen.has(target)) queue.push(target);
      seen.add(target);
    }
  }
  return problems;
}

/**
 * Resolves a specifier of a source or built file as the package does.
 *
 * @param {string} path as in `src/dsm/dsm.ts` or `dist/dsm/dsm.js`
 * @param {string} specifier relative or `#atomic`
 */
export function resolveSpecifier(path, specifier) {
  const [root = ''] = path.split('/');
  const target = specifier === '#atomic' ? `${root}/platform/atomic.js` : posix.join(posix.dirname(path), specifier);
  return path.endsWith('.ts') ? target.replace(/\.js$/, '.ts') : target;
}

/**
 * Reads the files of a folder of this package, recursively.
 *
 * @param {string} folder as in `src`
 * @param {string} ending as in `.ts`
 * @returns {Map<string, string>} path, with forward slashes → text; empty when there is no such folder
 */
export function readTree(folder, ending) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  /** @type {Map<string, string>} */
  const files = new Map();
  /** @param {string} path */
  const visit = (path) => {
    for (const item of readdirSync(posix.join(root, path), { withFileTypes: true })) {
      const child = `${path}/${item.name}`;
      if (item.isDirectory()) visit(child);
      else if (item.name.endsWith(ending)) files.set(child, readFileSync(posix.join(root, child), 'utf8'));
    }
  };
  visit(folder);
  return files;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const problems = checkImports(readTree('src', '.ts'));
  for (const problem of problems) console.log(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
