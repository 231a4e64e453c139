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

/** A sum stops at the last number that is exact: what a runner reports is not believed to be small. */
export const addUp = (rows: readonly { readonly count: number }[]): number =>
  Math.min(
    Number.MAX_SAFE_INTEGER,
    rows.reduce((all, row) => all + row.count, 0),
  );

export function totalsOf(counters: SessionCounters): CounterTotals {
  return {
    denied: addUp(counters.denied),
    observed: addUp(counters.observed),
    blocked: addUp(counters.blocked),
    dropped: counters.dropped,
  };
}
