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
  'jobtoken',
  'deploytoken',
  'authorization',
  'subscriptionkey',
  'applicationkey',
]);

/**
 * The one form of a query for policy, log and wire: byte for byte as received, but for `" ' < >`, which the URL parser
 * below would escape anyway (escaping them here keeps what is judged and signed equal to what is sent), and without any
 * place for a credential: that of the policy's own scheme, where an SDK puts the capability token, a parameter named as its
 * header is, and those of others.
 *
 * @param raw Without `?`; empty when there is none.
 */
export function canonicalQueryOf(raw: string, credential: CredentialSpec): Result<string, string> {
  if (raw === '') return ok('');
  if (raw.length > MAX_QUERY_LENGTH) return err(`it is longer than ${MAX_QUERY_LENGTH} bytes`);
  if (ILLEGAL.test(raw)) return err('it holds a space, a control character or a character outside ASCII');
  if (raw.split(/[&;]/).some((pair) => isMethodOverride(pair.split('=', 1)[0] as string)))
    return err('_method would change the method that the policy decides about');
  const param = keyParamOf(credential);
  const own = param === null ? null : looseName(param);
  const twin = credential.scheme === 'header' ? bare(credential.header.toLowerCase()) : null;
  const query = withoutParams(raw, (name) => name === own || bare(name) === twin || AUTH.has(bare(name)));
  return ok(query.replace(ESCAPED_BY_URL, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`));
}

const bare = (name: string): string => name.replace(/[-_]/g, '');

/**
 * The query parameter in which a service takes its credential: that of the `query` scheme; and at Google's APIs `key`, which
 * says the same as `x-goog-api-key`, and may win over it, so that a key of the agent's own would name another account to act in.
 */
export function keyParamOf(credential: CredentialSpec): string | null {
  if (credential.scheme === 'query') return credential.param;
  return credential.scheme === 'header' && credential.header.toLowerCase() === 'x-goog-api-key' ? 'key' : null;
}
