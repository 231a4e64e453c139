import { looseName, withoutParams } from '../lib/query-params.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { isMethodOverride } from './method-override.ts';
import type { CredentialSpec } from './ruled.ts';

export const MAX_QUERY_LENGTH = 16_384;

/** What the URL parser that every fetch goes through would escape in a query by itself (WHATWG URL, special-query set). */
const ESCAPED_BY_URL = /["'<>]/g;
const ILLEGAL = /[^\x21-\x7e]|#/;

/**
 * Where some API somewhere looks for a credential, by the name without its separators: `api_key`, `API-Key`, `access_token`
 * (RFC 6750 §2.3). Only ours may leave; `key` and `token` alone mean other things at most services, and stay.
 */
const AUTH: ReadonlySet<string> = new Set([
  'apikey',
  'xapikey',
  'apitoken',
  'apisecret',
  'accesstoken',
  'authtoken',
  'oauthtoken',
  'bearertoken',
  'privatetoken',
  'authorization',
  'subscriptionkey',
]);

/**
 * The one form of a query for policy, log and wire: byte for byte as received, but for `" ' < >`, which the URL parser
 * below would escape anyway (escaping them here keeps what is judged and signed equal to what is sent), and without any
 * place for a credential: that of the policy's own scheme, where an SDK puts the capability token, and those of others.
 *
 * @param raw Without `?`; empty when there is none.
 */
export function canonicalQueryOf(raw: string, credential: CredentialSpec): Result<string, string> {
  if (raw === '') return ok('');
  if (raw.length > MAX_QUERY_LENGTH) return err(`it is longer than ${MAX_QUERY_LENGTH} bytes`);
  if (ILLEGAL.test(raw)) return err('it holds a space, a control character or a character outside ASCII');
  if (raw.split(/[&;]/).some((pair) => isMethodOverride(pair.split('=', 1)[0] as string)))
    return err('_method would change the method that the policy decides about');
  const own = credential.scheme === 'query' ? looseName(credential.param) : null;
  const query = withoutParams(raw, (name) => name === own || AUTH.has(name.replace(/[-_]/g, '')));
  return ok(query.replace(ESCAPED_BY_URL, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`));
}
