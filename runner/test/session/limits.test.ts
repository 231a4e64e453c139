import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { limitsOf, mostOf } from '../../src/session/limits.ts';
import { CLI, said } from './support/command.ts';

const TABLE = `Limit                     Soft Limit           Hard Limit           Units
Max file size             1024                 unlimited            bytes
Max processes             96365                200                  processes
Max open files            20                   60                   files
`;

it('what this process may have is the most that an agent gets', () => {
  expect(mostOf('Max open files', TABLE)).toBe(60);
  expect(mostOf('Max processes', TABLE)).toBe(200);
  expect(mostOf('Max file size', TABLE)).toBe(Number.POSITIVE_INFINITY);
  expect(mostOf('Max open files', '')).toBe(Number.POSITIVE_INFINITY);
  expect(limitsOf({ memoryBytes: null, cpus: null, pids: 7 }).pids).toBe(7);
});

it('a session starts where less is allowed than it would have, and has that', async () => {
  const state = mkdtempSync(join(tmpdir(), 'keywarden-limits-'));
  onTestFinished(() => rmSync(state, { recursive: true }));
  const script = 'ulimit -n 60; exec "$@"';
  const run = [
    process.execPath,
    CLI,
    'run',
    '--no-edge',
    '--quiet',
    '--state',
    state,
    '--',
    'sh',
    '-c',
    'ulimit -n; exit 9',
  ];
  expect(await said('sh', ['-c', script, 'sh', ...run], {})).toEqual({ code: 9, out: '60\n', err: '' });
});
