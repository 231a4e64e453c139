import { RunSessionId } from '../protocol.ts';
import { findSession, type SessionRow } from '../sessions/store.ts';
import type { ApiContext } from './context.ts';
import { refuse } from './refuse.ts';

/** The session of this id, or the answer that there is none. */
export async function announcedSession(c: ApiContext, id: string | undefined): Promise<SessionRow | Response> {
  const known = RunSessionId.safeParse(id);
  const found = known.success ? await findSession(c.env.DB, known.data) : null;
  return found ?? refuse(c, 404, 'session_unknown', 'No such session was announced here.');
}

/** The same for its runner: another operator's sessions are not for it to report on or to end. */
export async function ownSession(c: ApiContext, id: string | undefined): Promise<SessionRow | Response> {
  const found = await announcedSession(c, id);
  if (found instanceof Response || found.startedBy === c.get('operator').id) return found;
  return refuse(c, 403, 'session_foreign', 'The session was announced by another operator.');
}
