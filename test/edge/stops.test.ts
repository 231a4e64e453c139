import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { decodeJwt, importJWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionJson, StopPreview, StopResponse } from '../../src/protocol.ts';
import { startTestEdge, type TestEdge } from '../support/edge.ts';
import { json, startUpstream, type Upstream } from '../support/upstream.ts';
import { countersOf, makeRunner, newSession, startOf } from './sessions/world.ts';

const REVIEWER = 'kwop_of-the-stops_0123456789';
/** All that a service may be named by, and as long as it may be. */
const NAMED = `aws:s3.eu-central_${'x'.repeat(46)}`;
let upstream: Upstream;
let edge: TestEdge;
beforeAll(async () => {
  upstream = await startUpstream(json({ ok: true }));
  const policy = (service: string, secret = service.toUpperCase()): string => `service: ${service}
origin: ${upstream.origin}
credential: { scheme: bearer, secret: ${secret}_KEY }
capabilities: { read: { allow: GET /v1/balance } }
`;
  edge = await startTestEdge({
    policies: {
      'bank.yaml': policy('bank'),
      'shop.yaml': policy('shop'),
      'named.yaml': policy(NAMED, 'SHOP'),
    },
    vars: {
      BANK_KEY: 'sk_live_stops_0123456789',
      SHOP_KEY: 'sk_live_shops_0123456789',
      KEYWARDEN_OPERATORS: JSON.stringify([
        { id: 'reviewer', roles: ['approve'], sha256: createHash('sha256').update(REVIEWER).digest('hex') },
      ]),
    },
  });
});
afterAll(async () => {
  await edge?.stop();
  await upstream?.stop();
});

const post = (path: string, body: object = {}): Promise<Response> =>
  edge.operate(path, { method: 'POST', body: JSON.stringify(body) });
const stop = async (body: object): Promise<StopResponse> => {
  const headers = { authorization: `Bearer ${REVIEWER}` };
  const response = await fetch(`${edge.url}/v1/stops`, { method: 'POST', headers, body: JSON.stringify(body) });
  expect(response.status).toBe(200);
  return (await response.json()) as StopResponse;
};
const lift = async (body: object): Promise<void> => expect((await post('/v1/stops/lift', body)).status).toBe(204);
const call = async (token: string, service: string): Promise<number> =>
  (await fetch(`${edge.proxy(service)}/v1/balance`, { headers: { authorization: `Bearer ${token}` } })).status;
const mint = async (agent: string, capabilities: string[], more: object = {}) => {
  const said = await post('/v1/tokens', { agent_id: agent, capabilities, ...more });
  return [said.status, ((await said.json()) as { code?: string }).code ?? null];
};
const preview = async (query: string): Promise<StopPreview> =>
  (await (await edge.operate(`/v1/stops/preview?${query}`)).json()) as StopPreview;
const announce = async (agent: string): Promise<string> => {
  const id = newSession();
  expect((await post('/v1/sessions', startOf(makeRunner(), id, { agent_id: agent }))).status).toBe(201);
  return id;
};
const sessionOf = async (id: string): Promise<SessionJson> =>
  (await (await edge.operate(`/v1/sessions/${id}`)).json()) as SessionJson;

/** A token and its entry on the list, as an isolate gives it whose clock is half a minute ahead of the others'. */
async function givenAhead(agent: string): Promise<string> {
  const at = Date.now() + 30_000;
  const hex = at.toString(16).padStart(12, '0');
  const jti = `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
  const jwk = JSON.parse(readFileSync(join(edge.state, 'signing.jwk'), 'utf8'));
  const like = decodeJwt(await edge.mint(agent, ['bank:read']));
  const d1 = join(edge.state, 'storage/d1');
  for (const name of readdirSync(d1, { recursive: true }).map(String)) {
    if (!name.endsWith('.sqlite') || name.includes('metadata')) continue;
    const database = new DatabaseSync(join(d1, name), { timeout: 10_000 });
    database
      .prepare("INSERT INTO tokens VALUES (?, ?, NULL, '[\"bank:read\"]', ?, ?, 'local')")
      .run(jti, agent, at, at + 900_000);
    database.close();
  }
  return new SignJWT({ ...like, jti, iat: Math.floor(at / 1000), exp: Math.floor(at / 1000) + 900 })
    .setProtectedHeader({ alg: 'EdDSA', kid: jwk.kid, typ: 'at+jwt' })
    .sign(await importJWK(jwk, 'EdDSA'));
}

describe('a service that is stopped', () => {
  it('takes the tokens that reach it, and no other token of the same agents', async () => {
    const bank = await edge.mint('clerk', ['bank:read']);
    const shop = await edge.mint('clerk', ['shop:read']);
    const both = await edge.mint('buyer', ['bank:read', 'shop:read']);
    const session = await announce('clerk');
    expect(await stop({ scope: 'service', service: 'shop', reason: ' it leaks \u{1f4a5}\n' })).toEqual({
      tokens: 2,
      agents: expect.arrayContaining(['clerk', 'buyer']),
      sessions: 0,
    });
    expect(await Promise.all([call(bank, 'bank'), call(shop, 'shop'), call(both, 'bank'), call(both, 'shop')])).toEqual(
      [200, 401, 401, 401],
    );
    // None is given that reaches it, whatever else it reaches; what runs goes on.
    expect(await mint('clerk', ['bank:read', 'shop:read'])).toEqual([409, 'stopped']);
    expect(await mint('clerk', ['bank:read'])).toEqual([200, null]);
    expect(await sessionOf(session)).toMatchObject({ state: 'running' });

    const placed = await edge.audit({ event: 'stop.placed' });
    expect(placed).toMatchObject([
      {
        operator: 'reviewer',
        service: 'shop',
        reason: 'service',
        detail: { tokens: 2, agents: 2, words: 'it leaks \\ud83d\\udca5' },
      },
    ]);
    for (const agent of ['clerk', 'buyer'])
      expect(await edge.audit({ agent, event: 'token.revoked' })).toMatchObject([
        { operator: 'reviewer', reason: 'service', detail: { tokens: 1 } },
      ]);
    await lift({ scope: 'service', service: 'shop' });
    expect(await mint('clerk', ['shop:read'])).toEqual([200, null]);
  });

  it('may have any name that a policy may give it', async () => {
    expect(NAMED).toHaveLength(64);
    const token = await edge.mint('named', [`${NAMED}:read`]);
    expect(await call(token, NAMED)).toBe(200);
    const scope = { scope: 'service', service: NAMED };
    expect(await preview(new URLSearchParams(scope).toString())).toMatchObject({ tokens: 1 });
    expect(await stop(scope)).toMatchObject({ tokens: 1, agents: ['named'] });
    expect(await call(token, NAMED)).toBe(401);
    await lift(scope);
  });

  it('is one that a policy has', async () => {
    const said = await post('/v1/stops', { scope: 'service', service: 'nothing' });
    expect([said.status, ((await said.json()) as { code: string }).code]).toEqual([404, 'service_unknown']);
    expect(await (await edge.operate('/v1/stops')).json()).toEqual({ stops: [] });
  });
});

describe('what a stop would hit', () => {
  it('of an agent or a session are its own tokens and its own sandbox', async () => {
    const [mine, other] = [await announce('prey'), await announce('bystander')];
    await edge.mint('prey', ['bank:read'], { session: mine });
    await edge.mint('prey', ['bank:read'], { session: 'no-sandbox' });
    await edge.mint('bystander', ['bank:read'], { session: other });
    const { sessions, ...hit } = await preview('scope=agent&agent=prey');
    expect(hit).toEqual({ tokens: 2, agents: [{ agent: 'prey', tokens: 2 }] });
    expect(new Map(sessions.map((one) => [one.session, one]))).toEqual(
      new Map([
        [mine, { session: mine, agent: 'prey', running: true }],
        ['no-sandbox', { session: 'no-sandbox', agent: 'prey', running: false }],
      ]),
    );
    // A sandbox without a token is one, too.
    const bare = await announce('prey');
    expect(await preview(`scope=session&session=${bare}`)).toEqual({
      tokens: 0,
      agents: [],
      sessions: [{ session: bare, agent: 'prey', running: true }],
    });
  });
});

describe('everything that is stopped', () => {
  it('is every token of every agent and every sandbox, of which none comes back when it is lifted', async () => {
    const tokens: string[] = [];
    // More than the ledgers that are told at once.
    for (let i = 0; i < 18; i += 1) tokens.push(await edge.mint(`crowd-${i}`, ['bank:read']));
    // Whatever a clock says, or if it is given while the stop is placed: what is on the list is hit.
    tokens.push(await givenAhead('crowd-ahead'));
    expect(await call(tokens[18] ?? '', 'bank')).toBe(200);
    const session = await announce('crowd-session');
    const hit = await stop({ scope: 'everything' });
    expect(hit.sessions).toBeGreaterThan(0);
    expect(await mint('crowd-0', ['bank:read'])).toEqual([409, 'stopped']);
    expect(await sessionOf(session)).toMatchObject({ state: 'stopping', stop_requested_by: 'reviewer' });
    const report = await post(`/v1/sessions/${session}/report`, { sequence: 1, counters: countersOf() });
    expect(await report.json()).toMatchObject({ stop_requested: true });
    const answers = await Promise.all(tokens.map((token) => call(token, 'bank')));
    expect(answers).toEqual(answers.map(() => 401));

    await lift({ scope: 'everything' });
    expect(await call(tokens[17] ?? '', 'bank')).toBe(401);
    expect(await mint('crowd-session', ['bank:read'], { session_id: session })).toEqual([409, 'session_revoked']);
    expect(await mint('crowd-0', ['bank:read'])).toEqual([200, null]);
  });
});
