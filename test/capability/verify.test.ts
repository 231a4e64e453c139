import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { CompactSign, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { describe, expect, it } from 'vitest';
import { principalOf } from '../../src/capability/claims.ts';
import { mintToken, uuidV7 } from '../../src/capability/mint.ts';
import { MAX_TOKEN_BYTES, verifySignature, verifyToken } from '../../src/capability/verify.ts';
import { EXPECTED, freshJwk, freshKeys, goodClaims, NOW, signed } from './keyring.ts';

const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a capability token', () => {
  it('that we minted speaks for its agent, its session and its capabilities', async () => {
    const keys = await freshKeys();
    const minted = await mintToken(
      { agent: 'agent-1', session: 's-1', capabilities: ['stripe:refund', 'stripe:read_balance'], ttlSeconds: 900 },
      keys,
      EXPECTED,
      NOW * 1000 + 123,
    );
    const principal = await verifyToken(minted.token, keys.verifying, EXPECTED, NOW + 1);
    expect(principal).toEqual({
      ok: true,
      value: {
        agent: 'agent-1',
        session: 's-1',
        tokenId: minted.tokenId,
        issuedAtMs: NOW * 1000 + 123,
        expiresAtMs: (NOW + 900) * 1000,
        capabilities: new Set(['stripe:refund', 'stripe:read_balance']),
      },
    });
  });

  it.each(['EdDSA', 'Ed25519'])('may name the algorithm %s: RFC 8037 and RFC 9864 mean the same', async (alg) => {
    const keys = await freshKeys();
    const token = await signed(keys, goodClaims(), { alg });
    expect((await verifyToken(token, keys.verifying, EXPECTED, NOW)).ok).toBe(true);
  });

  it('may live a whole day', async () => {
    const keys = await freshKeys();
    const token = await signed(keys, { ...goodClaims(), iat: NOW, exp: NOW + 86_400 });
    expect((await verifyToken(token, keys.verifying, EXPECTED, NOW)).ok).toBe(true);
  });

  it('may come from a clock that is a minute ahead, and hold 256 capabilities', () => {
    const capabilities = Array.from({ length: 256 }, (_, i) => `bank:c${i}`);
    const claims = { ...goodClaims(), iat: NOW + 60, capabilities };
    expect(principalOf(claims, EXPECTED, NOW)).toMatchObject({
      ok: true,
      value: { capabilities: new Set(capabilities) },
    });
  });

  it('was issued when it says, though its id tells another time: a revocation of its agent is not outlived so', () => {
    for (const birth of [NOW * 1000 + 86_400_000, (NOW - 9) * 1000, (NOW - 10) * 1000 - 1])
      expect(principalOf({ ...goodClaims(), jti: uuidV7(birth) }, EXPECTED, NOW)).toMatchObject({
        value: { issuedAtMs: (NOW - 10) * 1000 },
      });
    expect(principalOf({ ...goodClaims(), jti: uuidV7((NOW - 10) * 1000 + 999) }, EXPECTED, NOW)).toMatchObject({
      value: { issuedAtMs: (NOW - 10) * 1000 + 999 },
    });
  });

  it('signed by the key before the current one still verifies', async () => {
    const before = await freshJwk('old');
    const old = await freshKeys('ignored').then(async () => {
      const { importKeys } = await import('../../src/capability/keys.ts');
      const keys = await importKeys(before, undefined);
      if (!keys.ok) throw new Error(keys.error.why);
      return keys.value;
    });
    const current = await freshKeys('new', before);
    expect([...current.verifying.keys()]).toEqual(['new', 'old']);
    const token = await signed(old, goodClaims());
    expect((await verifyToken(token, current.verifying, EXPECTED, NOW)).ok).toBe(true);
  });

  it('publishes no private part in the JWKS', async () => {
    const keys = await freshKeys('new', await freshJwk('old'));
    expect(keys.jwks.keys).toHaveLength(2);
    for (const jwk of keys.jwks.keys) expect(jwk).not.toHaveProperty('d');
  });
});

describe('threat 29: a token is refused', () => {
  const claim = (change: Record<string, unknown>) => ({ ...goodClaims(), ...change });
  const without = (name: string) => {
    const { [name]: _, ...rest } = goodClaims() as Record<string, unknown>;
    return rest;
  };
  const table: [string, Record<string, unknown>, string][] = [
    ['of another issuer', claim({ iss: 'https://evil.example' }), 'token_wrong_issuer'],
    ['for another audience', claim({ aud: 'https://other.example' }), 'token_wrong_audience'],
    ['for a list without our audience', claim({ aud: ['https://other.example'] }), 'token_wrong_audience'],
    ['for a list within a list', claim({ aud: [[EXPECTED.audience]] }), 'token_wrong_audience'],
    ['that expired this very second', claim({ exp: NOW }), 'token_expired'],
    ['issued in the future beyond clock tolerance', claim({ iat: NOW + 120 }), 'token_not_yet_valid'],
    ['not valid before later', claim({ nbf: NOW + 120 }), 'token_not_yet_valid'],
    ['that lives longer than a day', claim({ exp: NOW + 90_000 }), 'token_lifetime_exceeded'],
    ['that lives a second longer than a day', claim({ iat: NOW, exp: NOW + 86_401 }), 'token_lifetime_exceeded'],
    ['that ends before it begins', claim({ iat: NOW + 30, exp: NOW + 20 }), 'token_lifetime_exceeded'],
    ['that ends when it begins', claim({ iat: NOW + 30, exp: NOW + 30 }), 'token_lifetime_exceeded'],
    ['issued a second beyond clock tolerance', claim({ iat: NOW + 61 }), 'token_not_yet_valid'],
    [
      'of more capabilities than a token holds',
      claim({ capabilities: Array.from({ length: 257 }, (_, i) => `bank:c${i}`) }),
      'token_malformed',
    ],
    ['without jti', without('jti'), 'token_malformed'],
    ['without exp', without('exp'), 'token_malformed'],
    ['without iat', without('iat'), 'token_malformed'],
    ['without sub', without('sub'), 'token_malformed'],
    ['without capabilities', without('capabilities'), 'token_malformed'],
    ['whose exp is text', claim({ exp: String(NOW + 600) }), 'token_malformed'],
    ['whose exp is beyond all dates', claim({ exp: 1e300 }), 'token_malformed'],
    ['whose id breaks a log line', claim({ jti: 'a\nb' }), 'token_malformed'],
    ['whose sub breaks a log line', claim({ sub: 'a\nb' }), 'token_malformed'],
    ['whose capabilities are one string', claim({ capabilities: 'stripe:refund' }), 'token_malformed'],
    ['whose nbf is text', claim({ nbf: String(NOW - 10) }), 'token_malformed'],
    ['whose session is no text', claim({ sid: 7 }), 'token_malformed'],
    ['whose session breaks a log line', claim({ sid: 's-1\ns-2' }), 'token_malformed'],
  ];
  it.each(table)('%s', async (_, claims, kind) => {
    const keys = await freshKeys();
    const result = await verifyToken(await signed(keys, claims), keys.verifying, EXPECTED, NOW);
    expect(result).toMatchObject({ ok: false, error: { kind } });
  });

  const headers: [string, Record<string, unknown>, string][] = [
    ['of type JWT', { typ: 'JWT' }, 'token_wrong_type'],
    ['of the type of our audit checkpoints', { typ: 'keywarden-checkpoint+jwt' }, 'token_wrong_type'],
    ['of a type that only ends so', { typ: 'x-at+jwt' }, 'token_wrong_type'],
    ['without a type', { typ: undefined }, 'token_wrong_type'],
    ['of an unknown kid', { kid: 'other' }, 'token_untrusted'],
    ['whose kid walks a path', { kid: '../../etc/passwd' }, 'token_untrusted'],
    ['that brings its own key by URL', { jku: 'https://evil.example/jwks' }, 'token_untrusted'],
    ['that brings a certificate', { x5c: ['MIIB'] }, 'token_untrusted'],
    ['that brings a certificate by URL', { x5u: 'https://evil.example/x509' }, 'token_untrusted'],
    ['that says it is packed', { zip: 'DEF' }, 'token_untrusted'],
    ['that holds another token', { cty: 'JWT' }, 'token_untrusted'],
  ];
  it.each(headers)('%s', async (_, header, kind) => {
    const keys = await freshKeys();
    const token = await signed(keys, goodClaims(), header);
    expect(await verifyToken(token, keys.verifying, EXPECTED, NOW)).toMatchObject({ ok: false, error: { kind } });
  });

  it('that embeds the very key it is signed with', async () => {
    const keys = await freshKeys();
    const forger = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    const token = await signed({ ...keys, signingKey: forger.privateKey as CryptoKey }, goodClaims(), {
      jwk: await exportJWK(forger.publicKey),
    });
    expect(await verifyToken(token, keys.verifying, EXPECTED, NOW)).toMatchObject({
      ok: false,
      error: { kind: 'token_untrusted' },
    });
  });

  it.each([null, 7, 'claims', ['claims'], [goodClaims()]])('whose claims are no object: %j', async (claims) => {
    const keys = await freshKeys();
    const token = await new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
      .setProtectedHeader({ alg: 'EdDSA', kid: keys.signingKid, typ: 'at+jwt' })
      .sign(keys.signingKey);
    expect(await verifyToken(token, keys.verifying, EXPECTED, NOW)).toEqual({
      ok: false,
      error: { kind: 'token_malformed', why: 'claims are no object' },
    });
  });

  it.each([
    [
      'no UTF-8',
      [...Buffer.from(JSON.stringify({ ...goodClaims(), note: '@' }))].map((byte) => (byte === 0x40 ? 0xff : byte)),
    ],
    ['behind a byte order mark', [0xef, 0xbb, 0xbf, ...Buffer.from(JSON.stringify(goodClaims()))]],
  ])('whose claims are %s', async (_, payload) => {
    const keys = await freshKeys();
    const token = await new CompactSign(Uint8Array.from(payload))
      .setProtectedHeader({ alg: 'EdDSA', kid: keys.signingKid, typ: 'at+jwt' })
      .sign(keys.signingKey);
    expect(await verifyToken(token, keys.verifying, EXPECTED, NOW)).toEqual({
      ok: false,
      error: { kind: 'token_malformed', why: 'claims' },
    });
  });

  it.each([
    ['a key, and be it our own', { jwk: { kty: 'OKP', crv: 'Ed25519', x: 'AA' } }],
    ['an extension that must be understood', { crit: ['exp'] }],
    ['whether its payload is encoded', { b64: true }],
  ])('whose header names %s, before its signature is looked at', async (_, header) => {
    const keys = await freshKeys();
    const token = `${b64({ alg: 'EdDSA', kid: keys.signingKid, typ: 'at+jwt', ...header })}.${b64(goodClaims())}.AA`;
    expect(await verifyToken(token, keys.verifying, EXPECTED, NOW)).toEqual({
      ok: false,
      error: { kind: 'token_untrusted', why: 'critical_header' },
    });
  });

  it.each(['none', 'HS256', 'ES256', 'RS256', 'eddsa', 7, undefined])(
    'with the algorithm %s, before its signature is looked at',
    async (alg) => {
      const keys = await freshKeys();
      const token = `${b64({ alg, kid: keys.signingKid, typ: 'at+jwt' })}.${b64(goodClaims())}.AA`;
      expect(await verifyToken(token, keys.verifying, EXPECTED, NOW)).toEqual({
        ok: false,
        error: { kind: 'token_untrusted', why: 'bad_algorithm' },
      });
    },
  );

  it('spelt in any way but one: one token is one string', async () => {
    const keys = await freshKeys();
    const token = await signed(keys, goodClaims());
    const [header, payload, signature] = token.split('.') as [string, string, string];
    expect((await verifyToken(token, keys.verifying, EXPECTED, NOW)).ok).toBe(true);
    for (const other of [
      `${header}.${payload}.${signature}==`,
      `${header}=.${payload}.${signature}`,
      `${header}.${payload}.${signature}\n`,
      ` ${token}`,
      `${header}.${payload.slice(0, 8)} ${payload.slice(8)}.${signature}`,
    ])
      expect(await verifyToken(other, keys.verifying, EXPECTED, NOW), JSON.stringify(other.slice(-8))).toEqual({
        ok: false,
        error: { kind: 'token_malformed', why: 'no compact JWS' },
      });
  });

  it('with alg none, with a critical extension, and with the public key used as an HMAC secret', async () => {
    const keys = await freshKeys();
    const kid = keys.signingKid;
    const payload = b64(goodClaims());
    const x = Buffer.from((keys.jwks.keys[0] as { x: string }).x, 'base64url');
    const { createHmac } = await import('node:crypto');
    const hs = `${b64({ alg: 'HS256', kid, typ: 'at+jwt' })}.${payload}`;
    const tokens = [
      `${b64({ alg: 'none', kid, typ: 'at+jwt' })}.${payload}.`,
      `${b64({ alg: 'none', kid, typ: 'at+jwt' })}.${payload}.AA`,
      `${b64({ alg: 'EdDSA', kid, typ: 'at+jwt', crit: ['exp'] })}.${payload}.AA`,
      `${hs}.${createHmac('sha256', x).update(hs).digest('base64url')}`,
    ];
    for (const token of tokens)
      expect((await verifyToken(token, keys.verifying, EXPECTED, NOW)).ok, token.slice(0, 40)).toBe(false);
  });

  it('altered in any one character', async () => {
    const keys = await freshKeys();
    const token = await signed(keys, goodClaims());
    for (let i = 0; i < token.length; i += 7) {
      const other = token[i] === 'A' ? 'B' : 'A';
      const altered = token.slice(0, i) + other + token.slice(i + 1);
      const result = await verifyToken(altered, keys.verifying, EXPECTED, NOW);
      expect(result.ok, `character ${i}`).toBe(false);
    }
    // Four bits of the last one are no part of the signature.
    for (const other of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
      const altered = token.slice(0, -1) + other;
      const result = await verifyToken(altered, keys.verifying, EXPECTED, NOW);
      expect(result.ok, other).toBe(altered === token);
    }
  });

  it('whose signature is the same point by another number (RFC 8032 §5.1.7: S below the order of the group)', async () => {
    const keys = await freshKeys();
    const token = await signed(keys, goodClaims());
    const cut = token.lastIndexOf('.') + 1;
    const bytes = Buffer.from(token.slice(cut), 'base64url');
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    let s = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`) + order;
    for (let i = 32; i < 64; i++, s >>= 8n) bytes[i] = Number(s & 255n);
    const altered = token.slice(0, cut) + bytes.toString('base64url');
    expect(altered).not.toBe(token);
    expect((await verifyToken(altered, keys.verifying, EXPECTED, NOW)).ok).toBe(false);
  });

  it('altered in any way', async () => {
    const keys = await freshKeys();
    const token = await signed(keys, goodClaims());
    const place = fc.nat(token.length);
    const edit = fc.oneof(
      fc
        .tuple(place, fc.constantFrom(...'.=+/ \n\0-_AZa9%', 'é'))
        .map(([at, sign]) => token.slice(0, at) + sign + token.slice(at)),
      fc.tuple(place, fc.nat(8)).map(([at, length]) => token.slice(0, at) + token.slice(at + length)),
      fc.tuple(place, place).map(([from, to]) => token.slice(0, from) + token.slice(to)),
      fc
        .dictionary(fc.constantFrom('alg', 'kid', 'typ', 'crit', 'b64', 'jwk', 'zip', 'x'), fc.jsonValue())
        .map((more) =>
          [b64({ alg: 'EdDSA', kid: keys.signingKid, typ: 'at+jwt', ...more }), ...token.split('.').slice(1)].join('.'),
        ),
      fc.dictionary(fc.constantFrom('exp', 'iat', 'nbf', 'sub', 'capabilities', 'aud'), fc.jsonValue()).map((more) =>
        token
          .split('.')
          .with(1, b64({ ...goodClaims(), ...more }))
          .join('.'),
      ),
    );
    await fc.assert(
      fc.asyncProperty(edit, async (altered) => {
        fc.pre(altered !== token);
        expect((await verifyToken(altered, keys.verifying, EXPECTED, NOW)).ok).toBe(false);
      }),
      { seed: 29, numRuns: 400 },
    );
  });

  it('whose times are no whole seconds in their order, whoever signed it', () => {
    const time = fc.oneof(
      fc.double(),
      fc.integer(),
      fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }).map(Number),
      fc.integer({ min: -90_000, max: 90_000 }).map((seconds) => NOW + seconds),
      fc.constantFrom<unknown>(null, true, '1', [NOW], {}, NOW + 0.5, -NOW, 0, -0, 1e308),
    );
    fc.assert(
      fc.property(time, time, fc.option(time, { nil: undefined }), (iat, exp, nbf) => {
        const result = principalOf({ ...goodClaims(), iat, exp, nbf }, EXPECTED, NOW);
        if (!result.ok) return;
        expect([iat, exp, nbf ?? NOW].every(Number.isSafeInteger)).toBe(true);
        expect(exp).toBeGreaterThan(NOW);
        expect(exp).toBeLessThanOrEqual((iat as number) + 86_400);
        expect(Math.max(iat as number, (nbf as number | undefined) ?? 0)).toBeLessThanOrEqual(NOW + 60);
      }),
      { seed: 29, numRuns: 2000 },
    );
  });

  it('that is too long, and it is not even parsed', async () => {
    const keys = await freshKeys();
    const verified = async (length: number): Promise<unknown> =>
      verifyToken(`${'e'.repeat(length - 4)}.e.e`, keys.verifying, EXPECTED, NOW);
    const malformed = (why: string) => ({ ok: false, error: { kind: 'token_malformed', why } });
    expect(await verified(MAX_TOKEN_BYTES + 1)).toEqual(malformed('too long'));
    expect(await verified(MAX_TOKEN_BYTES)).toEqual(malformed('header'));
  });

  it.each(['', '.', '..', 'a.b', 'a.b.c.d', 'eyJ.e.', '{}', 'Bearer x', 'ey J.a.b', 'eyJ=.a.b'])(
    'that is no compact JWS: %j',
    async (token) => {
      const keys = await freshKeys();
      expect((await verifyToken(token, keys.verifying, EXPECTED, NOW)).ok).toBe(false);
    },
  );
});

interface Wycheproof {
  testGroups: {
    public?: JWK;
    private?: JWK;
    tests: { tcId: number; comment: string; jws: unknown; result: string }[];
  }[];
}

describe('Wycheproof JWS vectors (C2SP, testvectors_v1)', () => {
  const file = JSON.parse(
    readFileSync(new URL('../data/wycheproof-json_web_signature_test.json', import.meta.url), 'utf8'),
  ) as Wycheproof;

  it('are all refused: none is of our algorithm, whatever key they come with', async () => {
    let seen = 0;
    for (const group of file.testGroups) {
      const jwk = group.public ?? group.private ?? {};
      // The most favourable keyring a forger could wish for: the group's own key under the kid its tokens name.
      const keys = new Map<string, CryptoKey>();
      try {
        keys.set(String(jwk.kid), (await importJWK(jwk)) as CryptoKey);
      } catch {
        // Some keys are broken on purpose.
      }
      for (const test of group.tests) {
        seen++;
        const token = typeof test.jws === 'string' ? test.jws : JSON.stringify(test.jws);
        expect((await verifySignature(token, keys)).ok, `tcId ${test.tcId}: ${test.comment}`).toBe(false);
      }
    }
    expect(seen).toBe(401);
  });

  it('and the Ed25519 vector of RFC 8037 appendix A.4 is accepted', async () => {
    const key = (await importJWK(
      { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
      'EdDSA',
    )) as CryptoKey;
    // The RFC's own header has no kid; the keyring is asked through the library directly.
    const { compactVerify } = await import('jose');
    const jws =
      'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg';
    const { payload } = await compactVerify(jws, key, { algorithms: ['EdDSA', 'Ed25519'] });
    expect(new TextDecoder().decode(payload)).toBe('Example of Ed25519 signing');
    expect(await verifySignature(jws, new Map([['undefined', key]]))).toMatchObject({
      ok: false,
      error: { why: 'unknown_kid' },
    });
  });
});
