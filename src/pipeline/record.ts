import type { CallOutcome } from '../audit/event.ts';
import type { Principal } from '../capability/principal.ts';
import type { Denial } from '../denial.ts';
import type { Edge } from '../edge.ts';
import type { Fault } from '../fault.ts';
import { admit, record, settle } from '../ledger/client.ts';
import { lengthOf } from '../lib/fields.ts';
import type { Call, Forwarded } from './call.ts';
import { callFieldsOf } from './call-fields.ts';
import type { BodyEnd } from './stream-scrubbed.ts';

/**
 * Step 8, on the sad way: a no is recorded before it is said. The agent's ledger may overrule it: whoever was revoked
 * hears of that first, so that a revoked token learns nothing of the policies.
 *
 * @returns The denial to answer with.
 */
export async function recordDenial(
  call: Call,
  edge: Edge,
  denial: Denial,
  principal: Principal | null,
): Promise<Denial | Fault> {
  const fields = callFieldsOf(call, edge, principal === null ? { denial } : { denial, principal });
  if (principal === null) {
    const recorded = await record(
      call.env,
      { kind: 'anonymous' },
      { refused: [{ requestId: call.requestId, denial, call: fields }] },
    );
    // A full or absent ledger changes nothing of the no, and a client without a token learns nothing of it.
    if (!recorded.ok) console.error(`keywarden: error: a refused call was not recorded: ${recorded.error.detail}`);
    return denial;
  }
  const answer = await admit(call.env, { requestId: call.requestId, principal, denial, limits: [], call: fields });
  if (!answer.ok) return answer.error;
  return answer.value.effect === 'denied' ? answer.value.denial : denial;
}

/** The outcome of an admitted call that never got an answer. It waits in the isolate and rides on the agent's next call. */
export function recordFailure(call: Call, principal: Principal, fault: Fault): void {
  settle(
    call.env,
    call.ctx,
    principal.agent,
    outcomeOf(call, {
      requestBytes: lengthOf(call.fields),
      event: 'call.failed',
      status: null,
      reason: fault.code,
      why: fault.detail,
      responseBytes: null,
      redactions: 0,
    }),
  );
}

/** The outcome of an answered call, once its body has ended. */
export function recordAnswer({ injected, response, uploadedBytes }: Forwarded, end: BodyEnd): void {
  const { call, principal, capability } = injected.admitted.authorized;
  settle(
    call.env,
    call.ctx,
    principal.agent,
    outcomeOf(call, {
      // An upload in chunks has told no length.
      requestBytes: lengthOf(call.fields) ?? uploadedBytes(),
      event: end.fault === null ? 'call.completed' : 'call.failed',
      status: response.status,
      reason: end.fault?.code ?? null,
      ...(end.fault === null ? {} : { why: end.fault.detail }),
      responseBytes: end.bytes,
      redactions: end.redactions,
    }),
  );
  if (end.redactions === 0) return;
  // An upstream that echoes the credential is worth a row of its own: the agent may have asked for it.
  call.ctx.waitUntil(
    record(
      call.env,
      { kind: 'agent', agent: principal.agent },
      {
        notes: [
          {
            event: 'credential.echoed',
            requestId: call.requestId,
            agent: principal.agent,
            session: principal.session,
            tokenId: principal.tokenId,
            capability: capability.name,
            service: call.service,
            operator: null,
            reason: null,
            detail: { redactions: end.redactions },
          },
        ],
      },
    ),
  );
}

function outcomeOf(call: Call, end: Omit<CallOutcome, 'requestId' | 'at' | 'durationMs'>): CallOutcome {
  const now = Date.now();
  return {
    requestId: call.requestId,
    at: now,
    durationMs: now - call.startedAt,
    ...end,
  };
}
