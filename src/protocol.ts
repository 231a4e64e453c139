import { en } from 'zod/locales';
import * as z from 'zod/mini';

// The small build of zod has no words of its own; a precise message is worth its 2 KB.
z.config(en());

/**
 * The schemas of our own HTTP API: what the edge validates with, what `openapi.json` is made from, and the one file
 * of the Worker that the command line and the console may import. Field names are snake_case, times RFC 3339 in UTC.
 */

/** An agent's id: the token's `sub` (RFC 7519 §4.1.2). Printable, bounded, safe in logs and URLs. */
export const AgentId = z
  .string()
  .check(
    z.regex(
      /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$/,
      'an agent id is 1 to 128 of A-Z a-z 0-9 . _ : @ / - and begins with a letter or digit',
    ),
    z.describe('Agent id: the sub of its tokens'),
  );

/** A session's id: the token's `sid`. */
export const SessionId = z
  .string()
  .check(
    z.regex(
      /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/,
      'a session id is 1 to 128 of A-Z a-z 0-9 . _ : - and begins with a letter or digit',
    ),
    z.describe('Session id: the sid of its tokens'),
  );

/** A capability's full name. */
export const CapabilityName = z
  .string()
  .check(
    z.regex(/^[a-z][a-z0-9._:-]{1,127}$/, 'a capability is written service:name, as in stripe:read_balance'),
    z.describe('Capability, service:name'),
  );

export const MAX_TTL_SECONDS = 86_400;
export const DEFAULT_TTL_SECONDS = 900;

export const MintRequest = z.strictObject({
  agent_id: AgentId,
  capabilities: z
    .array(CapabilityName)
    .check(z.minLength(1, 'name at least one capability'), z.maxLength(100, 'at most 100 capabilities a token')),
  ttl_seconds: z.optional(
    z
      .int()
      .check(
        z.minimum(1),
        z.maximum(MAX_TTL_SECONDS, `a token lives at most ${MAX_TTL_SECONDS} seconds (24 h)`),
        z.describe('Lifetime in seconds, 900 unless said'),
      ),
  ),
  session_id: z.optional(SessionId),
});
export type MintRequest = z.infer<typeof MintRequest>;

export const MintResponse = z.object({
  token: z.string(),
  agent_id: AgentId,
  capabilities: z.array(CapabilityName),
  expires_at: z.iso.datetime(),
  token_id: z.string(),
  session_id: z.optional(SessionId),
  warning: z.optional(z.string()),
});
export type MintResponse = z.infer<typeof MintResponse>;

export const RevokeRequest = z.union([
  z.strictObject({ token_id: z.string().check(z.minLength(1), z.maxLength(128)), agent_id: z.optional(AgentId) }),
  z.strictObject({ token: z.string().check(z.minLength(1), z.maxLength(8192)) }),
  z.strictObject({ session_id: SessionId }),
  z.strictObject({ agent_id: AgentId }),
]);
export type RevokeRequest = z.infer<typeof RevokeRequest>;

export const RevokeResponse = z.object({
  revoked: z.enum(['token', 'session', 'agent']),
  /** The agents in whose ledgers the revocation stands. */
  agents: z.array(AgentId),
});
export type RevokeResponse = z.infer<typeof RevokeResponse>;

export const LimitLeft = z.object({
  name: z.string(),
  quota: z.int(),
  window_seconds: z.number(),
  remaining: z.int(),
  reset_seconds: z.int(),
});

export const CapabilitiesResponse = z.object({
  agent_id: AgentId,
  session_id: z.nullable(SessionId),
  token_id: z.string(),
  expires_at: z.iso.datetime(),
  capabilities: z.array(
    z.object({
      name: CapabilityName,
      title: z.string(),
      description: z.string(),
      service: z.string(),
      base_url: z.string(),
      allow: z.array(z.string()),
      deny: z.array(z.string()),
      when: z.nullable(z.string()),
      approval: z.boolean(),
      limit: z.nullable(LimitLeft),
    }),
  ),
  /** Names in the token that no policy defines any more. */
  unknown: z.array(z.string()),
  agent_limit: z.nullable(LimitLeft),
});
export type CapabilitiesResponse = z.infer<typeof CapabilitiesResponse>;

const nullableText = z.nullable(z.string());
const nullableInt = z.nullable(z.int());

/** One audit row; every field is covered by `hash` = SHA-256(prev_hash ‖ canonical row). */
export const AuditRowJson = z.object({
  ledger: z.string(),
  seq: z.int(),
  at: z.iso.datetime(),
  event: z.string(),
  request_id: z.string(),
  agent: nullableText,
  session: nullableText,
  token_id: nullableText,
  capability: nullableText,
  service: nullableText,
  method: nullableText,
  path: nullableText,
  query_names: nullableText,
  decision: z.nullable(z.enum(['allow', 'deny'])),
  reason: nullableText,
  status: nullableInt,
  request_bytes: nullableInt,
  response_bytes: nullableInt,
  duration_ms: z.nullable(z.number()),
  redactions: nullableInt,
  request_hash: nullableText,
  policy_hash: nullableText,
  operator: nullableText,
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  prev_hash: z.string(),
  hash: z.string(),
});
export type AuditRowJson = z.infer<typeof AuditRowJson>;

export const AuditQuery = z.strictObject({
  agent: z.optional(AgentId),
  session: z.optional(SessionId),
  capability: z.optional(CapabilityName),
  service: z.optional(z.string()),
  event: z.optional(z.string()),
  decision: z.optional(z.enum(['allow', 'deny'])),
  reason: z.optional(z.string()),
  request_id: z.optional(z.string()),
  since: z.optional(z.iso.datetime()),
  until: z.optional(z.iso.datetime()),
  limit: z.optional(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(1000))),
  cursor: z.optional(z.string()),
});
export type AuditQuery = z.infer<typeof AuditQuery>;

export const AuditListResponse = z.object({
  rows: z.array(AuditRowJson),
  next_cursor: nullableText,
  /** Rows that D1 has not taken yet, so that they are not among these; absent when there are none. */
  waiting_rows: z.optional(z.int()),
});
export type AuditListResponse = z.infer<typeof AuditListResponse>;

export const AuditProblem = z.object({ ledger: z.string(), seq: nullableInt, problem: z.string() });

export const AuditVerifyResponse = z.object({
  ok: z.boolean(),
  rows: z.int(),
  ledgers: z.int(),
  problems: z.array(AuditProblem),
  heads: z.array(z.object({ ledger: z.string(), seq: z.int(), hash: z.string() })),
});
export type AuditVerifyResponse = z.infer<typeof AuditVerifyResponse>;

export const Health = z.object({
  status: z.enum(['ok', 'broken']),
  policy_hash: z.string(),
  services: z.array(z.string()),
  notes: z.array(z.string()),
  problems: z.array(z.object({ problem: z.string(), mend: z.string() })),
});
export type Health = z.infer<typeof Health>;

/** RFC 9457, with the members that make vendors' SDKs show our message. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string(),
  code: z.string(),
  message: z.string(),
  error: z.object({ message: z.string(), type: z.string(), code: z.string() }),
});
export type Problem = z.infer<typeof Problem>;
