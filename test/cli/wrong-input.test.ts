import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BIN, type Ended, keywarden, type RunOptions, scratch } from './command-line.ts';

let place: ReturnType<typeof scratch>;
beforeAll(() => {
  place = scratch();
});
afterAll(() => place.remove());

/** Whatever goes wrong is an error and what to do, never a stack; `run` may say before what it runs in. */
const FORM = /^(keywarden: backend .*\n)?keywarden: error: \S.*\n( {2}.*\n)*(keywarden: hint: \S.*\n)+$/;

const said = (args: readonly string[], env: RunOptions['env'] = {}): Promise<Ended> =>
  keywarden(args, { cwd: place.path, env: { HOME: place.path, XDG_STATE_HOME: undefined, ...env } });

/** With an output that is always full. */
const saidToFull = (args: readonly string[]): Promise<Ended> =>
  keywarden(['exec "$@" > /dev/full', 'sh', process.execPath, BIN, ...args], {
    ...{ node: '/bin/sh', bin: '-c', cwd: place.path },
    env: { HOME: place.path, XDG_STATE_HOME: undefined },
  });

async function refused(code: number, args: readonly string[], env: RunOptions['env'] = {}): Promise<string> {
  const ended = await said(args, env);
  expect(ended.code, ended.stderr).toBe(code);
  expect(ended.stderr).toMatch(FORM);
  return ended.stderr;
}

describe('what is wrong in a command line', () => {
  const RUN = ['run', '--no-edge'];
  it.each([
    [[...RUN, '--timeout', '25h'], /at most 24h/],
    [[...RUN, '--timeout', '-5'], /'-5' is invalid/],
    [[...RUN, '--memory', '999999999999g'], /this host has/],
    [[...RUN, '--cpus', '999'], /this host has/],
    [[...RUN, '--env', '1x=2'], /--env 1x: not the name/],
    [[...RUN, '--secret', 'PATH=env:HOME'], /not yours to set/],
    [[...RUN, '--agent', 'a!b'], /an agent id is/],
    [[...RUN, '--can', ','], /It names nothing/],
    [[...RUN, '--can', 'bank:read'], /--no-edge is for none/],
    [[...RUN, '--image', 'x', '--root', '/y'], /one of them/],
    [['token', '--agent', 'x', '--can', 'a:b', '--ttl', '9999d'], /at most 86400/],
    [['selftest', '--row', 'x'], /from B1 to B69/],
    [['selftest', '--row', '70'], /from B1 to B69/],
    [['sessions', 'show', 'x'], /no session id/],
    [['selftest', '--image', 'x', '--backend', 'namespace'], /--image is for the docker backend/],
    [['selftest', '--image', 'x', '--root', 'y'], /--image is for docker and --root for namespace/],
    [['policy', 'explain', '--agent', 'x', '--can', 'a:b', 'GET', 'nope'], /no policy has/],
  ])('%j is wrong usage', async (args, why) => {
    const words = args[0] === 'run' ? [...args, '--', 'true'] : args;
    expect(await refused(2, words)).toMatch(why);
  });

  it('an empty value is none: least of all the folder where we stand, or all that there is', async () => {
    for (const args of [
      [...RUN, '--state=', '--', 'true'],
      [...RUN, '--root=', '--', 'true'],
      [...RUN, '--can=', '--', 'true'],
      [...RUN, '--events', ' ', '--', 'true'],
      ['sweep', '--state', ''],
      ['doctor', '--policies='],
      ['keys', 'create', '--roles='],
      ['audit', 'export', '--out='],
    ])
      expect(await refused(2, args)).toMatch(/ argument ' ?' is invalid\. It (is empty|names nothing)\.\n/);
    expect(readdirSync(place.path)).toEqual([]);
  });
});

describe('what is wrong in the world', () => {
  it('a file or folder that is not there, or is none, is told with what to do', async () => {
    writeFileSync(join(place.path, 'file'), '');
    for (const [args, why] of [
      [['sweep', '--state', 'file'], /cannot read the state directory/],
      [['sessions', 'list', '--state', 'file'], /cannot read the state directory/],
      [['audit', 'list', '--state', 'file'], /holds no operator\.key/],
      [['run', '--no-edge', '--state', 'file', '--', 'true'], /it is no directory/],
      [['run', '--no-edge', '--mount', 'nowhere:/work', '--', 'true'], /no such folder/],
      [['run', '--no-edge', '--root', 'nowhere', '--', 'true'], /no such folder/],
      [['run', '--no-edge', '--secret', 'A=file:nowhere', '--', 'true'], /cannot read nowhere/],
      [['keys', 'create', '--out', 'nowhere/k'], /the folder .*nowhere does not exist/],
      [['sessions', 'verify', 'nowhere'], /there is no such file/],
    ] as const)
      expect(await refused(125, args)).toMatch(why);
  });

  it('an edge that cannot be reached, or an address that is none', async () => {
    const env = { KEYWARDEN_OPERATOR_KEY: `kwop_${'k'.repeat(43)}` };
    for (const [url, why] of [
      ['http://127.0.0.1:1', /cannot be reached: .*ECONNREFUSED/],
      ['nonsense', /no http\(s\) URL/],
      ['http://edge.example', /not encrypted/],
      ['http://user:pa55@127.0.0.1:1', /an address alone/],
    ] as const) {
      const text = await refused(125, ['audit', 'list'], { ...env, KEYWARDEN_URL: url });
      expect(text).toMatch(why);
      expect(text).not.toMatch(/pa55|kkkk/);
    }
  });

  it('a HOME that is no folder is told; one that is relative is nobody’s', async () => {
    expect(await refused(125, ['sweep'], { HOME: '/dev/null' })).toMatch(/cannot read the state directory/);
    expect((await said(['sessions', 'list'], { HOME: 'relative' })).code).toBe(0);
    expect(readdirSync(place.path)).not.toContain('relative');
  });

  it('an output that takes nothing is told, and is no success', async () => {
    for (const words of ['policy check', '--version', 'audit --help']) {
      const ended = await saidToFull(words.split(' '));
      expect(ended, words).toMatchObject({ code: 125, stderr: expect.stringMatching(FORM) });
    }
  });

  it('the agent’s output that cannot be written is told once, and the session ends as sessions do', async () => {
    const args = ['run', '--no-edge', '--json', '--mask', '--', 'sh', '-c', 'echo a; sleep 0.3; echo b; sleep 0.3'];
    const { stderr } = await saidToFull(args);
    expect(stderr.match(/the output cannot be written: ENOSPC/g)).toHaveLength(1);
    expect(JSON.parse(stderr.trim().split('\n').at(-1) ?? '')).toMatchObject({ absence_proven: true });
  });
});

describe.skipIf(process.getuid?.() !== 0)('on a full disk', () => {
  let disk = '';
  beforeAll(() => {
    disk = join(place.path, 'disk');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', disk]);
    for (const name of ['state', 'tmp']) mkdirSync(join(disk, name), { mode: 0o700 });
    try {
      writeFileSync(join(disk, 'filler'), Buffer.alloc(65_536));
    } catch {
      // As full as it gets.
    }
  });
  afterAll(() => execFileSync('umount', [disk]));

  it('nothing is started, and no half of anything is left', async () => {
    const state = join(disk, 'state');
    expect(await refused(125, ['dev', '--port', '0', '--state', state])).toMatch(/cannot use the state directory/);
    expect(await refused(125, ['run', '--no-edge', '--state', state, '--', 'true'])).toMatch(/cannot be written/);
    expect(await refused(125, ['keys', 'create', '--out', join(disk, 'keys')])).toMatch(/cannot write .*ENOSPC/);
    const metrics = ['run', '--no-edge', '--metrics-file', join(disk, 'm.prom'), '--', 'true'];
    expect(await refused(125, metrics)).toMatch(/--metrics-file .*ENOSPC/);
    expect(await refused(125, ['selftest', '--row', 'B1'], { TMPDIR: join(disk, 'tmp') })).toMatch(/./);
    expect(readdirSync(disk).sort()).toEqual(['filler', 'state', 'tmp']);
    expect(readdirSync(join(disk, 'tmp'))).toEqual([]);
    expect(readdirSync(state).sort()).toEqual(['receipts', 'sessions']);
  });
});
