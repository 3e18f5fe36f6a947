import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileIndex } from '../../examples/search-index/file-index.js';
import { Indexer } from '../../examples/search-index/indexer.js';
import { scan } from '../../examples/search-index/query.js';
import { Verifier } from '../../examples/search-index/verify.js';

const SCRIPT = fileURLToPath(new URL('../../examples/search-index/main.js', import.meta.url));

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'search-index-'));
  mkdirSync(join(folder, 'deep', '.hidden'), { recursive: true });
  writeFileSync(join(folder, 'bread.txt'), 'Flour\nWater, salt and yeast\nKnead the dough; let the dough rest\n');
  writeFileSync(join(folder, 'pizza.txt'), 'Flour and water\r\nstretch the DOUGH\r\ntomatoes\r\n');
  writeFileSync(
    join(folder, 'deep', 'unicode.md'),
    `Teig ruhen lassen – größer als vorher: dough_größe\n${'x'.repeat(500)} end`,
  );
  writeFileSync(join(folder, 'empty.txt'), '');
  writeFileSync(join(folder, 'binary.bin'), Buffer.from('dough\0dough'));
  writeFileSync(join(folder, 'deep', '.hidden', 'secret.txt'), 'dough');
  for (let i = 0; i < 60; i++) {
    const words = Array.from({ length: 400 }, (_, j) => `w${(i * 7919 + j * j) % 997}`).join(j(i));
    writeFileSync(join(folder, 'deep', `file${i}.txt`), words);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Something between the words that differs from file to file. */
function j(i: number): string {
  return [' ', '\n', ', ', '\r\n', '.'][i % 5]!;
}

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, stdout, stderr };
}

describe.each(['region', 'buffers'])('the search index on the store %s', (store) => {
  it('finds what is there, frees and indexes again, and every answer is the reference’s', () => {
    const { status, stdout, stderr } = run(
      folder,
      '--workers',
      '2',
      '--query',
      'Dough',
      '--store',
      store,
      '--json',
      '--verify',
    );
    const report = JSON.parse(stdout);
    expect(report.files).toMatchObject({ indexed: 64, binary: 1, tooLarge: 0 });
    expect(report.answer.files).toBe(2);
    expect(report.answer.occurrences).toBe(3);
    const [best, second] = report.answer.hits;
    expect(best.path.endsWith('bread.txt')).toBe(true);
    expect(best).toMatchObject({ line: 3, snippet: 'Knead the dough; let the dough rest' });
    expect(second).toMatchObject({ line: 2, snippet: 'stretch the DOUGH' });
    expect(report.again.sameAnswer).toBe(true);
    expect(report.again.files).toBe(32);
    expect(report.clone.bytes.sameAnswer).toBe(true);
    expect(report.early.questions).toBe(0);
    expect(report.heap).toMatchObject({ store });
    expect(report.heap.liveBytes).toBeGreaterThan(20_000);
    expect(report.verify.failed).toBe(0);
    expect(report.verify.checks).toBeGreaterThan(400);
    expect(stderr.trimEnd().split('\n').at(-1)).toBe(`verify: ${report.verify.checks} checks, 0 failed`);
    expect(status).toBe(0);
  });
});

describe('--verify notices', () => {
  /** Indexes two files in this thread, lets something go wrong, and counts the checks that fail. */
  function failures(damage: (memory: Uint8Array) => void): number {
    const paths = [join(folder, 'bread.txt'), join(folder, 'pizza.txt')];
    const indexed = paths.map((path) => {
      const indexer = new Indexer();
      indexer.read(path);
      indexer.analyse();
      const memory = new Uint8Array(indexer.size);
      indexer.write(memory);
      return { path, memory };
    });
    damage(indexed[0]!.memory);
    const files = indexed.map(({ path, memory }) => ({ path, index: new FileIndex(memory) }));
    const verifier = new Verifier(paths, files, 'dough', 5);
    verifier.checkAnswers((words, limit) => scan(files, words, limit), 'now');
    return verifier.failures.length;
  }

  it('nothing in what is right', () => {
    expect(failures(() => {})).toBe(0);
  });

  it('a byte of text that is wrong', () => {
    expect(failures((memory) => memory.fill(33, memory.length - 2, memory.length - 1))).toBeGreaterThan(0);
  });

  it('a term that is lost', () => {
    // The hash of the first term: behind the header of 5 words and the starts of 3 lines.
    expect(failures((memory) => memory.fill(0, 8 * 4, 9 * 4))).toBeGreaterThan(0);
  });

  it('a file that is missing from the index', () => {
    const path = join(folder, 'bread.txt');
    expect(new Verifier([path], [], 'dough', 5).failures).toEqual([`${path}: text, not indexed`]);
  });
});

describe('the command line', () => {
  it('prints hits with file, line and snippet, and the verdict last', () => {
    const { status, stdout } = run(folder, '--workers', '1', '--query', 'flour water', '--verify');
    expect(stdout).toContain('bread.txt:1');
    expect(stdout).toContain('pizza.txt:1');
    expect(stdout).toContain('Flour and water');
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^verify: \d+ checks, 0 failed$/);
    expect(status).toBe(0);
  });

  it('a query that finds nothing is an answer too', () => {
    const { status, stdout } = run(folder, '--workers', '1', '--query', 'focaccia');
    expect(stdout).toContain('0 files');
    expect(status).toBe(0);
  });

  it.each([
    ['no such path', ['/no/such/path'], /no such file or folder/],
    ['two paths', ['a', 'b'], /one PATH/],
    ['no workers', ['--workers', '0'], /--workers is a whole number/],
    ['half a worker', ['--workers', '1.5'], /--workers is a whole number/],
    ['an unknown store', ['--store', 'disk'], /"region" or "buffers"/],
    ['an unknown option', ['--fast'], /Unknown option '--fast'/],
    ['a query without a word', ['--query', '?!'], /no word to look for/],
  ])('%s: exit code 2 and the usage', (_, args, message) => {
    const { status, stdout, stderr } = run(...args);
    expect(stderr).toMatch(message);
    expect(stderr).toContain('Usage: npm start');
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });

  it('--help: exit code 0', () => {
    const { status, stdout } = run('--help');
    expect(stdout).toMatch(/^Usage: npm start/);
    expect(status).toBe(0);
  });
});
