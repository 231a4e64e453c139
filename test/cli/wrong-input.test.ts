import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ended, keywarden, type RunOptions, scratch } from './command-line.ts';

let place: ReturnType<typeof scratch>;
beforeAll(() => {
  place = scratch();
});
afterAll(() => place.remove());

/** Whatever goes wrong is an error and what to do, never a stack; `run` may say before what it runs in. */
const FORM = /^(keywarden: backend .*\n)?keywarden: error: \S.*\n( {2}.*\n)*(keywarden: hint: \S.*\n)+$/;

const said = (args: readonly string[], env: RunOptions['env'] = {}): Promise<Ended> =>
  keywarden(args, { cwd: place.path, env: { HOME: place.path, XDG_STATE_HOME: undefined, ...env } });

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
});
