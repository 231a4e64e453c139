import { agentsOfSession, revokeSessions } from '../db/tokens.ts';
import type { Fault } from '../fault.ts';
import { revoke } from '../ledger/client.ts';
import type { LedgerNote } from '../ledger/contract.ts';
import { ok, type Result } from '../lib/result.ts';
import { MAX_TTL_SECONDS } from '../protocol.ts';
import type { SessionRow } from '../sessions/store.ts';
import type { ApiContext } from './context.ts';
import { noteOperator } from './operator-note.ts';

/** No token of the session works from the next call on, and none is minted for it any more. Repeating it changes nothing. */
export async function revokeAll(c: ApiContext, session: SessionRow, now: number): Promise<Result<null, Fault>> {
  await revokeSessions(c.env.DB, [session.session], now);
  const agents = new Set([session.agent, ...(await agentsOfSession(c.env.DB, session.session))]);
  let answer: Result<null, Fault> = ok(null);
  for (const agent of agents) {
    const until = now + MAX_TTL_SECONDS * 1000;
    const done = await revoke(c.env, agent, { by: 'session', session: session.session, until });
    if (!done.ok) answer = done;
  }
  return answer;
}

/** Writes a row of the session into its agent's ledger. */
export const noteOf = (
  c: ApiContext,
  { agent, session }: SessionRow,
  event: LedgerNote['event'],
  reason: string | null,
  detail: LedgerNote['detail'],
): Promise<Result<null, Fault>> =>
  noteOperator(c, { event, operator: c.get('operator').id, agent, session, reason, detail });
