import type { Denial } from '../denial.ts';
import type { Edge } from '../edge.ts';
import type { Fault } from '../fault.ts';
import type { LimitState } from '../ledger/contract.ts';
import { admit } from './admit.ts';
import { answer } from './answer.ts';
import { authenticate } from './authenticate.ts';
import { authorize } from './authorize.ts';
import type { Call } from './call.ts';
import { forward } from './forward.ts';
import { hold } from './hold.ts';
import { inject } from './inject.ts';
import { recordAnswer, recordDenial, recordFailure } from './record.ts';

/** How a call ended for the client; already recorded, or about to be when its body ends. */
export type Outcome =
  | {
      readonly kind: 'refused';
      readonly reason: Denial | Fault;
      readonly limits: readonly LimitState[];
      /** Further header fields of the answer. */
      readonly fields: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'answered'; readonly response: Response };

const refused = (
  reason: Denial | Fault,
  limits: readonly LimitState[] = [],
  fields: Readonly<Record<string, string>> = {},
): Outcome => ({ kind: 'refused', reason, limits, fields });

/**
 * The whole way of a request. No step calls back, no step knows the next.
 *
 *   authenticate → authorize → hold → admit → inject → forward → answer (scrub) → record
 *
 * A no before `admit` is recorded by `recordDenial`; a no by `admit` was recorded by the ledger in the same decision;
 * what fails after it gets an outcome to its intent.
 */
export async function run(call: Call, edge: Edge): Promise<Outcome> {
  const authenticated = await authenticate(call, edge);
  if (!authenticated.ok) return refused(await recordDenial(call, edge, authenticated.error, null));
  const { principal } = authenticated.value;

  const authorized = await authorize(authenticated.value);
  if (!authorized.ok) return refused(await recordDenial(call, edge, authorized.error, principal));

  const held = await hold(authorized.value, edge);
  if (!held.ok) {
    const { reason, fields } = held.error;
    // A fault of the desk is no decision: nothing was decided, and the log alone tells of it.
    return refused(reason.kind === 'fault' ? reason : await recordDenial(call, edge, reason, principal), [], fields);
  }
  const { fields } = held.value;

  const admitted = await admit(held.value, edge);
  if (!admitted.ok) return refused(admitted.error.reason, admitted.error.limits, fields);
  const { limits } = admitted.value;

  const injected = await inject(admitted.value);
  if (!injected.ok) return failed(injected.error);

  const forwarded = await forward(injected.value);
  if (!forwarded.ok) return failed(forwarded.error);

  const answered = await answer(forwarded.value, fields, (end) => recordAnswer(forwarded.value, end));
  if (!answered.ok) return failed(answered.error);
  return { kind: 'answered', response: answered.value };

  function failed(fault: Fault): Outcome {
    recordFailure(call, principal, fault);
    return refused(fault, limits, fields);
  }
}
