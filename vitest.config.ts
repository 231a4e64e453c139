import { defineConfig } from 'vitest/config';

// Unit tests run in plain Node; test/edge and test/security drive the real CLI, workerd, SDKs and servers, one file at a time.
export default defineConfig({
  test: {
    reporters: process.env['KEYWARDEN_TEST_REPORT'] === undefined ? ['default'] : ['default', 'json'],
    outputFile: process.env['KEYWARDEN_TEST_REPORT'] === undefined ? {} : { json: process.env['KEYWARDEN_TEST_REPORT'] },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{architecture,policy,upstream,capability,problem,audit,ledger,lib}{.test.ts,/**/*.test.ts}'],
          exclude: ['test/ledger/worker/**'],
        },
      },
      {
        test: {
          name: 'edge',
          include: ['test/{edge,security,cli}/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
