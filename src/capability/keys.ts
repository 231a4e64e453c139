import { importJWK, type JWK } from 'jose';
import { err, ok, type Result } from '../lib/result.ts';

/** The edge's token keys: one signs, up to two verify (the current and the one before it). */
export interface TokenKeys {
  readonly signingKid: string;
  readonly signingKey: CryptoKey;
  readonly verifying: ReadonlyMap<string, CryptoKey>;
  /** RFC 7517 set of the public parts. */
  readonly jwks: { readonly keys: readonly JWK[] };
}

/** What is wrong with a configured key; names the setting, never the value. */
export interface KeyProblem {
  readonly setting: 'KEYWARDEN_SIGNING_KEY' | 'KEYWARDEN_PREVIOUS_KEY';
  readonly why: string;
}

/**
 * Imports the Ed25519 keys (RFC 8037 OKP JWKs as JSON text).
 *
 * @param signing  Private JWK with `kid`.
 * @param previous JWK of the key before it; only its public part is used. Undefined or empty: there is none.
 */
export async function importKeys(
  signing: string | undefined,
  previous: string | undefined,
): Promise<Result<TokenKeys, KeyProblem>> {
  const current = parseJwk(signing);
  if (!current.ok) return err({ setting: 'KEYWARDEN_SIGNING_KEY', why: current.error });
  if (typeof current.value.d !== 'string') {
    return err({ setting: 'KEYWARDEN_SIGNING_KEY', why: 'it has no private part "d", so it cannot sign' });
  }
  const older = previous === undefined || previous === '' ? null : parseJwk(previous);
  if (older !== null && !older.ok) return err({ setting: 'KEYWARDEN_PREVIOUS_KEY', why: older.error });
  if (older !== null && older.value.kid === current.value.kid) {
    return err({ setting: 'KEYWARDEN_PREVIOUS_KEY', why: 'it has the same kid as KEYWARDEN_SIGNING_KEY' });
  }

  const publics = [current.value, ...(older === null ? [] : [older.value])].map(publicPartOf);
  try {
    const signingKey = (await importJWK(current.value, 'EdDSA')) as CryptoKey;
    const verifying = new Map<string, CryptoKey>();
    for (const jwk of publics) verifying.set(jwk.kid, (await importJWK(jwk, 'EdDSA')) as CryptoKey);
    return ok({ signingKid: current.value.kid, signingKey, verifying, jwks: { keys: publics } });
  } catch {
    // The library's message may quote key material.
    return err({ setting: 'KEYWARDEN_SIGNING_KEY', why: 'a key cannot be imported as Ed25519' });
  }
}

interface OkpJwk {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly kid: string;
  readonly x: string;
  readonly d?: string;
}

function parseJwk(text: string | undefined): Result<OkpJwk, string> {
  if (text === undefined || text === '') return err('it is not set');
  let jwk: unknown;
  try {
    jwk = JSON.parse(text);
  } catch {
    return err('it is no JSON');
  }
  if (typeof jwk !== 'object' || jwk === null) return err('it is no JSON object');
  const { kty, crv, kid, x, d } = jwk as Record<string, unknown>;
  if (kty !== 'OKP' || crv !== 'Ed25519') return err('it is no Ed25519 key (kty OKP, crv Ed25519)');
  if (typeof kid !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(kid))
    return err('it has no kid of 1 to 64 characters A-Z a-z 0-9 _ -');
  if (typeof x !== 'string') return err('it has no public part "x"');
  return ok({ kty, crv, kid, x, ...(typeof d === 'string' ? { d } : {}) });
}

const publicPartOf = (jwk: OkpJwk) => ({
  kty: jwk.kty,
  crv: jwk.crv,
  kid: jwk.kid,
  x: jwk.x,
  alg: 'EdDSA',
  use: 'sig',
});
