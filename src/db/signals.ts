import type { SignalAlert, SignalName } from '../protocol.ts';
import { LOST_AFTER_MS } from '../sessions/state.ts';
import { type Breach, DURATION_BOUNDS, type Measure } from '../signals/settings.ts';

/** Which time (Unix ms, both ends), and whose. */
export interface SignalFilter {
  readonly since: number;
  readonly until: number;
  readonly agent: string | null;
  readonly session: string | null;
}

const MOST_ROWS = 200;
// The sign + keeps SQLite from grouping or sorting by an index of all rows ever, where one finds those of the time.
const CREDENTIAL_ROWS = `FROM sessions, json_each(sessions.counters, '$.denied') AS denied
  WHERE sessions.last_seen_at BETWEEN ?1 AND ?2 AND sessions.counters IS NOT NULL
    AND (?3 IS NULL OR sessions.agent = ?3) AND (?4 IS NULL OR sessions.session = ?4)`;
/** Runners' figures, added up without an overflow: one that lies must not keep all signals from being read. */
const DENIED_SUM = `CAST(MIN(TOTAL(denied.value ->> '$.count'), ${Number.MAX_SAFE_INTEGER}) AS INTEGER)`;
const DENIED_ROWS = `FROM audit WHERE decision = 'deny' AND at BETWEEN ?1 AND ?2
    AND (?3 IS NULL OR agent = ?3) AND (?4 IS NULL OR session = ?4)`;
const SCREEN_ROWS = `FROM screen_alerts WHERE at BETWEEN ?1 AND ?2
    AND (?3 IS NULL OR agent = ?3) AND (?4 IS NULL OR session = ?4)`;
const SESSION_ROWS = `FROM sessions WHERE started_at BETWEEN ?1 AND ?2
    AND (?3 IS NULL OR agent = ?3) AND (?4 IS NULL OR session = ?4)`;

export interface Figures {
  readonly credentialSeries: readonly { at: number; count: number }[];
  readonly credentialBySession: readonly { session: string; agent: string; count: number }[];
  readonly credentialByClass: readonly { path_class: string; count: number }[];
  readonly rejectionSeries: readonly { at: number; reason: string; count: number }[];
  readonly rejectionsBy: readonly {
    reason: string;
    capability: string | null;
    agent: string | null;
    count: number;
  }[];
  readonly screenSeries: readonly { at: number; count: number }[];
  readonly screenBy: readonly { rule: string; session: string; agent: string; count: number }[];
  readonly durations: readonly { bound: number | null; count: number }[];
  readonly sessionsTotal: number;
  readonly open: readonly { session: string; agent: string; startedAt: number }[];
}

/** All figures of a time, in one round trip; `open` are the sessions that run now, whatever the time. */
export async function readFigures(
  d1: D1Database,
  filter: SignalFilter,
  bucketSeconds: number,
  now: number,
): Promise<Figures> {
  const { since, until, agent, session } = filter;
  const width = bucketSeconds * 1000;
  const ask = (sql: string): D1PreparedStatement => d1.prepare(sql).bind(since, until, agent, session);
  const bucket = (column: string): string => `(${column} / ${width}) * ${width} AS at`;
  const cases = DURATION_BOUNDS.map((bound) => `WHEN ended_at - started_at <= ${bound * 1000} THEN ${bound}`).join(' ');
  const answers = await d1.batch([
    ask(`SELECT ${bucket('sessions.last_seen_at')}, ${DENIED_SUM} AS count ${CREDENTIAL_ROWS} GROUP BY 1`),
    ask(
      `SELECT sessions.session, sessions.agent, ${DENIED_SUM} AS count ${CREDENTIAL_ROWS} GROUP BY +sessions.session, 2 ORDER BY count DESC LIMIT ${MOST_ROWS}`,
    ),
    ask(
      `SELECT denied.value ->> '$.path_class' AS path_class, ${DENIED_SUM} AS count ${CREDENTIAL_ROWS} GROUP BY 1 ORDER BY count DESC LIMIT ${MOST_ROWS}`,
    ),
    ask(`SELECT ${bucket('at')}, COALESCE(reason, '') AS reason, COUNT(*) AS count ${DENIED_ROWS} GROUP BY 1, 2`),
    ask(
      `SELECT COALESCE(reason, '') AS reason, capability, agent, COUNT(*) AS count ${DENIED_ROWS} GROUP BY 1, 2, 3 ORDER BY count DESC LIMIT ${MOST_ROWS}`,
    ),
    ask(`SELECT ${bucket('at')}, SUM(count) AS count ${SCREEN_ROWS} GROUP BY 1`),
    ask(
      `SELECT rule, session, agent, SUM(count) AS count ${SCREEN_ROWS} GROUP BY 1, 2, 3 ORDER BY count DESC LIMIT ${MOST_ROWS}`,
    ),
    ask(`SELECT CASE ${cases} END AS bound, COUNT(*) AS count ${SESSION_ROWS} AND ended_at IS NOT NULL GROUP BY 1`),
    ask(`SELECT COUNT(*) AS count ${SESSION_ROWS}`),
    d1
      .prepare(
        `SELECT session, agent, started_at AS startedAt FROM sessions WHERE ended_at IS NULL AND deadline_at > ?1 - ${LOST_AFTER_MS}
           AND (?2 IS NULL OR agent = ?2) AND (?3 IS NULL OR session = ?3) ORDER BY +started_at LIMIT 1000`,
      )
      .bind(now, agent, session),
  ]);
  const rows = <T>(index: number): T[] => (answers[index]?.results ?? []) as T[];
  return {
    credentialSeries: rows(0),
    credentialBySession: rows(1),
    credentialByClass: rows(2),
    rejectionSeries: rows(3),
    rejectionsBy: rows(4),
    screenSeries: rows(5),
    screenBy: rows(6),
    durations: rows(7),
    sessionsTotal: rows<{ count: number }>(8)[0]?.count ?? 0,
    open: rows(9),
  };
}

/** Each agent's counts since a time; of running sessions the minutes of the longest. */
export async function readMeasures(d1: D1Database, since: number, now: number): Promise<Measure[]> {
  const answers = await d1.batch([
    d1
      .prepare(
        `SELECT sessions.agent, ${DENIED_SUM} AS value
           FROM sessions, json_each(sessions.counters, '$.denied') AS denied
          WHERE sessions.last_seen_at >= ?1 AND sessions.counters IS NOT NULL GROUP BY +sessions.agent`,
      )
      .bind(since),
    d1
      .prepare(
        `SELECT agent, COUNT(*) AS value FROM audit WHERE decision = 'deny' AND at >= ?1 AND agent IS NOT NULL GROUP BY +agent`,
      )
      .bind(since),
    d1.prepare('SELECT agent, SUM(count) AS value FROM screen_alerts WHERE at >= ?1 GROUP BY 1').bind(since),
    d1
      .prepare(
        `SELECT agent, CAST((?1 - MIN(started_at)) / 60000 AS INTEGER) AS value FROM sessions
          WHERE ended_at IS NULL AND deadline_at > ?1 - ${LOST_AFTER_MS} GROUP BY +agent`,
      )
      .bind(now),
  ]);
  const names: SignalName[] = ['credential_paths', 'rejections', 'screen_alerts', 'long_sessions'];
  return names.flatMap((signal, index) =>
    ((answers[index]?.results ?? []) as { agent: string; value: number }[]).map(({ agent, value }) => ({
      signal,
      agent,
      value,
    })),
  );
}

/** A report of a screen. @returns false when it was there already, or the session has too many. */
export async function insertScreenAlert(
  d1: D1Database,
  alert: { session: string; report: string; agent: string; rule: string; count: number; at: number },
): Promise<boolean> {
  const { meta } = await d1
    .prepare(
      `INSERT INTO screen_alerts (session, report, agent, rule, count, at) SELECT ?1, ?2, ?3, ?4, ?5, ?6
        WHERE (SELECT COUNT(*) FROM screen_alerts WHERE session = ?1) < 1000 ON CONFLICT DO NOTHING`,
    )
    .bind(alert.session, alert.report, alert.agent, alert.rule, alert.count, alert.at)
    .run();
  return meta.changes > 0;
}

/**
 * Opens an alert for each breach that has none, keeps those that last up to date, closes the rest.
 *
 * @returns Those that were opened, with the alert's id.
 */
export async function putAlerts(
  d1: D1Database,
  breaches: readonly Breach[],
  now: number,
): Promise<(Breach & { readonly id: string })[]> {
  const fresh = breaches.map((breach) => ({ ...breach, id: crypto.randomUUID() }));
  const answers = await d1.batch<{ id: string }>([
    ...fresh.map(({ id, signal, agent, value, threshold }) =>
      d1
        .prepare(
          `INSERT INTO signal_alerts (id, signal, agent, value, threshold, raised_at, last_at, attempts)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0)
           ON CONFLICT (signal, agent) WHERE cleared_at IS NULL DO UPDATE SET value = MAX(value, ?4), last_at = ?6
           RETURNING id`,
        )
        .bind(id, signal, agent, value, threshold, now),
    ),
    d1.prepare('UPDATE signal_alerts SET cleared_at = ?1 WHERE cleared_at IS NULL AND last_at < ?1').bind(now),
  ]);
  return fresh.filter(({ id }, index) => answers[index]?.results[0]?.id === id);
}

const ALERT = 'id, signal, agent, value, threshold, raised_at AS raisedAt, last_at AS lastAt, cleared_at AS clearedAt';
interface AlertRow {
  readonly id: string;
  readonly signal: SignalName;
  readonly agent: string;
  readonly value: number;
  readonly threshold: number;
  readonly raisedAt: number;
  readonly lastAt: number;
  readonly clearedAt: number | null;
}

export async function listAlerts(d1: D1Database, since: number, agent: string | null): Promise<SignalAlert[]> {
  const { results } = await d1
    .prepare(
      `SELECT ${ALERT} FROM signal_alerts WHERE (cleared_at IS NULL OR raised_at >= ?1) AND (?2 IS NULL OR agent = ?2) ORDER BY raised_at DESC LIMIT 100`,
    )
    .bind(since, agent)
    .all<AlertRow>();
  return results.map(alertJson);
}

/** Longer than an attempt takes, so that there are no two at once. */
const RETRY_MS = 15_000;

/** Twice as long as all attempts take: a webhook that is set up later is not told of all that ever was, nor is all of it read. */
const NEWS_MS = 3_600_000;

/** Alerts that nobody was told of yet, each taken by one attempt alone: after 0, 15, 45, 105 … seconds; given up after 8, or half an hour. */
export async function takeUndelivered(d1: D1Database, now: number): Promise<SignalAlert[]> {
  const { results } = await d1
    .prepare(
      `UPDATE signal_alerts SET attempts = attempts + 1 WHERE id IN
         (SELECT id FROM signal_alerts WHERE delivered_at IS NULL AND attempts < 8 AND raised_at > ?1 - ${NEWS_MS}
             AND raised_at + ((1 << attempts) - 1) * ${RETRY_MS} <= ?1 ORDER BY raised_at DESC LIMIT 20)
       RETURNING ${ALERT}`,
    )
    .bind(now)
    .all<AlertRow>();
  return results.map(alertJson);
}

export async function markDelivered(d1: D1Database, id: string, now: number): Promise<void> {
  await d1.prepare('UPDATE signal_alerts SET delivered_at = ?1 WHERE id = ?2').bind(now, id).run();
}

const alertJson = (row: AlertRow): SignalAlert => ({
  id: row.id,
  signal: row.signal,
  agent: row.agent,
  value: row.value,
  threshold: row.threshold,
  raised_at: new Date(row.raisedAt).toISOString(),
  last_at: new Date(row.lastAt).toISOString(),
  cleared_at: row.clearedAt === null ? null : new Date(row.clearedAt).toISOString(),
});
