import { and, desc, eq, gte, isNotNull, isNull, lt, type SQL, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/d1';
import { sessions } from '../db/schema.ts';
import { cursorOf, NO_CURSOR, placeOf } from '../lib/cursor.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { SessionState } from '../protocol.ts';
import { LOST_AFTER_MS } from './state.ts';

export type SessionRow = typeof sessions.$inferSelect;

/** @returns false when a session of this id is there already; then nothing was changed. */
export async function insertSession(d1: D1Database, row: SessionRow): Promise<boolean> {
  const inserted = await drizzle(d1)
    .insert(sessions)
    .values(row)
    .onConflictDoNothing()
    .returning({ session: sessions.session });
  return inserted.length > 0;
}

export async function findSession(d1: D1Database, session: string): Promise<SessionRow | null> {
  const rows = await drizzle(d1).select().from(sessions).where(eq(sessions.session, session)).limit(1);
  return rows[0] ?? null;
}

/** Takes a report if it is newer than the last one taken and the session has not ended. One statement: no race. */
export async function updateReport(
  d1: D1Database,
  session: string,
  report: { readonly sequence: number; readonly counters: string; readonly at: number },
): Promise<void> {
  const { sequence, counters, at } = report;
  await drizzle(d1)
    .update(sessions)
    .set({ sequence, counters, lastSeenAt: at })
    .where(and(eq(sessions.session, session), lt(sessions.sequence, sequence), isNull(sessions.endedAt)));
}

export type SessionEnd = Pick<
  SessionRow,
  'endedAt' | 'lastSeenAt' | 'reason' | 'exitCode' | 'absenceProven' | 'receipt' | 'receiptSha256'
> & { readonly counters: string | null };

/** The first receipt wins. @returns whether this was the first. */
export async function endSession(d1: D1Database, session: string, end: SessionEnd): Promise<boolean> {
  const { counters, ...rest } = end;
  const ended = await drizzle(d1)
    .update(sessions)
    .set({ ...rest, ...(counters === null ? {} : { counters }) })
    .where(and(eq(sessions.session, session), isNull(sessions.endedAt)))
    .returning({ session: sessions.session });
  return ended.length > 0;
}

/** The first request to stop is the one that is kept. */
export async function markStop(d1: D1Database, session: string, operator: string, at: number): Promise<void> {
  await drizzle(d1)
    .update(sessions)
    .set({ stopRequestedAt: at, stopRequestedBy: operator })
    .where(and(eq(sessions.session, session), isNull(sessions.stopRequestedAt), isNull(sessions.endedAt)));
}

export async function markNoted(d1: D1Database, session: string, what: 'startNoted' | 'endNoted'): Promise<void> {
  await drizzle(d1)
    .update(sessions)
    .set({ [what]: true })
    .where(eq(sessions.session, session));
}

export interface SessionFilter {
  readonly agent?: string | undefined;
  readonly state?: SessionState | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
  /** Unix ms: decides who is lost. */
  readonly now: number;
}

export interface SessionPage {
  readonly rows: readonly SessionRow[];
  readonly nextCursor: string | null;
}

/** One page, newest first; the cursor is a place in that order. */
export async function listSessions(d1: D1Database, filter: SessionFilter): Promise<Result<SessionPage, string>> {
  const place = filter.cursor === undefined ? null : parseCursor(filter.cursor);
  if (place !== null && !place.ok) return place;
  const conditions: (SQL | undefined)[] = [];
  if (filter.agent !== undefined) conditions.push(eq(sessions.agent, filter.agent));
  if (filter.state !== undefined) conditions.push(conditionOf(filter.state, filter.now));
  if (place !== null) {
    const { at, session } = place.value;
    conditions.push(sql`(${sessions.startedAt}, ${sessions.session}) < (${at}, ${session})`);
  }
  const rows = await drizzle(d1)
    .select()
    .from(sessions)
    .where(and(...conditions))
    .orderBy(desc(sessions.startedAt), desc(sessions.session))
    .limit(filter.limit + 1);
  const page = rows.slice(0, filter.limit);
  const last = page.at(-1);
  const more = rows.length > filter.limit && last !== undefined;
  return ok({ rows: page, nextCursor: more ? cursorOf([last.startedAt, last.session]) : null });
}

/** The same decisions as `stateOf`, for the database. */
function conditionOf(state: SessionState, now: number): SQL | undefined {
  if (state === 'ended') return isNotNull(sessions.endedAt);
  if (state === 'lost') return and(isNull(sessions.endedAt), lt(sessions.deadlineAt, now - LOST_AFTER_MS));
  const stop = state === 'running' ? isNull(sessions.stopRequestedAt) : isNotNull(sessions.stopRequestedAt);
  return and(isNull(sessions.endedAt), gte(sessions.deadlineAt, now - LOST_AFTER_MS), stop);
}

function parseCursor(cursor: string): Result<{ at: number; session: string }, string> {
  const [at, session] = placeOf(cursor);
  return typeof at === 'number' && typeof session === 'string' ? ok({ at, session }) : err(NO_CURSOR);
}
