import { CompactSign } from 'jose';
import { CHECKPOINT_TYPE } from '../lib/jws-signature.ts';
import type { TokenKeys } from './keys.ts';

/**
 * Signs an audit checkpoint: a compact JWS (RFC 7515) by the key that signs tokens.
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
    .setProtectedHeader({ alg: 'EdDSA', kid: keys.signingKid, typ: CHECKPOINT_TYPE })
    .sign(keys.signingKey);
}
