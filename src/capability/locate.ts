import type { Denial } from '../denial.ts';
import type { Fields } from '../lib/fields.ts';
import { err, ok, type Result } from '../lib/result.ts';

/** Where, besides the well-known places, this service's client puts the vendor's key. */
export interface TokenPlaces {
  /** Lower-case header name of a `header` scheme, or null. */
  readonly header: string | null;
  /** What that scheme puts before the key (`SSWS `), or nothing. */
  readonly prefix?: string;
  /** Parameter name of a `query` scheme, or null. */
  readonly queryParam: string | null;
}

const KEY_HEADERS = ['x-api-key', 'x-goog-api-key', 'x-amz-security-token', 'api-key'];

/** What a capability token begins with: base64url of `{"`. A vendor's key or a dummy does not. */
const looksLikeToken = (s: string): boolean => s.startsWith('eyJ') && s.includes('.');

/**
 * Finds the capability token where an SDK puts the vendor's key: `Authorization` as `Bearer T`, `token T`, bare `T`, or
 * Basic with T as user name or password (RFC 7617); `x-api-key` and its like; the session token or access key id of SigV4, presigned too;
 * and the place that the service's own scheme uses.
 *
 * Exactly one distinct token may come. Two different ones are `token_ambiguous`: which of them a
 * second reader would believe is unknown (threat 14).
 */
export function locateToken(fields: Pick<Fields, 'get'>, query: string, places: TokenPlaces): Result<string, Denial> {
  const found = new Map<string, string>();
  let somethingElse = false;
  const offer = (place: string, value: string): void => {
    if (value === '') return;
    if (looksLikeToken(value)) found.set(value, place);
    else somethingElse = true;
  };

  const authorization = fields.get('authorization') ?? null;
  if (authorization !== null) {
    const bare = places.header === 'authorization' ? withoutPrefix(authorization.trim(), places.prefix) : authorization;
    for (const value of authorizationValues(bare)) offer('authorization', value);
  }
  for (const name of places.header === null ? KEY_HEADERS : [...KEY_HEADERS, places.header]) {
    const value = name === 'authorization' ? null : (fields.get(name) ?? null);
    if (value !== null) offer(name, name === places.header ? withoutPrefix(value.trim(), places.prefix) : value.trim());
  }
  if (query !== '') {
    const params = new URLSearchParams(query);
    for (const [name, value] of params) {
      if (name === places.queryParam || name === 'X-Amz-Security-Token') offer('query', value);
      if (name === 'X-Amz-Credential') for (const id of accessKeyIdOf(value)) offer('query', id);
    }
  }

  const [first, ...more] = found;
  if (more.length > 0) return err({ kind: 'token_ambiguous', places: [...found.values()] });
  if (first !== undefined) return ok(first[0]);
  return err(
    somethingElse
      ? { kind: 'token_malformed', why: 'no capability token among what was sent' }
      : { kind: 'token_missing' },
  );
}

/** An SDK of such a service sends `SSWS T`; curl perhaps `T`. Scheme names are case-insensitive (RFC 9110 §11.1). */
function withoutPrefix(value: string, prefix = ''): string {
  const begins = prefix !== '' && value.slice(0, prefix.length).toLowerCase() === prefix.toLowerCase();
  return begins ? value.slice(prefix.length).trim() : value;
}

function authorizationValues(value: string): string[] {
  const trimmed = value.trim();
  const scheme = /^([A-Za-z0-9-]+) +(.*)$/s.exec(trimmed);
  if (scheme === null) return [trimmed];
  const [, name = '', rest = ''] = scheme;
  switch (name.toLowerCase()) {
    case 'bearer':
    case 'token':
      return [rest.trim()];
    case 'basic':
      return basicParts(rest.trim());
    case 'aws4-hmac-sha256': {
      return accessKeyIdOf(/(?:^|[ ,])Credential=([^,\s]+)/.exec(rest)?.[1] ?? '');
    }
    default:
      return [trimmed];
  }
}

/** A SigV4 client always sends some access key id, header or presigned; unless it is the token it is a dummy and says nothing. */
function accessKeyIdOf(credential: string): string[] {
  const id = credential.split('/', 1)[0] as string;
  return looksLikeToken(id) ? [id] : [];
}

function basicParts(encoded: string): string[] {
  let pair: string;
  try {
    pair = atob(encoded);
  } catch {
    return [encoded];
  }
  const colon = pair.indexOf(':');
  const parts = colon < 0 ? [pair] : [pair.slice(0, colon), pair.slice(colon + 1)];
  const tokens = parts.filter(looksLikeToken);
  return tokens.length > 0 ? tokens : [pair];
}
