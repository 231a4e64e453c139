import { CompactSign } from 'jose';
import type { TokenKeys } from './keys.ts';

/**
 * Signs an audit checkpoint: a compact JWS (RFC 7515) of type `keywarden-checkpoint+jwt`, by the key that signs tokens.
 * The type keeps it from ever being taken for a token (RFC 8725 §3.11).
 *
 * @param nowMs Unix ms.
 */
export async function signCheckpoint(
  checkpoint: object,
  keys: TokenKeys,
  issuer: string,
  nowMs: number,
): Promise<string> {
  const payload = new TextEncoder().encode(
    JSON.stringify({ iss: issuer, iat: Math.floor(nowMs / 1000), ...checkpoint }),
  );
  return new CompactSign(payload)
    .setProtectedHeader({ alg: 'EdDSA', kid: keys.signingKid, typ: 'keywarden-checkpoint+jwt' })
    .sign(keys.signingKey);
}
