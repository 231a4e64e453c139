import { Hono } from 'hono';
import { isSessionRevoked } from '../db/tokens.ts';
import { sha256Hex } from '../lib/digest.ts';
import {
  CLOCK_TOLERANCE_SECONDS,
  MAX_TTL_SECONDS,
  SessionEndRequest,
  type SessionListResponse,
  SessionQuery,
  type SessionReceipt,
  SessionReportRequest,
  type SessionReportResponse,
  SessionStartRequest,
} from '../protocol.ts';
import { verifyReceipt } from '../sessions/receipt.ts';
import { totalsOf } from '../sessions/state.ts';
import {
  endSession,
  findSession,
  insertSession,
  listSessions,
  markNoted,
  markStop,
  type SessionRow,
  updateReport,
} from '../sessions/store.ts';
import { announcedSession, ownSession } from './announced-session.ts';
import type { Api } from './context.ts';
import { operatorOnly } from './operator-only.ts';
import { refuse } from './refuse.ts';
import { queryOf, requestOf } from './request.ts';
import { noteOf, revokeAll } from './session-effects.ts';
import { detailOf, jsonOfSession } from './session-json.ts';

export const sessions = new Hono<Api>();

/** Runner's and edge's clocks may differ by this much when a deadline is judged. */
const CLOCK_SKEW_MS = CLOCK_TOLERANCE_SECONDS * 1000;

sessions.post('/', operatorOnly('mint'), async (c) => {
  const parsed = await requestOf(c, SessionStartRequest);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const request = parsed.value;
  const now = Date.now();
  const deadlineAt = Date.parse(request.deadline_at);
  if (deadlineAt <= now - CLOCK_SKEW_MS || deadlineAt > now + MAX_TTL_SECONDS * 1000 + CLOCK_SKEW_MS) {
    return refuse(c, 400, 'deadline_invalid', 'A deadline lies ahead, by at most 24 hours. Do the clocks agree?');
  }
  if (await isSessionRevoked(c.env.DB, request.session_id)) {
    return refuse(c, 409, 'session_revoked', `The session ${request.session_id} was revoked before it began.`);
  }
  const row: SessionRow = {
    session: request.session_id,
    agent: request.agent_id,
    backend: request.backend,
    host: request.host,
    program: request.program,
    capabilities: request.capabilities,
    key: request.key,
    startedBy: c.get('operator').id,
    startedAt: now,
    deadlineAt,
    lastSeenAt: now,
    sequence: 0,
    counters: null,
    stopRequestedAt: null,
    stopRequestedBy: null,
    endedAt: null,
    reason: null,
    exitCode: null,
    absenceProven: null,
    receipt: null,
    receiptSha256: null,
    startNoted: false,
    endNoted: false,
  };
  const fresh = await insertSession(c.env.DB, row);
  const stored = fresh ? row : await findSession(c.env.DB, row.session);
  if (stored === null || !isSameStart(stored, row)) {
    return refuse(c, 409, 'session_exists', `A session ${row.session} was announced before, and not with this.`);
  }
  if (!stored.startNoted) {
    const noted = await noteOf(c, stored, 'session.started', null, {
      backend: row.backend,
      host: row.host,
      program: row.program,
      capabilities: row.capabilities.join(' ').slice(0, 1024),
      deadline_at: new Date(deadlineAt).toISOString(),
      runner_key: row.key.x,
    });
    if (!noted.ok) return refuse(c, 503, noted.error.code, 'The ledger is not available; the session may not begin.');
    await markNoted(c.env.DB, row.session, 'startNoted');
  }
  return c.json(jsonOfSession(stored, now), fresh ? 201 : 200);
});

sessions.post('/:id/report', operatorOnly('mint'), async (c) => {
  const found = await ownSession(c, c.req.param('id'));
  if (found instanceof Response) return found;
  const parsed = await requestOf(c, SessionReportRequest);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  if (found.endedAt !== null) return refuse(c, 409, 'session_ended', 'The session has ended; its receipt counts.');
  const { sequence, counters } = parsed.value;
  await updateReport(c.env.DB, found.session, { sequence, counters: JSON.stringify(counters), at: Date.now() });
  return c.json({
    session_id: found.session,
    stop_requested: found.stopRequestedAt !== null,
    sequence: Math.max(sequence, found.sequence),
  } satisfies SessionReportResponse);
});

sessions.post('/:id/end', operatorOnly('mint'), async (c) => {
  const found = await ownSession(c, c.req.param('id'));
  if (found instanceof Response) return found;
  const parsed = await requestOf(c, SessionEndRequest);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const { receipt } = parsed.value;
  const verified = await verifyReceipt(receipt, found.key);
  if (!verified.ok)
    return refuse(c, 400, 'receipt_invalid', `This is no receipt of this session: ${verified.error.why}.`);
  const stated = verified.value.receipt;
  if (stated.session_id !== found.session || stated.agent_id !== found.agent) {
    return refuse(c, 400, 'receipt_invalid', 'This is the receipt of another session.');
  }
  const now = Date.now();
  // First of all the tokens: whatever fails afterwards, they are dead.
  const revoked = await revokeAll(c, found, now);
  if (!revoked.ok) return refuse(c, 503, revoked.error.code, 'The tokens could not be revoked. Send it again.');
  const sha256 = sha256Hex(receipt);
  const first = await endSession(c.env.DB, found.session, {
    endedAt: endOf(stated, found, now),
    lastSeenAt: now,
    reason: stated.reason,
    exitCode: stated.exit_code,
    absenceProven: stated.absence.proven,
    receipt,
    receiptSha256: sha256,
    counters: stated.counters === null ? null : JSON.stringify(stated.counters),
  });
  const stored = (await findSession(c.env.DB, found.session)) ?? found;
  if (!first && stored.receiptSha256 !== sha256) {
    return refuse(c, 409, 'session_ended', 'The session has ended before, by another receipt.');
  }
  if (!stored.endNoted) {
    const totals = stated.counters === null ? {} : totalsOf(stated.counters);
    const noted = await noteOf(c, stored, 'session.ended', stated.reason, {
      receipt_sha256: sha256,
      exit_code: stated.exit_code,
      signal: stated.signal,
      ended_at: stated.at.ended,
      duration_ms: stated.at.duration_ms,
      absence_proven: stated.absence.proven,
      written_by: stated.written_by,
      sources: stated.counters?.sources.join(' ') ?? '',
      ...totals,
    });
    if (!noted.ok) return refuse(c, 503, noted.error.code, 'The end could not be recorded. Send it again.');
    await markNoted(c.env.DB, found.session, 'endNoted');
  }
  return c.json(jsonOfSession(stored, now));
});

sessions.post('/:id/stop', operatorOnly('approve'), async (c) => {
  const found = await announcedSession(c, c.req.param('id'));
  if (found instanceof Response) return found;
  const now = Date.now();
  // Before its tokens: a ledger that does not answer keeps nobody's sandbox running.
  if (found.endedAt === null) await markStop(c.env.DB, found.session, c.get('operator').id, now);
  const revoked = await revokeAll(c, found, now);
  if (!revoked.ok) return refuse(c, 503, revoked.error.code, 'The tokens could not be revoked. Send it again.');
  if (found.endedAt !== null) return c.json(jsonOfSession(found, now));
  // Sent again, it is recorded again: the first may have stood without a row.
  const again = found.stopRequestedAt === null ? {} : { again: true };
  const noted = await noteOf(c, found, 'session.stop_requested', null, again);
  if (!noted.ok) return refuse(c, 503, noted.error.code, 'The stop stands but could not be recorded. Send it again.');
  const stored = (await findSession(c.env.DB, found.session)) ?? found;
  return c.json(jsonOfSession(stored, now));
});

sessions.get('/', operatorOnly('audit'), async (c) => {
  const parsed = queryOf(c, SessionQuery);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const now = Date.now();
  const page = await listSessions(c.env.DB, { ...parsed.value, limit: parsed.value.limit ?? 50, now });
  if (!page.ok) return refuse(c, 400, 'cursor_invalid', page.error);
  return c.json({
    sessions: page.value.rows.map((row) => jsonOfSession(row, now)),
    next_cursor: page.value.nextCursor,
  } satisfies SessionListResponse);
});

sessions.get('/:id', operatorOnly('audit'), async (c) => {
  const found = await announcedSession(c, c.req.param('id'));
  return found instanceof Response ? found : c.json(detailOf(found, Date.now()));
});

/**
 * When the session ended, by its receipt: which may have waited for hours until an edge took it. The runner's clock may be wrong,
 * so it counts only between the session's start and now, as this edge saw them.
 */
const endOf = (stated: SessionReceipt, { startedAt }: SessionRow, now: number): number =>
  Math.min(now, Math.max(startedAt, Date.parse(stated.at.ended)));

const isSameStart = (a: SessionRow, b: SessionRow): boolean =>
  a.agent === b.agent &&
  a.backend === b.backend &&
  a.host === b.host &&
  a.program === b.program &&
  a.startedBy === b.startedBy &&
  a.deadlineAt === b.deadlineAt &&
  a.key.x === b.key.x &&
  a.capabilities.join(' ') === b.capabilities.join(' ') &&
  a.endedAt === null;
