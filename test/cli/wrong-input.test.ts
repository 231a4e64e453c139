import { readdirSync } from 'node:fs';
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
