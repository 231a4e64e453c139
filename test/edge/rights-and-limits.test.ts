import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CapabilitiesResponse } from '../../src/protocol.ts';
import { startTestEdge, type TestEdge } from '../support/edge.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

const ROLES = ['mint', 'approve', 'audit', 'admin'] as const;
const keyOf = (role: string): string => `kwop_of-the-test_${role.padEnd(24, '-')}`;
const operators = ROLES.map((role) => ({
  id: role,
  roles: [role],
  sha256: createHash('sha256').update(keyOf(role)).digest('hex'),
}));

let upstream: Upstream;
let edge: TestEdge;
beforeAll(async () => {
  upstream = await startUpstream((request, response) => {
    const status = Number(/\d+$/.exec(request.url ?? '')?.[0] ?? 200);
    response.writeHead(status, { 'content-type': 'application/json' }).end(status === 204 ? undefined : '{}');
  });
  edge = await startTestEdge({
    policies: {
      'bank.yaml': `service: bank
origin: ${upstream.origin}
credential: { scheme: bearer, secret: BANK_KEY }
capabilities:
  read: { allow: 'GET|HEAD /status/{code}' }
  list: { allow: GET /list, limit: 100/day }
  own: { allow: 'GET /of/{who}/200', when: params.who == agent }
  run: { allow: 'GET /run/200', when: session == "run-1" }
  late: { allow: 'GET /late/200', when: now > timestamp("2020-01-01T00:00:00Z") }
  early: { allow: 'GET /early/200', when: now < timestamp("2020-01-01T00:00:00Z") }
`,
      'approval.yaml': `service: approval
origin: ${upstream.origin}
credential: { scheme: bearer, secret: BANK_KEY }
capabilities: { read: { allow: GET /status/200, approval: required, limit: { rate: 100/day, burst: 2 } } }
`,
      'agents.yaml': `agents:
  - { id: hasty, may_hold: ['bank:*'], limit: { rate: 10/day, burst: 3 } }
  - { id: '*', may_hold: ['bank:*', 'approval:*'], limit: { rate: 10000/day } }
`,
    },
    vars: { BANK_KEY: 'sk_live_rights_0123456789', KEYWARDEN_OPERATORS: JSON.stringify(operators) },
  });
});
afterAll(async () => {
  await edge?.stop();
  await upstream?.stop();
});
beforeEach(() => upstream.forget());

const call = (token: string, path: string, method = 'GET'): Promise<Response> =>
  fetch(`${edge.url}/proxy/bank${path}`, { method, headers: { authorization: `Bearer ${token}` } });

describe('an operator may what its roles say, and nothing else', () => {
  const mint = { agent_id: 'someone', capabilities: ['bank:read'] };
  const all = { scope: 'everything' };
  it.each<[method: string, path: string, body: object | null, may: string, status?: number]>([
    ['POST', '/v1/tokens', mint, 'mint'],
    ['POST', '/v1/tokens/revoke', { agent_id: 'nobody-yet' }, 'mint'],
    ['GET', '/v1/audit', null, 'audit'],
    ['GET', '/v1/audit/verify', null, 'audit'],
    ['GET', '/v1/audit/export', null, 'audit'],
    // What is let in and then found wanting stops nothing here.
    ['POST', '/v1/stops', {}, 'approve', 400],
    ['POST', '/v1/stops/lift', all, 'approve', 404],
    ['GET', '/v1/stops', null, 'audit, approve, mint'],
    ['GET', '/v1/stops/preview?scope=everything', null, 'audit, approve, mint'],
    ['GET', '/v1/signals', null, 'audit'],
    ['GET', '/metrics', null, 'audit'],
    ['POST', '/v1/signals/screen', {}, 'mint', 400],
  ])('%s %s', async (method, path, body, may, status = 200) => {
    for (const who of ROLES) {
      const response = await fetch(edge.url + path, {
        method,
        headers: { authorization: `Bearer ${keyOf(who)}` },
        ...(body === null ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (may.split(', ').includes(who) || who === 'admin') {
        expect(response.status, who).toBe(status);
        continue;
      }
      expect(response.status, who).toBe(403);
      expect(JSON.parse(text), who).toMatchObject({ code: 'role_missing' });
      const [row] = await edge.audit({ request_id: response.headers.get('keywarden-request-id') ?? '' });
      expect(row).toMatchObject({ event: 'operator.denied', operator: who, reason: 'role_missing', decision: 'deny' });
    }
  });
});

describe("an agent's own limit, of agents.yaml", () => {
  it('holds over all that it may do, by whichever token, and says so as every limit does', async () => {
    const tokens = [await edge.mint('hasty', ['bank:read']), await edge.mint('hasty', ['bank:list', 'bank:read'])];
    const answers: Response[] = [];
    for (const [i, path] of ['/status/200', '/list', '/status/200', '/list'].entries())
      answers.push(await call(tokens[i % 2] as string, path));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(upstream.seen).toHaveLength(3);
    expect(answers[1]?.headers.get('ratelimit-policy')).toBe('"bank:list";q=100;w=86400, "agent";q=10;w=86400');
    expect(answers[1]?.headers.get('ratelimit')).toMatch(/^"bank:list";r=99;t=\d+, "agent";r=1;t=\d+$/);
    const refused = answers[3] as Response;
    expect(refused.headers.get('ratelimit')).toMatch(/^"bank:list";r=99;t=\d+, "agent";r=0;t=\d+$/);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({
      code: 'rate_limited',
      message: expect.stringMatching(/^The agent's own limit is used up/),
    });
    const [row] = await edge.audit({ request_id: refused.headers.get('keywarden-request-id') ?? '' });
    expect(row).toMatchObject({ event: 'call.denied', reason: 'rate_limited', detail: { limit: 'agent' } });

    const told = await fetch(`${edge.url}/v1/capabilities`, { headers: { authorization: `Bearer ${tokens[1]}` } });
    expect(((await told.json()) as CapabilitiesResponse).agent_limit).toMatchObject({ quota: 10, remaining: 0 });
    expect((await call(await edge.mint('patient', ['bank:read']), '/status/200')).status).toBe(200);
  });
});

it('a limit is told whatever the name of its service; how often a yes may be used is none', async () => {
  const token = await edge.mint('asker', ['approval:read']);
  const ask = (): Promise<Response> =>
    fetch(`${edge.proxy('approval')}/status/200`, {
      headers: { authorization: `Bearer ${token}`, prefer: 'wait=0' },
    });
  const id = (await ask()).headers.get('keywarden-approval');
  const headers = { authorization: `Bearer ${keyOf('approve')}` };
  expect((await fetch(`${edge.url}/v1/approvals/${id}/approve`, { method: 'POST', headers })).status).toBe(200);
  const answer = await ask();
  expect(answer.status).toBe(200);
  expect(answer.headers.get('ratelimit-policy')).toBe('"approval:read";q=100;w=86400, "agent";q=10000;w=86400');
});

it('a condition knows whose token it is, of which session, and what time it is', async () => {
  const can = ['own', 'run', 'late', 'early'].map((name) => `bank:${name}`);
  const [plain, inRun] = [await edge.mint('patient', can), await edge.mint('patient', can, { session: 'run-1' })];
  const statusOf = async (token: string, path: string): Promise<number> => (await call(token, path)).status;
  expect([await statusOf(plain, '/of/patient/200'), await statusOf(plain, '/of/hasty/200')]).toEqual([200, 403]);
  expect([await statusOf(inRun, '/run/200'), await statusOf(plain, '/run/200')]).toEqual([200, 403]);
  expect([await statusOf(plain, '/late/200'), await statusOf(plain, '/early/200')]).toEqual([200, 403]);
});

describe('Proxy-Status (RFC 9209) says who spoke', () => {
  it.each([200, 204, 302, 404, 500, 503])('the service, of its own %i', async (status) => {
    const response = await call(await edge.mint('patient', ['bank:read']), `/status/${status}`);
    expect(response.status).toBe(status);
    expect(response.headers.get('proxy-status')).toBe(`keywarden; received-status=${status}`);
  });

  it('the edge, of its own 403', async () => {
    const response = await call(await edge.mint('patient', ['bank:read']), '/list');
    expect(response.headers.get('proxy-status')).toBe(
      'keywarden; error=http_request_denied; details="capability_missing"',
    );
  });
});
