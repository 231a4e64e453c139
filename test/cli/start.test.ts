import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { descendants, isAlive, ROOT, scratch, until } from './command-line.ts';

let place: ReturnType<typeof scratch>;
let child: ChildProcess | null = null;
beforeEach(() => (place = scratch()));
afterEach(() => {
  if (child?.exitCode === null) child.kill('SIGKILL');
  place.remove();
});

const begin = async (): Promise<{ text: () => string; over: Promise<number | null> }> => {
  let out = '';
  const started = spawn(process.execPath, ['scripts/start.ts', '--port', '0', '--state', place.path], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child = started;
  started.stdout.on('data', (chunk) => (out += String(chunk)));
  started.stderr.on('data', (chunk) => (out += String(chunk)));
  const over = new Promise<number | null>((resolve) => started.once('close', resolve));
  await until(() => out.includes('npx keywarden dev.') || started.exitCode !== null, 60_000);
  return { text: () => out, over };
};

describe('npm start', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'shows an allowed and a denied call, and %s ends everything, exit code 0',
    async (signal) => {
      const { text, over } = await begin();
      expect(text()).toMatch(/GET \/proxy\/stripe\/v1\/customers → 200 .*Ada Lovelace/);
      expect(text()).toMatch(/POST \/proxy\/stripe\/v1\/refunds → 403 /);
      const all = descendants(child?.pid ?? 0, '');
      expect(all.length).toBeGreaterThan(0);
      child?.kill(signal);
      expect(await over).toBe(0);
      await until(() => all.every((pid) => !isAlive(pid)), 3_000);
    },
  );

  it('a SIGTERM for npm alone ends everything too', async () => {
    const npm = spawn('npm', ['start', '--', '--port', '0', '--state', place.path], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    child = npm;
    let out = '';
    npm.stdout.on('data', (chunk) => (out += String(chunk)));
    await until(() => out.includes('npx keywarden dev.') || npm.exitCode !== null, 60_000);
    const all = descendants(npm.pid ?? 0, '');
    expect(all.length).toBeGreaterThan(1);
    npm.kill('SIGTERM');
    await until(() => all.every((pid) => !isAlive(pid)), 5_000);
  });

  it('Ctrl-C, which a terminal sends to the whole process group, lets the session of the demo send its receipt', async () => {
    const npm = spawn('npm', ['start', '--', '--port', '0', '--state', place.path], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    child = npm;
    let out = '';
    npm.stdout.on('data', (chunk) => (out += String(chunk)));
    npm.stderr.on('data', (chunk) => (out += String(chunk)));
    // The pipes close with the last of them, after npm itself.
    const over = new Promise((resolve) => npm.once('close', resolve));
    await until(() => out.includes('npx keywarden dev.') || npm.exitCode !== null, 60_000);
    const sandboxed = out.includes('The same agent in a sandbox');
    process.kill(-(npm.pid ?? 0), 'SIGINT');
    await over;
    const receipts = existsSync(join(place.path, 'receipts')) ? readdirSync(join(place.path, 'receipts')) : [];
    expect(receipts.filter((name) => name.endsWith('.json'))).toHaveLength(sandboxed ? 1 : 0);
    expect(receipts.filter((name) => name.endsWith('.pending'))).toEqual([]);
  });

  it('a second one on the same state directory ends with one error, and the first still answers', async () => {
    const { text, over } = await begin();
    const second = spawnSync(process.execPath, ['scripts/start.ts', '--state', place.path], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect(second.status).not.toBe(0);
    expect(second.stderr).toContain(
      `keywarden: error: another keywarden dev (pid ${child?.pid}) already serves this state directory`,
    );
    // What is taken is the state directory: a port is not looked for.
    expect(second.stdout + second.stderr).not.toContain('port');
    // Long enough for a changed policy to be noticed.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(text()).not.toContain('reloaded');
    const line = /^ +call with it +(curl .*)$/m.exec(text())?.[1] ?? '';
    const called = spawnSync('/bin/sh', ['-c', line], { cwd: ROOT, encoding: 'utf8' });
    expect(JSON.parse(called.stdout)).toMatchObject({ object: 'list' });
    child?.kill('SIGINT');
    await over;
  });

  it('the curl line works as it is pasted', async () => {
    const { text, over } = await begin();
    const line = /^ +call with it +(curl .*)$/m.exec(text())?.[1] ?? '';
    const pasted = spawnSync('/bin/sh', ['-c', line], { cwd: ROOT, encoding: 'utf8' });
    expect(JSON.parse(pasted.stdout)).toMatchObject({ object: 'list' });
    child?.kill('SIGINT');
    await over;
  });

  it('the demo key is made once, for its owner alone, and shown nowhere', async () => {
    const { text, over } = await begin();
    const file = join(place.path, 'demo/secrets.env');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const key = readFileSync(file, 'utf8').trim().replace('STRIPE_KEY=', '');
    expect(key).toMatch(/^sk_demo_/);
    expect(text()).not.toContain(key);
    child?.kill('SIGINT');
    await over;
  });
});

describe('npm start that cannot be', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['scripts/start.ts', ...args], { cwd: ROOT, encoding: 'utf8', timeout: 60_000 });

  it.each([
    [['--prot', '1'], /error: Unknown option '--prot'/],
    [['--port'], /error: Option '--port <value>' argument missing/],
    [['8787'], /error: Unexpected argument '8787'/],
  ])('%j: a usage error, without a stack', (args, words) => {
    const { status, stdout, stderr } = run(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(words);
    expect(stderr).toContain('keywarden: hint: npm start -- [--port N] [--state DIR]');
    expect(stderr).not.toMatch(/^ {4}at /m);
  });

  it('a file stands where its own folder should: said without a stack, nothing left running', () => {
    mkdirSync(join(place.path, 'demo'), { mode: 0o700 });
    place.file('demo/policies', 'a file');
    const { status, stderr } = run('--port', '0', '--state', place.path);
    expect(status).toBe(125);
    expect(stderr).toMatch(/keywarden: error: .*demo\/policies/);
    expect(stderr).toContain('keywarden: hint: ');
    expect(stderr).not.toMatch(/^ {4}at /m);
  });
});
