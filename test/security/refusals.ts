import { createHmac } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { type RawResponse, rawRequest, sendRaw } from '../support/raw.ts';
import { claimsFor, expectPassed, expectRefused, publicKeyOf, requestIdOf, signedByEdge, type World } from './world.ts';

/** A request that the door must let pass; everything here then finds a way in which it must not. */
export interface GoodRequest {
  readonly service: string;
  readonly method: string;
  /** Path below the service, without a query; at least two segments. */
  readonly path: string;
  /** The capability that allows it. */
  readonly capability: string;
  /** Another capability of the same service or another: held, but of no use here. */
  readonly useless: string;
  /** Field lines that carry the token as this service's SDK would. */
  readonly carry: (token: string) => readonly string[];
  readonly fields?: readonly string[];
  readonly body?: string;
}

const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Registers every refusal for one good request; the positive control is the first. */
export function refusals(name: string, the: () => World, good: GoodRequest): void {
  const send = async (
    change: { token?: string; method?: string; target?: string; fields?: readonly string[]; service?: string } = {},
  ): Promise<RawResponse> => {
    const { port } = the().edge;
    const body = good.body ?? '';
    const lines = [
      `Host: 127.0.0.1:${port}`,
      ...(change.token === undefined ? [] : good.carry(change.token)),
      ...(good.fields ?? []),
      ...(change.fields ?? []),
      ...(body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
      'Connection: close',
    ];
    const target = change.target ?? `/proxy/${change.service ?? good.service}${good.path}`;
    const answer = await sendRaw(port, rawRequest(change.method ?? good.method, target, lines, body));
    if (answer === null) throw new Error('closed without an answer');
    return answer;
  };
  const fresh = (agent = 'agent-1', session?: string): Promise<string> =>
    the().edge.mint(agent, [good.capability], session === undefined ? {} : { session });
  const revoke = async (what: object): Promise<void> => {
    const response = await the().edge.operate('/v1/tokens/revoke', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(what),
    });
    expect(response.status, await response.text()).toBe(200);
  };

  describe(`${name}: the door`, () => {
    beforeEach(() => the().upstream.forget());

    it('lets the good request pass (positive control)', async () => {
      await expectPassed(the(), await send({ token: await fresh() }));
    });

    describe('threat 29: refuses every other token, and all of them look alike outside', () => {
      const forged: [string, string, (world: World) => Promise<string>][] = [
        ['something that is no token', 'token_malformed', async () => 'sk_test_not_a_capability_token'],
        [
          'an expired one',
          'token_expired',
          (w) => signedByEdge(w, claimsFor([good.capability], { iat: now() - 1000, exp: now() - 1 })),
        ],
        [
          'one from the future',
          'token_not_yet_valid',
          (w) => signedByEdge(w, claimsFor([good.capability], { iat: now() + 600, exp: now() + 900 })),
        ],
        [
          'one not valid before later',
          'token_not_yet_valid',
          (w) => signedByEdge(w, claimsFor([good.capability], { nbf: now() + 600 })),
        ],
        [
          'one that lives longer than a day',
          'token_lifetime_exceeded',
          (w) => signedByEdge(w, claimsFor([good.capability], { exp: now() + 100_000 })),
        ],
        [
          'one of another issuer',
          'token_wrong_issuer',
          (w) => signedByEdge(w, claimsFor([good.capability], { iss: 'https://evil.example' })),
        ],
        [
          'one for another audience',
          'token_wrong_audience',
          (w) => signedByEdge(w, claimsFor([good.capability], { aud: 'https://other.example' })),
        ],
        [
          'one without audience',
          'token_wrong_audience',
          (w) => signedByEdge(w, without(claimsFor([good.capability]), 'aud')),
        ],
        ['one without end', 'token_malformed', (w) => signedByEdge(w, without(claimsFor([good.capability]), 'exp'))],
        [
          'a JWT of another type',
          'token_wrong_type',
          (w) => signedByEdge(w, claimsFor([good.capability]), { typ: 'JWT' }),
        ],
        [
          'an audit checkpoint of ours',
          'token_wrong_type',
          (w) => signedByEdge(w, claimsFor([good.capability]), { typ: 'keywarden-checkpoint+jwt' }),
        ],
        [
          'one that brings its key by URL',
          'token_untrusted',
          (w) => signedByEdge(w, claimsFor([good.capability]), { jku: 'https://evil.example/jwks' }),
        ],
        [
          'one of an unknown kid',
          'token_untrusted',
          (w) => signedByEdge(w, claimsFor([good.capability]), { kid: '../../../dev/null' }),
        ],
        ['one of a foreign key under our kid', 'token_untrusted', foreign],
        ['one that embeds its own key', 'token_untrusted', (w) => foreign(w, true)],
        [
          'alg none',
          'token_malformed',
          async (w) =>
            `${b64({ alg: 'none', typ: 'at+jwt', kid: (await publicKeyOf(w)).kid })}.${b64(claimsFor([good.capability]))}.`,
        ],
        [
          'alg nOnE with a signature',
          'token_untrusted',
          async (w) =>
            `${b64({ alg: 'nOnE', typ: 'at+jwt', kid: (await publicKeyOf(w)).kid })}.${b64(claimsFor([good.capability]))}.AA`,
        ],
        ['HS256 with the public key as secret', 'token_untrusted', confused],
        [
          'one with an extension marked critical',
          'token_untrusted',
          async (w) =>
            `${b64({ alg: 'EdDSA', typ: 'at+jwt', kid: (await publicKeyOf(w)).kid, crit: ['x'], x: 1 })}.${b64(claimsFor([good.capability]))}.AAAA`,
        ],
        ['one whose header was altered', 'token_untrusted', async () => altered(await fresh(), 0)],
        ['one whose claims were altered', 'token_untrusted', async () => altered(await fresh(), 1)],
        ['one whose signature was altered', 'token_untrusted', async () => altered(await fresh(), 2)],
        [
          'claims of one with the signature of another',
          'token_untrusted',
          async () => spliced(await fresh('agent-2'), await fresh()),
        ],
        ['one cut short', 'token_untrusted', async () => (await fresh()).slice(0, -6)],
      ];
      it.each(forged)('%s', async (_, reason, make) => {
        const response = await send({ token: await make(the()) });
        await expectRefused(the(), response, 401, reason);
        expect(response.headers['www-authenticate']).toContain('error="invalid_token"');
        expect(response.body.toString()).toMatch(/invalid, expired or revoked/);
      });

      async function foreign(world: World, embed = false): Promise<string> {
        const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
        const { kid } = await publicKeyOf(world);
        return new SignJWT(claimsFor([good.capability]))
          .setProtectedHeader({
            alg: 'EdDSA',
            typ: 'at+jwt',
            kid,
            ...(embed ? { jwk: await exportJWK(pair.publicKey) } : {}),
          })
          .sign(pair.privateKey);
      }

      async function confused(world: World): Promise<string> {
        const { kid, x } = await publicKeyOf(world);
        const input = `${b64({ alg: 'HS256', typ: 'at+jwt', kid })}.${b64(claimsFor([good.capability]))}`;
        return `${input}.${createHmac('sha256', Buffer.from(x, 'base64url')).update(input).digest('base64url')}`;
      }
    });

    it('refuses none at all, with a challenge', async () => {
      const response = await send();
      await expectRefused(the(), response, 401, 'token_missing');
      expect(response.headers['www-authenticate']).toMatch(/^Bearer /);
    });

    it('refuses two different tokens in two places', async () => {
      const response = await send({ token: await fresh(), fields: [`X-Goog-Api-Key: ${await fresh('agent-2')}`] });
      await expectRefused(the(), response, 401, 'token_ambiguous');
    });

    it('refuses a token in the URL, and writes it down nowhere', async () => {
      const token = await fresh();
      const response = await send({
        target: `/proxy/${good.service}${good.path}?access_token=${token}&token=${token}`,
      });
      const row = await expectRefused(the(), response, 401, 'token_missing');
      expect(row.query_names).toBe('access_token,token');
      expect(JSON.stringify(row) + the().edge.logs() + response.wire.toString('latin1')).not.toContain(
        token.slice(-40),
      );
    });

    it('revoked by token, by session and by agent: 401 on the very next call', async () => {
      const world = the();
      const byToken = await world.edge.mintFully('revoked-1', [good.capability]);
      const bySession = await fresh('revoked-2', `session-${name.replace(/\W/g, '-')}`);
      const byAgent = await fresh('revoked-3');
      const kept = await fresh('revoked-1');
      for (const token of [byToken.token, bySession, byAgent, kept]) expect((await send({ token })).status).toBe(200);
      await revoke({ token_id: byToken.token_id });
      await revoke({ session_id: `session-${name.replace(/\W/g, '-')}` });
      await revoke({ agent_id: 'revoked-3' });
      for (const token of [byToken.token, bySession, byAgent]) {
        world.upstream.forget();
        await expectRefused(world, await send({ token }), 401, 'token_revoked');
      }
      world.upstream.forget();
      await expectPassed(world, await send({ token: kept }));
    });

    it('threat 30: refuses a token that holds another right, and names the one it lacks', async () => {
      const token = await the().edge.mint('agent-1', [good.useless]);
      const row = await expectRefused(the(), await send({ token }), 403, 'capability_missing');
      expect(row).toMatchObject({ agent: 'agent-1', capability: good.capability });
      const none = await signedByEdge(the(), claimsFor([]));
      await expectRefused(the(), await send({ token: none }), 403, 'capability_missing');
    });

    it.each([
      ['TRACE', 405],
      ['PROPFIND', 405],
      ['DELETE', 403],
      ['PATCH', 403],
    ])('refuses the method %s', async (method, status) => {
      const response = await send({ token: await fresh(), method });
      expect(the().upstream.seen).toHaveLength(0);
      if (response.headers['keywarden-request-id'] !== undefined)
        await expectRefused(the(), response, status, status === 405 ? 'method_refused' : 'operation_unknown');
      else expect([400, 501]).toContain(response.status);
      // RFC 9110 §15.5.6: a 405 names the methods that there are.
      if (response.status === 405)
        expect(response.headers['allow']).toBe('GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS');
    });

    it.each<[string, string]>([
      ['X-HTTP-Method-Override: DELETE', 'a method override'],
      ['X-Method-Override: GET', 'another method override'],
      ['Upgrade: websocket', 'an upgrade'],
      ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'a WebSocket key'],
    ])('refuses "%s" (%s)', async (field) => {
      await expectRefused(the(), await send({ token: await fresh(), fields: [field] }), 400, 'header_refused');
    });

    it('refuses the path in every other spelling', async () => {
      const token = await fresh();
      const [first = '', ...rest] = good.path.slice(1).split('/');
      const last = rest.join('/');
      for (const path of [
        `/x/..${good.path}`,
        `/%2e${good.path}`,
        `/${good.path}`,
        `/${first}//${last}`,
        `/${first}/./${last}`,
        `/${first};x/${last}`,
        `/${first}%2f${last}`,
        `/${first}%5c${last}`,
        `/${first}\\${last}`,
        `/${first}/${last}%00`,
        `/${first}/${last}%ff`,
        `/${first}/${last}%2`,
      ]) {
        the().upstream.forget();
        await expectRefused(the(), await send({ token, target: `/proxy/${good.service}${path}` }), 400, 'path_refused');
      }
    });

    it('refuses an unknown service, and a path that no rule names', async () => {
      const token = await fresh();
      // Where a service of no policy would look for its key nobody knows: only the well-known places count there.
      await expectRefused(
        the(),
        await send({ token, service: 'nobody', fields: [`X-Api-Key: ${token}`] }),
        404,
        'service_unknown',
      );
      await expectRefused(
        the(),
        await send({ token, target: `/proxy/${good.service}/no/such/thing` }),
        403,
        'operation_unknown',
      );
    });

    it("says each no in the service's own shape, by our name, never cached, with a request id", async () => {
      const response = await send();
      expect(response.headers).toMatchObject({
        'cache-control': 'no-store',
        'keywarden-request-id': requestIdOf(response),
      });
      expect(response.headers['proxy-status']).toMatch(/^keywarden; error=http_request_denied/);
    });
  });
}

const now = (): number => Math.floor(Date.now() / 1000);

const without = <T extends object>(claims: T, name: string): T =>
  Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name)) as T;

/** One character of one part changed for another, in the part's middle so that no unused bits are hit. */
function altered(token: string, part: number): string {
  const parts = token.split('.');
  const text = parts[part] ?? '';
  const at = part === 0 ? text.length - 8 : text.length >> 1;
  parts[part] = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
  return parts.join('.');
}

function spliced(claimsOf: string, signatureOf: string): string {
  const [header, claims] = claimsOf.split('.');
  return `${header}.${claims}.${signatureOf.split('.')[2]}`;
}
