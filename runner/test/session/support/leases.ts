import { bootMs } from '../../../src/session/boot-clock.ts';
import { thisProcess } from '../../../src/session/holder.ts';
import type { Lease } from '../../../src/session/lease.ts';
import { boxFolder } from '../../../src/session/places.ts';
import type { RunnerState } from '../../../src/session/runner-state.ts';
import { makeSessionId } from '../../../src/session/session-id.ts';
import { plainBackend } from './plain-backend.ts';
import { planOf } from './world.ts';

/** A lease of this very process, unless `more` says otherwise. */
export function leaseOf(state: RunnerState, more: Partial<Lease> = {}): Lease {
  const session = more.session ?? makeSessionId();
  return {
    version: 1,
    session,
    agent: 'worker',
    backend: 'namespace',
    host: 'h',
    runner: thisProcess(),
    leasedAt: Date.now(),
    deadlineAt: Date.now() + 60_000,
    deadlineBootMs: bootMs() + 60_000,
    graceMs: 1_000,
    folder: boxFolder(state, session, false),
    traces: [],
    tokenId: null,
    atEdge: false,
    started: planOf(state, { backend: plainBackend(), argv: ['x'] }).started,
    runningAt: null,
    counters: null,
    ending: null,
    ...more,
  };
}
