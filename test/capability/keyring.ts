import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { importKeys, type TokenKeys } from '../../src/capability/keys.ts';

export const EXPECTED = { issuer: 'https://edge.example', audience: 'https://edge.example' };
export const NOW = 1_800_000_000;

/** A fresh Ed25519 private JWK as text. */
export async function freshJwk(kid: string): Promise<string> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  return JSON.stringify({ ...(await exportJWK(privateKey)), kid });
}

export async function freshKeys(kid = 'k1', previous?: string): Promise<TokenKeys> {
  const keys = await importKeys(await freshJwk(kid), previous);
  if (!keys.ok) throw new Error(keys.error.why);
  return keys.value;
}

export const goodClaims = () => ({
  iss: EXPECTED.issuer,
  aud: EXPECTED.audience,
  sub: 'agent-1',
  iat: NOW - 10,
  exp: NOW + 600,
  jti: 'token-1',
  capabilities: ['stripe:read_balance'],
});

/** Signs any claims under any header: what a forger with our key could not do, and what a forger without it tries. */
export function signed(
  keys: TokenKeys,
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'EdDSA', kid: keys.signingKid, typ: 'at+jwt', ...header })
    .sign(keys.signingKey);
}
