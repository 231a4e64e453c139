import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { SessionReceipt } from '../../../src/protocol.ts';
import { Failure } from '../failure.ts';
import type { Backend, Exit, Sandbox, SandboxSpec, Streams } from '../sandbox/backend.ts';
import type { SigningJwk } from '../state/keys.ts';
import { EndCause, reasonOfExit } from './end-cause.ts';
import { type Finished, finishSession } from './finish.ts';
import { startHeartbeat } from './heartbeat.ts';
import { type Ending, LeaseFile, thisProcess } from './lease.ts';
import type { RunnerState } from './runner-state.ts';
import type { SessionEdge } from './session-edge.ts';
import type { SessionListener } from './session-listener.ts';
import type { Observer } from './steps.ts';
import { stopSandbox } from './stop-sandbox.ts';
import { type Watch, watchOver } from './watch.ts';

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
  readonly exit: Exit | null;
}

/**
 * One session, from its lease to its receipt: lease, token, egress socket, sandbox, watch, stop, sweep, receipt.
 *
 * Whatever happens after the lease is written, the session is finished: a start that fails ends like any other session, with
 * a receipt that says `start_failed`, and only then throws.
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
    await start(plan, tools, file, cause, watch, open);
    await cause.settled;
  } catch (error) {
    failure = error;
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
  return { ...finished, ending, exit };
}

interface Opened {
  sandbox: Sandbox | null;
  /** The backend is still starting something, whatever was done to end it. */
  startHangs: boolean;
  egress: Egress | null;
  heartbeat: { stop: () => void } | null;
  unfollow: (() => void) | null;
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

/** Up to the running agent. What was opened stands in `open` even when this throws. */
async function start(
  plan: SessionPlan,
  tools: SessionTools,
  file: LeaseFile,
  cause: EndCause,
  watch: Watch,
  open: Opened,
): Promise<void> {
  const token = tools.edge === null ? null : await admit(plan, tools, tools.edge, file);
  const egressSocket = join(plan.folder, 'edge.sock');
  open.egress = await tools.openEgress(egressSocket, tools.edge);
  tools.observe('egress_open');
  tools.phase('egress');
  if (cause.reason !== null) return;

  const { deadlineAt, graceMs } = file.lease;
  const starting = plan.backend.start(
    {
      ...plan.sandbox,
      env: { ...plan.sandbox.env, ...(token === null ? {} : { KEYWARDEN_TOKEN: token }) },
      session: plan.session,
      deadlineAt,
      graceMs,
      folder: plan.folder,
      egressSocket,
      streams: tools.streams(token),
    },
    {
      traced: async (trace) => {
        file.update({ traces: [...file.lease.traces, trace] });
        tools.observe('traced');
      },
      phase: tools.phase,
    },
  );
  const sandbox = await unlessAbandoned(starting, plan, file, cause, open);
  open.sandbox = sandbox;
  tools.observe('sandbox_started');
  tools.phase('sandbox');
  if (plan.requireCount && sandbox.counters().sources.length === 0) {
    throw new Failure(
      `the ${plan.backend.name} backend counts nothing on this host, and --require-count wants it`,
      'keywarden doctor tells which layer is missing',
    );
  }
  if (plan.sandbox.tty) open.unfollow = followTerminal(sandbox);
  file.update({ runningAt: Date.now() });
  tools.listener.started(file.lease);
  sandbox.exited.then(
    (exit) => cause.settle(reasonOfExit(exit, watch.leftMs())),
    () => cause.settle('killed'),
  );
  open.heartbeat = startHeartbeat({
    session: plan.session,
    edge: tools.edge,
    sandbox,
    file,
    cause,
    listener: tools.listener,
  });
  tools.observe('running');
}

/** The terminal inside is as large as ours, from the beginning and whenever ours changes. */
function followTerminal(sandbox: Sandbox): () => void {
  const { stdout } = process;
  const follow = (): void => void sandbox.resize(stdout.columns, stdout.rows).catch(() => {});
  follow();
  stdout.on('resize', follow);
  return () => stdout.off('resize', follow);
}

/** How long a start that was taken away from under may take to give up. */
const GIVE_UP_MS = 15_000;

/**
 * Asked to end while it starts: it has the grace to come up and be stopped properly. Then what there is of it is swept away,
 * which makes it fail; and one that even so goes on keeps its lease, so that the next sweep looks for it again.
 */
async function unlessAbandoned(
  starting: Promise<Sandbox>,
  plan: SessionPlan,
  file: LeaseFile,
  cause: EndCause,
  open: Opened,
): Promise<Sandbox> {
  const late = Symbol('late');
  const sandbox = await Promise.race([starting, cause.settled.then(() => delay(plan.graceMs, late))]);
  if (typeof sandbox !== 'symbol') return sandbox;
  await plan.backend.sweep(plan.session, file.lease.traces, plan.folder).catch(() => {});
  open.startHangs = true;
  const done = starting.then(
    async (came) => {
      await came.kill().catch(() => {});
      open.startHangs = false;
    },
    () => {
      open.startHangs = false;
    },
  );
  await Promise.race([done, delay(GIVE_UP_MS, undefined, { ref: false })]);
  throw new Failure('the sandbox did not start before the session had to end');
}

/** Announces the session and gets its token; the token itself is in memory only. */
async function admit(
  plan: SessionPlan,
  tools: SessionTools,
  edge: SessionEdge,
  file: LeaseFile,
): Promise<string | null> {
  const { session, agent, capabilities } = plan;
  await edge.announce({
    session_id: session,
    agent_id: agent,
    backend: plan.backend.name,
    host: plan.host,
    program: plan.started.program,
    capabilities: [...capabilities],
    deadline_at: new Date(file.lease.deadlineAt).toISOString(),
    key: { kty: 'OKP', crv: 'Ed25519', x: tools.key.x },
  });
  tools.observe('announced');
  tools.phase('announce');
  if (capabilities.length === 0) return null;
  const ttlSeconds = Math.max(1, Math.ceil(plan.timeoutMs / 1000));
  const minted = await edge.mint({ agent, session, capabilities, ttlSeconds });
  tools.observe('token_minted');
  if (minted.warning !== null) tools.say(minted.warning);
  file.update({ tokenId: minted.tokenId });
  tools.observe('token_leased');
  tools.phase('token');
  return minted.token;
}
