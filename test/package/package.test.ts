import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));

/** Runs the Node that runs this test, in the package's folder, and returns what it printed. */
function node(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
}

describe('the manifest', () => {
  test('has no runtime dependency and nothing that runs at installation', () => {
    for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies', 'bundleDependencies']) {
      expect(manifest[kind] ?? {}, kind).toEqual({});
    }
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) {
      expect(manifest.scripts).not.toHaveProperty(script);
    }
  });

  test('pins every development dependency to one version, the one in the lock file', () => {
    const pinned = Object.entries<string>(manifest.devDependencies);
    expect(pinned.length).toBeGreaterThan(0);
    for (const [name, version] of pinned) {
      expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
      expect(lock.packages[`node_modules/${name}`].version, name).toBe(version);
    }
  });

  test('has a lock file that names no registry', () => {
    for (const [name, entry] of Object.entries<{ resolved?: string }>(lock.packages)) {
      expect(entry.resolved, name).toBeUndefined();
    }
  });

  test('names types first in each export, and files that exist', () => {
    for (const path of ['.', './core']) {
      const conditions = manifest.exports[path];
      expect(Object.keys(conditions)).toEqual(['types', 'default']);
      for (const file of Object.values<string>(conditions)) expect(existsSync(join(root, file)), file).toBe(true);
    }
  });
});

describe('the package', () => {
  const require = createRequire(import.meta.url);

  test.each([
    ['sharedheap', 'dist/index.js'],
    ['sharedheap/core', 'dist/core.js'],
    ['sharedheap/package.json', 'package.json'],
    ['#atomic', 'dist/platform/atomic.js'],
  ])('resolves %s', (specifier, file) => {
    expect(require.resolve(specifier)).toBe(join(root, file));
  });

  test('resolves #atomic to the stepped variant under --conditions explore', () => {
    const script = "process.stdout.write(require.resolve('#atomic'))";
    expect(node('--conditions', 'explore', '-e', script)).toBe(join(root, 'dist/platform/atomic.explore.js'));
  });

  test.each(['sharedheap', 'sharedheap/core'])('%s can be imported and required, with the same names', (specifier) => {
    const print = '.then((m) => console.log(Object.keys(m).sort().join()))';
    const imported = node('-e', `import('${specifier}')${print}`);
    const required = node('-e', `Promise.resolve(require('${specifier}'))${print}`);
    expect(imported.length).toBeGreaterThan(0);
    expect(
      required
        .split(',')
        .filter((name) => name !== '__esModule')
        .join(),
    ).toBe(imported);
  });

  test('publishes the build, the source and the documents, and nothing else', () => {
    const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
    const windows = process.platform === 'win32';
    const packed = spawnSync('npm', args, { cwd: root, encoding: 'utf8', shell: windows });
    expect(packed.status, packed.stderr).toBe(0);
    const paths: string[] = JSON.parse(packed.stdout)[0].files.map((file: { path: string }) => file.path);
    const documents = paths.filter((path) => !/^(dist|src)\//.test(path)).sort();
    expect(documents).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']);
    expect(paths).toContain('dist/index.js');
    expect(paths).toContain('src/index.ts');
    for (const path of paths.filter((p) => p.startsWith('dist/'))) expect(path).toMatch(/\.(js|d\.ts)(\.map)?$/);
    for (const path of paths.filter((p) => p.startsWith('src/'))) expect(path).toMatch(/\.(ts|md)$/);
  });
});
