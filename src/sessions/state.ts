import type { SessionCounters, SessionState } from '../protocol.ts';

/** The runner may take this long after the deadline to stop, sweep and send its receipt before a session counts as lost. */
export const LOST_AFTER_MS = 60_000;

interface Times {
  readonly deadlineAt: number;
  readonly stopRequestedAt: number | null;
  readonly endedAt: number | null;
}

/** Where a session stands, from its times alone. @param now Unix ms. */
export function stateOf(session: Times, now: number): SessionState {
  if (session.endedAt !== null) return 'ended';
  if (session.deadlineAt + LOST_AFTER_MS < now) return 'lost';
  return session.stopRequestedAt === null ? 'running' : 'stopping';
}

export interface CounterTotals {
  readonly denied: number;
  readonly observed: number;
  readonly blocked: number;
  readonly dropped: number;
}

export function totalsOf(counters: SessionCounters): CounterTotals {
  const sum = (rows: readonly { readonly count: number }[]): number => rows.reduce((all, row) => all + row.count, 0);
  return {
    denied: sum(counters.denied),
    observed: sum(counters.observed),
    blocked: sum(counters.blocked),
    dropped: counters.dropped,
  };
}
