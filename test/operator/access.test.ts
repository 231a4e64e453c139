import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../src/lib/digest.ts';
import { type AccessSettings, operatorByAccess, parseAccessSettings } from '../../src/operator/access.ts';
import { operatorOf, parseOperatorKeys } from '../../src/operator/operator-keys.ts';
import { mayAct } from '../../src/operator/roles.ts';

const AUDIENCE = 'application-audience-tag';
const ROLES = JSON.stringify({ 'Ada@example.com': ['audit'], 'root@example.com': ['admin'] });
let team: Server;
let issuer: string;
let settings: AccessSettings;
let sign: (claims: Record<string, unknown>, by?: CryptoKey) => Promise<string>;
let signElliptic: (claims: Record<string, unknown>) => SignJWT;
let ellipticKey: CryptoKey;
/** Published by the team, and of a kind that Access does not sign with. */
let otherKey: CryptoKey;
let asked = 0;

beforeAll(async () => {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'team-1', alg: 'RS256', use: 'sig' };
  const elliptic = await generateKeyPair('ES256');
  ellipticKey = elliptic.privateKey as CryptoKey;
  const second = { ...(await exportJWK(elliptic.publicKey)), kid: 'team-2', alg: 'ES256', use: 'sig' };
  const other = await generateKeyPair('EdDSA');
  otherKey = other.privateKey as CryptoKey;
  const third = { ...(await exportJWK(other.publicKey)), kid: 'team-3', alg: 'EdDSA', use: 'sig' };
  team = createServer((req, res) => {
    asked += 1;
    if (req.url === '/cdn-cgi/access/certs')
      res.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [jwk, second, third] }));
    else res.writeHead(404).end();
  });
  await new Promise<void>((resolve) => team.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(team.address() as AddressInfo).port}`;
  const parsed = parseAccessSettings(issuer, AUDIENCE, ROLES, true);
  if (!parsed.ok || parsed.value === null) throw new Error('settings');
  settings = parsed.value;
  sign = (claims, by = privateKey as CryptoKey) =>
    new SignJWT({ email: 'ada@example.com', iss: issuer, aud: [AUDIENCE], ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'team-1' })
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(by);
  signElliptic = (claims) =>
    new SignJWT({ email: 'ada@example.com', iss: issuer, aud: [AUDIENCE], ...claims }).setProtectedHeader({
      alg: 'ES256',
      kid: 'team-2',
    });
});
afterAll(() => team.close());

describe('an operator who comes through Cloudflare Access', () => {
  it("is known by the e-mail address, whatever its case, and has that person's roles", async () => {
    const operator = await operatorByAccess(await sign({ email: 'ADA@example.com' }), settings);
    expect(operator?.id).toBe('ada@example.com');
    expect(operator && mayAct(operator, 'audit')).toBe(true);
    expect(operator && mayAct(operator, 'mint')).toBe(false);
  });

  it("is known until the assertion's end, by either kind of key that Access signs with, and the keys are fetched once", async () => {
    const exp = Math.floor(Date.now() / 1000) + 60;
    const operator = await operatorByAccess(await signElliptic({ exp }).sign(ellipticKey), settings);
    expect(operator).toMatchObject({ id: 'ada@example.com', expiresAt: exp * 1000 });
    const before = asked;
    await operatorByAccess(await sign({}), settings);
    expect(asked).toBe(before);
  });

  it('an admin may do everything', async () => {
    const operator = await operatorByAccess(await sign({ email: 'root@example.com' }), settings);
    expect(operator && mayAct(operator, 'mint')).toBe(true);
  });

  it('is nobody without a role, for another application, of another team, by another key, or after expiry', async () => {
    const { privateKey } = await generateKeyPair('RS256');
    const refused = [
      await sign({ email: 'eve@example.com' }),
      await sign({ email: undefined }),
      await sign({ email: ['ada@example.com'] }),
      await signElliptic({}).sign(ellipticKey),
      await signElliptic({}).setExpirationTime('1s ago').sign(ellipticKey),
      await sign({ aud: ['another-application'] }),
      await sign({ iss: 'https://evil.cloudflareaccess.com' }),
      await sign({}, privateKey as CryptoKey),
      await new SignJWT({ email: 'ada@example.com', iss: issuer, aud: [AUDIENCE] })
        .setProtectedHeader({ alg: 'EdDSA', kid: 'team-3' })
        .setExpirationTime('5m')
        .sign(otherKey),
      'no.token.atall',
    ];
    for (const assertion of refused) expect(await operatorByAccess(assertion, settings)).toBeNull();
  });

  it('of one team is nobody at another, although the keys of the one are known already', async () => {
    expect(await operatorByAccess(await sign({}), settings)).not.toBeNull();
    const empty = createServer((_, res) => void res.setHeader('content-type', 'application/json').end('{"keys":[]}'));
    await new Promise<void>((resolve) => empty.listen(0, '127.0.0.1', resolve));
    const other = { ...settings, issuer: `http://127.0.0.1:${(empty.address() as AddressInfo).port}` };
    expect(await operatorByAccess(await sign({ iss: other.issuer }), other)).toBeNull();
    empty.close();
  });
});

describe('the settings', () => {
  it('go together, all or none', () => {
    expect(parseAccessSettings(undefined, undefined, undefined, false)).toEqual({ ok: true, value: null });
    const all = ['https://team.cloudflareaccess.com', AUDIENCE, ROLES] as const;
    expect(parseAccessSettings(...all, false).ok).toBe(true);
    for (let set = 1; set < 7; set++)
      for (const unset of [undefined, '']) {
        const [issuer, audience, roles] = all.map((one, i) => ((set >> i) & 1 ? one : unset));
        expect(parseAccessSettings(issuer, audience, roles, false).ok, `${issuer} ${audience} ${roles}`).toBe(false);
      }
  });

  it.each(['http://127.0.0.1:1', 'http://team.cloudflareaccess.com', 'https://team.cloudflareaccess.com/path', 'team'])(
    'in production the issuer is an https origin: %s is refused',
    (bad) => {
      expect(parseAccessSettings(bad, AUDIENCE, ROLES, false).ok).toBe(false);
    },
  );

  it('on this machine the issuer may be a server of the test, by name or address', () => {
    for (const host of ['127.0.0.1', 'localhost'])
      expect(parseAccessSettings(`http://${host}:1`, AUDIENCE, ROLES, true).ok).toBe(true);
    expect(parseAccessSettings('http://team.cloudflareaccess.com', AUDIENCE, ROLES, true).ok).toBe(false);
  });

  it.each(['[]', '{', 'null', '7', '{"a@b.c":["god"]}', '{"a@b.c":[]}', '{"a@b.c":"audit"}'])(
    'roles like %s are refused',
    (bad) => {
      expect(parseAccessSettings(issuer, AUDIENCE, bad, true).ok).toBe(false);
    },
  );
});

describe('operator keys', () => {
  it('are stored as hashes, and found by the key itself only', () => {
    const keys = parseOperatorKeys(
      JSON.stringify([{ id: 'alice', roles: ['mint'], sha256: sha256Hex('kwo_alice_key') }]),
    );
    if (!keys.ok) throw new Error(keys.error);
    expect(operatorOf(keys.value, 'kwo_alice_key')?.id).toBe('alice');
    expect(operatorOf(keys.value, 'kwo_alice_keY')).toBeNull();
    expect(operatorOf(keys.value, sha256Hex('kwo_alice_key'))).toBeNull();
  });

  it('have the roles and the groups that are written, and each role there is', () => {
    const roles = ['mint', 'approve', 'audit', 'admin'];
    const keys = parseOperatorKeys(
      JSON.stringify([
        { id: 'alice', roles, groups: ['finance', 'night-shift'], sha256: sha256Hex('a') },
        { id: 'bob', roles: ['audit'], sha256: sha256Hex('b') },
      ]),
    );
    if (!keys.ok) throw new Error(keys.error);
    expect(operatorOf(keys.value, 'a')).toEqual({
      id: 'alice',
      roles: new Set(roles),
      groups: new Set(['finance', 'night-shift']),
    });
    expect(operatorOf(keys.value, 'b')).toEqual({ id: 'bob', roles: new Set(['audit']) });
  });

  const entry = (more: object): string =>
    JSON.stringify([{ id: 'a', roles: ['mint'], sha256: '0'.repeat(64), ...more }]);
  it.each([
    undefined,
    '',
    '{}',
    '[null]',
    entry({ sha256: 'A'.repeat(64) }),
    entry({ sha256: '0'.repeat(65) }),
    entry({ id: '' }),
    entry({ id: 'a\nb' }),
    entry({ id: 'a'.repeat(65) }),
    entry({ roles: [] }),
    entry({ roles: 'mint' }),
    entry({ roles: ['mint', 'god'] }),
    entry({ groups: 'finance' }),
    entry({ groups: ['finance', ''] }),
    entry({ groups: [7] }),
    entry({ groups: [null] }),
    entry({ groups: ['a\nb'] }),
    `[${entry({}).slice(1, -1)},${entry({ id: 'b' }).slice(1, -1)}]`,
    '[]',
    '[{"id":"a","roles":["mint"]}]',
    '[{"id":"a","roles":["god"],"sha256":"00"}]',
    `[{"id":"a b","roles":["mint"],"sha256":"${'0'.repeat(64)}"}]`,
  ])('a broken list is refused with its reason: %s', (text) => {
    const keys = parseOperatorKeys(text);
    expect(keys.ok).toBe(false);
    expect(!keys.ok && keys.error.length).toBeGreaterThan(5);
  });
});
