import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BackendUnderTest, backendUnderTest } from './support/backends.ts';
import { atTerminal, CLI, keywarden, type Said } from './support/command.ts';

const NOBODY = 65534;
const SECRET = 'pa55-w0rd-of-the-database';
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keywarden-options-'));
  for (const name of ['work', 'empty', 'gone', 'closed']) mkdirSync(join(directory, name));
  chmodSync(join(directory, 'closed'), 0o700);
  writeFileSync(join(directory, 'work', 'in.txt'), 'hello\n');
  writeFileSync(join(directory, 'work', 'out.txt'), '');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const run = (args: readonly string[], env: Record<string, string> = {}): Promise<Said> =>
  keywarden(['run', '--no-edge', '--quiet', '--state', join(directory, 'state'), ...args], {
    cwd: directory,
    env: { HOME: '/nonexistent', ...env },
  });

describe('keywarden run', () => {
  it('a file can be mounted: the agent then starts in its home', async () => {
    const said = await run(['--mount', 'work/in.txt:/work/in.txt', '--', 'sh', '-c', 'pwd; cat /work/in.txt']);
    expect(said, said.err).toMatchObject({ code: 0, out: '/home/agent\nhello\n' });
  });

  it('a file can be mounted directly below the root', async () => {
    expect(await run(['--mount', 'work/in.txt:/in.txt', '--', 'cat', '/in.txt'])).toMatchObject({ out: 'hello\n' });
    const wrote = await run(['--mount', 'work/out.txt:/out.txt:rw', '--', 'sh', '-c', 'echo hi > /out.txt']);
    expect(wrote, wrote.err).toMatchObject({ code: 0 });
    expect(readFileSync(join(directory, 'work', 'out.txt'), 'utf8')).toBe('hi\n');
  });

  it.skipIf(process.getuid?.() !== 0)("what root's agent may not enter is told with what to do", async () => {
    const said = await run(['--mount', 'closed:/work', '--', 'true']);
    expect(said.code).toBe(125);
    expect(said.err).toMatch(/\/work: Permission denied\n(.*\n)*keywarden: hint: .*chmod -R o\+rX/);
  });

  it('its pipes can be opened by their names, /dev/stdin, /dev/stdout and /dev/stderr', () => {
    const args = ['run', '--no-edge', '--quiet', '--state', join(directory, 'state'), '--', 'sh', '-c'];
    const script = 'cat /dev/stdin > /dev/stdout; echo err > /dev/stderr';
    const ran = spawnSync('sh', ['-c', 'echo in | "$@" 2>&1 | cat', 'sh', process.execPath, CLI, ...args, script], {
      env: { PATH: process.env['PATH'], HOME: '/nonexistent' },
      encoding: 'utf8',
    });
    expect(ran.stdout).toBe('in\nerr\n');
  });

  it.each(process.getuid?.() === 0 ? [undefined, NOBODY] : [undefined])(
    'so can its outputs while they are masked; in the end all of both is there (uid %s; undefined is ours)',
    async (uid) => {
      const home = mkdtempSync(join(tmpdir(), 'keywarden-masked-'));
      if (uid !== undefined) chownSync(home, uid, uid);
      const script =
        'echo "$NAME" > /dev/stderr; echo "$NAME" > /dev/stdout; head -c 3000000 /dev/zero | tr "\\0" x; echo; exec 1>&-; echo end >&2';
      const args = [
        'run',
        '--no-edge',
        '--quiet',
        '--state',
        join(home, 'state'),
        '--secret',
        'NAME',
        '--',
        'sh',
        '-c',
      ];
      const ran = spawnSync(process.execPath, [CLI, ...args, script], {
        env: { PATH: '/usr/bin:/bin:/usr/sbin', HOME: home, NAME: 'canary-of-the-outputs' },
        cwd: home,
        encoding: 'utf8',
        maxBuffer: 8_000_000,
        ...(uid === undefined ? {} : { uid, gid: uid }),
      });
      rmSync(home, { recursive: true, force: true });
      expect(ran.stdout).toBe(`[redacted]\n${'x'.repeat(3_000_000)}\n`);
      expect(ran.stderr).toMatch(/\[redacted\]\nend\n$/);
      expect(ran.status).toBe(0);
    },
  );

  it.each(process.getuid?.() === 0 ? [undefined, NOBODY] : [undefined])(
    'so can its input that nobody types, masked or at half a terminal (uid %s; undefined is ours)',
    async (uid) => {
      const home = mkdtempSync(join(tmpdir(), 'keywarden-input-'));
      if (uid !== undefined) chownSync(home, uid, uid);
      const options = {
        cwd: home,
        env: { HOME: home, NAME: 'canary-of-the-input' },
        ...(uid === undefined ? {} : { uid }),
      };
      for (const flags of [[], ['--secret', 'NAME']]) {
        const run = [process.execPath, CLI, 'run', '--no-edge', '--quiet', '--state', join(home, 'state'), ...flags];
        const command = [...run, '--', 'sh', '-c', 'cat /dev/stdin; echo end'];
        const said = await atTerminal(['sh', '-c', 'echo in | "$@"', 'sh', ...command], {}, options, []);
        expect(said, String(flags)).toMatchObject({ code: 0, out: 'in\nend\n', restored: true });
      }
      rmSync(home, { recursive: true, force: true });
    },
  );

  it.each(process.getuid?.() === 0 ? [undefined, NOBODY] : [undefined])(
    'so can its terminal, and by /dev/tty (uid %s; undefined is ours)',
    async (uid) => {
      const home = mkdtempSync(join(tmpdir(), 'keywarden-terminal-'));
      if (uid !== undefined) chownSync(home, uid, uid);
      const script = 'for at in stdout stderr tty; do echo to-$at > /dev/$at; done; read x < /dev/stdin; echo "<$x>"';
      const args = ['run', '--no-edge', '--quiet', '--state', join(home, 'state'), '--', 'sh', '-c', script];
      const said = await atTerminal(
        args,
        { keys: [[0, 'typed\n']] },
        { cwd: home, env: { HOME: home }, ...(uid === undefined ? {} : { uid }) },
      );
      rmSync(home, { recursive: true, force: true });
      expect(said.out).toContain('to-stdout\nto-stderr\nto-tty\n');
      expect(said).toMatchObject({ code: 0, out: expect.stringContaining('<typed>\n'), restored: true });
    },
  );

  it('a mount below another one that lacks its place is refused, and nothing is made on the host', async () => {
    const said = await run(['--mount', 'empty:/work:rw', '--mount', 'work:/work/sub', '--', 'true']);
    expect(said.code).toBe(125);
    expect(said.err).toMatch(/--mount …:\/work\/sub: .*empty\/sub is no folder to mount it on/);
    expect(readdirSync(join(directory, 'empty'))).toEqual([]);
  });

  it('what follows the command is its own, with or without --', async () => {
    expect(await run(['echo', '--json', '--version'])).toMatchObject({ out: '--json --version\n', err: '' });
  });

  it('a name that is both a variable and a secret, or two secrets, is wrong usage, and no value is shown', async () => {
    const env = { DB: SECRET, OTHER: 'other-value' };
    for (const [flags, message] of [
      [['--env', `DB=${SECRET}x`, '--secret', 'DB'], 'DB is given twice, by --env and by --secret'],
      [['--secret', 'DB=env:OTHER', '--env', 'DB'], 'DB is given twice, by --env and by --secret'],
      [['--secret', 'DB', '--secret', 'DB=env:OTHER'], '--secret DB is given twice'],
    ] as const) {
      const said = await run([...flags, '--', 'printenv', 'DB'], env);
      expect(said).toMatchObject({ code: 2, out: '' });
      expect(said.err).toMatch(new RegExp(`^keywarden: error: ${message}\nkeywarden: hint: .*leave .* away`));
      expect(said.err).not.toMatch(/pa55|other-value/);
    }
  });

  it('of one variable that is given twice the last one holds, as with docker and env', async () => {
    const said = await run(['--env', 'A=1', '--env', 'B=2', '--env', 'A=3', '--', 'sh', '-c', 'echo $A $B']);
    expect(said, said.err).toMatchObject({ code: 0, out: '3 2\n' });
  });

  it('two mounts on one place are wrong usage, however the place is written', async () => {
    for (const place of ['/work', '/work/', '/work/../work//.']) {
      const said = await run(['--mount', 'work:/work', '--mount', `empty:${place}`, '--', 'true']);
      expect(said).toMatchObject({ code: 2, err: expect.stringMatching(/two of them for \/work/) });
    }
  });

  it('a mount on a place for credentials, where the sandbox would deny it all, is wrong usage whatever is forced', async () => {
    for (const place of ['/home/agent/.aws', '/home/agent/.aws/../.ssh/config', '/work/.env']) {
      for (const anyway of [[], ['--mount-anyway']]) {
        const said = await run(['--mount', `work/in.txt:${place}`, ...anyway, '--', 'true']);
        expect(said).toMatchObject({ code: 2, out: '' });
        expect(said.err).toMatch(
          /^keywarden: error: --mount …:\/\S+: the sandbox denies .*\nkeywarden: hint: mount it elsewhere/,
        );
      }
    }
    const example = await run(['--mount', 'work/in.txt:/work/.env.example', '--', 'cat', '/work/.env.example']);
    expect(example, example.err).toMatchObject({ code: 0, out: 'hello\n' });
  });

  it('a narrow umask is handed on, and keeps nothing of the system from the agent', async () => {
    const args = [
      'run',
      '--no-edge',
      '--quiet',
      '--state',
      join(directory, 'state'),
      '--',
      'sh',
      '-c',
      'whoami; umask',
    ];
    const ran = spawnSync('sh', ['-c', 'umask 077; "$@"', 'sh', process.execPath, CLI, ...args], { encoding: 'utf8' });
    expect(ran.stdout, ran.stderr).toBe('agent\n0077\n');
  });

  it('a working directory that is gone is no bug of ours', () => {
    const args = ['run', '--no-edge', '--', 'true'];
    const ran = spawnSync(
      'sh',
      ['-c', 'cd "$0"; rmdir "$0"; "$@"', join(directory, 'gone'), process.execPath, CLI, ...args],
      {
        encoding: 'utf8',
      },
    );
    expect(ran.status).toBe(125);
    expect(ran.stderr).toMatch(/^keywarden: error: the working directory is not there any more\n/);
  });

  it('a command line of more words than bubblewrap takes is wrong usage', async () => {
    const words = (count: number): Promise<Said> =>
      run(['--', 'sh', '-c', 'echo $#', ...Array<string>(count - 3).fill('x')]);
    expect(await words(8_001)).toMatchObject({ code: 2, err: expect.stringMatching(/more than 8000 words/) });
    expect(await words(8_000)).toMatchObject({ code: 0, out: '7996\n' });
  });

  it.each(['< .', '> /dev/null 2< .'])(
    'a folder for a stream (%s) is refused: from it chmod(2) reaches the files of the host',
    (to) => {
      const args = [process.execPath, CLI, 'run', '--no-edge', '--state', join(directory, 'state'), '--', 'true'];
      const ran = spawnSync('sh', ['-c', `exec 3>&2; "$@" ${to} || echo "code $?" >&3`, 'sh', ...args], {
        cwd: directory,
        env: { PATH: process.env['PATH'], HOME: '/nonexistent' },
        encoding: 'utf8',
      });
      expect(ran.stderr).toContain('code 2');
    },
  );
  it.each([
    ['an argument', '"$@" -- echo "$(printf "caf\\351")"'],
    ['a variable', '"$@" --env "X=$(printf "caf\\351")" -- true'],
    ["a variable of one's own", 'X="$(printf "caf\\351")" "$@" --env X -- true'],
  ])('%s that is no UTF-8 is refused: the agent would get other bytes, and another file', (_, script) => {
    const args = [process.execPath, CLI, 'run', '--no-edge', '--state', join(directory, 'state')];
    const ran = spawnSync('sh', ['-c', script, 'sh', ...args], {
      env: { PATH: process.env['PATH'], HOME: '/nonexistent' },
      encoding: 'utf8',
    });
    expect(ran, ran.stderr).toMatchObject({ status: 2, stdout: '' });
    expect(ran.stderr).toMatch(/^keywarden: error: .* is no UTF-8\nkeywarden: hint: /);
  });

  it.each([
    ['/nowhere', /there is no such folder/],
    ['work/in.txt', /no folder/],
    ['/', /host's own/],
    ['/home', /host's own/],
  ])('--root %s is refused, and why', async (root, why) => {
    const said = await run(['--root', root, '--', 'true']);
    expect(said.code).toBe(125);
    expect(said.err).toMatch(/^keywarden: error: --root/);
    expect(said.err).toMatch(why);
  });

  it('more memory than the host has is wrong usage', async () => {
    const said = await run(['--memory', `${Math.ceil(totalmem() / 1024 ** 3) + 1}g`, '--', 'true']);
    expect(said.code).toBe(2);
    expect(said.err).toMatch(/--memory: this host has \d+m/);
  });

  it('--dry-run prints the control groups and the whole command line, and makes nothing', async () => {
    const boxes = (): string[] => {
      try {
        return readdirSync(`/dev/shm/keywarden-${process.getuid?.()}`);
      } catch {
        return [];
      }
    };
    const before = boxes();
    const said = await run(['--dry-run', '--memory', '64m', '--', 'true']);
    expect(said.code, said.err).toBe(0);
    expect(said.out).toMatch(/--as-pid-1 .* init /);
    if (process.getuid?.() === 0) expect(said.out).toContain(String(64 * 1024 ** 2));
    expect(boxes()).toEqual(before);
  });
});

/** The command as nobody runs it, with a folder of its own. */
describe.skipIf(process.getuid?.() !== 0)('as an ordinary user, without control groups', () => {
  const asNobody = (...args: string[]): Said => {
    const home = mkdtempSync(join(tmpdir(), 'keywarden-nobody-'));
    chmodSync(home, 0o755);
    chownSync(home, NOBODY, NOBODY);
    const ran = spawnSync(process.execPath, [CLI, 'run', '--no-edge', '--state', join(home, 'state'), ...args], {
      cwd: home,
      env: { PATH: '/usr/bin:/bin:/usr/sbin', HOME: home },
      encoding: 'utf8',
      uid: NOBODY,
      gid: NOBODY,
    });
    rmSync(home, { recursive: true, force: true });
    return { code: ran.status, out: ran.stdout, err: ran.stderr };
  };

  it('--pids bounds the processes all the same, to as many as it says', () => {
    const fork = `
import os, time
living = 1
try:
    while living < 100:
        if os.fork() == 0: time.sleep(20); os._exit(0)
        living += 1
except OSError: pass
print(living)`;
    expect(asNobody('--pids', '20', '--', 'python3', '-c', fork)).toMatchObject({ code: 0, out: '20\n' });
  });

  it('--memory bounds each process, and what is not bounded is told', () => {
    const hungry = asNobody('--memory', '64m', '--', 'python3', '-c', 'x = bytearray(300 << 20)');
    expect(hungry.code).toBe(1);
    expect(hungry.err).toContain('MemoryError');
    expect(hungry.err).toMatch(/backend namespace, without cgroup limits .*core limits \(no cpu controller/);
    expect(asNobody('--memory', '256m', '--', 'python3', '-c', 'print(len(bytearray(100 << 20)))')).toMatchObject({
      code: 0,
    });
  });

  it('--cpus, which nothing would hold, is refused', () => {
    const refused = asNobody('--cpus', '1', '--', 'true');
    expect(refused).toMatchObject({ code: 125, out: '' });
    expect(refused.err).toMatch(
      /error: --cpus: the namespace backend cannot bound cores here: .*\n.*hint: .*Delegate=/,
    );
  });
});

describe.each(['namespace', 'docker'] as const)('a reader that goes away, on %s', (name) => {
  let under: BackendUnderTest;
  beforeAll(async () => {
    under = await backendUnderTest(name);
  });
  afterAll(() => under?.stop());

  it.each([
    ['untouched', []],
    ['masked', ['--secret', 'DB_PASSWORD']],
  ])('%s: is a broken pipe to the agent, and the session ends as sessions do', async (_, flags) => {
    const state = join(directory, `state-${name}`);
    const args = ['run', '--no-edge', '--json', '--quiet', '--backend', name, '--state', state, ...flags, '--', 'yes'];
    const ran = spawnSync('sh', ['-c', '"$@" | head -1', 'sh', process.execPath, CLI, ...args], {
      env: { PATH: process.env['PATH'], DB_PASSWORD: SECRET, DOCKER_HOST: process.env['DOCKER_HOST'] ?? '' },
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect(ran.stdout).toBe('y\n');
    const summary = JSON.parse(ran.stderr.trim().split('\n').at(-1) ?? '');
    expect(['killed', 'exited']).toContain(summary.reason);
    expect(summary).toMatchObject({ absence_proven: true });
    expect(summary.exit_code).not.toBe(0);
    expect(readdirSync(join(state, 'sessions'))).toEqual([]);
  });

  it('one that stays and reads nothing keeps no session past its deadline, nor the runner past a signal', async () => {
    const state = join(directory, `state-${name}`);
    const args = ['run', '--no-edge', '--json', '--backend', name, '--state', state, '--secret', 'DB_PASSWORD'];
    const stalled = spawn(process.execPath, [CLI, ...args, '--timeout', '2s', '--', 'yes'], {
      env: { PATH: process.env['PATH'], DB_PASSWORD: SECRET, DOCKER_HOST: process.env['DOCKER_HOST'] ?? '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const left = new Promise((resolve) => stalled.once('exit', resolve));
    let said = '';
    stalled.stderr.on('data', (chunk) => (said += chunk));
    await expect.poll(() => said, { timeout: 25_000 }).toContain('"absence_proven"');
    const summary = JSON.parse(said.trim().split('\n').at(-1) ?? '');
    expect(summary).toMatchObject({ reason: 'deadline', absence_proven: true, exit_code: expect.any(Number) });
    stalled.kill('SIGTERM');
    await left;
    expect(readdirSync(join(state, 'sessions'))).toEqual([]);
  });
});
