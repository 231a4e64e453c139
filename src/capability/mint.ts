import { SignJWT } from 'jose';
import type { ExpectedClaims } from './claims.ts';
import type { TokenKeys } from './keys.ts';

export interface Grant {
  readonly agent: string;
  readonly session: string | null;
  readonly capabilities: readonly string[];
  readonly ttlSeconds: number;
}

export interface Minted {
  readonly token: string;
  readonly tokenId: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/**
 * Signs a capability token: JWT (RFC 7519) of type `at+jwt` (RFC 9068 §2) by Ed25519 (RFC 8037).
 * Whether the grant may be given is policy and was decided before.
 *
 * @param nowMs Unix ms.
 */
export async function mintToken(grant: Grant, keys: TokenKeys, names: ExpectedClaims, nowMs: number): Promise<Minted> {
  const issuedAt = Math.floor(nowMs / 1000);
  const expiresAt = issuedAt + grant.ttlSeconds;
  const tokenId = uuidV7(nowMs);
  const token = await new SignJWT({
    capabilities: grant.capabilities,
    ...(grant.session === null ? {} : { sid: grant.session }),
  })
    .setProtectedHeader({ alg: 'EdDSA', kid: keys.signingKid, typ: 'at+jwt' })
    .setIssuer(names.issuer)
    .setAudience(names.audience)
    .setSubject(grant.agent)
    .setIssuedAt(issuedAt)
    .setExpirationTime(expiresAt)
    .setJti(tokenId)
    .sign(keys.signingKey);
  return { token, tokenId, issuedAtMs: nowMs, expiresAtMs: expiresAt * 1000 };
}

/** RFC 9562 §5.7: 48 bits of Unix ms, then randomness; so that a token id tells its birth to the millisecond. */
export function uuidV7(nowMs: number): string {
  const random = crypto.randomUUID();
  const time = Math.floor(nowMs).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`;
}
