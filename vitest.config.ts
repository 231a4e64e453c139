import { cloudflareTest, readD1Migrations } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';

/** They build the console or the command line anew where all others read them, or fill the memory. */
const ALONE = ['test/cli/{start,bundle,package}.test.ts', 'test/edge/{streaming,refused-uploads}.test.ts'];

/** Real programs wait more than they work: two files at once. */
const TWO_AT_ONCE = { maxWorkers: 2, sequence: { groupOrder: 1 } };

// Unit tests run in plain Node; those of a folder worker/ run inside workerd, beside their Durable Objects and D1; test/edge and test/security drive the real CLI, workerd, SDKs and servers.
export default defineConfig({
  test: {
    globalSetup: ['./test/support/temp-folder.ts'],
    reporters: process.env['KEYWARDEN_TEST_REPORT'] === undefined ? ['default'] : ['default', 'json'],
    outputFile:
      process.env['KEYWARDEN_TEST_REPORT'] === undefined ? {} : { json: process.env['KEYWARDEN_TEST_REPORT'] },
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'test/{architecture,docs,approvals,pipeline,policy,upstream,capability,problem,operator,audit,ledger,lib,sessions,signals,webhook}{.test.ts,/**/*.test.ts}',
          ],
          exclude: ['test/{ledger,approvals,sessions,signals}/worker/**'],
          // Properties over thousands of cases: how long they take is the machine's affair.
          testTimeout: 30_000,
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: './test/support/ledger-worker.ts',
            miniflare: {
              compatibilityDate: '2026-10-01',
              d1Databases: ['DB'],
              durableObjects: {
                LEDGER: { className: 'Ledger', useSQLite: true },
                DIRECTORY: { className: 'LedgerDirectory', useSQLite: true },
                APPROVALS: { className: 'ApprovalsDesk', useSQLite: true },
              },
              // Small, so that tests reach both bounds.
              bindings: {
                KEYWARDEN_LEDGER_MAX_WAITING_ROWS: '300',
                KEYWARDEN_OUTCOME_TIMEOUT_SECONDS: '3',
                KEYWARDEN_APPROVAL_MAX_PENDING: '3',
                KEYWARDEN_APPROVAL_MAX_HOURLY: '5',
                KEYWARDEN_WEBHOOK_SECRET: 'a secret of more than thirty-two characters',
                TEST_MIGRATIONS: await readD1Migrations(new URL('migrations', import.meta.url).pathname),
              },
            },
          }),
        ],
        test: {
          name: 'worker',
          include: ['test/{ledger,approvals,routes,sessions,signals}/worker/**/*.test.ts'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'edge',
          include: ['test/{edge,security,cli}/**/*.test.ts'],
          exclude: ALONE,
          ...TWO_AT_ONCE,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: 'alone',
          include: ALONE,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: 'console',
          include: ['test/console/**/*.test.ts'],
          ...TWO_AT_ONCE,
          testTimeout: 60_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: 'runner',
          include: ['runner/test/**/*.test.ts'],
          ...TWO_AT_ONCE,
          testTimeout: 120_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
