import * as z from 'zod/mini';
import { AgentId, CapabilityName } from './ids.ts';
import { count, nullableInt, nullableText, printableText, shortName } from './parts.ts';

/** A session as a runner names it: `ses_` and a ULID in lower case. It labels containers, cgroups and folders too. */
export const RunSessionId = z
  .string()
  .check(z.regex(/^ses_[0-9a-z]{26}$/, 'a session id is ses_ and 26 of 0-9 a-z'), z.describe('Session id'));

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
