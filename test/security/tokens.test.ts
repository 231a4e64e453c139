import { readFileSync } from 'node:fs';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ALL,
  claimsFor,
  expectPassed,
  expectRefused,
  KEYED_KEY,
  policiesFor,
  rowOf,
  signedByEdge,
  startWorld,
  VARS,
  type World,
} from './world.ts';

let world: World;
const previous = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
beforeAll(async () => {
  const jwk = { ...(await exportJWK(previous.privateKey)), kid: 'the-key-before' };
  world = await startWorld({
    vars: { ...VARS, KEYWARDEN_PREVIOUS_KEY: JSON.stringify(jwk) },
    policies: (origin) => ({
      ...policiesFor(origin),
      'prefixed.yaml': `service: prefixed
origin: ${origin}
credential: { scheme: header, header: Authorization, prefix: 'SSWS ', secret: KEYED_KEY }
capabilities:
  echo: { allow: 'GET /echo/{path+}' }
`,
      'agents.yaml': `
agents:
  - { id: reader, may_hold: [bank:read], max_ttl: 5m }
  - { id: thrifty, may_hold: ['bank:*', 'keyed:*'], limit: 2/day }
  - { id: 'agent-*', may_hold: ['bank:*', 'keyed:*', 'pair:*', 'queried:*', 'aws:*', 'prefixed:*'], max_ttl: 1h }
  - { id: 'idle-*', may_hold: [] }
`,
    }),
  });
}, 120_000);
afterAll(() => world?.stop());
beforeEach(() => world.upstream.forget());

const mint = async (body: unknown, key = world.edge.operatorKey) => {
  const response = await fetch(`${world.edge.url}/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return {
    status: response.status,
    requestId: response.headers.get('keywarden-request-id') ?? '',
    body: (await response.json()) as { code?: string; token?: string },
  };
};

it('what a token says and no policy knows any more is told as unknown, and allows nothing', async () => {
  const token = await signedByEdge(world, claimsFor(['bank:read', 'bank:gone', 'gone:read']));
  const headers = { authorization: `Bearer ${token}` };
  expect(await (await fetch(`${world.edge.url}/v1/capabilities`, { headers })).json()).toMatchObject({
    capabilities: [{ name: 'bank:read' }],
    unknown: ['bank:gone', 'gone:read'],
  });
});

describe('two keys live, each under its kid', () => {
  const bySecond = (kid: string, can = ['bank:read']): Promise<string> =>
    new SignJWT(claimsFor(can)).setProtectedHeader({ alg: 'EdDSA', kid, typ: 'at+jwt' }).sign(previous.privateKey);
  const published = async () => {
    const response = await fetch(`${world.edge.url}/.well-known/jwks.json`);
    return ((await response.json()) as { keys: Record<string, string>[] }).keys;
  };

  it('both are published, by their public parts alone', async () => {
    const keys = await published();
    expect(keys.map(({ kid }) => kid)).toEqual([expect.any(String), 'the-key-before']);
    for (const key of keys) expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
  });

  it('what the one before signed still opens, and under no other kid', async () => {
    await expectPassed(
      world,
      await world.call('bank', 'GET', '/v1/balance', { token: await bySecond('the-key-before') }),
    );
    const [current] = await published();
    for (const kid of [current?.['kid'] ?? '', 'a-third-key']) {
      world.upstream.forget();
      const token = await bySecond(kid);
      await expectRefused(world, await world.call('bank', 'GET', '/v1/balance', { token }), 401, 'token_untrusted');
    }
  });

  it('only the current one signs', async () => {
    const [current] = await published();
    const header = JSON.parse(
      Buffer.from((await world.token(['bank:read'])).split('.')[0] ?? '', 'base64url').toString(),
    );
    expect(header).toEqual({ alg: 'EdDSA', kid: current?.['kid'], typ: 'at+jwt' });
  });
});

it('threat 29: a token that was good a moment ago is refused once it has expired', async () => {
  const { token, expires_at: expiresAt } = await world.edge.mintFully('agent-1', ['bank:read'], { ttlSeconds: 4 });
  await expectPassed(world, await world.call('bank', 'GET', '/v1/balance', { token }));
  world.upstream.forget();
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, Date.parse(expiresAt) - Date.now()) + 50));
  await expectRefused(world, await world.call('bank', 'GET', '/v1/balance', { token }), 401, 'token_expired');
});

describe('threats 29 and 30: who may hold what is policy, whoever asks', () => {
  it.each([
    ['a right that its entry does not name', 'reader', ['bank:refund'], undefined, 403, 'capability_not_grantable'],
    ['one right too many', 'reader', ['bank:read', 'keyed:echo'], undefined, 403, 'capability_not_grantable'],
    ['an agent that no entry names', 'stranger', ['bank:read'], undefined, 403, 'agent_unknown'],
    ['an agent that may hold nothing', 'idle-1', ['bank:read'], undefined, 403, 'capability_not_grantable'],
    ['a longer life than its entry says', 'reader', ['bank:read'], 301, 403, 'ttl_too_long'],
    ['more than a day', 'agent-1', ['bank:read'], 86_401, 400, 'request_invalid'],
    ['no time at all', 'agent-1', ['bank:read'], 0, 400, 'request_invalid'],
    ['a right that no policy defines', 'agent-1', ['bank:reed'], undefined, 400, 'capability_unknown'],
    ['a wildcard', 'agent-1', ['bank:*'], undefined, 400, 'request_invalid'],
    ['no right', 'agent-1', [], undefined, 400, 'request_invalid'],
    ['an id that breaks a line', 'agent-1\nagent-2', ['bank:read'], undefined, 400, 'request_invalid'],
    ['a prefix that is spelt otherwise', 'Reader', ['bank:read'], undefined, 403, 'agent_unknown'],
  ] as const)('no token for %s', async (_, agent, can, ttl, status, code) => {
    const answer = await mint({
      agent_id: agent,
      capabilities: can,
      ...(ttl === undefined ? {} : { ttl_seconds: ttl }),
    });
    expect(answer).toMatchObject({ status, body: { code } });
    expect(answer.body.token).toBeUndefined();
    if (status === 403) {
      const rows = await world.edge.audit({ request_id: answer.requestId });
      expect(rows.map((row) => [row.event, row.reason])).toEqual([['token.refused', code]]);
    }
  });

  it('nor for somebody without an operator key, with a token as key, or with our public key', async () => {
    const token = await world.token(['bank:read']);
    for (const key of ['kwop_wrongwrongwrongwrongwrong', token, '']) {
      const answer = await mint({ agent_id: 'agent-1', capabilities: ['bank:read'] }, key);
      expect(answer.status).toBe(401);
      const rows = await world.edge.audit({ request_id: answer.requestId });
      expect(rows.map((row) => row.event)).toEqual(['operator.denied']);
    }
    for (const path of ['/v1/audit', '/v1/audit/verify', '/v1/audit/export']) {
      const response = await fetch(world.edge.url + path, { headers: { authorization: `Bearer ${token}` } });
      expect(response.status, path).toBe(401);
    }
  });

  it("a right that policy took away since is not taken from the token's word: an unknown one is just nothing", async () => {
    const token = await world.token(['bank:read'], 'reader');
    await expectRefused(
      world,
      await world.call('bank', 'POST', '/v1/refunds', {
        token,
        body: '{"amount":1}',
        fields: ['Content-Type: application/json'],
      }),
      403,
      'capability_missing',
    );
    await expectRefused(world, await world.call('keyed', 'GET', '/echo/x', { token }), 403, 'capability_missing');
  });

  it('two agents are two principals: rows, revocation and rights do not mix', async () => {
    const one = await world.token(['bank:read'], 'agent-1');
    const two = await world.token(['keyed:echo'], 'agent-2');
    const first = await world.call('bank', 'GET', '/v1/balance', { token: one });
    await expectPassed(world, first);
    expect(await rowOf(world, first, 'call.admitted')).toMatchObject({ agent: 'agent-1' });
    world.upstream.forget();
    expect(
      await expectRefused(
        world,
        await world.call('bank', 'GET', '/v1/balance', { token: two }),
        403,
        'capability_missing',
      ),
    ).toMatchObject({ agent: 'agent-2' });
    await world.edge.operate('/v1/tokens/revoke', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ agent_id: 'agent-1' }),
    });
    await expectRefused(world, await world.call('bank', 'GET', '/v1/balance', { token: one }), 401, 'token_revoked');
    // Whatever it asks for: a revoked token learns nothing of the policies.
    for (const path of ['/v1/nothing', '/v1/../x'])
      await expectRefused(world, await world.call('bank', 'GET', path, { token: one }), 401, 'token_revoked');
    world.upstream.forget();
    await expectPassed(world, await world.call('keyed', 'GET', '/echo/x', { token: two }));
    // A fresh token of the same agent is good again: revoking an agent ends what was issued until then.
    world.upstream.forget();
    await expectPassed(
      world,
      await world.call('bank', 'GET', '/v1/balance', { token: await world.token(['bank:read'], 'agent-1') }),
    );
  });

  it("an agent's own limit counts its calls of every service and by every token; a refused one is free (threat 32)", async () => {
    const rights = ['bank:read', 'keyed:echo'];
    const token = await world.token(rights, 'thrifty');
    expect((await world.call('bank', 'POST', '/v1/refunds', { token })).status).toBe(403);
    const first = await world.call('bank', 'GET', '/v1/balance', { token });
    expect([first.status, first.headers['ratelimit']]).toEqual([200, expect.stringMatching(/^"agent";r=1;t=/)]);
    expect((await world.call('keyed', 'GET', '/echo/x', { token })).status).toBe(200);
    world.upstream.forget();
    for (const again of [token, await world.token(rights, 'thrifty')])
      await expectRefused(world, await world.call('bank', 'GET', '/v1/balance', { token: again }), 429, 'rate_limited');
    await expectPassed(
      world,
      await world.call('bank', 'GET', '/v1/balance', { token: await world.token(['bank:read'], 'agent-7') }),
    );
  });

  it('revoked by the token itself: 401 on the very next call, for one that no list of minted ones has, too', async () => {
    const revoke = async (token: string): Promise<number> => {
      const response = await world.edge.operate('/v1/tokens/revoke', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ token }),
      });
      return response.status;
    };
    const minted = await world.token(['bank:read'], 'agent-3');
    const unlisted = await signedByEdge(world, claimsFor(['bank:read'], { sub: 'agent-3' }));
    const kept = await world.token(['bank:read'], 'agent-3');
    for (const token of [minted, unlisted]) {
      world.upstream.forget();
      await expectPassed(world, await world.call('bank', 'GET', '/v1/balance', { token }));
      expect(await revoke(token)).toBe(200);
      world.upstream.forget();
      await expectRefused(world, await world.call('bank', 'GET', '/v1/balance', { token }), 401, 'token_revoked');
    }
    await expectPassed(world, await world.call('bank', 'GET', '/v1/balance', { token: kept }));
    expect(await revoke(`${kept.slice(0, -4)}AAAA`)).toBe(400);
  });

  it('revoked by its id and its agent: one that no list of minted ones has dies, too', async () => {
    const jti = crypto.randomUUID();
    const token = await signedByEdge(world, claimsFor(['bank:read'], { sub: 'agent-3', jti }));
    const revoke = async (more: object): Promise<number> => {
      const body = JSON.stringify({ token_id: jti, ...more });
      return (await world.edge.operate('/v1/tokens/revoke', { method: 'POST', body })).status;
    };
    expect(await revoke({})).toBe(404);
    await expectPassed(world, await world.call('bank', 'GET', '/v1/balance', { token }));
    expect(await revoke({ agent_id: 'agent-3' })).toBe(200);
    world.upstream.forget();
    await expectRefused(world, await world.call('bank', 'GET', '/v1/balance', { token }), 401, 'token_revoked');
    const [row] = await world.edge.audit({ agent: 'agent-3', event: 'token.revoked' });
    expect(row).toMatchObject({ token_id: jti, reason: 'token' });
  });

  it('a revoked token hears that it is revoked, and nothing of what the policies would say', async () => {
    const { token, token_id } = await world.edge.mintFully('agent-4', ['bank:read']);
    const asked = [
      ['GET', '/v1/customers/1/secrets', 403, 'operation_unknown'],
      ['GET', '/once', 403, 'capability_missing'],
      ['GET', '/v1//balance', 400, 'path_refused'],
      ['PURGE', '/v1/balance', 405, 'method_refused'],
    ] as const;
    for (const [method, path, status, reason] of asked)
      await expectRefused(world, await world.call('bank', method, path, { token }), status, reason);
    await world.edge.operate('/v1/tokens/revoke', { method: 'POST', body: JSON.stringify({ token_id }) });
    for (const [method, path] of asked)
      await expectRefused(world, await world.call('bank', method, path, { token }), 401, 'token_revoked');
  });

  it('a request from loopback without a token is nobody', async () => {
    await expectRefused(world, await world.call('bank', 'GET', '/v1/balance'), 401, 'token_missing');
  });
});

describe("threat 29: Wycheproof's JWS vectors, sent as a bearer token, are all 401 (every seventh; the unit test has all)", () => {
  interface Wycheproof {
    testGroups: { comment: string; tests: { tcId: number; comment: string; jws: unknown }[] }[];
  }
  const file = JSON.parse(
    readFileSync(new URL('../data/wycheproof-json_web_signature_test.json', import.meta.url), 'utf8'),
  ) as Wycheproof;
  const vectors = file.testGroups
    .flatMap((group) => group.tests.map((test) => ({ ...test, group: group.comment })))
    .filter(({ jws }, i) => i % 7 === 0 && typeof jws === 'string');

  it('there are some', () => expect(vectors.length).toBeGreaterThan(45));

  it.each(vectors.map((v) => [v.tcId, v.group, v.comment, String(v.jws)] as const))(
    '%i %s: %s',
    async (_, __, ___, jws) => {
      const response = await world.call('bank', 'GET', '/v1/balance', { token: jws });
      expect({ status: response.status, seen: world.upstream.seen.length }).toEqual({ status: 401, seen: 0 });
      expect((await rowOf(world, response, 'call.denied')).reason).toMatch(/^token_(malformed|untrusted)$/);
    },
  );
});

it("a token comes behind the prefix of its service's key, as that SDK sends it, and the key goes behind it in its place", async () => {
  const token = await world.token(['prefixed:echo']);
  const sent = (authorization: string) =>
    world.call('prefixed', 'GET', '/echo/x', { fields: [`Authorization: ${authorization}`] });
  await expectPassed(world, await sent(`SSWS ${token}`));
  expect(world.upstream.seen[0]?.headers['authorization']).toBe(`SSWS ${KEYED_KEY}`);
  world.upstream.forget();
  await expectRefused(world, await sent(`SSWX ${token}`), 401, 'token_malformed');
});

describe('threat 29: a capability token never travels on', () => {
  it.each(['bank', 'keyed', 'pair', 'queried', 'aws'])(
    '%s: not in any field, path, query or body that the upstream sees',
    async (service) => {
      const token = await world.token(ALL.filter((name) => name.startsWith(`${service}:`)));
      const places = [
        `X-Api-Key: ${token}`,
        `Api-Key: ${token}`,
        `X-Goog-Api-Key: ${token}`,
        `X-Amz-Security-Token: ${token}`,
        `X-Acme-Key: ${token}`,
        `X-Unheard-Of: ${token}`,
      ];
      const query = service === 'queried' ? `?key=${token}` : '';
      const response = await world.call(service, 'GET', `/echo/x${query}`, { token, fields: places });
      await expectPassed(world, response);
      const [seen] = world.upstream.seen;
      expect([seen?.target, ...(seen?.rawHeaders ?? [])].join('\n')).not.toContain(token.slice(-40));
    },
  );
});
