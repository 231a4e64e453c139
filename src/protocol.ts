import { en } from 'zod/locales';
import * as z from 'zod/mini';
import { AUDIT_EVENTS } from './audit/event.ts';

export { CLOCK_TOLERANCE_SECONDS } from './capability/claims.ts';

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

// --- Approvals ---

export const ApprovalStateName = z.enum(['pending', 'approved', 'denied', 'expired', 'used']);
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

/** One approval as the list and the live socket have it. Every text is harmless to show: escaped, masked and bounded. */
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

const NameValue = z.object({ name: z.string(), value: z.string() });

/**
 * A value of the body: `{ kind: 'null' | 'boolean' | 'number' | 'string' | 'list' | 'object' | 'cut', … }`. Strings carry
 * `length` when they are shown cut or masked; lists and objects carry `more`, the number of items not shown.
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

// --- Health and problems ---

export const Health = z.object({
  status: z.enum(['ok', 'broken']),
  /** By the clock that tokens are judged with. */
  now: z.iso.datetime(),
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

// ---------------------------------------------------------------------------------------------------------------------
// Sessions: what a runner announces, reports and proves of a sandboxed run.

/** A session as a runner names it: `ses_` and a ULID in lower case. It labels containers, cgroups and folders too. */
export const RunSessionId = z
  .string()
  .check(z.regex(/^ses_[0-9a-z]{26}$/, 'a session id is ses_ and 26 of 0-9 a-z'), z.describe('Session id'));

const shortName = (what: string) =>
  z.string().check(z.regex(/^[a-z][a-z0-9_-]{0,31}$/, `${what} is 1 to 32 of a-z 0-9 _ - and begins with a letter`));
const printableText = (max: number) =>
  z.string().check(z.regex(new RegExp(`^[\\x20-\\x7e]{1,${max}}$`), `1 to ${max} printable ASCII characters`));
const count = z.int().check(z.minimum(0), z.maximum(Number.MAX_SAFE_INTEGER));

export const SandboxBackend = z.enum(['namespace', 'docker']);

/** Public half of the runner's Ed25519 key (RFC 8037 §2): what its receipts are verified with. */
export const RunnerKey = z.strictObject({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/, '43 characters of base64url')),
});
export type RunnerKey = z.infer<typeof RunnerKey>;

/** Counts so far, never names of files. `denied` is certain, `observed` is a hint: see docs/sandbox.md. */
export const SessionCounters = z.strictObject({
  denied: z
    .array(z.strictObject({ path_class: shortName('a path class'), syscall: shortName('a system call'), count }))
    .check(z.maxLength(500)),
  observed: z
    .array(z.strictObject({ path_class: shortName('a path class'), syscall: shortName('a system call'), count }))
    .check(z.maxLength(500)),
  blocked: z.array(z.strictObject({ syscall: shortName('a system call'), count })).check(z.maxLength(500)),
  dropped: count,
  sources: z.array(shortName('a source')).check(z.maxLength(16)),
});
export type SessionCounters = z.infer<typeof SessionCounters>;

export const SessionStartRequest = z.strictObject({
  session_id: RunSessionId,
  agent_id: AgentId,
  backend: SandboxBackend,
  /** The name of the runner's host. */
  host: printableText(64),
  /** The name of the program, without its folder and its arguments. */
  program: printableText(128),
  capabilities: z.array(CapabilityName).check(z.maxLength(100)),
  deadline_at: z.iso.datetime(),
  key: RunnerKey,
});
export type SessionStartRequest = z.infer<typeof SessionStartRequest>;

export const SessionReportRequest = z.strictObject({
  /** 1, 2, 3 …: a report that is not newer than the last one taken changes nothing. */
  sequence: z.int().check(z.minimum(1), z.maximum(Number.MAX_SAFE_INTEGER)),
  counters: SessionCounters,
});
export type SessionReportRequest = z.infer<typeof SessionReportRequest>;

export const SessionReportResponse = z.object({
  session_id: RunSessionId,
  /** The runner ends the session when it reads true. */
  stop_requested: z.boolean(),
  /** The last report taken. */
  sequence: z.int(),
});
export type SessionReportResponse = z.infer<typeof SessionReportResponse>;

export const SESSION_END_REASONS = [
  'exited',
  'killed',
  'out_of_memory',
  'deadline',
  'interrupted',
  'stopped',
  'start_failed',
  'runner_died',
  'host_restarted',
] as const;
export const SessionEndReason = z.enum(SESSION_END_REASONS);
export type SessionEndReason = z.infer<typeof SessionEndReason>;

const LEFTOVER_KINDS = ['process', 'container', 'network', 'volume', 'mount', 'cgroup', 'socket', 'file'] as const;

/** What a receipt states; it is the payload of a JWS by the runner's key. */
export const SessionReceipt = z.strictObject({
  version: z.literal(1),
  session_id: RunSessionId,
  agent_id: AgentId,
  backend: SandboxBackend,
  host: printableText(64),
  started: z.strictObject({
    program: printableText(128),
    /** Arguments, in which values that are or look like secrets are masked. */
    argv: z.array(z.string().check(z.maxLength(256))).check(z.maxLength(64)),
    argv_omitted: count,
    root: z.nullable(z.string().check(z.maxLength(256))),
    mounts: z
      .array(
        z.strictObject({
          source: z.string().check(z.maxLength(256)),
          destination: z.string().check(z.maxLength(256)),
          writable: z.boolean(),
        }),
      )
      .check(z.maxLength(32)),
    limits: z.record(shortName('a limit'), z.number()),
    layers: z
      .array(z.strictObject({ name: z.string().check(z.maxLength(64)), present: z.boolean(), required: z.boolean() }))
      .check(z.maxLength(64)),
    capabilities: z.array(CapabilityName).check(z.maxLength(100)),
    /** Names of the secrets put into the agent's environment. */
    secrets: z.array(z.string().check(z.maxLength(64))).check(z.maxLength(64)),
  }),
  at: z.strictObject({
    leased: z.iso.datetime(),
    /** When the agent ran; null when it never did. */
    running: z.nullable(z.iso.datetime()),
    ended: z.iso.datetime(),
    deadline: z.iso.datetime(),
    /** By a clock that neither jumps nor stops while the host sleeps; null when the runner was not there to measure. */
    duration_ms: z.nullable(z.number()),
  }),
  reason: SessionEndReason,
  exit_code: nullableInt,
  signal: z.nullable(z.string().check(z.maxLength(16))),
  token: z.nullable(z.strictObject({ token_id: z.string().check(z.maxLength(128)), revoked: z.boolean() })),
  counters: z.nullable(SessionCounters),
  /** After everything was removed, what was looked for and how many of each were found. All zeros is the proof. */
  absence: z.strictObject({
    proven: z.boolean(),
    looked_at: z.iso.datetime(),
    found: z.strictObject({
      process: count,
      container: count,
      network: count,
      volume: count,
      mount: count,
      cgroup: count,
      socket: count,
      file: count,
    }),
  }),
  /** Who wrote this: the session's own runner, or a later sweep after it had died. */
  written_by: z.enum(['runner', 'sweeper']),
});
export type SessionReceipt = z.infer<typeof SessionReceipt>;
export type LeftoverKind = (typeof LEFTOVER_KINDS)[number];
export const LEFTOVERS: readonly LeftoverKind[] = LEFTOVER_KINDS;

/** `typ` of a receipt's JWS: it can never be taken for a token or a checkpoint (RFC 8725 §3.11). */
export const RECEIPT_TYPE = 'keywarden-receipt+jwt';

export const SessionEndRequest = z.strictObject({
  /** The receipt: a compact JWS (RFC 7515) by the key that was announced at the start. */
  receipt: z
    .string()
    .check(z.maxLength(49_152), z.regex(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/, 'a compact JWS')),
});
export type SessionEndRequest = z.infer<typeof SessionEndRequest>;

export const SessionState = z.enum(['running', 'stopping', 'ended', 'lost']);
export type SessionState = z.infer<typeof SessionState>;

export const SessionJson = z.object({
  session_id: RunSessionId,
  agent_id: AgentId,
  backend: SandboxBackend,
  host: z.string(),
  program: z.string(),
  capabilities: z.array(CapabilityName),
  /** `lost`: the deadline passed and no receipt came. */
  state: SessionState,
  started_at: z.iso.datetime(),
  started_by: z.string(),
  deadline_at: z.iso.datetime(),
  last_seen_at: z.iso.datetime(),
  stop_requested_at: z.nullable(z.iso.datetime()),
  stop_requested_by: nullableText,
  ended_at: z.nullable(z.iso.datetime()),
  reason: z.nullable(SessionEndReason),
  exit_code: nullableInt,
  /** Totals of the counters; null while nothing was reported. */
  denied: nullableInt,
  observed: nullableInt,
  blocked: nullableInt,
  dropped: nullableInt,
  sources: z.array(z.string()),
  /** Whether the receipt proves that nothing was left. */
  absence_proven: z.nullable(z.boolean()),
  receipt_sha256: nullableText,
});
export type SessionJson = z.infer<typeof SessionJson>;

export const SessionDetail = z.extend(SessionJson, {
  key: RunnerKey,
  counters: z.nullable(SessionCounters),
  /** The signed receipt as the runner sent it; null until the session ended. */
  receipt: nullableText,
});
export type SessionDetail = z.infer<typeof SessionDetail>;

export const SessionQuery = z.strictObject({
  agent: z.optional(AgentId),
  state: z.optional(SessionState),
  limit: z.optional(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(1000))),
  cursor: z.optional(z.string().check(z.maxLength(256))),
});
export type SessionQuery = z.infer<typeof SessionQuery>;

export const SessionListResponse = z.object({ sessions: z.array(SessionJson), next_cursor: nullableText });
export type SessionListResponse = z.infer<typeof SessionListResponse>;

// --- Console: signing in, policies, stops ---

export const SignInRequest = z.union([
  z.strictObject({ key: z.string().check(z.minLength(16), z.maxLength(512)) }),
  /** What stands after `#signin=` in a one-time link. */
  z.strictObject({ link: z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/, 'a sign-in code is 43 characters')) }),
]);

export const ConsoleSession = z.object({
  /** Null: nobody is signed in. */
  operator: nullableText,
  roles: z.array(z.string()),
  groups: z.array(z.string()),
  /** `cookie` can be signed out; `access` is Cloudflare Access. */
  by: z.nullable(z.enum(['cookie', 'key', 'access'])),
  expires_at: z.nullable(z.iso.datetime()),
});
export type ConsoleSession = z.infer<typeof ConsoleSession>;

export const SignInLink = z.object({ link: z.string(), expires_at: z.iso.datetime() });
export type SignInLink = z.infer<typeof SignInLink>;

/** A page that signs state-changing requests with this field is one that the browser let read our answers. */
export const CONSOLE_FIELD = 'x-keywarden-console';

const RateJson = z.object({ count: z.int(), period_ms: z.int(), burst: z.int() });
const RuleJson = z.object({ text: z.string(), when: nullableText });

export const CapabilityPolicyJson = z.object({
  name: CapabilityName,
  title: z.string(),
  description: z.string(),
  allow: z.array(RuleJson),
  deny: z.array(RuleJson),
  when: nullableText,
  limit: z.nullable(RateJson),
  approval: z.nullable(z.object({ when: nullableText, words: z.string() })),
});
export type CapabilityPolicyJson = z.infer<typeof CapabilityPolicyJson>;

export const PoliciesResponse = z.object({
  hash: z.string(),
  services: z.array(
    z.object({
      service: z.string(),
      title: z.string(),
      description: z.string(),
      origin: z.string(),
      scheme: z.string(),
      deny: z.array(RuleJson),
      capabilities: z.array(CapabilityPolicyJson),
    }),
  ),
  agents: z.object({
    source: z.enum(['file', 'absent']),
    grants: z.array(
      z.object({
        agent: z.string(),
        may_hold: z.array(z.string()),
        max_ttl_seconds: z.int(),
        limit: z.nullable(RateJson),
      }),
    ),
  }),
});
export type PoliciesResponse = z.infer<typeof PoliciesResponse>;

export const ExplainRequest = z.strictObject({
  agent_id: AgentId,
  capabilities: z.array(CapabilityName).check(z.maxLength(100)),
  service: z.string().check(z.minLength(1), z.maxLength(64)),
  method: z.string().check(z.regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$/, 'a method is an RFC 9110 token')),
  /** Path and query as after `/proxy/<service>`. */
  target: z.string().check(z.regex(/^\//, 'a path begins with /'), z.maxLength(4096)),
  headers: z.optional(z.record(z.string().check(z.maxLength(128)), z.string().check(z.maxLength(4096)))),
  body: z.optional(z.string().check(z.maxLength(32_768))),
});
export type ExplainRequest = z.infer<typeof ExplainRequest>;

export const ExplainResponse = z.object({
  verdict: z.enum(['allow', 'deny', 'approval']),
  capability: nullableText,
  path: nullableText,
  not_grantable: z.array(z.string()),
  rules: z.array(
    z.object({
      effect: z.enum(['allow', 'deny']),
      capability: z.string(),
      operation: z.string(),
      held: z.boolean(),
      conditions: z.array(
        z.object({
          text: z.string(),
          value: z.union([z.boolean(), z.enum(['unevaluable', 'unknown'])]),
          why: nullableText,
        }),
      ),
    }),
  ),
  words: z.array(z.string()),
});
export type ExplainResponse = z.infer<typeof ExplainResponse>;

const ServiceName = z.string().check(z.regex(/^[a-z][a-z0-9_-]{0,63}$/, 'a service is named as in its policy'));

/** What to stop as a whole: every token that reaches it is revoked, and none is minted until it is lifted. */
export const StopScope = z.union([
  z.strictObject({ scope: z.literal('everything') }),
  z.strictObject({ scope: z.literal('service'), service: ServiceName }),
]);
export type StopScope = z.infer<typeof StopScope>;
const stopReason = z.optional(z.string().check(z.maxLength(500)));
export const StopRequest = z.union([
  z.strictObject({ scope: z.literal('everything'), reason: stopReason }),
  z.strictObject({ scope: z.literal('service'), service: ServiceName, reason: stopReason }),
]);

export const StopTarget = z.union([
  z.strictObject({ scope: z.literal('everything') }),
  z.strictObject({ scope: z.literal('service'), service: ServiceName }),
  z.strictObject({ scope: z.literal('agent'), agent: AgentId }),
  z.strictObject({ scope: z.literal('session'), session: SessionId }),
  z.strictObject({ scope: z.literal('token'), token_id: z.string().check(z.minLength(1), z.maxLength(128)) }),
]);
export type StopTarget = z.infer<typeof StopTarget>;

/** What a stop would hit now: tokens that have not expired. */
export const StopPreview = z.object({
  tokens: z.int(),
  agents: z.array(z.object({ agent: z.string(), tokens: z.int() })),
  sessions: z.array(z.object({ session: z.string(), agent: z.string(), running: z.boolean() })),
});
export type StopPreview = z.infer<typeof StopPreview>;

export const StopJson = z.object({
  scope: z.enum(['everything', 'service']),
  service: nullableText,
  placed_at: z.iso.datetime(),
  placed_by: z.string(),
  reason: nullableText,
});
export const StopListResponse = z.object({ stops: z.array(StopJson) });
export type StopListResponse = z.infer<typeof StopListResponse>;
export const StopResponse = z.object({ tokens: z.int(), agents: z.array(z.string()), sessions: z.int() });
export type StopResponse = z.infer<typeof StopResponse>;

// --- Signals ---

export const SIGNALS = ['credential_paths', 'rejections', 'screen_alerts', 'long_sessions'] as const;
export const SignalName = z.enum(SIGNALS);
export type SignalName = z.infer<typeof SignalName>;

/** A runner's report about what a session's screen showed. The same `report_id` again counts once. */
export const ScreenReport = z.strictObject({
  session_id: RunSessionId,
  report_id: z.string().check(z.regex(/^[A-Za-z0-9_-]{1,64}$/, '1 to 64 of A-Z a-z 0-9 _ -')),
  rule: shortName('a rule'),
  count: z.int().check(z.minimum(1), z.maximum(10_000)),
});

export const SignalsQuery = z.strictObject({
  since: z.optional(z.iso.datetime()),
  until: z.optional(z.iso.datetime()),
  agent: z.optional(AgentId),
  session: z.optional(SessionId),
});

export const SignalAlert = z.object({
  id: z.string(),
  signal: SignalName,
  agent: z.string(),
  value: z.int(),
  threshold: z.int(),
  raised_at: z.iso.datetime(),
  last_at: z.iso.datetime(),
  cleared_at: z.nullable(z.iso.datetime()),
});
export type SignalAlert = z.infer<typeof SignalAlert>;

const Series = z.array(z.object({ at: z.iso.datetime(), count: z.int() }));
export const SignalsResponse = z.object({
  since: z.iso.datetime(),
  until: z.iso.datetime(),
  bucket_seconds: z.int(),
  settings: z.object({
    window_minutes: z.int(),
    credential_paths: z.int(),
    rejections: z.int(),
    screen_alerts: z.int(),
    session_minutes: z.int(),
  }),
  /** Opens of credential paths that the sandboxes denied, at the time of each session's last report. */
  credential_paths: z.object({
    total: z.int(),
    series: Series,
    by_session: z.array(z.object({ session: z.string(), agent: z.string(), count: z.int() })),
    by_class: z.array(z.object({ path_class: z.string(), count: z.int() })),
  }),
  /** Calls that the proxy refused. */
  rejections: z.object({
    total: z.int(),
    series: z.array(z.object({ at: z.iso.datetime(), reason: z.string(), count: z.int() })),
    by_reason: z.array(z.object({ reason: z.string(), capability: nullableText, agent: nullableText, count: z.int() })),
  }),
  screen_alerts: z.object({
    total: z.int(),
    series: Series,
    by_rule: z.array(z.object({ rule: z.string(), session: z.string(), agent: z.string(), count: z.int() })),
  }),
  sessions: z.object({
    total: z.int(),
    running: z.int(),
    /** Ended sessions that lasted at most so long; the last bound is null. */
    histogram: z.array(z.object({ up_to_seconds: nullableInt, count: z.int() })),
    long: z.array(z.object({ session: z.string(), agent: z.string(), seconds: z.int() })),
  }),
  alerts: z.array(SignalAlert),
});
export type SignalsResponse = z.infer<typeof SignalsResponse>;
