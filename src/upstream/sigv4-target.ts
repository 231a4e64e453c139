import type { CanonicalPath } from '../access.ts';
import { type Fault, unsignable } from '../fault.ts';
import { escapeOf, percentEncoded } from '../lib/percent-encoded.ts';
import { err, ok, type Result } from '../lib/result.ts';

/**
 * Path and query as SigV4 reads them. Servers compute the canonical request from the decoded target (AWS) or from its
 * bytes (OpenStack Swift): in the form given here both are the same.
 */

/** Query parameters of a presigned URL, lower case: the client's signature, which ours replaces. */
const PRESIGNED: ReadonlySet<string> = new Set([
  'x-amz-algorithm',
  'x-amz-credential',
  'x-amz-date',
  'x-amz-expires',
  'x-amz-signedheaders',
  'x-amz-signature',
  'x-amz-security-token',
  'x-amz-s3session-token',
  'x-amz-content-sha256',
  'awsaccesskeyid',
  'signature',
]);

/** Whether a parameter belongs to a presigned URL, and so goes no further. */
export const isPresigned = (name: string): boolean => PRESIGNED.has(name.toLowerCase());

/**
 * The path in the form that is signed and sent.
 *
 * S3: `UriEncode` of the key, every character but the unreserved ones and `/` escaped. A bare `+` is refused: S3 reads it
 * as a space, others as itself. Other services escape the path as it is, so that it stays.
 */
export function sigV4Path(path: CanonicalPath, s3: boolean): Result<CanonicalPath, Fault> {
  if (!s3) return ok(path);
  if (path.includes('+')) {
    return err(
      unsignable('path', 'a bare + in the path of an object is ambiguous: send %2B for a plus, %20 for a space'),
    );
  }
  return ok(path.replace(/[^A-Za-z0-9\-._~/%]/g, escapeOf) as CanonicalPath);
}

/**
 * The query in the form that is signed and sent: every name and value `UriEncode`d, in the order received, without a
 * presigned URL's parameters.
 *
 * Refused is what servers read differently: broken escapes, text that is no UTF-8, a value without a name, and for S3 a
 * name that comes twice (aws4fetch, AWS and Swift each take another one of the two).
 */
export function sigV4Query(query: string, s3: boolean): Result<string, Fault> {
  const pairs: string[] = [];
  const names = new Set<string>();
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decoded(equals === -1 ? pair : pair.slice(0, equals));
    const value = equals === -1 ? '' : decoded(pair.slice(equals + 1));
    if (name === null || value === null) return err(unsignable('query', 'the query holds a broken percent-escape'));
    if (name === '') return err(unsignable('query', 'the query holds a value without a name'));
    if (isPresigned(name)) continue;
    if (s3 && names.has(name)) return err(unsignable('query', 'a query parameter comes twice'));
    names.add(name);
    pairs.push(equals === -1 ? percentEncoded(name) : `${percentEncoded(name)}=${percentEncoded(value)}`);
  }
  return ok(pairs.join('&'));
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return null;
  }
}
