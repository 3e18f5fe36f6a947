/** What the README shows must be what the repository holds: the example, its output, the error table. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ERROR_CODES } from '../../dist/errors/errors.js';

const root = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
const readme = read('README.md');

test.each(['main', 'worker'])('the first screen shows examples/two-files/%s.js as it is', (name) => {
  expect(readme).toContain(`\`\`\`js\n// ${name}.js\n${read(`examples/two-files/${name}.js`)}\`\`\``);
});

test('the first screen shows what the example prints', () => {
  const output = execFileSync(process.execPath, ['examples/two-files/main.js'], { cwd: root, encoding: 'utf8' });
  expect(readme).toContain(`\`\`\`\n${output}\`\`\``);
});

test('the error table has every code with its meaning', () => {
  const rows = [...readme.matchAll(/^\| `(ERR_HEAP_\w+)` \| (.*) \|$/gm)].map(([, code, meaning]) => [code, meaning]);
  expect(rows).toEqual(Object.entries(ERROR_CODES));
});

test('the documents have no gap left to fill', () => {
  for (const name of ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'bench/README.md']) {
    expect(read(name), name).not.toMatch(/@@|TODO|TBD/);
  }
});
