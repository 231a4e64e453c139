import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionDetail } from '../../../src/protocol.ts';
import { startTestEdge, type TestEdge } from '../../../test/support/edge.ts';
import { until } from '../../../test/support/process.ts';
import { json, startUpstream, type Upstream } from '../../../test/support/upstream.ts';

const CLI = fileURLToPath(new URL('../../bin/keywarden.js', import.meta.url));
const SECRET = 'pa55-w0rd-of-the-database';

let upstream: Upstream;
let edge: TestEdge;
let folder = '';
beforeAll(async () => {
  upstream = await startUpstream(json({ balance: 4711 }));
  edge = await startTestEdge({
    policies: {
      'bank.yaml': `service: bank
origin: ${upstream.origin}
credential: { scheme: bearer, secret: BANK_KEY }
capabilities: { read: { allow: GET /v1/balance } }
`,
    },
    vars: { BANK_KEY: 'sk_live_cli_0123456789' },
  });
  folder = join(edge.directory, 'work');
  mkdirSync(folder);
});
afterAll(async () => {
  await edge?.stop();
  await upstream?.stop();
});

interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** The real command, as a person types it. */
function keywarden(
  args: readonly string[],
  options: { env?: Record<string, string>; stdin?: string; cwd?: string } = {},
): Promise<Said> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [CLI, ...args], {
      cwd: options.cwd ?? folder,
      env: { PATH: process.env['PATH'], HOME: join(edge.directory, 'home'), ...options.env },
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.stdin.end(options.stdin ?? '');
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

const run = (args: readonly string[], options: Parameters<typeof keywarden>[1] = {}): Promise<Said> =>
  keywarden(['run', '--state', edge.state, '--agent', 'cli', ...args], options);
const summaryIn = (said: Said): Record<string, unknown> => JSON.parse(said.err.trim().split('\n').at(-1) ?? '');
const sh = (script: string): string[] => ['--', 'sh', '-c', script];

describe('keywarden run', () => {
  it('an agent calls a service through the edge, with its token alone; then the token is dead', async () => {
    const said = await run([
      ...['--can', 'bank:read', '--json'],
      ...sh(
        'curl -sS -H "Authorization: Bearer $KEYWARDEN_TOKEN" $KEYWARDEN_URL/proxy/bank/v1/balance; echo " $KEYWARDEN_TOKEN"',
      ),
    ]);
    expect(said.code, said.err).toBe(0);
    const [answer = '', token = ''] = said.out.trim().split(' ');
    expect(JSON.parse(answer)).toEqual({ balance: 4711 });
    expect(upstream.seen.at(-1)?.headers.authorization).toBe('Bearer sk_live_cli_0123456789');
    const summary = summaryIn(said);
    expect(summary).toMatchObject({
      reason: 'exited',
      exit_code: 0,
      absence_proven: true,
      token_revoked: true,
      receipt_sent: true,
    });
    const call = await fetch(`${edge.proxy('bank')}/v1/balance`, { headers: { authorization: `Bearer ${token}` } });
    expect(call.status).toBe(401);
    const detail = (await (await edge.operate(`/v1/sessions/${summary['session_id']}`)).json()) as SessionDetail;
    expect(detail).toMatchObject({
      state: 'ended',
      agent_id: 'cli',
      program: 'sh',
      receipt_sha256: summary['receipt_sha256'],
    });
    const rows = (await edge.audit({ session: String(summary['session_id']) })).map((row) => row.event);
    for (const event of ['session.started', 'token.minted', 'call.admitted', 'call.completed', 'session.ended'])
      expect(rows).toContain(event);
    expect(readdirSync(join(edge.state, 'sessions'))).toEqual([]);
  });

  it.each([
    ['its own', 'exit 7', 7],
    ['of a signal', 'kill -9 $$', 137],
    ['of a command that is not there', 'exec /nowhere/at/all', 127],
  ])('keeps the exit code: %s', async (_, script, code) => {
    expect((await run(['--quiet', ...sh(script)])).code).toBe(code);
  });

  it('127 for what is not found, 126 for what cannot be executed, and it says so', async () => {
    const [absent, unfit] = [
      await run(['--quiet', '--', 'no-such-program']),
      await run(['--quiet', '--', '/etc/passwd']),
    ];
    expect(absent).toMatchObject({
      code: 127,
      err: expect.stringMatching(/^keywarden: error: no-such-program: No such file/),
    });
    expect(unfit).toMatchObject({
      code: 126,
      err: expect.stringMatching(/^keywarden: error: \/etc\/passwd: Permission denied/),
    });
  });

  it('each kind of credential that was denied is told once, whatever the system calls', async () => {
    const said = await run(
      sh('cat ~/.aws/credentials; readlink ~/.aws/credentials; ls ~/.aws/credentials; cat ~/.netrc'),
    );
    expect(said.err.match(/denied opens of credential paths: .*/)?.[0]).toMatch(/: aws [3-9]×, netrc \d×$/);
  });

  it('stdin and stdout pipe, bytes untouched', async () => {
    const text = `${'x'.repeat(200_000)}\n\u001b[31mred\r\n`;
    const said = await run(['--quiet', '--', 'cat'], { stdin: text });
    expect(said).toMatchObject({ code: 0, out: text, err: '' });
  });

  it('without --can there is no token, and it says so', async () => {
    const said = await run(sh('echo "[$KEYWARDEN_TOKEN]"; id -u'));
    expect(said.out).toMatch(/^\[\]\n(?!0\n)\d+\n$/);
    expect(said.err).toContain('no --can');
  });

  it('nothing of the environment gets in but what is given', async () => {
    const said = await run(['--env', 'GIVEN=1', '--env', 'MINE', ...sh('env')], {
      env: { MINE: '2', AWS_SECRET_ACCESS_KEY: 'canary', KEYWARDEN_DEBUG: '1' },
    });
    expect(said.out).toContain('GIVEN=1\n');
    expect(said.out).toContain('MINE=2\n');
    expect(said.out).not.toContain('canary');
    expect(said.out).toContain('KEYWARDEN_URL=http://127.0.0.1:');
  });

  it('the deadline ends it, and 124 says so when the agent makes it look well', async () => {
    const began = Date.now();
    const said = await run(['--timeout', '1s', '--json', ...sh('trap "exit 0" TERM; while :; do sleep 0.1; done')]);
    expect(said.code).toBe(124);
    expect(summaryIn(said)).toMatchObject({ reason: 'deadline', absence_proven: true });
    expect(Date.now() - began).toBeLessThan(9_000);
  });

  it('more processes than it may have, all of which ignore SIGTERM, are gone by the deadline and the grace (threats B 62)', async () => {
    const began = Date.now();
    // Bounded, so that it harms nobody even where the sandbox should not hold it. A shell would end when it cannot fork.
    const many = `
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
refused = 0
for i in range(200):
    try:
        if os.fork() == 0: time.sleep(120)
    except OSError: refused += 1
print(refused, flush=True)
time.sleep(120)`;
    const said = await run(['--timeout', '2s', '--pids', '64', '--json', '--', 'python3', '-c', many]);
    expect(Number(said.out)).toBeGreaterThan(130);
    expect(summaryIn(said)).toMatchObject({ reason: 'deadline', exit_code: 137, absence_proven: true });
    // Two seconds of life, five of grace.
    expect(Date.now() - began).toBeGreaterThan(7_000);
    expect(Date.now() - began).toBeLessThan(15_000);
  });

  it('a mount is read-only unless :rw', async () => {
    writeFileSync(join(folder, 'in.txt'), 'hello');
    const said = await run(['--mount', `${folder}:/work`, ...sh('cat in.txt; pwd; touch new && echo wrote')]);
    expect(said.out).toContain('hello/work\n');
    expect(said.out).not.toContain('wrote');
    const wrote = await run(['--mount', `${folder}:/work:rw`, ...sh('echo out > new.txt && echo wrote')]);
    expect(wrote.out, wrote.err).toBe('wrote\n');
    expect(readFileSync(join(folder, 'new.txt'), 'utf8')).toBe('out\n');
  });
});

describe('secrets', () => {
  const env = { DB_PASSWORD: SECRET };
  const script =
    'echo "$DB_PASSWORD"; printf %s "$DB_PASSWORD" | base64; echo "$DB_PASSWORD" >&2; echo "tok $KEYWARDEN_TOKEN"';

  it('reach the agent, and its output shows none of them', async () => {
    const said = await run(
      [
        '--can',
        'bank:read',
        '--secret',
        'DB_PASSWORD',
        ...sh(`test "$DB_PASSWORD" = "${SECRET.slice(0, 8)}${SECRET.slice(8)}" && echo same; ${script}`),
      ],
      { env },
    );
    expect(said.out).toMatch(/^same\n\[redacted\]\n\[redacted\]=*\n/);
    expect(said.out).toContain('tok [redacted]\n');
    expect(said.out + said.err).not.toContain(SECRET);
    expect(said.out + said.err).not.toContain(Buffer.from(SECRET).toString('base64').slice(0, 20));
    expect(said.err).toContain('[redacted]');
  });

  it.each([
    ['env:OTHER', { OTHER: SECRET }],
    ['command:printenv OTHER', { OTHER: SECRET }],
  ])('from %s', async (source, given) => {
    const said = await run(
      ['--no-mask', '--secret', `DB_PASSWORD=${source}`, ...sh('echo "$DB_PASSWORD"; echo "[$OTHER]"')],
      { env: given },
    );
    expect(said.out, said.err).toBe(`${SECRET}\n[]\n`);
  });

  it('from a file; a missing one is refused by name', async () => {
    writeFileSync(join(folder, 'pw'), `${SECRET}\n`, { mode: 0o600 });
    const said = await run([
      '--no-mask',
      '--secret',
      `DB_PASSWORD=file:${join(folder, 'pw')}`,
      ...sh('echo "$DB_PASSWORD"'),
    ]);
    expect(said.out).toBe(`${SECRET}\n`);
    const missing = await run(['--secret', 'DB_PASSWORD=file:/nowhere', '--', 'true']);
    expect(missing).toMatchObject({ code: 125 });
    expect(missing.err).toContain('DB_PASSWORD');
  });

  it('a value in place of a source is refused and not repeated', async () => {
    const said = await run(['--secret', `DB_PASSWORD=${SECRET}`, '--', 'true']);
    expect(said.code).toBe(2);
    expect(said.err).not.toContain(SECRET);
  });

  it("are in nobody's command line on the host, and in no file of ours (threats B 3)", async () => {
    const running = run(['--can', 'bank:read', '--secret', 'DB_PASSWORD', ...sh('sleep 3')], { env });
    await until('the session to run', () => readdirSync(join(edge.state, 'sessions')).length > 0);
    await new Promise((resolve) => setTimeout(resolve, 800));
    const lines = execFileSync('sh', ['-c', 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n"; true'], {
      maxBuffer: 1 << 26,
    }).toString();
    expect(lines).not.toContain(SECRET);
    const grep = spawnSync('grep', ['-rlF', '--devices=skip', SECRET, edge.state], { encoding: 'utf8' });
    expect(grep.stdout).toBe('');
    await running;
  });

  it('--dry-run does nothing and shows names only', async () => {
    const said = await run(['--dry-run', '--can', 'bank:read', '--secret', 'DB_PASSWORD', '--', 'true'], { env });
    expect(said.code, said.err).toBe(0);
    expect(said.out).toContain('DB_PASSWORD=[DB_PASSWORD]');
    expect(said.out + said.err).not.toContain(SECRET);
    expect(readdirSync(join(edge.state, 'sessions'))).toEqual([]);
  });

  it('--dry-run runs no command that would tell a secret, and makes no file', async () => {
    const files = ['ran', 'metrics.prom', 'events.jsonl'];
    const said = await run([
      ...['--dry-run', '--secret', 'DB_PASSWORD=command:touch ran; echo a-secret-of-a-command'],
      ...['--metrics-file', 'metrics.prom', '--events', 'events.jsonl', '--', 'true'],
    ]);
    expect(said.code, said.err).toBe(0);
    expect(said.out).toContain('DB_PASSWORD=[DB_PASSWORD]');
    for (const told of ['sweep what dead', 'metrics.prom', 'events.jsonl', 'revoke', 'receipt'])
      expect(said.out).toContain(told);
    expect(files.filter((name) => existsSync(join(folder, name)))).toEqual([]);
  });
});

describe('what is refused, with 125 and a hint', () => {
  it.each<[string, string[], RegExp]>([
    [
      'a mount of a home',
      ['--mount', `${process.env['HOME'] ?? '/root'}:/work`, '--', 'true'],
      /home|host itself|own keys/,
    ],
    ['a mount of /', ['--mount', '/:/work', '--', 'true'], /own keys|host itself/],
    ['a capability that no policy defines', ['--can', 'bank:raed', '--', 'true'], /did you mean bank:read/],
  ])('%s', async (_, args, why) => {
    const said = await run(args);
    expect(said.code).toBe(125);
    expect(said.err).toMatch(why);
    expect(readdirSync(join(edge.state, 'sessions'))).toEqual([]);
  });

  it('no edge', async () => {
    const said = await keywarden(['run', '--', 'true'], { cwd: '/' });
    expect(said).toMatchObject({ code: 125, out: '' });
    expect(said.err).toContain('keywarden: hint:');
  });

  it('an edge that is not there', async () => {
    const said = await keywarden(['run', '--', 'true'], {
      env: { KEYWARDEN_URL: 'http://127.0.0.1:9', KEYWARDEN_OPERATOR_KEY: 'kwop_0123456789abcdef' },
    });
    expect(said.code).toBe(125);
    expect(said.err).toMatch(/cannot be reached/);
    expect(said.err).toContain('keywarden: hint:');
  });

  it('nothing to run', async () => {
    expect((await run([])).code).toBe(2);
  });
});

describe('keywarden sessions', () => {
  const sessions = (...args: string[]): Promise<Said> => keywarden(['sessions', ...args, '--state', edge.state]);

  it('list shows a living one; stop ends it; show and verify tell how', async () => {
    const running = run(['--can', 'bank:read', '--json', '--timeout', '60s', '--', 'sleep', '60']);
    await until('the session at the edge', async () => {
      const { out } = await sessions('list', '--only', 'running', '--json');
      return (JSON.parse(out) as { sessions: unknown[] }).sessions.length === 1;
    });
    const listed = JSON.parse((await sessions('list', '--only', 'running', '--json')).out) as {
      sessions: { session_id: string }[];
    };
    const id = listed.sessions[0]?.session_id ?? '';
    expect((await sessions('list')).out).toContain(id);
    const began = Date.now();
    expect(JSON.parse((await sessions('stop', id, '--json')).out)).toEqual({
      session_id: id,
      asked: ['runner', 'edge'],
    });
    const said = await running;
    expect(Date.now() - began).toBeLessThan(10_000);
    expect(summaryIn(said)).toMatchObject({ session_id: id, reason: 'stopped', absence_proven: true });
    expect(JSON.parse((await sessions('show', id, '--json')).out)).toMatchObject({ state: 'ended', reason: 'stopped' });
    const file = join(edge.state, 'receipts', `${id}.json`);
    expect(existsSync(file)).toBe(true);
    expect((await sessions('verify', file)).code).toBe(0);
    const text = readFileSync(file, 'utf8');
    writeFileSync(join(folder, 'forged.json'), text.replace('"stopped"', '"exited"'));
    const forged = await sessions('verify', join(folder, 'forged.json'));
    expect(forged.code).toBe(1);
    // By which key: who stands elsewhere may have asked with another runner's.
    expect(forged.err).toMatch(/^keywarden: NOT valid: .*\n.*runner\.jwk: --state DIR or --key X names another\n$/);
  });

  it('show tells what was counted, by class and system call, and the receipt', async () => {
    const ended = await run(['--can', 'bank:read', '--json', ...sh('cat ~/.aws/credentials; unshare -n true')]);
    const { session_id: id } = summaryIn(ended);
    const { code, out } = await sessions('show', String(id));
    expect(code).toBe(0);
    for (const line of [
      `valid: ${id} of cli (namespace on `,
      'left   nothing',
      'token  revoked',
      'counted by seccomp-notify: 1 denied, 0 observed, 1 blocked, 0 dropped',
      '  denied    aws  openat  1\n',
      '  blocked   unshare  1\n',
    ])
      expect(out).toContain(line);
  });

  it('a runner that was killed is swept by the next command', async () => {
    const child = spawn(process.execPath, [CLI, 'run', '--state', edge.state, '--', 'sleep', '300'], {
      cwd: folder,
      stdio: 'ignore',
    });
    await until('the session to run', () => {
      const name = readdirSync(join(edge.state, 'sessions')).find((one) => one.startsWith('ses_'));
      return (
        name !== undefined &&
        readFileSync(join(edge.state, 'sessions', name, 'lease.json'), 'utf8').includes('"runningAt":1')
      );
    });
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('close', resolve));
    const said = await keywarden(['sweep', '--state', edge.state, '--json']);
    expect(said.code, said.err).toBe(0);
    const { sessions: swept } = JSON.parse(said.out) as {
      sessions: { session: string; did: string; detail: string }[];
    };
    expect(swept).toMatchObject([{ did: 'ended', detail: 'runner_died' }]);
    const detail = (await (await edge.operate(`/v1/sessions/${swept[0]?.session}`)).json()) as SessionDetail;
    expect(detail).toMatchObject({ state: 'ended', reason: 'runner_died', absence_proven: true });
  });

  it.each([
    ['show', 'ses_x'],
    ['stop', '../../etc'],
    ['verify', '/nowhere'],
  ])('%s %s is refused', async (...args) => {
    expect([2, 125]).toContain((await sessions(...args)).code);
  });
});
