import type { CanonicalPath } from '../access.ts';
import type { PathRefusal } from '../denial.ts';
import { err, ok, type Result } from '../lib/result.ts';

/** Most bytes of a whole path, of one segment (an S3 key's 1,024 bytes, all escaped, fit), and most segments. */
const MAX_PATH_BYTES = 8192;
const MAX_SEGMENT_BYTES = 3072;
const MAX_SEGMENTS = 128;

const UNRESERVED = /^[A-Za-z0-9\-._~]$/;
/** `pchar` of RFC 3986 §3.3 without `;` (refused: path parameters) and without `%` (handled before). */
const PCHAR = /^[A-Za-z0-9\-._~!$&'()*+,=:@]$/;
const HEX_PAIR = /^[0-9A-Fa-f]{2}$/;
const PERCENT = 0x25;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The one canonical form of a request path, which policy, log and wire share (RFC 3986 §6.2.2).
 *
 * Escapes of unreserved characters are decoded and all other escapes upper-cased; nothing else is changed. What could
 * be read in two ways (dot segments, empty segments, escaped separators or percent signs, `;`, controls, bytes that are
 * no UTF-8) is refused, never resolved: a second reader behind us might resolve it otherwise.
 *
 * @param raw           What follows `/proxy/<service>` on the request line, without query; begins with `/`.
 * @param escapedSlash  Whether `%2F` is a slash to the service. Then it becomes one here, before anything else: what is
 *                      judged and what is sent have plain slashes alone.
 * @param escapedPercent Whether `%25` is a percent sign to the service, which decodes once. It stays; what would be no
 *                      path if it were decoded once more is refused all the same.
 * @returns             The path, or the first reason met. Never throws. Idempotent: a canonical path is its own canonical form.
 */
export function canonicalPathOf(
  raw: string,
  escapedSlash = false,
  escapedPercent = false,
): Result<CanonicalPath, PathRefusal> {
  if (raw.length === 0) return err('empty');
  if (raw.length > MAX_PATH_BYTES) return err('too_long');
  if (raw[0] !== '/') return err('illegal_character');

  const segments = (escapedSlash ? raw.replace(/%2f/gi, '/') : raw).slice(1).split('/');
  if (segments.length > MAX_SEGMENTS + 1) return err('too_many_segments');
  const canonical: string[] = [];
  for (const [i, segment] of segments.entries()) {
    if (segment === '') {
      // Only the last may be empty: that is a trailing slash, or the root itself.
      if (i !== segments.length - 1) return err('empty_segment');
      canonical.push('');
      continue;
    }
    const one = canonicalSegmentOf(segment, escapedPercent);
    if (!one.ok) return one;
    canonical.push(one.value);
  }
  return ok(`/${canonical.join('/')}` as CanonicalPath);
}

function canonicalSegmentOf(segment: string, escapedPercent: boolean): Result<string, PathRefusal> {
  if (segment.length > MAX_SEGMENT_BYTES) return err('segment_too_long');
  let out = '';
  for (let i = 0; i < segment.length; i++) {
    const char = segment[i] as string;
    if (char === '%') {
      const pair = segment.slice(i + 1, i + 3);
      if (!HEX_PAIR.test(pair)) return err('bad_escape');
      const byte = Number.parseInt(pair, 16);
      const refusal = escapeRefusal(byte);
      if (refusal !== null && !(byte === PERCENT && escapedPercent)) return err(refusal);
      const decoded = String.fromCharCode(byte);
      out += byte < 0x80 && UNRESERVED.test(decoded) ? decoded : `%${pair.toUpperCase()}`;
      i += 2;
    } else if (PCHAR.test(char)) {
      out += char;
    } else {
      return err(characterRefusal(char));
    }
  }
  if (out === '.' || out === '..') return err('dot_segment');
  return textRefusal(out, escapedPercent);
}

function escapeRefusal(byte: number): PathRefusal | null {
  if (byte < 0x20 || byte === 0x7f) return 'control_character';
  if (byte === 0x2f || byte === 0x5c) return 'encoded_separator';
  if (byte === PERCENT) return 'double_encoding';
  if (byte === 0x3b) return 'path_parameter';
  return null;
}

function characterRefusal(char: string): PathRefusal {
  const code = char.charCodeAt(0);
  if (code < 0x20 || code === 0x7f) return 'control_character';
  if (code > 0x7f) return 'non_ascii';
  if (char === '\\') return 'backslash';
  if (char === ';') return 'path_parameter';
  return 'illegal_character';
}

/** What a reader that trims, or takes out what cannot be seen, does not see. */
const UNSEEN = /[\s\p{Default_Ignorable_Code_Point}]/gu;

/**
 * Refuses what is no UTF-8, and what a normalising reader (Unicode NFKC) would take for a separator, an escape or a dot
 * segment. A full-width percent sign or semicolon alone is a character of names.
 */
function textRefusal(segment: string, escapedPercent: boolean): Result<string, PathRefusal> {
  if (!segment.includes('%')) return ok(segment);
  const text = decodedSegmentOf(segment);
  if (text === null) return err('not_utf8');
  // C1 controls, and the two line separators that some readers end a line at.
  if (/[\u0080-\u009f\u2028\u2029]/.test(text)) return err('control_character');
  const folded = text.normalize('NFKC');
  if (/^\.\.?(?:;|$)/.test(folded.replace(UNSEEN, ''))) return err('dot_segment');
  if (/[/\\]/.test(folded)) return err('encoded_separator');
  if (ESCAPE.test(folded) && !(escapedPercent && isSegmentOnceMore(folded))) return err('double_encoding');
  return ok(segment);
}

const ESCAPE = /%[0-9a-f]{2}/i;

/** Whether a second decoding, which this service does not do, would find nothing but a name either. */
function isSegmentOnceMore(text: string): boolean {
  const escaped = text.replace(/%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~]/gu, (part) =>
    // A percent sign that begins no escape is one of a name.
    part === '%' ? '_' : part.length === 3 ? part : encodeURIComponent(part),
  );
  return canonicalSegmentOf(escaped, false).ok;
}

/** A canonical segment's text, percent-decoded; null when its bytes are no UTF-8 (never for a canonical one). */
export function decodedSegmentOf(segment: string): string | null {
  if (!segment.includes('%')) return segment;
  const bytes: number[] = [];
  for (let i = 0; i < segment.length; i++) {
    if (segment[i] === '%') {
      bytes.push(Number.parseInt(segment.slice(i + 1, i + 3), 16));
      i += 2;
    } else bytes.push(segment.charCodeAt(i));
  }
  try {
    return utf8.decode(Uint8Array.from(bytes));
  } catch {
    return null;
  }
}
