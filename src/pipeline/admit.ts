import { tellDesk } from '../approvals/client.ts';
import type { GrantedApproval } from '../approvals/contract.ts';
import type { Denial } from '../denial.ts';
import type { Edge } from '../edge.ts';
import { type Fault, fault } from '../fault.ts';
import { limitNameOf } from '../ledger/approval.ts';
import { admit as admitAtLedger } from '../ledger/client.ts';
import type { AdmitAnswer, LimitState, NamedLimit } from '../ledger/contract.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { grantOf } from '../policy/grants.ts';
import type { Admitted, Authorized, Held } from './call.ts';
import { callFieldsOf } from './call-fields.ts';

export interface NotAdmitted {
  readonly reason: Denial | Fault;
  readonly limits: readonly LimitState[];
}

/**
 * Step 4: one call of the agent's ledger, in which revocation, rate, the use of an approval and the record of the intent
 * are one decision.
 * It is awaited before the credential is read: no call without a record.
 */
export async function admit({ authorized, grant }: Held, edge: Edge): Promise<Result<Admitted, NotAdmitted>> {
  const { call, principal } = authorized;
  const answer = await admitAtLedger(call.env, {
    requestId: call.requestId,
    principal,
    denial: null,
    limits: limitsOf(authorized, edge),
    ...(grant === null ? {} : { approval: grant }),
    call: callFieldsOf(call, edge, { principal, authorized }),
  });
  if (!answer.ok) return err({ reason: answer.error, limits: [] });
  if (grant !== null) tellOfUse(authorized, grant, answer.value);
  switch (answer.value.effect) {
    case 'admitted':
      return ok({ authorized, limits: publicLimits(answer.value.limits, grant) } as Admitted);
    case 'denied':
      return err({ reason: answer.value.denial, limits: publicLimits(answer.value.limits, grant) });
    case 'full':
      return err({ reason: fault('ledger_full', `${answer.value.waitingRows} rows wait for D1`), limits: [] });
  }
}

function limitsOf({ capability, principal }: Authorized, edge: Edge): readonly NamedLimit[] {
  const limits: NamedLimit[] = [];
  if (capability.limit !== null) limits.push({ name: capability.name, spec: capability.limit });
  const ofAgent = grantOf(edge.bundle.agents, edge.dev, principal.agent)?.limit ?? null;
  if (ofAgent !== null) limits.push({ name: 'agent', spec: ofAgent });
  return limits;
}

/** For people who look at the desk; nothing depends on its getting there. */
function tellOfUse({ call }: Authorized, { id }: GrantedApproval, answer: AdmitAnswer): void {
  if (answer.effect === 'admitted') call.ctx.waitUntil(tellDesk(call.env, id, { used: call.requestId }));
  else if (answer.effect === 'denied' && answer.denial.kind === 'approval_used')
    call.ctx.waitUntil(tellDesk(call.env, id, 'exhausted'));
  else if (answer.effect === 'denied' && answer.denial.kind === 'approval_revoked')
    call.ctx.waitUntil(tellDesk(call.env, id, 'revoked'));
}

/** An approval is counted as a limit, and is none of the client's. Known by its own name: a service may be called so, too. */
const publicLimits = (limits: readonly LimitState[], grant: GrantedApproval | null): readonly LimitState[] =>
  grant === null ? limits : limits.filter(({ name }) => name !== limitNameOf(grant));
