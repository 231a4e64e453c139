import type { Denial } from '../denial.ts';
import type { Edge } from '../edge.ts';
import { type Fault, fault } from '../fault.ts';
import { admit as admitAtLedger } from '../ledger/client.ts';
import type { LimitState, NamedLimit } from '../ledger/contract.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { grantOf } from '../policy/grants.ts';
import type { Admitted, Authorized } from './call.ts';
import { callFieldsOf } from './call-fields.ts';

export interface NotAdmitted {
  readonly reason: Denial | Fault;
  readonly limits: readonly LimitState[];
}

/**
 * Step 3: one call of the agent's ledger, in which revocation, rate and the record of the intent are one decision.
 * It is awaited before the credential is read: no call without a record.
 */
export async function admit(authorized: Authorized, edge: Edge): Promise<Result<Admitted, NotAdmitted>> {
  const { call, principal } = authorized;
  const answer = await admitAtLedger(call.env, {
    requestId: call.requestId,
    principal,
    denial: null,
    limits: limitsOf(authorized, edge),
    call: callFieldsOf(call, edge, { principal, authorized }),
  });
  if (!answer.ok) return err({ reason: answer.error, limits: [] });
  switch (answer.value.effect) {
    case 'admitted':
      return ok({ authorized, limits: answer.value.limits } as Admitted);
    case 'denied':
      return err({ reason: answer.value.denial, limits: answer.value.limits });
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
