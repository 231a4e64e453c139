import type { BodyValue } from '../access.ts';
import type { BodyRefusal } from '../denial.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { parseForm } from './form-body.ts';
import { parseStrictJson } from './json-body.ts';
import { isMethodOverride } from './method-override.ts';

export type BodyKind = 'json' | 'form';

/**
 * Reads a whole request body for the rules, so strictly that no other reader can see another value in it.
 *
 * JSON (`application/json`, `application/*+json`, AWS's `application/x-amz-json-1.0` and `-1.1`) by RFC 8259 with unique keys; `application/x-www-form-urlencoded` with
 * unique names. Only UTF-8, only uncoded, never in part. A form's fields are strings, flat, named as written
 * (`metadata[order]` is one name).
 *
 * @param bytes            The whole body; the caller has bounded its size.
 * @param contentType      The request's Content-Type, or null.
 * @param contentEncoding  The request's Content-Encoding, or null; anything but `identity` is refused.
 * @returns                The value (objects have no prototype), or the first reason met. Never throws.
 */
export function parseBody(
  bytes: Uint8Array,
  contentType: string | null,
  contentEncoding: string | null,
): Result<BodyValue, BodyRefusal> {
  if (contentEncoding !== null && !/^\s*(identity)?\s*$/i.test(contentEncoding)) return err('content_coding');
  const kind = bodyKindOf(contentType);
  if (!kind.ok) return kind;
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return err('byte_order_mark');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return err('not_utf8');
  }
  const value = kind.value === 'json' ? parseStrictJson(text) : parseForm(text);
  return value.ok && namesOf(value.value).some(isMethodOverride) ? err('method_override') : value;
}

const namesOf = (value: BodyValue): string[] =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : [];

/** RFC 9110 §8.3.1: `type/subtype` and parameters, each `name=token` or `name="quoted"`. */
const MEDIA_TYPE =
  /^([!#$%&'*+.^_`|~0-9a-z-]+\/[!#$%&'*+.^_`|~0-9a-z-]+)((?:[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9a-z-]+=(?:[!#$%&'*+.^_`|~0-9a-z-]+|"[^"\\]*"))*)[ \t]*;?[ \t]*$/;

/** Which reader a Content-Type calls for. */
export function bodyKindOf(contentType: string | null): Result<BodyKind, BodyRefusal> {
  if (contentType === null || contentType.trim() === '') return err('content_type_missing');
  if (contentType.length > 256) return err('content_type_unsupported');
  // A list of two types is how a field sent twice arrives.
  if (contentType.replace(/"[^"]*"/g, '').includes(',')) return err('content_type_ambiguous');
  const match = MEDIA_TYPE.exec(contentType.trim().toLowerCase());
  if (match === null) return err('content_type_unsupported');
  const kind = kindOfMediaType(match[1] as string);
  if (kind === null) return err('content_type_unsupported');
  // RFC 2231: a charset in another coding, or in pieces. Go, Django and Werkzeug put it together, and it wins.
  if (/;[ \t]*charset\*/.test(match[2] as string)) return err('charset_unsupported');
  const charsets = [...(match[2] as string).matchAll(/;[ \t]*charset=(?:"([^"]*)"|([^;\s]*))/g)].map(
    (m) => m[1] ?? m[2],
  );
  if (charsets.length > 1) return err('content_type_ambiguous');
  if (charsets.length === 1 && charsets[0] !== 'utf-8' && charsets[0] !== 'utf8') return err('charset_unsupported');
  return ok(kind);
}

function kindOfMediaType(type: string): BodyKind | null {
  if (type === 'application/x-www-form-urlencoded') return 'form';
  if (type === 'application/json' || /^application\/(?:[a-z0-9.-]+\+json|x-amz-json-1\.[01])$/.test(type))
    return 'json';
  return null;
}
