import { spawn, spawnSync } from 'node:child_process';
import { cpSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BIN, descendants, ended, isAlive, keywarden, oldNode, ROOT, scratch, until } from './command-line.ts';

const node = oldNode();
let place: ReturnType<typeof scratch>;
beforeEach(() => (place = scratch()));
afterEach(() => place.remove());

const LAUNCHER = join(ROOT, 'runner/bin/keywarden');
/** Waits for somebody who writes into it. */
const waits = (): string[] => {
  const fifo = join(place.path, 'fifo');
  spawnSync('mkfifo', [fifo]);
  return ['audit', 'verify', fifo];
};
const TOO_OLD = /^keywarden: error: Node\.js \d+\.\d+\.\d+ is too old.*\nkeywarden: hint: .*npm install/;

describe.skipIf(node === null)('where the PATH has an old Node', () => {
  const old = { node: node ?? '' };
  const path = { PATH: `${dirname(node ?? '')}:/usr/bin:/bin` };
  const launch = (args: readonly string[], launcher = LAUNCHER) =>
    spawn(launcher, args, { env: path, stdio: ['ignore', 'pipe', 'pipe'] });

  it('the launcher becomes a newer one: the same process, and no other beside it', async () => {
    const child = launch(waits());
    const pid = child.pid ?? 0;
    await until(() => readlinkSync(`/proc/${pid}/exe`).endsWith('/bin/node'));
    expect(readlinkSync(`/proc/${pid}/exe`)).not.toBe(node);
    expect(descendants(pid, '')).toEqual([]);
    child.kill('SIGKILL');
    expect((await ended(child)).stderr).toBe('');
  });

  it.each([
    ['the launcher', (args: string[]) => ended(launch(args))],
    ['keywarden.js under the old one', (args: string[]) => keywarden(args, { ...old, env: path })],
  ])('%s does what a new one does, exit code and arguments kept', async (_name, run) => {
    expect(await run(['--version'])).toEqual(await keywarden(['--version']));
    const wrong = await run(['no such command; $(echo x)']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("unknown command 'no such command; $(echo x)'");
  });

  it('kill -9 of the old one ends what it stands for', async () => {
    const child = spawn(old.node, [BIN, ...waits()], { env: path, stdio: ['ignore', 'pipe', 'pipe'] });
    await until(() => descendants(child.pid ?? 0, 'audit verify').length === 1);
    const [other] = descendants(child.pid ?? 0, 'audit verify') as [number];
    await until(() => readlinkSync(`/proc/${other}/exe`).endsWith('/bin/node'));
    child.kill('SIGKILL');
    await until(() => !isAlive(other));
  });

  it.each(['keywarden', 'keywarden.js'])('%s says what it needs where no newer one is installed', async (name) => {
    // As if npm had skipped the optional package.
    cpSync(dirname(BIN), join(place.path, 'bin'), { recursive: true });
    place.file('package.json', '{"type":"module"}');
    const bin = join(place.path, 'bin', name);
    const { code, stdout, stderr } = await (name === 'keywarden'
      ? ended(launch(['--version'], bin))
      : keywarden(['--version'], { ...old, bin, cwd: place.path, env: path }));
    expect({ code, stdout }).toEqual({ code: 125, stdout: '' });
    expect(stderr).toMatch(TOO_OLD);
  });

  it('npm start says what it needs, in place of a stack', async () => {
    for (const part of ['scripts/ready.js', 'runner/bin', 'package.json'])
      cpSync(join(ROOT, part), join(place.path, part), { recursive: true });
    const start = () =>
      ended(spawn('npm', ['start'], { cwd: place.path, env: path, stdio: ['ignore', 'pipe', 'pipe'] }));
    expect(await start()).toMatchObject({ code: 125, stderr: expect.stringContaining('hint: npm install\n') });
    place.file('node_modules/keywarden/package.json', '{}');
    const { code, stderr } = await start();
    expect(code).toBe(125);
    expect(stderr).toMatch(TOO_OLD);
  });
});

describe('where there is no Node at all', () => {
  it('the launcher says so', async () => {
    cpSync(dirname(BIN), join(place.path, 'bin'), { recursive: true });
    place.file('tools/readlink', '#!/bin/sh\nexec /usr/bin/readlink "$@"\n', 0o755);
    const child = spawn(join(place.path, 'bin/keywarden'), [], {
      env: { PATH: join(place.path, 'tools') },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(await ended(child)).toMatchObject({ code: 125, stderr: expect.stringMatching(/no Node\.js.*\n.*hint: /) });
  });
});
