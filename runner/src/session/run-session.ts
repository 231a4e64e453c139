import type { SessionReceipt } from '../../../src/protocol.ts';
import type { Backend, Exit, SandboxSpec, Streams } from '../sandbox/backend.ts';
import type { SigningJwk } from '../state/keys.ts';
import { bootMs } from './boot-clock.ts';
import { EndCause } from './end-cause.ts';
import { type Finished, finishSession } from './finish.ts';
import { thisProcess } from './holder.ts';
import { type Ending, LeaseFile } from './lease.ts';
import type { RunnerState } from './runner-state.ts';
import type { SessionEdge } from './session-edge.ts';
import type { SessionListener } from './session-listener.ts';
import { type Opened, startSession } from './start-session.ts';
import type { Observer } from './steps.ts';
import { stopSandbox } from './stop-sandbox.ts';
import { watchOver } from './watch.ts';

/** A way out of the sandbox, on a socket of the session's own. */
export interface Egress {
  close(): Promise<void>;
}

/** What is to be run. Everything was checked before: no part of it is refused from here on. */
export interface SessionPlan {
  readonly session: string;
  readonly agent: string;
  readonly host: string;
  readonly backend: Backend;
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly capabilities: readonly string[];
  /** Refuse to run where nothing counts. */
  readonly requireCount: boolean;
  /** How the receipt shows it. */
  readonly started: SessionReceipt['started'];
  /** The folder that the backend lays its things in. */
  readonly folder: string;
  /** The rest of what the backend is told; the token is added to `env` when it is minted. */
  readonly sandbox: Omit<SandboxSpec, 'session' | 'deadlineAt' | 'graceMs' | 'folder' | 'egressSocket' | 'streams'>;
}

export interface SessionTools {
  readonly state: RunnerState;
  readonly key: SigningJwk;
  /** Null: a sandbox without an edge. */
  readonly edge: SessionEdge | null;
  readonly openEgress: (socket: string, edge: SessionEdge | null) => Promise<Egress>;
  /** Made when the token is known, since that is masked too. */
  readonly streams: (token: string | null) => Streams;
  readonly listener: SessionListener;
  readonly observe: Observer;
  readonly say: (line: string) => void;
  readonly phase: (name: string) => void;
}

export interface SessionResult extends Finished {
  readonly ending: Ending;
  /** Null: the agent was never started, or it could not be learned. */
  readonly exit: Exit | null;
  /** What asked for the end; SIGTERM when no signal did. */
  readonly signal: NodeJS.Signals;
}

/**
 * One session, from its lease to its receipt: lease, token, egress socket, sandbox, watch, stop, sweep, receipt.
 *
 * Whatever happens after the lease is written, the session is finished: a start that fails ends like any other session, with
 * a receipt that says `start_failed`, and only then throws. What is asked to end while it starts ends as asked.
 *
 * @throws Failure when it could not be started.
 */
export async function runSession(plan: SessionPlan, tools: SessionTools): Promise<SessionResult> {
  const cause = new EndCause();
  const file = leaseOf(plan, tools);
  tools.phase('lease');
  const watch = watchOver({ timeoutMs: plan.timeoutMs, stopFile: file.stopFile, cause });
  const open: Opened = { sandbox: null, startHangs: false, egress: null, heartbeat: null, unfollow: null };
  let failure: unknown = null;
  try {
    await startSession(plan, tools, file, cause, watch, open);
    await cause.settled;
  } catch (error) {
    // A start that fails since its session had to end is told as that end; one that hangs even so is told.
    if (cause.reason === null || open.startHangs) failure = error;
    cause.settle('start_failed');
  }
  const reason = await cause.settled;
  tools.observe('ending');
  tools.phase('run');
  open.heartbeat?.stop();
  open.unfollow?.();
  const exit = open.sandbox === null ? null : await stopSandbox(open.sandbox, plan.graceMs, watch);
  file.tryUpdate({ counters: open.sandbox?.counters() ?? null });
  await open.egress?.close().catch(() => {});
  tools.observe('stopped');
  tools.phase('stop');
  const ending: Ending = { reason, at: Date.now(), exit, durationMs: Math.round(watch.elapsedMs()) };
  const finished = await finishSession(file, ending, {
    ...tools,
    backends: [plan.backend],
    writtenBy: 'runner',
    keepLease: open.startHangs,
  });
  watch.close();
  tools.phase('sweep and receipt');
  tools.listener.ended(finished.receipt);
  if (failure !== null) throw failure;
  return { ...finished, ending, exit, signal: watch.signal() };
}

function leaseOf(plan: SessionPlan, tools: SessionTools): LeaseFile {
  const leasedAt = Date.now();
  return LeaseFile.create(
    tools.state,
    {
      version: 1,
      session: plan.session,
      agent: plan.agent,
      backend: plan.backend.name,
      host: plan.host,
      runner: thisProcess(),
      leasedAt,
      deadlineAt: leasedAt + plan.timeoutMs,
      deadlineBootMs: bootMs() + plan.timeoutMs,
      graceMs: plan.graceMs,
      folder: plan.folder,
      traces: [],
      tokenId: null,
      atEdge: tools.edge !== null,
      started: plan.started,
      runningAt: null,
      counters: null,
      ending: null,
    },
    tools.observe,
  );
}
