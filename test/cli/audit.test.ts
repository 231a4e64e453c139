import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditListResponse, MintResponse } from '../../src/protocol.ts';
import { until } from '../support/process.ts';
import { type Dev, dev, type Ended, keywarden, scratch } from './command-line.ts';
import { WIDGETS_KEY, widgetPolicy } from './policies.ts';

/** `token` and `audit` against one local edge with a real upstream. */
const place = scratch();
let upstream: Server;
let edge: Dev;
const run = (...args: string[]): Promise<Ended> => keywarden([...args, '--state', join(place.path, 'state')]);

const call = async (token: string, path = '/v1/widgets', method = 'GET'): Promise<number> => {
  const answer = await fetch(`${edge.url}/proxy/widgets${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
  });
  await answer.arrayBuffer();
  return answer.status;
};
const mint = async (...args: string[]): Promise<string> =>
  (await run('token', '--agent', 'demo', '--can', 'widgets:list', ...args)).stdout.trim();

beforeAll(async () => {
  upstream = createServer((req, res) =>
    res.writeHead(req.headers.authorization === `Bearer ${WIDGETS_KEY}` ? 200 : 401).end('{}'),
  );
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  place.file(
    'policies/widgets.yaml',
    widgetPolicy(`http://127.0.0.1:${(upstream.address() as { port: number }).port}`),
  );
  place.file('vars.env', `WIDGETS_KEY=${WIDGETS_KEY}\n`);
  edge = await dev(['--policies', 'policies', '--vars', 'vars.env'], join(place.path, 'state'), { cwd: place.path });
}, 60_000);
afterAll(async () => {
  await edge?.stop();
  upstream.close();
  place.remove();
});

describe('keywarden token', () => {
  it('prints the bare token on stdout, which opens exactly what was asked for', async () => {
    const { code, stdout, stderr } = await run('token', '--agent', 'demo', '--can', 'widgets:list');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(stderr).toMatch(/demo may widgets:list until /);
    expect(await call(stdout.trim())).toBe(200);
    expect(await call(stdout.trim(), '/v1/widgets/1', 'DELETE')).toBe(403);
  });

  it('a no says what to mend, and not that a role is missing', async () => {
    const unknown = await run('token', '--agent', 'demo', '--can', 'widgets:list', '--ttl', '25h');
    expect(unknown.code).not.toBe(0);
    expect(unknown.stderr).not.toMatch(/role/);
  });

  it('--json: times and capabilities as asked', async () => {
    const { stdout } = await run(
      'token',
      '--agent',
      'demo',
      '--can',
      'widgets:list,widgets:break',
      '--ttl',
      '2m',
      '--session',
      's1',
      '--json',
    );
    const minted = JSON.parse(stdout) as MintResponse;
    expect(minted).toMatchObject({
      agent_id: 'demo',
      capabilities: ['widgets:list', 'widgets:break'],
      session_id: 's1',
    });
    const seconds = (Date.parse(minted.expires_at) - Date.now()) / 1000;
    expect(seconds).toBeGreaterThan(100);
    expect(seconds).toBeLessThanOrEqual(121);
  });

  it('--json gives what was minted and nothing else; without an agents.yaml stderr says so', async () => {
    const { stdout, stderr } = await run('token', '--agent', 'demo', '--can', 'widgets:list', '--json');
    const names = ['token', 'agent_id', 'capabilities', 'expires_at', 'token_id'];
    expect(Object.keys(JSON.parse(stdout) as object)).toEqual(names);
    expect(stderr).toMatch(/no agents\.yaml: under keywarden dev any agent may hold anything/);
  });

  it.each([
    ['by agent', async (): Promise<string[]> => ['--agent', 'demo']],
    ['by session', async (): Promise<string[]> => ['--session', 's2']],
  ])('revoke %s acts on the next call', async (_how, what) => {
    const token = await mint('--session', 's2');
    expect(await call(token)).toBe(200);
    expect((await run('token', 'revoke', ...(await what()))).code).toBe(0);
    expect(await call(token)).toBe(401);
  });

  it('revoke by token id ends that token alone', async () => {
    const minted = JSON.parse(await mint('--json')) as MintResponse;
    const other = await mint();
    expect((await run('token', 'revoke', '--token-id', minted.token_id, '--agent', 'demo')).code).toBe(0);
    expect(await call(minted.token)).toBe(401);
    expect(await call(other)).toBe(200);
  });

  it('nothing named to revoke is wrong usage', async () => {
    expect((await run('token', 'revoke')).code).toBe(2);
  });
});

describe('keywarden audit', () => {
  it('list shows the calls, filtered', async () => {
    const token = await mint();
    await call(token);
    await call(token, '/v1/widgets/7', 'DELETE');
    const { code, stdout } = await run('audit', 'list', '--decision', 'deny', '--since', '5m');
    expect(code).toBe(0);
    expect(stdout).toContain('DELETE widgets/v1/widgets/7');
    expect(stdout).not.toContain('call.completed');
    const listed = async (): Promise<AuditListResponse> =>
      JSON.parse((await run('audit', 'list', '--agent', 'demo', '--json')).stdout) as AuditListResponse;
    await until('the outcome is told', async () => (await listed()).rows.some((row) => row.event === 'call.completed'));
  });

  it('list goes on where a page ended', async () => {
    for (const token of [await mint(), await mint()]) await call(token);
    const page = async (...args: string[]): Promise<AuditListResponse> =>
      JSON.parse((await run('audit', 'list', '--agent', 'demo', '--json', ...args)).stdout) as AuditListResponse;
    const completed = ({ rows }: AuditListResponse) => rows.filter((row) => row.event === 'call.completed').length;
    await until('both outcomes are told', async () => completed(await page()) >= 2);
    const all = await page();
    const first = await page('--limit', '2');
    const second = await page('--limit', '2', '--cursor', first.next_cursor ?? '');
    expect([...first.rows, ...second.rows]).toEqual(all.rows.slice(0, 4));
    expect(first.rows).toHaveLength(2);
  });

  it('list finds the call that an answer names, and what happened in a span of time', async () => {
    const headers = { authorization: `Bearer ${await mint()}` };
    const denied = await fetch(`${edge.url}/proxy/widgets/v1/widgets/7`, { method: 'DELETE', headers });
    const { instance } = (await denied.json()) as { instance: string };
    const rowsOf = async (...args: string[]): Promise<AuditListResponse['rows']> =>
      (JSON.parse((await run('audit', 'list', '--json', ...args)).stdout) as AuditListResponse).rows;
    for (const id of [instance, instance.replace('urn:uuid:', ''), instance.toUpperCase()])
      expect(await rowsOf('--request', id)).toMatchObject([{ event: 'call.denied', method: 'DELETE' }]);
    const because = (reason: string) => rowsOf('--text', 'widgets/7', '--request', instance, '--reason', reason);
    expect(await because('capability_missing')).toHaveLength(1);
    expect(await because('rate_limited')).toEqual([]);
    expect(await rowsOf('--until', '1h')).toEqual([]);
    const { code, stderr } = await run('audit', 'list', '--request', 'abc');
    expect({ code, said: stderr.includes('A request id is a UUID') }).toEqual({ code: 2, said: true });
    expect((await run('audit', 'list', '--follow', '--until', '1h')).code).toBe(2);
  });

  it('no real credential and no token in any of it', async () => {
    const token = await mint();
    await call(token);
    const { stdout } = await run('audit', 'export');
    expect(stdout).not.toContain(WIDGETS_KEY);
    expect(stdout).not.toContain(token);
  });

  it('verify says that nothing was altered, exit 0', async () => {
    const { code, stdout } = await run('audit', 'verify');
    expect(stdout).toMatch(/ok: nothing was altered, dropped, added or reordered/);
    expect(code).toBe(0);
  });

  it('an export into a folder that is missing, or over a file, says which it is', async () => {
    const missing = await run('audit', 'export', '--out', join(place.path, 'missing/dir/x'));
    expect(missing.code).toBe(125);
    expect(missing.stderr).toContain(`the folder ${join(place.path, 'missing/dir')} does not exist`);
    expect(missing.stderr).toMatch(/hint: make it first: mkdir -p/);
    const there = await run('audit', 'export', '--out', place.file('there.ndjson', 'x'));
    expect(there.code).toBe(125);
    expect(there.stderr).toMatch(/exists already\n.*hint: name a file that does not exist yet/);
  });

  it('an altered, a dropped and a cut export are found without the edge, exit 1', async () => {
    await call(await mint());
    const file = join(place.path, 'audit.ndjson');
    expect((await run('audit', 'export', '--out', file)).code).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const jwks = place.file('jwks.json', await (await fetch(`${edge.url}/.well-known/jwks.json`)).text());
    const verify = async (lines: readonly string[]): Promise<Ended> => {
      const changed = join(place.path, 'changed.ndjson');
      writeFileSync(changed, lines.join('\n'));
      return keywarden(['audit', 'verify', changed, '--jwks', jwks]);
    };
    const lines = readFileSync(file, 'utf8').split('\n');
    expect((await verify(lines)).code).toBe(0);
    const middle = lines.findIndex((line) => line.includes('call.completed'));
    const altered = await verify(lines.map((line, i) => (i === middle ? line.replace('"demo"', '"evil"') : line)));
    expect(altered.code).toBe(1);
    expect(altered.stdout).toMatch(/^broken: .*changed\.ndjson, line \d+: ledger \S+, row \d+: altered/m);
    expect((await verify(lines.filter((_, i) => i !== middle))).code).toBe(1);
    // The last row and the checkpoint cut off; then the last row alone.
    const rows = lines.filter((line) => line !== '');
    expect((await verify(rows.slice(0, -2))).code).toBe(1);
    expect((await verify([...rows.slice(0, -2), rows.at(-1) ?? ''])).code).toBe(1);
  });
});

describe('keywarden doctor', () => {
  it('finds the edge healthy and the operator key accepted', async () => {
    const { code, stdout } = await run(
      'doctor',
      '--json',
      '--policies',
      join(place.path, 'policies'),
      '--vars',
      join(place.path, 'vars.env'),
    );
    const { checks } = JSON.parse(stdout) as { checks: { name: string; state: string }[] };
    const states = Object.fromEntries(checks.map(({ name, state }) => [name, state]));
    expect(states).toMatchObject({
      'Node.js': 'ok',
      workerd: 'ok',
      policies: 'ok',
      secrets: 'ok',
      'state directory': 'ok',
      edge: 'ok',
      clock: 'ok',
      'operator key': 'ok',
    });
    expect(code).toBe(0);
  });

  it('says what is broken and how to mend it, exit 1', async () => {
    const { code, stdout } = await run(
      'doctor',
      '--policies',
      join(place.path, 'policies'),
      '--vars',
      place.file('empty.env', ''),
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/broken\s+secrets: missing: WIDGETS_KEY \(widgets\)\n\s+mend: /);
  });
});
