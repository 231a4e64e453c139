import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Failure } from '../failure.ts';
import type { Sandbox } from '../sandbox/backend.ts';
import { type EndCause, reasonOfExit } from './end-cause.ts';
import { startHeartbeat } from './heartbeat.ts';
import type { LeaseFile } from './lease.ts';
import type { Egress, SessionPlan, SessionTools } from './run-session.ts';
import type { SessionEdge } from './session-edge.ts';
import type { Watch } from './watch.ts';

/** What a start has opened so far. */
export interface Opened {
  sandbox: Sandbox | null;
  /** The backend is still starting something, whatever was done to end it. */
  startHangs: boolean;
  egress: Egress | null;
  heartbeat: { stop: () => void } | null;
  unfollow: (() => void) | null;
}

/**
 * PID 1's own deadline comes after the runner's: it is for a runner that is dead or stopped. One that lives ends the session
 * itself, and so knows why an agent that makes its end look well has ended.
 */
const SECOND_KILLER_MS = 250;

/** Up to the running agent. What was opened stands in `open` even when this throws. */
export async function startSession(
  plan: SessionPlan,
  tools: SessionTools,
  file: LeaseFile,
  cause: EndCause,
  watch: Watch,
  open: Opened,
): Promise<void> {
  const token = tools.edge === null ? null : await unlessEnded(admit(plan, tools, tools.edge, file), cause);
  if (token === ENDED) return;
  const egressSocket = join(plan.folder, 'edge.sock');
  open.egress = await tools.openEgress(egressSocket, tools.edge);
  tools.observe('egress_open');
  tools.phase('egress');
  if (cause.reason !== null) return;

  const { graceMs } = file.lease;
  // By the clock that nobody sets: the wall clock may have been set since the lease, and PID 1 counts what is left from now on.
  const deadlineAt = Date.now() + Math.max(1, watch.leftMs()) + SECOND_KILLER_MS;
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
  // Which sources are live stands there from now on, whatever becomes of us.
  file.update({ runningAt: Date.now(), counters: sandbox.counters() });
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

const ENDED = Symbol('ended');

/**
 * An edge that does not answer keeps nobody: neither past the deadline nor from an interruption. What it mints later reaches
 * nobody, and is of a session that is revoked.
 */
function unlessEnded<T>(work: Promise<T>, cause: EndCause): Promise<T | typeof ENDED> {
  work.catch(() => {});
  return Promise.race([work, cause.settled.then((): typeof ENDED => ENDED)]);
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
