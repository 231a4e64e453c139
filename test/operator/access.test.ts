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

beforeAll(async () => {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'team-1', alg: 'RS256', use: 'sig' };
  team = createServer((req, res) => {
    if (req.url === '/cdn-cgi/access/certs')
      res.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [jwk] }));
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
});
afterAll(() => team.close());

describe('an operator who comes through Cloudflare Access', () => {
  it("is known by the e-mail address, whatever its case, and has that person's roles", async () => {
    const operator = await operatorByAccess(await sign({ email: 'ADA@example.com' }), settings);
    expect(operator?.id).toBe('ada@example.com');
    expect(operator && mayAct(operator, 'audit')).toBe(true);
    expect(operator && mayAct(operator, 'mint')).toBe(false);
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
      await sign({ aud: ['another-application'] }),
      await sign({ iss: 'https://evil.cloudflareaccess.com' }),
      await sign({}, privateKey as CryptoKey),
      'no.token.atall',
    ];
    for (const assertion of refused) expect(await operatorByAccess(assertion, settings)).toBeNull();
  });
});

describe('the settings', () => {
  it('go together, all or none', () => {
    expect(parseAccessSettings(undefined, undefined, undefined, false)).toEqual({ ok: true, value: null });
    expect(parseAccessSettings('https://team.cloudflareaccess.com', undefined, undefined, false).ok).toBe(false);
    expect(parseAccessSettings('https://team.cloudflareaccess.com', AUDIENCE, ROLES, false).ok).toBe(true);
  });

  it.each(['http://127.0.0.1:1', 'http://team.cloudflareaccess.com', 'https://team.cloudflareaccess.com/path', 'team'])(
    'in production the issuer is an https origin: %s is refused',
    (bad) => {
      expect(parseAccessSettings(bad, AUDIENCE, ROLES, false).ok).toBe(false);
    },
  );

  it.each(['[]', '{', '{"a@b.c":["god"]}', '{"a@b.c":[]}', '{"a@b.c":"audit"}'])('roles like %s are refused', (bad) => {
    expect(parseAccessSettings(issuer, AUDIENCE, bad, true).ok).toBe(false);
  });
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

  it.each([
    undefined,
    '',
    '{}',
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
