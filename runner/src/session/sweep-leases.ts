import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Refusal } from '../failure.ts';
import type { Backend, BackendName } from '../sandbox/backend.ts';
import { countsLeftIn } from '../sandbox/namespace/counts.ts';
import type { SigningJwk } from '../state/keys.ts';
import { takeLock } from '../state/lock.ts';
import { codeOf } from '../state/private-file.ts';
import { removeAndProve } from './absence.ts';
import { bootMs } from './boot-clock.ts';
import { finishSession, meaningfulTraces } from './finish.ts';
import { stateOfHolder } from './holder.ts';
import { type Ending, type FoundLease, type Lease, LeaseFile, listLeases } from './lease.ts';
import { boxFolders } from './places.ts';
import { hasReceipt, markSent, pendingReceipts, receiptJws } from './receipt.ts';
import type { RunnerState } from './runner-state.ts';
import type { SessionEdge } from './session-edge.ts';
import { sweepOrphans } from './sweep-orphans.ts';
import { incomplete, type SweptSession } from './swept.ts';

export interface SweepTools {
  readonly state: RunnerState;
  /** Asked for only when a receipt must be signed. */
  readonly key: () => SigningJwk;
  readonly edge: SessionEdge | null;
  readonly backendOf: (name: BackendName) => Promise<Backend>;
  readonly say: (line: string) => void;
}

export interface Swept {
  readonly sessions: readonly SweptSession[];
  readonly receiptsSent: readonly string[];
  readonly receiptsWaiting: readonly string[];
}

const NO_ROOM = new Set(['ENOSPC', 'EDQUOT', 'EROFS']);

/** A runner has this long past deadline and grace to end its session itself. */
const OVERDUE_MS = 15_000;

/**
 * Ends what dead runners left: by lease, each session by its own label and traces, never a neighbour's. Then sends receipts that
 * wait. Two sweeps at once share the work: each session is locked while it is swept.
 */
export async function sweepLeases(tools: SweepTools): Promise<Swept> {
  const sessions: SweptSession[] = [];
  for (const found of listLeases(tools.state)) {
    if (found.kind === 'draft') {
      removeDraft(found.path);
      continue;
    }
    try {
      const swept = await sweepOne(found, tools);
      if (swept !== null) sessions.push(swept);
    } catch (error) {
      // What one needs and does not have (its engine, a place to write) keeps none of the others.
      sessions.push({ session: found.session, did: 'incomplete', detail: (error as Error).message });
    }
  }
  sessions.push(...(await sweepOrphans(tools.backendOf)));
  return { sessions, ...(await sendPending(tools)) };
}

/** Receipts that wait, sent to the edge; what it will never take is not offered again. */
export async function sendPending(
  tools: Pick<SweepTools, 'state' | 'edge' | 'say'>,
): Promise<Pick<Swept, 'receiptsSent' | 'receiptsWaiting'>> {
  const { state, edge, say } = tools;
  const waiting = pendingReceipts(state);
  const sent: string[] = [];
  if (edge === null) return { receiptsSent: [], receiptsWaiting: waiting };
  for (const session of waiting) {
    let jws: string | null = null;
    try {
      jws = receiptJws(state, session);
    } catch (error) {
      say(`the receipt of ${session} cannot be sent: ${(error as Error).message}`);
    }
    // A mark without a receipt: its runner died between the two, and its lease tells the rest.
    if (jws === null) continue;
    try {
      await edge.revoke(session);
      await edge.end(session, jws);
    } catch (error) {
      // What it does not like of this one it may of the next; but one that cannot be reached now will not be a moment later.
      if (!(error instanceof Refusal)) break;
      say(`the receipt of ${session} waits: ${(error as Error).message}`);
      continue;
    }
    markSent(state, session);
    sent.push(session);
  }
  return { receiptsSent: sent, receiptsWaiting: waiting.filter((session) => !sent.includes(session)) };
}

/** Nothing of a session exists before its lease has its name, nor after it has lost it. */
function removeDraft(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // Another user's, or on a disk that is read-only: it names nothing.
  }
}

async function sweepOne(
  found: Exclude<FoundLease, { kind: 'draft' }>,
  tools: SweepTools,
): Promise<SweptSession | null> {
  const { session } = found;
  if (found.kind === 'closed') return { session, did: 'left_alone', detail: "it is another user's" };
  if (found.kind === 'damaged' && found.runner !== null && ['alive', 'elsewhere'].includes(stateOfHolder(found.runner)))
    return {
      session,
      did: 'left_alone',
      detail: 'its lease is of a form that this keywarden does not know; its runner lives',
    };
  if (found.kind === 'whole') {
    const alive = aliveAnswer(found.lease, bootMs());
    if (alive === 'left_alone') return { session, did: 'left_alone', detail: 'its runner lives' };
    if (alive === 'overdue') return killOverdue(found.lease, tools);
  }
  let unlock: () => void;
  try {
    unlock = takeLock(join(tools.state.sessions, session, 'sweep.lock'));
  } catch (error) {
    if (!NO_ROOM.has(codeOf(error) ?? '')) {
      // Another sweep has it, or has just finished it.
      return null;
    }
    // Two that kill the same do no harm; the receipt waits until there is room for it.
    if (found.kind === 'whole') await killOverdue(found.lease, tools);
    return { session, did: 'incomplete', detail: `no receipt can be written: ${(error as Error).message}` };
  }
  try {
    if (found.kind === 'damaged') return await sweepDamaged(session, tools);
    return await sweepDead(found.lease, tools);
  } finally {
    try {
      unlock();
    } catch {
      // It went with the folder.
    }
  }
}

/**
 * By the time since boot: a wall clock that was set forward must not end a neighbour's session, nor one that was set back keep it.
 *
 * @returns null when its runner is dead.
 */
function aliveAnswer(lease: Lease, now: number): 'left_alone' | 'overdue' | null {
  const state = stateOfHolder(lease.runner);
  if (state === 'dead' || state === 'rebooted') return null;
  const overdue = now > lease.deadlineBootMs + lease.graceMs + OVERDUE_MS;
  // A runner that we cannot see has its whole time; after that nothing of it can be wanted any more.
  if (state === 'elsewhere') return overdue ? null : 'left_alone';
  return overdue ? 'overdue' : 'left_alone';
}

async function killOverdue(lease: Lease, tools: SweepTools): Promise<SweptSession> {
  const { session } = lease;
  const backend = await tools.backendOf(lease.backend);
  await backend.sweep(session, meaningfulTraces(lease), lease.folder);
  return { session, did: 'killed_overdue', detail: `its runner (pid ${lease.runner.pid}) lives but is late` };
}

async function sweepDead(lease: Lease, tools: SweepTools): Promise<SweptSession> {
  const { session } = lease;
  const file = LeaseFile.open(tools.state, lease);
  const backend = await tools.backendOf(lease.backend);
  if (hasReceipt(tools.state, session)) {
    // Only the lease was left to give back; look once more all the same.
    const { left } = await removeAndProve([backend], session, meaningfulTraces(lease), lease.folder);
    if (left.length > 0) return incomplete(session, left);
    file.remove();
    return { session, did: 'ended', detail: 'its receipt was written before' };
  }
  const rebooted = stateOfHolder(lease.runner) === 'rebooted';
  const ending: Ending = lease.ending ?? {
    reason: rebooted ? 'host_restarted' : 'runner_died',
    at: Date.now(),
    exit: null,
    durationMs: null,
  };
  const finished = await finishSession(file, ending, {
    state: tools.state,
    key: tools.key(),
    edge: tools.edge,
    backends: [backend],
    observe: () => {},
    say: tools.say,
    writtenBy: 'sweeper',
    counted: countsLeftIn(lease.folder, lease.counters?.sources ?? null),
  });
  return finished.left.length > 0
    ? incomplete(session, finished.left)
    : { session, did: 'ended', detail: ending.reason };
}

/** Its name is all that is known: both backends look for it. No receipt can be written; the edge shows it as lost. */
async function sweepDamaged(session: string, tools: SweepTools): Promise<SweptSession> {
  const backends: Backend[] = [];
  for (const name of ['namespace', 'docker'] as const) {
    const backend = await tools.backendOf(name).catch(() => null);
    if ((await backend?.layers())?.every((layer) => layer.present || !layer.required))
      backends.push(backend as Backend);
  }
  const places = boxFolders(tools.state, session);
  const looks = await Promise.all(places.map((folder) => removeAndProve(backends, session, [], folder)));
  const left = looks.flatMap((look) => look.left);
  await tools.edge?.revoke(session).catch(() => {});
  if (left.length > 0) return incomplete(session, left);
  rmSync(join(tools.state.sessions, session), { recursive: true, force: true });
  return { session, did: 'ended', detail: 'its lease was damaged: no receipt' };
}

/** For commands that have other work: a sweep that fails is told and stops nothing. */
export async function sweepQuietly(tools: SweepTools): Promise<void> {
  try {
    const { sessions } = await sweepLeases(tools);
    for (const { session, did, detail } of sessions) {
      if (did !== 'left_alone') tools.say(`swept ${session}: ${detail}`);
    }
  } catch (error) {
    tools.say(`sweeping failed: ${(error as Error).message}`);
  }
}
