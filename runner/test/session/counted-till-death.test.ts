import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { start } from '../../../test/support/process.ts';
import { countsLeftIn } from '../../src/sandbox/namespace/counts.ts';
import { type BackendUnderTest, backendUnderTest } from './support/backends.ts';
import { CLI, keywarden } from './support/command.ts';

const AGENT = `
for i in 1 2 3; do cat ~/.aws/credentials; done
unshare -U true
echo done
sleep 300`;

describe.each(['namespace', 'docker'] as const)('%s: of a session whose runner is killed', (name) => {
  let under: BackendUnderTest;
  let directory: string;
  beforeAll(async () => {
    under = await backendUnderTest(name);
    directory = mkdtempSync(join(tmpdir(), 'keywarden-counted-'));
  });
  afterAll(() => {
    under.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it('the receipt has what was counted until then, though nobody had asked for it yet', async () => {
    const args = ['run', '--no-edge', '--backend', name, '--state', directory, '--', 'sh', '-c', AGENT];
    const program = start(process.execPath, [CLI, ...args]);
    await expect.poll(() => program.output(), { timeout: 30_000 }).toContain('done\n');
    program.child.kill('SIGKILL');
    await program.ended;
    const env = { DOCKER_HOST: process.env['DOCKER_HOST'] ?? '' };
    const swept = await keywarden(['sweep', '--state', directory], { env });
    expect(swept.code, swept.err).toBe(0);
    const [file] = readdirSync(join(directory, 'receipts')).filter((one) => one.endsWith('.json'));
    const { receipt } = JSON.parse(readFileSync(join(directory, 'receipts', file ?? ''), 'utf8'));
    expect(receipt).toMatchObject({ reason: 'runner_died', written_by: 'sweeper', absence: { proven: true } });
    expect(receipt.counters).toEqual({
      denied: [{ path_class: 'aws', syscall: 'openat', count: 3 }],
      observed: [],
      blocked: [{ syscall: 'unshare', count: 1 }],
      dropped: 0,
      sources: ['seccomp-notify'],
    });
  });
});

describe('what a supervisor left', () => {
  it.each<[string, Buffer | null]>([
    ['nothing', null],
    ['a part', Buffer.alloc(100)],
    ['counts in the order of other lists', Buffer.alloc(4 * 49 * 128 * 4 + 32, 1)],
  ])('is not believed when it is %s', (what, bytes) => {
    const folder = mkdtempSync(join(tmpdir(), 'keywarden-counts-'));
    mkdirSync(join(folder, what));
    if (bytes !== null) writeFileSync(join(folder, what, 'counts'), bytes);
    expect(countsLeftIn(join(folder, what), [])).toBeNull();
    rmSync(folder, { recursive: true });
  });
});
