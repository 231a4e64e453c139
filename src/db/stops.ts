/** What stands of stops, and what they reach. Times are Unix ms. */
export interface StopRow {
  readonly scope: string;
  readonly placedAt: number;
  readonly placedBy: string;
  readonly reason: string | null;
}

export interface LiveToken {
  readonly tokenId: string;
  readonly agent: string;
  readonly session: string | null;
  readonly issuedAt: number;
}

export async function listStops(d1: D1Database): Promise<StopRow[]> {
  const { results } = await d1
    .prepare(
      'SELECT scope, placed_at AS placedAt, placed_by AS placedBy, reason FROM stops ORDER BY placed_at DESC LIMIT 1000',
    )
    .all<StopRow>();
  return results;
}

/** The first who placed it is kept. @returns whether it was placed now. */
export async function placeStop(d1: D1Database, row: StopRow): Promise<boolean> {
  const { meta } = await d1
    .prepare(
      'INSERT INTO stops (scope, placed_at, placed_by, reason) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (scope) DO NOTHING',
    )
    .bind(row.scope, row.placedAt, row.placedBy, row.reason)
    .run();
  return meta.changes > 0;
}

export async function liftStop(d1: D1Database, scope: string): Promise<boolean> {
  const { meta } = await d1.prepare('DELETE FROM stops WHERE scope = ?1').bind(scope).run();
  return meta.changes > 0;
}

/** The stop that keeps a token for these services from being minted, or null. */
export async function stopFor(d1: D1Database, services: readonly string[]): Promise<StopRow | null> {
  const scopes = ['everything', ...services.map((service) => `service:${service}`)];
  return d1
    .prepare(
      'SELECT scope, placed_at AS placedAt, placed_by AS placedBy, reason FROM stops WHERE scope IN (SELECT value FROM json_each(?1)) ORDER BY scope LIMIT 1',
    )
    .bind(JSON.stringify(scopes))
    .first<StopRow>();
}

/** Which tokens: by one of their own columns, or by any of these capabilities. */
export type TokensOf =
  | { readonly by: 'all' }
  | { readonly by: 'agent' | 'session' | 'token_id'; readonly value: string }
  | { readonly by: 'capabilities'; readonly names: readonly string[] };

export const MAX_TOKENS = 10_000;

/** Tokens that have not expired, at most {@link MAX_TOKENS}. They may have been revoked before: revoking again changes nothing. */
export async function liveTokens(d1: D1Database, of: TokensOf, now: number): Promise<LiveToken[]> {
  const [condition, value] =
    of.by === 'all'
      ? ['?2 = ?2', '']
      : of.by === 'capabilities'
        ? [
            'EXISTS (SELECT 1 FROM json_each(tokens.capabilities) AS held JOIN json_each(?2) AS hit ON held.value = hit.value)',
            JSON.stringify(of.names),
          ]
        : [`${of.by} = ?2`, of.value];
  const { results } = await d1
    .prepare(
      `SELECT token_id AS tokenId, agent, session, issued_at AS issuedAt FROM tokens WHERE expires_at > ?1 AND ${condition} LIMIT ${MAX_TOKENS}`,
    )
    .bind(now, value)
    .all<LiveToken>();
  return results;
}

export interface OpenSession {
  readonly session: string;
  readonly agent: string;
}

/** Sandboxed runs that have not ended, those that may run longest first: the lost ones, of which nobody ever heard again, keep none out. */
export async function openSessions(d1: D1Database): Promise<OpenSession[]> {
  const { results } = await d1
    .prepare(
      'SELECT session, agent FROM sessions WHERE ended_at IS NULL AND stop_requested_at IS NULL ORDER BY deadline_at DESC LIMIT 10000',
    )
    .all<OpenSession>();
  return results;
}

/** Asks the runners of these sessions to end them. */
export async function stopSessions(
  d1: D1Database,
  sessions: readonly string[],
  operator: string,
  now: number,
): Promise<number> {
  const { meta } = await d1
    .prepare(
      'UPDATE sessions SET stop_requested_at = ?1, stop_requested_by = ?2 WHERE ended_at IS NULL AND stop_requested_at IS NULL AND session IN (SELECT value FROM json_each(?3))',
    )
    .bind(now, operator, JSON.stringify(sessions))
    .run();
  return meta.changes;
}
