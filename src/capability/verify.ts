import { compactVerify, decodeProtectedHeader } from 'jose';
import type { Denial } from '../denial.ts';
import { hasCanonicalSignature } from '../lib/jws-signature.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { type ExpectedClaims, principalOf } from './claims.ts';
import type { Principal } from './principal.ts';

export const MAX_TOKEN_BYTES = 8192;

/** RFC 8037 names the algorithm EdDSA; RFC 9864 names the same thing Ed25519. Nothing else is accepted. */
const ALGORITHMS = ['EdDSA', 'Ed25519'];

/** Strict compact JWS: three unpadded base64url parts, none empty (RFC 7515 §7.1). */
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** A key that travels in the token proves nothing (RFC 8725 §3.10); extensions we do not know must not be ignored (RFC 7515 §4.1.11). */
const REFUSED_HEADERS = ['jwk', 'jku', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'cty'];

/**
 * Checks a compact JWS against the trusted keys and returns its payload; claims are not judged here.
 *
 * @param keys Public keys by `kid`; an unknown `kid` is `token_untrusted`, never a fetch.
 */
export async function verifySignature(
  token: string,
  keys: ReadonlyMap<string, CryptoKey>,
): Promise<Result<{ readonly typ: unknown; readonly payload: Uint8Array }, Denial>> {
  if (token.length > MAX_TOKEN_BYTES) return err({ kind: 'token_malformed', why: 'too long' });
  if (!COMPACT.test(token)) return err({ kind: 'token_malformed', why: 'no compact JWS' });
  let header: ReturnType<typeof decodeProtectedHeader>;
  try {
    header = decodeProtectedHeader(token);
  } catch {
    return err({ kind: 'token_malformed', why: 'header' });
  }
  if (REFUSED_HEADERS.some((name) => name in header)) return err({ kind: 'token_untrusted', why: 'critical_header' });
  if (typeof header.alg !== 'string' || !ALGORITHMS.includes(header.alg)) {
    return err({ kind: 'token_untrusted', why: 'bad_algorithm' });
  }
  const key = typeof header.kid === 'string' ? keys.get(header.kid) : undefined;
  if (key === undefined) return err({ kind: 'token_untrusted', why: 'unknown_kid' });
  // Another text would not be the token to what keeps it from travelling on.
  if (!hasCanonicalSignature(token)) return err({ kind: 'token_untrusted', why: 'bad_signature' });
  try {
    const { payload } = await compactVerify(token, key, { algorithms: ALGORITHMS });
    return ok({ typ: header.typ, payload });
  } catch {
    return err({ kind: 'token_untrusted', why: 'bad_signature' });
  }
}

/**
 * Verifies a capability token and returns the principal it speaks for.
 *
 * Checks, in this order: size, JWS form, header, signature, `typ` (RFC 9068 §2.1), then the claims of {@link principalOf}.
 * This does NOT check revocation, nor whether a capability covers an access: see the ledger and `decide`.
 *
 * @param token Compact JWS as received.
 * @param now   Unix time in seconds; passed in, so that tests own the clock.
 * @returns The principal, or the first `Denial` met. Never throws on bad input.
 */
export async function verifyToken(
  token: string,
  keys: ReadonlyMap<string, CryptoKey>,
  expected: ExpectedClaims,
  now: number,
): Promise<Result<Principal, Denial>> {
  const verified = await verifySignature(token, keys);
  if (!verified.ok) return verified;
  const { typ, payload } = verified.value;
  if (typeof typ !== 'string' || !/^(application\/)?at\+jwt$/i.test(typ)) return err({ kind: 'token_wrong_type' });
  let claims: unknown;
  try {
    claims = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload));
  } catch {
    return err({ kind: 'token_malformed', why: 'claims' });
  }
  return principalOf(claims, expected, now);
}
