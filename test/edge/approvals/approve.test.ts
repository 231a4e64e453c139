import { request } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CapabilitiesResponse } from '../../../src/protocol.ts';
import { sleep } from '../../support/process.ts';
import { ALL, BANK_KEY, eventsOf, startWorld, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());
beforeEach(() => world.upstream.forget());

const reached = (): string[] => world.upstream.seen.map((one) => `${one.method} ${one.target} ${one.body()}`);
let serial = 0;
const newAgent = async (options: { session?: string; ttlSeconds?: number } = {}) => {
  const agent = `agent-${++serial}`;
  return { agent, token: await world.edge.mint(agent, ALL, options) };
};
const PAYMENT = { to: 'acct_1', amount: 2000 };

describe('a held call (threat 24: what is approved is what is sent)', () => {
  it('goes through in the same call after a yes, and the chain tells the story in order', async () => {
    const { agent, token } = await newAgent();
    const call = world.send(token, '/v1/payments', PAYMENT, { wait: 20 });
    const pending = await world.pendingOf(agent);
    expect(reached()).toEqual([]);
    const said = await world.decide('alice', pending.id, 'approve', {
      via: 'console',
      reason: 'agreed with the customer',
    });
    expect(said.status).toBe(200);
    expect(await said.json()).toMatchObject({
      state: 'approved',
      decided_by: 'alice',
      decided_via: 'console',
      reason: 'agreed with the customer',
      allows: { scope: 'once', calls: 1 },
    });
    const answer = await call;
    expect(answer.status).toBe(200);
    expect(answer.headers.get('preference-applied')).toBe('wait=20');
    expect(answer.headers.get('ratelimit'), 'that a yes is counted is not for the client').toBeNull();
    expect(reached()).toEqual([`POST /v1/payments ${JSON.stringify(PAYMENT)}`]);
    expect(world.upstream.seen[0]?.headers['authorization']).toBe(`Bearer ${BANK_KEY}`);
    expect(world.upstream.seen[0]?.headers['prefer']).toBeUndefined();
    await sleep(200);
    expect(await eventsOf(world.edge, agent)).toEqual([
      'token.minted',
      'approval.requested',
      'approval.approved',
      'approval.used',
      'call.admitted',
      'call.completed',
    ]);
    const rows = await world.edge.audit({ agent });
    expect(rows.find((row) => row.event === 'approval.approved')).toMatchObject({
      operator: 'alice',
      detail: { approval: pending.id, via: 'console', scope: 'once', words: 'agreed with the customer' },
    });
    expect(await world.detail(pending.id)).toMatchObject({
      state: 'used',
      because: 'body.amount > 1000',
      request_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      policy_hash: rows.find((row) => row.event === 'call.admitted')?.policy_hash,
      used_by: [answer.headers.get('keywarden-request-id')],
    });
    expect((await world.edge.verify()).problems).toEqual([]);
  });

  it('is no surprise: the agent can look what a person must agree to', async () => {
    const { token } = await newAgent();
    const response = await fetch(`${world.edge.url}/v1/capabilities`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const { capabilities } = (await response.json()) as CapabilitiesResponse;
    expect(capabilities.filter(({ approval }) => !approval).map(({ name }) => name)).toEqual(['bank:read']);
  });

  it('is not held when the condition does not ask for it', async () => {
    const { agent, token } = await newAgent();
    expect((await world.send(token, '/v1/payments', { to: 'acct_1', amount: 10 })).status).toBe(200);
    expect(await world.list(`&agent=${agent}`)).toEqual([]);
  });

  it('is answered with the pending error when nobody decides, and goes through once when sent again after the yes', async () => {
    const { agent, token } = await newAgent();
    const first = await world.send(token, '/v1/payments', PAYMENT, { wait: 1 });
    expect(first.status).toBe(403);
    expect(first.body.code).toBe('approval_pending');
    expect(first.body.error?.message).toContain(first.approval);
    expect(first.headers.get('preference-applied')).toBe('wait=1');
    expect(first.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(first.headers.get('x-should-retry')).toBe('false');
    expect(first.headers.get('stripe-should-retry')).toBe('false');
    expect(first.headers.get('link')).toBe(`<${world.edge.url}/v1/approvals/${first.approval}>; rel="status"`);
    const status = async (as: string) => {
      const response = await fetch(`${world.edge.url}/v1/approvals/${first.approval}`, {
        headers: { authorization: `Bearer ${as}` },
      });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    };
    expect((await status(token)).body).toEqual({
      id: first.approval,
      state: 'pending',
      created_at: expect.any(String),
      expires_at: expect.any(String),
      decided_at: null,
    });
    expect((await status((await newAgent()).token)).status).toBe(404);
    expect((await status(await world.edge.mint(agent, ALL, { session: 'another' }))).status).toBe(404);
    expect((await world.decide('bob', first.approval, 'approve')).status).toBe(200);
    expect((await status(token)).body['state']).toBe('approved');
    expect(reached()).toEqual([]);
    expect((await world.send(token, '/v1/payments', PAYMENT)).status).toBe(200);
    expect(reached()).toHaveLength(1);
    await sleep(100);
    expect((await status(token)).body['state']).toBe('used');
    const again = await world.send(token, '/v1/payments', PAYMENT);
    expect(again.body.code).toBe('approval_pending');
    expect(again.approval).not.toBe(first.approval);
    expect(reached()).toHaveLength(1);
    expect(await eventsOf(world.edge, agent)).toContain('call.denied approval_pending');
  });

  it('waits 25 seconds by default; no more than 120 are promised', async () => {
    const { token } = await newAgent();
    const controller = new AbortController();
    const begin = Date.now();
    const call = world.send(token, '/v1/payments', PAYMENT, { wait: null }).then(() => Date.now() - begin);
    const long = await world
      .send(token, '/v1/payments', { ...PAYMENT, to: 'other' }, { wait: 9999, signal: AbortSignal.timeout(1500) })
      .catch((error: Error) => error.name);
    expect(long).toBe('TimeoutError');
    controller.abort();
    const took = await call;
    expect(took).toBeGreaterThan(24_000);
    expect(took).toBeLessThan(29_000);
  });

  it('ends with the client, and its question stays', async () => {
    const { agent, token } = await newAgent();
    const body = JSON.stringify(PAYMENT);
    const call = request(`${world.edge.proxy('bank')}/v1/payments`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'content-length': String(body.length),
        prefer: 'wait=60',
      },
    });
    call.on('error', () => {});
    call.end(body);
    const pending = await world.pendingOf(agent);
    // A reset: workerd on its own, without Cloudflare's front, does not notice a client that closes politely.
    call.socket?.resetAndDestroy();
    await sleep(300);
    await world.decide('alice', pending.id, 'approve');
    await sleep(500);
    expect(reached(), 'nobody is there to take the answer').toEqual([]);
    expect((await world.send(token, '/v1/payments', PAYMENT, { headers: { accept: '*/*' } })).status).toBe(403);
  });
});

describe('a no', () => {
  it('ends a held call, and is sticky for the same request (threat 25: asked until yes)', async () => {
    const { agent, token } = await newAgent();
    const call = world.send(token, '/v1/payments', PAYMENT, { wait: 20 });
    const pending = await world.pendingOf(agent);
    expect((await world.decide('alice', pending.id, 'deny', { reason: 'no' })).status).toBe(200);
    const answer = await call;
    expect(answer.status).toBe(403);
    expect(answer.body.code).toBe('approval_denied');
    for (let i = 0; i < 3; i++)
      expect((await world.send(token, '/v1/payments', PAYMENT)).body.code).toBe('approval_denied');
    const later = await world.decide('bob', pending.id, 'approve');
    expect(later.status).toBe(409);
    expect(await later.json()).toMatchObject({ code: 'approval_denied', message: expect.stringContaining('alice') });
    expect((await world.decide('alice', pending.id, 'deny')).status).toBe(200);
    expect((await world.send(token, '/v1/payments', { ...PAYMENT, amount: 3000 })).body.code).toBe('approval_pending');
    expect(reached()).toEqual([]);
    expect(await world.list(`&agent=${agent}`)).toHaveLength(2);
  });
});

describe('time', () => {
  it('expires as a denial; the same request asks anew', async () => {
    const { agent, token } = await newAgent();
    const call = await world.send(token, '/v1/brief', PAYMENT, { wait: 10 });
    expect(call.body.code).toBe('approval_expired');
    expect((await world.decide('alice', call.approval, 'approve')).status).toBe(409);
    const again = await world.send(token, '/v1/brief', PAYMENT);
    expect(again.body.code).toBe('approval_pending');
    expect(again.approval).not.toBe(call.approval);
    expect(reached()).toEqual([]);
    expect(await eventsOf(world.edge, agent)).toContain('approval.expired');
  });

  it('a yes not used in time allows nothing', async () => {
    const { token } = await newAgent();
    const asked = await world.send(token, '/v1/brief', PAYMENT);
    expect((await world.decide('alice', asked.approval, 'approve')).status).toBe(200);
    await sleep(2_300);
    expect((await world.send(token, '/v1/brief', PAYMENT)).body.code).toBe('approval_pending');
    expect(reached()).toEqual([]);
    expect((await world.detail(asked.approval)).state).toBe('expired');
  });
});

describe('once means once (threats 24 and 32)', () => {
  it('of 50 parallel sends after one yes exactly one goes through', async () => {
    const { token } = await newAgent();
    const asked = await world.send(token, '/v1/payments', PAYMENT);
    await world.decide('alice', asked.approval, 'approve');
    const answers = await Promise.all(Array.from({ length: 50 }, () => world.send(token, '/v1/payments', PAYMENT)));
    expect(answers.filter((one) => one.status === 200)).toHaveLength(1);
    expect(reached()).toHaveLength(1);
    const codes = new Set(answers.filter((one) => one.status !== 200).map((one) => one.body.code));
    expect([...codes].filter((code) => code !== 'approval_used' && code !== 'approval_pending')).toEqual([]);
  });

  it('alike questions are joined: held twice, decided once, sent once', async () => {
    const { agent, token } = await newAgent();
    const calls = Array.from({ length: 5 }, () => world.send(token, '/v1/payments', PAYMENT, { wait: 20 }));
    const pending = await world.pendingOf(agent);
    await sleep(500);
    expect(await world.list(`&agent=${agent}`)).toHaveLength(1);
    expect((await world.detail(pending.id)).asks).toBe(5);
    await world.decide('alice', pending.id, 'approve');
    const answers = await Promise.all(calls);
    expect(answers.filter((one) => one.status === 200)).toHaveLength(1);
    expect(answers.filter((one) => one.body.code === 'approval_used')).toHaveLength(4);
    expect(await world.list(`&agent=${agent}`), 'who was slower asks nothing anew').toHaveLength(1);
    expect(reached()).toHaveLength(1);
  });
});

describe('a yes is for one request only (threat 24: approve X, send Y)', () => {
  const body = '{"to":"acct_1","amount":2000}';
  const variants: [string, string, Parameters<World['send']>[3] & { path?: string }][] = [
    ['a byte of the body', 'body', { raw: '{"to":"acct_2","amount":2000}' }],
    ['white space in the body', 'body', { raw: '{"to":"acct_1", "amount":2000}' }],
    ['the order of the body', 'body', { raw: '{"amount":2000,"to":"acct_1"}' }],
    ['the query', 'query', { raw: body, path: '/v1/always?b=2&a=1' }],
    ['the query, more of it', 'query', { raw: body, path: '/v1/always?a=1&b=2&c=3' }],
    ['a header field', 'header', { raw: body, headers: { 'x-account': 'other' } }],
    ['the content type', 'header', { raw: body, headers: { 'content-type': 'application/json; charset=utf-8' } }],
  ];
  it.each(variants)('%s differs: a new question', async (_, __, { path, ...options }) => {
    const { token } = await newAgent();
    const asked = await world.send(token, '/v1/always?a=1&b=2', undefined, { raw: body });
    expect(asked.body.code).toBe('approval_pending');
    await world.decide('alice', asked.approval, 'approve');
    const other = await world.send(token, path ?? '/v1/always?a=1&b=2', undefined, options);
    expect(other.body.code).toBe('approval_pending');
    expect(other.approval).not.toBe(asked.approval);
    expect(reached()).toEqual([]);
    expect((await world.send(token, '/v1/always?a=1&b=2', undefined, { raw: body })).status).toBe(200);
  });

  it('another path, and another method', async () => {
    const { token } = await newAgent();
    const asked = await world.send(token, '/v1/always/1', undefined, { method: 'PUT', raw: body });
    await world.decide('alice', asked.approval, 'approve');
    for (const [path, method] of [
      ['/v1/always/2', 'PUT'],
      ['/v1/always', 'POST'],
    ] as const) {
      const other = await world.send(token, path, undefined, { method, raw: body });
      expect(other.body.code).toBe('approval_pending');
      expect(other.approval).not.toBe(asked.approval);
    }
    expect(reached()).toEqual([]);
  });

  it('a request without a body can be approved, too', async () => {
    const { token } = await newAgent();
    const asked = await world.send(token, '/v1/always/7?x=1');
    expect(asked.body.code).toBe('approval_pending');
    await world.decide('alice', asked.approval, 'approve');
    expect((await world.send(token, '/v1/always/7?x=1')).status).toBe(200);
    expect(reached()).toEqual(['GET /v1/always/7?x=1 ']);
  });

  it('another agent, another session', async () => {
    const { agent, token } = await newAgent({ session: 'run-1' });
    const asked = await world.send(token, '/v1/payments', PAYMENT);
    await world.decide('alice', asked.approval, 'approve');
    const others = [
      await world.edge.mint(agent, ALL, { session: 'run-2' }),
      await world.edge.mint(agent, ALL),
      (await newAgent({ session: 'run-1' })).token,
    ];
    for (const other of others)
      expect((await world.send(other, '/v1/payments', PAYMENT)).body.code).toBe('approval_pending');
    expect(reached()).toEqual([]);
    expect((await world.send(token, '/v1/payments', PAYMENT)).status).toBe(200);
  });

  it('a body over the bound is denied, never judged by its first part (threat 16)', async () => {
    const { agent, token } = await newAgent();
    const big = await world.send(token, '/v1/always', { pad: 'x'.repeat(70_000) });
    expect(big.status).toBe(413);
    expect(big.body.code).toBe('body_refused');
    expect(await world.list(`&agent=${agent}`)).toEqual([]);
  });
});

describe('tokens (threat 24: approve after revocation)', () => {
  const revoke = (body: object) =>
    world.edge.operate('/v1/tokens/revoke', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  it('revoked between question and yes: the yes is refused', async () => {
    const { agent, token } = await newAgent();
    const asked = await world.send(token, '/v1/payments', PAYMENT);
    await revoke({ agent_id: agent });
    const said = await world.decide('alice', asked.approval, 'approve');
    expect(said.status).toBe(409);
    expect(await said.json()).toMatchObject({ code: 'approval_revoked' });
    const dead = await world.send(token, '/v1/payments', PAYMENT);
    expect(dead.status).toBe(401);
    expect(dead.approval, 'a revoked token asks nobody').toBe('');
    const headers = { authorization: `Bearer ${token}` };
    expect((await fetch(`${world.edge.url}/v1/approvals/${asked.approval}`, { headers })).status).toBe(401);
    expect(await world.list(`&agent=${agent}&state=pending`)).toEqual([]);
    const fresh = await world.edge.mint(agent, ALL);
    expect((await world.send(fresh, '/v1/payments', PAYMENT)).body.code).toBe('approval_pending');
    expect(reached()).toEqual([]);
  });

  it('revoked between yes and use: neither the old token nor a new one goes through', async () => {
    const { agent, token } = await newAgent();
    const asked = await world.send(token, '/v1/payments', PAYMENT);
    await world.decide('alice', asked.approval, 'approve');
    await revoke({ agent_id: agent });
    expect((await world.send(token, '/v1/payments', PAYMENT)).status).toBe(401);
    const fresh = await world.edge.mint(agent, ALL);
    expect((await world.send(fresh, '/v1/payments', PAYMENT)).body.code).toBe('approval_revoked');
    await sleep(200);
    expect((await world.send(fresh, '/v1/payments', PAYMENT)).body.code).toBe('approval_pending');
    expect(reached()).toEqual([]);
  });

  it('revoked while the call is held: the yes comes too late', async () => {
    const { agent, token } = await newAgent();
    const call = world.send(token, '/v1/payments', PAYMENT, { wait: 20 });
    const pending = await world.pendingOf(agent);
    await revoke({ agent_id: agent });
    expect((await world.decide('alice', pending.id, 'approve')).status).toBe(409);
    expect((await call).status).toBe(401);
    expect(reached()).toEqual([]);
  });

  it('expired: a yes does not outlive the token that asked', async () => {
    const { agent, token } = await newAgent({ ttlSeconds: 3 });
    const asked = await world.send(token, '/v1/payments', PAYMENT);
    await world.decide('alice', asked.approval, 'approve');
    await sleep(3_500);
    expect((await world.send(token, '/v1/payments', PAYMENT)).status).toBe(401);
    const fresh = await world.edge.mint(agent, ALL);
    expect((await world.send(fresh, '/v1/payments', PAYMENT)).body.code).toBe('approval_pending');
    expect(reached()).toEqual([]);
  });
  it('expired while the call is held, by the question of a token that lives on: the yes comes too late', async () => {
    const { agent, token } = await newAgent();
    const brief = await world.edge.mint(agent, ALL, { ttlSeconds: 3 });
    const { approval } = await world.send(token, '/v1/payments', PAYMENT);
    const call = world.send(brief, '/v1/payments', PAYMENT, { wait: 20 });
    await sleep(3_200);
    expect((await world.decide('alice', approval, 'approve')).status).toBe(200);
    expect((await call).status).toBe(401);
    expect(reached()).toEqual([]);
    expect(await eventsOf(world.edge, agent)).toContain('call.denied token_expired');
    expect((await world.send(token, '/v1/payments', PAYMENT)).status).toBe(200);
  });
});
