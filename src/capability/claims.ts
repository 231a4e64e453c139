import type { Denial } from '../denial.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { Principal } from './principal.ts';

/** 24 h: no capability token lives longer, whoever signed it. */
export const MAX_LIFETIME_SECONDS = 86_400;
/** How far ahead of ours a minting clock may be. */
export const CLOCK_TOLERANCE_SECONDS = 60;
const MAX_CAPABILITIES = 256;

const AGENT = /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$/;
const ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
const CAPABILITY = /^[a-z][a-z0-9._:-]{1,127}$/;
const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export interface ExpectedClaims {
  readonly issuer: string;
  readonly audience: string;
}

/**
 * Judges the claims of a token whose signature already holds (RFC 7519 §4.1, RFC 9068 §4, RFC 8725 §3).
 *
 * Checks, in this order: `iss`, `aud`, the form of every other claim, `nbf` and `iat`, `exp`, lifetime.
 *
 * @param now Unix time in seconds; fractions allowed.
 */
export function principalOf(claims: unknown, expected: ExpectedClaims, now: number): Result<Principal, Denial> {
  if (!isObject(claims)) return malformed('claims are no object');
  const { iss, aud, sub, iat, nbf, exp, jti, sid, capabilities } = claims;
  if (typeof iss !== 'string' || iss !== expected.issuer) return err({ kind: 'token_wrong_issuer' });
  const audiences = Array.isArray(aud) ? aud : [aud];
  if (!audiences.includes(expected.audience)) return err({ kind: 'token_wrong_audience' });

  if (typeof sub !== 'string' || !AGENT.test(sub)) return malformed('sub');
  if (typeof jti !== 'string' || !ID.test(jti)) return malformed('jti');
  if (sid !== undefined && (typeof sid !== 'string' || !ID.test(sid))) return malformed('sid');
  if (!isInstant(iat)) return malformed('iat');
  if (!isInstant(exp)) return malformed('exp');
  if (nbf !== undefined && !isInstant(nbf)) return malformed('nbf');
  if (!isCapabilityList(capabilities)) return malformed('capabilities');

  if (Math.max(iat, nbf ?? iat) > now + CLOCK_TOLERANCE_SECONDS) return err({ kind: 'token_not_yet_valid' });
  if (exp <= now) return err({ kind: 'token_expired' });
  if (exp - iat > MAX_LIFETIME_SECONDS || exp <= iat) return err({ kind: 'token_lifetime_exceeded' });

  return ok({
    agent: sub,
    session: sid ?? null,
    tokenId: jti,
    issuedAtMs: issuedAtMsOf(jti, iat),
    expiresAtMs: exp * 1000,
    capabilities: new Set(capabilities),
  });
}

/** A UUIDv7 tells the millisecond, `iat` only the second; they must agree, or `iat` is believed. */
function issuedAtMsOf(jti: string, iat: number): number {
  const parts = UUID_V7.exec(jti);
  if (parts === null) return iat * 1000;
  const ms = Number.parseInt(`${parts[1]}${parts[2]}`, 16);
  return Math.floor(ms / 1000) === iat ? ms : iat * 1000;
}

const malformed = (why: string): Result<never, Denial> => err({ kind: 'token_malformed', why });

const isObject = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && !Array.isArray(x);

/** NumericDate (RFC 7519 §2), whole seconds, within what JavaScript dates can express. */
const isInstant = (x: unknown): x is number => typeof x === 'number' && Number.isSafeInteger(x) && x > 0 && x < 8.64e12;

const isCapabilityList = (x: unknown): x is string[] =>
  Array.isArray(x) && x.length <= MAX_CAPABILITIES && x.every((c) => typeof c === 'string' && CAPABILITY.test(c));
