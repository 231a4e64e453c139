import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUDIT_EVENTS } from '../../src/audit/event.ts';
import type { CapabilitiesResponse, Health, PoliciesResponse } from '../../src/protocol.ts';
import { startTestEdge, type TestEdge } from '../support/edge.ts';
import { rawCall } from '../support/raw.ts';
import { json, startUpstream, type Upstream } from '../support/upstream.ts';

/** As many capabilities as a token may hold, with names as long as they may be. */
const LONG = Array.from({ length: 100 }, (_, i) => `n${i}_`.padEnd(123, 'x'));
let upstream: Upstream;
let edge: TestEdge;

beforeAll(async () => {
  upstream = await startUpstream(json({ ok: true }));
  edge = await startTestEdge({
    policies: {
      'bank.yaml': `service: bank
origin: ${upstream.origin}
credential: { scheme: bearer, secret: BANK_KEY }
capabilities:
  read:
    title: Read the balance
    allow: GET /v1/balance
    limit: 5/min
  write: { allow: POST /v1/transfers }
  both: { allow: [GET|HEAD /v1/both, POST|PUT /v1/both], deny: GET|HEAD /v1/both/no }
${LONG.map((name) => `  ${name}: { allow: GET /v1/long }\n`).join('')}`,
    },
    vars: { BANK_KEY: 'sk_live_api_0123456789' },
  });
});
afterAll(async () => {
  await edge?.stop();
  await upstream?.stop();
});

const post = (path: string, body: unknown): Promise<Response> =>
  edge.operate(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

describe('every answer of our own', () => {
  it.each([
    '/healthz',
    '/.well-known/jwks.json',
    '/openapi.json',
    '/v1/audit',
    '/v1/sessions',
    '/v1/signals',
    '/nowhere',
  ])('%s says who spoke (RFC 9209)', async (path) => {
    expect((await edge.operate(path)).headers.get('proxy-status')).toMatch(/^keywarden/);
  });

  it.each([
    ['PUT', '/v1/tokens', 'POST'],
    ['DELETE', '/v1/capabilities', 'GET, HEAD'],
    ['POST', '/healthz', 'GET, HEAD'],
    ['GET', '/v1/approvals/0199aa00-0000-7000-8000-000000000000/approve', 'POST'],
    ['POST', '/console/', 'GET, HEAD'],
    ['PUT', '/console/assets/x.js', 'GET, HEAD'],
  ])('%s %s is 405, with what is allowed (RFC 9110 §15.5.6)', async (method, path, allow) => {
    const answer = await edge.operate(path, { method });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, allow]);
  });
});

describe('GET /v1/capabilities', () => {
  it('says what the token allows, and looking costs nothing of the limit', async () => {
    const token = await edge.mint('looker', ['bank:read']);
    const headers = { authorization: `Bearer ${token}` };
    await fetch(`${edge.proxy('bank')}/v1/balance`, { headers });
    for (let i = 0; i < 3; i++) {
      const answer = await (await fetch(`${edge.url}/v1/capabilities`, { headers })).json();
      expect(answer).toMatchObject({
        agent_id: 'looker',
        capabilities: [
          {
            name: 'bank:read',
            title: 'Read the balance',
            allow: ['GET /v1/balance'],
            base_url: edge.proxy('bank'),
            limit: { quota: 5, remaining: 4 },
          },
        ],
      });
    }
  });

  it('lists an operation once, by however many methods it is', async () => {
    const rules = { allow: ['GET|HEAD /v1/both', 'POST|PUT /v1/both'], deny: ['GET|HEAD /v1/both/no'] };
    const headers = { authorization: `Bearer ${await edge.mint('lister', ['bank:both'])}` };
    const held = (await (await fetch(`${edge.url}/v1/capabilities`, { headers })).json()) as CapabilitiesResponse;
    expect(held.capabilities).toMatchObject([rules]);
    const { services } = (await (await edge.operate('/v1/policies')).json()) as PoliciesResponse;
    const both = services[0]?.capabilities.find(({ name }) => name === 'bank:both');
    expect(both).toMatchObject({
      allow: rules.allow.map((text) => ({ text, when: null })),
      deny: rules.deny.map((text) => ({ text, when: null })),
    });
  });

  it('says where a sandbox, too, finds the service', async () => {
    const headers = { authorization: `Bearer ${await edge.mint('inside', ['bank:read'])}` };
    for (const [said, base] of [
      ['http://127.0.0.1:8787', 'http://127.0.0.1:8787'],
      ['http://evil.example', edge.url],
    ] as const) {
      const answer = await fetch(`${edge.url}/v1/capabilities`, { headers: { ...headers, 'keywarden-base': said } });
      expect(await answer.json()).toMatchObject({ capabilities: [{ base_url: `${base}/proxy/bank` }] });
    }
  });

  it('is closed without a token, and to a revoked one', async () => {
    expect((await fetch(`${edge.url}/v1/capabilities`)).status).toBe(401);
    const { token, token_id: tokenId } = await edge.mintFully('gone', ['bank:read']);
    expect((await post('/v1/tokens/revoke', { token_id: tokenId })).status).toBe(200);
    expect((await fetch(`${edge.url}/v1/capabilities`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(
      401,
    );
  });
});

describe('POST /v1/tokens', () => {
  it('tells all that is wrong with a request at once', async () => {
    const response = await post('/v1/tokens', { agent_id: ' x', capabilities: [], ttl_seconds: 1e6, extra: 1 });
    expect(response.status).toBe(400);
    const { message } = (await response.json()) as { message: string };
    const said = message.split('; ');
    expect(said[0]).toMatch(/^agent_id: an agent id is/);
    expect(said.slice(1)).toEqual([
      'capabilities: name at least one capability',
      'ttl_seconds: a token lives at most 86400 seconds (24 h)',
      'request: it does not take "extra"',
      'it takes agent_id, capabilities, ttl_seconds, session_id',
    ]);
  });

  it.each([
    [
      'a member that comes twice',
      '{"agent_id":"a","agent_id":"b","capabilities":["bank:read"]}',
      'a member comes twice',
    ],
    ['no JSON', 'agent_id=a', 'it is no JSON'],
    ['nothing', '', 'it is no JSON'],
    ['too much', `{"agent_id":"${'a'.repeat(70_000)}"}`, 'larger than 64 KiB'],
    ['a list', '[]', 'request: '],
  ])('reads a request in one way or not at all: %s', async (_, body, message) => {
    const response = await edge.operate('/v1/tokens', { method: 'POST', body });
    expect(response.status).toBe(400);
    expect(((await response.json()) as { message: string }).message).toContain(message);
  });

  it('a body that breaks off is no bug of ours', async () => {
    const fields = ['Content-Type: application/json', 'Transfer-Encoding: chunked'];
    const response = await rawCall(edge.port, 'POST', '/v1/tokens', {
      token: edge.operatorKey,
      fields,
      body: 'zz\r\n',
    });
    expect(response?.status).toBe(400);
    expect(response?.body.toString()).toContain('request: it broke off');
  });

  it('suggests the capability that was meant', async () => {
    const response = await post('/v1/tokens', { agent_id: 'a', capabilities: ['bank:raed'] });
    expect(((await response.json()) as { message: string }).message).toContain('did you mean bank:read?');
  });

  it('gives no token that would be too long to be taken', async () => {
    const can = LONG.map((name) => `bank:${name}`);
    const refused = await post('/v1/tokens', { agent_id: 'long', capabilities: can });
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([400, 'token_too_long']);
    // One is no longer than it may be, and opens the door.
    const token = await edge.mint('long', can.slice(0, 40));
    const headers = { authorization: `Bearer ${token}` };
    expect((await fetch(`${edge.proxy('bank')}/v1/long`, { headers })).status).toBe(200);
    const rows = await edge.audit({ agent: 'long', event: 'token.minted' });
    expect(rows).toHaveLength(1);
  });

  it('a capability that is named twice is held once', async () => {
    expect((await edge.mintFully('twice', ['bank:write', 'bank:read', 'bank:write'])).capabilities).toEqual([
      'bank:write',
      'bank:read',
    ]);
  });

  it('gives no token for a session that was revoked', async () => {
    await edge.mint('a', ['bank:read'], { session: 's-1' });
    expect(await (await post('/v1/tokens/revoke', { session_id: 's-1' })).json()).toEqual({
      revoked: 'session',
      agents: ['a'],
    });
    expect((await post('/v1/tokens', { agent_id: 'b', capabilities: ['bank:read'], session_id: 's-1' })).status).toBe(
      409,
    );
  });

  it('is closed without an operator key, and the refusal is on record', async () => {
    expect((await fetch(`${edge.url}/v1/tokens`, { method: 'POST', body: '{}' })).status).toBe(401);
    expect((await edge.audit({ event: 'operator.denied' })).length).toBeGreaterThan(0);
  });
});

describe('GET /v1/audit', () => {
  it.each([
    ['event=nope', /^event: an event is one of call\.admitted, .*operator\.denied$/],
    ['event=', /^event: an event is one of/],
    ['decision=maybe', /^decision: it must be one of "allow", "deny"$/],
    ['since=tomorrow', /^since: a time is written 2026-01-31T12:00:00Z$/],
    ['until=2026-02-30T00:00:00Z', /^until: a time is written 2026-01-31T12:00:00Z$/],
    ['limit=0', /^limit: a limit is a whole number from 1 to 1000$/],
    ['limit=1.5', /^limit: a limit is a whole number from 1 to 1000$/],
    ['limit=abc', /^limit: a limit is a whole number from 1 to 1000$/],
    ['limit=', /^limit: a limit is a whole number from 1 to 1000$/],
    ['limit=1001', /^limit: a limit is a whole number from 1 to 1000$/],
    ['agent=no%20one', /^agent: an agent id is/],
    ['evnt=call.denied', /^request: .*"evnt"/],
    ['event=nope&limit=0', /^event: .*; limit: /],
  ])('?%s is a 400 that names the parameter and what it may be', async (query, detail) => {
    const response = await edge.operate(`/v1/audit?${query}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'request_invalid', detail: expect.stringMatching(detail) });
  });

  it('takes every event that a row may be of', async () => {
    for (const event of AUDIT_EVENTS) expect((await edge.operate(`/v1/audit?event=${event}`)).status, event).toBe(200);
  });
});

describe('a query', () => {
  it.each([
    ['/v1/audit?agent=a&agent=b', /^agent: it comes more than once$/],
    ['/v1/audit?agent=a&agent=a', /^agent: it comes more than once$/],
    ['/v1/audit?agent=a&%61gent=b', /^agent: it comes more than once$/],
    [
      '/v1/audit?limit=1&agent=a&limit=2&agent=b&event=nope',
      /^limit: it comes more than once; agent: it comes more than once; event: /,
    ],
    ['/v1/audit?evnt=1&evnt=2', /^evnt: it comes more than once; request: .*"evnt"/],
    ['/v1/audit?__proto__=1', /^request: .*"__proto__"/],
    ['/v1/audit/verify?agent=a', /^request: it does not take "agent"$/],
    ['/v1/audit/export?since=1h', /^request: it does not take "since"$/],
    ['/v1/sessions?state=running&state=ended', /^state: it comes more than once$/],
    ['/v1/signals?agent=a&agent=b', /^agent: it comes more than once$/],
    ['/v1/approvals?limit=1&limit=2', /^limit: it comes more than once$/],
    ['/v1/stops/preview?scope=everything&scope=agent&agent=a', /^scope: it comes more than once/],
    ['/v1/stops/preview', /^scope: one of everything, service, agent, session, token$/],
    ['/v1/stops/preview?scope=all', /^scope: one of everything, service, agent, session, token$/],
    ['/v1/stops/preview?scope=service', /^service: /],
  ])('is read in one way or not at all: %s', async (path, detail) => {
    const response = await edge.operate(path);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'request_invalid', detail: expect.stringMatching(detail) });
  });
});

describe('what is public', () => {
  it('/healthz tells the time', async () => {
    const before = Date.now();
    const { now } = (await (await fetch(`${edge.url}/healthz`)).json()) as Health;
    expect(now).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Math.abs(Date.parse(now) - before)).toBeLessThan(2_000);
  });

  it('the JWKS has public parts only', async () => {
    const { keys } = (await (await fetch(`${edge.url}/.well-known/jwks.json`)).json()) as {
      keys: Record<string, string>[];
    };
    expect(keys).toHaveLength(1);
    expect(Object.keys(keys[0] ?? {}).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
  });

  it('what openapi.json tells of answers', async () => {
    const document = (await (await fetch(`${edge.url}/openapi.json`)).json()) as {
      openapi: string;
      paths: Record<string, object>;
    };
    expect(document.openapi).toMatch(/^3\.1/);
    const paths = Object.keys(document.paths).filter((path) => !path.includes('{'));
    expect(paths.length).toBeGreaterThan(10);
    for (const path of paths) {
      const method = Object.keys(document.paths[path] ?? {})[0] ?? 'get';
      const response = await fetch(edge.url + path, { method: method.toUpperCase() });
      expect(response.status, path).not.toBe(404);
    }
  });

  it('openapi.json tells, for every operation that a broken edge refuses, that it may be refused so', async () => {
    const { paths } = (await (await fetch(`${edge.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, { responses: Record<string, object> }>>;
    };
    // The document itself is told all the same, and an agent's call is answered in the service's own shape.
    const others = Object.entries(paths).filter(([path]) => path !== '/openapi.json' && !path.startsWith('/proxy/'));
    expect(others.length).toBeGreaterThan(10);
    for (const [path, operations] of others)
      for (const [method, { responses }] of Object.entries(operations))
        expect(Object.keys(responses), `${method} ${path}`).toContain('503');
  });

  it('an unknown path is told so, in the problem shape', async () => {
    const response = await fetch(`${edge.url}/v1/nothing`);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: 'not_found', status: 404, title: 'Not found' });
  });
});
