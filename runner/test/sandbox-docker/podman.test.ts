import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { start } from '../../../test/support/process.ts';
import { engineAt } from '../../src/sandbox/docker/engine.ts';
import { CLI, keywarden, type Said } from '../session/support/command.ts';
import { until } from './support/engine.ts';

/** The docker backend's code on podman's socket: a service of the test's own, with storage of its own. */
const ROOT = process.getuid?.() === 0;
const IMAGE = fileURLToPath(new URL('../../../scripts/sandbox-image.ts', import.meta.url));

describe.skipIf(!ROOT)('podman', () => {
  let directory: string;
  let service: ChildProcess;
  let env: Record<string, string>;
  const storage = (): string[] => [
    ...['--root', join(directory, 'root'), '--runroot', join(directory, 'run'), '--storage-driver', 'overlay'],
  ];
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'keywarden-podman-'));
    const socket = join(directory, 'podman.sock');
    service = spawn('podman', [...storage(), 'system', 'service', '--time=0', `unix://${socket}`], {
      // conmon leaves a file `oom` in the folder where it was started.
      cwd: directory,
      stdio: 'ignore',
    });
    await until(() => existsSync(socket));
    env = { DOCKER_HOST: `unix://${socket}`, HOME: '/nonexistent' };
    execFileSync(process.execPath, [IMAGE], { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  });
  afterAll(async () => {
    const ended = new Promise((resolve) => service.once('close', resolve));
    service.kill();
    await ended;
    spawnSync('podman', [...storage(), 'rm', '--all', '--force', '--time', '0']);
    // Its storage is a mount of its own.
    for (const at of ['root/overlay', 'root']) spawnSync('umount', [join(directory, at)]);
    rmSync(directory, { recursive: true, force: true });
  });

  const run = (...args: string[]): Promise<Said> =>
    keywarden(['run', '--no-edge', '--quiet', '--backend', 'docker', '--state', join(directory, 'state'), ...args], {
      env,
    });
  const containers = async (): Promise<readonly unknown[]> =>
    engineAt(join(directory, 'podman.sock')).listContainers({ all: true });

  it('keeps what was printed and the exit code, counts, and leaves nothing', async () => {
    const said = await run('--json', '--', 'sh', '-c', 'id -u; cat ~/.aws/credentials 2>&1; exit 5');
    expect(said, said.err).toMatchObject({ code: 5, out: expect.stringMatching(/^1000\n.*Permission denied\n$/) });
    expect(JSON.parse(said.err.trim().split('\n').at(-1) ?? '')).toMatchObject({
      denied: 1,
      sources: ['seccomp-notify'],
      absence_proven: true,
    });
    expect(await containers()).toEqual([]);
  });

  it.each([
    ['a signal', ['--', 'sh', '-c', 'kill -9 $$'], 137],
    ['the deadline', ['--timeout', '4s', '--', 'sh', '-c', 'trap "" TERM; while :; do sleep 1; done'], 137],
    ['too much memory', ['--memory', '64m', '--', 'python3', '-c', 'x = bytearray(300 << 20)'], 137],
    ['a program that is not there', ['--', 'no-such-program'], 127],
  ])('tells the end by %s, though podman itself says 0 after a kill', async (_, args, code) => {
    expect((await run(...args)).code).toBe(code);
    expect(await containers()).toEqual([]);
  });

  it('kill -9 of the runner ends the container, and the next sweep removes it (B61)', async () => {
    const state = join(directory, 'state');
    const args = ['run', '--no-edge', '--backend', 'docker', '--state', state, '--', 'sh', '-c', 'echo up; sleep 300'];
    const program = start(process.execPath, [CLI, ...args], { env: { ...process.env, ...env } });
    await until(() => program.output().includes('up\n'), 30_000);
    program.child.kill('SIGKILL');
    await program.ended;
    await until(async () => (await containers()).every((one) => (one as { State: string }).State !== 'running'));
    const swept = await keywarden(['sweep', '--json', '--state', state], { env });
    expect(JSON.parse(swept.out)).toMatchObject({ sessions: [{ did: 'ended', detail: 'runner_died' }] });
    expect(await containers()).toEqual([]);
    expect(readdirSync(join(state, 'sessions'))).toEqual([]);
  });

  it.each(['B5', 'B7', 'B22', 'B28'])('stands the attacks of row %s', async (row) => {
    const said = await keywarden(['selftest', '--backend', 'docker', '--row', row], { env });
    expect(said.code, said.out + said.err).toBe(0);
  });
});

describe.skipIf(!ROOT)('podman without root', () => {
  const NOBODY = 65_534;

  it('is refused by name: its ids are mapped, so that the sockets cannot be lent; the backend that needs no root is named', async () => {
    const home = mkdtempSync(join(tmpdir(), 'keywarden-rootless-'));
    chownSync(home, NOBODY, NOBODY);
    const socket = join(home, 'podman.sock');
    const own = { PATH: process.env['PATH'], HOME: home, TMPDIR: home, XDG_RUNTIME_DIR: home };
    const storage = ['--root', join(home, 'root'), '--runroot', join(home, 'run'), '--storage-driver', 'vfs'];
    const service = spawn('podman', [...storage, 'system', 'service', '--time=0', `unix://${socket}`], {
      uid: NOBODY,
      gid: NOBODY,
      env: own,
      stdio: 'ignore',
      // A group of its own: in its user namespace it goes on as a child, which outlives it.
      detached: true,
    });
    try {
      await until(() => existsSync(socket));
      const env = { DOCKER_HOST: `unix://${socket}`, HOME: home, TMPDIR: home };
      const said = await keywarden(['run', '--no-edge', '--backend', 'docker', '--', 'true'], { uid: NOBODY, env });
      expect(said).toMatchObject({ code: 125, out: '' });
      expect(said.err).toContain('mapped (rootless)');
      expect(said.err).toContain('--backend namespace');
    } finally {
      const ended = new Promise((resolve) => service.once('close', resolve));
      process.kill(-(service.pid as number), 'SIGKILL');
      await ended;
      // It keeps its user namespace by a process that outlives the service.
      process.kill(Number(readFileSync(join(home, 'libpod', 'tmp', 'pause.pid'), 'utf8')), 'SIGKILL');
      rmSync(home, { recursive: true, force: true });
    }
  });
});
