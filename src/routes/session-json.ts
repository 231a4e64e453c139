import { type SessionCounters, type SessionDetail, type SessionJson, SessionCounters as Shape } from '../protocol.ts';
import { stateOf, totalsOf } from '../sessions/state.ts';
import type { SessionRow } from '../sessions/store.ts';

const instant = (ms: number): string => new Date(ms).toISOString();
const instantOrNull = (ms: number | null): string | null => (ms === null ? null : instant(ms));

/** What was stored went through the schema; an older shape in the database reads as nothing. */
function countersOf(row: SessionRow): SessionCounters | null {
  if (row.counters === null) return null;
  const parsed = Shape.safeParse(JSON.parse(row.counters));
  return parsed.success ? parsed.data : null;
}

/** @param now Unix ms. */
export function jsonOfSession(row: SessionRow, now: number): SessionJson {
  const counters = countersOf(row);
  const totals = counters === null ? null : totalsOf(counters);
  return {
    session_id: row.session,
    agent_id: row.agent,
    backend: row.backend as SessionJson['backend'],
    host: row.host,
    program: row.program,
    capabilities: [...row.capabilities],
    state: stateOf(row, now),
    started_at: instant(row.startedAt),
    started_by: row.startedBy,
    deadline_at: instant(row.deadlineAt),
    last_seen_at: instant(row.lastSeenAt),
    stop_requested_at: instantOrNull(row.stopRequestedAt),
    stop_requested_by: row.stopRequestedBy,
    ended_at: instantOrNull(row.endedAt),
    reason: row.reason as SessionJson['reason'],
    exit_code: row.exitCode,
    denied: totals?.denied ?? null,
    observed: totals?.observed ?? null,
    blocked: totals?.blocked ?? null,
    dropped: totals?.dropped ?? null,
    sources: counters?.sources ?? [],
    absence_proven: row.absenceProven,
    receipt_sha256: row.receiptSha256,
  };
}

export function detailOf(row: SessionRow, now: number): SessionDetail {
  return {
    ...jsonOfSession(row, now),
    key: row.key,
    counters: countersOf(row),
    receipt: row.receipt,
  };
}
