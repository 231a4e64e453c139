import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { start, until } from '../../support/process.ts';
import { ALL, startWorld, type World } from './world.ts';

const CLI = fileURLToPath(new URL('../../../runner/bin/keywarden.js', import.meta.url));
let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const keywarden = (...args: string[]) =>
  new Promise<{ code: number; out: string; err: string }>((resolve) => {
    execFile(
      process.execPath,
      [CLI, 'approvals', ...args, '--state', world.edge.state],
      { env: { PATH: process.env['PATH'], NO_COLOR: '1' } },
      (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });

const ask = async (agent: string, path: string, body: object) => {
  const token = await world.edge.mint(agent, ALL);
  return { id: (await world.send(token, path, body)).approval, again: () => world.send(token, path, body) };
};

describe('keywarden approvals', () => {
  it('lists, shows and approves; what an agent wrote cannot move the terminal', async () => {
    const { id, again } = await ask('terminal', '/v1/payments', { to: 'evil\u001b[2J\u202e', amount: 2000 });
    const list = await keywarden('list');
    expect(list.out).toContain(id);
    expect(list.out).toContain('bank:pay');
    const shown = await keywarden('show', id.slice(0, 8));
    expect(shown.code).toBe(0);
    expect(shown.out).toContain('Pay somebody');
    expect(shown.out).toContain('amount: 2000');
    expect(shown.out).toContain('evil\\\\u{1b}[2J\\\\u{202e}');
    expect(shown.out).not.toContain('\u001b');
    expect(shown.out).toContain('exactly this request once');
    const said = await keywarden('approve', id, '--reason', 'fine');
    expect(said).toMatchObject({ code: 0, err: expect.stringContaining('approved once') });
    expect((await again()).status).toBe(200);
    const rows = await world.edge.audit({ agent: 'terminal', event: 'approval.approved' });
    expect(rows[0]).toMatchObject({ operator: 'local', detail: { via: 'cli', words: 'fine' } });
    expect((await keywarden('list')).err).toContain('nothing waits');
    expect((await keywarden('list', '--all')).out).toContain('used');
  });

  it('denies, and says what a second decision meets', async () => {
    const { id, again } = await ask('denied', '/v1/payments', { to: 'x', amount: 2000 });
    const denied = JSON.parse((await keywarden('deny', id, '--json')).out) as { state: string };
    expect(denied.state).toBe('denied');
    expect((await again()).body.code).toBe('approval_denied');
    const late = await keywarden('approve', id);
    expect(late.code).toBe(125);
    expect(late.err).toContain('denied already');
    expect((await keywarden('approve', 'zzz')).code).toBe(2);
    expect((await keywarden('show', '00000000')).code).toBe(125);
    expect((await keywarden('list', '--only', 'maybe')).code).toBe(2);
  });

  it('approves alike', async () => {
    const { id } = await ask('kind', '/v1/many', { to: 'a', amount: 1 });
    expect((await keywarden('show', id)).out).toContain('body.to = "a"');
    expect((await keywarden('approve', id, '--alike')).err).toContain('up to 3 calls alike');
  });

  it('watches', async () => {
    const watcher = start(process.execPath, [CLI, 'approvals', 'watch', '--state', world.edge.state], {
      env: { PATH: process.env['PATH'], NO_COLOR: '1' },
    });
    await until('the watcher', () => watcher.output().includes('watching'));
    const { id } = await ask('watched', '/v1/payments', { to: 'w', amount: 2000 });
    await until('the question', () => watcher.output().includes(`pending  watched`));
    await world.decide('alice', id, 'deny');
    await until('the decision', () => watcher.output().includes('denied by alice  watched'));
    process.kill(watcher.pid, 'SIGTERM');
    await watcher.ended;
  });
});
