import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import type { Role } from '../../../src/protocol.ts';
import { Failure } from '../failure.ts';

/** A private Ed25519 key as JWK (RFC 8037 §2), with the `kid` that tokens name. */
export interface SigningJwk {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
  readonly d: string;
  readonly kid: string;
  readonly alg: 'EdDSA';
  readonly use: 'sig';
}

/** One entry of KEYWARDEN_OPERATORS: the key itself is known to the operator alone. */
export interface OperatorEntry {
  readonly id: string;
  readonly roles: readonly Role[];
  /** Hex SHA-256 of the key's text. */
  readonly sha256: string;
}

export function makeSigningKey(): SigningJwk {
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  if (jwk.x === undefined || jwk.d === undefined) throw new Error('the runtime exported an Ed25519 key without x or d');
  return { kty: 'OKP', crv: 'Ed25519', x: jwk.x, d: jwk.d, kid: thumbprintOf(jwk.x), alg: 'EdDSA', use: 'sig' };
}

/** JWK thumbprint (RFC 7638 §3, RFC 8037 §2): the `kid` follows from the key, so that two keys never share one. */
function thumbprintOf(x: string): string {
  return createHash('sha256').update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`).digest('base64url');
}

/** 256 random bits; the prefix lets secret scanners and people recognise it. */
export function makeOperatorKey(): string {
  return `kwop_${randomBytes(32).toString('base64url')}`;
}

export function operatorEntryOf(key: string, id: string, roles: readonly Role[]): OperatorEntry {
  return { id, roles, sha256: createHash('sha256').update(key).digest('hex') };
}

/**
 * Checks the text of a signing key: JSON, a private Ed25519 JWK, its halves belonging together, with a `kid`.
 *
 * @param where  what to name in the error; the key's text never appears in it.
 * @throws Failure
 */
export function checkSigningKey(text: string, where: string, mend: string): SigningJwk {
  const refuse = (why: string): never => {
    throw new Failure(`${where} is no signing key: ${why}`, mend);
  };
  let jwk: Record<string, unknown>;
  try {
    jwk = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return refuse('it is not JSON');
  }
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) return refuse('it is not a JSON object');
  if (jwk['kty'] !== 'OKP' || jwk['crv'] !== 'Ed25519') return refuse('kty must be OKP and crv Ed25519');
  if (typeof jwk['d'] !== 'string') return refuse('the private part (d) is missing');
  if (typeof jwk['kid'] !== 'string' || jwk['kid'] === '') return refuse('kid is missing');
  let x: string | undefined;
  try {
    x = createPublicKey(createPrivateKey({ key: jwk as never, format: 'jwk' })).export({ format: 'jwk' }).x;
  } catch {
    return refuse('its numbers are not an Ed25519 key');
  }
  if (x !== jwk['x']) return refuse('its public part (x) belongs to another key');
  return jwk as unknown as SigningJwk;
}

/** What to do about a key file of a state directory that holds none. */
export const REMAKE_KEY = 'delete the file and start keywarden dev again: it makes a new one';

/** @throws Failure when the text cannot be an operator key. */
export function checkOperatorKey(text: string, where: string, mend: string): string {
  const key = text.trim();
  if (!/^[\x21-\x7e]{16,512}$/.test(key)) {
    throw new Failure(`${where} holds no operator key`, mend);
  }
  return key;
}
