import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BIN, type Dev, descendants, dev, ended, isAlive, keywarden, scratch, until } from './command-line.ts';
import { WIDGETS_KEY, widgetPolicy } from './policies.ts';

let place: ReturnType<typeof scratch>;
let running: Dev[];
const ARGS = ['--policies', 'policies', '--vars', 'vars.env'];

beforeEach(() => {
  place = scratch();
  running = [];
  place.file('policies/widgets.yaml', widgetPolicy('http://127.0.0.1:9'));
  place.file('vars.env', `WIDGETS_KEY=${WIDGETS_KEY}\n`);
});
afterEach(async () => {
  await Promise.all(running.map((edge) => edge.stop()));
  place.remove();
});

const at = (name: string): string => join(place.path, name);
async function start(state: string): Promise<Dev> {
  const edge = await dev(ARGS, at(state), { cwd: place.path });
  running.push(edge);
  return edge;
}
const serves = (url: string): Promise<boolean> =>
  fetch(`${url}/healthz`).then(
    ({ ok }) => ok,
    () => false,
  );

describe('a state directory that is taken away from a running edge', () => {
  it.each<[string, () => void]>([
    ['removed', () => rmSync(at('state'), { recursive: true })],
    ['moved', () => renameSync(at('state'), at('elsewhere'))],
    [
      'its storage exchanged for a backup',
      () => {
        cpSync(at('state/storage'), at('backup'), { recursive: true });
        rmSync(at('state/storage'), { recursive: true });
        renameSync(at('backup'), at('state/storage'));
      },
    ],
  ])('%s: it serves no call more, as no record of it could be found again', async (_what, take) => {
    const edge = await start('state');
    const over = new Promise<number | null>((resolve) => edge.child.once('close', resolve));
    take();
    expect(await over).toBe(125);
    expect(await serves(edge.url)).toBe(false);
    expect(edge.said()).toMatch(/error: .*state.* was removed or exchanged while the edge ran/);
    expect(edge.said()).toContain('keywarden: hint: ');
    expect(edge.said()).not.toContain('nothing that was recorded is lost');
  });
});

describe('a state directory that somebody copied while its edge ran', () => {
  it('is served beside the one that it was copied from', async () => {
    const one = await start('state');
    cpSync(at('state'), at('copy'), { recursive: true });
    expect((await keywarden(['audit', 'list', '--state', at('copy')])).stderr).toContain('no edge is running on');
    const two = await start('copy');
    expect([await serves(one.url), await serves(two.url)]).toEqual([true, true]);
  });
});

describe('an edge that was killed', () => {
  it('is not looked for where somebody else may listen by now: the operator key goes nowhere', async () => {
    const edge = await start('state');
    const [workerd = 0] = descendants(edge.child.pid ?? 0, 'workerd serve');
    await edge.stop('SIGKILL');
    await until(() => !isAlive(workerd));
    const heard: unknown[] = [];
    const stranger = createServer((request, response) => {
      heard.push(request.headers.authorization);
      response.end('{}');
    });
    await new Promise<void>((resolve) => stranger.listen(Number(new URL(edge.url).port), '127.0.0.1', resolve));
    try {
      const { code, stderr } = await keywarden(['audit', 'list', '--state', at('state')]);
      expect(code).toBe(125);
      expect(stderr).toMatch(/error: no edge is running on .*: the one of pid \d+ was killed/);
      expect(stderr).toMatch(/hint: start it: keywarden dev --state /);
      expect(heard).toEqual([]);
    } finally {
      stranger.close();
    }
  });
});

describe('a disk without room', () => {
  it.each([64, 256])('of %i KiB: that is what is said, and not that the database is damaged', async (kib) => {
    mkdirSync(at('disk'));
    const small = ['--dev-bind', '/', '/', '--size', String(kib * 1024), '--tmpfs', at('disk')];
    const command = [process.execPath, BIN, 'dev', '--port', '0', ...ARGS, '--state', at('disk/state')];
    const { code, stderr } = await ended(spawn('bwrap', [...small, '--', ...command], { cwd: place.path }));
    expect(code, stderr).toBe(125);
    expect(stderr).toMatch(/error: the local database in .*disk\/state\/storage cannot be written: its disk is full/);
    expect(stderr).toContain('hint: make room there');
    expect(stderr).not.toContain('damaged');
  });
});

describe('a disk that is read-only', () => {
  it('is said to be that, and nobody is sent to look for room', async () => {
    await (await start('state')).stop();
    const bound = ['--dev-bind', '/', '/', '--ro-bind', at('state'), at('state')];
    const command = [process.execPath, BIN, 'dev', '--port', '0', ...ARGS, '--state', at('state')];
    const { code, stderr } = await ended(spawn('bwrap', [...bound, '--', ...command], { cwd: place.path }));
    expect(code, stderr).toBe(125);
    expect(stderr).toMatch(/error: cannot use the state directory .*EROFS/);
    expect(stderr).toContain('hint: it must be yours to write to; or name another place: --state DIR');
  });
});
