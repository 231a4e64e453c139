import { eq } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/d1';
import { revokedSessions, tokens } from './schema.ts';

export type TokenRow = typeof tokens.$inferInsert;

/** Remembers a minted token: whose ledger to tell when it is revoked. */
export async function insertToken(d1: D1Database, row: TokenRow): Promise<void> {
  await drizzle(d1).insert(tokens).values(row);
}

/** For whom and by which operator a token was minted; null for one that is not known (any more). */
export async function findToken(
  d1: D1Database,
  tokenId: string,
): Promise<Pick<typeof tokens.$inferSelect, 'agent' | 'mintedBy'> | null> {
  const rows = await drizzle(d1)
    .select({ agent: tokens.agent, mintedBy: tokens.mintedBy })
    .from(tokens)
    .where(eq(tokens.tokenId, tokenId))
    .limit(1);
  return rows[0] ?? null;
}

/** The agents that hold tokens of a session. */
export async function agentsOfSession(d1: D1Database, session: string): Promise<string[]> {
  const rows = await drizzle(d1)
    .selectDistinct({ agent: tokens.agent })
    .from(tokens)
    .where(eq(tokens.session, session));
  return rows.map((row) => row.agent);
}

export async function isSessionRevoked(d1: D1Database, session: string): Promise<boolean> {
  const rows = await drizzle(d1).select().from(revokedSessions).where(eq(revokedSessions.session, session)).limit(1);
  return rows.length > 0;
}

/** From now on no token is minted for these sessions. One statement, however many they are: the platform bounds their number. */
export async function revokeSessions(d1: D1Database, sessions: readonly string[], now: number): Promise<void> {
  await d1
    .prepare(
      'INSERT INTO revoked_sessions (session, revoked_at) SELECT value, ?1 FROM json_each(?2) WHERE true ON CONFLICT DO NOTHING',
    )
    .bind(now, JSON.stringify(sessions))
    .run();
}
