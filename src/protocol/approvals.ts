import * as z from 'zod/mini';
import { STATES } from '../approvals/state.ts';
import { AgentId, SessionId } from './ids.ts';
import { NameValue, nullableInt, nullableText } from './parts.ts';

export const ApprovalStateName = z.enum(STATES);

const ApprovalScope = z.enum(['once', 'alike']);

const ApprovalVia = z.enum(['console', 'cli', 'api', 'webhook']);

/** An approval's id. */
export const ApprovalId = z
  .string()
  .check(
    z.regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'an approval id is a UUID in lower case'),
    z.describe('Approval id'),
  );

/** What the agent that asked may know. */
export const ApprovalStatus = z.object({
  id: z.string(),
  state: ApprovalStateName,
  created_at: z.iso.datetime(),
  /** When a pending or approved one expires; until when a denied one stays a no. */
  expires_at: z.iso.datetime(),
  decided_at: z.nullable(z.iso.datetime()),
});
export type ApprovalStatus = z.infer<typeof ApprovalStatus>;

/**
 * One approval as the list and the live socket have it. Every text is harmless to show: escaped, masked and bounded; one that
 * was cut ends by saying how much is not shown.
 */
export const ApprovalJson = z.extend(ApprovalStatus, {
  agent_id: AgentId,
  session_id: z.nullable(SessionId),
  capability: z.string(),
  title: z.string(),
  service: z.string(),
  method: z.string(),
  url: z.string(),
  /** How often the same call was sent while it was pending. */
  asks: z.int(),
  /** Distinct people who must agree. */
  needed: z.int(),
  votes: z.array(z.object({ operator: z.string(), via: ApprovalVia, scope: ApprovalScope, at: z.iso.datetime() })),
  reviewers: nullableText,
  decided_by: nullableText,
  decided_via: z.nullable(ApprovalVia),
  /** The reviewer's words; of an expired one `time`, `revoked` or `superseded`. */
  reason: nullableText,
  /** After a yes: what it allows, and how much of that was used. */
  allows: z.nullable(z.object({ scope: ApprovalScope, calls: z.int(), used: z.int(), until: z.iso.datetime() })),
});
export type ApprovalJson = z.infer<typeof ApprovalJson>;

/** What stands in an {@link ApprovalValue}, which checks its kind alone. */
export type { ShownValue } from '../approvals/contract.ts';

/**
 * A value of the body: `{ kind: 'null' | 'boolean' | 'number' | 'string' | 'list' | 'object' | 'cut', … }`. Strings carry
 * `length` when they are shown cut or masked, numbers `inexact` when they are too large to be shown to the last digit; lists and
 * objects carry `more`, the number of items not shown.
 */
export const ApprovalValue = z.looseObject({
  kind: z.enum(['null', 'boolean', 'number', 'string', 'list', 'object', 'cut']),
});

export const ApprovalDetail = z.extend(ApprovalJson, {
  token_id: z.string(),
  service_title: z.string(),
  description: z.string(),
  /** The rule as the policy has it: `POST /v1/refunds`. */
  operation: z.string(),
  /** The policy's condition for asking, or null when it always asks. */
  because: nullableText,
  headers: z.array(NameValue),
  body: z.object({
    content_type: nullableText,
    bytes: z.int(),
    sha256: z.string(),
    form: z.enum(['tree', 'text', 'binary', 'none']),
    value: z.nullable(ApprovalValue),
    unreadable: nullableText,
  }),
  request_hash: z.string(),
  policy_hash: z.string(),
  /** What each kind of yes allows; `alike` is null where the policy permits none. */
  would_allow: z.object({
    once: z.object({ calls: z.int(), seconds: z.int() }),
    alike: z.nullable(z.object({ calls: z.int(), seconds: z.int(), pattern: z.array(NameValue) })),
  }),
  /** Request ids of the calls that used it. */
  used_by: z.array(z.string()),
  /** What the agent did in the last minutes, newest first. */
  recent: z.array(
    z.object({
      at: z.iso.datetime(),
      event: z.string(),
      request_id: z.string(),
      capability: nullableText,
      service: nullableText,
      method: nullableText,
      path: nullableText,
      decision: z.nullable(z.enum(['allow', 'deny'])),
      reason: nullableText,
      status: nullableInt,
    }),
  ),
});
export type ApprovalDetail = z.infer<typeof ApprovalDetail>;

export const ApprovalQuery = z.strictObject({
  state: z.optional(ApprovalStateName),
  agent: z.optional(AgentId),
  session: z.optional(SessionId),
  limit: z.optional(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(200))),
  cursor: z.optional(z.string()),
});

export const ApprovalListResponse = z.object({ approvals: z.array(ApprovalJson), next_cursor: nullableText });
export type ApprovalListResponse = z.infer<typeof ApprovalListResponse>;

const reviewersWords = z.string().check(z.maxLength(500), z.describe("The reviewer's words; they go into the audit"));

const decisionVia = z.enum(['console', 'cli', 'api']);

const decisionLink = z.string().check(z.maxLength(300), z.describe('What a decision link carried; single use'));

export const ApproveRequest = z.strictObject({
  scope: z.optional(ApprovalScope),
  reason: z.optional(reviewersWords),
  via: z.optional(decisionVia),
  link: z.optional(decisionLink),
});

export const DenyRequest = z.strictObject({
  reason: z.optional(reviewersWords),
  via: z.optional(decisionVia),
  link: z.optional(decisionLink),
});

/** What the live socket sends, as JSON texts. */
export const ApprovalEvent = z.union([
  z.object({ type: z.literal('hello'), pending: z.int(), approvals: z.array(ApprovalJson) }),
  /** New, or one of two people has agreed. */
  z.object({ type: z.literal('pending'), approval: ApprovalJson }),
  /** Approved, denied, expired or used: see its state. */
  z.object({ type: z.literal('decided'), approval: ApprovalJson }),
]);
export type ApprovalEvent = z.infer<typeof ApprovalEvent>;
