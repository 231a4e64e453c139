import { createHash, createPrivateKey, createPublicKey, type JsonWebKey } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { importJWK, jwtVerify, SignJWT } from 'jose';
import { afterAll, describe, expect, it } from 'vitest';
import { keywarden, scratch } from './command-line.ts';

const place = scratch();
afterAll(() => place.remove());

interface Made {
  KEYWARDEN_SIGNING_KEY: string;
  KEYWARDEN_OPERATORS: string;
  KEYWARDEN_OPERATOR_KEY: string;
}

describe('keywarden keys create', () => {
  it('makes an Ed25519 key with kid, and an operator of whom the edge learns only the hash', async () => {
    const { code, stdout } = await keywarden(['keys', 'create', '--json', '--operator', 'ci', '--roles', 'mint,audit']);
    expect(code).toBe(0);
    const made = JSON.parse(stdout) as Made;
    const jwk = JSON.parse(made.KEYWARDEN_SIGNING_KEY) as JsonWebKey & { kid: string };
    const signed = await new SignJWT({})
      .setProtectedHeader({ alg: 'EdDSA' })
      .sign(createPrivateKey({ key: jwk, format: 'jwk' }));
    await expect(
      jwtVerify(signed, createPublicKey(createPrivateKey({ key: jwk, format: 'jwk' }))),
    ).resolves.toMatchObject({ protectedHeader: { alg: 'EdDSA' } });
    // As the edge publishes it: the public half alone verifies what the private one signed.
    const published = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: jwk.x ?? '' }, 'EdDSA');
    await expect(jwtVerify(signed, published)).resolves.toMatchObject({ protectedHeader: { alg: 'EdDSA' } });
    expect(jwk.kid).toMatch(/^[\w-]{43}$/);
    expect(JSON.parse(made.KEYWARDEN_OPERATORS)).toEqual([
      {
        id: 'ci',
        roles: ['mint', 'audit'],
        sha256: createHash('sha256').update(made.KEYWARDEN_OPERATOR_KEY).digest('hex'),
      },
    ]);
    expect(made.KEYWARDEN_OPERATORS).not.toContain(made.KEYWARDEN_OPERATOR_KEY);
  });

  it('never makes the same twice', async () => {
    const [a, b] = await Promise.all([
      keywarden(['keys', 'create', '--json']),
      keywarden(['keys', 'create', '--json']),
    ]);
    expect(JSON.parse(a.stdout)).not.toEqual(JSON.parse(b.stdout));
  });

  it('prints the lines that set them, ready to paste', async () => {
    const { stdout } = await keywarden(['keys', 'create']);
    expect(stdout).toMatch(/^printf '%s' '\{"kty":.*' \| npx wrangler secret put KEYWARDEN_SIGNING_KEY$/m);
    expect(stdout).toMatch(/\| npx wrangler secret put KEYWARDEN_OPERATORS$/m);
  });

  it('writes a file of mode 0600, and never over one that exists', async () => {
    const file = join(place.path, 'keys.env');
    const { code, stdout } = await keywarden(['keys', 'create', '--out', file]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const before = readFileSync(file, 'utf8');
    const again = await keywarden(['keys', 'create', '--out', file]);
    expect(again.code).toBe(125);
    expect(again.stderr).toContain('exists already');
    expect(readFileSync(file, 'utf8')).toBe(before);
  });
});
