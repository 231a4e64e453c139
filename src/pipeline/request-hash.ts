import { sha256Hex } from '../lib/digest.ts';

/**
 * Binds a record (and later an approval) to exactly one request: SHA-256 over method, origin, path, query and, when a
 * rule read it, the body's digest. Each part is length-prefixed by JSON, so that no two requests join to the same text.
 */
export function requestHashOf(parts: {
  readonly method: string;
  readonly origin: string;
  readonly path: string;
  readonly query: string;
  readonly body: Uint8Array | null;
}): string {
  const body = parts.body === null ? null : sha256Hex(parts.body);
  return sha256Hex(JSON.stringify([1, parts.method, parts.origin, parts.path, parts.query, body]));
}
