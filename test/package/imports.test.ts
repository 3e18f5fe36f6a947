import { describe, expect, test } from 'vitest';
import {
  ENTRIES,
  LAYERS,
  checkImports,
  findBuiltins,
  findImports,
  readTree,
  resolveSpecifier,
} from '../../scripts/imports.mjs';
import { tokenize } from '../../scripts/tokens.mjs';

/** The smallest tree without a problem, with files of one's own on top. */
function tree(files: Record<string, string> = {}): Map<string, string> {
  return new Map(
    Object.entries({
      'src/index.ts': "export * from './heap/heap.js';",
      'src/core.ts': "export * from './dsa/dsa.js';",
      'src/errors/errors.ts': 'export {};',
      'src/platform/atomic.ts': 'export const load = Atomics.load;',
      'src/platform/platform.ts': "import '../errors/errors.js';",
      'src/dsm/dsm.ts': "export * from './segment.js';",
      'src/dsm/segment.ts': "import { load } from '#atomic';",
      'src/dsa/dsa.ts': "import type { Segment } from '../dsm/dsm.js';",
      'src/mq/mq.ts': "import { dsm } from '../dsm/dsm.js';",
      'src/toc/toc.ts': 'export {};',
      'src/heap/heap.ts': "import { dsa } from '../dsa/dsa.js';",
      'src/cli/replay.ts': "import fs from 'node:fs';\nimport { heap } from '../index.js';",
      ...files,
    }),
  );
}

describe('the source tree', () => {
  test('imports leftwards only, through entry files, and names Atomics in one place', () => {
    expect(checkImports(readTree('src', '.ts'))).toEqual([]);
  });

  test.each(ENTRIES)('%s reaches no static import of a Node module', (entry) => {
    expect(findBuiltins(readTree('src', '.ts'), entry, resolveSpecifier)).toEqual([]);
  });

  test.each(['dist/index.js', 'dist/core.js'])('%s reaches no static import of a Node module', (entry) => {
    expect(findBuiltins(readTree('dist', '.js'), entry, resolveSpecifier)).toEqual([]);
  });

  test('has no folder that the list of layers does not know', () => {
    const folders = [...readTree('src', '.ts').keys()]
      .map((path) => path.split('/'))
      .filter((parts) => parts.length > 2);
    expect(folders.length).toBeGreaterThan(0);
    for (const [, folder] of folders) expect(LAYERS.flat()).toContain(folder);
  });
});

describe('the checker', () => {
  test('accepts a sound tree', () => {
    expect(checkImports(tree())).toEqual([]);
  });

  test.each([
    ['rightwards', 'src/dsm/segment.ts', "import '../dsa/dsa.js';", 'leftwards only'],
    ['rightwards as a type', 'src/dsm/segment.ts', "import type { A } from '../dsa/dsa.js';", 'leftwards only'],
    ['rightwards as a re-export', 'src/dsm/segment.ts', "export * from '../heap/heap.js';", 'leftwards only'],
    ['rightwards as a type query', 'src/dsm/segment.ts', "let a: import('../dsa/dsa.js').A;", 'leftwards only'],
    ['sideways', 'src/toc/toc.ts', "import '../mq/mq.js';", 'leftwards only'],
    ['from errors', 'src/errors/errors.ts', "import { load } from '#atomic';", 'leftwards only'],
    ['of the front', 'src/heap/heap.ts', "import '../index.js';", 'leftwards only'],
    ['of a command', 'src/index.ts', "import './cli/replay.js';", 'leftwards only'],
    ['past the entry file', 'src/dsa/dsa.ts', "import { s } from '../dsm/segment.js';", 'through src/dsm/dsm.ts'],
    ['past #atomic', 'src/dsa/dsa.ts', "import { load } from '../platform/atomic.js';", 'through src/platform'],
    ['of nothing', 'src/dsa/dsa.ts', "import '../dsm/nothing.js';", 'src/dsm/nothing.ts does not exist'],
    ['without .js', 'src/dsa/dsa.ts', "import '../dsm/dsm';", 'end in .js'],
    ['of a package', 'src/dsa/dsa.ts', "import 'piscina';", 'no runtime dependencies'],
    ['of node:fs', 'src/dsa/dsa.ts', "import { readFileSync } from 'node:fs';", 'outside src/cli'],
    ['of fs', 'src/dsa/dsa.ts', "export { readFileSync } from 'fs';", 'outside src/cli'],
    ['of an empty clause', 'src/dsa/dsa.ts', "import { type Stats } from 'node:fs';", 'outside src/cli'],
    ['computed', 'src/dsa/dsa.ts', 'await import(name);', 'must be a string'],
    ['of no layer', 'src/other/other.ts', 'export {};', 'belongs to no layer'],
    ['of no folder', 'src/other.ts', 'export {};', 'belongs to no layer'],
    ['of no layer index', 'src/index/index.ts', 'export {};', 'belongs to no layer'],
    ['Atomics.load', 'src/dsa/dsa.ts', 'Atomics.load(a, 0);', "use '#atomic'"],
    ['Atomics taken apart', 'src/dsa/dsa.ts', 'const { load } = Atomics;', "use '#atomic'"],
  ])('refuses an import %s', (_what, path, text, problem) => {
    const problems = checkImports(tree({ [path]: text }));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`${path}:1`);
    expect(problems[0]).toContain(problem);
  });

  test('accepts Node types, and Node modules that are loaded on demand', () => {
    const text = "import type { Worker } from 'node:worker_threads';\nawait import('node:fs');";
    expect(checkImports(tree({ 'src/dsa/dsa.ts': text }))).toEqual([]);
  });

  test('says that an entry of the package is missing', () => {
    const files = tree();
    files.delete('src/core.ts');
    expect(checkImports(files)).toEqual(['src/core.ts does not exist']);
  });

  test('follows imports to a Node module however far away', () => {
    const files = tree({ 'src/dsm/segment.ts': "import { load } from '#atomic';\nimport 'node:os';" });
    files.set('src/heap/heap.ts', "import '../mq/mq.js';");
    expect(findBuiltins(files, 'src/index.ts', resolveSpecifier)).toEqual(['src/dsm/segment.ts:2: node:os']);
  });

  test('does not follow types or what is loaded on demand', () => {
    const files = tree({ 'src/dsm/segment.ts': "import 'node:os';" });
    files.set('src/mq/mq.ts', "import type { A } from '../dsm/dsm.js';\nvoid import('../dsm/dsm.js');");
    expect(findBuiltins(files, 'src/mq/mq.ts', resolveSpecifier)).toEqual([]);
  });
});

describe('finding imports', () => {
  test.each([
    ["import 'a'", ['a']],
    ["import a from 'a'; import * as b from \"b\"; import c, { d as e } from 'c'", ['a', 'b', 'c']],
    ["import {\n  a,\n  type B,\n} from 'a';", ['a']],
    [
      "export * from 'a'; export * as b from 'b'; export { c } from 'c'; export type { D } from 'd'",
      ['a', 'b', 'c', 'd'],
    ],
    ["import { from } from 'from'", ['from']],
    ["import.meta.url; const importer = 'a'; x.import('b'); ({ import: 'c', from: 'd' });", []],
    ["export const from = 'a'; export { b }; const c = 'c'; export type D = 'd'; export default 'e';", []],
    ["// import 'a'\n/* import 'b' */ const c = \"import 'd'\";", []],
    ["const a = `import 'b' ${await import('c')} ${`${import('d')}`} import 'e'`; import 'f'", ['c', 'd', 'f']],
    ["const a = b! / 2 + c('/'); const d = i++ / 2 + c('/'); import 'e'", ['e']],
    ["const a = /['\"`/]/.test(b) || /[/'\\]]/; import 'c'", ['c']],
  ])('in %j', (text, specifiers) => {
    expect(findImports(text).map(({ specifier }) => specifier)).toEqual(specifiers);
  });

  test('tells types and what is loaded on demand', () => {
    expect(findImports("import type { A } from 'a';\nimport type from 'b';\n\nimport('c');")).toEqual([
      { specifier: 'a', line: 1, typeOnly: true, dynamic: false },
      { specifier: 'b', line: 2, typeOnly: false, dynamic: false },
      { specifier: 'c', line: 4, typeOnly: false, dynamic: true },
    ]);
  });

  test.each(["'a", '/* a', '`a', '`${a'])('refuses %j, which does not end', (text) => {
    expect(() => tokenize(`${text}\n`)).toThrow('does not end');
  });
});
