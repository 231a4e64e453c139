import { type Fault, fault } from '../../fault.ts';
import { err, ok, type Result } from '../../lib/result.ts';

/**
 * The fields, to the letter, whose content coding (RFC 9110 §8.4.1) the runtime undoes by itself when a body is read. It knows
 * no other spelling: of a `GZIP`, an `x-gzip` or a `gzip, identity` it gives the coded bytes.
 */
const DECODED_BY_RUNTIME: ReadonlySet<string> = new Set(['gzip', 'br']);

/**
 * Whether a body that must be scrubbed can be read.
 *
 * @param contentEncoding  The Content-Encoding field, or null.
 * @returns `decoded`: whether the runtime takes a coding off, so that Content-Length, Content-Encoding and digests
 *          of the coded bytes are no longer true; or an `upstream_coding_unsupported` fault.
 */
export function decodable(contentEncoding: string | null): Result<{ readonly decoded: boolean }, Fault> {
  const codings = (contentEncoding ?? '')
    .split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity');
  if (codings.length === 0) return ok({ decoded: false });
  if (contentEncoding !== null && DECODED_BY_RUNTIME.has(contentEncoding)) return ok({ decoded: true });
  return err(
    fault('upstream_coding_unsupported', 'the answer has a content coding in which a credential could not be found'),
  );
}
