import type { SessionReceipt } from '../../../src/protocol.ts';
import { NoAnswer } from '../failure.ts';
import type { Backend, Counters } from '../sandbox/backend.ts';
import type { SigningJwk } from '../state/keys.ts';
import { bootId } from '../state/process-identity.ts';
import { type Absence, removeAndProve } from './absence.ts';
import type { Ending, Lease, LeaseFile } from './lease.ts';
import { markSent, receiptOf, signReceipt, writeReceipt } from './receipt.ts';
import type { RunnerState } from './runner-state.ts';
import type { SessionEdge } from './session-edge.ts';
import type { Observer } from './steps.ts';

export interface FinishTools {
  readonly state: RunnerState;
  readonly key: SigningJwk;
  readonly edge: SessionEdge | null;
  readonly backends: readonly Backend[];
  readonly observe: Observer;
  readonly say: (line: string) => void;
  readonly writtenBy: SessionReceipt['written_by'];
  /** What was counted to the very end, where the lease may be behind; asked when nothing of the session lives. */
  readonly counted?: (() => Counters | null) | null;
  /** Something may still come of it: the next sweep shall look again. */
  readonly keepLease?: boolean;
}

export interface Finished {
  readonly receipt: SessionReceipt;
  readonly jws: string;
  readonly left: Absence['left'];
  /** Whether the edge has the receipt; null: no edge knows of the session. */
  readonly sent: boolean | null;
  readonly revoked: boolean;
}

/**
 * The end of every session, whoever brings it about: revoke, sweep, prove, sign, write, send, give the lease back. Each step
 * may be repeated, so that whoever comes after a runner that died in the midst of it begins again from the top.
 */
export async function finishSession(file: LeaseFile, ending: Ending, tools: FinishTools): Promise<Finished> {
  const { state, edge, observe, say } = tools;
  file.tryUpdate({ ending });
  // At once and beside everything else: the agent is gone, and nobody shall use what it held.
  const revoking = revoke(file.lease, edge).then((done) => {
    observe('revoked');
    return done;
  });
  const { stated, left } = await removeAndProve(
    tools.backends,
    file.lease.session,
    meaningfulTraces(file.lease),
    file.lease.folder,
  );
  const counted = tools.counted?.() ?? null;
  if (counted !== null) file.tryUpdate({ counters: counted });
  observe('swept');
  const revocation = await revoking;
  const revoked = revocation === 'done';
  const receipt = receiptOf(file.lease, ending, stated, revoked, tools.writtenBy);
  const jws = signReceipt(receipt, tools.key);
  observe('receipt_signed');
  // Whoever ends it may know of no edge: one that announced it has a token to revoke and a receipt to get.
  const pending = file.lease.atEdge;
  let written = true;
  try {
    writeReceipt(state, receipt, jws, pending);
  } catch (error) {
    written = false;
    say(`the receipt cannot be written to ${state.receipts}: ${(error as Error).message}`);
  }
  observe('receipt_written');
  const sent = pending ? edge !== null && (await send(edge, file.lease.session, jws, revocation, say)) : null;
  if (sent === true && written) markSent(state, file.lease.session);
  observe('receipt_sent');
  // While something is left, or its receipt is nowhere, the lease stays for the next sweep.
  if (left.length === 0 && (written || sent === true) && tools.keepLease !== true) giveBack(file, say);
  observe('lease_removed');
  return { receipt, jws, left, sent, revoked };
}

/** The session has ended, and its exit code is the agent's, wherever its lease stays. */
function giveBack(file: LeaseFile, say: (line: string) => void): void {
  try {
    file.remove();
  } catch (error) {
    say(`the lease of ${file.lease.session} cannot be removed: ${(error as Error).message}; keywarden sweep does it`);
  }
}

/** After a restart of the host, pids, cgroups and mounts of before name nothing, or somebody else's. */
export function meaningfulTraces(lease: Lease): Lease['traces'] {
  if (lease.runner.bootId === bootId()) return lease.traces;
  return lease.traces.filter((trace) => trace.kind === 'container');
}

/** What is not answered now will not be a moment later: nobody waits twice. */
type Revocation = 'done' | 'refused' | NoAnswer;

async function revoke(lease: Lease, edge: SessionEdge | null): Promise<Revocation> {
  // Minted and killed before the lease knew: so every session that an edge knows is revoked, whether it has a token or not.
  if (edge === null || !lease.atEdge) return 'refused';
  try {
    await edge.revoke(lease.session);
    return 'done';
  } catch (error) {
    return error instanceof NoAnswer ? error : 'refused';
  }
}

async function send(
  edge: SessionEdge,
  session: string,
  jws: string,
  revocation: Revocation,
  say: (line: string) => void,
): Promise<boolean> {
  try {
    if (revocation instanceof NoAnswer) throw revocation;
    if (!(await edge.end(session, jws))) say(`the edge will not take the receipt of ${session}; it is kept here`);
    return true;
  } catch (error) {
    say(`the receipt of ${session} waits for the edge: ${(error as Error).message}; keywarden sweep sends it`);
    return false;
  }
}
