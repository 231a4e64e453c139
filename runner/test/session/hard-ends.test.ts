import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SessionDetail } from '../../../src/protocol.ts';
import { startTestEdge } from '../../../test/support/edge.ts';
import { until } from '../../../test/support/process.ts';
import { atTerminal, CLI, keywarden, type Said } from './support/command.ts';

/** What the world does to a run of the real command: a full disk, an edge that hangs or dies, a terminal. */
const ROOT = process.getuid?.() === 0;
const SECRET = 'pa55-w0rd-of-the-database';
const sh = (script: string): string[] => ['--', 'sh', '-c', script];
const summaryIn = ({ err }: Said): Record<string, unknown> => JSON.parse(err.trim().split('\n').at(-1) ?? '');

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keywarden-hard-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe.skipIf(!ROOT)('a full disk under the state directory', () => {
  let disk: string;
  let state: string;
  const fill = (): void => {
    const chunk = Buffer.alloc(4096);
    for (let i = 0; ; i += 1) {
      try {
        writeFileSync(join(disk, `filler-${i}`), chunk);
      } catch {
        return;
      }
    }
  };
  const empty = (): void => {
    for (const name of readdirSync(disk).filter((one) => one.startsWith('filler'))) rmSync(join(disk, name));
  };
  const run = (...args: string[]): Promise<Said> => keywarden(['run', '--no-edge', '--state', state, ...args]);
  beforeEach(() => {
    disk = join(directory, 'disk');
    state = join(disk, 'state');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=160k', 'keywarden-test', disk]);
  });
  afterEach(() => void execFileSync('umount', [disk]));

  it('before the first run, and before another: nothing is started, 125, and why', async () => {
    fill();
    const first = await run('--', 'true');
    expect(first).toMatchObject({ code: 125, out: '' });
    expect(first.err).toMatch(/^keywarden: error: .*(no space left on device|ENOSPC)/im);
    expect(first.err).not.toContain('unexpected');
    empty();
    expect((await run('--', 'true')).code).toBe(0);
    fill();
    const later = await run('--', 'true');
    expect(later.code).toBe(125);
    expect(later.err).toMatch(/error: the lease of the session cannot be written: ENOSPC/);
    expect(readdirSync(join(state, 'sessions'))).toEqual([]);
  });

  it('in mid-life: the session ends as it would, its code is kept, and the receipt is written when there is room', async () => {
    const running = run('--json', ...sh('sleep 2; exit 7'));
    await until('it to run', () => leaseText(state).includes('"runningAt":1'));
    fill();
    const said = await running;
    expect(said.code, said.err).toBe(7);
    expect(said.err).toMatch(/receipt cannot be written/);
    expect(summaryIn(said)).toMatchObject({ reason: 'exited', exit_code: 7, absence_proven: true });
    const full = await keywarden(['sweep', '--json', '--state', state]);
    expect(full.code).toBe(1);
    expect(JSON.parse(full.out)).toMatchObject({ sessions: [{ did: 'incomplete' }] });
    empty();
    const swept = await keywarden(['sweep', '--json', '--state', state]);
    expect(JSON.parse(swept.out)).toMatchObject({ sessions: [{ did: 'ended', detail: 'exited' }] });
    const [file = ''] = readdirSync(join(state, 'receipts'));
    const { receipt } = JSON.parse(readFileSync(join(state, 'receipts', file), 'utf8'));
    expect(receipt).toMatchObject({ reason: 'exited', exit_code: 7, absence: { proven: true } });
  });
});

function leaseText(state: string): string {
  try {
    const [name = ''] = readdirSync(join(state, 'sessions')).filter((one) => one.startsWith('ses_'));
    return readFileSync(join(state, 'sessions', name, 'lease.json'), 'utf8');
  } catch {
    return '';
  }
}

describe('an edge', () => {
  it('that takes calls and never answers holds nobody past the deadline, nor from Ctrl-C', async () => {
    const open: Socket[] = [];
    const silent = createServer((socket) => void open.push(socket)).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port } = silent.address() as { port: number };
    const env = {
      KEYWARDEN_URL: `http://127.0.0.1:${port}`,
      KEYWARDEN_OPERATOR_KEY: 'kwop_0123456789abcdef',
      XDG_STATE_HOME: directory,
    };
    try {
      const late = await keywarden(['run', '--timeout', '1s', '--', 'true'], { env });
      expect(late.code, late.err).toBe(124);
      expect(late.err).toMatch(/ended before the agent was started: its deadline passed/);
      // Its receipt waits, and a run would first try to send it: not of interest here.
      rmSync(join(directory, 'keywarden'), { recursive: true });
      const before = open.length;
      let began = 0;
      const interrupted = await keywarden(['run', '--timeout', '60s', '--', 'true'], {
        env,
        // A slow machine may take long until then, and a signal before would end it as it ends everybody.
        started: (child) =>
          void until('it to ask', () => open.length > before).then(() => {
            began = performance.now();
            child.kill('SIGINT');
          }),
      });
      expect(interrupted.code, interrupted.err).toBe(130);
      expect(performance.now() - began).toBeLessThan(15_000);
      expect(readdirSync(join(directory, 'keywarden', 'sessions'))).toEqual([]);
    } finally {
      for (const socket of open) socket.destroy();
      silent.close();
    }
  });

  it('that cannot be reached hides nobody who lives on this host', async () => {
    const env = {
      KEYWARDEN_URL: 'http://127.0.0.1:9',
      KEYWARDEN_OPERATOR_KEY: 'kwop_0123456789abcdef',
      XDG_STATE_HOME: directory,
    };
    const state = join(directory, 'keywarden');
    const lives = keywarden(['run', '--no-edge', '--quiet', ...sh('sleep 60')], { env });
    await until('it to run', () => leaseText(state).includes('"runningAt":1'));
    const [id = ''] = readdirSync(join(state, 'sessions'));
    const said = await keywarden(['sessions', 'list'], { env });
    expect(said).toMatchObject({ code: 125, out: expect.stringContaining(id) });
    expect(said.err).toMatch(/^keywarden: error: .* cannot be reached/m);
    expect(await keywarden(['sessions', 'stop', id], { env })).toMatchObject({ code: 0 });
    expect((await lives).code).toBe(143);
  });

  it('that dies in mid-life: the agent goes on, its code is kept, and the receipt reaches the edge that comes back', async () => {
    const options = {
      policies: {
        'bank.yaml':
          'service: bank\norigin: http://127.0.0.1:9\ncredential: { scheme: bearer, secret: BANK_KEY }\ncapabilities: { read: { allow: GET /v1/balance } }\n',
      },
      vars: { BANK_KEY: 'sk_live_hard_0123456789' },
      directory,
    };
    const first = await startTestEdge(options);
    const asks = 'curl -s -o /dev/null -w %{http_code} $KEYWARDEN_URL/v1/capabilities; exit 5';
    const running = keywarden([
      'run',
      '--state',
      first.state,
      '--can',
      'bank:read',
      '--json',
      ...sh(`sleep 4; ${asks}`),
    ]);
    await until('it to run', () => leaseText(first.state).includes('"runningAt":1'));
    await first.kill9Workerd();
    const said = await running;
    expect(said, said.err).toMatchObject({ code: 5, out: '503' });
    const summary = summaryIn(said);
    expect(summary).toMatchObject({
      reason: 'exited',
      receipt_sent: false,
      token_revoked: false,
      absence_proven: true,
    });
    await first.stop().catch(() => {});
    const second = await startTestEdge(options);
    try {
      const swept = JSON.parse((await keywarden(['sweep', '--json', '--state', second.state])).out);
      expect(swept).toMatchObject({ receipts_sent: [summary['session_id']], receipts_waiting: [] });
      const answer = await second.operate(`/v1/sessions/${summary['session_id']}`);
      expect((await answer.json()) as SessionDetail).toMatchObject({ state: 'ended', reason: 'exited' });
    } finally {
      await second.stop();
    }
  });
});

describe('a reader', () => {
  const state = (): string => join(directory, 's');
  const flags = (): string[] => ['run', '--no-edge', '--json', '--state', state()];
  it('that takes nothing keeps nobody past the deadline; one that is slow gets all, masked or not', async () => {
    // Never read, and soon full: the agent waits for it, and the runner's last words would.
    const fifo = join(directory, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const writer = openSync(fifo, constants.O_WRONLY);
    const stuck = ['--timeout', '1s', ...sh('yes >&2')];
    const deaf = spawn(process.execPath, [CLI, ...flags(), ...stuck], { stdio: ['ignore', 'ignore', writer] });
    closeSync(writer);
    const kill = setTimeout(() => deaf.kill('SIGKILL'), 60_000);
    const ended = new Promise((resolve) => deaf.once('exit', (code, signal) => resolve(code ?? signal)));

    // More than pipes hold: the rest is in the masker when the agent has ended.
    const size = 3 * 65_536 + 1000;
    const run = [CLI, ...flags(), '--secret', 'DB_PASSWORD', ...sh(`head -c ${size} /dev/zero; exit 3`)];
    const slow = spawn('sh', ['-c', '"$@" | { sleep 5; wc -c; }', 'sh', process.execPath, ...run], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, DB_PASSWORD: SECRET },
    });
    let taken = '';
    for await (const chunk of slow.stdout) taken += String(chunk);
    expect(Number(taken)).toBe(size);

    expect(await ended).toBe(143);
    clearTimeout(kill);
    closeSync(reader);
    expect(readdirSync(join(state(), 'sessions'))).toEqual([]);
  });
});

it('a signal to the whole group, as Ctrl-\\ is one, reaches the agent once, and it has its grace', async () => {
  const trap = 'trap "echo QUIT; exit 9" QUIT; echo ready; while :; do sleep 0.1; done';
  const run = spawn(
    process.execPath,
    [CLI, 'run', '--no-edge', '--quiet', '--state', join(directory, 's'), ...sh(trap)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    },
  );
  let out = '';
  run.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  const ended = new Promise((resolve) => run.once('close', (code, signal) => resolve(code ?? signal)));
  await until('the agent to be ready', () => out.includes('ready'));
  process.kill(-(run.pid ?? 0), 'SIGQUIT');
  expect(await ended).toBe(9);
  expect(out).toBe('ready\nQUIT\n');
});

describe('at a terminal', () => {
  const run = (...args: string[]): string[] => [
    'run',
    '--quiet',
    '--no-edge',
    '--state',
    join(directory, 's'),
    ...args,
  ];
  const env = { DB_PASSWORD: SECRET, HOME: '/nonexistent' };

  it.each([
    ['masked', ['--secret', 'DB_PASSWORD']],
    ['untouched', ['--secret', 'DB_PASSWORD', '--no-mask']],
  ])('%s: size, resizing, typing, the exit code; the terminal is as before', async (kind, flags) => {
    const script =
      'test -t 0 -a -t 1 -a -t 2 && stty size; echo "[$DB_PASSWORD]"; read a; until stty size | grep 44; do sleep 0.1; done; echo "got $a"; exit 3';
    const said = await atTerminal(
      run(...flags, ...sh(script)),
      {
        size: [33, 101],
        keys: [
          [']', [44, 120]],
          [']', 'hello\r'],
        ],
      },
      { env },
    );
    expect(said.out).toContain('33 101\n');
    expect(said.out).toContain('44 120\ngot hello\n');
    expect(said.out.includes(SECRET)).toBe(kind === 'untouched');
    expect(said).toMatchObject({ code: 3, restored: true });
  });

  it.each([
    ['masked', ['--secret', 'DB_PASSWORD']],
    ['untouched', []],
  ])('%s: Ctrl-C is the agent’s, Ctrl-D its end of input', async (_, flags) => {
    const trap = 'trap "echo INT; exit 9" INT; echo ready; while :; do sleep 0.1; done';
    const interrupted = await atTerminal(run(...flags, ...sh(trap)), { keys: [['ready', '\x03']] }, { env });
    expect(interrupted).toMatchObject({ code: 9, restored: true });
    expect(interrupted.out).toContain('INT\n');
    const ended = await atTerminal(
      run(...flags, ...sh('echo ready; exec cat')),
      {
        keys: [
          ['ready', 'abc\r'],
          ['abc\r\nabc', '\x04'],
        ],
      },
      { env },
    );
    expect(ended).toMatchObject({ code: 0, restored: true, out: 'ready\nabc\nabc\n' });
  });

  it.each([
    ['masked', ['--secret', 'DB_PASSWORD']],
    ['untouched', []],
  ])('%s: what is typed while it starts comes to the agent', async (_, flags) => {
    const said = await atTerminal(run(...flags, ...sh('read a; echo "got $a"')), { keys: [[0, 'early\n']] }, { env });
    expect(said).toMatchObject({ code: 0, out: expect.stringContaining('got early\n'), restored: true });
  });

  it.each([
    ['not wanted', '"$@"', ['--no-tty']],
    ['cut off from its output', '"$@" | cat', []],
    ['cut off from its input', '"$@" </dev/null', []],
    ['left for errors alone', '"$@" </dev/null | cat', []],
  ])('%s: the agent has none, nor ours', async (_, script, flags) => {
    const agent = 'for fd in 0 1 2; do test -t $fd && echo "$fd is one"; done; echo said; echo erred >&2';
    const command = [process.execPath, CLI, ...run(...flags, ...sh(agent))];
    const said = await atTerminal(['sh', '-c', script, 'sh', ...command], {}, { env }, []);
    expect(said).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^(said\nerred|erred\nsaid)\n$/),
      restored: true,
    });
  });

  it('in the background, the agent reads nothing of what is typed there, and runs', async () => {
    const agent = 'echo started; echo "got <$(timeout 2 cat)>"';
    const shell = 'set -m; "$@" | cat & wait; read -t 9 a; echo "shell got <$a>"';
    const said = await atTerminal(
      ['bash', '-c', shell, 'bash', process.execPath, CLI, ...run(...sh(agent))],
      { keys: [['started', 'typed\n']] },
      { env },
      [],
    );
    expect(said.out).toContain('\ngot <>\n');
    expect(said).toMatchObject({ code: 0, out: expect.stringMatching(/shell got <typed>\n$/) });
  });

  it('the deadline ends an agent that is deaf, and gives the terminal back', async () => {
    const said = await atTerminal(
      run('--timeout', '3s', ...sh('stty raw -echo; trap "" TERM HUP; while :; do sleep 1; done')),
    );
    expect(said).toMatchObject({ code: 137, restored: true });
  });
});
