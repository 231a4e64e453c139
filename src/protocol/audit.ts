import * as z from 'zod/mini';
import { AUDIT_EVENTS } from '../audit/event.ts';
import { AgentId, CapabilityName, SessionId } from './ids.ts';
import { nullableInt, nullableText } from './parts.ts';

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
  /** Columns with a value that no edge writes: the row was altered in the database. They are null or empty here. */
  unreadable: z.optional(z.array(z.string())),
});
export type AuditRowJson = z.infer<typeof AuditRowJson>;

/** The events that rows are of. A row's own `event` is any text: a later edge may know more of them. */
export const AuditEvent = z.enum(AUDIT_EVENTS, `an event is one of ${AUDIT_EVENTS.join(', ')}`);

const auditTime = z.iso.datetime('a time is written 2026-01-31T12:00:00Z');

const auditLimit = 'a limit is a whole number from 1 to 1000';

export const AuditQuery = z.strictObject({
  agent: z.optional(AgentId),
  session: z.optional(SessionId),
  capability: z.optional(CapabilityName),
  service: z.optional(z.string()),
  event: z.optional(AuditEvent),
  decision: z.optional(z.enum(['allow', 'deny'])),
  reason: z.optional(z.string()),
  request_id: z.optional(z.string()),
  /** Any part of the path, the reason, the operator, the request id or the detail; at most 200 characters. */
  text: z.optional(z.string().check(z.minLength(1), z.maxLength(200))),
  since: z.optional(auditTime),
  until: z.optional(auditTime),
  limit: z.optional(
    z.coerce.number(auditLimit).check(z.int(auditLimit), z.minimum(1, auditLimit), z.maximum(1000, auditLimit)),
  ),
  cursor: z.optional(z.string()),
});
export type AuditQuery = z.infer<typeof AuditQuery>;

export const AuditListResponse = z.object({
  rows: z.array(AuditRowJson),
  next_cursor: nullableText,
  /** Rows that D1 has not taken yet, so that they are not among these; absent when there are none. */
  waiting_rows: z.optional(z.int()),
  /** A search for a text without `since` went back only so far. */
  text_since: z.optional(z.string()),
});
export type AuditListResponse = z.infer<typeof AuditListResponse>;

export const AuditProblem = z.object({ ledger: z.string(), seq: nullableInt, problem: z.string() });

export const AuditVerifyResponse = z.object({
  ok: z.boolean(),
  rows: z.int(),
  ledgers: z.int(),
  problems: z.array(AuditProblem),
  heads: z.array(
    z.object({
      ledger: z.string(),
      seq: z.int(),
      hash: z.string(),
      /** Rows up to here were removed by the retention, after they had been verified; the next one is linked to this hash. */
      cut: z.optional(z.object({ seq: z.int(), hash: z.string() })),
    }),
  ),
});
export type AuditVerifyResponse = z.infer<typeof AuditVerifyResponse>;
