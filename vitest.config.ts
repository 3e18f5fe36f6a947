import { defineConfig } from 'vitest/config';

/**
 * Tests import the built code in dist/, because worker threads must load the same modules and Node 20 cannot run
 * TypeScript. `external` makes Node itself import it, so that a test and its workers run the very same files.
 */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Two processes: the tests start threads of their own, and more processes would only take turns.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    server: { deps: { external: [/\/dist\//] } },
  },
});
