import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ApprovalEvent, ApprovalListResponse } from '../../../src/protocol.ts';
import { sleep, until } from '../../support/process.ts';
import { ALL, BANK_KEY, startWorld, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld({ vars: { KEYWARDEN_APPROVAL_MAX_HOURLY: '25' } });
});
afterAll(() => world?.stop());
beforeEach(() => world.upstream.forget());

let serial = 0;
const newAgent = async () => {
  const agent = `decider-${++serial}`;
  return { agent, token: await world.edge.mint(agent, ALL) };
};
const PAYMENT = { to: 'acct_1', amount: 2000 };
const ask = async (path: string, body: unknown = PAYMENT) => {
  const { agent, token } = await newAgent();
  const { approval } = await world.send(token, path, body);
  return { agent, token, id: approval, again: () => world.send(token, path, body) };
};
const codeOf = async (response: Response): Promise<string> => ((await response.json()) as { code: string }).code;

describe('who may decide', () => {
  it('only the role approve: not audit, not mint, not an agent, not a stranger', async () => {
    const { token, id, again } = await ask('/v1/payments');
    for (const who of ['audrey', 'minty'] as const) {
      for (const verdict of ['approve', 'deny'] as const) {
        const said = await world.decide(who, id, verdict);
        expect(said.status).toBe(403);
        expect(await codeOf(said)).toBe('role_missing');
      }
    }
    for (const key of [token, 'x'.repeat(40)]) {
      const said = await fetch(`${world.edge.url}/v1/approvals/${id}/approve`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}` },
      });
      expect(said.status).toBe(401);
    }
    expect((await world.as('minty', '/v1/approvals')).status).toBe(403);
    expect((await world.as('minty', `/v1/approvals/${id}`)).status).toBe(403);
    expect((await world.as('audrey', `/v1/approvals/${id}`)).status).toBe(200);
    expect((await again()).body.code).toBe('approval_pending');
    expect((await world.detail(id)).votes).toEqual([]);
  });

  it('two people are two: the same operator twice does not do (threat 25)', async () => {
    const { id, again } = await ask('/v1/two');
    for (let i = 0; i < 3; i++) {
      const said = await world.decide('alice', id, 'approve');
      expect(said.status).toBe(200);
      expect(await said.json()).toMatchObject({ state: 'pending', needed: 2, votes: [{ operator: 'alice' }] });
    }
    expect((await again()).body.code).toBe('approval_pending');
    expect(await (await world.decide('bob', id, 'approve')).json()).toMatchObject({ state: 'approved' });
    expect((await again()).status).toBe(200);
    expect(world.upstream.seen).toHaveLength(1);
  });

  it('of two people one no suffices', async () => {
    const { id, again } = await ask('/v1/two');
    await world.decide('alice', id, 'approve');
    expect((await world.decide('bob', id, 'deny')).status).toBe(200);
    expect((await again()).body.code).toBe('approval_denied');
  });

  it('the group that the policy names, and admins', async () => {
    const first = await ask('/v1/group');
    const refused = await world.decide('alice', first.id, 'approve');
    expect(refused.status).toBe(403);
    expect(await codeOf(refused)).toBe('not_a_reviewer');
    expect((await world.decide('fiona', first.id, 'approve')).status).toBe(200);
    const second = await ask('/v1/group');
    const byAdmin = await world.edge.operate(`/v1/approvals/${second.id}/approve`, { method: 'POST' });
    expect(byAdmin.status).toBe(200);
  });

  it('the one person, or the role, that the policy names', async () => {
    const [person, role] = [await ask('/v1/person'), await ask('/v1/role')];
    expect(await codeOf(await world.decide('alice', person.id, 'approve'))).toBe('not_a_reviewer');
    expect((await world.decide('bob', person.id, 'approve')).status).toBe(200);
    expect((await world.decide('alice', role.id, 'approve')).status).toBe(200);
  });

  it('not who asks: an operator of the agent’s name; nor, where kept apart, who minted its token', async () => {
    const token = await world.edge.mint('twin', ALL);
    const { approval } = await world.send(token, '/v1/payments', PAYMENT);
    const said = await world.decide('twin', approval, 'approve');
    expect(said.status).toBe(403);
    expect(await codeOf(said)).toBe('requester_cannot_decide');
    const apart = await ask('/v1/apart');
    const minter = await world.edge.operate(`/v1/approvals/${apart.id}/approve`, { method: 'POST' });
    expect(await codeOf(minter)).toBe('requester_cannot_decide');
    expect((await world.decide('alice', apart.id, 'approve')).status).toBe(200);
  });

  it('precise conflicts, and a repeated decision is none', async () => {
    const { id } = await ask('/v1/payments');
    expect((await world.decide('alice', id, 'approve')).status).toBe(200);
    expect((await world.decide('alice', id, 'approve')).status).toBe(200);
    const other = await world.decide('bob', id, 'approve');
    expect(other.status).toBe(409);
    expect(await other.json()).toMatchObject({ code: 'approval_approved', message: expect.stringContaining('alice') });
    expect(await codeOf(await world.decide('alice', id, 'deny'))).toBe('approval_approved');
    expect((await world.decide('alice', '00000000-0000-4000-8000-000000000000', 'approve')).status).toBe(404);
    expect((await world.decide('alice', 'nonsense', 'approve')).status).toBe(404);
    expect((await world.decide('alice', id, 'approve', { scope: 'always' })).status).toBe(400);
    expect(
      await codeOf(await world.decide('alice', (await ask('/v1/payments')).id, 'approve', { scope: 'alike' })),
    ).toBe('alike_not_permitted');
  });
});

describe('alike', () => {
  it('one yes covers as many calls of the shown pattern as the policy says, and no other', async () => {
    const { agent, token, id } = await ask('/v1/many', { to: 'acct_1', amount: 1 });
    const held = world.send(token, '/v1/many', { to: 'acct_1', amount: 2 }, { wait: 15 });
    await until('both questions', async () => (await world.list(`&agent=${agent}&state=pending`)).length === 2);
    expect((await world.detail(id)).would_allow.alike).toMatchObject({
      calls: 3,
      seconds: 600,
      pattern: expect.arrayContaining([
        { name: 'operation', value: 'POST /v1/many' },
        { name: 'body.to', value: '"acct_1"' },
      ]),
    });
    expect((await world.decide('alice', id, 'approve', { scope: 'alike' })).status).toBe(200);
    expect((await held).status, 'a held call of the kind goes on').toBe(200);
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => world.send(token, '/v1/many', { to: 'acct_1', amount: 10 + i })),
    );
    expect(answers.filter((one) => one.status === 200)).toHaveLength(2);
    expect((await world.send(token, '/v1/many', { to: 'acct_2', amount: 3 })).body.code).toBe('approval_pending');
    expect(world.upstream.seen).toHaveLength(3);
    await sleep(200);
    expect(await world.detail(id)).toMatchObject({ state: 'used', allows: { scope: 'alike', calls: 3, used: 3 } });
    const superseded = (await world.list(`&agent=${agent}&state=expired`)).map((one) => one.reason);
    expect(superseded).toContain('superseded');
  });
});

describe('floods (threat 25)', () => {
  it('twenty pending of one agent, and no more; the SDKs are told not to try again', async () => {
    const { agent, token } = await newAgent();
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => world.send(token, '/v1/payments', { ...PAYMENT, amount: 2000 + i })),
    );
    const flood = answers.filter((one) => one.status === 429);
    expect(flood).toHaveLength(10);
    expect(flood[0]?.body.code).toBe('approval_flood');
    expect(flood[0]?.headers.get('x-should-retry')).toBe('false');
    expect(flood[0]?.headers.get('retry-after')).toBe('60');
    expect(await world.list(`&agent=${agent}`)).toHaveLength(20);
    const joined = answers.findIndex((one) => one.status === 403);
    expect((await world.send(token, '/v1/payments', { ...PAYMENT, amount: 2000 + joined })).body.code).toBe(
      'approval_pending',
    );
    expect((await world.send((await newAgent()).token, '/v1/payments', PAYMENT)).body.code).toBe('approval_pending');
  });

  it('denied ones make no room for ever more', async () => {
    const { token } = await newAgent();
    let asked = 0;
    for (let i = 0; i < 30; i++) {
      const answer = await world.send(token, '/v1/payments', { ...PAYMENT, amount: 5000 + i });
      if (answer.status === 429) break;
      asked += 1;
      await world.decide('alice', answer.approval, 'deny');
    }
    expect(asked).toBe(25);
  });
});

describe('what reviewers see (threat 26)', () => {
  it('the call in the policy’s words, the body as a tree, nothing that deceives, no secret', async () => {
    const { agent, token } = await newAgent();
    await world.send(token, '/v1/balance');
    const evil = 'safe\u202etxt.exe';
    const asked = await world.send(
      token,
      `/v1/always?note=a&api_key=topsecret&client_secret=topsecret`,
      {
        amount: 2000,
        memo: evil,
        echo: `the key ${BANK_KEY} and ${Buffer.from(BANK_KEY).toString('base64')}`,
        password: 'hunter2',
        long: 'x'.repeat(5000),
        nested: { list: [1, 'two', null, true] },
      },
      { headers: { 'x-reason': 'because', 'x-client-token': 'tokentokentoken' } },
    );
    const detail = await world.detail(asked.approval);
    expect(detail).toMatchObject({
      agent_id: agent,
      capability: 'bank:always',
      title: 'Always',
      method: 'POST',
      operation: 'POST /v1/always',
      url: `${world.upstream.origin}/v1/always?note=a&client_secret=[masked]`,
      state: 'pending',
      needed: 1,
      would_allow: { once: { calls: 1, seconds: 900 }, alike: null },
      body: { form: 'tree', content_type: 'application/json' },
    });
    const text = JSON.stringify(detail);
    expect(text).not.toContain(BANK_KEY);
    expect(text).not.toContain(Buffer.from(BANK_KEY).toString('base64').replace(/=+$/, '').slice(0, 30));
    for (const secret of ['hunter2', 'topsecret', 'tokentokentoken', '\u202e']) expect(text).not.toContain(secret);
    expect(text).toContain('safe\\\\u{202e}txt.exe');
    expect(text).toContain('"length":5000');
    expect(detail.headers).toContainEqual({ name: 'x-reason', value: 'because' });
    expect(detail.recent.map((row) => row.event)).toEqual(
      expect.arrayContaining(['token.minted', 'call.admitted', 'approval.requested']),
    );
    expect(text.length).toBeLessThan(40_000);
    expect(world.edge.logs()).not.toContain('hunter2');
  });

  it('nothing is hidden behind a bound without a word: address, header fields, names, what alike covers', async () => {
    const { token } = await newAgent();
    const long = 'a'.repeat(2_500);
    const query = await world.send(token, `/v1/payments?note=${long}&to=acct_evil`, PAYMENT);
    expect((await world.detail(query.approval)).url).toMatch(/a… \[518 more characters not shown\]$/);
    const path = await world.send(token, `/v1/always/${long}`, undefined, { method: 'PUT' });
    expect((await world.detail(path.approval)).url).toMatch(/a… \[511 more characters not shown\]$/);
    const many = Object.fromEntries(Array.from({ length: 45 }, (_, i) => [`a-${10 + i}`, 'x']));
    const fields = await world.send(token, '/v1/payments', PAYMENT, {
      headers: { ...many, 'a-00': 'x'.repeat(250), 'x-evil': '1' },
    });
    const shown = await world.detail(fields.approval);
    expect(shown.headers).toHaveLength(47);
    expect(shown.headers).toContainEqual({ name: 'x-evil', value: '1' });
    expect(shown.headers[0]?.value).toMatch(/x… \[50 more characters not shown\]$/);
    const body = { [`${'k'.repeat(100)}evil`]: 1, to: `${'t'.repeat(300)}evil` };
    const alike = await world.detail((await world.send(token, '/v1/many', body)).approval);
    expect(JSON.stringify(alike.body.value)).toContain('k… [4 more characters not shown]');
    const pattern = alike.would_allow.alike?.pattern.find(({ name }) => name === 'body.to');
    expect(pattern?.value).toMatch(/… \[106 more characters not shown\]$/);
  });

  it('the words of another reviewer, with nothing in them that deceives', async () => {
    const { id } = await ask('/v1/payments');
    await world.decide('alice', id, 'deny', { reason: ' no \u202e of course ' });
    expect((await world.detail(id)).reason).toBe('no \\u{202e} of course');
    const empty = await ask('/v1/payments');
    await world.decide('alice', empty.id, 'deny', { reason: '  ' });
    expect((await world.detail(empty.id)).reason).toBeNull();
  });

  it('but not the values of the query for ever: the audit has the address without them (threat 4)', async () => {
    const { agent, token } = await newAgent();
    await world.send(token, '/v1/always?code=hunter2-in-the-query', PAYMENT);
    const rows = await world.edge.audit({ agent });
    expect(rows.find((row) => row.event === 'approval.requested')).toMatchObject({
      detail: { url: expect.stringMatching(/\/v1\/always$/) },
    });
    expect(JSON.stringify(rows)).not.toContain('hunter2');
  });

  it('a body that is no JSON: its text, or that it is binary', async () => {
    const { token } = await newAgent();
    const plain = await world.send(token, '/v1/always', undefined, {
      raw: 'just text',
      headers: { 'content-type': 'text/plain' },
    });
    expect((await world.detail(plain.approval)).body).toMatchObject({
      form: 'text',
      value: { kind: 'string', text: 'just text' },
      unreadable: 'content_type_unsupported',
      bytes: 9,
    });
    const twice = await world.send(token, '/v1/always', undefined, { raw: '{"amount":1,"amount":9999}' });
    expect((await world.detail(twice.approval)).body).toMatchObject({ form: 'text', unreadable: 'duplicate_key' });
  });

  it('the list in pages, by state, by agent', async () => {
    const { agent, token } = await newAgent();
    for (let i = 0; i < 7; i++) await world.send(token, '/v1/payments', { ...PAYMENT, amount: 3000 + i });
    const ids: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const response = await world.as(
        'audrey',
        `/v1/approvals?agent=${agent}&limit=3${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
      );
      const page = (await response.json()) as ApprovalListResponse;
      ids.push(...page.approvals.map((one) => one.id));
      cursor = page.next_cursor;
    }
    expect(new Set(ids).size).toBe(7);
    expect(ids).toHaveLength(7);
    await world.decide('alice', ids[0] as string, 'deny');
    expect(await world.list(`&agent=${agent}&state=denied`)).toHaveLength(1);
    expect(await world.list(`&agent=${agent}&state=pending`)).toHaveLength(6);
    const inRun = await world.edge.mint(agent, ALL, { session: 'run-of-the-list' });
    const { approval } = await world.send(inRun, '/v1/payments', PAYMENT);
    expect((await world.list(`&agent=${agent}&session=run-of-the-list`)).map((one) => one.id)).toEqual([approval]);
    for (const cursor of ['nonsense', btoa('[1]'), btoa('["1","x"]'), btoa('[1,2]'), btoa('{}'), btoa('null')])
      expect((await world.as('audrey', `/v1/approvals?cursor=${cursor.replaceAll('=', '')}`)).status, cursor).toBe(400);
    expect((await world.as('audrey', '/v1/approvals?state=maybe')).status).toBe(400);
  });
});

/** Another end for a session of the console, by its row in D1. */
function setExpiry(sha256: string, at: number): void {
  const d1 = join(world.edge.state, 'storage/d1');
  for (const name of readdirSync(d1, { recursive: true }).map(String)) {
    if (!name.endsWith('.sqlite') || name.includes('metadata')) continue;
    const database = new DatabaseSync(join(d1, name), { timeout: 10_000 });
    database.prepare('UPDATE console_sessions SET expires_at = ? WHERE sha256 = ?').run(at, sha256);
    database.close();
  }
}

describe('live', () => {
  const openBy = (key: string, more: Record<string, string> = {}) => open({ authorization: `Bearer ${key}`, ...more });
  const open = (headers: Record<string, string>) => {
    const events: ApprovalEvent[] = [];
    const url = `${world.edge.url.replace('http', 'ws')}/v1/approvals/live`;
    // Node's own WebSocket takes header fields as an extension.
    const socket = new WebSocket(url, { headers } as never);
    const state = { opened: false, failed: false };
    socket.addEventListener('open', () => (state.opened = true));
    socket.addEventListener('error', () => (state.failed = true));
    socket.addEventListener('message', (m) => {
      if (m.data !== 'pong') events.push(JSON.parse(String(m.data)) as ApprovalEvent);
      else events.push({ type: 'pong' } as never);
    });
    return { socket, events, state };
  };

  it('tells of questions and decisions as they come', async () => {
    const { socket, events } = openBy(world.keyOf('audrey'));
    await until('hello', () => events[0]?.type === 'hello');
    const { id } = await ask('/v1/payments');
    const of = (type: string) =>
      events.filter((event) => event.type === type && 'approval' in event && event.approval.id === id);
    await until('the question', () => of('pending').length === 1);
    socket.send('ping');
    await until('pong', () => events.some((event) => (event.type as string) === 'pong'));
    await world.decide('alice', id, 'approve');
    await until('the decision', () => of('decided').length === 1);
    expect(of('decided')[0]).toMatchObject({ approval: { state: 'approved', decided_by: 'alice' } });
    socket.close();
  });

  it('not to a session of the console that was signed out, or whose time is over', async () => {
    const console = { origin: world.edge.url, 'x-keywarden-console': '1', 'content-type': 'application/json' };
    const signIn = async () => {
      const body = JSON.stringify({ key: world.keyOf('alice') });
      const made = await fetch(`${world.edge.url}/v1/console/session`, { method: 'POST', headers: console, body });
      return made.headers.get('set-cookie')?.split(';')[0] ?? '';
    };
    const [leaving, staying, expiring] = [await signIn(), await signIn(), await signIn()];
    const code = expiring.split('=')[1] ?? '';
    setExpiry(createHash('sha256').update(code).digest('hex'), Date.now() + 1_500);
    const sockets = [leaving, staying, expiring].map((cookie) => open({ cookie, origin: world.edge.url }));
    for (const { events } of sockets) await until('hello', () => events.length > 0);
    await fetch(`${world.edge.url}/v1/console/session`, { method: 'DELETE', headers: { ...console, cookie: leaving } });
    await sleep(1_600);
    await ask('/v1/payments');
    await until('the question', () => sockets[1]?.events.length === 2);
    await sleep(200);
    expect(sockets.map(({ events }) => events.length)).toEqual([1, 2, 1]);
    expect(sockets.map(({ socket }) => socket.readyState === WebSocket.OPEN)).toEqual([false, true, false]);
    sockets[1]?.socket.close();
  });

  it('not to strangers, not to pages of other origins, not to a plain GET', async () => {
    for (const one of [
      openBy('x'.repeat(40)),
      openBy(world.keyOf('minty')),
      openBy(world.keyOf('alice'), { origin: 'https://evil.example' }),
    ]) {
      await until('the refusal', () => one.state.failed || one.state.opened);
      expect(one.state.opened).toBe(false);
    }
    const own = openBy(world.keyOf('alice'), { origin: world.edge.url });
    await until('hello', () => own.events.length > 0);
    own.socket.close();
    expect((await world.as('alice', '/v1/approvals/live')).status).toBe(426);
  });
});
