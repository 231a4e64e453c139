import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { BIN, keywarden, ROOT } from './command-line.ts';

const COMMANDS = [
  ['dev'],
  ['run'],
  ['sessions'],
  ['sessions', 'list'],
  ['sessions', 'show'],
  ['sessions', 'stop'],
  ['sessions', 'verify'],
  ['sweep'],
  ['selftest'],
  ['token'],
  ['token', 'revoke'],
  ['approvals', 'list'],
  ['approvals', 'show'],
  ['approvals', 'approve'],
  ['approvals', 'deny'],
  ['approvals', 'watch'],
  ['audit', 'list'],
  ['audit', 'verify'],
  ['audit', 'export'],
  ['policy', 'check'],
  ['policy', 'test'],
  ['policy', 'explain'],
  ['keys', 'create'],
  ['doctor'],
];

const HEADS = [[], ['approvals'], ['audit'], ['policy'], ['keys']];

describe('help', () => {
  it.each([...HEADS, ...COMMANDS].map((c) => [c.join(' '), c] as const))(
    'keywarden %s --help fits into 80 columns',
    async (_name, command) => {
      const { stdout } = await keywarden([...command, '--help']);
      expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    },
  );

  it.each(COMMANDS.map((c) => [c.join(' '), c] as const))(
    'keywarden %s --help shows an example and ends well',
    async (name, command) => {
      const { code, stdout, stderr } = await keywarden([...command, '--help']);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/Examples?:\n {2}(export .*)?.*keywarden /);
      expect(stdout).toContain(`keywarden ${name}`);
    },
  );

  it('without a command the help goes to stderr, and it is wrong usage', async () => {
    const { code, stdout, stderr } = await keywarden([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Usage: keywarden');
  });

  it('prints its version', async () => {
    expect((await keywarden(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('wrong usage', () => {
  it.each([
    [['token', '--agnet', 'x'], /unknown option '--agnet'/, /did you mean --agent\?/],
    [['tokn'], /unknown command 'tokn'/, /did you mean token\?/],
    [['audit', 'lst'], /unknown command 'lst'/, /did you mean list\?/],
    [['audit', 'lst', '--help'], /unknown command 'lst'/, /did you mean list\?/],
    [['tokn', '--help'], /unknown command 'tokn'/, /did you mean token\?/],
    [['token', 'revok', '--help'], /revok/, /keywarden token --help/],
    [['approvals', 'list', '--limit', '201'], /--limit.*1 to 200/, /keywarden approvals list --help/],
    [['approvals', 'list', '--only', 'open'], /pending, approved, denied/, /keywarden approvals list --help/],
    [['sessions', 'list', '--limit', '1001'], /--limit.*1 to 1000/, /keywarden sessions list --help/],
    [['audit', 'list', '--limit', '0'], /--limit.*1 to 1000/, /keywarden audit list --help/],
    [['audit', 'list', '--since', 'yesterday'], /--since.*2026-01-31T12:00:00Z/, /--help/],
    [['audit', 'list', '--decision', 'maybe'], /allow, deny/i, /--help/],
    [['dev', '--port', '99999'], /--port.*65535/, /--help/],
    [['token', '--agent', 'a', '--can', 'stripe:x', '--ttl', 'soon'], /--ttl.*15m or 1h/, /--help/],
    [['token', '--can', 'stripe:x'], /--agent is missing/, /keywarden token/],
    [['token', '--agent', 'a'], /--can is missing/, /policy check/],
    [['keys', 'create', '--roles', 'god'], /god is no role/, /mint, approve, audit, admin/],
  ] as const)('%j is refused with a hint, exit code 2, nothing on stdout', async (args, error, hint) => {
    const { code, stdout, stderr } = await keywarden(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^keywarden: error: /);
    expect(stderr).toMatch(error);
    expect(stderr.split('keywarden: hint: ').slice(1).join('\n')).toMatch(hint);
  });

  it('a token asked for more than 24 h is refused before the edge is asked', async () => {
    const { code, stderr } = await keywarden(['token', '--agent', 'a', '--can', 'stripe:x', '--ttl', '25h']);
    expect(code).toBe(2);
    expect(stderr).toContain('--ttl');
  });
});

describe('terminal manners', () => {
  it('no colours into a pipe, colours only when asked for, never against NO_COLOR', async () => {
    const args = ['tokn'];
    const colour = '\u001b[';
    expect((await keywarden(args)).stderr).not.toContain(colour);
    expect((await keywarden(args, { env: { FORCE_COLOR: '1' } })).stderr).toContain(colour);
    expect((await keywarden(args, { env: { NO_COLOR: '1' } })).stderr).not.toContain(colour);
  });

  it('a reader that goes away is no error', () => {
    const piped = spawnSync('/bin/sh', ['-c', `"$0" "$1" --help | true`, process.execPath, BIN], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect(piped.stderr).toBe('');
  });
});
