import { sha256Hex } from '../lib/digest.ts';
import type { Fields } from '../lib/fields.ts';

/**
 * Binds a record to exactly one request: SHA-256 over method, origin, path, query and, when it was read, the body's digest.
 * Each part is length-prefixed by JSON, so that no two requests join to the same text.
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

/**
 * Fields that SDKs fill anew on every attempt and that say nothing of what is done: who calls, tracing, retry counters, and
 * idempotency keys (which can only make less happen). Whatever is not named here is bound.
 */
const UNBOUND =
  /^(user-agent|accept-encoding|content-length|date|idempotency-key|traceparent|tracestate|baggage|sentry-trace|x-b3-.*|x-request-id|x-client-request-id|x-correlation-id|x-stripe-client-(telemetry|user-agent)|x-stainless-.*|x-goog-api-client|x-amz-date|x-amz-user-agent|amz-sdk-(invocation-id|request))$/;

/** The fields that an approval binds, by name. */
export const boundFields = (fields: Fields): (readonly [name: string, value: string])[] =>
  [...fields].filter(([name]) => !UNBOUND.test(name)).sort(([a], [b]) => (a < b ? -1 : 1));

/**
 * Binds an approval: to one agent in one session, by one capability under one policy, for one request to the byte, with its
 * header fields. Whatever changes is another question.
 */
export function bindingOf(parts: {
  readonly agent: string;
  readonly session: string | null;
  readonly capability: string;
  readonly method: string;
  readonly origin: string;
  readonly path: string;
  readonly query: string;
  readonly fields: Fields;
  readonly body: Uint8Array;
  readonly policyHash: string;
}): string {
  const { agent, session, capability, method, origin, path, query, fields, body, policyHash } = parts;
  return sha256Hex(
    JSON.stringify([
      'keywarden.approval.1',
      agent,
      session,
      capability,
      method,
      origin,
      path,
      query,
      boundFields(fields),
      sha256Hex(body),
      policyHash,
    ]),
  );
}
