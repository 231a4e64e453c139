import { isNotNull, sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import type { RunnerKey } from '../protocol/sessions.ts';

/** Rows as the ledgers flushed them; the columns of `AuditRow`. Written once, never updated. */
export const audit = sqliteTable(
  'audit',
  {
    ledger: text('ledger').notNull(),
    seq: integer('seq').notNull(),
    at: integer('at').notNull(),
    event: text('event').notNull(),
    requestId: text('request_id').notNull(),
    agent: text('agent'),
    session: text('session'),
    tokenId: text('token_id'),
    capability: text('capability'),
    service: text('service'),
    method: text('method'),
    path: text('path'),
    queryNames: text('query_names'),
    decision: text('decision'),
    reason: text('reason'),
    status: integer('status'),
    requestBytes: integer('request_bytes'),
    responseBytes: integer('response_bytes'),
    durationMs: integer('duration_ms'),
    redactions: integer('redactions'),
    requestHash: text('request_hash'),
    policyHash: text('policy_hash'),
    operator: text('operator'),
    detail: text('detail').notNull(),
    prevHash: text('prev_hash').notNull(),
    hash: text('hash').notNull(),
  },
  (row) => [
    primaryKey({ columns: [row.ledger, row.seq] }),
    index('audit_by_time').on(row.at, row.ledger, row.seq),
    index('audit_by_agent').on(row.agent, row.at),
    index('audit_by_session').on(row.session, row.at).where(isNotNull(row.session)),
    index('audit_by_capability').on(row.capability, row.at).where(isNotNull(row.capability)),
    index('audit_by_request').on(row.requestId),
    index('audit_denied').on(row.at).where(sql`decision = 'deny'`),
  ],
);

/** Every token minted: whom to tell when it is revoked. Never the token itself. */
export const tokens = sqliteTable(
  'tokens',
  {
    tokenId: text('token_id').primaryKey(),
    agent: text('agent').notNull(),
    session: text('session'),
    capabilities: text('capabilities', { mode: 'json' }).$type<readonly string[]>().notNull(),
    /** Unix ms. */
    issuedAt: integer('issued_at').notNull(),
    /** Unix ms. */
    expiresAt: integer('expires_at').notNull(),
    mintedBy: text('minted_by').notNull(),
  },
  (row) => [
    index('tokens_by_session').on(row.session).where(isNotNull(row.session)),
    index('tokens_by_expiry').on(row.expiresAt),
  ],
);

/** Sessions that may get no further token. */
export const revokedSessions = sqliteTable('revoked_sessions', {
  session: text('session').primaryKey(),
  /** Unix ms. */
  revokedAt: integer('revoked_at').notNull(),
});

/** Sandboxed runs, as their runners announced, reported and proved them. */
export const sessions = sqliteTable(
  'sessions',
  {
    session: text('session').primaryKey(),
    agent: text('agent').notNull(),
    backend: text('backend').notNull(),
    host: text('host').notNull(),
    program: text('program').notNull(),
    capabilities: text('capabilities', { mode: 'json' }).$type<readonly string[]>().notNull(),
    /** Public JWK of the runner. */
    key: text('key', { mode: 'json' }).$type<RunnerKey>().notNull(),
    startedBy: text('started_by').notNull(),
    /** Unix ms, as all times here. */
    startedAt: integer('started_at').notNull(),
    deadlineAt: integer('deadline_at').notNull(),
    lastSeenAt: integer('last_seen_at').notNull(),
    /** Number of the last report taken. */
    sequence: integer('sequence').notNull(),
    /** JSON of `SessionCounters`. */
    counters: text('counters'),
    stopRequestedAt: integer('stop_requested_at'),
    stopRequestedBy: text('stop_requested_by'),
    endedAt: integer('ended_at'),
    reason: text('reason'),
    exitCode: integer('exit_code'),
    absenceProven: integer('absence_proven', { mode: 'boolean' }),
    receipt: text('receipt'),
    receiptSha256: text('receipt_sha256'),
    /** Whether start and end stand in the audit: until they do, the same request sent again writes them. */
    startNoted: integer('start_noted', { mode: 'boolean' }).notNull(),
    endNoted: integer('end_noted', { mode: 'boolean' }).notNull(),
  },
  (row) => [
    index('sessions_by_time').on(row.startedAt, row.session),
    index('sessions_by_agent').on(row.agent, row.startedAt),
    index('sessions_by_report').on(row.lastSeenAt).where(isNotNull(row.counters)),
    index('sessions_open').on(row.deadlineAt).where(sql`ended_at is null`),
  ],
);

/** Operators signed in at the console: cookies by their hash, so that the database opens no session. */
export const consoleSessions = sqliteTable(
  'console_sessions',
  {
    sha256: text('sha256').primaryKey(),
    /** Hash of the operator's key: who loses the key, or a role, loses it here with the next request. */
    keySha256: text('key_sha256').notNull(),
    createdAt: integer('created_at').notNull(),
    expiresAt: integer('expires_at').notNull(),
  },
  (row) => [index('console_sessions_by_expiry').on(row.expiresAt)],
);

/** One-time sign-in links, by the hash of their code; redeemed by deleting the row. */
export const signInLinks = sqliteTable('sign_in_links', {
  sha256: text('sha256').primaryKey(),
  keySha256: text('key_sha256').notNull(),
  expiresAt: integer('expires_at').notNull(),
});

/** What operators stopped as a whole: no token is minted for it while the row stands. */
export const stops = sqliteTable('stops', {
  /** `everything`, or `service:<id>`. */
  scope: text('scope').primaryKey(),
  placedAt: integer('placed_at').notNull(),
  placedBy: text('placed_by').notNull(),
  reason: text('reason'),
});

/** Alerts of a session's screen, as its runner reported them; each report counts once. */
export const screenAlerts = sqliteTable(
  'screen_alerts',
  {
    session: text('session').notNull(),
    report: text('report').notNull(),
    agent: text('agent').notNull(),
    rule: text('rule').notNull(),
    count: integer('count').notNull(),
    at: integer('at').notNull(),
  },
  (row) => [primaryKey({ columns: [row.session, row.report] }), index('screen_alerts_by_time').on(row.at)],
);

/** Thresholds that were passed: one open row for each signal of each agent, so that a webhook is told once. */
export const signalAlerts = sqliteTable(
  'signal_alerts',
  {
    id: text('id').primaryKey(),
    signal: text('signal').notNull(),
    agent: text('agent').notNull(),
    value: integer('value').notNull(),
    threshold: integer('threshold').notNull(),
    raisedAt: integer('raised_at').notNull(),
    lastAt: integer('last_at').notNull(),
    clearedAt: integer('cleared_at'),
    deliveredAt: integer('delivered_at'),
    attempts: integer('attempts').notNull(),
  },
  (row) => [
    index('signal_alerts_by_time').on(row.raisedAt),
    uniqueIndex('signal_alerts_open').on(row.signal, row.agent).where(sql`cleared_at is null`),
  ],
);
