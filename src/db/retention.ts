const DAY_MS = 86_400_000;
/** Rows of one table that are removed in one run, so that the first one, on an old database, has an end. */
const MAX_ROWS = 100_000;

/**
 * Removes what nobody asks for any more: tokens a day after they expired, by any clock that is less than a day behind this one;
 * and, past the retention, what has ended of sessions and alerts, as the audit rows that tell of it go then. That a session was
 * revoked is kept: no token is ever given for it again.
 *
 * @param now    Unix ms.
 * @param before Unix ms; null where everything is kept for ever.
 */
export async function forgetPast(d1: D1Database, now: number, before: number | null): Promise<void> {
  const remove = (table: string, condition: string, time: number): D1PreparedStatement =>
    d1
      .prepare(`DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE ${condition} LIMIT ${MAX_ROWS})`)
      .bind(time);
  await d1.batch([
    remove('tokens', 'expires_at < ?1', now - DAY_MS),
    ...(before === null
      ? []
      : [
          remove('sessions', 'started_at < ?1 AND COALESCE(ended_at, deadline_at) < ?1', before),
          remove('screen_alerts', 'at < ?1', before),
          remove('signal_alerts', 'raised_at < ?1 AND cleared_at < ?1', before),
        ]),
  ]);
}
