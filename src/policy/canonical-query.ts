import { err, ok, type Result } from '../lib/result.ts';

export const MAX_QUERY_LENGTH = 16_384;

/** What the URL parser that every fetch goes through would escape in a query by itself (WHATWG URL, special-query set). */
const ESCAPED_BY_URL = /["'<>]/g;
const ILLEGAL = /[^\x21-\x7e]|#/;

/**
 * The one form of a query for policy, log and wire: byte for byte as received, but for `" ' < >`, which the URL parser
 * below would escape anyway; escaping them here keeps what is judged and signed equal to what is sent.
 *
 * @param raw Without `?`; empty when there is none.
 */
export function canonicalQueryOf(raw: string): Result<string, string> {
  if (raw === '') return ok('');
  if (raw.length > MAX_QUERY_LENGTH) return err(`it is longer than ${MAX_QUERY_LENGTH} bytes`);
  if (ILLEGAL.test(raw)) return err('it holds a space, a control character or a character outside ASCII');
  return ok(raw.replace(ESCAPED_BY_URL, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`));
}
